// SPDX-License-Identifier: Apache-2.0
// Owns what compiled code calls: its names, signatures and the layout that it relies on.
#pragma once

#include <cstdint>
#include <span>

#include "evm/core/frame.hpp"

namespace millrace::evm::jit {

/// Compiled code of a contract: runs the frame with `gas` and gives the status with which it has
/// ended, or `goes_on_interpreted`: frame.resume_position, resume_sp and gas_left say where.
using ContractEntry = int64_t (*)(Frame* frame, int64_t gas);
inline constexpr int64_t goes_on_interpreted = 256;

/// A function that compiled code may call.
struct RuntimeSymbol {
    const char* name;
    void* address;
};
std::span<const RuntimeSymbol> runtime_symbols() noexcept;

/// Changes whenever compiled code of an earlier version must not run: with this interface, the
/// layout of Frame and Message, or what the compiler makes of a program.
uint64_t runtime_version() noexcept;

}  // namespace millrace::evm::jit
