#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Owns the test of what nvcc makes of the recovery kernels: registers, spills and instructions per operation.

usage: device_code_test.py --nvcc NVCC --host-compiler CXX [--architectures 75,90] [--table]

No device is needed. The machine code is counted from the cubin itself, since a compiler may come without nvdisasm: an
instruction is 16 bytes on all of these architectures, and its lowest nine bits are the opcode without the operands' kind.
`--table` prints the measured figures as the rows of the README.
"""
import argparse
import re
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ARCHITECTURES = "75,80,86,89,90,100"

INSTRUCTION_BYTES = 16
OPCODE_MASK = 0x1FF
IMAD_WIDE, IMAD_HIGH = 0x025, 0x027
NOP, BRANCH = 0x118, 0x147
LOCAL_LOAD, LOCAL_STORE = 0x183, 0x187

REGISTERS_MAX = 128
# A product whose chains fall apart has 56 of them.
IMAD_HIGH_MAX = 8
STAGES = ["recover_prepare", "recover_digits", "recover_tabulate", "recover_multiply", "recover_finish", "recover_make_table"]
# Instructions of one operation: exactly so many IMAD.WIDE (64 or 36 products of limbs, and 9 of a reduction), and at most so
# many in all. The sums of a point operation's last coordinate share one reduction: doubling has 3 products and 4 squares,
# addition 8 and 3.
REDUCTION_WIDE = 9
MUL_WIDE, SQR_WIDE = 64 + REDUCTION_WIDE, 36 + REDUCTION_WIDE
BUDGETS = {"field_mul": (MUL_WIDE, 152), "field_sqr": (SQR_WIDE, 125), "field_add": (0, 26), "field_sub": (0, 28),
           "point_double": (3 * MUL_WIDE + 4 * SQR_WIDE - REDUCTION_WIDE, 975),
           "point_add": (8 * MUL_WIDE + 3 * SQR_WIDE - REDUCTION_WIDE, 1525)}


def compile_unit(arguments, source, architecture, folder):
    """(machine code by kernel, resources by kernel) of one source for one architecture."""
    cubin = Path(folder) / f"{source.stem}_{architecture}.cubin"
    command = [arguments.nvcc, "-ccbin", arguments.host_compiler, "-std=c++20", "-O3", f"-I{ROOT}", f"-arch=sm_{architecture}",
               "-Xptxas", "-v", "-cubin", "-o", cubin, source]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{source.name} does not compile for sm_{architecture}:\n{done.stdout}{done.stderr}")
    return text_sections(cubin.read_bytes()), resources(done.stdout + done.stderr)


def text_sections(elf):
    """The code of each kernel, from the sections .text.KERNEL of a 64-bit ELF file."""
    section_table = struct.unpack_from("<Q", elf, 0x28)[0]
    entry_bytes, count, names_index = struct.unpack_from("<HHH", elf, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, section_table + i * entry_bytes) for i in range(count)]
    names = elf[sections[names_index][4]:][:sections[names_index][5]]
    code = {}
    for section in sections:
        name = names[section[0]:names.index(b"\0", section[0])].decode()
        if name.startswith(".text."):
            code[name[len(".text."):]] = elf[section[4]:section[4] + section[5]]
    return code


def resources(report):
    """{kernel: (registers, stack bytes, spilled bytes)} from ptxas -v."""
    found = {}
    for part in report.split("Compiling entry function '")[1:]:
        stack, stores, loads = map(int, re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part).groups())
        found[part.split("'", 1)[0]] = (int(re.search(r"Used (\d+) registers", part).group(1)), stack, stores + loads)
    return found


def opcodes(code):
    """Counts of opcodes, without the padding at the end."""
    counts = Counter(struct.unpack_from("<Q", code, at)[0] & OPCODE_MASK for at in range(0, len(code), INSTRUCTION_BYTES))
    del counts[NOP]
    return counts


def one(mapping, name):
    """The value whose mangled key contains the name."""
    values = [value for key, value in mapping.items() if name in key]
    if len(values) != 1:
        sys.exit(f"{len(values)} kernels contain '{name}': {sorted(mapping)}")
    return values[0]


class Check:
    def __init__(self):
        self.failures = []

    def that(self, condition, message):
        if not condition:
            self.failures.append(message)


def check_architecture(arguments, architecture, folder, check):
    row = {}
    code, used = compile_unit(arguments, ROOT / "kernels/secp256k1/recover_kernels.cu", architecture, folder)
    for stage in STAGES:
        registers, stack, spilled = one(used, stage)
        counts = opcodes(one(code, stage))
        about = f"sm_{architecture} {stage}"
        check.that(registers <= REGISTERS_MAX, f"{about}: {registers} registers, at most {REGISTERS_MAX}")
        check.that(spilled == 0, f"{about}: {spilled} bytes spilled")
        check.that(stack == 0, f"{about}: a stack frame of {stack} bytes; something is indexed at run time")
        check.that(counts[IMAD_HIGH] <= IMAD_HIGH_MAX, f"{about}: {counts[IMAD_HIGH]} IMAD.HI; carry chains did not become IMAD.WIDE")
        check.that(counts[LOCAL_LOAD] + counts[LOCAL_STORE] == 0, f"{about}: uses local memory")
        check.that(counts[BRANCH] > 0 and counts[IMAD_WIDE] > 0, f"{about}: opcodes are not as this test knows them")
        row[stage] = (registers, sum(counts.values()), counts[IMAD_WIDE])
    code, used = compile_unit(arguments, arguments.probe, architecture, folder)
    for name, (wide, most) in BUDGETS.items():
        fewer, more = (0, 1) if name.startswith("point_") else (1, 2)
        less, full = (opcodes(one(code, f"probe_{name}_{copies}")) for copies in (fewer, more))
        check.that(one(used, f"probe_{name}_{more}")[2] == 0, f"sm_{architecture} {name}: spills")
        total = sum(full.values()) - sum(less.values())
        seen = full[IMAD_WIDE] - less[IMAD_WIDE]
        about = f"sm_{architecture} {name}"
        # Addresses and small constants of the fold may or may not go through IMAD.WIDE.
        check.that(wide - 2 <= seen <= wide + 4, f"{about}: {seen} IMAD.WIDE, expected {wide}")
        check.that(full[IMAD_HIGH] <= IMAD_HIGH_MAX, f"{about}: {full[IMAD_HIGH]} IMAD.HI; carry chains did not become IMAD.WIDE")
        check.that(total <= most, f"{about}: {total} instructions, at most {most}")
        check.that(total > wide, f"{about}: {total} instructions cannot hold {wide} IMAD.WIDE; the count is wrong")
        row[name] = (total, seen)
    return row


def print_table(rows):
    print("| sm | " + " | ".join(stage.removeprefix("recover_") for stage in STAGES[:5]) + " | "
          + " | ".join(name.replace("_", " ") for name in BUDGETS) + " |")
    print("|" + "---|" * (1 + 5 + len(BUDGETS)))
    for architecture, row in rows.items():
        stages = [str(row[stage][0]) for stage in STAGES[:5]]
        operations = [f"{row[name][0]} ({row[name][1]})" for name in BUDGETS]
        print(f"| {architecture} | " + " | ".join(stages + operations) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--host-compiler", default="g++-12")
    parser.add_argument("--architectures", default=ARCHITECTURES)
    parser.add_argument("--probe", type=Path, default=ROOT / "tests/kernels/secp256k1/device_code_probe.cu")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    check = Check()
    with tempfile.TemporaryDirectory() as folder:
        rows = {a: check_architecture(arguments, a, folder, check) for a in arguments.architectures.split(",")}
    if arguments.table:
        print_table(rows)
    for failure in check.failures:
        print(failure)
    print(f"device code: {len(check.failures)} failures on {len(rows)} architectures")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
