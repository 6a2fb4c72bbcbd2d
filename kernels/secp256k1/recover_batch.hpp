// SPDX-License-Identifier: Apache-2.0
// Owns public-key recovery of many signatures at once: one call, back ends with byte-equal results.
#pragma once

#include <optional>
#include <span>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::kernels {

/// Writes what recover_public_key, or recover_address, gives for jobs[i] to keys[i], or
/// addresses[i]: the back ends agree with it bit for bit, in refusals too. `scalar` is portable
/// code of our own that shares tables and inversions; `simd` takes eight jobs at a time on a CPU
/// with AVX-512 IFMA. Any thread. Fails with `invalid_input` when the counts differ and
/// `unavailable` when the back end is absent; the outputs are then untouched. Allocates nothing;
/// the first call makes tables of 512 KiB in about 2 ms (see prepare_recovery). One job takes 32 us
/// with either, a job of a long batch 28 us with `scalar`, eight jobs 43 us with `simd`, and a job
/// of a long batch 4.9 us (a Zen 4 core at 3.65 GHz, bench/results/secp256k1-recovery.json).
Result<void> recover_public_keys(Backend backend, std::span<const RecoverJob> jobs,
                                 std::span<std::optional<PublicKey>> keys);
Result<void> recover_addresses(Backend backend, std::span<const RecoverJob> jobs,
                               std::span<std::optional<Address>> addresses);

/// Whether a back end can be used here, on what it runs, and why not.
BackendStatus recover_backend_status(Backend backend);

/// The fastest back end of this CPU.
Backend fastest_recover_backend() noexcept;

/// Jobs that a back end takes at a time: a batch of a multiple leaves no lane empty.
size_t recover_lanes(Backend backend) noexcept;

/// Makes what the back end needs before its first job, so that the first job need not wait for it.
void prepare_recovery(Backend backend) noexcept;

}  // namespace millrace::kernels
