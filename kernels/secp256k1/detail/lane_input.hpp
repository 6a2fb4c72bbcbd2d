// SPDX-License-Identifier: Apache-2.0
// Owns how jobs become lanes: the checks of values and the scalars of each signature.
#pragma once

#include <span>

#include "kernels/secp256k1/detail/chain.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::kernels::detail {

/// Jobs whose inversions and messages are shared; the working set is about 150 KiB of stack.
inline constexpr size_t chunk_jobs = lanes_x8 * chain_vectors_max;

/// Whether r and s are in [1, n) and y_parity is 0 or 1.
bool values_valid(const RecoverJob& job) noexcept;

/// Fills the lanes of at most chunk_jobs jobs, in order, with u1 = -z / r and u2 = s / r; a job
/// whose values are not valid leaves its lane zero, and so does the end of the last vector.
void fill_lanes(std::span<const RecoverJob> jobs, LaneInput* in) noexcept;

}  // namespace millrace::kernels::detail
