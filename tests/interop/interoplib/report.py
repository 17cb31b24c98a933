# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""A table of roles, digests and workloads: one line each, as they end."""

import contextlib
import dataclasses
import time
import xml.etree.ElementTree as xml


class Failure(Exception):
    """Something is not as it must be."""


@dataclasses.dataclass(frozen=True)
class Row:
    role: str
    digests: str
    workload: str
    seconds: float
    # None: passed.
    problem: str | None
    detail: str = ""

    def line(self):
        verdict = "ok" if self.problem is None else "FAILED"
        text = self.detail if self.problem is None else self.problem
        return (f"{self.role:<13} {self.digests:<7} {self.workload:<30} {verdict:<6} "
                f"{self.seconds:5.1f} s  {text}").rstrip()


class Case:
    """What a case has to say when it passes."""

    detail = ""


class Report:
    """Collects rows; `expected` are the exceptions that mean a failed case."""

    def __init__(self, expected, out=print):
        self.rows = []
        self.expected = expected
        self.out = out

    def add(self, row):
        self.rows.append(row)
        self.out(row.line(), flush=True)

    @contextlib.contextmanager
    def case(self, role, digests, workload):
        case, begin, problem = Case(), time.monotonic(), None
        try:
            yield case
        except self.expected as error:
            problem = " ".join(str(error).split())[:300] or type(error).__name__
        self.add(Row(role, digests, workload, time.monotonic() - begin, problem, case.detail))

    @property
    def failed(self):
        return [r for r in self.rows if r.problem is not None]

    def ok(self, role, digests):
        """Whether nothing has failed yet with a role and digests."""
        return not any(r.role == role and r.digests == digests for r in self.failed)

    def close(self):
        """The last line; the exit status."""
        bad = len(self.failed)
        self.out(f"{len(self.rows) - bad} passed, {bad} failed", flush=True)
        return 0 if self.rows and not bad else 1

    def junit(self, path):
        suite = xml.Element("testsuite", name="interop", tests=str(len(self.rows)),
                            failures=str(len(self.failed)))
        for r in self.rows:
            case = xml.SubElement(suite, "testcase", classname=f"{r.role}.{r.digests}",
                                  name=r.workload, time=f"{r.seconds:.1f}")
            if r.problem is not None:
                xml.SubElement(case, "failure", message=r.problem)
        xml.ElementTree(suite).write(path, encoding="unicode", xml_declaration=True)
