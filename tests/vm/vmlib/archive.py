# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The ustar archives that go into a guest and come back from it."""

import io
import pathlib
import tarfile

# A disk is read in whole sectors and tar(1) reads large blocks.
ALIGNMENT = 64 * 1024


def _clean(info):
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info


def build(destination, trees):
    """Write an archive; trees maps a folder in it to files of this machine."""
    with tarfile.open(destination, "w", format=tarfile.USTAR_FORMAT) as tar:
        for folder, paths in trees.items():
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            info.mode = 0o755
            tar.addfile(info)
            for path in paths:
                tar.add(path, f"{folder}/{pathlib.Path(path).name}", filter=_clean)
    with open(destination, "ab") as out:
        out.write(b"\0" * (-out.tell() % ALIGNMENT))


def blank(destination, size):
    """A disk of zeros for the guest to write its results to."""
    with open(destination, "wb") as out:
        out.truncate(size)


def read(path, destination):
    """Unpack what the guest wrote; True if there was anything."""
    destination.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                name = pathlib.PurePosixPath(info.name)
                if not info.isfile() or name.is_absolute() or ".." in name.parts:
                    continue
                target = destination / name
                target.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(info)
                target.write_bytes(source.read() if source else b"")
    except (tarfile.TarError, EOFError):
        return False
    return True


def to_bytes(trees):
    """build() into memory, for the unit tests."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in trees.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
