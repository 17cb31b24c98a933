#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Our modules in a FreeBSD guest and a stock Linux kernel in another.

  freebsd.py [--role freebsd-host|freebsd-target] [--digests LIST]

Each is the host of the other's controller.  The FreeBSD guest is that of
tests/vm: the VM_ variables say what it boots from.  One line for each case;
status 0 only if all of them passed.  Without a guest, QEMU or packages it says
that it was skipped.
"""

import argparse
import os
import pathlib
import shutil
import signal
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "vm"))

# pylint: disable=wrong-import-position
from interop import DIGESTS, EXPECTED, OutOfTime, digest_list, free_port, out_of_time
from interoplib import guest, packages, report, settings
from interoplib.freebsd_guest import FreeBSD, inputs_of
from interoplib.freebsd_linux import FreeBSDToLinux, LinuxToFreeBSD

ROLES = {"freebsd-host": FreeBSDToLinux, "freebsd-target": LinuxToFreeBSD}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--role", choices=ROLES, action="append")
    parser.add_argument("--digests", type=digest_list, default=DIGESTS,
                        help=f"of these: {','.join(DIGESTS)}")
    parser.add_argument("--modules", type=pathlib.Path, default=TOP / "build" / "kmods",
                        help="the folder with our .ko files (%(default)s)")
    parser.add_argument("--programs", type=pathlib.Path, default=TOP / "build" / "guest",
                        help="the folder with loadgen (%(default)s)")
    parser.add_argument("--limit", type=int, default=900, help="seconds for everything")
    parser.add_argument("--work", type=pathlib.Path, help="keep consoles here")
    return parser.parse_args()


def run(args, found, files, out):
    ports = dict(zip(ROLES, (free_port(), free_port())))
    peer = bsd = None
    try:
        with out.case("-", "-", "start"):
            # Both at once: they take their time.
            bsd = FreeBSD(files, found.work / "freebsd", args, ports["freebsd-target"])
            # Small disks: loadgen reads them as a whole.
            peer = guest.linux_target(found, "linux", ports["freebsd-host"], mib=16, memory=768)
            bsd.wait_up()
        if out.failed:
            return
        for name in args.role or ROLES:
            ROLES[name](bsd, peer, ports[name]).run(out, args.digests)
        with out.case("-", "-", "end"):
            bsd.end()
            bad = peer.complaints()
            if bad:
                raise report.Failure(f"Linux: {bad[0]}")
    finally:
        for machine in (peer, bsd):
            if machine:
                machine.stop()


def main():
    args = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: sys.exit(128 + n))
    try:
        files = inputs_of(os.environ, args)
        found = settings.prepare(work=args.work)
    except packages.Unavailable as reason:
        print(f"interop-freebsd: skipped, {reason}")
        return 0
    print(f"interop-freebsd: Linux {found.version}, logs in {found.work}", flush=True)
    out = report.Report(EXPECTED)
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(args.limit)
    try:
        run(args, found, files, out)
    except OutOfTime:
        out.add(report.Row("-", "-", "time limit", args.limit,
                           f"not done within {args.limit} s"))
    signal.alarm(0)
    status = out.close()
    if status == 0 and not args.work:
        shutil.rmtree(found.work, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
