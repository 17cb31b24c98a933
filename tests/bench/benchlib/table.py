# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The results as text and as comma-separated values."""

import csv
import io

from . import floors, metrics, stats


# What of the report of bench-cost is shown beside the times.
COUNTED = ("instructions", "context switches", "malloc", "IP packets")


def subjects(variants):
    return [v for v in variants if v.startswith("rust")]


def baselines(variants):
    return [v for v in variants if not v.startswith("rust")]


def number(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def show(ratio):
    """A median with its range; ~ marks what is noisy."""
    if ratio is None:
        return "-"
    if ratio.pairs == 1:
        return f"{ratio.median:.2f} (1 pair)"
    mark = "~" if ratio.noisy else " "
    return f"{ratio.median:.2f}{mark}[{ratio.low:.2f}..{ratio.high:.2f}]"


def ratios(store, cell, key, variants):
    """(subject, baseline, Ratio or None) of each that can be compared."""
    for subject in subjects(variants):
        for base in baselines(variants):
            yield subject, base, stats.ratio(
                store.figures(cell, subject, key), store.figures(cell, base, key)
            )


def _block(store, cell, variants):
    rows = [[cell, *variants, *(f"{s}:{b}" for s in subjects(variants) for b in baselines(variants))]]
    other = {"iops": "mbps", "mbps": "iops"}[metrics.throughput(cell)]
    for metric in metrics.METRICS:
        if metric.key == other:
            continue
        medians = [
            stats.median(list(store.figures(cell, v, metric.key).values())) for v in variants
        ]
        if all(m is None for m in medians):
            continue
        compared = [show(r) for _, _, r in ratios(store, cell, metric.key, variants)]
        rows.append([f"  {metric.title}", *(number(m, metric.digits) for m in medians), *compared])
    return rows


def layout(rows):
    """Columns under each other, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            field.ljust(width) if i == 0 else field.rjust(width)
            for i, (field, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def counted(report):
    """What bench-cost counted: no clock and no other work changes that."""
    rows = [["per I/O", "variant", *COUNTED]]
    for (cell, variant), found in report.items():
        rows.append([f"  {cell}", variant, *(number(found.get(key), 1) for key in COUNTED)])
    return layout(rows)


def text(store, variants, titles, heading, cost=None):
    lines = [heading, ""]
    lines += [f"{name:12s} {titles[name]}" for name in variants]
    lines += [
        "",
        "Medians of all pairs.  A ratio is the median of the pairs' ratios with its range;",
        f"~ marks a range of more than {stats.NOISE:.0%} of the median.",
    ]
    for cell in store.cells():
        lines += ["", *layout(_block(store, cell, variants))]
    decided = floors.checks(store)
    if decided:
        lines += ["", "Floors"]
        rows = [["  ratio, rust to the other", "wanted", "found", ""]]
        rows += [[f"  {c.what}", c.wanted, show(c.found), c.verdict] for c in decided]
        lines += layout(rows)
        floor = [c.met for c in decided if c.met is not None]
        lines.append(f"  {sum(floor)} of {len(floor)} met")
    if cost:
        lines += ["", "Counted by bench-cost, not in these boots", *counted(cost)]
    for failed in store.failures():
        lines += ["", f"FAILED pair {failed['pair']} {failed['variant']}: {failed['failure']}"]
    return "\n".join(lines) + "\n"


def comma_separated(store, variants):
    """A line for each figure that was measured, and one for each ratio."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["kind", "cell", "metric", "variant", "baseline", "pair", "value", "low", "high", "noisy"]
    )
    for s in store.samples:
        for key, value in s["figures"].items():
            writer.writerow(["sample", s["cell"], key, s["variant"], "", s["pair"], value, "", "", ""])
    for cell in store.cells():
        for metric in metrics.METRICS:
            for subject, base, ratio in ratios(store, cell, metric.key, variants):
                if ratio is not None:
                    writer.writerow(
                        ["ratio", cell, metric.key, subject, base, "", ratio.median, ratio.low,
                         ratio.high, int(ratio.noisy)]
                    )
    return out.getvalue()
