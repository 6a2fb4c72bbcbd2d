// SPDX-License-Identifier: Apache-2.0
// Owns what the freestanding program asks of the machine under it: a line of output, and its start.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::evm::freestanding {

/// Writes `line` and a line feed.
void write_line(std::string_view line);

/// The program; machine.cpp calls it with the two numbers of the command line and exits with what
/// it returns.
int run_guest(uint64_t first_seed, uint64_t count);

}  // namespace millrace::evm::freestanding
