#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Owns the test that what nvcc's front end makes of the recovery kernels computes the known answers.

usage: device_ptx_test.py --nvcc NVCC --host-compiler CXX [--answers N]

The host tests run the source; this one runs the PTX of every stage in a machine of its own (ptx_machine.py), carry flag and all,
so that only the assembler and the device itself are left untested where there is no device.
"""
import argparse
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import ptx_machine  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
KERNELS = ROOT / "kernels/secp256k1"
P = 2**256 - 2**32 - 977
GENERATOR = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
             0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)
BLOCK_THREADS = 128
SLOT_BYTES, OUTPUT_BYTES, ENTRY_BYTES, TABLE_BYTES = 128, 32, 64, 16 * 96
ROW_ENTRIES, WINDOW_BITS = 4096, 13
VERDICTS = {"verdict_valid": 1, "verdict_invalid": 2, "verdict_redo": 3}


def added(a, b):
    """The sum of two affine points, neither opposite."""
    slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiplied(factor, point):
    result = None
    for bit in bin(factor)[2:]:
        result = added(result, result) if result else None
        if bit == "1":
            result = added(result, point) if result else point
    return result


def table_entry(entry):
    row, column = divmod(entry, ROW_ENTRIES)
    x, y = multiplied((2 * column + 1) << (WINDOW_BITS * row), GENERATOR)
    return x.to_bytes(32, "little") + y.to_bytes(32, "little")


class GeneratorTable:
    """Entries of the generator's table, made when they are read."""

    def __init__(self):
        self.entries = {}

    def read(self, offset, size):
        entry, within = divmod(offset, ENTRY_BYTES)
        if entry not in self.entries:
            self.entries[entry] = table_entry(entry)
        return self.entries[entry][within:within + size]


def known_answers():
    """(slot without tag, verdict, address) of each entry of known_answers.hpp."""
    text = re.sub(r"//[^\n]*", "", (KERNELS / "detail/gpu/known_answers.hpp").read_text())
    text = text[text.index("known_answers[] = {"):]
    entry = re.compile(r"\{\{([^}]*)\},\s*\{([^}]*)\},\s*\{([^}]*)\},\s*(\d+),\s*(verdict_\w+),\s*\{([^}]*)\}\}")
    answers = []
    for digest, r, s, parity, verdict, address in entry.findall(text):
        number = [sum(int(w, 16) << 64 * (3 - i) for i, w in enumerate(x.split(","))) for x in (digest, r, s)]
        slot = number[0].to_bytes(32, "big") + number[1].to_bytes(32, "little") + number[2].to_bytes(32, "little")
        octets = bytes(int(x, 16) for x in address.split(",") if x.strip())
        answers.append((slot + struct.pack("<I", int(parity)), VERDICTS[verdict], octets.ljust(20, b"\0")))
    return answers


def round_constants():
    text = (ROOT / "kernels/keccak/detail/permutation.hpp").read_text()
    listed = text[text.index("keccak_round_constants[keccak_rounds] = {"):]
    constants = [int(x, 16) for x in re.findall(r"0x[0-9a-f]{16}", listed[:listed.index("}")])]
    return struct.pack("<24Q", *constants)


def recover(module, answers):
    """The outputs of the stages over the answers' slots, one inverting thread for every three jobs."""
    memory, count = module.memory, len(answers)
    source = memory.add(SLOT_BYTES * (count + 1))
    image = bytearray(SLOT_BYTES * (count + 1))
    struct.pack_into("<I", image, 0, count)
    for i, (slot, _, _) in enumerate(answers):
        image[SLOT_BYTES * (i + 1):SLOT_BYTES * (i + 1) + len(slot) + 4] = slot + struct.pack("<I", 1000 + i)
    memory.regions[source >> ptx_machine.REGION_SHIFT][:] = image
    outputs = memory.add(OUTPUT_BYTES * count)
    numbers = [memory.add(32 * count) for _ in range(4)]
    digits, generator_digits = memory.add(52 * count), memory.add(2 * 20 * count)
    workspace = struct.pack("<I4x8Q", count, *numbers, digits, generator_digits, memory.add(4 * count),
                            memory.add(TABLE_BYTES * count))
    table = memory.add_lazy(GeneratorTable().read)
    (constants,) = module.symbols.values()
    memory.regions[constants >> ptx_machine.REGION_SHIFT][:] = round_constants()
    blocks = 1
    for stage, extra in (("recover_prepare", b""), ("recover_digits", b""), ("recover_tabulate", b""),
                         ("recover_multiply", struct.pack("<Q", table)), ("recover_finish", struct.pack("<Q", outputs))):
        # Threads beyond the count return at once; with one block every job has a thread of its own.
        module.kernel(stage)(workspace + struct.pack("<Q", source) + extra, range(count + 1), blocks, BLOCK_THREADS)
    return bytes(memory.regions[outputs >> ptx_machine.REGION_SHIFT])


def wrong_table_entries(module):
    """How many of some entries of the generator's table the device's kernel makes otherwise."""
    memory, entries = module.memory, [0, 1, 2, 4094, 4095, 4096, 10 * ROW_ENTRIES + 77, 20 * ROW_ENTRIES - 1]
    table = memory.add(ENTRY_BYTES * 20 * ROW_ENTRIES)
    rows = b"".join(table_entry(row * ROW_ENTRIES) for row in range(20))
    module.kernel("recover_make_table")(rows + struct.pack("<Q", table), entries, 20 * ROW_ENTRIES // BLOCK_THREADS, BLOCK_THREADS)
    made = memory.regions[table >> ptx_machine.REGION_SHIFT]
    return sum(made[ENTRY_BYTES * e:ENTRY_BYTES * (e + 1)] != table_entry(e) for e in entries)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--host-compiler", default="g++-12")
    parser.add_argument("--answers", type=int, default=1000, help="at most so many of the known answers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ptx = Path(folder) / "kernels.ptx"
        subprocess.run([arguments.nvcc, "-ccbin", arguments.host_compiler, "-std=c++20", "-O3", f"-I{ROOT}", "-arch=sm_90", "-ptx",
                        "-o", ptx, KERNELS / "recover_kernels.cu"], check=True)
        module = ptx_machine.Module(ptx.read_text(), ptx_machine.Memory())
    answers = known_answers()[:arguments.answers]
    if len(answers) < min(20, arguments.answers):
        sys.exit(f"only {len(answers)} known answers were read from known_answers.hpp")
    outputs = recover(module, answers)
    failures = wrong_table_entries(module)
    if failures:
        print(f"{failures} entries of the generator's table are wrong")
    for i, (_, verdict, address) in enumerate(answers):
        got = outputs[OUTPUT_BYTES * i:OUTPUT_BYTES * (i + 1)]
        expected = address + struct.pack("<III", verdict, 1000 + i, 0)
        if got != expected:
            failures += 1
            print(f"known answer {i}: {got.hex()}, expected {expected.hex()}")
    print(f"device PTX: {failures} failures on {len(answers)} known answers and the generator's table")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
