# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Where the guest's kernel, disk and our modules come from."""

import dataclasses
import os
import pathlib


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What one guest boots from: a kernel with a root image, or a whole disk."""

    kernel: pathlib.Path | None
    root: pathlib.Path
    debug_kernel: pathlib.Path | None
    modules: pathlib.Path | None
    debug_modules: pathlib.Path | None


class BadInput(Exception):
    """An input was named but does not exist."""


def default_dir(env):
    cache = env.get("XDG_CACHE_HOME") or os.path.join(env.get("HOME", "/"), ".cache")
    return pathlib.Path(cache) / "freebsd-guest"


def _named(env, key):
    value = env.get(key)
    if not value:
        return None
    path = pathlib.Path(value)
    if not path.exists():
        raise BadInput(f"{key}={value}: no such file")
    return path


def _present(path):
    return path if path.exists() else None


def resolve(env):
    """The inputs that the environment or the cache folder gives, or None."""
    cache = default_dir(env)
    image = _named(env, "VM_IMAGE")
    kernel = _named(env, "VM_KERNEL")
    root = _named(env, "VM_ROOT")
    if image and (kernel or root):
        raise BadInput("VM_IMAGE excludes VM_KERNEL and VM_ROOT")
    if image:
        return Inputs(None, image, None, None, None)
    if bool(kernel) != bool(root):
        raise BadInput("VM_KERNEL and VM_ROOT go together")
    if kernel:
        return Inputs(kernel, root, _named(env, "VM_KERNEL_DEBUG"), None, None)
    if (cache / "kernel").exists() and (cache / "root.img").exists():
        return Inputs(
            cache / "kernel",
            cache / "root.img",
            _present(cache / "kernel-debug"),
            _present(cache / "modules"),
            _present(cache / "modules-debug"),
        )
    if (cache / "image").exists():
        return Inputs(None, cache / "image", None, None, None)
    return None
