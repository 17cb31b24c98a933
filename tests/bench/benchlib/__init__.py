# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The benchmarks.  FreeBSD guests are started by the harness of tests/vm,
Linux guests by that of tests/interop."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
VM = HERE.parent / "vm"
INTEROP = HERE.parent / "interop"
sys.path[:0] = [str(VM), str(INTEROP)]
