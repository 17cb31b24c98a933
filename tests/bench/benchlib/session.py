# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Guests to measure in, with the harness of tests/vm."""

import contextlib
import os
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent.parent
VM = HERE.parent / "vm"
sys.path.insert(0, str(VM))

import vmtest  # noqa: E402
from vmlib import archive, console, inputs, runner, trouble  # noqa: E402


MODULE_FILES = {"transport": "nvmf_transport", "tcp": "nvmf_tcp", "host": "nvmf", "target": "nvmft"}


class Unavailable(Exception):
    """There is no guest to measure in; the text says what is missing."""


class Bench:
    """What every boot of one run shares."""

    def __init__(self, env=None, work=None, extra=()):
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
        scripts = [VM / "scenarios" / "lib.sh", VM / "scenarios" / "setup.sh"]
        archive.build(
            self.archive,
            {"t": [*scripts, HERE / "guest" / "bench.sh", loadgen], "rust": self.modules},
        )

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


class Session:
    """Commands in one guest; a command that fails or a kernel that complains
    ends it."""

    def __init__(self, guest, factor):
        self.guest = guest
        self.factor = factor

    def do(self, command, seconds=60):
        output, status = self.guest.run(command, seconds * self.factor)
        if status != 0:
            raise console.GuestError(f"{command}: status {status}: {output.strip()}")
        bad = trouble.trouble(output)
        if bad:
            raise console.GuestError(f"{command}: {bad[0]}")
        return output
