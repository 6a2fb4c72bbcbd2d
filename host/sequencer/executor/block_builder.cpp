// SPDX-License-Identifier: Apache-2.0
// Owns execution in commit order and the bookkeeping of receipts, gas and fees of the open block.
#include "host/sequencer/executor/block_builder.hpp"

#include <utility>

#include "evm/core/block_rules.hpp"
#include "evm/trie/ordered_root.hpp"
#include "host/base/byte_list.hpp"
#include "host/base/error.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::sequencer {
namespace {

/// About the size of a transaction and its receipt in the chain data.
size_t stored_bytes(const AdmittedTransaction& tx, const std::vector<evm::Log>& logs) noexcept {
    constexpr size_t receipt_bytes = 256 + 128;  // bloom, hash, sender, numbers, prefixes
    constexpr size_t log_bytes = 20 + 16;
    constexpr size_t topic_bytes = 33;
    size_t n = tx.raw.size() + receipt_bytes;
    for (const evm::Log& l : logs) {
        n += log_bytes + l.topics.size() * topic_bytes + l.data.size();
    }
    return n;
}

}  // namespace

BlockBuilder::BlockBuilder(const evm::ChainSpec& spec, const evm::PrecompileSet& precompiles,
                           CellTable& cells, evm::SharedCode* shared_code)
    : spec_(spec),
      precompiles_(precompiles),
      cells_(cells),
      block_hash_function_([this](uint64_t number) { return context_->block_hash(number); }),
      view_(cells, block_hash_function_) {
    workspace_.share(shared_code);
}

void BlockBuilder::add_block_hash(uint64_t number, const Hash256& hash) {
    while (!block_hashes_.empty() && block_hashes_.back().first >= number) {
        block_hashes_.pop_back();
    }
    block_hashes_.emplace_back(number, hash);
    if (block_hashes_.size() > 256) { block_hashes_.pop_front(); }
}

storage::StateDelta BlockBuilder::open(const OpenBlock& block) {
    MILLRACE_ASSERT(!is_open_, "one block is open at a time");
    is_open_ = true;
    block_ = block;
    auto context = std::make_shared<BlockContext>();
    context->block = block;
    context->rules = spec_.rules_at(block.number, block.timestamp_s);
    evm::BlockEnvironment& environment = context->environment;
    environment.number = block.number;
    environment.timestamp = block.timestamp_s;
    environment.gas_limit = block.gas_limit;
    environment.coinbase = block.coinbase;
    environment.prev_randao = block.prev_randao;
    environment.base_fee_per_gas = block.base_fee_per_gas;
    environment.blob_base_fee = evm::blob_base_fee(context->rules.blob, 0);
    context->block_hashes = block_hashes_;
    parent_hash_ = block.parent_promised ? std::make_shared<ParentHash>() : nullptr;
    context->parent_hash = parent_hash_;
    context_ = std::move(context);
    transactions_.clear();
    uncut_.clear();
    mini_block_ends_.clear();
    first_mini_block_number_ = 0;
    gas_used_ = uncut_gas_ = log_count_ = 0;
    uncut_bytes_ = block_bytes_ = 0;
    tips_ = base_fees_ = U256{};
    slot_promised_ = false;
    begin_accesses();
    cells_.begin_block();
    for (const evm::OpeningCall& c :
         evm::opening_calls(context_->rules, block.parent_hash, block.parent_beacon_block_root)) {
        if (block.parent_promised && c.takes_parent_hash) {
            const U256 key{(block.number - 1) % evm::history_serve_window};
            AccountCells& contract = cells_.account(c.target);
            if (contract.merged.code_hash != evm::empty_code_hash) {
                cells_.promise(cells_.slot(contract, key));
                slot_promised_ = true;
            }
            continue;
        }
        const evm::SystemCallResult r = run_opening(c);
        const Conflict conflict = cells_.commit_alone(view_.reads(), r.changes);
        MILLRACE_ASSERT(conflict == Conflict::none, "system operations run alone");
    }
    return cells_.take_delta();
}

evm::SystemCallResult BlockBuilder::run_opening(const evm::OpeningCall& call) {
    view_.clear();
    return evm::system_call(call.target, call.input.view(), view_, workspace_, context_->rules,
                            precompiles_, context_->environment);
}

bool BlockBuilder::can_open_before_parent(uint64_t number, uint64_t timestamp_s) const {
    for (const evm::OpeningCall& c :
         evm::opening_calls(spec_.rules_at(number, timestamp_s), Hash256{}, Hash256{})) {
        const Hash256& code = cells_.account(c.target).merged.code_hash;
        if (code != evm::empty_code_hash && code != c.standard_code_hash) { return false; }
    }
    return true;
}

storage::StateDelta BlockBuilder::parent_sealed(const Hash256& hash) {
    MILLRACE_ASSERT(is_open_ && parent_hash_ != nullptr && uncut_.empty(),
                    "a promise is kept once, between two mini-blocks");
    block_.parent_hash = hash;
    block_.parent_promised = false;
    for (const evm::OpeningCall& c :
         evm::opening_calls(context_->rules, hash, block_.parent_beacon_block_root)) {
        // The call belongs to the opening: a contract deployed since is not there yet.
        if (!c.takes_parent_hash || !slot_promised_) { continue; }
        // The contract's account is anybody's: a commit may come between the call and its own.
        for (Conflict conflict = Conflict::stale_read; conflict != Conflict::none;) {
            const evm::SystemCallResult r = run_opening(c);
            conflict = cells_.commit_opening(view_.reads(), r.changes);
        }
    }
    cells_.fulfil();
    parent_hash_->set(hash);
    parent_hash_ = nullptr;
    return cells_.take_delta();
}

std::expected<ExecutedPtr, evm::TxError> BlockBuilder::execute(const AdmittedPtr& tx) {
    view_.clear();
    nonces_changed_.clear();
    auto r = run_transaction(*tx, view_, workspace_, precompiles_, *context_, gas_left());
    if (!r) { return std::unexpected(r.error()); }
    const Conflict conflict = cells_.publish_alone(view_.reads(), r->changes, published_);
    MILLRACE_ASSERT(conflict == Conflict::none, "the only worker cannot be overtaken");
    return keep(make_execution(tx, std::move(*r), blooms_), published_, view_.reads());
}

ExecutedPtr BlockBuilder::add(Execution execution, const Published& published,
                              const ReadSet& reads) {
    MILLRACE_ASSERT(is_open_, "what is executed belongs to a block");
    return keep(std::move(execution), published, reads);
}

size_t BlockBuilder::bytes_of(const Execution& execution, const Published& published,
                              const ReadSet& reads) noexcept {
    return execution.executed->admitted->raw.size() + CellTable::delta_bytes_of(published) +
           AccessLog::bytes_of(reads, published);
}

void BlockBuilder::begin_accesses() { accesses_->begin(block_, transactions_.size(), gas_used_); }

ExecutedPtr BlockBuilder::keep(Execution e, const Published& published, const ReadSet& reads) {
    ExecutedTransaction& executed = *e.executed;
    // What it found is what is merged.
    accesses_->add(executed.gas_used, executed.receipt.success, reads, published);
    cells_.merge(published);
    gas_used_ += executed.gas_used;
    uncut_gas_ += executed.gas_used;
    uncut_bytes_ += executed.admitted->raw.size();
    block_bytes_ += stored_bytes(*executed.admitted, executed.receipt.logs);
    tips_ += e.tip;
    base_fees_ += e.base_fee;
    executed.receipt.cumulative_gas_used = gas_used_;
    executed.index = transactions_.size();
    executed.first_log_index = log_count_;
    log_count_ += executed.receipt.logs.size();
    nonces_changed_ = std::move(e.nonces_changed);
    transactions_.push_back(e.executed);
    uncut_.push_back(e.executed);
    return std::move(e.executed);
}

std::vector<ExecutedPtr> BlockBuilder::discard() noexcept {
    is_open_ = false;
    parent_hash_ = nullptr;
    return std::exchange(uncut_, {});
}

BlockBuilder::Cut BlockBuilder::cut(uint64_t number, int64_t time_us) {
    MILLRACE_ASSERT(is_open_ && !uncut_.empty(), "empty mini-blocks are not made");
    auto m = std::make_shared<MiniBlock>();
    m->number = number;
    m->block_number = block_.number;
    m->block_timestamp_s = block_.timestamp_s;
    m->index = static_cast<uint32_t>(mini_block_ends_.size());
    m->time_us = time_us;
    m->gas_used = uncut_gas_;
    m->transactions = std::move(uncut_);
    m->post_values = cells_.take_delta();
    if (mini_block_ends_.empty()) { first_mini_block_number_ = number; }
    mini_block_ends_.push_back(static_cast<uint32_t>(transactions_.size()));
    uncut_ = {};
    uncut_gas_ = 0;
    uncut_bytes_ = 0;
    AccessLogPtr accesses = std::exchange(accesses_, access_logs_.take());
    begin_accesses();
    return {std::move(m), std::move(accesses)};
}

ClosedBlock BlockBuilder::close() {
    MILLRACE_ASSERT(is_open_ && uncut_.empty(), "a block is closed after its last cut");
    MILLRACE_ASSERT(parent_hash_ == nullptr, "a block is closed after its parent is sealed");
    if (context_->rules.fee_policy == evm::FeePolicy::vaults) {
        evm::StateChanges credits;
        auto credit = [&](const Address& to, const U256& amount) {
            if (amount.is_zero()) { return; }
            // Both vaults may be one account, and an account has one change.
            if (credits.accounts.empty() || credits.accounts.back().address != to) {
                credits.accounts.emplace_back().address = to;
            }
            evm::AccountChange& c = credits.accounts.back();
            c.touched = true;
            c.credit += amount;
        };
        credit(spec_.sequencer_fee_vault, tips_);
        credit(spec_.base_fee_vault, base_fees_);
        const Conflict conflict = cells_.commit_alone({}, credits);
        MILLRACE_ASSERT(conflict == Conflict::none, "credits depend on nothing");
    }
    ClosedBlock b;
    b.open = block_;
    b.transactions = std::move(transactions_);
    b.mini_block_ends = std::move(mini_block_ends_);
    b.first_mini_block_number = first_mini_block_number_;
    b.gas_used = gas_used_;
    b.post_values = cells_.take_delta();
    transactions_ = {};
    mini_block_ends_ = {};
    is_open_ = false;
    return b;
}

Hash256 next_prev_randao(const Hash256& prev_randao, const Hash256& parent_hash, uint64_t number,
                         const std::vector<ExecutedPtr>& transactions,
                         const std::vector<uint32_t>& mini_block_ends) {
    Bytes seed(prev_randao.begin(), prev_randao.end());
    seed.insert(seed.end(), parent_hash.begin(), parent_hash.end());
    const Hash256 word = to_hash(U256{number});
    seed.insert(seed.end(), word.begin(), word.end());
    // Those of the last mini-block: a whole block has more than there is time for.
    const size_t cuts = mini_block_ends.size();
    for (size_t i = cuts < 2 ? 0 : mini_block_ends[cuts - 2]; i < transactions.size(); ++i) {
        const Hash256& hash = transactions[i]->admitted->hash;
        seed.insert(seed.end(), hash.begin(), hash.end());
    }
    return kernels::keccak256(seed);
}

evm::BlockHeader make_header(const ClosedBlock& block, const Hash256& state_root,
                             std::span<const ByteView> receipts, evm::HashBatch& hash) {
    std::vector<ByteView> raw;
    raw.reserve(block.transactions.size());
    evm::BlockHeader h;
    for (const ExecutedPtr& t : block.transactions) {
        raw.push_back(t->admitted->raw);
        evm::bloom_merge(h.logs_bloom, t->receipt.bloom);
    }
    h.parent_hash = block.open.parent_hash;
    h.ommers_hash = evm::empty_ommers_hash;
    h.coinbase = block.open.coinbase;
    h.state_root = state_root;
    h.transactions_root = evm::ordered_trie_root(raw, hash);
    h.receipts_root = evm::ordered_trie_root(receipts, hash);
    h.number = block.open.number;
    h.gas_limit = block.open.gas_limit;
    h.gas_used = block.gas_used;
    h.timestamp = block.open.timestamp_s;
    h.prev_randao = block.open.prev_randao;
    h.base_fee_per_gas = block.open.base_fee_per_gas;
    h.withdrawals_root = evm::empty_trie_root;
    h.blob_gas_used = 0;
    h.excess_blob_gas = 0;
    h.parent_beacon_block_root = block.open.parent_beacon_block_root;
    h.requests_hash = evm::empty_requests_hash;
    return h;
}

}  // namespace millrace::sequencer
