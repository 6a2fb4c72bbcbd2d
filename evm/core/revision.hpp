// SPDX-License-Identifier: Apache-2.0
// Owns the list of forks as the EVM sees them.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::evm {

/// Forks that change execution, in order. Muir Glacier, Arrow Glacier and Gray Glacier change only
/// the difficulty bomb; the BPO forks change only blob parameters and are numbers of the chain
/// spec.
enum class Revision : uint8_t {
    frontier,
    homestead,
    tangerine_whistle,  ///< EIP-150
    spurious_dragon,    ///< EIP-158/161
    byzantium,
    constantinople,
    petersburg,  ///< also "ConstantinopleFix"
    istanbul,
    berlin,
    london,
    paris,  ///< the merge
    shanghai,
    cancun,
    prague,
    osaka,
};

inline constexpr Revision latest_revision = Revision::osaka;
inline constexpr int revision_count = static_cast<int>(latest_revision) + 1;

std::string_view to_string(Revision revision) noexcept;
/// Accepts the names of the Ethereum test fixtures ("Frontier", "EIP150", "ConstantinopleFix",
/// "Merge", "Osaka", ...) in any letter case.
std::optional<Revision> revision_from_text(std::string_view text) noexcept;

}  // namespace millrace::evm
