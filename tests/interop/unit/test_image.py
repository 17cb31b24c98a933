# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Archives, module order, package lists."""

import io
import unittest

from interoplib import cpio, image, linuxhost, packages, report


def members(data):
    """Names, modes and contents of an archive."""
    at, found = 0, []
    while True:
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        at = (at + 110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found.append((name, mode, data[at : at + size]))
        at = (at + size + 3) & ~3


class Cpio(unittest.TestCase):
    def test_members(self):
        out = io.BytesIO()
        archive = cpio.Archive(out)
        archive.file("a/b/c", b"12345", 0o755)
        archive.file("a/d", b"")
        archive.link("a/e", "d")
        archive.device("dev/console", 5, 1)
        archive.close()
        self.assertEqual(
            members(out.getvalue()),
            [("a", 0o40755, b""), ("a/b", 0o40755, b""), ("a/b/c", 0o100755, b"12345"),
             ("a/d", 0o100644, b""), ("a/e", 0o120777, b"d"), ("dev", 0o40755, b""),
             ("dev/console", 0o20600, b"")],
        )


class Modules(unittest.TestCase):
    def test_order(self):
        needs = {"tcp": b"fabrics,core", "fabrics": b"core", "core": b"", "x-y": b"tcp"}

        def read(name):
            if name not in needs:
                return None
            return b"ELF\0license=GPL\0depends=" + needs[name] + b"\0name=x\0"

        order = [name for name, _ in image.load_order(("tcp", "built_in", "x-y"), read)]
        self.assertEqual(order, ["core", "fabrics", "tcp", "x-y"])


class Packages(unittest.TestCase):
    def test_names(self):
        text = "fio\n  Depends: libc6\n |Depends: debconf\n    debconf-2.0\nlibc6\nlibperl5.36\n"
        text += "zlib1g\nperl-base\nlibpam0g\n<libreadline-common>\nlibstdc++6\n"
        self.assertEqual(packages.parse_depends(text), ["libc6", "libstdc++6", "zlib1g"])


class Fio(unittest.TestCase):
    LINE = ";".join(["3", "fio-3.33", "j", "0", "{error}", *(str(n) for n in range(5, 130))])

    def test_speed(self):
        text = "note\n" + self.LINE.format(error=0)
        self.assertEqual(linuxhost.speed(text), "7 read IOPS, 48 write IOPS")

    def test_failure(self):
        for text in (self.LINE.format(error=84), "fio: no such file", ""):
            with self.assertRaises(report.Failure):
                linuxhost.speed(text)


class Report(unittest.TestCase):
    def test_verdict(self):
        lines = []
        out = report.Report((report.Failure,), lambda text, flush: lines.append(text))
        with out.case("host", "both", "good") as case:
            case.detail = "fine"
        self.assertTrue(out.ok("host", "both"))
        with out.case("host", "both", "bad"):
            raise report.Failure("not\n so")
        self.assertFalse(out.ok("host", "both"))
        self.assertTrue(out.ok("host", "none"))
        self.assertEqual(out.close(), 1)
        self.assertRegex(lines[0], r"host +both +good +ok +0.0 s  fine")
        self.assertRegex(lines[1], r"bad +FAILED +0.0 s  not so")
        self.assertEqual(lines[2], "1 passed, 1 failed")

    def test_nothing_is_no_success(self):
        self.assertEqual(report.Report((), lambda *_, **__: None).close(), 1)


if __name__ == "__main__":
    unittest.main()
