# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Guests to measure in, with the harness of tests/vm."""

import contextlib
import os
import pathlib
import re
import shutil
import tempfile
import time

import vmtest
from vmlib import archive, console, inputs, runner, trouble

from . import HERE, VM

BEGIN = re.compile(r"(^|\n)BEGIN\n")

# The base system's modules do that.
ALLOWED = [f"memory type {kind} leaked" for kind in runner.MALLOC_TYPES.values()]


class Unavailable(Exception):
    """There is no guest to measure in; the text says what is missing."""


class Bench:
    """What every boot of one run shares.  extra is for QEMU, scripts for the
    guest."""

    def __init__(self, env=None, work=None, extra=(), scripts=()):
        env = os.environ if env is None else env
        self.inputs = inputs.resolve(env)
        if self.inputs is None:
            raise Unavailable(f"no guest (VM_KERNEL and VM_ROOT, or {inputs.default_dir(env)})")
        if shutil.which(runner.qemu_from(env)) is None:
            raise Unavailable(f"no {runner.qemu_from(env)}")
        self.modules = vmtest.rust_modules(env)
        if not self.modules:
            raise Unavailable("no modules of ours: make kmods")
        loadgen = pathlib.Path(env.get("VM_GUEST") or "build/guest") / "loadgen"
        if not loadgen.exists():
            raise Unavailable(f"no {loadgen}: make -C tests/vm guest")
        self.work = work or pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
        self.work.mkdir(parents=True, exist_ok=True)
        self.options = runner.options_from(env, self.work)
        self.options.extra += list(extra)
        self.archive = self.work / "input.tar"
        ours = [VM / "scenarios" / "lib.sh", VM / "scenarios" / "setup.sh", HERE / "guest" / "bench.sh"]
        archive.build(self.archive, {"t": [*ours, *scripts, loadgen], "rust": self.modules})

    @contextlib.contextmanager
    def boot(self, name, variant):
        """A guest with a variant's modules loaded and a controller listening."""
        files = runner.Files(self.inputs.kernel, self.inputs.root)
        with runner.start(self.work / name, files, self.archive, self.options) as guest:
            runner.setup(guest, self.options)
            session = Session(guest, self.options.factor)
            session.do(f"NVMF_RUST='{variant.rust}'; . /tmp/t/t/bench.sh")
            for setting in variant.sysctls:
                session.do(f"sysctl -q {setting}")
            session.do("bench_up", 120)
            yield session
            runner.halt(guest, self.options)


def cpu_seconds(pid):
    """The processor time of a process, all its threads; None if this system
    does not tell."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return None


class Session:
    """Commands in one guest; a command that fails or a kernel that complains
    ends it."""

    def __init__(self, guest, factor):
        self.guest = guest
        self.factor = factor

    def do(self, command, seconds=60):
        return self.check(command, self.guest.run(command, seconds * self.factor))

    def timed(self, command, seconds=60):
        """The output of a command that prints BEGIN when it starts what counts,
        and the processor time that the whole guest took from there on."""
        begun = self.guest.begin(command)
        self.guest.wait([BEGIN], seconds * self.factor, begun[0])
        before = cpu_seconds(self.guest.process.pid)
        output = self.check(command, self.guest.finish(begun, seconds * self.factor))
        after = cpu_seconds(self.guest.process.pid)
        return output, None if before is None or after is None else after - before

    @staticmethod
    def check(command, done):
        output, status = done
        if status != 0:
            raise console.GuestError(f"{command}: status {status}: {output.strip()}")
        bad = trouble.trouble(output, ALLOWED)
        if bad:
            raise console.GuestError(f"{command}: {bad[0]}")
        return output
