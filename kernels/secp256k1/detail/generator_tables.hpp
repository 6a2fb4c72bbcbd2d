// SPDX-License-Identifier: Apache-2.0
// Owns the tables of multiples of the generator.
#pragma once

#include "kernels/secp256k1/detail/chain.hpp"

namespace millrace::kernels::detail {

/// Fills `tables` from the generator alone, in about 2 ms.
void make_generator_tables(GeneratorTables& tables) noexcept;

/// The tables of the process, made by the first caller; others wait meanwhile.
const GeneratorTables& generator_tables() noexcept;

}  // namespace millrace::kernels::detail
