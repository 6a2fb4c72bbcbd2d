// SPDX-License-Identifier: Apache-2.0
// Owns the counts behind the bounds; bench/README.md explains them.
#include "kernels/bench/ceilings.hpp"

namespace millrace::kernel_bench {

namespace {

// 512-bit instructions of one call with eight or sixteen messages in the lanes.

/// 24 rounds, each of 10 for the columns' parities, 5 rotations and 25 exclusive ors of three for
/// theta, 24 rotations for rho, 25 ternary operations for chi and one for iota.
constexpr double keccak_vector_per_block = 24.0 * (10 + 5 + 25 + 24 + 25 + 1) / 8;
/// 7 rounds of 8 quarter-rounds, each of 6 additions, 4 exclusive ors and 4 rotations; 8 at last.
constexpr double blake3_vector_per_block = (7.0 * 8 * 14 + 8) / 16;
/// A round: 6 rotations, 4 ternary operations, 7 additions less that of the schedule's constant.
constexpr double sha256_vector_round = 6 + 4 + 6;
/// A word of the schedule: 4 rotations, 2 shifts, 2 ternary operations, 3 additions; and one
/// addition of the round's constant.
constexpr double sha256_vector_word = 11;
constexpr double sha256_vector_per_block =
    (64 * (sha256_vector_round + 1) + 48 * sha256_vector_word + 8) / 16;
/// The block of padding behind 64 bytes is known: its schedule costs nothing.
constexpr double sha256_vector_padding = (64 * sha256_vector_round + 8) / 16;
/// sha256rnds2 does two of the 64 rounds.
constexpr double sha_rounds_per_block = 32;

// Items a second on an H200: 132 multiprocessors of 64 ALU operations a clock at 1.98 GHz are
// 16.7 T/s. A Keccak block takes at least 4,307 of them, a SHA-256 block of a message 1,020, and 64
// bytes with their block of padding 1,650.
constexpr double h200_keccak_blocks = 3.9e9;
constexpr double h200_sha256_blocks = 16.4e9;
constexpr double h200_sha256_of_64 = 10.1e9;
/// The low end of 55 to 63 GB/s.
constexpr double pcie5_bytes = 55e9;

constexpr size_t keccak_blocks(size_t bytes) { return bytes / 136 + 1; }
constexpr size_t sha256_blocks(size_t bytes) { return (bytes + 8) / 64 + 1; }
/// Of a message of one chunk; a longer one takes at least as many.
constexpr size_t blake3_blocks(size_t bytes) { return bytes == 0 ? 1 : (bytes + 63) / 64; }

double sha256_vector(size_t bytes) {
    const auto blocks = static_cast<double>(sha256_blocks(bytes));
    if (bytes == 64) { return sha256_vector_per_block + sha256_vector_padding; }
    return blocks * sha256_vector_per_block;
}

std::vector<Ceiling> h200_ceilings(HashKind hash, size_t bytes) {
    Ceiling c;
    c.kernel_only = true;
    c.name = "ALU of an H200, derived";
    switch (hash) {
        case HashKind::keccak256:
            c.rate = h200_keccak_blocks / static_cast<double>(keccak_blocks(bytes));
            return {c};
        case HashKind::sha256:
            c.rate = bytes == 64 ? h200_sha256_of_64
                                 : h200_sha256_blocks / static_cast<double>(sha256_blocks(bytes));
            return {c};
        case HashKind::blake3: return {};
    }
    return {};
}

Ceiling cpu_ceiling(CpuUnit unit, double units) {
    Ceiling c;
    c.name = std::string(to_string(unit)) + ", measured";
    c.unit = unit;
    c.units_per_item = units;
    return c;
}

}  // namespace

bool runs_on_h200(const Contender& contender) {
    return contender.on_device && contender.target.find("H200") != std::string::npos;
}

std::vector<Ceiling> bus_ceilings(size_t bytes_in, const Contender& contender) {
    if (!runs_on_h200(contender) || bytes_in == 0) { return {}; }
    Ceiling c;
    c.name = "PCIe Gen5 x16 at 55 GB/s";
    c.rate = pcie5_bytes / static_cast<double>(bytes_in);
    return {c};
}

std::vector<Ceiling> hash_ceilings(HashKind hash, size_t message_bytes,
                                   const Contender& contender) {
    if (contender.on_device) {
        return runs_on_h200(contender) ? h200_ceilings(hash, message_bytes)
                                       : std::vector<Ceiling>{};
    }
    const bool simd = contender.backend == kernels::to_string(kernels::Backend::simd);
    // Highway's name of every target with AVX-512.
    if (simd && contender.target.find("AVX3") != std::string::npos) {
        switch (hash) {
            case HashKind::keccak256:
                return {cpu_ceiling(CpuUnit::vector_logic,
                                    keccak_vector_per_block *
                                        static_cast<double>(keccak_blocks(message_bytes)))};
            case HashKind::sha256:
                return {cpu_ceiling(CpuUnit::vector_logic, sha256_vector(message_bytes))};
            case HashKind::blake3:
                return {cpu_ceiling(CpuUnit::vector_logic,
                                    blake3_vector_per_block *
                                        static_cast<double>(blake3_blocks(message_bytes)))};
        }
    }
    if (hash == HashKind::sha256 && contender.target.find("SHA-NI") != std::string::npos) {
        return {
            cpu_ceiling(CpuUnit::sha_rounds,
                        sha_rounds_per_block * static_cast<double>(sha256_blocks(message_bytes)))};
    }
    return {};
}

}  // namespace millrace::kernel_bench
