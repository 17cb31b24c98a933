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
import pathlib
import sys
import time

from benchlib import cells, costreport, counts, elf, loadgen, session
from benchlib.variants import VARIANTS
from vmlib import runner  # benchlib says where that is

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
    parser.add_argument("--windows", type=int, default=3)
    return parser.parse_args()


def symbols(bench, guest, variant):
    """Every function of the kernel and the modules that a guest loaded."""
    table = elf.Table()
    ours = {m.name: m for m in bench.modules}
    parts = variant.rust.split()
    rust = {f"{n}.ko" for p, n in session.MODULE_FILES.items() if p in parts}
    table.add(elf.Elf(bench.inputs.kernel.read_bytes()), "kernel")
    for line in guest.do("bench_files").splitlines():
        if not line.startswith("FILE "):
            continue
        _, name, address = line.split()
        path = ours[name] if name in rust else (bench.inputs.modules or pathlib.Path("/nowhere")) / name
        if name != "kernel" and path.exists():
            table.add(elf.Elf(path.read_bytes()), name, int(address, 16))
    table.close()
    return table


def measure(bench, folder, variant, chosen, windows):
    """The parts of one boot."""
    written = 0
    raw = []
    with bench.boot(folder.name, variant) as guest:
        table = symbols(bench, guest, variant)
        connection = None
        for cell in chosen:
            if cell.connection != connection:
                if connection is not None:
                    guest.do("bench_disconnect", 120)
                connection = cell.connection
                guest.do(f"bench_connect {connection}", 120)
            amount = IOS[cell.size] * cell.bytes
            ios = []
            for window in range(windows + 1):
                result = loadgen.parse(guest.do(f"bench_load {cell.load} -b {amount} -s {window}", 300))
                ios.append(result["ios"])
            # The first one warms up; loadgen marks it all the same.
            raw.append((cell, ios[1:], range(written + 1, written + windows + 1)))
            written += windows + 1
            print(f"# {variant.name} {cell.name}: {result['iops']:.0f} IOPS while counting", flush=True)
    for cell, ios, numbers in raw:
        found = [counts.by_function((folder / f"window-{n}").read_text(), table) for n in numbers]
        yield costreport.Part.of(cell.name, variant.name, found, ios)


def count(args):
    chosen = cells.choose("cost", args.cells)
    if not chosen:
        sys.exit(f"bench: no cell matches {args.cells!r}")
    # One connection after the other.
    chosen.sort(key=lambda c: c.connection)
    args.output.mkdir(parents=True, exist_ok=True)
    parts = []
    for name in args.variants.split():
        variant = VARIANTS[name]
        folder = args.output / f"cost-{name}"
        folder.mkdir(exist_ok=True)
        plugin = ["-plugin", f"{args.plugin.resolve()},out={folder.resolve()}"]
        start = time.monotonic()
        bench = session.Bench(work=args.output, extra=plugin)
        if bench.options.accelerated:
            sys.exit("bench: instructions are counted by the emulator: VM_ACCEL=tcg")
        parts += measure(bench, folder, variant, chosen, args.windows)
        print(f"# {name}: {time.monotonic() - start:.0f} s", flush=True)
        (args.output / "cost.txt").write_text(costreport.text(parts))
    parts.sort(key=lambda p: [c.name for c in chosen].index(p.cell))
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
