// SPDX-License-Identifier: Apache-2.0
// Owns the steps of a replay and the order in which its transactions run.
#include "host/validator/replay.hpp"

#include <atomic>

#include "evm/core/transition.hpp"
#include "evm/tx/bloom_memo.hpp"
#include "evm/tx/receipts_digest.hpp"
#include "host/base/hex.hpp"
#include "host/validator/detail/crew.hpp"
#include "host/validator/detail/replay_view.hpp"
#include "host/validator/detail/run.hpp"
#include "host/validator/detail/settlement.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::validator {
namespace {

using detail::Run;

/// Pieces of work that are worth a look at a shared counter.
constexpr size_t transactions_apiece = 8;
constexpr size_t cells_apiece = 64;

/// The order of a replay by dependencies. Every transaction goes through the queue once, when the
/// last one that it needs is done; whoever takes the n-th ticket runs the n-th that was put in.
/// Whoever waits holds nothing back, so the queue cannot stall.
class ReadyQueue {
public:
    void reset(const sync::MiniBlockAccess& m) {
        const auto count = static_cast<uint32_t>(m.transactions.size());
        if (count > capacity_) {
            waiting_for_ = std::make_unique<std::atomic<uint32_t>[]>(count);
            ready_ = std::make_unique<std::atomic<uint32_t>[]>(count);
            capacity_ = count;
        }
        count_ = count;
        ends_.assign(count + 1, 0);
        for (uint32_t i = 0; i < count; ++i) {
            for (const uint32_t back : m.dependencies_of(i)) { ++ends_[i - back + 1]; }
        }
        for (uint32_t i = 0; i < count; ++i) { ends_[i + 1] += ends_[i]; }
        dependents_.resize(m.dependencies.size());
        next_.assign(ends_.begin(), ends_.end() - 1);
        head_.store(0, std::memory_order_relaxed);
        tail_.store(0, std::memory_order_relaxed);
        for (uint32_t i = 0; i < count; ++i) { ready_[i].store(none, std::memory_order_relaxed); }
        for (uint32_t i = 0; i < count; ++i) {
            const auto dependencies = m.dependencies_of(i);
            for (const uint32_t back : dependencies) { dependents_[next_[i - back]++] = i; }
            waiting_for_[i].store(static_cast<uint32_t>(dependencies.size()),
                                  std::memory_order_relaxed);
            if (dependencies.empty()) { put(i); }
        }
    }

    /// The next transaction, or none when all have been taken. Waits.
    uint32_t take() noexcept {
        const uint32_t ticket = head_.fetch_add(1, std::memory_order_relaxed);
        if (ticket >= count_) { return none; }
        // Acquire: what its dependencies did is seen.
        ready_[ticket].wait(none, std::memory_order_acquire);
        return ready_[ticket].load(std::memory_order_acquire);
    }
    void done(uint32_t transaction) noexcept {
        for (uint32_t k = ends_[transaction]; k < ends_[transaction + 1]; ++k) {
            const uint32_t d = dependents_[k];
            // Release and acquire: the last one hands on what all have done.
            if (waiting_for_[d].fetch_sub(1, std::memory_order_acq_rel) == 1) { put(d); }
        }
    }
    static constexpr uint32_t none = ~uint32_t{0};

private:
    void put(uint32_t transaction) noexcept {
        auto& place = ready_[tail_.fetch_add(1, std::memory_order_relaxed)];
        place.store(transaction, std::memory_order_release);
        place.notify_one();
    }

    uint32_t count_ = 0;
    uint32_t capacity_ = 0;
    std::vector<uint32_t> ends_;  ///< of each transaction's part of dependents_
    std::vector<uint32_t> dependents_;
    std::vector<uint32_t> next_;
    std::unique_ptr<std::atomic<uint32_t>[]> waiting_for_;
    std::unique_ptr<std::atomic<uint32_t>[]> ready_;
    std::atomic<uint32_t> head_{0};
    std::atomic<uint32_t> tail_{0};
};

std::unexpected<ReplayFault> refuse(ReplayError error, std::string detail) {
    ReplayFault f;
    f.error = error;
    f.detail = std::move(detail);
    return std::unexpected(std::move(f));
}

std::optional<std::string> header_difference(const ReplayBlock& block,
                                             const sync::AccessHeader& header) {
    const auto differ = [](const char* what, uint64_t claimed, uint64_t expected) {
        return std::string(what) + " " + std::to_string(claimed) + ", expected " +
               std::to_string(expected);
    };
    const auto& claimed = header.environment;
    const auto expected = access_environment(block.environment);
    if (header.mini_block_number != block.mini_block_number) {
        return differ("mini-block", header.mini_block_number, block.mini_block_number);
    }
    if (claimed.block_number != expected.block_number) {
        return differ("block", claimed.block_number, expected.block_number);
    }
    if (header.first_transaction_index != block.first_transaction_index) {
        return differ("first transaction", header.first_transaction_index,
                      block.first_transaction_index);
    }
    if (header.gas_used_before != block.gas_used_before) {
        return differ("gas used before", header.gas_used_before, block.gas_used_before);
    }
    if (claimed.timestamp_s != expected.timestamp_s) {
        return differ("timestamp", claimed.timestamp_s, expected.timestamp_s);
    }
    if (claimed.gas_limit != expected.gas_limit) {
        return differ("gas limit", claimed.gas_limit, expected.gas_limit);
    }
    if (claimed != expected) { return "base fee, coinbase or prev_randao of another block"; }
    return std::nullopt;
}

}  // namespace

/// One of the crew.
struct Member {
    explicit Member(Run& run) : view(run) {}
    evm::Workspace workspace;
    evm::BloomMemo blooms;
    detail::ReplayView view;
};

struct Replayer::State {
    State(const ReplayOptions& options, const evm::PrecompileSet& set)
        : precompiles(set), crew(options.thread_count) {
        for (uint32_t k = 0; k < crew.size(); ++k) {
            members.push_back(std::make_unique<Member>(run));
        }
    }

    std::optional<ReplayFault> load();
    void execute_all();
    void execute(Member& member, uint32_t transaction);
    std::optional<ReplayFault> compare_outcome(uint32_t transaction,
                                               const evm::TransactionResult& result) const;
    std::expected<Replayed, ReplayFault> conclude();

    const evm::PrecompileSet& precompiles;
    Run run;
    ReadyQueue queue;
    std::vector<std::unique_ptr<Member>> members;
    detail::Crew crew;  // last: its threads use the rest
};

Replayer::Replayer(const ReplayOptions& options, const evm::PrecompileSet& precompiles)
    : state_(std::make_unique<State>(options, precompiles)) {}
Replayer::~Replayer() = default;

std::expected<Replayed, ReplayFault>
Replayer::replay(ReplayWay way, const ReplayBlock& block,
                 std::span<const ReplayTransaction> transactions,
                 const sync::MiniBlockAccess& access, const PreState& pre_state) {
    if (!block.rules.at_least(evm::Revision::cancun)) {
        return refuse(ReplayError::rules_not_supported,
                      "the block is of " + std::string(evm::to_string(block.rules.revision)));
    }
    if (const auto canonical = sync::check_canonical(access); !canonical) {
        return refuse(ReplayError::malformed_access, canonical.error().message);
    }
    if (auto difference = header_difference(block, access.header)) {
        return refuse(ReplayError::header_mismatch, std::move(*difference));
    }
    if (transactions.size() != access.transactions.size()) {
        return refuse(ReplayError::transactions_mismatch,
                      std::to_string(transactions.size()) + " transactions, " +
                          std::to_string(access.transactions.size()) + " outcomes");
    }
    std::vector<Hash256> hashes(transactions.size());
    std::ranges::transform(transactions, hashes.begin(), &ReplayTransaction::hash);
    if (sync::transactions_digest(hashes) != access.header.transactions_digest) {
        return refuse(ReplayError::transactions_mismatch,
                      "not those of the digest, or not their order");
    }

    State& s = *state_;
    s.run.way = way;
    s.run.block = &block;
    s.run.transactions = transactions;
    s.run.pre_state = &pre_state;
    s.run.claims.index(access);
    s.run.reset();
    if (auto fault = s.load()) { return std::unexpected(std::move(*fault)); }
    s.execute_all();
    const uint32_t first = s.run.first_fault.load(std::memory_order_relaxed);
    if (first < s.run.count()) { return std::unexpected(std::move(*s.run.records[first].fault)); }
    return s.conclude();
}

/// Every value from before the mini-block, before anything runs: the access list says which.
std::optional<ReplayFault> Replayer::State::load() {
    const sync::MiniBlockAccess& m = run.access();
    const size_t accounts = m.accounts.size();
    const size_t slots = run.claims.slot_count();
    const size_t all = accounts + slots + m.code_changes.size();
    std::atomic<size_t> missing{all};
    const auto note_missing = [&](size_t k) {
        size_t seen = missing.load(std::memory_order_relaxed);
        while (k < seen && !missing.compare_exchange_weak(seen, k, std::memory_order_relaxed)) {}
    };
    const auto address_of = [&](size_t slot) -> const Address& {
        return m.accounts[run.claims.slot_account(slot)].address;
    };
    crew.for_each(all, cells_apiece, [&](uint32_t, size_t k) {
        if (k < accounts) {
            const auto known = run.pre_state->account(m.accounts[k].address);
            if (!known) { return note_missing(k); }
            run.pre_accounts[k] = *known;
        } else if (k < accounts + slots) {
            const size_t slot = k - accounts;
            const auto known = run.pre_state->storage(address_of(slot), run.claims.slot_key(slot));
            if (!known) { return note_missing(k); }
            run.pre_slots[slot] = *known;
        } else {
            const evm::CodePtr& code = m.code_changes[k - accounts - slots].code;
            run.claimed_code_hashes[k - accounts - slots] =
                code == nullptr ? evm::empty_code_hash : kernels::keccak256(*code);
        }
    });
    const size_t k = missing.load(std::memory_order_relaxed);
    if (k == all) { return std::nullopt; }
    ReplayFault f;
    f.error = ReplayError::pre_state_missing;
    f.cell = k < accounts ? CellName{m.accounts[k].address, CellName::Field::nonce, {}}
                          : CellName{address_of(k - accounts), CellName::Field::storage,
                                     run.claims.slot_key(k - accounts)};
    return f;
}

void Replayer::State::execute_all() {
    if (run.way == ReplayWay::by_values) {
        crew.for_each(run.count(), transactions_apiece, [&](uint32_t member, size_t i) {
            execute(*members[member], static_cast<uint32_t>(i));
        });
        return;
    }
    queue.reset(run.access());
    crew.run([&](uint32_t member) {
        for (uint32_t i = queue.take(); i != ReadyQueue::none; i = queue.take()) {
            execute(*members[member], i);
            queue.done(i);
        }
    });
}

void Replayer::State::execute(Member& member, uint32_t i) {
    // Above a fault nothing counts; below it everything does, so that the lowest is found.
    if (i > run.first_fault.load(std::memory_order_relaxed)) { return; }
    const ReplayTransaction& t = run.transactions[i];
    detail::Record& record = run.records[i];
    detail::ReplayView& view = member.view;
    view.begin(i);
    const uint64_t limit = run.block->environment.gas_limit;
    const uint64_t left = limit > run.gas_before[i] ? limit - run.gas_before[i] : 0;
    auto result =
        evm::execute_transaction({*t.transaction, t.sender, t.authorities}, view, member.workspace,
                                 run.block->rules, precompiles, run.block->environment, left);
    // The cache keeps code by its hash, and is each member's own for this reason.
    if (view.made_up_code()) { member.workspace.codes = evm::CodeCache{}; }
    if (!view.at_fault() && !result) {
        ReplayFault& f = record.fault.emplace();
        f.error = ReplayError::transaction_invalid;
        f.transaction = i;
        f.transaction_error = result.error();
        f.detail = evm::to_string(result.error());
    }
    if (!view.at_fault()) { record.fault = compare_outcome(i, *result); }
    if (!view.at_fault()) { view.check_writes(result->changes); }
    view.close_record();
    if (view.at_fault()) {
        run.note_fault(i);
        return;
    }
    evm::Receipt& receipt = record.receipt;
    receipt.type = t.transaction->type;
    receipt.success = result->success();
    receipt.cumulative_gas_used = run.gas_before[i + 1];
    receipt.bloom = member.blooms.bloom_of(result->logs);
    receipt.logs = std::move(result->logs);
}

std::optional<ReplayFault>
Replayer::State::compare_outcome(uint32_t i, const evm::TransactionResult& result) const {
    const sync::TransactionOutcome& claimed = run.access().transactions[i];
    ReplayFault f;
    f.transaction = i;
    if (result.gas_used != claimed.gas_used) {
        f.error = ReplayError::gas_used_mismatch;
        f.detail = "claimed " + std::to_string(claimed.gas_used) + ", computed " +
                   std::to_string(result.gas_used);
        return f;
    }
    if (result.success() != claimed.success) {
        f.error = ReplayError::status_mismatch;
        f.detail = claimed.success ? "claimed success, computed failure"
                                   : "claimed failure, computed success";
        return f;
    }
    return std::nullopt;
}

/// What has to look at all transactions in their order: three jobs, which none shortens.
std::expected<Replayed, ReplayFault> Replayer::State::conclude() {
    Replayed out;
    std::optional<ReplayFault> unsettled;
    std::optional<ReplayFault> other_receipts;
    crew.for_each(3, 1, [&](uint32_t, size_t job) {
        switch (job) {
            case 0: other_receipts = detail::compare_receipts(run); break;
            case 1: unsettled = detail::settle(run); break;
            default: out.post_values = detail::post_values(run); break;
        }
    });
    if (unsettled) { return std::unexpected(std::move(*unsettled)); }
    if (other_receipts) { return std::unexpected(std::move(*other_receipts)); }
    out.gas_used = run.gas_before.back() - run.gas_before.front();
    out.receipts.reserve(run.count());
    for (uint32_t i = 0; i < run.count(); ++i) {
        out.receipts.push_back(std::move(run.records[i].receipt));
    }
    return out;
}

sync::AccessEnvironment access_environment(const evm::BlockEnvironment& block) noexcept {
    sync::AccessEnvironment e;
    e.block_number = block.number;
    e.timestamp_s = block.timestamp;
    e.gas_limit = block.gas_limit;
    e.base_fee_per_gas = block.base_fee_per_gas;
    e.coinbase = block.coinbase;
    e.prev_randao = block.prev_randao;
    return e;
}

Hash256 receipts_digest(std::span<const evm::Receipt> receipts) {
    evm::ReceiptsDigest digest;
    for (const evm::Receipt& r : receipts) { digest.add(r); }
    return digest.finish();
}

}  // namespace millrace::validator
