#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Owns the test of what nvcc makes of the kernels that hash and of the tree: registers, spills, instructions against the budgets.

usage: hash_device_code_test.py --nvcc NVCC --host-compiler CXX [--architectures 75,90] [--table]

No device is needed; device_code.py says how the machine code is counted. A multiprocessor issues 128 instructions of threads a
clock, and its pipe for logic, shifts and additions takes 64 of them, so the operations of that pipe bound every hash. The budgets
are the operations that no other pipe can do, logic and shifts, for one message of 64 bytes (with 132 multiprocessors at 1.98 GHz
16.7 T operations/s, hence the limits of Keccak-256, 3.9 G/s, and of SHA-256, 10.1 G/s):

Keccak-256: 24 rounds of 122 logic (20 for the columns' parities, 50 to add them, 50 for chi, 2 for iota) and 58 shifts (24 lanes
and 5 parities of two words), less 13 where the first round meets zeros and the last one drops lanes.
SHA-256: a round has 6 shifts and 4 logic, a word of the schedule 6 shifts and 2 logic. Two blocks, of which the second is padding
whose schedule is known: 128 rounds and 48 words.
BLAKE3: 7 rounds of 8 mixings of 4 logic and 4 shifts each, and 8 logic at the end.

Additions can be done by the multipliers, which idle otherwise (kernels/batch/detail/words_add.hpp). nvcc makes none for sm_120,
whose additions are not counted here.
"""
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from device_code import (IADD3, IMAD, ISETP, LEA, LOP3, MOV, PRMT, ROOT, SEL, SHF, VIADD, compile_unit, executed, one,  # noqa: E402
                         run)

SLACK = 1.15
BUDGETS = {"keccak256": 24 * (122 + 58) - 13, "sha256": 128 * 10 + 48 * 8, "blake3": 7 * 8 * 8 + 8}
PIPE = (LOP3, SHF, IADD3, PRMT, SEL, ISETP, LEA, MOV, VIADD)
ADDITIONS_COUNT_BELOW = 120
# Five blocks of 128 threads fill the registers of a multiprocessor at 96, eight at 64.
REGISTERS_MAX = {"keccak256": 96, "sha256": 64, "blake3": 64}

TREE = "kernels/tree/resident_kernels.cu"
# (source, part of the kernel's mangled name, hash, how often each loop runs for one message of 64 bytes, for one level of the top)
HASHES = [("kernels/keccak/keccak_cuda.cu", "keccak256_kernel", "keccak256", [12, 1]),
          ("kernels/sha256/sha256_cuda.cu", "sha256_kernel", "sha256", [3, 1, 4]),
          ("kernels/blake3/blake3_cuda.cu", "blake3_kernel", "blake3", [1]),
          (TREE, "hash_level_kernelILNS0_8NodeHashE0E", "keccak256", [12]),
          (TREE, "hash_level_kernelILNS0_8NodeHashE1E", "sha256", [3, 4]),
          (TREE, "hash_level_kernelILNS0_8NodeHashE2E", "blake3", []),
          (TREE, "hash_top_kernelILNS0_8NodeHashE0E", "keccak256", [12, 1]),
          (TREE, "hash_top_kernelILNS0_8NodeHashE1E", "sha256", [3, 4, 1]),
          (TREE, "hash_top_kernelILNS0_8NodeHashE2E", "blake3", [1])]
# The ragged kernels also place any length, and those of the top list places: instructions beyond one hash.
EXTRA = {"keccak256_kernel": 300, "sha256_kernel": 300, "blake3_kernel": 120, "hash_level": 0, "hash_top": 150}
OTHERS = [(TREE, "settle_kernel"), (TREE, "fill_kernel"), (TREE, "number_kernel")]


def check_hash(about, kernel, hash_name, counts, registers, architecture, check):
    """Gives (registers, operations of the bounding pipe, all instructions)."""
    pipe = sum(counts[o] for o in PIPE if o != IADD3 or int(architecture) < ADDITIONS_COUNT_BELOW)
    total = sum(counts.values())
    logic = counts[LOP3] + counts[SHF]
    budget = BUDGETS[hash_name]
    most = SLACK * budget + next(n for part, n in EXTRA.items() if part in kernel)
    check.that(registers <= REGISTERS_MAX[hash_name], f"{about}: {registers} registers, at most {REGISTERS_MAX[hash_name]}")
    check.that(pipe <= most, f"{about}: {pipe} operations of the logic pipe, at most {most:.0f}; the budget is {budget}")
    check.that(counts[IMAD] <= most, f"{about}: {counts[IMAD]} operations of the multipliers, at most {most:.0f}")
    check.that(total <= 2 * most, f"{about}: {total} instructions, at most {2 * most:.0f} can be issued in that time")
    # Constants that meet in the first round save a few.
    check.that(logic >= 0.98 * budget, f"{about}: {logic} logic and shifts cannot make a hash of {budget}; the count is wrong")
    return registers, pipe, total


def check_architecture(arguments, architecture, folder, check):
    row, units = {}, {}
    for source in dict.fromkeys(entry[0] for entry in HASHES):
        units[source] = compile_unit(arguments, ROOT / source, architecture, folder)
    for source, kernel, *_ in HASHES + OTHERS:
        code, used = units[source]
        check.no_local_memory(f"sm_{architecture} {kernel}", one(code, kernel), one(used, kernel))
    for source, kernel, hash_name, trips in HASHES:
        code, used = units[source]
        row[kernel] = check_hash(f"sm_{architecture} {kernel}", kernel, hash_name, executed(one(code, kernel), trips),
                                 one(used, kernel)[0], architecture, check)
    return row


def print_table(rows):
    """Registers, operations of the bounding pipe in percent of the budget, and all instructions, of the tree's levels."""
    shown = [entry for entry in HASHES if "hash_level" in entry[1]]
    print("| sm | " + " | ".join(f"{hash_name} ({BUDGETS[hash_name]})" for _, _, hash_name, _ in shown) + " |")
    print("|" + "---|" * (1 + len(shown)))
    for architecture, row in rows.items():
        cells = []
        for _, kernel, hash_name, _ in shown:
            registers, pipe, total = row[kernel]
            cells.append(f"{registers} registers, {pipe} ({100 * pipe / BUDGETS[hash_name]:.0f} %), {total} in all")
        print(f"| {architecture} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    sys.exit(run(__doc__.split("\n\n")[0], check_architecture, print_table))
