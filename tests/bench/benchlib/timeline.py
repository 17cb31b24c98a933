# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What happened during I/Os, one after the other, and how long it took."""

import collections
import dataclasses
import statistics

# An I/O at depth 1 lasts from one of these to the next.
START = "pread"


class BadTrace(Exception):
    """Not what timeline.d prints, or nothing of use in it."""


@dataclasses.dataclass(frozen=True)
class Event:
    ns: int
    cpu: int
    thread: str
    what: str

    @property
    def kind(self):
        return self.thread, self.what


@dataclasses.dataclass(frozen=True)
class Step:
    """From the event before to this one, over many I/Os."""

    thread: str
    what: str
    median_us: float
    p99_us: float
    moved: float  # the share that was on another processor than the event before


def threads(text):
    """{thread ID: name} of lines "ID NAME"; a later name counts, unless it is blank."""
    return dict(line.split(None, 1) for line in map(str.strip, text.splitlines()) if " " in line)


def parse(text, names):
    """All events in the order of time, without the idle threads'."""
    events = []
    for line in filter(None, text.splitlines()):
        try:
            ns, cpu, tid, what = line.split()
            event = Event(int(ns), int(cpu), names.get(tid, f"thread {tid}"), what)
        except ValueError:
            raise BadTrace(f"not an event: {line!r}") from None
        if not event.thread.startswith("idle:"):
            events.append(event)
    return sorted(events, key=lambda e: e.ns)


def ios(events):
    """The events of each I/O, from its start to the next one's."""
    starts = [i for i, event in enumerate(events) if event.what == START]
    return [events[a : b + 1] for a, b in zip(starts, starts[1:])]


def common(windows):
    """The I/Os that took the steps that most took."""
    alike = collections.defaultdict(list)
    for window in windows:
        alike[tuple(e.kind for e in window)].append(window)
    if not alike:
        raise BadTrace("no I/O in it")
    return max(alike.values(), key=len)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def steps(windows):
    """Of I/Os that are alike: a Step for each event after the first."""
    found = []
    for i, event in enumerate(windows[0][1:], 1):
        took = [(w[i].ns - w[i - 1].ns) / 1000 for w in windows]
        moved = sum(w[i].cpu != w[i - 1].cpu for w in windows) / len(windows)
        found.append(
            Step(event.thread, event.what, statistics.median(took), percentile(took, 0.99), moved)
        )
    return found


def switches(windows):
    """How often a thread that is not an idle one was given a processor, per I/O."""
    return sum(e.what == "on-cpu" for w in windows for e in w[1:]) / len(windows)


def report(events):
    """The lines that tell of a trace."""
    windows = ios(events)
    alike = common(windows)
    whole = [(w[-1].ns - w[0].ns) / 1000 for w in windows]
    lines = [
        f"  {len(windows)} I/Os, median {statistics.median(whole):.0f} us, p99 "
        f"{percentile(whole, 0.99):.0f} us, {switches(windows):.1f} times a thread began to run; "
        f"{len(alike) / len(windows):.0%} took these steps:",
        f"    {'thread':20}{'comes to':12}{'after us':>10}{'p99':>8}   moved there",
    ]
    for step in steps(alike):
        lines.append(
            f"    {step.thread:20}{step.what:12}{step.median_us:10.1f}{step.p99_us:8.1f}"
            f"{step.moved:11.0%}"
        )
    return lines
