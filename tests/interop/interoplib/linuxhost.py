# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What an administrator does on the Linux guest when it is the host."""

import re

from .guest import GATEWAY
from .ours import NQN
from .report import Failure

HOSTID = "4e564d65-0000-4000-8000-6c696e757801"
DIGEST_OPTIONS = {"none": "", "header": "-g", "data": "-G", "both": "-g -G"}
SYSFS = f"$(dirname $(grep -lx {NQN} /sys/class/nvme/*/subsysnqn))"


class LinuxHost:
    """Commands in a guest, towards our controller at a port of the machine."""

    def __init__(self, guest, port):
        self.guest = guest
        self.address = f"-t tcp -a {GATEWAY} -s {port}"
        guest.check(f"echo {HOSTID} >/etc/nvme/hostid; "
                    f"echo nqn.2014-08.org.nvmexpress:uuid:{HOSTID} >/etc/nvme/hostnqn")

    def discover(self, digests, extra=""):
        """The subsystems in the discovery log."""
        text = self.guest.check(
            f"nvme discover {self.address} {DIGEST_OPTIONS[digests]} {extra}"
        )
        return re.findall(r"^subnqn: +(\S+)", text, re.M)

    def connect(self, digests, extra=""):
        """Connects, and waits for both disks; the number of I/O queues."""
        mark = len(self.guest.check("dmesg"))
        self.guest.check(
            f"nvme connect {self.address} -n {NQN} {DIGEST_OPTIONS[digests]} {extra}"
        )
        for nsid in (1, 2):
            self.wait_disk(nsid, 20)
        found = re.search(r"creating (\d+) I/O queues", self.guest.check("dmesg")[mark:])
        return int(found.group(1)) if found else 0

    def disconnect(self):
        text = self.guest.check(f"nvme disconnect -n {NQN}")
        if "disconnected 1 controller" not in text:
            raise Failure(f"nvme disconnect: {text.strip()}")

    def let_go(self):
        """Whatever an earlier case left connected."""
        self.guest.run(f"nvme disconnect -n {NQN}")

    def wait_disk(self, nsid, seconds, there=True):
        """How long it took a disk to come, or to go."""
        test = "-b" if there else "-z"
        return self.guest.wait(f'test {test} "$(sh /interop/disk {NQN} {nsid})"', seconds)

    def disk(self, nsid):
        return self.guest.check(f"sh /interop/disk {NQN} {nsid}").strip()

    def controller(self):
        return "/dev/" + self.guest.check(f"basename {SYSFS}").strip()

    def wait_state(self, state, seconds):
        """How long it took the controller to get there."""
        return self.guest.wait(f"grep -qx {state} {SYSFS}/state", seconds)

    def fio(self, nsid, job, seconds=180, background=False):
        """A verifying run; what it says of its speed."""
        command = (f"fio --name=j --filename={self.disk(nsid)} {job} --ioengine=libaio --direct=1 "
                   "--thread --verify=crc32c --verify_fatal=1 --randrepeat=0 --minimal")
        if background:
            self.guest.check(f"({command} >/tmp/fio 2>&1; echo status $? >>/tmp/fio) &")
            return ""
        return speed(self.guest.check(command, seconds))

    def fio_result(self, seconds):
        """Waits for the run in the background."""
        self.guest.wait("grep -q ^status /tmp/fio", seconds)
        text = self.guest.check("cat /tmp/fio")
        if "\nstatus 0" not in "\n" + text:
            raise Failure(f"fio: {text.strip()[-300:]}")
        return speed(text)


def speed(text):
    """Of fio's line of fields: reads and writes a second."""
    line = next((t for t in text.splitlines() if t.count(";") > 60), None)
    if line is None:
        raise Failure(f"fio says nothing: {text.strip()[-200:]}")
    fields = line.split(";")
    if fields[4] != "0":
        raise Failure(f"fio: error {fields[4]}")
    return f"{fields[7]} read IOPS, {fields[48]} write IOPS"
