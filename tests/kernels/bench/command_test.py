#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Owns the test of `millrace bench kernels` as a program: its files parse, bad options and signals end as documented.

usage: command_test.py MILLRACE SCRATCH_FOLDER
"""
import csv
import json
import os
import signal
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree as ElementTree

PROGRAM = [sys.argv[1], "bench", "kernels"]
SCRATCH = sys.argv[2]
CPU_TIMES = ["real_time", "real_time_min", "real_time_max", "cpu_time", "items_per_second", "bytes_per_second",
             "ns_per_item", "cpu_us_per_item"]


def path(name):
    os.makedirs(SCRATCH, exist_ok=True)
    return os.path.join(SCRATCH, name)


def run(*arguments):
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=240)


class QuickRun(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        files = [f"--{form}={path('quick.' + form)}" for form in ("json", "csv", "markdown", "svg")]
        cls.done = run("--quick", "--batch=1,33", "--context=commit=abc", *files)
        if cls.done.returncode != 0:
            raise AssertionError(cls.done.stderr + cls.done.stdout)
        with open(path("quick.json")) as file:
            cls.json = json.load(file)

    def test_json_has_the_environment(self):
        context = self.json["context"]
        for key in ("date", "millrace", "cpu", "cpu_flags", "core_ghz", "cores", "cores_allowed", "memory_mib", "os", "kernel",
                    "compiler", "build_type", "march", "load_average_before", "load_average_after", "seed", "measured_peaks"):
            self.assertTrue(context[key], key)
        self.assertEqual(context["commit"], "abc")
        self.assertFalse(context["interrupted"])
        # Either there is a device, or a reason.
        self.assertNotEqual(context["gpu"] is None, context["gpu_absent"] is None)

    def test_json_rows_are_measured_or_say_why_not(self):
        rows = self.json["benchmarks"]
        families = {row["family"] for row in rows}
        self.assertLessEqual({"hash", "recover", "tree", "pack", "copy"}, families)
        for row in rows:
            if row["state"] == "measured":
                for key in CPU_TIMES:
                    self.assertGreaterEqual(row[key], 0, row["name"])
                self.assertLessEqual(row["real_time_min"], row["real_time"])
                self.assertLessEqual(row["real_time"], row["real_time_max"])
                self.assertGreaterEqual(row["samples"], 3)
            else:
                self.assertEqual(row["state"], "skipped", row)
                self.assertTrue(row["reason"], row["name"])
        measured = [row for row in rows if row["state"] == "measured"]
        self.assertGreater(len(measured), 60)
        self.assertEqual(len({row["name"] for row in rows}), len(rows), "names are unique")

    def test_a_device_is_measured_or_absent_in_every_family(self):
        for family in ("hash", "recover", "tree", "pack", "copy"):
            rows = [row for row in self.json["benchmarks"] if row["family"] == family and row["backend"] == "cuda"]
            self.assertTrue(rows, family)
        self.assertTrue(self.json["crossovers"])
        for crossover in self.json["crossovers"]:
            self.assertTrue(crossover["batch"] is not None or crossover["reason"])

    def test_csv_has_a_row_for_each_of_json(self):
        with open(path("quick.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), len(self.json["benchmarks"]))
        for ours, theirs in zip(rows, self.json["benchmarks"]):
            self.assertNotIn(None, ours, "no more fields than the header")
            self.assertNotIn(None, ours.values(), "no fewer either")
            self.assertEqual(ours["state"], theirs["state"])
            self.assertEqual(ours["batch"], "" if theirs["batch"] is None else str(theirs["batch"]))

    def test_markdown_is_what_was_printed(self):
        with open(path("quick.markdown")) as file:
            self.assertEqual(file.read(), self.done.stdout)
        self.assertIn("## Crossover", self.done.stdout)

    def test_svg_is_well_formed_and_plots_every_measured_row(self):
        space = "{http://www.w3.org/2000/svg}"
        root = ElementTree.parse(path("quick.svg")).getroot()
        self.assertEqual(root.tag, space + "svg")
        self.assertFalse(list(root.iter(space + "script")))
        width, height = float(root.get("width")), float(root.get("height"))
        marks = [(float(mark.get("cx")), float(mark.get("cy"))) for mark in root.iter(space + "circle")]
        marks += [(float(mark.get("x")), float(mark.get("y"))) for mark in root.iter(space + "rect") if mark.get("width") == "5"]
        self.assertEqual(len(marks), sum(row["state"] == "measured" for row in self.json["benchmarks"]))
        for x, y in marks:
            self.assertTrue(0 < x < width and 0 < y < height)


class Options(unittest.TestCase):
    def test_bad_values_are_exit_code_2_and_named(self):
        for arguments, named in (
                (["hashes"], "hashes"), (["--batch", "0"], "'0'"), (["--batch", "9..1"], "9..1"), (["--batch", ""], "''"),
                (["--batch", "1..2M"], "2M"), (["--sizes", "70000"], "70000"), (["--backends", "opencl"], "opencl"),
                (["--seconds", "0"], "seconds"), (["--seconds", "soon"], "soon"), (["--threads", "0"], "'0'"),
                (["--threads", "1000000"], "1000000"), (["--seed", "-1"], "seed"), (["--seed", "99999999999999999999"], "2^64"), (["--context", "x"], "KEY=VALUE"),
                (["--no-such-option"], "no-such-option"), (["--json"], "json")):
            done = run(*arguments)
            self.assertEqual(done.returncode, 2, (arguments, done.stdout, done.stderr))
            self.assertEqual(done.stdout, "", arguments)
            self.assertIn(named, done.stderr, arguments)

    def test_a_subcommand_is_needed(self):
        done = subprocess.run([sys.argv[1], "bench"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)

    def test_help_names_families_back_ends_and_exit_codes(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("hash", "recover", "tree", "pack", "copy", "scalar", "simd", "cuda", "libsecp256k1", "--batch", "--sizes", "--backends",
                     "--seconds", "--threads", "--seed", "--json", "--csv", "--markdown", "--svg", "--quick", "130"):
            self.assertIn(word, done.stdout)

    def test_only_what_was_asked_for_runs(self):
        # An option that may be repeated does not take the family behind it.
        done = run("--quick", "--batch=8", "--sizes=32", "--backends=scalar", "--threads=1", f"--json={path('some.json')}",
                   "--context", "note=x", "hash")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(path("some.json")) as file:
            names = [row["name"] for row in json.load(file)["benchmarks"]]
        self.assertEqual(names, [f"hash/{hash}/32 B/scalar/threads:1/batch:8" for hash in ("keccak256", "sha256", "blake3")])


class Signals(unittest.TestCase):
    def wait_for_handler(self, pid, number):
        end = time.monotonic() + 60
        while True:
            with open(f"/proc/{pid}/status") as status:
                caught = next(line.split()[1] for line in status if line.startswith("SigCgt:"))
            if int(caught, 16) >> (number - 1) & 1:
                return
            self.assertLess(time.monotonic(), end, "the program catches no signal")
            time.sleep(0.01)

    def test_an_interrupt_ends_in_order_with_partial_results(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            report = path(f"interrupted-{int(number)}.json")
            process = subprocess.Popen([*PROGRAM, "hash", "--seconds=20", "--batch=1,64", "--backends=scalar", f"--json={report}"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.wait_for_handler(process.pid, number)
            process.send_signal(number)
            out, errors = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 130, errors)
            self.assertIn("partial", out)
            with open(report) as file:
                result = json.load(file)
            self.assertTrue(result["context"]["interrupted"])
            self.assertIn("interrupted", [row.get("reason") for row in result["benchmarks"]])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
