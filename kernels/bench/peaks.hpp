// SPDX-License-Identifier: Apache-2.0
// Owns the rates of this CPU's units that bound the kernels, measured.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::kernel_bench {

class Crew;

/// What a kernel's work is counted in.
enum class CpuUnit : uint8_t {
    vector_logic,  ///< 512-bit ternary-logic instructions (vpternlogq)
    sha_rounds,    ///< sha256rnds2 instructions, two rounds each
    madd52,        ///< 512-bit vpmadd52 instructions, eight products each
    copied_bytes,  ///< bytes copied between buffers far larger than the caches, past the caches
};
inline constexpr size_t cpu_unit_count = 4;

constexpr std::string_view to_string(CpuUnit unit) noexcept {
    switch (unit) {
        case CpuUnit::vector_logic: return "vpternlogq zmm";
        case CpuUnit::sha_rounds: return "sha256rnds2";
        case CpuUnit::madd52: return "vpmadd52 zmm";
        case CpuUnit::copied_bytes: return "bytes copied past the caches";
    }
    return "unknown";
}

/// Whether this CPU has the unit.
bool cpu_has(CpuUnit unit) noexcept;

/// Units a second by all threads of the crew together: the best of many short runs, in `seconds` in
/// all, of independent operations in registers (or, for copies, of 64 MiB a thread). Short, so that
/// some of them meet nothing else on the cores. Empty when the CPU has no such unit.
std::optional<double> measure_peak(CpuUnit unit, Crew& crew, double seconds);

/// Clock of a core in Hz while it runs a chain of dependent additions, one a cycle.
double measure_core_hz();

}  // namespace millrace::kernel_bench
