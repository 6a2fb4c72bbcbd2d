// SPDX-License-Identifier: Apache-2.0
// Owns the choice of a chain's state commitment, from the settings and the data directory.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "host/base/error.hpp"

namespace millrace::node {

/// The name (ledger/commitment_kind.hpp) for the settings `commitment` and `state_hash`, either of
/// which may be "auto". `existing` is what the data directory at `path` has. `ErrorCode::config`
/// when the settings ask for something else than that, or for what does not exist.
Result<std::string> choose_commitment(std::string_view commitment, std::string_view state_hash,
                                      const std::optional<std::string>& existing,
                                      std::string_view path);

}  // namespace millrace::node
