# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The load generator on this machine: it must find what it is there to find."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

SOURCES = sorted((pathlib.Path(__file__).resolve().parent.parent / "guest").glob("load*.c"))
SECTOR = 512


@unittest.skipUnless(shutil.which("cc"), "no C compiler")
class Loadgen(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.program = pathlib.Path(cls.dir.name) / "loadgen"
        subprocess.run(
            ["cc", "-O1", "-o", cls.program, *SOURCES, "-lpthread"], check=True
        )
        cls.disk = pathlib.Path(cls.dir.name) / "disk"

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def setUp(self):
        with open(self.disk, "wb") as f:
            f.truncate(4 << 20)

    def loadgen(self, *args):
        return subprocess.run(
            [self.program, "-f", self.disk, *args], capture_output=True, text=True, check=False
        )

    def test_mix(self):
        done = self.loadgen("-t", "4", "-b", "8m", "-M", "64k")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("errors=0", done.stdout)

    def corrupt(self, sector, data):
        with open(self.disk, "r+b") as f:
            f.seek(sector * SECTOR)
            f.write(data)

    def verify_finds(self, sector):
        done = self.loadgen("-o", "verify", "-s", "9")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"miscompare at sector {sector} ", done.stderr)

    def test_one_bit(self):
        self.assertEqual(self.loadgen("-o", "write", "-s", "9").returncode, 0)
        self.assertEqual(self.loadgen("-o", "verify", "-s", "9").returncode, 0)
        byte = self.disk.read_bytes()[100 * SECTOR + 300]
        self.corrupt(100, self.disk.read_bytes()[100 * SECTOR : 100 * SECTOR + 300] + bytes([byte ^ 1]))
        self.verify_finds(100)

    def test_misplaced_sector(self):
        self.loadgen("-o", "write", "-s", "9")
        data = self.disk.read_bytes()
        self.corrupt(200, data[201 * SECTOR : 202 * SECTOR])
        self.verify_finds(200)

    def test_another_seed(self):
        self.loadgen("-o", "write", "-s", "8")
        self.verify_finds(0)

    def test_short_file(self):
        done = self.loadgen("-o", "verify", "-t", "64", "-z", "4096")
        self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main()
