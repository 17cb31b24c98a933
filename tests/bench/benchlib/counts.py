# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What the counting plugin wrote, by function."""

import collections
import dataclasses


class Overflow(Exception):
    """The plugin ran out of room for blocks."""


@dataclasses.dataclass
class Cost:
    """Executed in one function: instructions, of which iterations of string
    instructions, and how often the function was entered."""

    instructions: int = 0
    iterations: int = 0
    calls: int = 0


def blocks(text):
    """(address, instructions, is a string iteration, times) of each block."""
    for line in text.splitlines():
        address, size, kind, *times = line.split()
        executed = sum(int(t) for t in times)
        if int(size) == 0:
            raise Overflow("the plugin's table of blocks was full")
        yield int(address, 16), int(size), kind == "s", executed


def by_function(text, table):
    """{(object, function): Cost} of one window.  An iteration of a string
    instruction is not an instruction: no processor retires it as one."""
    found = collections.defaultdict(Cost)
    for address, size, string, times in blocks(text):
        where, function, start = table.find(address)
        cost = found[where, function]
        if string:
            cost.iterations += times
        else:
            cost.instructions += size * times
        if address == start:
            cost.calls += times
    return dict(found)
