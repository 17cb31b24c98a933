# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""A Linux host on our controller."""

from . import ours
from .guest import boot
from .linuxhost import LinuxHost
from .report import Failure

ROLE = "linux host"
KATO = 2
FIO = {
    "randrw 4k QD16": "--rw=randrw --bs=4k --iodepth=16 --size=8M",
    "sequential 128k QD4": "--rw=write --bs=128k --iodepth=4 --size=16M",
    "1 MiB writes (R2T)": "--rw=write --bs=1M --iodepth=2 --size=16M",
}


def expect(value, wanted, what):
    if value != wanted:
        raise Failure(f"{what}: {value!r} instead of {wanted!r}")


class LinuxToOurs:
    """All cases of this role; one guest and, while it is not killed, one controller."""

    def __init__(self, settings, report, captures, port):
        self.settings = settings
        self.report = report
        self.captures = captures
        self.port = port
        self.work = settings.work / "linux-to-ours"
        self.work.mkdir()
        self.controller = self.guest = None

    def run(self, digests, quick):
        try:
            with self.report.case(ROLE, "-", "start"):
                self.controller = self.start()
                self.guest = boot(self.settings, "linux-host", memory=640)
                self.host = LinuxHost(self.guest, self.port)
            if self.report.failed:
                return
            self.discovery(digests)
            for name in digests:
                self.transfers(name)
            self.namespaces_change()
            if not quick:
                self.controller_restarts()
                self.controller_freezes()
                self.host_freezes()
            with self.report.case(ROLE, "-", "end"):
                self.end()
        finally:
            if self.guest:
                self.guest.stop()
            if self.controller:
                self.controller.kill()

    def start(self):
        return ours.Controller(self.settings.binaries, self.work, self.port)

    def discovery(self, digests):
        for name in sorted({digests[0], digests[-1]}):
            with self.report.case(ROLE, name, "discovery") as case:
                expect(self.host.discover(name), [ours.NQN], "subsystems")
                # A persistent one stays for longer than its keep-alive timeout.
                self.host.discover(name, f"--persistent -k {KATO}")
                status, text = self.guest.run(
                    f"sleep {KATO + 2}; grep -l live /sys/class/nvme/*/state", KATO + 20)
                expect(status, 0, "persistent discovery controller")
                self.guest.check(f"nvme disconnect -d {text.strip().split('/')[-2]}")
                case.detail = "also persistent"

    def transfers(self, digests):
        pcap = self.work / f"{digests}.pcap"
        self.guest.start_capture(pcap)
        # With data digests, reads and writes have queues of their own.
        extra = "-W 1" if digests in ("data", "both") else ""
        with self.report.case(ROLE, digests, "connect") as case:
            queues = self.host.connect(digests, f"-k 5 {extra}")
            expect(queues, 2 if extra else 1, "I/O queues")
            case.detail = f"2 namespaces, {queues} I/O queues"
        if self.report.ok(ROLE, digests):
            for name, job in FIO.items():
                with self.report.case(ROLE, digests, name) as case:
                    case.detail = self.host.fio(1, job)
            with self.report.case(ROLE, digests, "passthrough"):
                disk = self.host.disk(2)
                self.guest.check(f"sh /interop/passthru {self.host.controller()} {disk} 2", 60)
            with self.report.case(ROLE, digests, "disconnect"):
                before = self.controller.associations()
                self.host.disconnect()
                self.controller.wait_for(": association terminated", 10,
                                         since=self.controller.text().rfind("associated with"))
                after = self.controller.associations()
                expect(after[1], before[1] + 1, "associations that ended")
        self.guest.stop_capture()
        self.captures.judge(ROLE, digests, pcap, self.port)

    def namespaces_change(self):
        with self.report.case(ROLE, "both", "namespace comes and goes") as case:
            self.host.let_go()
            self.host.connect("both", "-k 5")
            self.controller.toggle_lun()
            came = self.host.wait_disk(3, 10)
            self.host.fio(3, "--rw=write --bs=64k --iodepth=4 --size=1M")
            self.controller.toggle_lun()
            went = self.host.wait_disk(3, 10, there=False)
            case.detail = f"seen after {came:.1f} s and {went:.1f} s"
            self.host.disconnect()

    def controller_restarts(self):
        with self.report.case(ROLE, "both", "controller restarts under load") as case:
            self.host.let_go()
            self.host.connect("both", "-k 5 -c 1 -l 120")
            # The second namespace is in a file that outlives the controller.
            self.host.fio(2, "--rw=randrw --bs=4k --iodepth=16 --size=8M", background=True)
            self.guest.check("sleep 0.5")
            self.controller.kill()
            self.host.wait_state("connecting", 60)
            self.controller = self.start()
            took = self.host.wait_state("live", 90)
            case.detail = f"live again after {took:.1f} s; {self.host.fio_result(180)}"
            self.host.disconnect()

    def controller_freezes(self):
        with self.report.case(ROLE, "both", "controller freezes") as case:
            self.host.let_go()
            self.host.connect("both", f"-k {KATO} -c 1 -l 120")
            self.controller.freeze()
            noticed = self.host.wait_state("connecting", 60)
            self.controller.thaw()
            took = self.host.wait_state("live", 90)
            case.detail = f"noticed after {noticed:.1f} s, live {took:.1f} s after its return"
            self.host.fio(1, FIO["randrw 4k QD16"])

    def host_freezes(self):
        """Goes on with the connection of the case before."""
        with self.report.case(ROLE, "both", "host freezes") as case:
            mark = len(self.controller.text())
            self.guest.freeze()
            try:
                self.controller.wait_for("association terminated", 60, since=mark)
            finally:
                self.guest.thaw()
            took = self.host.wait_state("live", 90)
            self.host.fio(1, FIO["randrw 4k QD16"])
            case.detail = f"live {took:.1f} s after its return"
            self.host.disconnect()

    def end(self):
        """The controller leaves while a host is connected, and leaves nothing behind."""
        self.host.let_go()
        self.host.connect("none", "-k 5 -l 1 -c 1")
        self.controller.stop()
        self.controller = None
        bad = self.guest.complaints()
        if bad:
            raise Failure(f"the guest's kernel: {bad[0]}")
