# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""A bar for each cell and variant, as SVG."""

import math
from xml.sax.saxutils import escape

from . import metrics, stats

BAR, GAP, LEFT, WIDTH, TOP = 11, 14, 170, 620, 56
COLOURS = {
    "c": "#9aa5b1",
    "c-delack0": "#5b6b7b",
    "rust": "#b7410e",
    "rust-host": "#e08a5a",
    "rust-target": "#f0b795",
    "linux": "#2f7d4f",
}


def bars(store, variants):
    """(cell, [(variant, median, low, high)]) of throughput relative to the
    first variant's median."""
    for cell in store.cells():
        key = metrics.throughput(cell)
        base = stats.median(list(store.figures(cell, variants[0], key).values()))
        if not base:
            continue
        found = []
        for variant in variants:
            values = [v / base for v in store.figures(cell, variant, key).values()]
            if values:
                found.append((variant, stats.median(values), min(values), max(values)))
        yield cell, found


class Scale:
    """Powers of two, as wide as the values need."""

    def __init__(self, values):
        values = [v for v in values if v > 0] or [1.0]
        self.low = math.floor(math.log2(min(values + [1.0])))
        self.high = max(math.ceil(math.log2(max(values + [1.0]))), self.low + 1)

    def x(self, value):
        at = (math.log2(value) - self.low) / (self.high - self.low) if value > 0 else 0.0
        return LEFT + WIDTH * min(max(at, 0.0), 1.0)

    def ticks(self):
        return [2.0**i for i in range(self.low, self.high + 1)]


def svg(store, variants, heading):
    groups = list(bars(store, variants))
    scale = Scale([value for _, found in groups for bar in found for value in bar[1:]])
    body = []
    y = TOP
    for cell, found in groups:
        middle = y + BAR * len(found) / 2
        body.append(f'<text x="{LEFT - 8}" y="{middle + 4:.0f}" text-anchor="end">{escape(cell)}</text>')
        for variant, value, low, high in found:
            one = scale.x(1.0)
            at = scale.x(value)
            start, width = min(one, at), max(abs(at - one), 1)
            body.append(
                f'<rect x="{start:.1f}" y="{y}" width="{width:.1f}" height="{BAR - 2}" '
                f'fill="{COLOURS.get(variant, "#777")}"><title>{escape(variant)} {value:.2f} '
                f"[{low:.2f}..{high:.2f}]</title></rect>"
            )
            body.append(
                f'<path d="M{scale.x(low):.1f} {y + BAR / 2 - 1:.1f}H{scale.x(high):.1f}" stroke="#000"/>'
            )
            y += BAR
        y += GAP
    lines = []
    for tick in scale.ticks():
        x = scale.x(tick)
        stroke = "#000" if tick == 1 else "#ddd"
        lines.append(f'<path d="M{x:.1f} {TOP - 6}V{y}" stroke="{stroke}"/>')
        lines.append(f'<text x="{x:.1f}" y="{TOP - 10}" text-anchor="middle">{tick:g}</text>')
    key = []
    x = LEFT
    for variant in variants:
        fill = COLOURS.get(variant, "#777")
        key.append(f'<rect x="{x}" y="{y + 4}" width="10" height="10" fill="{fill}"/>')
        key.append(f'<text x="{x + 14}" y="{y + 13}">{escape(variant)}</text>')
        x += 110
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 30}" height="{y + 26}" '
        'font-family="sans-serif" font-size="11">\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="10" y="18" font-size="13">{escape(heading)}</text>\n'
        f'<text x="10" y="33">throughput, {escape(variants[0])} = 1; '
        "the line is the range of all boots</text>\n"
        + "\n".join(lines + body + key)
        + "\n</svg>\n"
    )
