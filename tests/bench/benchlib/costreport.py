# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The text report of instructions per I/O, which is also what is compared."""

import dataclasses
import re
import shutil
import statistics
import subprocess

from . import groups

# Entries of these functions are worth a line of their own.
EVENTS = (
    ("context switches", ("cpu_switch",)),
    ("sleeps", ("sleepq_add",)),
    ("malloc", ("malloc", "malloc_domainset", "malloc_aligned", "contigmalloc")),
    ("zone allocations", ("uma_zalloc_arg", "uma_zalloc_smr")),
    ("IP packets", ("ip_output",)),
    ("wake-ups", ("wakeup", "wakeup_one", "wakeup_any", "cv_signal", "cv_broadcastpri",
                  "_cv_broadcastpri", "sleepq_signal", "sleepq_broadcast")),
    ("locks waited for", ("__mtx_lock_sleep", "__rw_rlock_hard", "__rw_wlock_hard",
                          "_sx_xlock_hard", "_sx_slock_hard", "_mtx_lock_spin_cookie")),
)

# A row that stands for the functions that a short report leaves out.
REST = ("-", "(the rest)")


def demangle(names):
    """Readable names of Rust's functions, if there is a tool for it."""
    tool = next(filter(None, map(shutil.which, ("c++filt", "llvm-cxxfilt-19", "llvm-cxxfilt"))), None)
    mangled = sorted({n for n in names if n.startswith(("_R", "_ZN"))})
    if not tool or not mangled:
        return {}
    done = subprocess.run([tool], input="\n".join(mangled), capture_output=True, text=True,
                          check=True)
    return dict(zip(mangled, map(plain, done.stdout.splitlines())))


def plain(name):
    """Without what differs from build to build."""
    name = re.sub(r"\[[0-9a-f]{12,16}\]", "", name)
    return re.sub(r"::h[0-9a-f]{16}$", "", name)


@dataclasses.dataclass
class Row:
    """Per I/O in one function."""

    instructions: float
    iterations: float
    calls: float


@dataclasses.dataclass
class Part:
    """One cell with one variant."""

    cell: str
    variant: str
    ios: float
    spread: float  # of the totals of its windows, relative
    functions: dict  # (object, name): Row

    @classmethod
    def of(cls, cell, variant, windows, ios):
        """windows: by_function() of each; ios: the I/Os of each."""
        totals = []
        rows = {}
        everything = sum(ios)
        readable = demangle(name for window in windows for _, name in window)
        for window, count in zip(windows, ios):
            busy = 0
            for (where, name), cost in window.items():
                row = rows.setdefault((where, readable.get(name, name)), Row(0, 0, 0))
                row.instructions += cost.instructions / everything
                row.iterations += cost.iterations / everything
                row.calls += cost.calls / everything
                if groups.group(where, name) != "waiting":
                    busy += cost.instructions
            totals.append(busy / count)
        middle = statistics.median(totals)
        return cls(cell, variant, everything, (max(totals) - min(totals)) / middle, rows)

    def by_group(self):
        found = {}
        for (where, name), row in self.functions.items():
            into = found.setdefault(groups.group(where, name), Row(0, 0, 0))
            into.instructions += row.instructions
            into.iterations += row.iterations
            into.calls += row.calls
        return found

    def shortened(self, least):
        """The functions, those below a share of the total as one row."""
        limit = least * self.busy
        shown = {}
        rest = Row(0, 0, 0)
        for key, row in self.functions.items():
            if max(row.instructions, row.iterations) >= limit:
                shown[key] = row
            elif groups.group(*key) != "waiting":
                rest.instructions += row.instructions
                rest.iterations += row.iterations
                rest.calls += row.calls
        if rest.calls or rest.instructions:
            shown[REST] = rest
        return shown

    @property
    def busy(self):
        return sum(r.instructions for g, r in self.by_group().items() if g != "waiting")

    @property
    def iterations(self):
        return sum(r.iterations for r in self.functions.values())

    def events(self):
        for title, names in EVENTS:
            yield title, sum(
                row.calls
                for (where, name), row in self.functions.items()
                if where == "kernel" and name in names
            )


def text(parts, least=0.0):
    """The report.  Functions below this share of the total become one row."""
    lines = [
        "# Instructions per I/O, counted by the emulator: see tests/bench/README.md.",
        "# An iteration of a string instruction (rep movs) is not an instruction; it has",
        "# a column of its own.  What idles or spins on a lock is not in the total.",
    ]
    for part in parts:
        lines += ["", f"part {part.cell} {part.variant} ios={part.ios:.0f} spread={part.spread:.1%}"]
        lines.append(f"total {part.busy:.0f} instructions {part.iterations:.0f} iterations")
        for title, count in part.events():
            lines.append(f"event {count:10.3f} {title}")
        by_group = part.by_group()
        for name in groups.GROUPS:
            if name in by_group:
                row = by_group[name]
                lines.append(f"group {row.instructions:10.1f} {row.iterations:10.1f}            {name}")
        shown = part.shortened(least)
        for (where, name), row in sorted(shown.items(), key=lambda x: (-x[1].instructions, x[0])):
            lines.append(
                f"func  {row.instructions:10.3f} {row.iterations:10.1f} {row.calls:10.3f} {where} {name}"
            )
    return "\n".join(lines) + "\n"


class BadReport(Exception):
    """Not a report."""


def parse(report):
    """The parts of a report."""
    parts = []
    for number, line in enumerate(report.splitlines(), 1):
        word, _, rest = line.partition(" ")
        try:
            if word == "part":
                cell, variant, ios, spread = rest.split()
                parts.append(
                    Part(cell, variant, float(ios[4:]), float(spread[7:-1]) / 100, {})
                )
            elif word == "func":
                instructions, iterations, calls, where, name = rest.split(None, 4)
                parts[-1].functions[where, name] = Row(
                    float(instructions), float(iterations), float(calls)
                )
        except (ValueError, IndexError):
            raise BadReport(f"line {number}: {line}") from None
    if not parts:
        raise BadReport("no part")
    return parts


def summary(report):
    """{(cell, variant): {"instructions" or event: per I/O}}, of a short report too."""
    found = {}
    for line in report.splitlines():
        word, _, rest = line.partition(" ")
        if word == "part":
            cell, variant, *_ = rest.split()
            part = found.setdefault((cell, variant), {})
        elif word == "total":
            part["instructions"] = float(rest.split()[0])
        elif word == "event":
            count, title = rest.split(None, 1)
            part[title] = float(count)
    return found


def diff(before, after, least=0.5):
    """What changed by at least so many per cent of the old total, and new
    totals of every part that both reports have."""
    old = {(p.cell, p.variant): p for p in before}
    lines = []
    for new in after:
        was = old.get((new.cell, new.variant))
        if was is None:
            lines.append(f"{new.cell} {new.variant}: not in the old report")
            continue
        change = 100 * (new.busy / was.busy - 1)
        lines.append(f"{new.cell} {new.variant}: {was.busy:.0f} -> {new.busy:.0f} ({change:+.1f} %)")
        rows = []
        for key in was.functions.keys() | new.functions.keys():
            if groups.group(*key) == "waiting":
                continue
            a = was.functions.get(key, Row(0, 0, 0)).instructions
            b = new.functions.get(key, Row(0, 0, 0)).instructions
            if abs(b - a) * 100 >= least * was.busy:
                rows.append((b - a, a, b, *key))
        for delta, a, b, where, name in sorted(rows, key=lambda r: (-abs(r[0]), r[3:])):
            lines.append(f"  {delta:+10.1f}  {a:10.1f} -> {b:10.1f}  {where} {name}")
    return "\n".join(lines) + "\n"


def comparison(parts):
    """Variants beside each other: totals, groups and events of each cell."""
    cells = dict.fromkeys(p.cell for p in parts)
    lines = []
    for cell in cells:
        mine = [p for p in parts if p.cell == cell]
        lines.append("")
        lines.append(f"{cell:24s}" + "".join(f"{p.variant:>14s}" for p in mine))
        by_group = [p.by_group() for p in mine]
        for name in groups.GROUPS:
            if any(name in g for g in by_group):
                lines.append(
                    f"  {name:22s}"
                    + "".join(f"{g[name].instructions if name in g else 0:14.0f}" for g in by_group)
                )
        lines.append(f"  {'total but waiting':22s}" + "".join(f"{p.busy:14.0f}" for p in mine))
        lines.append(f"  {'string iterations':22s}" + "".join(f"{p.iterations:14.0f}" for p in mine))
        lines.append(f"  {'spread of the windows':22s}" + "".join(f"{p.spread:14.1%}" for p in mine))
        for rows in zip(*(p.events() for p in mine)):
            lines.append(f"  {rows[0][0]:22s}" + "".join(f"{count:14.2f}" for _, count in rows))
    return "\n".join(lines) + "\n"
