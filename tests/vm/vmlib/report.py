# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""One line for each case, and a summary."""

import dataclasses
import re
import sys

CASE = re.compile(r"(?:^|\n)CASE (\S+) (ok|FAIL|skip)(?: ([^\n]*))?")


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    verdict: str
    reason: str = ""


def parse(text):
    """The cases in what a scenario printed or recorded; the last word counts."""
    found = {}
    for name, verdict, reason in CASE.findall(text):
        found[name] = Case(name, verdict, reason.strip())
    return list(found.values())


class Report:
    def __init__(self, out=None):
        self.out = out or sys.stdout
        self.cases = []

    def add(self, prefix, case):
        self.cases.append(case)
        line = f"{case.verdict:4} {prefix}/{case.name}"
        if case.reason:
            line += f": {case.reason}"
        print(line, file=self.out, flush=True)

    def fail(self, prefix, name, reason):
        self.add(prefix, Case(name, "FAIL", reason))

    def quote(self, title, text, lines=60):
        """A piece of a console or a log, indented."""
        body = text.strip("\n").splitlines()
        print(f"  --- {title}", file=self.out)
        if len(body) > lines:
            print(f"  | ({len(body) - lines} lines before)", file=self.out)
        for line in body[-lines:]:
            print(f"  | {line}", file=self.out)
        self.out.flush()

    def count(self, verdict):
        return sum(c.verdict == verdict for c in self.cases)

    def close(self):
        """The closing line; the exit status."""
        ok, failed, skipped = (self.count(v) for v in ("ok", "FAIL", "skip"))
        print(f"{ok} passed, {failed} failed, {skipped} skipped", file=self.out)
        return 0 if ok and not failed else 1
