#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Run scenario scripts in a FreeBSD guest under QEMU; one line for each case.

  vmtest.py [--boot NAME]... [--scenario NAME [--rust "transport tcp ..."]]

Inputs (see README.md beside this file): VM_KERNEL with VM_ROOT, or VM_IMAGE;
by default what is in the user's cache folder.  VM_MODULES names the folder
with our .ko files, VM_GUEST the one with the guest's programs.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile

from vmlib import archive, inputs, plan, report, runner

HERE = pathlib.Path(__file__).resolve().parent
KMODS = tuple(f"{m}.ko" for m in ("nvmf_transport", "nvmf_tcp", "nvmf", "nvmft"))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boot", action="append", help="only this boot of the plan")
    parser.add_argument("--scenario", help="one scenario in one boot, instead of the plan")
    parser.add_argument("--rust", default=None, help="modules that are ours (default: all)")
    parser.add_argument("--env", action="append", default=[], help="NAME=VALUE for the scenario")
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--debug", action="store_true", help="use the debug kernel")
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("VM_FULL")))
    parser.add_argument("--work", type=pathlib.Path, help="keep consoles and logs here")
    parser.add_argument("--list", action="store_true", help="print the plan")
    parser.add_argument("--available", action="store_true", help="is there a guest? status 0 or 1")
    return parser.parse_args()


def rust_modules(env):
    folder = pathlib.Path(env.get("VM_MODULES") or HERE.parent.parent / "build" / "kmods")
    found = [folder / name for name in KMODS]
    return found if all(p.exists() for p in found) else []


def boots(args, modules, have_debug):
    if args.scenario is None:
        chosen = plan.plan(bool(modules), have_debug, args.full)
        if args.boot:
            chosen = [b for b in chosen if b.name in args.boot]
        return chosen
    rust = args.rust if args.rust is not None else plan.ALL_RUST if modules else ""
    env = {"NVMF_RUST": rust}
    env.update(e.split("=", 1) for e in args.env)
    run = plan.Run(args.scenario, env, args.seconds, plan.mix_label(rust))
    return [plan.Boot(args.scenario, (run,), args.debug)]


def main():
    args = arguments()
    runner.leave_on_signals()
    env = os.environ
    try:
        found = inputs.resolve(env)
    except inputs.BadInput as error:
        sys.exit(f"vm-test: {error}")
    if found is None:
        print(f"vm-test: skipped, no guest (VM_KERNEL and VM_ROOT, VM_IMAGE, or "
              f"{inputs.default_dir(env)})")
        return int(args.available)
    qemu = runner.qemu_from(env)
    if shutil.which(qemu) is None:
        print(f"vm-test: skipped, no {qemu}")
        return int(args.available)
    if args.available:
        return 0
    modules = rust_modules(env)
    chosen = boots(args, modules, found.debug_kernel is not None)
    if args.list:
        for boot in chosen:
            print(boot.name, "(debug kernel)" if boot.debug else "")
            for run in boot.runs:
                print("   ", run.name, run.env)
        return 0
    if not modules:
        print("vm-test: no modules of ours, only the base system's are tested")

    guest = pathlib.Path(env.get("VM_GUEST") or HERE.parent.parent / "build" / "guest")
    programs = [p for p in sorted(guest.iterdir()) if p.suffix == ""] if guest.is_dir() else []
    if not programs:
        sys.exit(f"vm-test: no guest programs in {guest}: make vm-guest")
    work = args.work or pathlib.Path(tempfile.mkdtemp(prefix="vm-test-"))
    work.mkdir(parents=True, exist_ok=True)
    options = runner.options_from(env, work)
    print(f"vm-test: {'KVM' if options.accelerated else 'TCG'}, {options.cpus} CPUs, logs in {work}")
    input_archive = work / "input.tar"
    archive.build(
        input_archive,
        {
            "t": [*sorted((HERE / "scenarios").iterdir()), *programs],
            "golden": sorted((HERE / "golden").iterdir()),
            "rust": modules,
        },
    )
    out = report.Report()
    for boot in chosen:
        runner.run_boot(boot, found, input_archive, options, out)
    return out.close()


if __name__ == "__main__":
    sys.exit(main())
