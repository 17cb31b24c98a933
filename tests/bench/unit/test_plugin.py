# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The counting plugin, in a program that plays QEMU."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PLUGIN = HERE.parent / "plugin" / "count.c"

# loadgen's markers, and blocks around them.
PROGRAM = """\
t start 401000 90 0f1f84000100564e c3
t stop 402000 0f1f84000200564e
t a ffffffff80000000 90 90 e800000000
t b ffffffff80000010 c3
t rep ffffffff80000020 f3a4
t rexrep ffffffff80000030 f348ab
t one ffffffff80000040 a4
t word ffffffff80000050 66a5
t other 403000 0f1f84000300564e
"""


@unittest.skipUnless(shutil.which("cc"), "no compiler")
class Plugin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.program = pathlib.Path(cls.folder.name) / "fake"
        subprocess.run(
            ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", cls.program,
             HERE / "fake_qemu.c", PLUGIN, "-lpthread"],
            check=True,
        )

    def run_plugin(self, script, *arguments):
        with tempfile.TemporaryDirectory() as out:
            done = subprocess.run(
                [self.program, *(arguments or (f"out={out}",))],
                input=PROGRAM + script, text=True, capture_output=True, check=False,
            )
            windows = {p.name: p.read_text() for p in pathlib.Path(out).iterdir()}
        return done, windows

    def windows(self, script):
        done, windows = self.run_plugin(script)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return {
            name: {line.split(None, 1)[0]: line.split(None, 1)[1] for line in text.splitlines()}
            for name, text in windows.items()
        }

    def test_what_runs_between_the_marks_is_counted_for_each_processor(self):
        found = self.windows("x 0 a 5\nx 0 start\nx 0 a 3\nx 1 a 2\nx 1 b\nx 0 stop\nx 0 a 9\n")
        self.assertEqual(list(found), ["window-0"])
        window = found["window-0"]
        self.assertEqual(window["ffffffff80000000"], "3 - 3 2")
        self.assertEqual(window["ffffffff80000010"], "1 - 0 1")
        self.assertNotIn("ffffffff80000020", window)

    def test_each_window_begins_with_nothing(self):
        found = self.windows("x 0 start\nx 0 a 3\nx 0 stop\nx 0 start\nx 0 a\nx 0 b\nx 0 stop\n")
        self.assertEqual(found["window-0"]["ffffffff80000000"], "3 - 3 0")
        self.assertEqual(found["window-1"]["ffffffff80000000"], "3 - 1 0")

    def test_string_iterations_are_told_apart(self):
        window = self.windows("x 0 start\nx 0 rep 7\nx 0 rexrep\nx 0 one\nx 0 word\nx 0 stop\n")["window-0"]
        self.assertEqual(window["ffffffff80000020"], "1 s 7 0")
        self.assertEqual(window["ffffffff80000030"], "1 s 1 0")
        self.assertEqual(window["ffffffff80000040"], "1 - 1 0")
        self.assertEqual(window["ffffffff80000050"], "1 - 1 0")

    def test_code_that_is_translated_again_is_the_same_code(self):
        script = "x 0 start\nx 0 b 2\nt b ffffffff80000010 c3\nx 0 b 3\nx 0 stop\n"
        self.assertEqual(self.windows(script)["window-0"]["ffffffff80000010"], "1 - 5 0")

    def test_other_no_ops_are_not_marks(self):
        self.assertEqual(self.windows("x 0 other\nx 0 a\nx 0 stop\nx 0 other\n"), {})
        found = self.windows("x 0 start\nx 0 other\nx 0 a\nx 0 stop\n")
        self.assertIn("ffffffff80000000", found["window-0"])

    def test_without_a_folder_it_does_not_start(self):
        done, _ = self.run_plugin("", "inline=on")
        self.assertEqual(done.returncode, 1)
        self.assertIn("out=DIR", done.stderr)


if __name__ == "__main__":
    unittest.main()
