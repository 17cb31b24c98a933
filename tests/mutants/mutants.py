#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The nvmf-rs authors
"""Puts each fault of a table into a copy of the sources and runs the test that must catch it.

usage: mutants.py [-h] [--out FOLDER] [--only WORD] [TABLE]

The named tests must pass on the untouched copy first.  A fault counts as caught only when the copy builds and the test
then fails; a fault that does not fit the sources any more, or does not build, is as bad as one that survives.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIMEOUT_S = 120


@dataclass
class Fault:
    name: str
    file: str = ""
    crate: str = ""
    test: str = ""
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    @property
    def before(self) -> str:
        return "\n".join(self.old)

    @property
    def after(self) -> str:
        return "\n".join(self.new)


def read_table(path: pathlib.Path) -> list[Fault]:
    """`== name`, `file:`, `test: CRATE PATH`, then lines to find (`-`) and to put in their place (`+`)."""
    faults: list[Fault] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("== "):
            faults.append(Fault(line[3:]))
            continue
        kind, rest = line[:1], line[1:]
        if line.startswith("file: "):
            faults[-1].file = line[6:]
        elif line.startswith("test: "):
            faults[-1].crate, faults[-1].test = line[6:].split()
        elif kind == "-":
            faults[-1].old.append(rest)
        elif kind == "+":
            faults[-1].new.append(rest)
        else:
            sys.exit(f"{path}:{number}: {line!r}")
    names = [f.name for f in faults]
    for fault in faults:
        if not (fault.file and fault.test and fault.old) or names.count(fault.name) != 1:
            sys.exit(f"{path}: {fault.name}: incomplete, or named twice")
    return faults


def copy_sources(to: pathlib.Path) -> None:
    """The tracked files, as they are now; files that did not change keep their times, so builds stay incremental."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    wanted = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for name in wanted:
        source, target = ROOT / name, to / name
        if target.exists() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for old in to.rglob("*.rs"):
        if str(old.relative_to(to)) not in wanted:
            old.unlink()


def run_tests(tree: pathlib.Path, crate: str, tests: list[str]) -> tuple[str, str]:
    """'passed', 'failed', 'hung' or 'broken', and what was printed."""
    # Only the unit tests, and nothing built for others.
    command = [os.environ.get("CARGO", "cargo"), "test", "-q", "-p", crate, "--lib", "--", "--exact", *tests]
    environment = dict(os.environ, CARGO_TARGET_DIR=str(tree.parent / "target"), RUST_BACKTRACE="0")
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as e:
        return "hung", str(e.stdout)
    text = done.stdout + done.stderr
    ran = re.search(r"^running (\d+) test", text, re.MULTILINE)
    if ran is None or int(ran[1]) != len(set(tests)):
        return "broken", text
    return ("passed" if done.returncode == 0 else "failed"), text


def check_untouched(tree: pathlib.Path, faults: list[Fault]) -> None:
    for crate in sorted({f.crate for f in faults}):
        tests = sorted({f.test for f in faults if f.crate == crate})
        result, text = run_tests(tree, crate, tests)
        if result != "passed":
            sys.exit(f"mutants: {crate}: the tests must pass before a fault is put in: {result}\n{text}")


def try_fault(tree: pathlib.Path, fault: Fault) -> tuple[str, str]:
    path = tree / fault.file
    text = path.read_text()
    if text.count(fault.before) != 1:
        return "DOES NOT FIT", f"{fault.file} has the text {text.count(fault.before)} times:\n{fault.before}"
    path.write_text(text.replace(fault.before, fault.after))
    try:
        result, printed = run_tests(tree, fault.crate, [fault.test])
    finally:
        path.write_text(text)
    return {"failed": "caught", "hung": "caught", "passed": "SURVIVED", "broken": "DOES NOT BUILD"}[result], printed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=pathlib.Path, default=HERE / "faults.txt")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "mutants")
    parser.add_argument("--only", default="", help="faults whose name or file has this in it")
    args = parser.parse_args()

    faults = [f for f in read_table(args.table) if args.only in f.name or args.only in f.file]
    tree = args.out.resolve() / "tree"
    tree.mkdir(parents=True, exist_ok=True)
    copy_sources(tree)
    check_untouched(tree, faults)

    width = max(len(f.name) for f in faults)
    print(f"{'fault':{width}}  {'result':14}  {'s':>4}  test")
    bad = 0
    for fault in faults:
        start = time.monotonic()
        result, text = try_fault(tree, fault)
        seconds = time.monotonic() - start
        print(f"{fault.name:{width}}  {result:14}  {seconds:4.0f}  {fault.crate} {fault.test}", flush=True)
        if result != "caught":
            bad += 1
            print(text, file=sys.stderr)
    print(f"{len(faults) - bad} of {len(faults)} faults caught")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
