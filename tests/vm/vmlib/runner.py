# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Start guests and run scenarios in them."""

import dataclasses
import os
import pathlib
import shlex
import signal
import sys
import time

from . import archive, console, report, trouble

RESULTS_SIZE = 64 << 20

# The malloc(9) type of each module.  What the base system's own modules leak
# (they do, on every disconnect) is not ours to fail for.
MALLOC_TYPES = {
    "transport": "nvmf_xport",
    "tcp": "nvmf_tcp",
    "host": "nvmf",
    "target": "nvmft",
}


@dataclasses.dataclass
class Options:
    qemu: str
    accelerated: bool
    memory: int
    cpus: int
    append: str
    factor: float
    work: pathlib.Path
    extra: list
    allow: list
    patience: float = 1.0


@dataclasses.dataclass(frozen=True)
class Files:
    kernel: pathlib.Path | None
    root: pathlib.Path


def options_from(env, work):
    """What the VM_ variables say of the virtual machine."""
    accel = env.get("VM_ACCEL") or ("kvm" if console.kvm_usable() else "tcg")
    accelerated = accel == "kvm"
    return Options(
        qemu=qemu_from(env),
        accelerated=accelerated,
        memory=int(env.get("VM_MEMORY") or 2048),
        cpus=int(env.get("VM_CPUS") or min(os.cpu_count() or 1, 4)),
        append=env.get("VM_APPEND")
        or "boot_serial=1 console=comconsole vfs.root.mountfrom=ufs:/dev/vtbd0",
        factor=float(env.get("VM_FACTOR") or (1 if accelerated else 4)),
        work=work,
        extra=shlex.split(env.get("VM_QEMU_ARGS") or ""),
        allow=[a for a in (env.get("VM_ALLOW") or "").split(";") if a],
    )


def leave_on_signals():
    """Leave through the blocks that end QEMU."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: sys.exit(128 + n))


def qemu_from(env):
    return env.get("VM_QEMU") or "qemu-system-x86_64"


def start(folder, files, input_archive, options):
    """QEMU, with its console and its results disk in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.img"
    archive.blank(results, RESULTS_SIZE)
    return console.Guest(files, input_archive, results, folder / "console.log", options)


def run_boot(boot, inputs, input_archive, options, out):
    """All scenarios of one boot; failures go to the report and end it."""
    folder = options.work / boot.name
    results = folder / "results.img"
    kernel = inputs.debug_kernel if boot.debug else inputs.kernel
    began = time.monotonic()
    with start(folder, Files(kernel, inputs.root), input_archive, options) as guest:
        try:
            setup(guest, options)
            print(f"# {boot.name}: booted in {time.monotonic() - began:.0f} s", file=out.out)
            for run in boot.runs:
                run_scenario(guest, boot, run, folder, results, options, out)
        except (console.GuestError, OSError) as error:
            out.fail(boot.name, "guest", str(error))
            if isinstance(error, console.Timeout):
                guest.interrogate()
            out.quote(f"console of {boot.name}", guest.text)
        else:
            halt(guest, options)
    print(f"# {boot.name}: {time.monotonic() - began:.0f} s", file=out.out, flush=True)


def halt(guest, options):
    guest.send("sync; halt -p || shutdown -p now")
    guest.settle(20 * options.patience)


def setup(guest, options):
    """From power-on to a root shell with the archive unpacked."""
    guest.login(300 * options.factor)
    seconds = 120 * options.factor
    guest.run("mount -u -o rw / 2>/dev/null", seconds)
    output, status = guest.run(
        "mkdir -p /tmp/t && tar -xf /dev/vtbd1 -C /tmp/t && sh /tmp/t/t/setup.sh", seconds
    )
    if status != 0:
        raise console.GuestError(f"set-up failed: {output.strip()}")


def run_scenario(guest, boot, run, folder, results, options, out):
    prefix = f"{boot.name}/{run.name}"
    env = " ".join(f"{k}={shlex.quote(v)}" for k, v in run.env.items())
    at = len(guest.text)
    start = time.monotonic()
    error = None
    try:
        _, status = guest.run(
            f"env {env} sh /tmp/t/t/run.sh {run.scenario}", run.seconds * options.factor
        )
        if status != 0:
            error = f"run.sh exited with status {status}"
    except console.GuestError as e:
        error = e
    text = guest.text[at:]
    logs = folder / run.name.replace(":", "-").replace("=", "-")
    recorded = ""
    if archive.read(results, logs) and (logs / "cases.txt").exists():
        recorded = (logs / "cases.txt").read_text(errors="replace")
        if (logs / "scenario.txt").read_text().strip() != run.scenario:
            recorded = ""
    cases = report.parse(text + "\n" + recorded)
    for case in cases:
        out.add(prefix, case)
        log = logs / f"{case.name}.log"
        if case.verdict == "FAIL" and log.exists():
            out.quote(f"{case.name}.log", log.read_text(errors="replace"), 40)
    ours = run.env.get("NVMF_RUST", "").split()
    allow = options.allow + [
        f"memory type {kind} leaked" for module, kind in MALLOC_TYPES.items() if module not in ours
    ]
    bad = trouble.trouble(text, allow)
    if bad:
        out.fail(prefix, "console", bad[0])
        out.quote("console", text, 80)
    print(f"# {prefix}: {time.monotonic() - start:.0f} s", file=out.out, flush=True)
    if isinstance(error, console.GuestError):
        raise error
    if error or not cases:
        out.fail(prefix, "scenario", error or "no case was reported")
        out.quote("console", text, 40)
