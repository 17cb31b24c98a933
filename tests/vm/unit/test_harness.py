# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The harness without a guest."""

import io
import pathlib
import sys
import tarfile
import tempfile
import time
import types
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from vmlib import archive, console, inputs, plan, report, runner, trouble  # noqa: E402


class Inputs(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.path = pathlib.Path(self.dir.name)
        self.env = {"XDG_CACHE_HOME": self.dir.name}

    def touch(self, *names):
        for name in names:
            (self.path / name).parent.mkdir(exist_ok=True)
            (self.path / name).touch()

    def test_nothing(self):
        self.assertIsNone(inputs.resolve(self.env))

    def test_cache_kernel_and_root(self):
        self.touch("freebsd-guest/kernel", "freebsd-guest/root.img")
        found = inputs.resolve(self.env)
        self.assertEqual(found.kernel, self.path / "freebsd-guest/kernel")
        self.assertIsNone(found.debug_kernel)
        self.touch("freebsd-guest/kernel-debug")
        self.assertIsNotNone(inputs.resolve(self.env).debug_kernel)

    def test_a_kernel_without_a_root_is_nothing(self):
        self.touch("freebsd-guest/kernel")
        self.assertIsNone(inputs.resolve(self.env))

    def test_cache_image(self):
        self.touch("freebsd-guest/image")
        found = inputs.resolve(self.env)
        self.assertIsNone(found.kernel)
        self.assertEqual(found.root, self.path / "freebsd-guest/image")

    def test_home(self):
        (self.path / ".cache").mkdir()
        env = {"HOME": self.dir.name}
        self.assertEqual(inputs.default_dir(env), self.path / ".cache" / "freebsd-guest")

    def test_named(self):
        self.touch("k", "r")
        self.env.update(VM_KERNEL=str(self.path / "k"), VM_ROOT=str(self.path / "r"))
        self.assertEqual(inputs.resolve(self.env).root, self.path / "r")

    def test_named_but_wrong(self):
        self.touch("k")
        for bad in (
            {"VM_KERNEL": str(self.path / "k")},
            {"VM_ROOT": str(self.path / "k")},
            {"VM_IMAGE": str(self.path / "no")},
            {"VM_IMAGE": str(self.path / "k"), "VM_KERNEL": str(self.path / "k")},
        ):
            with self.assertRaises(inputs.BadInput):
                inputs.resolve({**self.env, **bad})


class Archive(unittest.TestCase):
    def test_round_trip(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name)
            (path / "a.sh").write_text("echo a\n")
            archive.build(path / "in.tar", {"t": [path / "a.sh"]})
            size = (path / "in.tar").stat().st_size
            self.assertEqual(size % archive.ALIGNMENT, 0)
            with tarfile.open(path / "in.tar") as tar:
                self.assertEqual(tar.getnames(), ["t", "t/a.sh"])
                self.assertEqual(tar.getmember("t/a.sh").mtime, 0)
            self.assertTrue(archive.read(path / "in.tar", path / "out"))
            self.assertEqual((path / "out/t/a.sh").read_text(), "echo a\n")

    def test_a_blank_disk_has_no_results(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name)
            archive.blank(path / "r", 1 << 20)
            archive.read(path / "r", path / "out")
            self.assertEqual(list((path / "out").iterdir()), [])

    def test_names_stay_inside(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name)
            (path / "x.tar").write_bytes(archive.to_bytes({"../evil": b"1", "good": b"2"}))
            archive.read(path / "x.tar", path / "out")
            self.assertFalse((path / "evil").exists())
            self.assertEqual((path / "out/good").read_bytes(), b"2")


class Trouble(unittest.TestCase):
    def test_each_is_seen(self):
        for line in (
            "panic: vm_fault: fault on nofault entry, addr: 0",
            "Fatal trap 12: page fault while in kernel mode",
            "lock order reversal: (sleepable after non-sleepable)",
            "KDB: stack backtrace:",
            "db> ",
            "witness_lock_list_get: witness exhausted",
            "uma_zalloc_debug: zone \"mbuf\" with the following non-sleepable locks held:",
            "Warning: memory type nvmf_tcp leaked memory on destroy (2 allocations)",
        ):
            self.assertEqual(trouble.trouble(f"ok\r\n{line}\r\n"), [line.rstrip("\r")], line)

    def test_a_healthy_boot_is_not(self):
        text = (
            "KDB: debugger backends: ddb\nKDB: current backend: ddb\n"
            "WARNING: WITNESS option enabled, expect reduced performance.\n"
        )
        self.assertEqual(trouble.trouble(text), [])

    def test_allowed(self):
        self.assertEqual(trouble.trouble("lock order reversal: x", ["order reversal: x"]), [])

    def test_colours_do_not_hide_it(self):
        self.assertTrue(trouble.fatal("\x1b[31mpanic: x\x1b[0m"))


class Plan(unittest.TestCase):
    def test_interchange_has_every_mix_once(self):
        with_ours = plan.interchange(True)
        with_theirs = plan.interchange(False)
        mixes = with_ours + with_theirs
        self.assertEqual(len(mixes), 10)
        self.assertEqual(len(set(mixes)), 10)
        self.assertIn(plan.ALL_RUST, with_ours)
        self.assertIn("", with_theirs)
        for module in plan.MODULES:
            self.assertIn(module, mixes)
        self.assertTrue(all("transport" in m for m in with_ours))

    def test_without_our_modules_only_theirs_run(self):
        boots = plan.plan(False, True, False)
        self.assertEqual([r.env["NVMF_RUST"] for b in boots for r in b.runs], ["", ""])

    def test_every_scenario_exists(self):
        for boot in plan.plan(True, True, True):
            for run in boot.runs:
                self.assertTrue((HERE.parent / "scenarios" / f"{run.scenario}.sh").exists())


class Report(unittest.TestCase):
    def test_parse(self):
        cases = report.parse("noise\nCASE a ok\nCASE b FAIL why so\nCASE a FAIL later\n")
        self.assertEqual(
            cases, [report.Case("a", "FAIL", "later"), report.Case("b", "FAIL", "why so")]
        )

    def test_status(self):
        for cases, status in (([], 1), (["ok"], 0), (["ok", "FAIL"], 1), (["skip"], 1)):
            out = report.Report(io.StringIO())
            for verdict in cases:
                out.add("p", report.Case("n", verdict))
            self.assertEqual(out.close(), status, cases)


FAKE = r"""#!{python}
import sys
def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()
say("booting\r\nlogin: ")
sys.stdin.readline()
say("# ")
for line in sys.stdin:
    line = line.strip().replace("''", "")
    if line.startswith("exec "):
        say("# ")
    if "@@" in line:
        token = line.split("@@")[1].split()[0]
        answers = ["@@" + token + " 0\r\n"] * line.count("echo @@")
        if "run.sh" in line:
            {body}
        say("".join(answers))
"""


class Console(unittest.TestCase):
    """run_boot() against a program that talks like a guest."""

    def boot(self, body, seconds=300):
        with tempfile.TemporaryDirectory() as name:
            work = pathlib.Path(name)
            fake = work / "qemu"
            fake.write_text(FAKE.format(python=sys.executable, body=body))
            fake.chmod(0o755)
            options = runner.Options(
                qemu=str(fake), accelerated=False, memory=1, cpus=1, append="", factor=0.1,
                work=work, extra=[], allow=[], patience=0.05,
            )
            found = types.SimpleNamespace(kernel=None, debug_kernel=None, root="r")
            out = report.Report(io.StringIO())
            run = plan.Run("s", {}, seconds)
            runner.run_boot(plan.Boot("b", (run,)), found, "a", options, out)
            return out

    def test_good(self):
        out = self.boot('say("CASE x ok\\r\\n")')
        self.assertEqual([c.verdict for c in out.cases], ["ok"])

    def test_panic(self):
        out = self.boot('say("CASE x ok\\r\\npanic: oops\\r\\n"); sys.exit(1)')
        self.assertIn("FAIL", [c.verdict for c in out.cases])
        self.assertIn("panic: oops", out.out.getvalue())

    def test_lock_order(self):
        out = self.boot('say("CASE x ok\\r\\nlock order reversal:\\r\\n")')
        self.assertEqual([c.verdict for c in out.cases], ["ok", "FAIL"])

    def test_a_message_in_the_middle_of_the_answer(self):
        out = self.boot(
            'say("CASE x ok\\r\\n"); '
            'answers[0] = answers[0][:5] + "nvme0: gone\\r\\n" + answers[0][5:]'
        )
        self.assertEqual([c.verdict for c in out.cases], ["ok"])

    def test_hang(self):
        start = time.monotonic()
        out = self.boot("import time; time.sleep(60)", seconds=20)
        self.assertIn("nothing within", out.cases[-1].reason)
        self.assertLess(time.monotonic() - start, 40)

    def test_no_case(self):
        out = self.boot("pass")
        self.assertEqual([c.verdict for c in out.cases], ["FAIL"])


class Accelerator(unittest.TestCase):
    def test_needs_the_processor(self):
        with tempfile.TemporaryDirectory() as name:
            info = pathlib.Path(name) / "cpuinfo"
            for flags, usable in (("fpu sse2", False), ("fpu svm sse2", True)):
                info.write_text(f"flags\t\t: {flags}\n")
                self.assertEqual(console.kvm_usable(info, "/dev/null"), usable)
            self.assertFalse(console.kvm_usable(info, f"{name}/none"))


if __name__ == "__main__":
    unittest.main()
