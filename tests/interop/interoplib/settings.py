# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What a run needs from the machine, found or said to be missing."""

import dataclasses
import os
import pathlib
import shutil
import tempfile

from . import image, packages


@dataclasses.dataclass
class Settings:
    qemu: str
    accel: str
    version: str
    cache: pathlib.Path
    work: pathlib.Path
    kernel: pathlib.Path
    initrd: pathlib.Path
    # Seconds for a guest to boot.
    patience: float
    # Where our programs are.
    binaries: pathlib.Path | None = None


def prepare(env=os.environ, with_fio=True, work=None):
    """Downloads and builds what is not there yet; raises Unavailable."""
    qemu = env.get("INTEROP_QEMU") or "qemu-system-x86_64"
    if shutil.which(qemu) is None:
        raise packages.Unavailable(f"no {qemu}")
    version = env.get("INTEROP_KERNEL") or "6.12"
    if version not in packages.KERNELS:
        raise packages.Unavailable(f"no kernel {version}: one of {', '.join(packages.KERNELS)}")
    accel = env.get("INTEROP_ACCEL") or "tcg"
    cache = packages.cache_folder(env)
    root = packages.ensure(f"kernel-{version}", cache)
    work = work or pathlib.Path(tempfile.mkdtemp(prefix="interop-"))
    work.mkdir(parents=True, exist_ok=True)
    initrd = image.initrd(work / "initrd", cache, version, with_fio)
    return Settings(
        qemu=qemu,
        accel=accel,
        version=version,
        cache=cache,
        work=work,
        kernel=image.kernel_image(root),
        initrd=initrd,
        patience=float(env.get("INTEROP_PATIENCE") or 60),
    )
