# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Our modules in a FreeBSD kernel, as host and as controller of Linux."""

from . import ours
from .guest import GATEWAY, NQN
from .linuxhost import DIGEST_OPTIONS, LinuxHost
from .report import Failure

FIO = {
    "randrw 4k QD16": "--rw=randrw --bs=4k --iodepth=16 --size=2M",
    "1 MiB writes (R2T)": "--rw=write --bs=1M --iodepth=2 --size=8M",
}


class FreeBSDToLinux:
    """nvmecontrol and our host on the Linux controller at a port of the machine."""

    ROLE = "freebsd host"

    def __init__(self, bsd, _linux, port):
        self.bsd = bsd
        self.address = f"{GATEWAY}:{port}"

    def run(self, out, digests):
        with out.case(self.ROLE, "-", "discovery"):
            if NQN not in self.bsd.check(f"nvmecontrol discover {self.address}"):
                raise Failure("the subsystem is not in the log")
        for name in digests:
            self.transfers(out, name)

    def transfers(self, out, digests):
        with out.case(self.ROLE, digests, "connect"):
            self.bsd.check(f"bounded 60 nvmecontrol connect {DIGEST_OPTIONS[digests]} "
                           f"{self.address} {NQN} && until_true have_disks 2")
            if "Linux" not in self.bsd.check("nvmecontrol identify nvme0"):
                raise Failure("another controller")
        if out.ok(self.ROLE, digests):
            with out.case(self.ROLE, digests, "data, both disks"):
                for nsid in (1, 2):
                    self.bsd.check(f"bounded 240 $T/loadgen -f /dev/$(disk_of {nsid}) -s 21 "
                                   "-t 2 -b 1m -M 64k", 250)
            with out.case(self.ROLE, digests, "1 MiB writes (R2T)"):
                self.bsd.check("bounded 240 $T/loadgen -f /dev/nvme0n1 -s 22 -t 1 -b 4m -M 1m", 250)
        with out.case(self.ROLE, digests, "disconnect"):
            self.bsd.check("bounded 60 nvmecontrol disconnect nvme0 && until_true host_gone")


class LinuxToFreeBSD:
    """nvme-cli on our controller, which the base system's nvmfd serves."""

    ROLE = "freebsd target"

    def __init__(self, bsd, linux, port):
        self.bsd = bsd
        self.host = LinuxHost(linux, port)

    def run(self, out, digests):
        with out.case(self.ROLE, "-", "start"):
            self.bsd.check(f"NQN={ours.NQN}; lun 0 ramdisk 32m 512 && lun 1 block 32m 4096 && "
                           "start_nvmfd -g -G")
        if out.ok(self.ROLE, "-"):
            for name in digests:
                self.transfers(out, name)
        with out.case(self.ROLE, "-", "stop"):
            self.bsd.check("stop_nvmfd && remove_lun ramdisk 0 && remove_lun block 1")

    def transfers(self, out, digests):
        with out.case(self.ROLE, digests, "connect") as case:
            case.detail = f"{self.host.connect(digests, '-k 10')} I/O queues"
        if out.ok(self.ROLE, digests):
            for name, job in FIO.items():
                with out.case(self.ROLE, digests, name) as case:
                    case.detail = self.host.fio(1, job)
            with out.case(self.ROLE, digests, "4096-byte blocks") as case:
                case.detail = self.host.fio(2, FIO["randrw 4k QD16"])
        with out.case(self.ROLE, digests, "disconnect"):
            self.host.disconnect()
            self.bsd.check("until_true no_association")
