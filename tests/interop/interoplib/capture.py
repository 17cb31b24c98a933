# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What Wireshark's NVMe/TCP dissector says of a connection's bytes."""

import collections
import os
import subprocess

from . import packages
from .report import Failure

ICREQ, ICRESP, H2C_TERM, C2H_TERM, CMD, RESP, H2C_DATA, C2H_DATA, R2T = (0, 1, 2, 3, 4, 5, 6, 7, 9)
NAMES = {ICREQ: "ICReq", ICRESP: "ICResp", CMD: "CapsuleCmd", RESP: "CapsuleResp",
         H2C_DATA: "H2CData", C2H_DATA: "C2HData", R2T: "R2T"}
WITHOUT_DIGESTS = (ICREQ, ICRESP, H2C_TERM, C2H_TERM)
FIELDS = ("frame.number", "tcp.len", "tcp.analysis.retransmission", "nvme-tcp.type",
          "nvme-tcp.plen", "nvme-tcp.hdgst.status", "nvme-tcp.ddgst.status", "_ws.malformed",
          "_ws.expert.severity")
DIGEST_GOOD = "1"
# Of expert information: what Wireshark shows in red.
ERROR = 0x00800000


def tshark(cache):
    """The command, which runs from where it was unpacked, whatever the machine has."""
    root = packages.ensure("tools", cache)
    loader = next(p for p in root.rglob("ld-linux-x86-64.so.2") if not p.is_symlink())
    folders = [root / f for f in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")]
    path = ":".join(map(str, folders))
    env = dict(os.environ, WIRESHARK_DATA_DIR=str(root / "usr/share/wireshark"))
    return [str(loader), "--library-path", path, str(root / "usr/bin/tshark")], env


def dissect(cache, pcap, port, seconds=300):
    """One list of fields for each frame."""
    argv, env = tshark(cache)
    argv += ["-r", str(pcap), "-d", f"tcp.port=={port},nvme-tcp"]
    argv += ["-o", "nvme-tcp.check_hdgst:TRUE", "-o", "nvme-tcp.check_ddgst:TRUE"]
    argv += ["-T", "fields", "-E", "separator=|", "-E", "aggregator=,"]
    for field in FIELDS:
        argv += ["-e", field]
    done = subprocess.run(
        argv, env=env, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode != 0:
        raise Failure(f"tshark: {done.stderr.strip()[-200:]}")
    return [dict(zip(FIELDS, line.split("|"))) for line in done.stdout.splitlines()]


def numbers(text):
    return [int(n, 0) for n in text.split(",") if n]


def judge(frames, header, data):
    """Checks a whole capture; a summary of it."""
    kinds = collections.Counter()
    sent = dissected = hdgsts = ddgsts = 0
    for f in frames:
        where = f"frame {f['frame.number']}"
        if f["_ws.malformed"]:
            raise Failure(f"{where} is malformed")
        if any(n >= ERROR for n in numbers(f["_ws.expert.severity"])):
            raise Failure(f"{where} is in error")
        if not f["tcp.analysis.retransmission"]:
            sent += sum(numbers(f["tcp.len"]))
        kinds.update(numbers(f["nvme-tcp.type"]))
        dissected += sum(numbers(f["nvme-tcp.plen"]))
        for field in ("nvme-tcp.hdgst.status", "nvme-tcp.ddgst.status"):
            if set(f[field].split(",")) - {"", DIGEST_GOOD}:
                raise Failure(f"{where}: {field} is {f[field]}")
        hdgsts += len(numbers(f["nvme-tcp.hdgst.status"]))
        ddgsts += len(numbers(f["nvme-tcp.ddgst.status"]))
    missing = [name for kind, name in NAMES.items() if not kinds[kind]]
    if missing:
        raise Failure(f"no {', '.join(missing)} in the capture")
    if kinds[H2C_TERM] or kinds[C2H_TERM]:
        raise Failure("a Terminate Connection Request is in the capture")
    if sent != dissected:
        raise Failure(f"of {sent} bytes, {dissected} are in PDUs that the dissector knows")
    expected = sum(n for kind, n in kinds.items() if kind not in WITHOUT_DIGESTS)
    if hdgsts != (expected if header else 0):
        raise Failure(f"{hdgsts} header digests in {expected} PDUs")
    least = kinds[H2C_DATA] + kinds[C2H_DATA]
    if (ddgsts < least) if data else ddgsts:
        raise Failure(f"{ddgsts} data digests in {least} data PDUs")
    return f"{sum(kinds.values())} PDUs, {sent >> 20} MiB, {hdgsts + ddgsts} digests"
