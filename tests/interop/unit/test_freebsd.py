# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What a run with a FreeBSD guest needs, and says if it is not there."""

import argparse
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "vm"))

# pylint: disable=wrong-import-position
from interoplib.freebsd_guest import KMODS, inputs_of
from interoplib.packages import Unavailable


class Inputs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        self.args = argparse.Namespace(modules=self.top, programs=self.top)

    def missing(self, env, part):
        with self.assertRaises(Unavailable) as caught:
            inputs_of(env, self.args)
        self.assertIn(part, str(caught.exception))

    def test_each_part_that_is_missing_is_named(self):
        self.missing({"XDG_CACHE_HOME": str(self.top)}, "no FreeBSD guest")
        self.missing({"VM_KERNEL": str(self.top / "none")}, "VM_KERNEL")
        env = {"XDG_CACHE_HOME": str(self.top)}
        cache = self.top / "freebsd-guest"
        cache.mkdir()
        for name in ("kernel", "root.img"):
            (cache / name).touch()
        for name in (*KMODS, "loadgen"):
            self.missing(env, name)
            (self.top / name).touch()
        self.assertEqual(inputs_of(env, self.args).root, cache / "root.img")


if __name__ == "__main__":
    unittest.main()
