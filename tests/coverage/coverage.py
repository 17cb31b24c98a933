#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The nvmf-rs authors
"""Runs all tests instrumented and prints the line coverage of each module's halves; fails below the floors.

usage: coverage.py [-h] [--out FOLDER] [--uncovered] [--report]

Lines of test code do not count.  Needs llvm-profdata and llvm-cov of the LLVM that the Rust compiler has, or of a newer
one: rustup's llvm-tools component or Debian's llvm-NN package.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CARGO = os.environ.get("CARGO", "cargo")
CRATES = ("sys", "nvmf_transport", "nvmf_tcp", "nvmf", "nvmft")
FLOORS = {"proto": 90.0, "kernel": 75.0}
# Newest LLVM that is looked for by name.
NEWEST = 30
# nvmf_transport is too small for a folder: these two know nothing of a kernel.
PROTO_FILES = {"nvmf_transport/src/params.rs", "nvmf_transport/src/registry.rs"}


def output(*command: str, **keywords) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, **keywords).stdout


def llvm_major(tool: str) -> int:
    # Old ones know no --version and fail.
    done = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"LLVM version (\d+)", done.stdout)
    return int(match[1]) if match else 0


def find_tools() -> tuple[str, str]:
    """llvm-profdata and llvm-cov that can read what the compiler writes."""
    wanted = int(re.search(r"^LLVM version: (\d+)", output("rustc", "-vV"), re.MULTILINE)[1])
    sysroot = pathlib.Path(output("rustc", "--print", "sysroot").strip())
    folders = [str(p) for p in sysroot.glob("lib/rustlib/*/bin")]
    for suffix in ["", *(f"-{n}" for n in range(wanted, NEWEST))]:
        pair = []
        for tool in ("llvm-profdata", "llvm-cov"):
            path = shutil.which(tool + suffix, path=os.pathsep.join(folders)) or shutil.which(tool + suffix)
            if path and llvm_major(path) >= wanted:
                pair.append(path)
        if len(pair) == 2:
            return pair[0], pair[1]
    sys.exit(
        f"coverage: no llvm-profdata and llvm-cov of LLVM {wanted} or newer: "
        f"apt-get install llvm-{wanted}, or rustup component add llvm-tools"
    )


def test_programs(environment: dict[str, str]) -> list[str]:
    command = (CARGO, "test", "--workspace", "--exclude", "kmodcheck", "--lib", "--bins", "--tests", "--no-run")
    text = output(*command, "--message-format=json", env=environment)
    messages = (json.loads(line) for line in text.splitlines() if line.startswith("{"))
    return sorted({m["executable"] for m in messages if m.get("executable") and m.get("profile", {}).get("test")})


def run(out: pathlib.Path, profdata: str) -> list[str]:
    environment = dict(
        os.environ,
        CARGO_TARGET_DIR=os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target")) + "/coverage",
        RUSTFLAGS="-Cinstrument-coverage",
        # What build scripts would write.
        LLVM_PROFILE_FILE="/dev/null",
    )
    programs = test_programs(environment)
    raw = out / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir(parents=True)
    environment["LLVM_PROFILE_FILE"] = str(raw / "%p-%8m.profraw")
    command = (CARGO, "test", "-q", "--workspace", "--exclude", "kmodcheck", "--lib", "--bins", "--tests")
    with open(out / "tests.log", "w") as log:
        done = subprocess.run(command, env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.exit(f"coverage: the tests fail: {out}/tests.log")
    raws = [str(p) for p in raw.iterdir()]
    output(profdata, "merge", "-sparse", "--failure-mode=all", "-o", str(out / "all.profdata"), *raws)
    (out / "programs").write_text("\n".join(programs))
    return programs


def test_lines_start(path: pathlib.Path) -> float:
    """The line from which on a source file is tests."""
    text = path.read_text()
    match = re.search(r"^#\[cfg\(test\)\]\n(?:pub(?:\(crate\))? )?mod \w+ \{", text, re.MULTILINE)
    return text.count("\n", 0, match.start()) + 1 if match else float("inf")


def half(name: str) -> str | None:
    """Which half a source file belongs to, if it counts."""
    crate, _, rest = name.partition("/")
    if crate not in CRATES or not rest.startswith("src/") or rest.endswith(("/tests.rs", "/testing.rs")):
        return None
    return "proto" if "/proto/" in name or name in PROTO_FILES else "kernel"


def covered_lines(out: pathlib.Path, cov: str, programs: list[str]) -> dict[str, dict[int, bool]]:
    objects = [argument for p in programs[1:] for argument in ("--object", p)]
    lcov = output(
        cov, "export", "--format=lcov", f"--instr-profile={out / 'all.profdata'}", programs[0], *objects
    )
    (out / "coverage.lcov").write_text(lcov)
    files: dict[str, dict[int, bool]] = {}
    lines: dict[int, bool] = {}
    last = float("inf")
    for record in lcov.splitlines():
        kind, _, value = record.partition(":")
        if kind == "SF":
            path = pathlib.Path(value)
            name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else value
            lines = {}
            if half(name):
                files[name] = lines
                last = test_lines_start(path)
        elif kind == "DA":
            number, hits = value.split(",")[:2]
            if int(number) < last:
                lines[int(number)] = hits != "0"
    return files


def ranges(numbers: list[int]) -> str:
    """1, 2, 3, 7 as 1-3 7."""
    parts: list[list[int]] = []
    for n in numbers:
        if parts and parts[-1][1] == n - 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return " ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in parts)


def report(files: dict[str, dict[int, bool]], uncovered: bool) -> bool:
    if uncovered:
        for name, lines in sorted(files.items()):
            missing = sorted(n for n, hit in lines.items() if not hit)
            print(f"{name}: {len(lines) - len(missing)} of {len(lines)}: {ranges(missing)}")
    good = True
    print(f"{'crate':16} {'half':8} {'lines':>6} {'covered':>8} {'%':>6} {'floor':>6}")
    for crate in CRATES:
        for which, floor in FLOORS.items():
            hits = [h for name, ls in files.items() if name.startswith(f"{crate}/") and half(name) == which
                    for h in ls.values()]
            if not hits:
                continue
            percent = 100.0 * sum(hits) / len(hits)
            below = percent < floor
            good &= not below
            note = "  BELOW" if below else ""
            print(f"{crate:16} {which:8} {len(hits):6} {sum(hits):8} {percent:6.1f} {floor:6.0f}{note}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "coverage")
    parser.add_argument("--uncovered", action="store_true", help="list the lines that no test reaches")
    parser.add_argument("--report", action="store_true", help="report on the last run again")
    args = parser.parse_args()
    out = args.out.resolve()
    profdata, cov = find_tools()
    programs = (out / "programs").read_text().split("\n") if args.report else run(out, profdata)
    files = covered_lines(out, cov, programs)
    return 0 if report(files, args.uncovered) else 1


if __name__ == "__main__":
    sys.exit(main())
