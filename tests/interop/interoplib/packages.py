# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Debian packages, unpacked into a cache folder; nothing is installed."""

import os
import pathlib
import re
import subprocess

# What is unpacked where.  The first word of each set is the program's package;
# the libraries it depends on follow from the archive's own index.
SETS = {
    "user": ("busybox-static", "nvme-cli"),
    "fio": ("fio",),
    "tools": ("tshark",),
}
KERNELS = {"6.12": "linux-image-6.12-cloud-amd64", "6.1": "linux-image-cloud-amd64"}

LIBRARY = re.compile(r"^(lib[a-z0-9.+-]*|zlib1g|wireshark-common)$")
NOT_NEEDED = re.compile(r"perl|python|pam|semanage|audit|elogind|newt|textwrap")


class Unavailable(Exception):
    """Packages cannot be had: no network, no such package, not Debian."""


def cache_folder(env=os.environ):
    named = env.get("INTEROP_CACHE")
    if named:
        return pathlib.Path(named)
    base = env.get("XDG_CACHE_HOME") or os.path.join(env.get("HOME", "/"), ".cache")
    return pathlib.Path(base) / "nvmf-rs" / "interop"


def run(*argv, cwd=None):
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Unavailable(f"{argv[0]}: {error.strerror}") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["failed"])[-1]
        raise Unavailable(f"{' '.join(argv[:2])}: {reason}")
    return done.stdout


def parse_depends(text):
    """The package names at the left edge of `apt-cache depends --recurse`."""
    names = [line for line in text.splitlines() if re.match(r"^[a-z0-9]", line)]
    return sorted({n for n in names if LIBRARY.match(n) and not NOT_NEEDED.search(n)})


def with_libraries(roots):
    kinds = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    quiet = [f"--no-{kind}" for kind in kinds]
    text = run("apt-cache", "depends", "--recurse", *quiet, *roots)
    # An alternative may have been named that this release does not carry.
    names = parse_depends(text)
    policy = run("apt-cache", "policy", *names)
    absent = set(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: \(none\)", policy, re.M))
    return [*roots, *(n for n in names if n not in absent)]


def kernel_package(version):
    """The package with the kernel that the release's own name stands for."""
    meta = KERNELS[version]
    found = re.search(r"Depends: (linux-image-\S+)", run("apt-cache", "depends", meta))
    if not found:
        raise Unavailable(f"{meta}: no such package")
    return found.group(1)


def download(names, folder):
    folder.mkdir(parents=True, exist_ok=True)
    run("apt-get", "-q", "download", *names, cwd=folder)


def unpack(debs, root):
    root.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        run("dpkg", "-x", str(deb), str(root))


def ensure(name, cache):
    """The folder that a set, or kernel-VERSION, is unpacked in."""
    root = cache / name
    stamp = cache / f"{name}.done"
    if not stamp.exists():
        try:
            fetch(name, cache, root, stamp)
        except Unavailable:
            # The lists may be old, or not there at all.
            run("apt-get", "-q", "update")
            fetch(name, cache, root, stamp)
    return root


def fetch(name, cache, root, stamp):
    if name.startswith("kernel-"):
        names = [kernel_package(name.removeprefix("kernel-"))]
    else:
        names = with_libraries(SETS[name])
    debs = cache / "debs" / name
    download(names, debs)
    unpack(sorted(debs.glob("*.deb")), root)
    stamp.write_text("\n".join(sorted(p.name for p in debs.glob("*.deb"))) + "\n")
    for deb in debs.glob("*.deb"):
        deb.unlink()


def needed(path):
    """The shared libraries that an ELF file names."""
    text = run("readelf", "-d", str(path))
    return re.findall(r"NEEDED.*\[(.*)\]", text)


def closure(program, roots):
    """The libraries that a program needs, by name, from unpacked folders."""
    index = {}
    for root in roots:
        for path in root.rglob("*.so*"):
            index.setdefault(path.name, path)
    found, todo = {}, [program]
    while todo:
        for name in needed(todo.pop()):
            if name in found:
                continue
            if name not in index:
                raise Unavailable(f"{program.name} needs {name}, which no package has")
            found[name] = index[name]
            todo.append(index[name])
    return found
