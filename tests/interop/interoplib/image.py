# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The guest's first root: busybox, nvme-cli, kernel modules, our scripts."""

import lzma
import pathlib
import re

from . import packages
from .cpio import Archive

GUEST = pathlib.Path(__file__).resolve().parent.parent / "guest"
# Built into some kernels, modules in others, absent from a few.
MODULES = ("virtio_pci", "virtio_console", "virtio_net", "crc32c_intel", "configfs",
           "null_blk", "nvmet_tcp", "nvme_tcp")
LOADER = "lib64/ld-linux-x86-64.so.2"


def kernel_image(root):
    return next((root / "boot").glob("vmlinuz-*"))


def module_files(root):
    """Every module of an unpacked kernel package, by the name it loads under."""
    found = {}
    for path in root.glob("lib/modules/*/kernel/**/*.ko*"):
        found[path.name.split(".ko")[0].replace("-", "_")] = path
    return found


def module_bytes(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def depends(data):
    """The modules that a module says it needs."""
    text = re.search(rb"\0depends=([^\0]*)\0", data)
    names = text.group(1).decode().split(",") if text else []
    return [n.replace("-", "_") for n in names if n]


def load_order(wanted, read):
    """Names in an order in which each finds what it needs; `read` gives the
    bytes of one, or None if it is built in."""
    order, seen = [], set()

    def visit(name):
        if name in seen:
            return
        seen.add(name)
        data = read(name)
        if data is None:
            return
        for other in depends(data):
            visit(other)
        order.append((name, data))

    for name in wanted:
        visit(name)
    return order


def add_program(archive, source, name, roots, have):
    """A program and the libraries that are not in the archive yet."""
    archive.file(name, source.read_bytes(), 0o755)
    for library, path in sorted(packages.closure(source, roots).items()):
        if library not in have and not library.startswith("ld-linux"):
            have.add(library)
            archive.file(f"lib/{library}", path.read_bytes(), 0o755)


def base(out, cache, version):
    """What every guest has; returns the libraries in it."""
    user = packages.ensure("user", cache)
    kernel = packages.ensure(f"kernel-{version}", cache)
    have = set()
    archive = Archive(out)
    archive.device("dev/console", 5, 1)
    for folder in ("proc", "sys", "tmp", "run", "etc/nvme", "bin"):
        archive.folder(folder)
    busybox = next(p for p in (user / "bin/busybox", user / "usr/bin/busybox") if p.exists())
    archive.file("bin/busybox", busybox.read_bytes(), 0o755)
    loader = next(p for p in user.rglob("ld-linux-x86-64.so.2") if p.is_file() and not p.is_symlink())
    archive.file(LOADER, loader.read_bytes(), 0o755)
    add_program(archive, user / "usr/sbin/nvme", "sbin/nvme", [user], have)
    files = module_files(kernel)

    def read(name):
        return module_bytes(files[name]) if name in files else None

    for number, (name, data) in enumerate(load_order(MODULES, read)):
        archive.file(f"modules/{number:02}-{name}.ko", data)
    for path in sorted(GUEST.iterdir()):
        archive.file("init" if path.name == "init" else f"interop/{path.name}",
                     path.read_bytes(), 0o755)
    archive.close()
    return have


def fio(cache, have):
    """An archive with fio, kept in the cache: it drags in a lot."""
    path = cache / "fio.cpio"
    stamp = cache / "fio.done"
    root = packages.ensure("fio", cache)
    if not path.exists() or path.stat().st_mtime < stamp.stat().st_mtime:
        part = path.with_suffix(".part")
        with part.open("wb") as out:
            archive = Archive(out)
            add_program(archive, root / "usr/bin/fio", "sbin/fio", [root], set(have))
            archive.close()
        part.rename(path)
    return path


def initrd(path, cache, version, with_fio):
    """Writes the archive that a guest boots from."""
    with path.open("wb") as out:
        have = base(out, cache, version)
        if with_fio:
            # Archives follow each other.
            out.write(fio(cache, have).read_bytes())
    return path
