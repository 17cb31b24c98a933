#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Where the time of an I/O goes: what wakes whom on which processor, and
what becomes of that when threads are kept on one processor."""

import argparse
import pathlib
import re
import statistics
import sys
import time

from benchlib import HERE, cells, loadgen, measure, session, timeline
from benchlib.variants import TITLES, VARIANTS
from vmlib import archive, console, runner  # benchlib says where that is

ONE = cells.Cell("read", "4k", 1)
BUSY = cells.Cell("read", "4k", 32)

# (what it is called, where the kernel's threads are, where the caller is);
# what has been moved stays there.
ANYWHERE = "all"
PLACEMENTS = (
    ("by the scheduler", None, ANYWHERE),
    ("kernel on CPU 0", "0", ANYWHERE),
    ("kernel on CPU 0, caller too", "0", "0"),
    ("kernel on CPU 0, caller on 1", "0", "1"),
)
# The ones whose I/Os are traced.
TRACED = ("by the scheduler", "kernel on CPU 0, caller too", "kernel on CPU 0, caller on 1")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--variants", default="c c-delack0 rust")
    parser.add_argument("--runs", type=int, default=3, help="of each placement")
    parser.add_argument("--seconds", type=int, default=3, help="of a run")
    return parser.parse_args()


def run(guest, cpus, cell, seconds):
    return loadgen.parse(guest.do(f"steps_load {cpus} {cell.load} -d {seconds}", 60 + seconds))


def line(title, results):
    """The medians of some runs."""
    middle = {k: statistics.median(r[k] for r in results) for k in ("iops", "p50us", "p99us")}
    span = f"{min(r['iops'] for r in results):,.0f}..{max(r['iops'] for r in results):,.0f}"
    return (
        f"  {title:30}{middle['iops']:8,.0f}  {span:16}"
        f"{middle['p50us']:8,.0f}{middle['p99us']:8,.0f}"
    )


def busy(results, cpus):
    """How much of the processors' time some runs took."""
    return statistics.median(r["cpu"] / r["seconds"] / cpus for r in results)


def traced(guest, placement, cpus):
    name = re.sub(r"\W+", "-", placement)
    try:
        guest.do(f"steps_trace {name} {cpus} {ONE.load} -d 15", 120)
    except console.GuestError as error:
        return None, f"  no trace: {error}"
    return name, None


def told(trace):
    """The report of a trace that was written to two files."""
    try:
        names = timeline.threads(trace.with_suffix(".threads").read_text())
        return timeline.report(timeline.parse(trace.with_suffix(".events").read_text(), names))
    except (timeline.BadTrace, OSError) as error:
        return [f"  no trace: {error}"]


def boot(bench, name, args):
    """The report of one boot."""
    folder = bench.work / f"steps-{name}"
    lines = [f"{TITLES[name]}"]
    traces = []
    with bench.boot(folder.name, VARIANTS[name]) as guest:
        guest.do(". /tmp/t/t/steps.sh")
        guest.do(f"bench_connect {ONE.connection}", 120)
        guest.do(f"bench_load {measure.WARM_UP}")
        loads = [run(guest, ANYWHERE, BUSY, args.seconds) for _ in range(args.runs)]
        lines.append(
            f"  {BUSY.name}: {statistics.median(r['iops'] for r in loads):,.0f} IOPS, processors "
            f"{busy(loads, bench.options.cpus):.0%} busy"
        )
        lines.append(f"  {ONE.name:30}{'IOPS':>8}  {'range':16}{'p50 us':>8}{'p99 us':>8}")
        for title, kernel, caller in PLACEMENTS if bench.options.cpus > 1 else PLACEMENTS[:1]:
            if kernel is not None:
                guest.do(f"steps_bind_kernel {kernel}", 120)
            lines.append(
                line(title, [run(guest, caller, ONE, args.seconds) for _ in range(args.runs)])
            )
            if title in TRACED:
                traces.append((title, *traced(guest, title, caller)))
        guest.do("bench_disconnect", 120)
        guest.do("bench_deliver")
    archive.read(folder / "results.img", folder)
    for title, trace, failure in traces:
        lines.append(f"  One at a time, threads placed {title}:")
        lines += told(folder / trace) if failure is None else [failure]
    return lines


def main():
    args = arguments()
    runner.leave_on_signals()
    args.output.mkdir(parents=True, exist_ok=True)
    extra = [HERE / "guest" / "steps.sh", HERE / "guest" / "timeline.d"]
    try:
        bench = session.Bench(work=args.output, scripts=extra)
    except session.Unavailable as missing:
        print(f"bench-steps: skipped, {missing}")
        return 0
    parts = []
    failed = False
    for name in args.variants.split():
        start = time.monotonic()
        try:
            lines = boot(bench, name, args)
        except Exception as error:  # a boot that fails is a result too
            lines = [TITLES[name], f"  failed: {error}"]
            failed = True
        parts.append("\n".join(lines) + "\n")
        print(f"# {name}: {time.monotonic() - start:.0f} s", flush=True)
    report = "\n".join(parts)
    (args.output / "steps.txt").write_text(report)
    print(report)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
