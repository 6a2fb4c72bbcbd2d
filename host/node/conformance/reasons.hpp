// SPDX-License-Identifier: Apache-2.0
// Owns how the fixtures name the reasons of refusals, and which of ours they mean.
#pragma once

#include <string_view>

#include "evm/core/block_transition.hpp"

namespace millrace::node {

enum class ReasonMatch : uint8_t {
    same,
    different,
    unknown_name,  ///< none of the expected names is known here
};

/// Whether `fault` is what a fixture's expectException means: one name, or several separated by
/// '|' of which any will do ("TransactionException.NONCE_IS_MAX", "TR_NoFunds", ...).
ReasonMatch match_reason(std::string_view expected, const evm::BlockFault& fault);

}  // namespace millrace::node
