#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Our modules and a stock Linux kernel as the ends of NVMe/TCP connections.

  interop.py --binaries DIR [--role linux-host|linux-target] [--digests LIST]

One line for each case; status 0 only if all of them passed.  Without QEMU or
packages it says that it was skipped.
"""

import argparse
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

from interoplib import capture, guest, packages, report, settings
from interoplib.linux_to_ours import LinuxToOurs
from interoplib.ours_to_linux import OursToLinux

DIGESTS = ("none", "header", "data", "both")
ROLES = {"linux-host": LinuxToOurs, "linux-target": OursToLinux}
EXPECTED = (report.Failure, guest.GuestError, packages.Unavailable, OSError,
            subprocess.SubprocessError)


class OutOfTime(Exception):
    """The whole run takes too long."""


class Captures:
    """Judges captures; they are not kept unless something is wrong."""

    def __init__(self, cache, out):
        self.cache = cache
        self.out = out

    def judge(self, role, digests, pcap, port):
        if not self.out.ok(role, digests):
            return
        with self.out.case(role, digests, "capture") as case:
            frames = capture.dissect(self.cache, pcap, port)
            case.detail = capture.judge(
                frames, digests in ("header", "both"), digests in ("data", "both"))
            pcap.unlink()


def digest_list(text):
    names = text.split(",")
    for name in names:
        if name not in DIGESTS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(DIGESTS)}")
    return names


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binaries", type=pathlib.Path, required=True,
                        help="the folder with demo and hostctl")
    parser.add_argument("--role", choices=ROLES, action="append")
    parser.add_argument("--digests", type=digest_list, default=DIGESTS,
                        help=f"of these: {','.join(DIGESTS)}")
    parser.add_argument("--quick", action="store_true", help="no restarts and freezes")
    parser.add_argument("--limit", type=int, default=1200, help="seconds for everything")
    parser.add_argument("--junit", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, help="keep logs and captures here")
    return parser.parse_args()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def out_of_time(*_):
    raise OutOfTime("out of time")


def main():
    args = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: sys.exit(128 + n))
    try:
        found = settings.prepare(work=args.work)
        packages.ensure("tools", found.cache)
    except packages.Unavailable as reason:
        print(f"interop: skipped, {reason}")
        return 0
    found.binaries = args.binaries
    print(f"interop: Linux {found.version}, {found.accel}, logs in {found.work}", flush=True)
    out = report.Report(EXPECTED)
    captures = Captures(found.cache, out)
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(args.limit)
    begin = time.monotonic()
    try:
        for role in args.role or ROLES:
            ROLES[role](found, out, captures, free_port()).run(args.digests, args.quick)
    except OutOfTime:
        out.add(report.Row("-", "-", "time limit", time.monotonic() - begin,
                           f"not done within {args.limit} s"))
    signal.alarm(0)
    if args.junit:
        out.junit(args.junit)
    status = out.close()
    if status == 0 and not args.work:
        shutil.rmtree(found.work, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
