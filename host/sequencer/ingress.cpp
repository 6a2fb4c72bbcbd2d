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
Refusal refuse(PoolRefusal pool, uint32_t retry_after_ms) {
    return {Refusal::Kind::pool, {}, pool, {}, retry_after_ms};
}
Refusal refuse_overloaded(const IngressGate& gate) {
    const uint32_t ms = gate.retry_after_ms();
    return {Refusal::Kind::overloaded, {}, {}, "in " + std::to_string(ms) + " ms", ms};
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
    // Overload is decided here, before any work on the transaction.
    using Lane = IngressGate::Lane;
    if (!gate_.has_room(raw.size(), Lane::priority)) {
        stages_.ingress.drops.add();
        return refused(refuse_overloaded(gate_));
    }
    if (raw.size() > options_.transaction_bytes_max) {
        return refused(too_large(raw.size(), options_.transaction_bytes_max));
    }
    auto checked = check(std::move(raw));
    if (!checked) { return refused(std::move(checked.error())); }
    std::shared_ptr<AdmittedTransaction> tx = std::move(*checked);
    const Lane lane =
        priority_line_.has_priority(offered_tip(tx->transaction)) ? Lane::priority : Lane::ordinary;
    const auto place = take_place(tx->raw.size(), lane);
    if (!place) { return done(std::unexpected(place.error())); }
    begin_timing(*place, *tx);
    RecoveryJobs jobs = recovery_jobs(tx->transaction);
    std::vector<kernels::RecoverJob> list = jobs.jobs;
    auto shared_done = std::make_shared<AdmissionDone>(std::move(done));
    const auto submitted = offload_.submit_recover(
        std::move(list),
        [this, place = *place, tx, jobs = std::move(jobs),
         shared_done](const std::vector<std::optional<Address>>& recovered) {
            if (!take_recovered(*tx, jobs, recovered)) {
                give_up(place);
                metrics_.refused->add();
                (*shared_done)(std::unexpected(refuse(evm::TxError::signature_invalid)));
                return;
            }
            if (tx->entered_us != 0) {
                stages_.recovery.age.observe_us(
                    static_cast<uint64_t>(clock_.steady_us() - tx->entered_us));
            }
            arrive(place, tx, std::move(*shared_done));
        },
        lane == Lane::priority ? kernels::Urgency::express : kernels::Urgency::latency);
    if (!submitted) {
        give_up(*place);
        metrics_.refused->add();
        stages_.recovery.drops.add();
        (*shared_done)(std::unexpected(refuse_overloaded(gate_)));
    }
}

U256 Sequencer::offered_tip(const evm::Transaction& tx) const noexcept {
    // Relaxed: that of the block before puts it into another lane at most.
    const U256 base_fee{base_fee_.load(std::memory_order_relaxed)};
    if (tx.max_fee_per_gas <= base_fee) { return {}; }
    return std::min(tx.max_priority_fee_per_gas, tx.max_fee_per_gas - base_fee);
}

std::expected<Sequencer::Place, Refusal> Sequencer::take_place(size_t bytes,
                                                               IngressGate::Lane lane) {
    auto refused = [&](Refusal r) {
        metrics_.refused->add();
        return std::unexpected(std::move(r));
    };
    // Relaxed: an order to stop that is seen late only means that the pipeline refuses instead.
    if (stopping_.load(std::memory_order_relaxed)) {
        return refused(refuse(Refusal::Kind::stopping));
    }
    if (disk_full()) { return refused(refuse(Refusal::Kind::disk_full)); }
    if (memory_full()) { return refused(refuse(Refusal::Kind::memory_full)); }
    if (!gate_.try_enter(bytes, lane)) {
        stages_.ingress.drops.add();
        return refused(refuse_overloaded(gate_));
    }
    // Relaxed: the order of one thread's submissions, or of threads that hand on to each other.
    return Place{next_submission_.fetch_add(1, std::memory_order_relaxed), bytes, lane};
}

std::expected<std::shared_ptr<AdmittedTransaction>, Refusal> Sequencer::check(Bytes raw) const {
    auto decoded = evm::decode_transaction(raw);
    if (!decoded) {
        return std::unexpected(refuse(Refusal::Kind::malformed, decoded.error().message));
    }
    auto tx = std::make_shared<AdmittedTransaction>();
    tx->transaction = std::move(*decoded);
    tx->raw = std::move(raw);
    const evm::Transaction& t = tx->transaction;
    if (t.type == evm::TxType::deposit) { return std::unexpected(refuse(Refusal::Kind::deposit)); }
    if (auto r = check_stateless(t)) { return std::unexpected(std::move(*r)); }
    if (!t.chain_id && !options_.allow_unprotected) {
        return std::unexpected(refuse(Refusal::Kind::unprotected));
    }
    if (!evm::signature_values_valid(t)) {
        return std::unexpected(refuse(evm::TxError::signature_invalid));
    }
    tx->hash = kernels::keccak256(tx->raw);
    return tx;
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
    if (memory_full()) { return refused(refuse(Refusal::Kind::memory_full)); }
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
    const auto place = take_place(tx->raw.size(), IngressGate::Lane::ordinary);
    if (!place) { return done(std::unexpected(place.error())); }
    begin_timing(*place, *tx);
    arrive(*place, std::move(tx), std::move(done));
}

void Sequencer::begin_timing(const Place& place, const AdmittedTransaction& tx) const noexcept {
    if (place.number % timed_one_in == 0) { tx.entered_us = clock_.steady_us(); }
}

void Sequencer::end_stage(metrics::StageFigures& stage,
                          const AdmittedTransaction& tx) const noexcept {
    if (tx.entered_us == 0) { return; }
    const int64_t now_us = clock_.steady_us();
    stage.age.observe_us(static_cast<uint64_t>(now_us - tx.entered_us));
    tx.entered_us = now_us;
}

void Sequencer::arrive(Place place, AdmittedPtr tx, AdmissionDone done) {
    // Relaxed: as in take_place().
    if (stopping_.load(std::memory_order_relaxed)) {
        gate_.leave(place.bytes);
        metrics_.refused->add();
        done(std::unexpected(refuse(Refusal::Kind::stopping)));
        return;
    }
    Message m = Admit{place, std::move(tx), std::move(done)};
    bool pushed = false;
    if (place.lane == IngressGate::Lane::priority) {
        pushed = priority_inbox_.try_push(std::move(m));
        inbox_.wake();
    } else {
        pushed = inbox_.try_push(std::move(m));
    }
    MILLRACE_ASSERT(pushed, "the inbox has room for all that the gate lets in");
}

void Sequencer::give_up(Place place) {
    arrive(place, nullptr, [](auto&&) {});
}

void Sequencer::take_arrival(Admit a) {
    const uint64_t number = a.place.number;
    if (a.tx == nullptr) {
        gate_.leave(a.place.bytes);
    } else if (is_early(a)) {
        const Address sender = a.tx->sender;
        const uint64_t nonce = a.tx->transaction.nonce;
        held_.hold(number, sender, nonce, std::move(a));
    } else {
        const AdmittedPtr tx = a.tx;
        admit(std::move(a));
        if (!held_.empty()) { release_followers(tx->sender); }
    }
    submission_order_.arrived(number);
    while (auto next = held_.take_before(submission_order_.first_missing())) {
        admit(*std::move(next));
    }
}

bool Sequencer::is_early(const Admit& a) {
    if (submission_order_.first_missing() >= a.place.number) { return false; }
    const uint64_t nonce = a.tx->transaction.nonce;
    const uint64_t account_nonce = cells_.account(a.tx->sender).merged.nonce;
    return nonce > account_nonce && nonce > pool_.expected_nonce(a.tx->sender, account_nonce);
}

void Sequencer::release_followers(const Address& sender) {
    for (;;) {
        const uint64_t nonce = pool_.expected_nonce(sender, cells_.account(sender).merged.nonce);
        auto next = held_.take(sender, nonce);
        if (!next) { return; }
        admit(*std::move(next));
        // Refused: what follows it waits as if this one had not come yet.
        if (pool_.expected_nonce(sender, nonce) == nonce) { return; }
    }
}

void Sequencer::admit(Admit a) {
    const AdmittedTransaction& tx = *a.tx;
    const bool timed = tx.entered_us != 0;
    const int64_t start = timed ? clock_.steady_us() : 0;
    end_stage(a.place.lane == IngressGate::Lane::priority ? stages_.priority : stages_.ingress, tx);
    const evm::Transaction& t = tx.transaction;
    auto refused = [&](Refusal r) {
        metrics_.refused->add();
        gate_.leave(a.place.bytes);
        a.done(std::unexpected(std::move(r)));
    };
    if (t.gas_limit > genesis_.block_gas_limit) {
        return refused(refuse(evm::TxError::gas_limit_exceeds_block,
                              "gas " + std::to_string(t.gas_limit) + ", block limit " +
                                  std::to_string(genesis_.block_gas_limit)));
    }
    if (pool_index_.contains(tx.hash)) {
        return refused(refuse(PoolRefusal::already_known, 0));
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
    priority_line_.count(offered_tip(t));
    const auto added = pool_.add(a.tx, nonce);
    if (!added) {
        if (added.error() == PoolRefusal::full) { stages_.pool.drops.add(); }
        return refused(refuse(added.error(), gate_.retry_after_ms()));
    }
    drop_all(added->passed, evm::to_string(evm::TxError::nonce_too_low));
    if (added->replaced != nullptr) {
        drop_all({added->replaced}, "replaced by a transaction with higher fees");
    }
    stages_.pool.drops.add(added->evicted.size());
    drop_all(added->evicted, "evicted from the full pool");
    if (pool_observer_ != nullptr && !added->promoted.empty()) {
        pool_observer_->on_executable(added->promoted);
    }
    gate_.set_pool(pool_.executable_count(), pool_.executable_bytes());
    gate_.leave(a.place.bytes);
    a.done(Admission{tx.hash, added->executable, added->expected_nonce});
    if (timed) {
        metrics_.admit_seconds->observe_us(static_cast<uint64_t>(clock_.steady_us() - start));
    }
}

Result<Sequencer::PoolContent>
Sequencer::pool_content(const std::optional<Address>& sender) {
    return on_sequencer([this, &sender]() -> Result<PoolContent> {
        return PoolContent{pool_.executable(sender), pool_.queued(sender)};
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
                case PoolRefusal::under_way:
                    text = "the transaction with this nonce is being executed";
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
        case Refusal::Kind::memory_full:
            text = "the node has no memory for more state; try again later";
            break;
        case Refusal::Kind::stopping: text = "the node is stopping"; break;
    }
    if (r.detail.empty()) { return text; }
    // "try again in 20 ms" and "nonce too low: next nonce 7".
    return text + (r.kind == Refusal::Kind::overloaded ? " " : ": ") + r.detail;
}

}  // namespace millrace::sequencer
