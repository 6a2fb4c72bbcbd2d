#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Owns the test of what nvcc makes of the kernels of packing and witnesses: registers, stack frames and spills.

usage: device_resources_test.py --nvcc NVCC --host-compiler CXX [--architectures 75,90] [--table] UNIT...

UNIT is a folder of kernels: pack or witness. No device is needed. `--table` prints the registers that were seen.
"""
import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = "75,80,86,89,90,100"

# Most registers of each kernel, by a pattern of its mangled name; T is m (uint64_t) or j (uint32_t), the hashes are numbered.
# At 48 registers ten blocks of 128 threads share a multiprocessor's 65,536, at 80 six: Keccak's state alone takes 50.
UNITS = {
    "pack": ("kernels/pack/pack_kernels.cu",
             {f"pack_{name}I{kind}E": 48 for kind in "jm" for name in
              ("any", "minimum", "pack", "unpack", "encode", "steps", "finish", "widths")} | {"pack_byte_histogram": 32}),
    "witness": ("kernels/witness/witness_kernels.cu",
                {f"witness_{name}ILNS0_8NodeHashE{number}E": most for name in ("paths", "level")
                 for number, most in enumerate((80, 48, 48))}),
}


def resources(arguments, source, architecture, folder):
    """{kernel: (registers, stack bytes, spilled bytes)} from ptxas -v."""
    command = [arguments.nvcc, "-ccbin", arguments.host_compiler, "-std=c++20", "-O3", f"-I{ROOT}", f"-arch=sm_{architecture}",
               "-Xptxas", "-v", "-cubin", "-o", Path(folder) / "kernels.cubin", ROOT / source]
    done = subprocess.run(command, capture_output=True, text=True)
    report = done.stdout + done.stderr
    if done.returncode != 0:
        sys.exit(f"{source} does not compile for sm_{architecture}:\n{report}")
    found = {}
    for part in report.split("Compiling entry function '")[1:]:
        stack, stores, loads = map(int, re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part).groups())
        found[part.split("'", 1)[0]] = (int(re.search(r"Used (\d+) registers", part).group(1)), stack, stores + loads)
    return found


def check(arguments, unit, architecture, folder, failures):
    """Registers by kernel; appends what is wrong to the failures."""
    source, budgets = UNITS[unit]
    found = resources(arguments, source, architecture, folder)
    if len(found) != len(budgets):
        failures.append(f"sm_{architecture} {unit}: {len(found)} kernels, this test knows {len(budgets)}")
    row = {}
    for pattern, registers_max in budgets.items():
        names = [name for name in found if pattern in name]
        about = f"sm_{architecture} {pattern}"
        if len(names) != 1:
            failures.append(f"{about}: {len(names)} kernels of {sorted(found)}")
            continue
        registers, stack, spilled = found[names[0]]
        row[pattern] = registers
        if registers > registers_max:
            failures.append(f"{about}: {registers} registers, at most {registers_max}")
        if spilled != 0:
            failures.append(f"{about}: {spilled} bytes spilled")
        if stack != 0:
            failures.append(f"{about}: a stack frame of {stack} bytes; something is indexed at run time")
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--host-compiler", default="g++-12")
    parser.add_argument("--architectures", default=ARCHITECTURES)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("units", nargs="+", choices=sorted(UNITS))
    arguments = parser.parse_args()
    failures = []
    architectures = arguments.architectures.split(",")
    with tempfile.TemporaryDirectory() as folder:
        for unit in arguments.units:
            for architecture in architectures:
                row = check(arguments, unit, architecture, folder, failures)
                if arguments.table:
                    print(f"sm_{architecture}: " + ", ".join(f"{name} {registers}" for name, registers in row.items()))
    for failure in failures:
        print(failure)
    print(f"device resources: {len(failures)} failures on {len(architectures)} architectures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
