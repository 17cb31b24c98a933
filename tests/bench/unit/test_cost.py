# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Counted instructions: from the plugin's lines to a report and back."""

import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from benchlib import costreport, counts, elf, groups  # noqa: E402


def object_file(sections, symbols):
    """A relocatable ELF file: sections are (type, flags, size, alignment),
    symbols (name, info, section, value)."""
    names, table = b"\0", b"\0" * 24
    for name, info, section, value in symbols:
        table += struct.pack("<IBBHQQ", len(names), info, 0, section, value, 0)
        names += name.encode() + b"\0"
    rows = [(0,) * 10]
    rows += [(0, kind, flags, 0, 0, size, 0, 0, align, 0) for kind, flags, size, align in sections]
    at = 64
    rows.append((0, elf.SHT_SYMTAB, 0, 0, at, len(table), len(rows) + 1, 1, 8, 24))
    rows.append((0, 3, 0, 0, at + len(table), len(names), 0, 0, 1, 0))
    body = table + names
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", elf.ET_REL, 62, 1, 0, 0, at + len(body), 0, 64, 0, 0, 64, len(rows), 0
    )
    return head + body + b"".join(struct.pack("<IIQQQQIIQQ", *r) for r in rows)


CODE = elf.SHF_ALLOC | elf.SHF_EXECINSTR
FUNC = elf.STT_FUNC
BASE = 0xFFFFFFFF82000000


def module():
    """20 bytes of code, 7 of data, then more code that wants alignment 16."""
    return elf.Elf(
        object_file(
            [
                (elf.SHT_PROGBITS, CODE, 20, 16),
                (elf.SHT_PROGBITS, elf.SHF_ALLOC, 7, 4),
                (elf.SHT_PROGBITS, 0, 100, 1),
                (elf.SHT_PROGBITS, CODE, 32, 16),
            ],
            [
                ("second", FUNC, 1, 8),
                ("first", FUNC, 1, 0),
                ("datum", FUNC, 2, 0),
                ("far", 0x10, 4, 4),
                ("label", 0, 4, 8),
            ],
        )
    )


class Symbols(unittest.TestCase):
    def setUp(self):
        self.table = elf.Table()
        self.table.add(module(), "m.ko", BASE)
        self.table.close()

    def find(self, offset):
        return self.table.find(BASE + offset)[:2]

    def test_functions_of_the_first_section(self):
        self.assertEqual(self.find(0), ("m.ko", "first"))
        self.assertEqual(self.find(7), ("m.ko", "first"))
        self.assertEqual(self.find(8), ("m.ko", "second"))

    def test_sections_follow_each_other_as_the_kernel_loads_them(self):
        # 20 of code, 7 of data from 20 on, then the next multiple of 16.
        self.assertEqual(self.find(32 + 3), ("?", "?"))
        self.assertEqual(self.find(32 + 4), ("m.ko", "far"))
        self.assertEqual(self.find(32 + 8), ("m.ko", "far"))

    def test_what_is_outside_is_nobodys(self):
        self.assertEqual(self.find(20), ("?", "?"))
        self.assertEqual(self.find(32 + 32), ("?", "?"))
        self.assertEqual(self.find(-1), ("?", "?"))
        self.assertEqual(self.table.find(0x400000)[:2], ("user", "user"))

    def test_other_files_are_refused(self):
        for bad in (b"", b"\x7fELF\x01\x01" + b"\0" * 60, b"#!/bin/sh\n" * 10):
            with self.assertRaises(elf.BadElf):
                elf.Elf(bad)

    def test_a_file_of_the_compiler(self):
        cc, nm = shutil.which("cc"), shutil.which("nm")
        if not cc or not nm:
            self.skipTest("no compiler")
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name)
            (path / "a.c").write_text("int f(int x) { return x; }\nint g(void) { return f(3); }\n")
            subprocess.run([cc, "-c", "-o", path / "a.o", path / "a.c"], check=True)
            read = elf.Elf((path / "a.o").read_bytes())
            said = subprocess.run([nm, path / "a.o"], capture_output=True, text=True, check=True)
            want = {(int(l.split()[0], 16), l.split()[2]) for l in said.stdout.splitlines()}
            self.assertEqual({(v, n) for _, v, n in read.functions()}, want)


class Windows(unittest.TestCase):
    TEXT = (
        f"{BASE:x} 5 - 10 2\n"  # first, entered 12 times
        f"{BASE + 4:x} 3 - 1 0\n"
        f"{BASE + 8:x} 2 - 0 4\n"
        f"{BASE + 10:x} 1 s 100 20\n"
        "401000 7 - 1 0\n"
    )

    def setUp(self):
        self.table = elf.Table()
        self.table.add(module(), "m.ko", BASE)
        self.table.close()

    def test_by_function(self):
        found = counts.by_function(self.TEXT, self.table)
        self.assertEqual(found["m.ko", "first"], counts.Cost(5 * 12 + 3, 0, 12))
        self.assertEqual(found["m.ko", "second"], counts.Cost(8, 120, 4))
        self.assertEqual(found["user", "user"], counts.Cost(7, 0, 0))

    def test_a_full_table_is_not_a_result(self):
        with self.assertRaises(counts.Overflow):
            counts.by_function("0 0 - 5 0\n", self.table)


class Groups(unittest.TestCase):
    def test_modules_and_kernel(self):
        for where, name, want in (
            ("nvmf.ko", "memcpy", "host"),
            ("nvmf_tcp.ko", "x", "transport"),
            ("nvmft.ko", "x", "controller"),
            ("kernel", "memmove_erms", "copy"),
            ("kernel", "ctl_work_thread", "controller"),
            ("kernel", "tcp_default_output", "network"),
            ("kernel", "__mtx_lock_sleep", "locks"),
            ("kernel", "cpu_switch", "scheduler"),
            ("kernel", "cpu_idle", "waiting"),
            ("kernel", "lock_delay", "waiting"),
            ("kernel", "uma_zalloc_arg", "memory"),
            ("kernel", "zz_unheard_of", "other"),
            ("user", "user", "user"),
        ):
            self.assertEqual(groups.group(where, name), want, name)
            self.assertIn(want, groups.GROUPS)


def part(variant="rust", **functions):
    rows = {("kernel", n): costreport.Row(float(i), 0.0, 1.0) for n, i in functions.items()}
    return costreport.Part("read-4k-qd1", variant, 100, 0.01, rows)


class Report(unittest.TestCase):
    def test_per_io_over_all_windows(self):
        window = {("kernel", "malloc"): counts.Cost(1000, 50, 20)}
        more = {("kernel", "malloc"): counts.Cost(3000, 0, 40), ("kernel", "cpu_idle"): counts.Cost(9000)}
        made = costreport.Part.of("c", "v", [window, more], [10, 30])
        self.assertEqual(made.functions["kernel", "malloc"], costreport.Row(100.0, 1.25, 1.5))
        # 100 an I/O in both windows: waiting is not in the total.
        self.assertEqual(made.spread, 0)
        self.assertEqual(made.busy, 100)
        self.assertEqual(dict(made.events())["malloc"], 1.5)

    def test_spread_of_unlike_windows(self):
        one = {("kernel", "malloc"): counts.Cost(100)}
        two = {("kernel", "malloc"): counts.Cost(150)}
        self.assertAlmostEqual(costreport.Part.of("c", "v", [one, two], [1, 1]).spread, 0.4)

    def test_text_is_read_back(self):
        parts = [part(malloc=10.5, tcp_output=2), part("c", malloc=20)]
        again = costreport.parse(costreport.text(parts))
        self.assertEqual([(p.cell, p.variant) for p in again], [(p.cell, p.variant) for p in parts])
        self.assertEqual(again[0].functions, parts[0].functions)
        self.assertEqual(again[1].busy, 20)

    def test_a_short_report_has_the_same_total(self):
        made = part(malloc=990, free=6, wakeup=4, cpu_idle=9)
        short = costreport.text([made], 0.01)
        self.assertNotIn("free", short)
        again = costreport.parse(short)[0]
        self.assertEqual(again.busy, 1000)
        self.assertEqual(again.functions[costreport.REST].instructions, 10)
        self.assertNotIn(costreport.REST, costreport.parse(costreport.text([made]))[0].functions)

    def test_names_with_spaces_are_read_back(self):
        made = part()
        made.functions["nvmf.ko", "<a as b>::c"] = costreport.Row(1.0, 2.0, 3.0)
        self.assertEqual(costreport.parse(costreport.text([made]))[0].functions, made.functions)

    def test_no_report(self):
        for bad in ("", "func 1 2 3 kernel x\n", "part a b ios=x spread=1.0%\n"):
            with self.assertRaises(costreport.BadReport):
                costreport.parse(bad)

    def test_difference(self):
        before = [part(malloc=100, free=50, gone=10, cpu_idle=500)]
        after = [part(malloc=60, free=50.1, new=5, cpu_idle=0)]
        said = costreport.diff(before, after)
        self.assertIn("160 -> 115 (-28.1 %)", said)
        rows = [line.split()[-1] for line in said.splitlines()[1:]]
        self.assertEqual(rows, ["malloc", "gone", "new"])

    def test_a_part_that_is_new(self):
        self.assertIn("not in the old report", costreport.diff([part("c")], [part("rust")]))

    def test_names_do_not_depend_on_the_build(self):
        self.assertEqual(costreport.plain("a::b::h0123456789abcdef"), "a::b")
        self.assertEqual(costreport.plain("<sys[79a4b3d2c1e0f123]::X>::y"), "<sys::X>::y")


if __name__ == "__main__":
    unittest.main()
