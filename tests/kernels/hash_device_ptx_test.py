#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Owns the test that what nvcc's front end makes of the kernels that hash computes the digests of other implementations.

usage: hash_device_ptx_test.py --nvcc NVCC --host-compiler CXX

The host tests run the source, whose instructions for a device only (three-way logic, additions by the multipliers) are left out
there. This test runs the PTX of the kernels in a machine of its own (ptx_machine.py): messages of many lengths, and nodes of a tree.
"""
import argparse
import hashlib
import random
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import ptx_machine  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BLOCK_THREADS = 128
MASK32, MASK64 = 2**32 - 1, 2**64 - 1
LENGTHS = [0, 1, 3, 4, 8, 31, 32, 55, 56, 63, 64, 65, 100, 119, 120, 127, 128, 135, 136, 137, 200, 271, 272, 273]


def rotated(value, count, bits):
    """To the left."""
    return (value << count % bits | value >> -count % bits) & (1 << bits) - 1


def keccak_permuted(a):
    """Keccak-f[1600] as FIPS 202 defines it, with the constants made by its shift register."""
    register = 1
    for _ in range(24):
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        a = [a[i] ^ c[(i + 4) % 5] ^ rotated(c[(i + 1) % 5], 1, 64) for i in range(25)]
        b, x, y = list(a), 1, 0
        for t in range(24):
            b[y + 5 * ((2 * x + 3 * y) % 5)] = rotated(a[x + 5 * y], (t + 1) * (t + 2) // 2, 64)
            x, y = y, (2 * x + 3 * y) % 5
        a = [b[i] ^ ~b[i // 5 * 5 + (i + 1) % 5] & b[i // 5 * 5 + (i + 2) % 5] & MASK64 for i in range(25)]
        for j in range(7):
            a[0] ^= (register & 1) << (2**j - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
    return a


def sponge(message, domain):
    """The first 32 bytes of a sponge with a rate of 136 bytes: Keccak-256 with domain 1, SHA3-256 with domain 6."""
    padded = bytearray(message + bytes([domain])) + bytes(-(len(message) + 1) % 136)
    padded[-1] |= 0x80
    a = [0] * 25
    for at in range(0, len(padded), 136):
        a = keccak_permuted([lane ^ word for lane, word in zip(a, struct.unpack_from("<17Q", padded, at) + (0,) * 8)])
    return struct.pack("<4Q", *a[:4])


def keccak256(message):
    return sponge(message, 1)


def sha256(message):
    return hashlib.sha256(message).digest()


BLAKE3_INITIAL = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]


def blake3(message):
    """BLAKE3 of up to a chunk, as its paper defines it."""
    value = BLAKE3_INITIAL
    blocks = [message[at:at + 64] for at in range(0, len(message), 64)] or [b""]
    for number, block in enumerate(blocks):
        last = number + 1 == len(blocks)
        m = list(struct.unpack("<16I", block.ljust(64, b"\0")))
        v = value + BLAKE3_INITIAL[:4] + [0, 0, len(block), (1 if number == 0 else 0) | (2 | 8 if last else 0)]
        for _ in range(7):
            for i in range(8):
                quarter = [4 * row + (i + (row if i >= 4 else 0)) % 4 for row in range(4)]
                a, b, c, d = (v[q] for q in quarter)
                for word, (turn_d, turn_b) in zip(m[2 * i:2 * i + 2], ((16, 12), (8, 7))):
                    a = a + b + word & MASK32
                    d = rotated(d ^ a, -turn_d, 32)
                    c = c + d & MASK32
                    b = rotated(b ^ c, -turn_b, 32)
                for q, word in zip(quarter, (a, b, c, d)):
                    v[q] = word
            m = [m[i] for i in (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)]
        value = [v[i] ^ v[8 + i] for i in range(8)]
    return struct.pack("<8I", *value)


def translated(arguments, source, folder):
    ptx = Path(folder) / f"{source.stem}.ptx"
    subprocess.run([arguments.nvcc, "-ccbin", arguments.host_compiler, "-std=c++20", "-O3", f"-I{ROOT}", "-arch=sm_90", "-ptx",
                    "-o", ptx, source], check=True)
    return ptx_machine.Module(ptx.read_text(), ptx_machine.Memory())


def put(memory, content):
    place = memory.add(len(content))
    memory.regions[place >> ptx_machine.REGION_SHIFT][:] = content
    return place


def content(memory, place):
    return bytes(memory.regions[place >> ptx_machine.REGION_SHIFT])


def numbers(path, name, digits):
    """The constants of a table of the sources, without those of other forms within it."""
    text = (ROOT / path).read_text()
    text = text[text.index(name + "["):]
    return [int(x, 16) for x in re.findall(rf"0x[0-9a-f]{{{digits}}}\b", text[:text.index("}")])]


def padding_schedule(constants):
    """Schedule words of the padding of 64 bytes, with their round constants (FIPS 180-4, 6.2.2)."""
    w = [0x80000000] + [0] * 14 + [512]
    for t in range(16, 64):
        s0 = rotated(w[t - 15], -7, 32) ^ rotated(w[t - 15], -18, 32) ^ w[t - 15] >> 3
        s1 = rotated(w[t - 2], -17, 32) ^ rotated(w[t - 2], -19, 32) ^ w[t - 2] >> 10
        w.append(w[t - 16] + s0 + w[t - 7] + s1 & MASK32)
    return [a + b & MASK32 for a, b in zip(w, constants)]


def tables():
    """The constants of a device: (Keccak's, SHA-256's, SHA-256's padding of 64 bytes)."""
    sha = numbers("kernels/sha256/detail/compress.hpp", "sha256_round_constants", 8)
    keccak = numbers("kernels/keccak/detail/permutation.hpp", "keccak_round_constants", 16)
    if len(sha) != 64 or len(keccak) != 24:
        sys.exit(f"{len(sha)} and {len(keccak)} round constants were found in the sources")
    return struct.pack("<24Q", *keccak), struct.pack("<64I", *sha), struct.pack("<64I", *padding_schedule(sha))


def set_symbol(module, part, data):
    (place,) = [p for name, p in module.symbols.items() if part in name]
    module.memory.regions[place >> ptx_machine.REGION_SHIFT][:] = data


class Failures:
    def __init__(self):
        self.count = self.compared = 0

    def compare(self, about, got, expected):
        self.compared += 1
        if got != expected:
            self.count += 1
            print(f"{about}: {got.hex()}, expected {expected.hex()}")


def check_messages(module, kernel, reference, failures):
    messages = [bytes(random.randbytes(n)) for n in LENGTHS]
    words, extents = b"", b""
    for message in messages:
        extents += struct.pack("<II", len(words) // 8, len(message))
        words += message + bytes(-len(message) % 8)
    memory = module.memory
    digests = memory.add(32 * len(messages))
    module.kernel(kernel)(struct.pack("<QQI4xQ", put(memory, words), put(memory, extents), len(messages), digests),
                          range(len(messages) + 1), 1, BLOCK_THREADS)
    for i, message in enumerate(messages):
        failures.compare(f"{kernel}, {len(message)} bytes", content(memory, digests)[32 * i:32 * i + 32], reference(message))


def check_nodes(module, number, reference, failures):
    """Three nodes of a level that are listed, then all four of it."""
    memory = module.memory
    kernel = f"hash_level_kernelILNS0_8NodeHashE{number}E"
    for places in ([4, 5, 7], None):
        nodes = random.randbytes(32 * 16)
        node_memory = put(memory, nodes)
        count = len(places or range(4))
        list_memory = put(memory, struct.pack(f"<{count}I", *places)) if places else 0
        changed, hashes = memory.add(4 * count), memory.add(32 * count)
        module.kernel(kernel)(struct.pack("<QQIIQQ", node_memory, list_memory, 4, count, changed, hashes), range(count + 1), 1,
                              BLOCK_THREADS)
        wanted = bytearray(nodes)
        for i, place in enumerate(places or range(4, 8)):
            digest = reference(nodes[64 * place:64 * place + 64])
            wanted[32 * place:32 * place + 32] = digest
            failures.compare(f"{kernel}, changed node {i}", content(memory, changed)[4 * i:4 * i + 4], struct.pack("<I", place))
            failures.compare(f"{kernel}, hash of node {place}", content(memory, hashes)[32 * i:32 * i + 32], digest)
        failures.compare(f"{kernel}, all nodes", content(memory, node_memory), bytes(wanted))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--host-compiler", default="g++-12")
    arguments = parser.parse_args()
    random.seed(1)
    failures = Failures()
    # The references themselves: SHA3-256 has another domain than Keccak-256, and the digest of nothing is BLAKE3's first vector.
    failures.compare("SHA3-256 here", sponge(b"x" * 200, 6), hashlib.sha3_256(b"x" * 200).digest())
    failures.compare("BLAKE3 here", blake3(b""), bytes.fromhex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"))
    keccak, sha, padding = tables()
    with tempfile.TemporaryDirectory() as folder:
        module = translated(arguments, ROOT / "kernels/keccak/keccak_cuda.cu", folder)
        set_symbol(module, "device_round_constants", keccak)
        check_messages(module, "keccak256_kernel", keccak256, failures)
        module = translated(arguments, ROOT / "kernels/sha256/sha256_cuda.cu", folder)
        set_symbol(module, "device_round_constants", sha)
        set_symbol(module, "device_padding_of_64", padding)
        check_messages(module, "sha256_kernel", sha256, failures)
        module = translated(arguments, ROOT / "kernels/blake3/blake3_cuda.cu", folder)
        check_messages(module, "blake3_kernel", blake3, failures)
        module = translated(arguments, ROOT / "kernels/tree/resident_kernels.cu", folder)
        set_symbol(module, "device_tables", keccak + sha + padding)
        for number, reference in enumerate((keccak256, sha256, blake3)):
            check_nodes(module, number, reference, failures)
    print(f"device PTX: {failures.count} failures of {failures.compared} comparisons")
    return 1 if failures.count else 0


if __name__ == "__main__":
    sys.exit(main())
