// SPDX-License-Identifier: Apache-2.0
// Owns the calls of precompiles that are timed, with the answers that they must give.
#pragma once

#include <string>
#include <vector>

#include "host/base/types.hpp"

namespace millrace::node {

/// One call of a precompile with its true answer.
struct PrecompileCase {
    std::string name;     ///< "contract" or "contract/size"
    unsigned number = 0;  ///< the address as a number: 1 to 0x11, 0x100
    Bytes input;
    Bytes expected;
};

/// Calls of every precompile up to Osaka, chosen for the most time per gas: long random operands,
/// distinct points, every size at which a price or an algorithm changes. The same on every run.
/// The answers come from algebra over values that only the maker of the input knows, from other
/// implementations (OpenSSL's powers beside GMP's, signatures made by their signer), from
/// publications, or, for the hash functions, from constants computed outside of this program.
std::vector<PrecompileCase> precompile_cases();

}  // namespace millrace::node
