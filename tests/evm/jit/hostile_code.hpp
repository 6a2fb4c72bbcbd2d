// SPDX-License-Identifier: Apache-2.0
// Owns code that is written to make its compilation long or large.
#pragma once

#include <string>
#include <vector>

#include "host/base/types.hpp"

namespace millrace::evm::jit {

struct HostileCode {
    std::string name;
    Bytes code;
};

/// One of each kind, of at most `bytes`.
std::vector<HostileCode> hostile_codes(size_t bytes);

}  // namespace millrace::evm::jit
