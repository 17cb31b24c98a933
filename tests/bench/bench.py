#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Measure our modules and the base system's in turn, boot by boot."""

import argparse
import os
import pathlib
import sys
import time

from benchlib import HERE, cells, costreport, linux, measure, plot, samples, session, table
from benchlib.variants import TITLES, VARIANTS
from vmlib import runner  # benchlib says where that is

# What else a set measures: the time to connect, the memory of a queue pair,
# the time to scan many namespaces.
EXTRAS = {"floors": ("connect", "memory"), "full": ("connect", "memory", "scan")}

LINUX = "linux"


def arguments(env):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--pairs", type=int, default=int(env.get("BENCH_PAIRS") or 5))
    parser.add_argument("--seconds", type=int, default=int(env.get("BENCH_SECONDS") or 3))
    parser.add_argument("--set", default=env.get("BENCH_SET") or "full", choices=cells.SETS)
    parser.add_argument("--cells", default=env.get("BENCH_CELLS"), help="globs of names, for the set's")
    parser.add_argument("--extras", default=env.get("BENCH_EXTRAS"), help="connect, memory, scan")
    parser.add_argument("--variants", default=env.get("BENCH_VARIANTS") or "c c-delack0 rust")
    parser.add_argument("--boots", type=int, help="stop after so many; the next run goes on")
    parser.add_argument("--report", action="store_true", help="only write the results again")
    args = parser.parse_args()
    if env.get("BENCH_LINUX") and LINUX not in args.variants.split():
        args.variants += f" {LINUX}"
    return args


def boots(env, args, bench, chosen, extras):
    """A function that boots a variant by name and gives what it measures."""
    ready = linux.prepare(env, args.output) if LINUX in args.variants.split() else None

    def boot(name, variant):
        if variant == LINUX:
            return linux.boot(ready, name, chosen, args.seconds)
        return measure.boot(bench, name, VARIANTS[variant], chosen, extras, args.seconds)

    return boot


def run(boot, store, args):
    """The boots that are missing, A B A B ..."""
    todo = [
        (pair, name)
        for pair in range(1, args.pairs + 1)
        for name in args.variants.split()
        if not store.done(pair, name)
    ]
    todo, later = (todo[: args.boots], todo[args.boots :]) if args.boots else (todo, [])
    for number, (pair, name) in enumerate(todo, 1):
        start = time.monotonic()
        failure = None
        try:
            for cell, figures in boot(f"{pair}-{name}", name):
                store.sample(pair, name, cell, figures)
        except Exception as error:  # a boot that fails is a result too
            failure = f"{type(error).__name__}: {error}".splitlines()[0]
        took = time.monotonic() - start
        store.boot(pair, name, failure, round(took, 1))
        left = sum(store.expected(other) for _, other in todo[number:])
        print(
            f"# pair {pair} {name}: {took:.0f} s, {left / 60:.0f} min to go", failure or "", flush=True
        )
    return len(later)


def write(store, args, bench):
    order = [v for v in TITLES if any(s["variant"] == v for s in store.samples)]
    if not order:
        return
    how = "KVM" if bench.options.accelerated else "TCG"
    heading = (
        f"NVMe/TCP over loopback, host and controller in one guest: {how}, "
        f"{bench.options.cpus} CPUs, {args.seconds} s a cell"
    )
    cost = next(filter(pathlib.Path.exists, (args.output / "cost.txt", HERE / "cost.txt")), None)
    counted = costreport.summary(cost.read_text()) if cost else {}
    report = table.text(store, order, TITLES, heading, counted)
    (args.output / "bench.txt").write_text(report)
    (args.output / "bench.csv").write_text(table.comma_separated(store, order))
    (args.output / "bench.svg").write_text(plot.svg(store, order, heading))
    print(report)
    print(f"{args.output}/bench.txt, bench.csv, bench.svg; every sample in samples.jsonl")


def main():
    args = arguments(os.environ)
    runner.leave_on_signals()
    chosen = cells.choose(args.set, args.cells)
    extras = args.extras.split() if args.extras is not None else EXTRAS.get(args.set, ())
    if args.cells and args.extras is None:
        extras = ()
    if not chosen and not extras:
        sys.exit(f"bench: no cell matches {args.cells!r}")
    args.output.mkdir(parents=True, exist_ok=True)
    try:
        bench = session.Bench(work=args.output)
    except session.Unavailable as missing:
        print(f"bench: skipped, {missing}")
        return 0
    build = samples.fingerprint(
        [*bench.modules, bench.inputs.kernel or bench.inputs.root],
        seconds=args.seconds,
        cells=[c.name for c in chosen],
        extras=list(extras),
        cpus=bench.options.cpus,
        memory=bench.options.memory,
        accelerated=bench.options.accelerated,
    )
    try:
        store = samples.Store(args.output / "samples.jsonl", build)
    except samples.OtherBuild as error:
        sys.exit(f"bench: {error}; remove it or name another output")
    left = 0
    if not args.report:
        try:
            left = run(boots(os.environ, args, bench, chosen, extras), store, args)
        except session.Unavailable as missing:
            sys.exit(f"bench: {missing}")
    write(store, args, bench)
    if left:
        print(f"{left} boots are still to do")
    return 1 if store.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
