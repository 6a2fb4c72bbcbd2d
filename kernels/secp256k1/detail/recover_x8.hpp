// SPDX-License-Identifier: Apache-2.0
// Owns the entry of recover_x8.cpp, which only a CPU with AVX-512 F, BW, DQ, VL and IFMA may run.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/secp256k1/detail/chain.hpp"

namespace millrace::kernels::detail {

/// 1 / a modulo p for a in [1, p); words least significant first.
using InverseModP = void (*)(const uint64_t* a, uint64_t* inverse) noexcept;

/// u1 G + u2 R for the lanes of `count` vectors, at most chain_vectors_max. A lane that is
/// neither `recovered` nor `no_point` met an exception of the addition formulas, or its key is the
/// point at infinity: an exact implementation has to decide.
void recover_x8(const LaneInput* in, size_t count, const GeneratorTables& tables,
                InverseModP inverse, LaneOutput* out) noexcept;

}  // namespace millrace::kernels::detail
