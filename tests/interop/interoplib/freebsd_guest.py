# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""A FreeBSD guest with our modules: that of tests/vm, on a network."""

import os
import pathlib

from vmlib import archive, console, inputs, runner, trouble

from .packages import Unavailable
from .report import Failure

KMODS = ("nvmf_transport.ko", "nvmf_tcp.ko", "nvmf.ko", "nvmft.ko")
SCENARIOS = pathlib.Path(__file__).resolve().parents[2] / "vm" / "scenarios"
# What lib.sh of tests/vm expects around it.
PRELUDE = ("T=/tmp/t/t OUT=/tmp/out W=/tmp/w NVMF_RUST='transport tcp host target'; "
           "mkdir -p $OUT $W; cd $W; . $T/lib.sh")


def inputs_of(env, args):
    """What the guest boots from and what goes into it; raises Unavailable."""
    try:
        found = inputs.resolve(env)
    except inputs.BadInput as error:
        raise Unavailable(str(error)) from None
    if found is None:
        raise Unavailable(f"no FreeBSD guest (see tests/vm/README.md), {inputs.default_dir(env)}")
    wanted = [args.modules / name for name in KMODS] + [args.programs / "loadgen"]
    for path in wanted:
        if not path.exists():
            raise Unavailable(f"no {path}: make kmods, make -C tests/vm guest")
    return found


class FreeBSD:
    """One guest from power-on until `stop`; its NVMe/TCP port is `forward` here."""

    def __init__(self, found, work, args, forward):
        work.mkdir(parents=True, exist_ok=True)
        options = runner.options_from(os.environ, work)
        options.extra += [
            "-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{forward}-:4420",
            "-device", "virtio-net-pci,romfile=,netdev=n0",
        ]
        tar = work / "input.tar"
        archive.build(tar, {
            "t": [SCENARIOS / "lib.sh", SCENARIOS / "setup.sh", args.programs / "loadgen"],
            "rust": [args.modules / name for name in KMODS],
        })
        self.factor = options.factor
        self.options = options
        self.guest = runner.start(
            work, runner.Files(found.kernel, found.root), tar, options)

    def wait_up(self):
        """From power-on to our modules loaded and an address."""
        try:
            runner.setup(self.guest, self.options)
        except console.GuestError as error:
            raise Failure(f"FreeBSD does not boot: {error}: {self.guest.text[-300:]}") from None
        self.check(PRELUDE)
        self.check("ifconfig vtnet0 inet 10.0.2.15/24 up && route -q add default 10.0.2.2")
        self.check("load_all")

    def check(self, command, seconds=60):
        """The output of a command that must succeed."""
        try:
            text, status = self.guest.run(command, seconds * self.factor)
        except console.GuestError as error:
            raise Failure(f"{command}: {error}") from None
        if status != 0:
            raise Failure(f"{command}: status {status}: {text.strip()[-300:]}")
        return text

    def end(self):
        """Our modules go, and the kernel has said nothing bad."""
        self.check("unload_all")
        bad = trouble.trouble(self.guest.text, [])
        if bad:
            raise Failure(f"FreeBSD: {bad[0]}")

    def stop(self):
        self.guest.kill()

