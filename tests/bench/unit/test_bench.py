# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""The arithmetic of the benchmarks, and what is written of it."""

import contextlib
import csv
import io
import json
import pathlib
import sys
import tempfile
import types
import unittest
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import bench  # noqa: E402
from benchlib import cells, costreport, floors, linux, loadgen, measure  # noqa: E402
from benchlib import metrics, plot  # noqa: E402
from benchlib import samples, session, stats, table  # noqa: E402
from vmlib import archive, console  # noqa: E402


class Ratios(unittest.TestCase):
    def test_median_of_the_pairs_not_ratio_of_the_medians(self):
        found = stats.ratio({1: 10, 2: 40, 3: 90}, {1: 10, 2: 20, 3: 30})
        self.assertEqual(found, stats.Ratio(2.0, 1.0, 3.0, 3))
        # The medians' ratio would be 2 as well; here it would be 10.
        self.assertEqual(stats.ratio({1: 1, 2: 10, 3: 100}, {1: 1, 2: 1, 3: 100}).median, 1.0)

    def test_an_even_number_of_pairs(self):
        self.assertEqual(stats.ratio({1: 1, 2: 2}, {1: 1, 2: 1}).median, 1.5)

    def test_pairs_that_lack_a_half_do_not_count(self):
        found = stats.ratio({1: 2, 2: 8, 4: 1}, {1: 1, 3: 5, 4: 0})
        self.assertEqual(found, stats.Ratio(2.0, 2.0, 2.0, 1))
        self.assertIsNone(stats.ratio({1: 1}, {2: 1}))
        self.assertIsNone(stats.ratio({}, {}))

    def test_noise(self):
        self.assertFalse(stats.Ratio(1.0, 0.91, 1.1, 5).noisy)
        self.assertTrue(stats.Ratio(1.0, 0.9, 1.11, 5).noisy)
        self.assertAlmostEqual(stats.Ratio(2.0, 1.5, 2.5, 5).spread, 0.5)
        self.assertTrue(stats.Ratio(0.0, 0.0, 0.0, 5).noisy)

    def test_median(self):
        self.assertEqual(stats.median([3, 1, 2]), 2)
        self.assertIsNone(stats.median([]))


def snapshot_files(requests=0, own=0, use=0, segments=0, used=0):
    types = [
        {"type": "temp", "in-use": 1, "memory-use": use, "requests": requests},
        {"type": "nvmf", "in-use": 1, "memory-use": 10 * use, "requests": own},
    ]
    zones = [
        {"name": "kstack_cache", "size": 16384, "used": used},
        {"name": "malloc-64", "size": 64, "used": 1000 * used},
        {"name": "mbuf", "size": 256, "used": used},
    ]
    return (
        json.dumps({"vmstat": {"malloc-statistics": {"memory": types}}}),
        json.dumps({"vmstat": {"memory-zone-statistics": {"zone": zones}}}),
        json.dumps({"statistics": {"tcp": {"sent-packets": segments}}}),
    )


def snapshot(**numbers):
    return metrics.Snapshot(*snapshot_files(**numbers))


LINE = (
    "loadgen /dev/nda0 mode=read threads=8 ios=2000 written=0 read=8192000 seconds=2.00 "
    "iops=1000 MBps=4.1 p50us=900 p99us=1800 p999us=2000 cpu=3.000 switches=9000 errors=0\n"
)


class Figures(unittest.TestCase):
    def test_of_a_cell(self):
        found = metrics.of_cell(loadgen.parse("nda0: noise\n" + LINE), 3.2, 500)
        self.assertEqual(
            found,
            {
                "iops": 1000, "mbps": 4.1, "p50": 900, "p99": 1800, "cpu": 1.5, "emulator": 1.6,
                "switches": 4.5, "switches_net": 4.0,
            },
        )

    def test_of_snapshots(self):
        found = metrics.of_snapshots(
            2000,
            snapshot(requests=100, own=10, segments=7),
            snapshot(requests=4100, own=2010, segments=5007),
        )
        self.assertEqual(found, {"segments": 2.5, "mallocs": 3.0, "mallocs_own": 1.0})

    def test_without_the_emulators_time(self):
        self.assertNotIn("emulator", metrics.of_cell(loadgen.parse(LINE), None, 0))

    def test_more_switches_when_idle_is_none(self):
        found = metrics.of_cell(loadgen.parse(LINE), None, 1e6)
        self.assertEqual(found["switches_net"], 0)

    def test_of_memory(self):
        found = metrics.of_memory(snapshot(use=0, used=10), snapshot(use=2048, used=12), 2)
        # Zones behind malloc are not counted twice.
        self.assertEqual(found, {"kib": 27.25, "malloc_kib": 11.0, "own_kib": 10.0, "zone_kib": 16.25})

    def test_not_a_snapshot(self):
        for bad in ("", "{}", '{"vmstat": 1}'):
            with self.assertRaises(metrics.BadSnapshot):
                metrics.Snapshot(bad, "{}", "{}")

    def test_errors_are_not_results(self):
        for bad in ("", "loadgen: /dev/nda0: gone\n", LINE.replace("errors=0", "errors=2")):
            with self.assertRaises(loadgen.BadLine):
                loadgen.parse(bad)

    def test_the_last_line_counts(self):
        self.assertEqual(loadgen.parse(LINE + LINE.replace("iops=1000", "iops=7"))["iops"], 7)

    def test_scan_time(self):
        self.assertAlmostEqual(measure.scan_time("x\nSCAN 100.25 102.75\n"), 2.5)
        with self.assertRaises(loadgen.BadLine):
            measure.scan_time("SCAN\n")

    def test_every_figure_has_a_title(self):
        found = metrics.of_cell(loadgen.parse(LINE), 1.0, 0)
        found |= metrics.of_snapshots(1, snapshot(), snapshot())
        found |= metrics.of_memory(snapshot(), snapshot(), 1)
        self.assertLessEqual(found.keys(), {m.key for m in metrics.METRICS})


class Cells(unittest.TestCase):
    def test_the_full_set_has_every_kind_once(self):
        names = [c.name for c in cells.SETS["full"]]
        self.assertEqual(len(names), 64)
        self.assertEqual(len(set(names)), 64)
        self.assertIn("write-1m-qd8-dgst-4q", names)

    def test_floors_are_measured(self):
        names = {c.name for c in cells.SETS["floors"]}
        self.assertLessEqual(floors.THROUGHPUT.keys(), names)

    def test_globs(self):
        names = {c.name for c in cells.choose("cost", "read-4k-qd1* write-1m-qd8")}
        self.assertIn("read-4k-qd128-4q", names)
        self.assertIn("write-1m-qd8", names)
        self.assertNotIn("write-4k-qd1", names)
        self.assertEqual(cells.choose("cost", "nothing"), [])

    def test_each_connection_once(self):
        groups = dict(cells.by_connection(cells.SETS["full"]))
        self.assertEqual(groups.keys(), {"-i 1", "-i 1 -g -G", "-i 4", "-i 4 -g -G"})
        self.assertEqual({len(g) for g in groups.values()}, {16})

    def test_arguments(self):
        cell = cells.Cell("write", "128k", 8, True, 4)
        self.assertEqual(cell.connection, "-i 4 -g -G")
        self.assertEqual(cell.load, "-o over -t 8 -m 131072 -M 131072 -S")
        self.assertNotIn("-S", cells.Cell("read", "4k", 1).load)


class FakeGuest:
    """Answers as bench.sh does; its commands fail from some cell on."""

    def __init__(self, results, fails_at, delivers):
        self.results = results
        self.fails_at = fails_at
        self.delivers = delivers
        self.commands = []
        self.files = {}

    def do(self, command, seconds=60):
        self.commands.append(command)
        if command == "bench_idle":
            return "IDLE 500\n"
        if command.startswith("bench_scan 1 "):
            return f"SCAN 10.0 {10 + len(self.commands)}\n"
        if command == "bench_deliver":
            if not self.delivers:
                raise console.GuestError("QEMU exited")
            self.results.write_bytes(archive.to_bytes(self.files))
        return ""

    def timed(self, command, seconds):
        name = command.split()[1]
        if name == self.fails_at:
            raise console.Timeout("nothing within 63 s")
        for when, segments in (("before", 100), ("after", 300)):
            for kind, text in zip(
                ("malloc", "zone", "tcp"), snapshot_files(segments=segments)
            ):
                self.files[f"./snap/{name}.{when}.{kind}"] = text.encode()
        return f"BEGIN\n{LINE}", 4.0


class FakeBench:
    def __init__(self, work, fails_at, delivers):
        self.work = work
        (work / "b").mkdir()
        archive.blank(work / "b" / "results.img", 1 << 16)
        self.guest = FakeGuest(work / "b" / "results.img", fails_at, delivers)

    @contextlib.contextmanager
    def boot(self, _name, _variant):
        yield self.guest


class Boots(unittest.TestCase):
    CHOSEN = [
        cells.Cell("read", "4k", 1),
        cells.Cell("read", "128k", 8, digests=True),
        cells.Cell("write", "4k", 1),
    ]

    def boot(self, fails_at=None, extras=(), delivers=True):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        bench = FakeBench(pathlib.Path(folder.name), fails_at, delivers)
        found = {}
        error = None
        try:
            for cell, figures in measure.boot(bench, "b", None, self.CHOSEN, extras, 3):
                found[cell] = figures
        except console.GuestError as raised:
            error = raised
        return found, error, bench.guest.commands

    def test_every_cell_on_its_connection(self):
        found, error, commands = self.boot(extras=("connect",))
        self.assertIsNone(error)
        self.assertEqual(
            list(found), ["read-4k-qd1", "write-4k-qd1", "read-128k-qd8-dgst", "connect"]
        )
        self.assertEqual(found["read-4k-qd1"]["segments"], 0.1)
        self.assertEqual(found["read-4k-qd1"]["emulator"], 2.0)
        # The played guest says that each took as long as it had commands.
        times = [i for i, c in enumerate(commands, 1) if c.startswith("bench_scan 1 ")]
        self.assertEqual(found["connect"]["seconds"], times[len(times) // 2])
        connects = [c for c in commands if c.startswith(("bench_connect", "bench_disconnect"))]
        self.assertEqual(
            connects,
            ["bench_connect -i 1", "bench_disconnect", "bench_connect -i 1 -g -G", "bench_disconnect"],
        )

    def test_what_was_measured_before_a_failure_is_kept(self):
        found, error, _ = self.boot(fails_at="read-128k-qd8-dgst")
        self.assertEqual(list(found), ["read-4k-qd1", "write-4k-qd1"])
        self.assertIn("segments", found["read-4k-qd1"])
        self.assertIn("nothing within", str(error))

    def test_a_guest_that_is_gone_takes_only_its_snapshots_along(self):
        found, error, _ = self.boot(fails_at="read-128k-qd8-dgst", delivers=False)
        self.assertEqual(list(found), ["read-4k-qd1", "write-4k-qd1"])
        self.assertEqual(found["write-4k-qd1"]["iops"], 1000)
        self.assertNotIn("segments", found["read-4k-qd1"])
        # The first thing that went wrong is what is reported.
        self.assertIn("nothing within", str(error))


class Linux(unittest.TestCase):
    def test_segments(self):
        text = (
            "Ip: Forwarding DefaultTTL\nIp: 2 64\n"
            "Tcp: RtoAlgorithm InSegs OutSegs RetransSegs\nTcp: 1 200 345 0\n"
        )
        self.assertEqual(linux.segments(text), 345)


class Stores(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "samples.jsonl"

    def test_a_run_goes_on(self):
        store = samples.Store(self.path, "b")
        store.sample(1, "c", "read-4k-qd1", {"iops": 5.0})
        store.boot(1, "c")
        store.boot(1, "rust", "GuestError: gone")
        again = samples.Store(self.path, "b")
        self.assertTrue(again.done(1, "c"))
        self.assertFalse(again.done(2, "c"))
        self.assertEqual(again.figures("read-4k-qd1", "c", "iops"), {1: 5.0})
        self.assertEqual(again.figures("read-4k-qd1", "c", "p50"), {})
        self.assertEqual([f["variant"] for f in again.failures()], ["rust"])

    def test_how_long_a_boot_will_take(self):
        store = samples.Store(self.path, "b")
        self.assertIsNone(store.expected("c"))
        store.boot(1, "c", seconds=60)
        store.boot(1, "rust", seconds=80)
        store.boot(2, "rust", seconds=90)
        self.assertEqual(store.expected("rust"), 85)
        self.assertAlmostEqual(store.expected("linux"), 76.67, 1)

    def test_samples_of_another_build_are_not_mixed_in(self):
        samples.Store(self.path, "b")
        with self.assertRaises(samples.OtherBuild):
            samples.Store(self.path, "other")

    def test_fingerprint(self):
        self.path.write_bytes(b"one")
        one = samples.fingerprint([self.path], seconds=3)
        self.assertEqual(one, samples.fingerprint([self.path], seconds=3))
        self.assertNotEqual(one, samples.fingerprint([self.path], seconds=4))
        self.path.write_bytes(b"two")
        self.assertNotEqual(one, samples.fingerprint([self.path], seconds=3))


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = samples.Store(pathlib.Path(folder.name) / "samples.jsonl", "b")
        self.booted = []

    def boot(self, name, variant):
        self.booted.append(name)
        yield "read-4k-qd1", {"iops": 1.0}
        if name == "2-c":
            raise console.GuestError("QEMU exited\nand more")

    def run_boots(self, at_most):
        args = types.SimpleNamespace(pairs=2, variants="c rust", boots=at_most)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            left = bench.run(self.boot, self.store, args)
        return left, said.getvalue()

    def test_a_b_a_b_and_on_where_it_stopped(self):
        left, said = self.run_boots(1)
        self.assertEqual((left, self.booted), (3, ["1-c"]))
        self.assertIn("# pair 1 c: 0 s, 0 min to go", said)
        left, _ = self.run_boots(None)
        self.assertEqual((left, self.booted), (0, ["1-c", "1-rust", "2-c", "2-rust"]))

    def test_a_boot_that_fails_is_a_result_and_so_is_what_it_measured(self):
        self.run_boots(None)
        self.assertEqual(
            [(f["pair"], f["failure"]) for f in self.store.failures()],
            [(2, "GuestError: QEMU exited")],
        )
        self.assertEqual(self.store.figures("read-4k-qd1", "c", "iops"), {1: 1.0, 2: 1.0})


class Reports(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = samples.Store(pathlib.Path(folder.name) / "samples.jsonl", "b")

    def measured(self, cell, **variants):
        for variant, values in variants.items():
            for pair, figures in enumerate(values, 1):
                self.store.sample(pair, variant, cell, figures)

    def example(self):
        self.measured(
            "read-4k-qd1",
            c=[{"iops": 1000, "p99": 10}, {"iops": 2000, "p99": 10}],
            rust=[{"iops": 1700, "p99": 7}, {"iops": 3000, "p99": 9}],
        )
        self.measured(
            "read-128k-qd8", c=[{"mbps": 100}, {"mbps": 100}], rust=[{"mbps": 139}, {"mbps": 141}]
        )
        self.measured("read-128k-qd8-dgst", rust=[{"mbps": 70}, {"mbps": 140}])
        self.store.boot(2, "rust", "Timeout: nothing")

    def test_text(self):
        self.example()
        said = table.text(self.store, ["c", "rust"], {"c": "C", "rust": "Rust"}, "heading")
        row = next(line.split() for line in said.splitlines() if line.startswith("  IOPS"))
        self.assertEqual(row, ["IOPS", "1,500", "2,350", "1.60", "[1.50..1.70]"])
        row = next(line.split() for line in said.splitlines() if "p99 latency" in line)
        self.assertEqual(row[-1], "0.80~[0.70..0.90]")
        self.assertIn("FAILED pair 2 rust: Timeout: nothing", said)

    def test_floors(self):
        self.example()
        found = {c.what: c for c in floors.checks(self.store)}
        self.assertTrue(found["read-4k-qd1 iops : c"].met)  # 1.6 of 1.6
        self.assertTrue(found["read-4k-qd1 p99 : c"].met)
        self.assertTrue(found["read-128k-qd8 mbps : c"].met)  # 1.4 of 1.4
        self.assertFalse(found["read-128k-qd8-dgst : without digests"].met)
        self.assertNotIn("read-4k-qd1 iops : linux", found)
        self.assertEqual(len(found), 4)

    def test_a_lower_figure_is_better_where_it_should_be(self):
        self.measured("read-4k-qd1", c=[{"cpu": 1.0}], rust=[{"cpu": 0.6}])
        self.assertEqual([c.met for c in floors.checks(self.store)], [False])
        self.measured("memory", c=[{"kib": 9}], rust=[{"kib": 9}])
        self.assertEqual([c.met for c in floors.checks(self.store)], [False, True])

    def test_linux_has_no_floor_for_latency_and_processor_time(self):
        self.measured("read-4k-qd1", linux=[{"cpu": 1.0, "p99": 5}], rust=[{"cpu": 3.0, "p99": 9}])
        self.assertEqual([c.verdict for c in floors.checks(self.store)], ["", ""])
        said = table.text(self.store, ["linux", "rust"], {"linux": "L", "rust": "R"}, "heading")
        self.assertIn("  0 of 0 met", said)

    def test_allocations_and_switches(self):
        figures = {"switches_net": 11.0, "mallocs_own": 0.0}
        theirs = {"switches_net": 20.0, "mallocs_own": 5.0}
        self.measured("read-4k-qd1", **{"c-delack0": [theirs]}, rust=[figures])
        found = {c.what: c.verdict for c in floors.checks(self.store)}
        self.assertEqual(
            found,
            {
                "read-4k-qd1 switches_net : c-delack0": "BELOW",
                "mallocs of the modules per I/O, all cells": "met",
            },
        )
        self.measured("write-4k-qd1", rust=[{"mallocs_own": 0.5}, {"mallocs_own": 0.5}])
        self.assertEqual(floors.checks(self.store)[-1].verdict, "BELOW")

    def test_what_more_queues_gain_beside_what_they_gain_the_others(self):
        self.measured("read-4k-qd32", c=[{"iops": 10}], rust=[{"iops": 10}])
        self.measured("read-4k-qd32-4q", c=[{"iops": 9}], rust=[{"iops": 16}])
        found = {c.what: (c.found.median, c.verdict) for c in floors.checks(self.store)}
        self.assertEqual(found["read-4k-qd32-4q : one queue"], (1.6, "met"))
        self.assertEqual(found["read-4k-qd32-4q : one queue, c"], (0.9, ""))

    def test_one_pair_has_no_range(self):
        self.assertEqual(table.show(stats.ratio({1: 3}, {1: 2})), "1.50 (1 pair)")
        self.assertEqual(table.show(stats.ratio({1: 3, 2: 3}, {1: 2, 2: 2})), "1.50 [1.50..1.50]")

    def test_what_was_counted_is_shown_too(self):
        self.example()
        report = "part read-4k-qd1 rust ios=9 spread=0.1%\ntotal 43520 instructions 8102 iterations\n"
        report += "event      2.000 malloc\nfunc     12.000        0.0      1.000 kernel malloc\n"
        counted = costreport.summary(report)
        self.assertEqual(counted, {("read-4k-qd1", "rust"): {"instructions": 43520, "malloc": 2}})
        said = table.text(self.store, ["c", "rust"], {"c": "C", "rust": "Rust"}, "heading", counted)
        self.assertIn(["read-4k-qd1", "rust", "43,520.0", "-", "2.0", "-"],
                      [line.split() for line in said.splitlines()])

    def test_comma_separated(self):
        self.example()
        rows = list(csv.DictReader(io.StringIO(table.comma_separated(self.store, ["c", "rust"]))))
        sample = [r for r in rows if r["kind"] == "sample"]
        self.assertEqual(len(sample), 14)
        ratio = [r for r in rows if r["kind"] == "ratio"]
        self.assertEqual([(r["cell"], r["metric"]) for r in ratio],
                         [("read-4k-qd1", "iops"), ("read-4k-qd1", "p99"), ("read-128k-qd8", "mbps")])
        self.assertEqual(float(ratio[0]["value"]), 1.6)
        self.assertEqual([r["noisy"] for r in ratio], ["0", "1", "0"])

    def test_plot(self):
        self.example()
        drawn = plot.svg(self.store, ["c", "rust"], "a < b")
        root = xml.etree.ElementTree.fromstring(drawn)
        titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
        # Relative to the median of c; what c was not measured in is not drawn.
        self.assertEqual(len(titles), 4)
        self.assertIn("rust 1.57 [1.13..2.00]", titles)

    def test_the_scale_has_room_for_all(self):
        scale = plot.Scale([0.3, 5.0])
        self.assertEqual(scale.ticks(), [0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
        self.assertAlmostEqual(scale.x(8.0) - scale.x(4.0), scale.x(0.5) - scale.x(0.25))
        self.assertEqual(plot.Scale([]).ticks(), [1.0, 2.0])


class Processes(unittest.TestCase):
    def test_processor_time(self):
        import os

        before = session.cpu_seconds(os.getpid())
        if before is None:
            self.skipTest("this system does not tell")
        sum(range(300000))
        self.assertGreater(session.cpu_seconds(os.getpid()), before)


if __name__ == "__main__":
    unittest.main()
