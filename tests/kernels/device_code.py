# SPDX-License-Identifier: Apache-2.0
"""Owns the reading of what nvcc makes of a kernel: registers and spills from ptxas, instructions from the cubin itself.

No device is needed, and no nvdisasm either, since a compiler may come without one: an instruction is 16 bytes on all
architectures from sm_75 on, and its lowest nine bits are the opcode without the operands' kind. The tests that use this module
assert something that only holds when the opcodes are as they are named here.
"""
import argparse
import re
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = "75,80,86,89,90,100,120"

INSTRUCTION_BYTES = 16
OPCODE_MASK = 0x1FF
MOV, SEL, ISETP, IADD3, LEA, LOP3, PRMT, SHF = 0x002, 0x007, 0x00C, 0x010, 0x011, 0x012, 0x016, 0x019
IMAD, IMAD_WIDE, IMAD_HIGH, VIADD = 0x024, 0x025, 0x027, 0x036
NOP, BRANCH = 0x118, 0x147
LOCAL_LOAD, LOCAL_STORE = 0x183, 0x187


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


def words(code):
    """The two halves of each instruction."""
    return [struct.unpack_from("<QQ", code, at) for at in range(0, len(code), INSTRUCTION_BYTES)]


def opcodes(code):
    """Counts of opcodes, without the padding at the end."""
    counts = Counter(low & OPCODE_MASK for low, _ in words(code))
    del counts[NOP]
    return counts


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


def branch_distance(low, high, in_words):
    """Instructions from the one after a branch to its target."""
    if in_words:  # words of 4 bytes: the low 8 bits, then the rest
        distance = 4 * signed((low >> 16 & 0xFF) | (low >> 34) << 8 | (high & 0x3FFFF) << 38, 56)
    else:
        distance = signed(low >> 32 | (high & 0x3FFFF) << 32, 50)
    return distance // INSTRUCTION_BYTES


def loops(code):
    """[(first, last)] instructions of the loops, in the order of their ends."""
    branches = [(at, low, high) for at, (low, high) in enumerate(words(code)) if low & OPCODE_MASK == BRANCH]
    # Each kernel ends with a branch to itself, which shows how this architecture writes distances.
    in_words = branch_distance(*branches[-1][1:], True) == -1
    if not in_words and branch_distance(*branches[-1][1:], False) != -1:
        sys.exit("the last branch of a kernel does not lead to itself: distances are not as this module knows them")
    found = []
    for at, low, high in branches[:-1]:
        target = at + 1 + branch_distance(low, high, in_words)
        if target <= at:
            found.append((target, at))
    return found


def executed(code, trips):
    """Counts of the opcodes that a thread executes when the loops run so many times, in the order of loops(). Branches forward
    are taken to fall through."""
    found = loops(code)
    if len(found) != len(trips):
        sys.exit(f"{len(found)} loops {found}, expected {len(trips)}")
    counts = Counter()
    for at, (low, _) in enumerate(words(code)):
        times = 1
        for (first, last), trip in zip(found, trips):
            times *= trip if first <= at <= last else 1
        counts[low & OPCODE_MASK] += times
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

    def no_local_memory(self, about, code, used):
        """`used` is an entry of resources()."""
        counts = opcodes(code)
        self.that(used[2] == 0, f"{about}: {used[2]} bytes spilled")
        self.that(used[1] == 0, f"{about}: a stack frame of {used[1]} bytes; something is indexed at run time")
        self.that(counts[LOCAL_LOAD] + counts[LOCAL_STORE] == 0, f"{about}: uses local memory")


def known_architectures(nvcc, wanted):
    """Those that this compiler has, in order."""
    listed = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True)
    if listed.returncode != 0:
        sys.exit(f"{nvcc} does not list its architectures: {listed.stderr}")
    has = set(re.findall(r"compute_(\d+)", listed.stdout))
    return [a for a in wanted if a in has]


def run(description, check_architecture, print_table, extend=lambda parser: None):
    """The main function of a test. `check_architecture(arguments, architecture, folder, check)` gives a row of the table."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--host-compiler", default="g++-12")
    parser.add_argument("--architectures", default=ARCHITECTURES)
    parser.add_argument("--table", action="store_true", help="print the measured figures")
    extend(parser)
    arguments = parser.parse_args()
    check = Check()
    wanted = arguments.architectures.split(",")
    architectures = known_architectures(arguments.nvcc, wanted)
    left_out = [a for a in wanted if a not in architectures]
    if left_out:
        print(f"this nvcc does not have sm_{', sm_'.join(left_out)}")
    check.that(architectures, "no architecture is left")
    with tempfile.TemporaryDirectory() as folder:
        rows = {a: check_architecture(arguments, a, folder, check) for a in architectures}
    if arguments.table:
        print_table(rows)
    for failure in check.failures:
        print(failure)
    print(f"device code: {len(check.failures)} failures on {len(rows)} architectures")
    return 1 if check.failures else 0
