# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The steps of an I/O, from traces as a guest writes them."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import steps  # noqa: E402
from benchlib import timeline  # noqa: E402

NAMES = timeline.threads(" 7 loadgen\n 100 swi1: netisr 0\n  9 idle: cpu0\n")


def one(start, *events):
    """Lines of an I/O: (microseconds after its start, CPU, thread, event)."""
    return "".join(f"{start + us * 1000} {cpu} {tid} {what}\n" for us, cpu, tid, what in events)


def trace(*gaps, other=()):
    """I/Os in which netisr runs so many microseconds after the read."""
    text = ""
    for number, gap in enumerate(gaps):
        cpu = 0 if number in other else 1
        text += one(
            number * 10**6, (0, 0, 7, "pread"), (gap, cpu, 100, "on-cpu"), (gap + 1, 0, 9, "on-cpu")
        )
    return text + one(len(gaps) * 10**6, (0, 0, 7, "pread"))


class Timeline(unittest.TestCase):
    def test_events_of_all_processors_are_in_the_order_of_time(self):
        lines = trace(5, 6).splitlines()
        backwards = timeline.parse("\n".join(reversed(lines)), NAMES)
        self.assertEqual(backwards, timeline.parse("\n".join(lines), NAMES))
        self.assertEqual(backwards[1], timeline.Event(5000, 1, "swi1: netisr 0", "on-cpu"))

    def test_idle_threads_are_no_step(self):
        self.assertNotIn("idle: cpu0", {e.thread for e in timeline.parse(trace(5), NAMES)})

    def test_a_blank_name_does_not_replace_one(self):
        self.assertEqual(timeline.threads("5 sh\n6 old\n5   \n6 new name\n"), {"5": "sh", "6": "new name"})

    def test_a_thread_that_has_ended_has_a_number(self):
        self.assertEqual(timeline.parse("1 0 55 on-cpu\n", NAMES)[0].thread, "thread 55")

    def test_lines_that_are_no_events_are_told_of(self):
        for bad in ("dtrace: 5 drops\n", "1 0 7\n", "x 0 7 pread\n"):
            with self.assertRaises(timeline.BadTrace):
                timeline.parse(bad, NAMES)

    def test_an_io_lasts_to_the_next_ones_start(self):
        windows = timeline.ios(timeline.parse(trace(5, 6, 7), NAMES))
        self.assertEqual([len(w) for w in windows], [3, 3, 3])
        self.assertEqual([w[-1].ns - w[0].ns for w in windows], [10**6] * 3)

    def test_what_came_before_the_first_and_after_the_last_is_no_io(self):
        text = one(-5000, (0, 1, 100, "on-cpu")) + trace(5) + one(10**7, (0, 1, 100, "on-cpu"))
        self.assertEqual(len(timeline.ios(timeline.parse(text, NAMES))), 1)

    def test_steps_are_those_that_most_take(self):
        text = trace(5, 6) + one(2 * 10**6 + 10, (1, 0, 100, "done"), (2, 0, 7, "pread"))
        windows = timeline.ios(timeline.parse(text, NAMES))
        self.assertEqual(len(windows), 3)
        alike = timeline.common(windows)
        self.assertEqual(len(alike), 2)
        self.assertEqual([e.what for e in alike[0]], ["pread", "on-cpu", "pread"])

    def test_a_step_has_a_median_and_how_often_it_was_elsewhere(self):
        windows = timeline.ios(timeline.parse(trace(10, 20, 90, 30, other=(1,)), NAMES))
        first, last = timeline.steps(windows)
        self.assertEqual(first, timeline.Step("swi1: netisr 0", "on-cpu", 25.0, 90.0, 0.75))
        self.assertEqual((last.thread, last.what, last.median_us), ("loadgen", "pread", 975.0))
        self.assertEqual(timeline.switches(windows), 1.0)

    def test_a_trace_without_an_io(self):
        with self.assertRaises(timeline.BadTrace):
            timeline.report(timeline.parse("1 0 100 on-cpu\n", NAMES))

    def test_report(self):
        report = timeline.report(timeline.parse(trace(10, 20, 30), NAMES))
        self.assertIn("3 I/Os, median 1000 us", report[0])
        self.assertIn("100% took these steps", report[0])
        self.assertEqual(report[2].split(), ["swi1:", "netisr", "0", "on-cpu", "20.0", "30.0", "100%"])


class Files(unittest.TestCase):
    def test_what_a_guest_wrote(self):
        two_reads = trace(5)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "x"
            self.assertEqual(len(steps.told(path)), 1, "there is none")
            path.with_suffix(".threads").write_text("7 loadgen\n100 netisr\n")
            path.with_suffix(".events").write_text("dtrace: 5 drops\n")
            self.assertIn("not an event", steps.told(path)[0])
            path.with_suffix(".events").write_text(two_reads)
            self.assertIn("1 I/Os", steps.told(path)[0])


class Boots(unittest.TestCase):
    def run_main(self, boot):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            with mock.patch.object(steps.session, "Bench"), mock.patch.object(steps, "boot", boot):
                with mock.patch.object(sys, "argv", ["steps.py", "--output", folder, "--variants", "c rust"]):
                    status = steps.main()
            return status, (pathlib.Path(folder) / "steps.txt").read_text()

    def test_one_that_fails_is_in_the_report_with_the_others(self):
        def boot(_bench, name, _args):
            if name == "c":
                raise steps.console.GuestError("panic")
            return [name]

        status, report = self.run_main(boot)
        self.assertEqual(status, 1)
        self.assertEqual(report, "C as shipped\n  failed: panic\n\nrust\n")

    def test_all_well(self):
        self.assertEqual(self.run_main(lambda _bench, name, _args: [name]), (0, "c\n\nrust\n"))


class Placements(unittest.TestCase):
    RUNS = [{"iops": n * 1000, "p50us": n, "p99us": 2 * n, "cpu": n, "seconds": 4} for n in (1, 3, 2)]

    def test_medians_and_range(self):
        self.assertEqual(steps.line("x", self.RUNS).split(), ["x", "2,000", "1,000..3,000", "2", "4"])

    def test_busy_is_a_share_of_all_processors(self):
        self.assertEqual(steps.busy(self.RUNS, 2), 0.25)

    def test_what_is_traced_is_a_placement_and_the_first_is_nobodys(self):
        titles = [title for title, _, _ in steps.PLACEMENTS]
        self.assertLessEqual(set(steps.TRACED), set(titles))
        self.assertIsNone(steps.PLACEMENTS[0][1])


if __name__ == "__main__":
    unittest.main()
