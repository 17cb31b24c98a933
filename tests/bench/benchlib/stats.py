# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Medians, ratios of pairs and their spread."""

import dataclasses
import statistics

# A ratio whose pairs differ by more than this share of their median is noisy.
NOISE = 0.20


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Of two variants' figures: the median of the pairs, and their range."""

    median: float
    low: float
    high: float
    pairs: int

    @property
    def spread(self):
        return (self.high - self.low) / self.median if self.median else float("inf")

    @property
    def noisy(self):
        return self.spread > NOISE


def median(values):
    return statistics.median(values) if values else None


def summary(values):
    """Of figures that are no ratios, or are already; None if there is none."""
    if not values:
        return None
    return Ratio(statistics.median(values), min(values), max(values), len(values))


def ratio(ours, theirs):
    """ours and theirs are {pair: figure}.  A pair that lacks one of the two
    figures, or whose divisor is zero, has no ratio."""
    return summary([ours[p] / theirs[p] for p in ours if theirs.get(p)])
