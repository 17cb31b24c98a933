# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""One boot of a Linux guest that is host and controller over loopback."""

import os
import pathlib
import shutil

from interoplib import cpio, guest, packages, settings

from . import cells, loadgen, measure, metrics
from .session import Unavailable, cpu_seconds

HOST = "3f6c1b10-6d6e-4b8f-9a40-111213141516"
DISK = "/dev/nvme0n1"
MIB = 64
CPUS = 2
MEMORY = 1024


def prepare(env, work):
    """What boots; the load generator is added to the first root."""
    program = pathlib.Path(env.get("BENCH_LINUX_LOADGEN") or "build/bench/loadgen-linux")
    if not program.exists():
        raise Unavailable(f"no {program}: make -C tests/bench linux-loadgen")
    if shutil.which("apt-get") is None:
        raise Unavailable("Linux rows need apt-get, to download a kernel")
    try:
        ready = settings.prepare({**os.environ, **env}, with_fio=False, work=work / "linux")
    except packages.Unavailable as missing:
        raise Unavailable(str(missing)) from None
    with ready.initrd.open("ab") as out:  # archives follow each other
        archive = cpio.Archive(out)
        archive.file("sbin/loadgen", program.read_bytes(), 0o755)
        archive.close()
    return ready


def segments(snmp):
    """TCP segments that were sent, of /proc/net/snmp."""
    names, values = (line.split() for line in snmp.splitlines() if line.startswith("Tcp:"))
    return int(dict(zip(names, values))["OutSegs"])


def run(running, cell, seconds):
    before = segments(running.check("cat /proc/net/snmp"))
    began = cpu_seconds(running.process.pid)
    output = running.check(f"loadgen -f {DISK} {cell.load} -d {seconds} -b 0", 60 + seconds)
    ended = cpu_seconds(running.process.pid)
    after = segments(running.check("cat /proc/net/snmp"))
    result = loadgen.parse(output)
    figures = metrics.of_cell(result, None if began is None else ended - began, 0)
    figures["segments"] = (after - before) / result["ios"]
    return figures


def boot(ready, name, chosen, seconds):
    """Yields (cell, figures)."""
    running = guest.Guest(ready, name, memory=MEMORY, cpus=CPUS)
    try:
        running.check(f"sh /interop/target {guest.NQN} 1 {MIB}")
        for connection, group in cells.by_connection(chosen):
            running.check(
                f"nvme connect -t tcp -a 127.0.0.1 -s 4420 -n {guest.NQN} {connection} "
                f"-I {HOST} -q nqn.2014-08.org.nvmexpress:uuid:{HOST}",
                60,
            )
            running.wait(f"test -b {DISK}", 30)
            running.check(f"loadgen -f {DISK} {measure.WARM_UP}", 60)
            for cell in group:
                yield cell.name, run(running, cell, seconds)
            running.check("nvme disconnect-all", 60)
        bad = running.complaints()
        if bad:
            raise guest.GuestError(bad[0])
    finally:
        running.stop()
