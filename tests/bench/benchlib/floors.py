# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What our modules are expected to reach, and whether they did."""

import dataclasses

from . import metrics, stats

SUBJECT = "rust"

# Throughput at least this many times that of another variant.
THROUGHPUT = {
    "read-4k-qd1": {"c": 1.6, "c-delack0": 1.1, "linux": 1.0},
    "read-4k-qd8": {"c": 12, "c-delack0": 2.0, "linux": 0.6},
    "read-4k-qd32": {"c": 6, "c-delack0": 2.4, "linux": 0.5},
    "write-4k-qd1": {"c": 1.8, "c-delack0": 1.1, "linux": 0.9},
    "write-4k-qd32": {"c": 1.8, "c-delack0": 2.4, "linux": 0.5},
    "read-128k-qd8": {"c": 1.4, "c-delack0": 1.3, "linux": 0.9},
    "write-128k-qd8": {"c": 1.6, "c-delack0": 1.4, "linux": 0.8},
}

# At most this many times, in every cell.
AT_MOST = {
    "cpu": {"c": 0.5, "c-delack0": 0.5},
    "p99": {"c": 0.8, "c-delack0": 1.0},
}

SWITCHES = ("read-4k-qd1", "switches_net", 0.5)
DIGESTS = 0.85
SCALING = 1.5


@dataclasses.dataclass(frozen=True)
class Check:
    what: str
    wanted: str
    found: stats.Ratio
    met: bool


def _bounded(what, found, least=None, most=None):
    if found is None:
        return []
    met = found.median >= least if least is not None else found.median <= most
    wanted = f">= {least:g}" if least is not None else f"<= {most:g}"
    return [Check(what, wanted, found, met)]


def within(store, variant, cell, other):
    """The throughput of one cell against that of another, boot by boot."""
    key = metrics.throughput(cell)
    return stats.ratio(store.figures(cell, variant, key), store.figures(other, variant, key))


def checks(store):
    """Those that can be decided with what was measured."""
    found = []

    def against(cell, key, other):
        return stats.ratio(store.figures(cell, SUBJECT, key), store.figures(cell, other, key))

    for cell in store.cells():
        for other, least in THROUGHPUT.get(cell, {}).items():
            key = metrics.throughput(cell)
            found += _bounded(f"{cell} {key} : {other}", against(cell, key, other), least=least)
        for key, bounds in AT_MOST.items():
            for other, most in bounds.items():
                found += _bounded(f"{cell} {key} : {other}", against(cell, key, other), most=most)
        if "-128k-" in cell and cell.endswith("-dgst"):
            plain = cell.removesuffix("-dgst")
            found += _bounded(
                f"{cell} : without digests", within(store, SUBJECT, cell, plain), least=DIGESTS
            )
        if cell.endswith("-4q") and "-4k-" in cell:
            one = cell.removesuffix("-4q")
            found += _bounded(f"{cell} : one queue", within(store, SUBJECT, cell, one), least=SCALING)
    cell, key, most = SWITCHES
    found += _bounded(f"{cell} {key} : c", against(cell, key, "c"), most=most)
    found += _bounded("memory kib : c", against("memory", "kib", "c"), most=1)
    return found
