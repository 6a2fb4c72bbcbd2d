// SPDX-License-Identifier: Apache-2.0
// Owns decoding and sender recovery of transactions.
#include "host/sequencer/admission.hpp"

#include "host/sequencer/impersonation.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::sequencer {

RecoveryJobs recovery_jobs(const evm::Transaction& tx) {
    RecoveryJobs out;
    out.jobs.push_back({evm::signing_hash(tx), tx.r, tx.s, tx.y_parity});
    for (const evm::Authorization& a : tx.authorization_list) {
        if (a.y_parity > 1 || a.s > kernels::secp256k1_half_order) {
            out.authority_job.emplace_back(std::nullopt);
        } else {
            out.authority_job.emplace_back(out.jobs.size());
            out.jobs.push_back({evm::authorization_signing_hash(a), a.r, a.s, a.y_parity});
        }
    }
    return out;
}

bool take_recovered(AdmittedTransaction& tx, const RecoveryJobs& jobs,
                    const std::vector<std::optional<Address>>& recovered) {
    if (!recovered[0]) { return false; }
    tx.sender = *recovered[0];
    tx.authorities.clear();
    for (const auto& job : jobs.authority_job) {
        tx.authorities.push_back(job ? recovered[*job] : std::nullopt);
    }
    return true;
}

Result<AdmittedPtr> admit_logged(ByteView raw) {
    auto tx = std::make_shared<AdmittedTransaction>();
    MILLRACE_TRY(tx->transaction, evm::decode_transaction(raw));
    tx->raw.assign(raw.begin(), raw.end());
    tx->hash = kernels::keccak256(raw);
    if (tx->transaction.type == evm::TxType::deposit) {
        tx->sender = tx->transaction.from;
        return tx;
    }
    const RecoveryJobs jobs = recovery_jobs(tx->transaction);
    std::vector<std::optional<Address>> recovered;
    for (const kernels::RecoverJob& j : jobs.jobs) {
        recovered.push_back(kernels::recover_address(j));
    }
    if (const auto impersonated = impersonated_sender(tx->transaction)) {
        recovered[0] = *impersonated;
    }
    if (!take_recovered(*tx, jobs, recovered)) {
        return fail(ErrorCode::invalid_input, "transaction has no valid signature");
    }
    return tx;
}

}  // namespace millrace::sequencer
