// SPDX-License-Identifier: Apache-2.0
// Owns what can only be compared when all transactions of a replay have run.
#pragma once

#include <optional>

#include "host/validator/detail/run.hpp"

namespace millrace::validator::detail {

// Each of these may run at the same time as the others. No transaction is at fault by itself.

/// Compares balances and bounds (by dependencies), dependencies, and reads that nobody made.
std::optional<ReplayFault> settle(const Run& run);
/// Compares the digest of the receipts.
std::optional<ReplayFault> compare_receipts(const Run& run);
/// Net post-values by the claims, which are those of the run when nothing is at fault.
storage::StateDelta post_values(const Run& run);

}  // namespace millrace::validator::detail
