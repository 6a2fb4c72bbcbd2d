// SPDX-License-Identifier: Apache-2.0
// Owns the drill that breaks a device's context on purpose, each time in a process of its own.
#pragma once

#include <span>
#include <string>

#include "kernels/gpu_check/case.hpp"

namespace millrace::gpu_check {

/// A way to break things, and what must be seen.
struct FaultKind {
    const char* name;
    bool killed;  ///< the parent kills the process while its kernel runs
};
std::span<const FaultKind> fault_kinds();

/// The argument of a child that breaks nothing: all cases must agree.
inline constexpr const char* sound_child = "sound";

/// Runs this program again with `--child` and the kind, then once more as a sound child: the fault
/// must be seen by the process that had it, and the next process must find the device as before.
Outcome drill_fault(const FaultKind& kind);

/// What a child does; the text is empty when it saw what it had to see.
std::string run_child(const std::string& kind);

}  // namespace millrace::gpu_check
