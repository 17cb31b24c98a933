# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""A FreeBSD guest under QEMU, driven through its first serial port."""

import os
import re
import select
import subprocess
import time

from . import trouble

# Prompts that a booting system can show before there is a root shell.
LOGIN = re.compile(r"login: *$")
SINGLE_USER = re.compile(r"Enter full pathname of shell or RETURN for /bin/sh: *$")
SHELL = re.compile(r"(^|\n)(root@[^\n]*|[^\n]*)[#$]\s*$")

# What run() has the shell say when a command is done.
STRAY = re.compile(r"@@[0-9a-f]+ \d+\n")


class GuestError(Exception):
    """The guest did not do what was waited for."""


class Timeout(GuestError):
    """It did nothing at all, or not in time."""


def kvm_usable(cpuinfo="/proc/cpuinfo", device="/dev/kvm"):
    """Hardware that can run a guest.  A device alone is not enough: without
    the processor's help it can only emulate, and fails on a real kernel."""
    try:
        os.close(os.open(device, os.O_RDWR))
        with open(cpuinfo, encoding="ascii", errors="replace") as lines:
            return any(
                re.search(r"\b(vmx|svm)\b", x) for x in lines if x.startswith("flags")
            )
    except OSError:
        return False


class Guest:
    """One run of QEMU.  Use as a context manager: it never outlives the block."""

    def __init__(self, boot, archive, results, log, options):
        self.log = open(log, "wb")
        self.text = ""
        self.options = options
        self.argv = command_line(boot, archive, results, options)
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            try:
                stream.close()
            except OSError:
                pass

    def send(self, line):
        # A serial port without flow control loses what comes too fast.
        data = line.encode() + b"\n"
        for i in range(0, len(data), 32):
            self.process.stdin.write(data[i : i + 32])
            self.process.stdin.flush()
            time.sleep(0.01)

    def pump(self, seconds):
        """Take in what the guest prints; False once QEMU has gone."""
        out = self.process.stdout
        ready, _, _ = select.select([out], [], [], seconds)
        if not ready:
            return self.process.poll() is None
        data = os.read(out.fileno(), 65536)
        if not data:
            return False
        self.log.write(data)
        self.log.flush()
        self.text += trouble.clean(data.decode("utf-8", "replace"))
        return True

    def wait(self, patterns, seconds, since):
        """The first match of any pattern in the text that follows since."""
        deadline = time.monotonic() + seconds
        while True:
            tail = self.text[since:]
            for pattern in patterns:
                match = pattern.search(tail)
                if match:
                    return match
            if trouble.fatal(tail):
                self.settle(15 * self.options.patience)
                raise GuestError("the kernel stopped")
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout(f"nothing within {seconds:.0f} s")
            if not self.pump(min(left, 1.0)):
                raise GuestError("QEMU exited")

    def settle(self, seconds):
        """Read on until the guest has been silent for a while."""
        deadline = time.monotonic() + seconds
        quiet = time.monotonic()
        silence = min(5, seconds / 2)
        while time.monotonic() < deadline and time.monotonic() - quiet < silence:
            before = len(self.text)
            if not self.pump(silence / 4):
                break
            if len(self.text) != before:
                quiet = time.monotonic()

    def login(self, seconds):
        """From power-on to a quiet root shell."""
        deadline = time.monotonic() + seconds
        answers = {LOGIN: "root", SINGLE_USER: ""}
        at = 0
        while True:
            kind = self.prompt(max(deadline - time.monotonic(), 0), at)
            at = len(self.text)
            if kind is SHELL:
                break
            self.send(answers[kind])
        # Root may have another shell.  A shell that starts drops what was
        # typed before its prompt.
        self.send("exec /bin/sh")
        self.prompt(60 * max(self.options.factor, 1), at)
        self.send("set +o emacs +o vi; stty -echo; PS1=; PS2=")
        for attempt in range(10):
            try:
                self.run(":", 6)
                break
            except Timeout:
                if attempt == 9:
                    raise

    def prompt(self, seconds, at):
        """Wait for a prompt of some kind, and for silence: a boot message can
        look like one."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(deadline - time.monotonic(), 0)
            match = self.wait([LOGIN, SINGLE_USER, SHELL], left, at)
            before = len(self.text)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                self.pump(0.2)
            if len(self.text) == before:
                return match.re

    def run(self, command, seconds):
        """Run a command; its output and exit status."""
        return self.finish(self.begin(command), seconds)

    def begin(self, command):
        """Start a command; what finish() wants to know of it."""
        at = len(self.text)
        token = f"{at:x}{int(time.monotonic() * 1000):x}"
        # The token is not in the line that is typed, in case it is echoed.  It comes
        # twice: a message of the kernel can be printed in the middle of one.
        say = f"echo @@''{token} $s"
        self.send(f"{command}; s=$?; {say}; {say}")
        return at, token

    def finish(self, begun, seconds):
        at, token = begun
        match = self.wait([re.compile(rf"@@{token} (\d+)")], seconds, at)
        # The second token of the command before may have come late.
        output = STRAY.sub("", self.text[at : at + match.start()])
        return output, int(match.group(1))

    def interrogate(self):
        """What a guest that hangs is doing, for the report."""
        at = len(self.text)
        try:
            self.process.stdin.write(b"\x14")
            self.process.stdin.flush()
            self.settle(3 * self.options.patience)
            self.process.stdin.write(b"\x03")
            self.process.stdin.flush()
            self.settle(2 * self.options.patience)
            self.send("procstat -kka | grep -E 'nvm|ctl|CTL|loadgen|kld|raw|bad'")
            self.settle(15 * self.options.patience)
        except (OSError, ValueError):
            pass
        return self.text[at:]


def command_line(boot, archive, results, options):
    argv = [options.qemu, "-nodefaults", "-no-reboot", "-display", "none"]
    argv += ["-machine", "q35", "-m", str(options.memory), "-smp", str(options.cpus)]
    if options.accelerated:
        argv += ["-accel", "kvm", "-cpu", "host"]
    else:
        argv += ["-accel", "tcg,thread=multi", "-cpu", "max"]
    if boot.kernel is not None:
        argv += ["-kernel", str(boot.kernel), "-append", options.append]
    argv += ["-serial", "stdio", "-monitor", "none"]
    for path, extra in (
        (boot.root, "snapshot=on"),
        (archive, "snapshot=on"),
        (results, "cache=writeback"),
    ):
        argv += ["-drive", f"file={path},if=virtio,format=raw,{extra}"]
    argv += ["-device", "virtio-rng-pci"]
    return argv + options.extra
