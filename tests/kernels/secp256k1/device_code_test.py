#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Owns the test of what nvcc makes of the recovery kernels: registers, spills and instructions per operation.

usage: device_code_test.py --nvcc NVCC --host-compiler CXX [--architectures 75,90] [--table]

No device is needed; device_code.py says how the machine code is counted. `--table` prints the measured figures as the rows of the
README.
"""
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from device_code import BRANCH, IMAD_HIGH, IMAD_WIDE, ROOT, compile_unit, one, opcodes, run  # noqa: E402

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


def check_architecture(arguments, architecture, folder, check):
    row = {}
    code, used = compile_unit(arguments, ROOT / "kernels/secp256k1/recover_kernels.cu", architecture, folder)
    for stage in STAGES:
        registers = one(used, stage)[0]
        counts = opcodes(one(code, stage))
        about = f"sm_{architecture} {stage}"
        check.that(registers <= REGISTERS_MAX, f"{about}: {registers} registers, at most {REGISTERS_MAX}")
        check.no_local_memory(about, one(code, stage), one(used, stage))
        check.that(counts[IMAD_HIGH] <= IMAD_HIGH_MAX, f"{about}: {counts[IMAD_HIGH]} IMAD.HI; carry chains did not become IMAD.WIDE")
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


def add_probe(parser):
    parser.add_argument("--probe", type=Path, default=ROOT / "tests/kernels/secp256k1/device_code_probe.cu")


if __name__ == "__main__":
    sys.exit(run(__doc__.split("\n\n")[0], check_architecture, print_table, add_probe))
