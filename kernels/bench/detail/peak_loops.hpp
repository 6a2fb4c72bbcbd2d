// SPDX-License-Identifier: Apache-2.0
// Owns the entries of the loops that keep one unit of the CPU busy; each needs its own flags.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::kernel_bench::detail {

/// Each does `steps` times `peak_operations` independent operations on registers.
inline constexpr size_t peak_operations = 16;
void run_vector_logic(uint64_t steps) noexcept;
void run_madd52(uint64_t steps) noexcept;
void run_sha_rounds(uint64_t steps) noexcept;

}  // namespace millrace::kernel_bench::detail
