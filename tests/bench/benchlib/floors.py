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

# Reported, without a floor.
REPORTED = {"cpu": ("linux",), "p99": ("linux",)}

SWITCHES = ("read-4k-qd1", "switches_net", {"c": 0.5, "c-delack0": 0.5})
DIGESTS = 0.85
SCALING = 1.5

# None at all; a few belong to the connection and not to an I/O, hence the median of all cells.
MALLOCS = 0.01


@dataclasses.dataclass(frozen=True)
class Check:
    what: str
    wanted: str
    found: stats.Ratio
    met: bool | None  # None: there is no floor

    @property
    def verdict(self):
        return {None: "", True: "met", False: "BELOW"}[self.met]


def _bounded(what, found, least=None, most=None):
    if found is None:
        return []
    if least is not None:
        return [Check(what, f">= {least:g}", found, found.median >= least)]
    if most is not None:
        return [Check(what, f"<= {most:g}", found, found.median <= most)]
    return [Check(what, "", found, None)]


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
            for other in REPORTED[key]:
                found += _bounded(f"{cell} {key} : {other}", against(cell, key, other))
        if "-128k-" in cell and cell.endswith("-dgst"):
            plain = cell.removesuffix("-dgst")
            found += _bounded(
                f"{cell} : without digests", within(store, SUBJECT, cell, plain), least=DIGESTS
            )
        if cell.endswith("-4q") and "-4k-" in cell:
            one = cell.removesuffix("-4q")
            found += _bounded(f"{cell} : one queue", within(store, SUBJECT, cell, one), least=SCALING)
            for other in ("c", "c-delack0", "linux"):
                found += _bounded(f"{cell} : one queue, {other}", within(store, other, cell, one))
    cell, key, bounds = SWITCHES
    for other, most in bounds.items():
        found += _bounded(f"{cell} {key} : {other}", against(cell, key, other), most=most)
    mallocs = [
        value
        for cell in store.cells()
        for value in store.figures(cell, SUBJECT, "mallocs_own").values()
    ]
    found += _bounded("mallocs of the modules per I/O, all cells", stats.summary(mallocs), most=MALLOCS)
    for other in ("c", "c-delack0"):
        found += _bounded(f"memory kib : {other}", against("memory", "kib", other), most=1)
    return found
