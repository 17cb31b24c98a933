# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""A Linux guest under QEMU, steered through a virtio port."""

import itertools
import json
import re
import socket
import subprocess
import time

from .freezing import Freezable

NQN = "nqn.2026-11.org.example:linux"
# The machine's loopback as the guest sees it.
GATEWAY = "10.0.2.2"


class GuestError(Exception):
    """The guest, or its QEMU, does not do what it is asked for."""


class Channel:
    """A Unix socket that QEMU listens at, read with a deadline."""

    def __init__(self, path, deadline):
        self.buffer = b""
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(str(path))
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise GuestError(f"{path.name}: {error}") from None
                time.sleep(0.02)

    def send(self, line):
        self.socket.sendall(line.encode() + b"\n")

    def read_until(self, pattern, seconds):
        """What comes before the first match of a pattern, and the match."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.buffer)
            if match:
                head = self.buffer[: match.start()]
                self.buffer = self.buffer[match.end() :]
                return head.decode("utf-8", "replace"), match
            left = deadline - time.monotonic()
            if left <= 0:
                raise GuestError(f"no answer within {seconds:.0f} s")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise GuestError("the guest is gone")
            self.buffer += data

    def close(self):
        self.socket.close()


class Guest(Freezable):
    """One guest from power-on until `stop`."""

    tokens = itertools.count(1)

    def __init__(self, settings, name, forward=None, memory=256, cpus=1):
        self.folder = settings.work / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.console = self.folder / "console.log"
        for leftover in ("port", "qmp"):
            (self.folder / leftover).unlink(missing_ok=True)
        net = "user,id=n0,restrict=off"
        if forward:
            net += f",hostfwd=tcp:127.0.0.1:{forward}-:4420"
        argv = [settings.qemu, "-nodefaults", "-no-user-config", "-no-reboot"]
        argv += ["-display", "none", "-machine", "q35", "-m", str(memory), "-smp", str(cpus)]
        argv += ["-accel", settings.accel, "-cpu", "host" if settings.accel == "kvm" else "max"]
        argv += ["-kernel", str(settings.kernel), "-initrd", str(settings.initrd)]
        # On a busy machine the kernel's check of its timer finds no tick, and panics.
        argv += ["-append", "console=ttyS0 quiet loglevel=4 panic=-1 tsc=reliable no_timer_check "
                 "mitigations=off"]
        argv += ["-netdev", net, "-device", "virtio-net-pci,romfile=,netdev=n0"]
        argv += ["-device", "virtio-serial-pci"]
        argv += ["-chardev", f"socket,id=c0,path={self.folder}/port,server=on,wait=off"]
        argv += ["-device", "virtserialport,chardev=c0,name=interop"]
        argv += ["-serial", f"file:{self.console}"]
        argv += ["-qmp", f"unix:{self.folder}/qmp,server=on,wait=off"]
        self.log = (self.folder / "qemu.log").open("wb")
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        self.port = self.monitor = None
        try:
            deadline = time.monotonic() + settings.patience
            self.port = Channel(self.folder / "port", deadline)
            self.monitor = Channel(self.folder / "qmp", deadline)
            self.monitor.read_until(rb"\n", settings.patience)
            self.command("qmp_capabilities")
            self.wait_up(deadline)
            self.check("true", settings.patience)
        except BaseException:
            self.stop()
            raise

    def wait_up(self, deadline):
        while b"INTEROP-UP" not in self.console.read_bytes():
            if self.process.poll() is not None:
                raise GuestError(f"QEMU exited: {(self.folder / 'qemu.log').read_text()[-500:]}")
            if time.monotonic() > deadline:
                self.note_registers()
                raise GuestError(f"the guest does not boot: {self.console}")
            time.sleep(0.05)

    def note_registers(self):
        """Where a guest that hangs is, for those who look into it."""
        words = {"command-line": "info registers"}
        text = self.command("human-monitor-command", **words)
        (self.folder / "registers").write_text(text)

    def run(self, command, seconds=60):
        """Runs a shell command; its status and output."""
        token = f"{next(self.tokens):x}"
        self.port.send(f"{token} {seconds} {command}")
        pattern = rb"(^|\n)?@@%s (\d+)\r?\n" % token.encode()
        text, match = self.port.read_until(pattern, seconds + 5)
        return int(match.group(2)), text

    def check(self, command, seconds=60):
        """The output of a command that must succeed."""
        status, text = self.run(command, seconds)
        if status != 0:
            reason = "took too long" if status == 143 else f"status {status}"
            raise GuestError(f"{command}: {reason}: {text.strip()[-400:]}")
        return text

    def wait(self, command, seconds):
        """Repeats a command until it succeeds; how long that took."""
        begin = time.monotonic()
        while True:
            status, text = self.run(command)
            elapsed = time.monotonic() - begin
            if status == 0:
                return elapsed
            if elapsed > seconds:
                raise GuestError(f"not within {seconds:.0f} s: {command}: {text.strip()[-200:]}")
            time.sleep(0.1)

    def command(self, name, **arguments):
        """One command of QEMU's monitor protocol."""
        self.monitor.send(json.dumps({"execute": name, "arguments": arguments}))
        while True:
            line, _ = self.monitor.read_until(rb"\r?\n", 20)
            answer = json.loads(line)
            if "error" in answer:
                raise GuestError(f"{name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def start_capture(self, path):
        """Records what the guest sends and receives."""
        self.command("object-add", **{
            "qom-type": "filter-dump", "id": "dump", "netdev": "n0", "file": str(path),
        })

    def stop_capture(self):
        self.command("object-del", id="dump")

    def complaints(self):
        """What a healthy kernel does not print."""
        bad = re.compile(r"BUG|WARNING:|Oops|Call Trace|general protection|blocked for more")
        text = self.console.read_text("utf-8", "replace")
        return [line for line in text.splitlines() if bad.search(line)]

    def stop(self):
        if self.frozen:
            self.thaw()
        self.kill_process()
        for channel in (self.port, self.monitor):
            if channel:
                channel.close()
        self.log.close()


def boot(settings, name, **others):
    """A guest that is up. On a busy machine, emulated ones sometimes stop
    before they print a word: there is a second try."""
    try:
        return Guest(settings, name, **others)
    except GuestError:
        return Guest(settings, f"{name}-2", **others)


def linux_target(settings, name, port, namespaces=2, mib=64, memory=384):
    """A guest whose controller is reached at 127.0.0.1:`port`."""
    guest = boot(settings, name, forward=port, memory=memory)
    try:
        guest.check(f"sh /interop/target {NQN} {namespaces} {mib}")
    except BaseException:
        guest.stop()
        raise
    return guest
