# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The benchmarks.  Guests are started by the harness of tests/vm."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
VM = HERE.parent / "vm"
sys.path.insert(0, str(VM))
