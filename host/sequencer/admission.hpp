// SPDX-License-Identifier: Apache-2.0
// Owns the step from wire form to an admitted transaction: decoding, stateless rules, hashes.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "host/sequencer/types.hpp"
#include "kernels/offload/engine.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::sequencer {

/// What must be recovered for a transaction: its sender first, then each EIP-7702 authority whose
/// signature is in range. `authority_job[i]` is the place of authorization i among the jobs.
struct RecoveryJobs {
    std::vector<kernels::RecoverJob> jobs;
    std::vector<std::optional<size_t>> authority_job;
};
RecoveryJobs recovery_jobs(const evm::Transaction& tx);
/// Puts recovered addresses where they belong; false when the sender's signature is invalid.
bool take_recovered(AdmittedTransaction& tx, const RecoveryJobs& jobs,
                    std::span<const std::optional<Address>> recovered);

/// Rebuilds transactions from the log, where everything was admitted once: impersonated senders of
/// development nodes are accepted. All signatures are recovered in one batch, on the engine or,
/// where it is null, on the calling thread.
Result<std::vector<AdmittedPtr>> admit_logged(std::span<const Bytes> raw,
                                              kernels::OffloadEngine* offload);
Result<AdmittedPtr> admit_logged(ByteView raw);

}  // namespace millrace::sequencer
