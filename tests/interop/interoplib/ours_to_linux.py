# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Our host on the Linux controller."""

from . import ours
from .guest import NQN, linux_target
from .report import Failure

ROLE = "linux target"
KATO = 2000
OPTIONS = {"none": "", "header": "hdgst", "data": "ddgst", "both": "hdgst ddgst"}
DISKS = "1:131072x512 2:16384x4096"
RUNS = {
    "randrw 4k QD16": "run 1 random 4096 16 8388608",
    "sequential 128k QD4": "run 1 sequential 131072 4 16777216",
    "1 MiB writes (R2T)": "run 1 sequential 1048576 2 16777216",
    "randrw 4k QD16, 4096-byte LBAs": "run 2 random 4096 16 4194304",
}
# Of an NVMe status: SCT << 8 | SC.
SUCCESS, INVALID_OPCODE, INTERNAL_ERROR, LBA_RANGE = 0x00, 0x01, 0x06, 0x80


def expect(value, wanted, what):
    if value != wanted:
        raise Failure(f"{what}: {value!r} instead of {wanted!r}")


class OursToLinux:
    """All cases of this role; guests come and go, our host stays."""

    def __init__(self, settings, report, captures, port):
        self.settings = settings
        self.report = report
        self.captures = captures
        self.port = port
        self.work = settings.work / "ours-to-linux"
        self.work.mkdir()
        self.host = self.guest = None

    def run(self, digests, quick):
        try:
            with self.report.case(ROLE, "-", "start"):
                self.guest = self.boot("linux-target")
                self.host = ours.Host(self.settings.binaries, self.work)
            if not self.host:
                return
            for name in sorted({digests[0], digests[-1]}):
                with self.report.case(ROLE, name, "discovery"):
                    found = self.host.ask(f"discover 127.0.0.1:{self.port} {OPTIONS[name]}")
                    expect(found, NQN, "subsystems")
            for name in digests:
                self.transfers(name)
            self.namespaces_change()
            if not quick:
                with self.report.case(ROLE, "both", "connect, keep-alive"):
                    self.connect("both", f"kato {KATO} delay 1 loss 120")
                self.port_goes_away()
                self.controller_freezes()
                self.host_freezes()
                self.controller_restarts()
            with self.report.case(ROLE, "-", "end"):
                self.end()
        finally:
            if self.host:
                self.host.kill()
            if self.guest:
                self.guest.stop()

    def boot(self, name):
        return linux_target(self.settings, name, self.port)

    def connect(self, digests, extra=""):
        device = self.host.ask(
            f"connect 127.0.0.1:{self.port} {NQN} {OPTIONS[digests]} {extra}")
        expect(self.host.ask("disks 2"), DISKS, "disks")
        return device

    def transfers(self, digests):
        pcap = self.work / f"{digests}.pcap"
        self.guest.start_capture(pcap)
        device = None
        with self.report.case(ROLE, digests, "connect") as case:
            device = self.connect(digests, "kato 5000")
            case.detail = f"{device}: {DISKS}"
        if device:
            for name, line in RUNS.items():
                with self.report.case(ROLE, digests, name) as case:
                    case.detail = self.host.ask(line, 180)
            with self.report.case(ROLE, digests, "passthrough"):
                self.passthrough(device)
            with self.report.case(ROLE, digests, "disconnect"):
                self.host.ask("disconnect")
                expect(self.host.ask("reconnects"), "0", "reconnects")
        self.guest.stop_capture()
        self.captures.judge(ROLE, digests, pcap, 4420)

    def command(self, line, *statuses):
        """The data of a command that must end with one of these, or with success."""
        got, _, data = self.host.ask(f"pass {line}").partition(" ")
        if int(got, 16) not in (statuses or (SUCCESS,)):
            raise Failure(f"{line[:40]}: status {got}")
        return bytes.fromhex(data)

    def passthrough(self, device):
        node = f"{device}n1"
        identity = self.command(f"{device} 0x06 0 1 0 0 read 4096")
        expect(identity[24:29], b"Linux", "model")
        expect(identity[768:].split(b"\0")[0].decode(), NQN, "subsystem")
        namespace = self.command(f"{device} 0x06 1 0 0 0 read 4096")
        expect(int.from_bytes(namespace[:8], "little"), 131072, "blocks")
        # SMART / Health, then Changed Namespace List.
        for page, size in ((2, 512), (4, 4096)):
            dwords = size // 4 - 1
            self.command(f"{device} 0x02 0xffffffff {dwords << 16 | page} 0 0 read {size}")
        self.command(f"{device} 0x0a 0 0x0f 0 0 none")
        data = bytes(n * 7 & 0xff for n in range(2048))
        self.command(f"{node} 1 1 64 0 3 write {data.hex()}")
        expect(self.command(f"{node} 2 1 64 0 3 read 2048"), data, "data read back")
        self.command(f"{node} 8 1 64 0 3 none")
        expect(self.command(f"{node} 2 1 64 0 3 read 2048"), bytes(2048), "zeroes read back")
        self.command(f"{node} 0 1 0 0 0 none")
        # The Linux controller has no Compare.
        self.command(f"{node} 5 1 64 0 3 write {data.hex()}", INVALID_OPCODE)
        self.command(f"{device} 0xc5 0 0 0 0 none", INVALID_OPCODE)
        # Depending on the disk behind it.
        self.command(f"{node} 2 1 0xfffffff0 0 0 read 512", LBA_RANGE, INTERNAL_ERROR)

    def namespaces_change(self):
        """The host hears of a third namespace by an event, and of its end."""
        with self.report.case(ROLE, "both", "namespace comes and goes"):
            self.connect("both", "kato 5000")
            self.guest.check(f"sh /interop/namespace {NQN} 3 16")
            self.wait_disks(DISKS + " 3:32768x512")
            self.host.ask("run 3 random 4096 4 1048576")
            self.guest.check(f"echo 0 >/sys/kernel/config/nvmet/subsystems/{NQN}/namespaces/3/enable")
            self.wait_disks(DISKS)
            self.host.ask("disconnect")

    def wait_disks(self, wanted):
        for _ in range(100):
            found = self.host.ask("disks 2")
            if found == wanted:
                return
            self.guest.check("sleep 0.1")
        expect(found, wanted, "disks")

    def reconnected(self, action):
        """Runs an action, waits for one more connection, and uses it."""
        before = int(self.host.ask("reconnects"))
        action()
        for _ in range(400):
            if int(self.host.ask("reconnects")) > before:
                return self.host.ask(RUNS["randrw 4k QD16"], 180)
            self.guest.check("sleep 0.1")
        raise Failure(f"no reconnect: {self.host.text()[-200:]}")

    def port_goes_away(self):
        with self.report.case(ROLE, "both", "port goes and comes under load") as case:
            link = f"/sys/kernel/config/nvmet/ports/1/subsystems/{NQN}"
            source = f"/sys/kernel/config/nvmet/subsystems/{NQN}"
            self.host.begin("run 1 random 4096 16 33554432")
            self.guest.check(f"sleep 1; rm {link}; sleep 2; ln -s {source} {link}")
            case.detail = self.host.finish(180)
            if int(self.host.ask("reconnects")) == 0:
                raise Failure("the connection was never lost")

    def controller_freezes(self):
        with self.report.case(ROLE, "both", "controller freezes") as case:
            mark = len(self.host.text())

            def freeze():
                self.guest.freeze()
                try:
                    self.host.wait_for("disconnecting", 60, since=mark)
                finally:
                    self.guest.thaw()

            case.detail = self.reconnected(freeze)

    def host_freezes(self):
        with self.report.case(ROLE, "both", "host freezes") as case:
            def freeze():
                self.guest.check("dmesg -c >/dev/null")
                self.host.freeze()
                try:
                    self.guest.wait("dmesg | grep -q 'keep-alive timer.*expired'",
                                    60)
                finally:
                    self.host.thaw()

            case.detail = self.reconnected(freeze)

    def controller_restarts(self):
        with self.report.case(ROLE, "both", "controller restarts") as case:
            def restart():
                self.guest.stop()
                self.guest = self.boot("linux-target-again")

            case.detail = self.reconnected(restart)

    def end(self):
        """Our host ends while it is connected, and leaves nothing behind."""
        self.host.stop()
        bad = self.guest.complaints()
        if bad:
            raise Failure(f"the guest's kernel: {bad[0]}")
