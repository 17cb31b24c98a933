# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The figures of a run: what they are called and how they follow from what
was read in the guest."""

import dataclasses
import json

# Allocations of these types are the modules' own, C or Rust.
OURS = ("nvmf", "nvmft", "nvmf_tcp", "nvmf_xport", "nvmf_transport")

# Zones of which a queue pair can hold items; other allocations from zones are
# malloc(9)'s, counted there, or have nothing to do with it.
QUEUE_ZONES = ("kstack", "THREAD", "SLEEPQUEUE", "TURNSTILE", "socket", "tcp", "inp", "mbuf", "KNOTE")


@dataclasses.dataclass(frozen=True)
class Metric:
    key: str
    title: str
    digits: int


METRICS = (
    Metric("iops", "IOPS", 0),
    Metric("mbps", "MB/s", 1),
    Metric("p50", "p50 latency, us", 0),
    Metric("p99", "p99 latency, us", 0),
    Metric("cpu", "CPU s per 1000 I/Os", 3),
    Metric("emulator", "QEMU CPU s per 1000 I/Os", 3),
    Metric("switches", "context switches per I/O", 2),
    Metric("switches_net", "  less those when idle", 2),
    Metric("segments", "TCP segments per I/O", 2),
    Metric("mallocs", "mallocs per I/O, all types", 3),
    Metric("mallocs_own", "  of the modules' types", 3),
    Metric("seconds", "seconds", 3),
    Metric("kib", "KiB per queue pair", 1),
    Metric("malloc_kib", "  from malloc", 1),
    Metric("own_kib", "    of the modules' types", 1),
    Metric("zone_kib", "  from zones", 1),
)


def throughput(cell):
    """The metric that says how fast a cell is."""
    return "iops" if "-4k-" in cell else "mbps"


class BadSnapshot(Exception):
    """Not what the guest's tools print."""


class Snapshot:
    """What vmstat and netstat said at one moment."""

    def __init__(self, malloc, zone, tcp):
        try:
            self.types = {
                t["type"]: t for t in json.loads(malloc)["vmstat"]["malloc-statistics"]["memory"]
            }
            self.zones = {}
            zones = json.loads(zone)["vmstat"]["memory-zone-statistics"]["zone"]
            for z in zones:  # a name can be there twice
                self.zones[z["name"]] = self.zones.get(z["name"], 0) + z["used"] * z["size"]
            self.segments = json.loads(tcp)["statistics"]["tcp"]["sent-packets"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadSnapshot(str(error)) from None

    @classmethod
    def read(cls, folder, name):
        return cls(*((folder / f"{name}.{kind}").read_text() for kind in ("malloc", "zone", "tcp")))

    def requests(self, types=None):
        return sum(t["requests"] for n, t in self.types.items() if types is None or n in types)

    def malloced(self, types=None):
        return sum(t["memory-use"] for n, t in self.types.items() if types is None or n in types)

    def zoned(self):
        return sum(size for name, size in self.zones.items() if name.startswith(QUEUE_ZONES))


def of_cell(result, emulator, idle_rate):
    """result: loadgen's; emulator: processor seconds of QEMU or None;
    idle_rate: context switches a second without load."""
    ios = result["ios"]
    found = {
        "iops": result["iops"],
        "mbps": result["MBps"],
        "p50": result["p50us"],
        "p99": result["p99us"],
        "cpu": result["cpu"] * 1000 / ios,
        "switches": result["switches"] / ios,
        "switches_net": max(0.0, result["switches"] - idle_rate * result["seconds"]) / ios,
    }
    if emulator is not None:
        found["emulator"] = emulator * 1000 / ios
    return found


def of_snapshots(ios, before, after):
    """What the system did for each I/O between two snapshots."""
    return {
        "segments": (after.segments - before.segments) / ios,
        "mallocs": (after.requests() - before.requests()) / ios,
        "mallocs_own": (after.requests(OURS) - before.requests(OURS)) / ios,
    }


def of_memory(few, many, queues):
    """Both ends' memory of one of the queue pairs that many has more."""
    kib = 1024 * queues
    malloced = (many.malloced() - few.malloced()) / kib
    zoned = (many.zoned() - few.zoned()) / kib
    return {
        "kib": malloced + zoned,
        "malloc_kib": malloced,
        "own_kib": (many.malloced(OURS) - few.malloced(OURS)) / kib,
        "zone_kib": zoned,
    }
