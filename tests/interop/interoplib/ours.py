# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Our modules in a process of the machine: a controller, or a host."""

import os
import selectors
import signal
import subprocess
import time

from .freezing import Freezable
from .guest import GATEWAY
from .report import Failure

NQN = "nqn.2026-11.org.example:hosted"


class Program(Freezable):
    """A process of ours with its output in a file."""

    def __init__(self, argv, log, stdin=subprocess.DEVNULL, stdout=None):
        self.path = log
        self.log = log.open("ab")
        env = dict(os.environ, HOSTED_VERBOSE="1")
        self.process = subprocess.Popen(
            [str(a) for a in argv], env=env, stdin=stdin, stdout=stdout or self.log,
            stderr=self.log,
        )

    def text(self):
        return self.path.read_text("utf-8", "replace")

    def wait_for(self, words, seconds, since=0):
        """Until these words are in the output, past its first `since` characters."""
        deadline = time.monotonic() + seconds
        while words not in self.text()[since:]:
            if self.process.poll() is not None:
                raise Failure(f"{self.path.name}: it ended: {self.text()[-300:]}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.path.name}: no {words!r} within {seconds:.0f} s")
            time.sleep(0.05)

    def kill(self):
        """As a crash would."""
        self.kill_process()
        self.log.close()

    def end(self, seconds=20):
        """Lets it clean up; what it left behind is its exit status."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.path.name}: it does not end") from None
        if status != 0:
            raise Failure(f"{self.path.name}: exit status {status}: {self.text()[-300:]}")


class Controller(Program):
    """`demo --target` at 127.0.0.1:`port`, which a guest sees at another address."""

    def __init__(self, binaries, work, port):
        super().__init__(
            [binaries / "demo", "--target", "--listen", f"127.0.0.1:{port}",
             "--advertise", GATEWAY, "--file", work / "lun1.img"],
            work / "controller.log",
        )
        self.port = port
        self.wait_for("until interrupted", 20, since=0)

    def associations(self):
        """How many began, and how many ended."""
        text = self.text()
        return text.count(": associated with"), text.count(": association terminated")

    def toggle_lun(self):
        """The third LUN comes, or goes."""
        self.process.send_signal(signal.SIGUSR1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.end()


class Host(Program):
    """`hostctl`: a line in, a line out."""

    def __init__(self, binaries, work):
        super().__init__(
            [binaries / "hostctl"], work / "host.log",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.buffer = b""

    def begin(self, line):
        """Sends a command; `finish` takes the answer."""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        self.line = line

    def finish(self, seconds=30):
        deadline = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failure(f"{self.line[:80]}: no answer within {seconds:.0f} s")
            if not self.selector.select(left):
                continue
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise Failure(f"the host ended: {self.text()[-300:]}")
            self.buffer += data
        answer, self.buffer = self.buffer.split(b"\n", 1)
        verdict, _, text = answer.decode().partition(" ")
        if verdict != "ok":
            raise Failure(f"{self.line[:80]}: {text}")
        return text

    def ask(self, line, seconds=30):
        self.begin(line)
        return self.finish(seconds)

    def stop(self):
        self.process.stdin.close()
        self.end()
