# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What is measured: kinds of I/O, and sets of them."""

import dataclasses
import fnmatch
import itertools

SIZES = {"4k": 4096, "128k": 131072, "1m": 1048576}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One kind of I/O.  Small I/O is at random places, large is sequential."""

    operation: str
    size: str
    depth: int
    digests: bool = False
    queues: int = 1

    @property
    def name(self):
        name = f"{self.operation}-{self.size}-qd{self.depth}"
        if self.digests:
            name += "-dgst"
        if self.queues != 1:
            name += f"-{self.queues}q"
        return name

    @property
    def bytes(self):
        return SIZES[self.size]

    @property
    def random(self):
        return self.size == "4k"

    @property
    def connection(self):
        """The arguments of nvmecontrol connect; cells with the same ones
        share a connection."""
        arguments = [f"-i {self.queues}"]
        if self.digests:
            arguments.append("-g -G")
        return " ".join(arguments)

    @property
    def load(self):
        """The arguments of loadgen, but for how long."""
        mode = {"read": "read", "write": "over"}[self.operation]
        arguments = f"-o {mode} -t {self.depth} -m {self.bytes} -M {self.bytes}"
        return arguments if self.random else arguments + " -S"


def _each(sizes, depths, **options):
    return [
        Cell(operation, size, depth, **options)
        for size in sizes
        for operation in ("read", "write")
        for depth in depths
    ]


FLOORS = [
    Cell("read", "4k", 1),
    Cell("read", "4k", 8),
    Cell("read", "4k", 32),
    Cell("write", "4k", 1),
    Cell("write", "4k", 32),
    Cell("read", "128k", 8),
    Cell("write", "128k", 8),
]

_PLAIN = _each(["4k"], (1, 8, 32, 128)) + _each(["128k", "1m"], (1, 8))

SETS = {
    # The rows of the table of floors, and the digests' price.
    "floors": FLOORS
    + [dataclasses.replace(c, digests=True) for c in FLOORS if c.size == "128k"],
    "digests": [
        dataclasses.replace(c, digests=d) for c in _PLAIN for d in (False, True) if c.size != "4k"
    ],
    "queues": [dataclasses.replace(c, queues=q) for q in (1, 4) for c in _each(["4k"], (8, 32, 128))],
    "full": [
        dataclasses.replace(c, digests=d, queues=q)
        for q in (1, 4)
        for d in (False, True)
        for c in _PLAIN
    ],
    # Where instructions are counted.
    "cost": [
        Cell("read", "4k", 1),
        Cell("read", "4k", 32),
        Cell("write", "4k", 32),
        Cell("read", "128k", 8),
        Cell("write", "128k", 8),
    ],
}


def choose(name, patterns=None):
    """The cells of a set, or of all sets, whose name matches a pattern."""
    if not patterns:
        return SETS[name]
    everything = dict.fromkeys(c for cells in SETS.values() for c in cells)
    return [c for c in everything if any(fnmatch.fnmatch(c.name, p) for p in patterns.split())]


def by_connection(chosen):
    """(arguments of nvmecontrol connect, the cells that share them)."""
    chosen = sorted(chosen, key=lambda c: c.connection)
    for connection, group in itertools.groupby(chosen, key=lambda c: c.connection):
        yield connection, list(group)
