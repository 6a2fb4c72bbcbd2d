// SPDX-License-Identifier: Apache-2.0
// Owns the way of a transaction from its arrival to the pool, and the words for refusing it.
#include "host/base/hex.hpp"
#include "host/sequencer/admission.hpp"
#include "host/sequencer/impersonation.hpp"
#include "host/sequencer/sequencer_impl.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::sequencer {
namespace {

Refusal refuse(Refusal::Kind kind, std::string detail = {}) {
    return {kind, {}, {}, std::move(detail)};
}
Refusal refuse(evm::TxError rule, std::string detail = {}) {
    return {Refusal::Kind::rule, rule, {}, std::move(detail)};
}
Refusal refuse(PoolRefusal pool, std::string detail = {}) {
    return {Refusal::Kind::pool, {}, pool, std::move(detail)};
}
Refusal too_large(size_t bytes, size_t bytes_max) {
    return refuse(Refusal::Kind::too_large, "transaction size " + std::to_string(bytes) +
                                                ", limit " + std::to_string(bytes_max));
}

}  // namespace

void Sequencer::submit(Bytes raw, AdmissionDone done) {
    auto refused = [&](Refusal r) {
        metrics_.refused->add();
        done(std::unexpected(std::move(r)));
    };
    // Overload is decided here, before any work on signatures. Relaxed: only a count.
    if (stopping_.load(std::memory_order_relaxed)) {
        return refused(refuse(Refusal::Kind::stopping));
    }
    if (disk_full()) { return refused(refuse(Refusal::Kind::disk_full)); }
    if (ingress_count_.load(std::memory_order_relaxed) >= options_.ingress_max) {
        return refused(refuse(Refusal::Kind::overloaded));
    }
    if (raw.size() > options_.transaction_bytes_max) {
        return refused(too_large(raw.size(), options_.transaction_bytes_max));
    }
    auto decoded = evm::decode_transaction(raw);
    if (!decoded) { return refused(refuse(Refusal::Kind::malformed, decoded.error().message)); }
    auto tx = std::make_shared<AdmittedTransaction>();
    tx->transaction = std::move(*decoded);
    tx->raw = std::move(raw);
    const evm::Transaction& t = tx->transaction;
    if (t.type == evm::TxType::deposit) { return refused(refuse(Refusal::Kind::deposit)); }
    if (auto r = check_stateless(t)) { return refused(std::move(*r)); }
    if (!t.chain_id && !options_.allow_unprotected) {
        return refused(refuse(Refusal::Kind::unprotected));
    }
    if (!evm::signature_values_valid(t)) {
        return refused(refuse(evm::TxError::signature_invalid));
    }
    tx->hash = kernels::keccak256(tx->raw);

    RecoveryJobs jobs = recovery_jobs(t);
    std::vector<kernels::RecoverJob> list = jobs.jobs;
    ingress_count_.fetch_add(1, std::memory_order_relaxed);
    auto shared_done = std::make_shared<AdmissionDone>(std::move(done));
    const auto submitted = offload_.submit_recover(
        std::move(list), [this, tx, jobs = std::move(jobs),
                          shared_done](const std::vector<std::optional<Address>>& recovered) {
            if (!take_recovered(*tx, jobs, recovered)) {
                ingress_count_.fetch_sub(1, std::memory_order_relaxed);
                metrics_.refused->add();
                (*shared_done)(std::unexpected(refuse(evm::TxError::signature_invalid)));
                return;
            }
            ingress_count_.fetch_sub(1, std::memory_order_relaxed);
            submit_admitted(tx, std::move(*shared_done));
        });
    if (!submitted) {
        ingress_count_.fetch_sub(1, std::memory_order_relaxed);
        metrics_.refused->add();
        (*shared_done)(std::unexpected(refuse(Refusal::Kind::overloaded)));
    }
}

std::optional<Refusal> Sequencer::check_stateless(const evm::Transaction& t) const {
    // The specification never changes within a run, so any thread may read it.
    const evm::Rules& rules = genesis_.spec.rules;
    if (const auto e = evm::validate_stateless(t, rules)) {
        std::string detail;
        if (*e == evm::TxError::intrinsic_gas_too_low || *e == evm::TxError::gas_below_floor) {
            const evm::IntrinsicGas g = evm::intrinsic_gas(t, rules);
            detail = "gas " + std::to_string(t.gas_limit) + ", minimum needed " +
                     std::to_string(std::max(g.base, g.floor));
        } else if (*e == evm::TxError::gas_limit_exceeds_cap) {
            detail = "gas " + std::to_string(t.gas_limit) + ", cap " +
                     std::to_string(rules.transaction_gas_cap);
        } else if (*e == evm::TxError::chain_id_mismatch) {
            detail =
                "have " + std::to_string(*t.chain_id) + ", want " + std::to_string(rules.chain_id);
        }
        return refuse(*e, std::move(detail));
    }
    if (t.max_fee_per_gas < rules.base_fee.floor) {
        return refuse(Refusal::Kind::fee_below_floor,
                      "max fee per gas " + to_decimal(t.max_fee_per_gas) + ", least base fee " +
                          to_decimal(rules.base_fee.floor));
    }
    return std::nullopt;
}

void Sequencer::submit_impersonated(evm::Transaction tx, const Address& sender,
                                    AdmissionDone done) {
    auto refused = [&](Refusal r) {
        metrics_.refused->add();
        done(std::unexpected(std::move(r)));
    };
    if (disk_full()) { return refused(refuse(Refusal::Kind::disk_full)); }
    if (auto r = check_stateless(tx)) { return refused(std::move(*r)); }
    mark_impersonated(tx, sender);
    const Bytes raw = evm::encode_transaction(tx);
    if (raw.size() > options_.transaction_bytes_max) {
        return refused(too_large(raw.size(), options_.transaction_bytes_max));
    }
    // Read as recovery would read it from the log, so that both execute the same.
    auto admitted = admit_logged(raw);
    if (!admitted) { return refused(refuse(Refusal::Kind::malformed, admitted.error().message)); }
    submit_admitted(std::move(*admitted), std::move(done));
}

void Sequencer::submit_admitted(AdmittedPtr tx, AdmissionDone done) {
    // Relaxed: an order to stop that is seen late only means that the pipeline refuses instead.
    if (stopping_.load(std::memory_order_relaxed)) {
        metrics_.refused->add();
        done(std::unexpected(refuse(Refusal::Kind::stopping)));
        return;
    }
    Message m = Admit{std::move(tx), std::move(done)};
    if (!inbox_.try_push(std::move(m))) {
        metrics_.refused->add();
        std::get<Admit>(m).done(std::unexpected(refuse(Refusal::Kind::overloaded)));
        return;
    }
    metrics_.ingress_depth->set(static_cast<int64_t>(inbox_.size_approx()));
}

void Sequencer::admit(Admit a) {
    const int64_t start = clock_.steady_us();
    const AdmittedTransaction& tx = *a.tx;
    const evm::Transaction& t = tx.transaction;
    auto refused = [&](Refusal r) {
        metrics_.refused->add();
        a.done(std::unexpected(std::move(r)));
    };
    if (t.gas_limit > genesis_.block_gas_limit) {
        return refused(refuse(evm::TxError::gas_limit_exceeds_block,
                              "gas " + std::to_string(t.gas_limit) + ", block limit " +
                                  std::to_string(genesis_.block_gas_limit)));
    }
    if (pool_index_.find(tx.hash) != nullptr) {
        return refused(refuse(PoolRefusal::already_known));
    }
    // What is merged, not what workers have committed since: the pool knows no more.
    const AccountCells::Merged& sender = cells_.account(tx.sender).merged;
    const uint64_t nonce = sender.nonce;
    if (t.nonce < nonce) {
        return refused(refuse(evm::TxError::nonce_too_low, "next nonce " + std::to_string(nonce) +
                                                               ", tx nonce " +
                                                               std::to_string(t.nonce)));
    }
    if (const evm::CodePtr code = cells_.code(sender.code_hash);
        !code->empty() && !evm::parse_delegation(*code)) {
        if (tx.transaction.s <= kernels::secp256k1_half_order) {
            return refused(refuse(evm::TxError::sender_has_code));
        }
    }
    U256 high;
    bool carry = false;
    const U256 cost =
        add_overflow(mul_full(t.max_fee_per_gas, U256{t.gas_limit}, high), t.value, carry);
    if (!high.is_zero() || carry || cost > sender.balance) {
        return refused(
            refuse(evm::TxError::insufficient_funds,
                   "balance " + to_decimal(sender.balance) + ", tx cost " + to_decimal(cost)));
    }
    account_moved(tx.sender, nonce);
    const auto added = pool_.add(a.tx, nonce);
    if (!added) { return refused(refuse(added.error())); }
    if (added->replaced != nullptr) {
        drop_all({added->replaced}, "replaced by a transaction with higher fees");
    }
    drop_all(added->evicted, "evicted from the full pool");
    if (pool_observer_ != nullptr && !added->promoted.empty()) {
        pool_observer_->on_executable(added->promoted);
    }
    a.done(Admission{tx.hash, added->executable, added->expected_nonce});
    metrics_.admit_seconds->observe_us(static_cast<uint64_t>(clock_.steady_us() - start));
}

Result<Sequencer::PoolContent> Sequencer::pool_content() {
    return on_sequencer([this]() -> Result<PoolContent> {
        return PoolContent{pool_.executable(), pool_.queued()};
    });
}

std::string to_string(const Refusal& r) {
    std::string text;
    switch (r.kind) {
        case Refusal::Kind::malformed: text = "invalid transaction"; break;
        case Refusal::Kind::rule: text = evm::to_string(r.rule); break;
        case Refusal::Kind::pool:
            switch (r.pool) {
                case PoolRefusal::already_known: text = "already known"; break;
                case PoolRefusal::nonce_too_low: text = "nonce too low"; break;
                case PoolRefusal::nonce_too_far: text = "nonce too far in the future"; break;
                case PoolRefusal::replacement_underpriced:
                    text = "replacement transaction underpriced";
                    break;
                case PoolRefusal::full: text = "transaction pool is full"; break;
            }
            break;
        case Refusal::Kind::fee_below_floor:
            text = "max fee per gas less than block base fee";
            break;
        case Refusal::Kind::too_large: text = "oversized data"; break;
        case Refusal::Kind::unprotected:
            text = "only replay-protected (EIP-155) transactions allowed over RPC";
            break;
        case Refusal::Kind::deposit: text = "deposit transactions come from the L1 only"; break;
        case Refusal::Kind::overloaded: text = "the node is overloaded; try again"; break;
        case Refusal::Kind::disk_full: text = "the node's disk is full; try again later"; break;
        case Refusal::Kind::stopping: text = "the node is stopping"; break;
    }
    return r.detail.empty() ? text : text + ": " + r.detail;
}

}  // namespace millrace::sequencer
