# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What loadgen's line says."""

import re

_FIELD = re.compile(r"(\w+)=([0-9.]+)")


class BadLine(Exception):
    """No result, or one with errors."""


def parse(text):
    """The numbers of the last result in what a guest printed."""
    lines = [line for line in text.splitlines() if line.startswith("loadgen ")]
    if not lines:
        raise BadLine(f"no result in {text.strip()!r}")
    numbers = {name: float(value) for name, value in _FIELD.findall(lines[-1])}
    if numbers.get("errors") != 0:
        raise BadLine(lines[-1])
    return numbers
