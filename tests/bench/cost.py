#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Count the instructions of an I/O in a guest, by function.

  cost.py --plugin count.so --output DIR [--variants "c rust"] [--cells GLOBS]
  cost.py --diff OLD NEW
  cost.py --shorten REPORT
"""

import argparse
import collections
import pathlib
import sys
import time

from benchlib import cells, costreport, counts, elf, loadgen, session
from benchlib.variants import VARIANTS
from vmlib import archive, runner  # benchlib says where that is

# I/Os of one window: enough that a window lasts about a second.
IOS = {"4k": 4096, "128k": 1024, "1m": 256}

# The share of the total below which the report that is kept leaves a function out.
SHORT = 0.001


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--diff", nargs=2, type=pathlib.Path, metavar=("OLD", "NEW"))
    parser.add_argument("--least", type=float, default=0.5, help="per cent that --diff shows")
    parser.add_argument("--shorten", type=pathlib.Path, metavar="REPORT")
    parser.add_argument("--plugin", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--variants", default="c rust")
    parser.add_argument("--cells", default="", help="globs of names; default: the cost set")
    parser.add_argument("--windows", type=int, default=3, help="of each cell in a boot")
    parser.add_argument("--boots", type=int, default=1, help="of each variant")
    return parser.parse_args()


def symbols(kernel, listing, files):
    """Every function of the kernel and the modules that a guest loaded."""
    table = elf.Table()
    table.add(elf.Elf(kernel.read_bytes()), "kernel")
    for line in listing.splitlines():
        if line.startswith("FILE ") and not line.startswith("FILE kernel "):
            _, name, address = line.split()
            table.add(elf.Elf((files / name).read_bytes()), name, int(address, 16))
    table.close()
    return table


def measure(bench, folder, variant, chosen, windows):
    """Of one boot: {cell: [(functions, I/Os) of each window]}."""
    written = 0
    raw = []
    with bench.boot(folder.name, variant) as guest:
        listing = guest.do("bench_files")
        for connection, group in cells.by_connection(chosen):
            guest.do(f"bench_connect {connection}", 120)
            for cell in group:
                amount = IOS[cell.size] * cell.bytes
                results = [
                    loadgen.parse(guest.do(f"bench_load {cell.load} -b {amount} -s {seed}", 300))
                    for seed in range(windows + 1)
                ]
                # The first one warms up; loadgen marks it all the same.
                ios = [r["ios"] for r in results[1:]]
                raw.append((cell, ios, range(written + 1, written + windows + 1)))
                written += windows + 1
                print(f"# {folder.name} {cell.name}: {ios[0]:.0f} I/Os a window", flush=True)
            guest.do("bench_disconnect", 120)
    archive.read(folder / "results.img", folder)
    table = symbols(bench.inputs.kernel, listing, folder / "files")
    return {
        cell: [
            (counts.by_function((folder / f"window-{n}").read_text(), table), count)
            for n, count in zip(numbers, ios)
        ]
        for cell, ios, numbers in raw
    }


def boots(args, chosen):
    """Every window: {(cell, variant name): [(functions, I/Os)]}."""
    found = collections.defaultdict(list)
    for boot in range(args.boots):
        for name in args.variants.split():
            start = time.monotonic()
            folder = args.output / f"cost-{name}-{boot}"
            folder.mkdir(parents=True, exist_ok=True)
            plugin = ["-plugin", f"{args.plugin.resolve()},out={folder.resolve()}"]
            bench = session.Bench(work=args.output, extra=plugin)
            if bench.inputs.kernel is None:
                raise session.Unavailable("no kernel file (VM_KERNEL) to read the symbols of")
            if bench.options.accelerated:
                raise session.Unavailable("only an emulator counts instructions: VM_ACCEL=tcg")
            for cell, windows in measure(bench, folder, VARIANTS[name], chosen, args.windows).items():
                found[cell, name] += windows
            print(f"# {folder.name}: {time.monotonic() - start:.0f} s", flush=True)
    return found


def count(args):
    chosen = cells.choose("cost", args.cells)
    if not chosen:
        sys.exit(f"bench: no cell matches {args.cells!r}")
    found = boots(args, chosen)
    parts = [
        costreport.Part.of(cell.name, name, *zip(*found[cell, name]))
        for cell in chosen
        for name in args.variants.split()
    ]
    (args.output / "cost.txt").write_text(costreport.text(parts))
    print(costreport.comparison(parts))
    print(f"Functions: {args.output / 'cost.txt'}")


def main():
    args = arguments()
    if args.diff:
        old, new = (costreport.parse(p.read_text()) for p in args.diff)
        print(costreport.diff(old, new, args.least), end="")
        return 0
    if args.shorten:
        print(costreport.text(costreport.parse(args.shorten.read_text()), SHORT), end="")
        return 0
    runner.leave_on_signals()
    try:
        count(args)
    except session.Unavailable as missing:
        print(f"bench-cost: skipped, {missing}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
