// SPDX-License-Identifier: Apache-2.0
// Owns the list of contract functions behind StandardPrecompiles, one per address.
#pragma once

#include <algorithm>
#include <utility>

#include "evm/core/precompile_set.hpp"

namespace millrace::evm::contracts {

/// Every function takes the input of the call, the gas given and the fork, checks the price first
/// and follows PrecompileSet::run.
using Function = PrecompileOutcome(ByteView input, uint64_t gas, Revision revision) noexcept;

Function ecrecover;
Function sha256;
Function ripemd160;
Function identity;
Function modexp;
Function bn254_add;
Function bn254_multiply;
Function bn254_pairing;
Function blake2f;
Function kzg_point_evaluation;
Function bls12_g1_add;
Function bls12_g1_multi_multiply;
Function bls12_g2_add;
Function bls12_g2_multi_multiply;
Function bls12_pairing;
Function bls12_map_fp_to_g1;
Function bls12_map_fp2_to_g2;
Function p256_verify;

/// The two ways out.
inline PrecompileOutcome failure() noexcept { return {}; }
inline PrecompileOutcome success(uint64_t gas_used, Bytes output) noexcept {
    return {true, gas_used, std::move(output)};
}

/// `base` plus `per_word` for every started 32 bytes. Cannot overflow: no input reaches 2^40 bytes.
constexpr uint64_t word_price(uint64_t base, uint64_t per_word, size_t input_bytes) noexcept {
    return base + per_word * ((static_cast<uint64_t>(input_bytes) + 31) / 32);
}

/// The first N bytes of the input, zeros where it is shorter.
template <size_t N>
FixedBytes<N> padded(ByteView input) noexcept {
    return FixedBytes<N>::from(input.first(std::min(input.size(), N)));
}

/// A 32-byte word that says yes or no.
inline Bytes truth_word(bool value) {
    Bytes word(32);
    word[31] = value ? 1 : 0;
    return word;
}

}  // namespace millrace::evm::contracts
