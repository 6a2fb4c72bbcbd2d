// SPDX-License-Identifier: Apache-2.0
// Owns the names of the cases: one line here and one in cases() adds a kernel to the check.
#pragma once

#include "kernels/gpu_check/case.hpp"

namespace millrace::gpu_check {

Case& keccak_case();
Case& recover_case();
/// Encoding: zigzag delta and packing.
Case& pack_case();
/// Decoding: unpacking and the sums of zigzag deltas.
Case& unpack_case();
Case& witness_case();

}  // namespace millrace::gpu_check
