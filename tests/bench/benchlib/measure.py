# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""One boot of a FreeBSD guest: every cell in turn."""

import re
import statistics

from vmlib import archive

from . import cells, loadgen, metrics

WARM_UP = "-o read -t 4 -m 4096 -M 4096 -d 1 -b 0"
CONNECTS = 5
NAMESPACES = 1024
FEW_QUEUES, MANY_QUEUES = 1, 33
QUEUE_SIZE = 128


def scan_time(output):
    """Seconds between the two times of a line "SCAN from to"."""
    match = re.search(r"^SCAN (\S+) (\S+)$", output, re.M)
    if match is None:
        raise loadgen.BadLine(f"no time in {output.strip()!r}")
    return float(match[2]) - float(match[1])


def loads(guest, chosen, seconds):
    """(cell, loadgen's numbers, QEMU's seconds, idle switches a second)."""
    for connection, group in cells.by_connection(chosen):
        guest.do(f"bench_connect {connection}", 120)
        guest.do(f"bench_load {WARM_UP}", 60)
        idle = int(re.search(r"IDLE (\d+)", guest.do("bench_idle"))[1])
        for cell in group:
            output, emulator = guest.timed(
                f"bench_cell {cell.name} {cell.load} -d {seconds} -b 0", 60 + seconds
            )
            yield cell, loadgen.parse(output), emulator, idle
        guest.do("bench_disconnect", 120)


def connect_times(guest):
    for _ in range(CONNECTS):
        yield scan_time(guest.do("bench_scan 1 -i 1", 120))
        guest.do("bench_scan_end", 120)


def memory(guest):
    for queues in (FEW_QUEUES, MANY_QUEUES):
        guest.do(f"bench_connect -i {queues} -Q {QUEUE_SIZE}", 120)
        guest.do(f"bench_snap queues{queues}")
        guest.do("bench_disconnect", 120)


def scan(guest):
    guest.do(f"bench_namespaces {NAMESPACES}", 240)
    seconds = scan_time(guest.do(f"bench_scan {NAMESPACES} -i 1", 300))
    guest.do("bench_scan_end", 300)
    return seconds


def everything(guest, chosen, extras, seconds, runs, finished):
    """Adds to runs what loads() gives, to finished (name, figures)."""
    for run in loads(guest, chosen, seconds):
        runs.append(run)
    if "connect" in extras:
        finished.append(("connect", {"seconds": statistics.median(connect_times(guest))}))
    if "memory" in extras:
        memory(guest)
    if "scan" in extras:
        finished.append((f"scan-{NAMESPACES}", {"seconds": scan(guest)}))


def boot(bench, name, variant, chosen, extras, seconds):
    """Yields (cell, figures) of all that could be measured; what ended it early
    is raised when that has been given."""
    folder = bench.work / name
    runs = []
    finished = []
    failures = []
    try:
        with bench.boot(name, variant) as guest:
            try:
                everything(guest, chosen, extras, seconds, runs, finished)
            except Exception as error:  # the guest may still have something to deliver
                failures.append(error)
            guest.do("bench_deliver")
    except Exception as error:
        failures.append(error)
    archive.read(folder / "results.img", folder)
    snaps = folder / "snap"
    for cell, result, emulator, idle in runs:
        figures = metrics.of_cell(result, emulator, idle)
        if (snaps / f"{cell.name}.after.tcp").exists():
            before, after = (
                metrics.Snapshot.read(snaps, f"{cell.name}.{when}") for when in ("before", "after")
            )
            figures |= metrics.of_snapshots(result["ios"], before, after)
        yield cell.name, figures
    if (snaps / f"queues{MANY_QUEUES}.tcp").exists():
        few, many = (
            metrics.Snapshot.read(snaps, f"queues{n}") for n in (FEW_QUEUES, MANY_QUEUES)
        )
        yield "memory", metrics.of_memory(few, many, MANY_QUEUES - FEW_QUEUES)
    yield from finished
    if failures:
        raise failures[0]
