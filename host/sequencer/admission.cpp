// SPDX-License-Identifier: Apache-2.0
// Owns decoding and sender recovery of transactions.
#include "host/sequencer/admission.hpp"

#include "host/sequencer/impersonation.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/secp256k1/recover_batch.hpp"

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
                    std::span<const std::optional<Address>> recovered) {
    if (!recovered[0]) { return false; }
    tx.sender = *recovered[0];
    tx.authorities.clear();
    for (const auto& job : jobs.authority_job) {
        tx.authorities.push_back(job ? recovered[*job] : std::nullopt);
    }
    return true;
}

Result<std::vector<AdmittedPtr>> admit_logged(std::span<const Bytes> raw,
                                              kernels::OffloadEngine* offload) {
    std::vector<std::shared_ptr<AdmittedTransaction>> admitted;
    std::vector<RecoveryJobs> jobs_of;
    std::vector<kernels::RecoverJob> jobs;
    for (const Bytes& bytes : raw) {
        auto tx = std::make_shared<AdmittedTransaction>();
        MILLRACE_TRY(tx->transaction, evm::decode_transaction(bytes));
        tx->raw = bytes;
        tx->hash = kernels::keccak256(bytes);
        RecoveryJobs& own = jobs_of.emplace_back();
        if (tx->transaction.type != evm::TxType::deposit) { own = recovery_jobs(tx->transaction); }
        jobs.insert(jobs.end(), own.jobs.begin(), own.jobs.end());
        admitted.push_back(std::move(tx));
    }
    std::vector<std::optional<Address>> recovered(jobs.size());
    if (offload != nullptr) {
        offload->recover_senders(jobs, recovered);
    } else {
        MILLRACE_CHECK(
            kernels::recover_addresses(kernels::fastest_recover_backend(), jobs, recovered));
    }
    std::span<std::optional<Address>> rest{recovered};
    for (size_t i = 0; i < admitted.size(); ++i) {
        AdmittedTransaction& tx = *admitted[i];
        if (tx.transaction.type == evm::TxType::deposit) {
            tx.sender = tx.transaction.from;
            continue;
        }
        const auto own = rest.first(jobs_of[i].jobs.size());
        rest = rest.subspan(own.size());
        if (const auto impersonated = impersonated_sender(tx.transaction)) {
            own[0] = *impersonated;
        }
        if (!take_recovered(tx, jobs_of[i], own)) {
            return fail(ErrorCode::invalid_input, "transaction has no valid signature");
        }
    }
    return std::vector<AdmittedPtr>(admitted.begin(), admitted.end());
}

Result<AdmittedPtr> admit_logged(ByteView raw) {
    const Bytes one(raw.begin(), raw.end());
    MILLRACE_TRY(auto admitted, admit_logged({&one, 1}, nullptr));
    return std::move(admitted.front());
}

}  // namespace millrace::sequencer
