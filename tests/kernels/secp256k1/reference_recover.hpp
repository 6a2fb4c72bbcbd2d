// SPDX-License-Identifier: Apache-2.0
// Owns public-key recovery in plain big-integer arithmetic, as the oracle of the kernels.
#pragma once

#include <optional>

#include "kernels/secp256k1/recover.hpp"

namespace millrace::test {

/// The field prime and the generator (SEC 2, 2.4.1).
inline constexpr U256 field_prime{0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff,
                                  0xfffffffefffffc2f};
inline constexpr U256 generator_x{0x79be667ef9dcbbac, 0x55a06295ce870b07, 0x029bfcdb2dce28d9,
                                  0x59f2815b16f81798};

/// (1 / a) mod m for a prime m, by Fermat.
U256 inverse(const U256& a, const U256& m);

/// SEC 1, 4.1.6, for x = r only.
std::optional<kernels::PublicKey> reference_recover(const kernels::RecoverJob& job);

}  // namespace millrace::test
