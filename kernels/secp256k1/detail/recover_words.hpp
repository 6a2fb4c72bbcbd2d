// SPDX-License-Identifier: Apache-2.0
// Owns the entry of recover_words.cpp: the chain of recover_x8 one lane after another, on any CPU.
#pragma once

#include "kernels/secp256k1/detail/chain.hpp"

namespace millrace::kernels::detail {

/// As recover_x8, for the first `lanes` lanes; the others' outputs are neither set.
void recover_words(const LaneInput* in, size_t lanes, const GeneratorTables& tables,
                   LaneOutput* out) noexcept;

}  // namespace millrace::kernels::detail
