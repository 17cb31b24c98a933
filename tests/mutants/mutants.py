#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The nvmf-rs authors
"""Puts each fault of a table into a copy of the sources and runs the test that must catch it.

usage: mutants.py [-h] [--out FOLDER] [--only WORD] [--part I/N] [TABLE...]
       mutants.py --fit [TABLE...]

The named tests must pass on the untouched copy first.  A fault counts as caught only when the copy builds and the test
then fails; a fault that does not fit the sources any more, or does not build, is as bad as one that survives.
With --fit nothing is copied or built: the faults of all tables are only compared with the sources as they are.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD_TIMEOUT_S = 900
TIMEOUT_S = 120


@dataclass(frozen=True, order=True)
class Test:
    """A unit test of a crate, a test of the hosted kernel's (`hosted/FILE`), or a simulation (`sim`)."""

    suite: str
    name: str

    def __str__(self) -> str:
        return f"{self.suite} {self.name}"


@dataclass
class Fault:
    name: str
    file: str = ""
    test: Test = Test("", "")
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    @property
    def before(self) -> str:
        return "\n".join(self.old)

    @property
    def after(self) -> str:
        return "\n".join(self.new)

    def misfit(self, tree: pathlib.Path) -> str:
        """Why it cannot be put into these sources; nothing if it can."""
        path = tree / self.file
        if not path.is_file():
            return f"there is no {self.file}"
        count = path.read_text().count(self.before)
        return "" if count == 1 else f"{self.file} has the text {count} times:\n{self.before}"


def read_table(path: pathlib.Path) -> list[Fault]:
    """`== name`, `file:`, `test: SUITE NAME`, then lines to find (`-`) and to put in their place (`+`)."""
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
            faults[-1].test = Test(*line[6:].split(" ", 1))
        elif kind == "-":
            faults[-1].old.append(rest)
        elif kind == "+":
            faults[-1].new.append(rest)
        else:
            sys.exit(f"{path}:{number}: {line!r}")
    names = [f.name for f in faults]
    for fault in faults:
        if not (fault.file and fault.test.name and fault.old) or names.count(fault.name) != 1:
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


def run(command: list[str], tree: pathlib.Path, limit_s: float = TIMEOUT_S) -> tuple[int | None, str]:
    """Its exit status, None if it hung, and what it printed."""
    target = str(tree.parent / "target")
    # Nobody looks into these programs with a debugger: they are linked faster without what it needs.
    environment = dict(os.environ, CARGO_TARGET_DIR=target, CARGO_PROFILE_DEV_DEBUG="0", RUST_BACKTRACE="0")
    child = subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        printed, _ = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        # Its children, too.
        os.killpg(child.pid, signal.SIGKILL)
        printed, _ = child.communicate()
        return None, printed
    return child.returncode, printed


def run_suite(tree: pathlib.Path, suite: str, names: list[str]) -> tuple[str, str]:
    """'passed', 'failed', 'hung' or 'broken', and what was printed."""
    cargo = os.environ.get("CARGO", "cargo")
    if suite == "sim":
        status, text = run([cargo, "build", "-q", "-p", "hosted", "--bin", "sim"], tree, BUILD_TIMEOUT_S)
        if status != 0:
            return "broken", text
        program = str(tree.parent / "target" / "debug" / "sim")
        results = [run([program, "--stop", *name.split()], tree) for name in names]
        text = "".join(printed for _, printed in results)
        worst = next((status for status, _ in results if status != 0), 0)
        # Its usage says 2: that is no fault found.
        known = {0: "passed", 2: "broken", None: "hung"}
        return known.get(worst, "failed"), text
    crate, _, file = suite.partition("/")
    # Only these tests, and nothing built for others.
    which = ["--test", file] if file else ["--lib"]
    test = [cargo, "test", "-q", "-p", crate, *which]
    status, text = run([*test, "--no-run"], tree, BUILD_TIMEOUT_S)
    if status != 0:
        return "broken", text
    status, text = run([*test, "--", "--exact", *names], tree)
    if status is None:
        return "hung", text
    ran = re.search(r"^running (\d+) test", text, re.MULTILINE)
    if ran is None or int(ran[1]) != len(set(names)):
        return "broken", text
    return ("passed" if status == 0 else "failed"), text


def check_untouched(tree: pathlib.Path, faults: list[Fault]) -> None:
    for suite in sorted({f.test.suite for f in faults}):
        names = sorted({f.test.name for f in faults if f.test.suite == suite})
        result, text = run_suite(tree, suite, names)
        if result != "passed":
            sys.exit(f"mutants: {suite}: the tests must pass before a fault is put in: {result}\n{text}")


def try_fault(tree: pathlib.Path, fault: Fault) -> tuple[str, str]:
    if why := fault.misfit(tree):
        return "DOES NOT FIT", why
    path = tree / fault.file
    text = path.read_text()
    path.write_text(text.replace(fault.before, fault.after))
    try:
        result, printed = run_suite(tree, fault.test.suite, [fault.test.name])
    finally:
        path.write_text(text)
    return {"failed": "caught", "hung": "caught", "passed": "SURVIVED", "broken": "DOES NOT BUILD"}[result], printed


def check_fit(tables: list[pathlib.Path]) -> int:
    """How many faults do not fit the sources, each of which is named."""
    bad = 0
    for table in tables:
        faults = read_table(table)
        misfits = [(f, why) for f in faults if (why := f.misfit(ROOT))]
        for fault, why in misfits:
            print(f"{table.name}: {fault.name}: DOES NOT FIT: {why}", file=sys.stderr)
        print(f"{table.name}: {len(faults) - len(misfits)} of {len(faults)} faults fit the sources")
        bad += len(misfits)
    return bad


def part(text: str) -> tuple[int, int]:
    which, of = map(int, text.split("/"))
    if not 1 <= which <= of:
        raise ValueError(text)
    return which, of


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", metavar="TABLE", nargs="*", type=pathlib.Path)
    parser.add_argument("--fit", action="store_true", help="only whether each fault fits the sources")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "mutants")
    parser.add_argument("--only", default="", help="faults whose name or file has this in it")
    parser.add_argument("--part", type=part, default=(1, 1), help="every Nth fault, from the Ith on")
    args = parser.parse_args()

    if args.fit:
        return 1 if check_fit(args.tables or sorted(HERE.glob("*.txt"))) else 0
    tables = args.tables or [HERE / "faults.txt"]
    faults = [f for table in tables for f in read_table(table) if args.only in f.name or args.only in f.file]
    faults = faults[args.part[0] - 1 :: args.part[1]]
    if not faults:
        sys.exit("mutants: no such fault")
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
        print(f"{fault.name:{width}}  {result:14}  {seconds:4.0f}  {fault.test}", flush=True)
        if result != "caught":
            bad += 1
            print(text, file=sys.stderr)
    print(f"{len(faults) - bad} of {len(faults)} faults caught")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
