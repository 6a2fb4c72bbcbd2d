// SPDX-License-Identifier: Apache-2.0
// Owns execution in commit order and the bookkeeping of receipts, gas and fees of the open block.
#include "host/sequencer/executor/block_builder.hpp"

#include <utility>

#include "evm/core/block_rules.hpp"
#include "evm/trie/ordered_root.hpp"
#include "evm/trie/vector_hash_batch.hpp"
#include "host/base/error.hpp"
#include "host/base/rlp.hpp"
#include "host/sequencer/impersonation.hpp"
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
      block_hash_function_([this](uint64_t number) { return block_hash(number); }),
      view_(cells, block_hash_function_) {
    workspace_.codes.share(shared_code);
}

Hash256 BlockBuilder::block_hash(uint64_t number) const noexcept {
    for (auto it = block_hashes_.rbegin(); it != block_hashes_.rend(); ++it) {
        if (it->first == number) { return it->second; }
    }
    return {};
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
    rules_ = spec_.rules_at(block.number, block.timestamp_s);
    environment_ = {};
    environment_.number = block.number;
    environment_.timestamp = block.timestamp_s;
    environment_.gas_limit = block.gas_limit;
    environment_.coinbase = block.coinbase;
    environment_.prev_randao = block.prev_randao;
    environment_.base_fee_per_gas = block.base_fee_per_gas;
    environment_.blob_base_fee = evm::blob_base_fee(rules_.blob, 0);
    transactions_.clear();
    uncut_.clear();
    mini_block_ends_.clear();
    first_mini_block_number_ = 0;
    gas_used_ = uncut_gas_ = log_count_ = 0;
    uncut_bytes_ = block_bytes_ = 0;
    tips_ = base_fees_ = U256{};
    cells_.begin_block();
    for (const evm::OpeningCall& c :
         evm::opening_calls(rules_, block.parent_hash, block.parent_beacon_block_root)) {
        view_.clear();
        const evm::SystemCallResult r = evm::system_call(
            c.target, c.input.view(), view_, workspace_, rules_, precompiles_, environment_);
        const Conflict conflict = cells_.commit(view_.reads(), r.changes);
        MILLRACE_ASSERT(conflict == Conflict::none, "system operations run alone");
    }
    return cells_.take_delta();
}

std::expected<ExecutedPtr, evm::TxError> BlockBuilder::execute(const AdmittedPtr& tx) {
    view_.clear();
    evm::ExecutionOptions options;
    options.check_sender_code =
        !impersonated_sender(tx->transaction);  // contracts may be impersonated
    auto r =
        evm::execute_transaction({tx->transaction, tx->sender, tx->authorities}, view_, workspace_,
                                 rules_, precompiles_, environment_, gas_left(), options);
    nonces_changed_.clear();
    if (!r) { return std::unexpected(r.error()); }
    const Conflict conflict = cells_.commit(view_.reads(), r->changes);
    for (const evm::AccountChange& c : r->changes.accounts) {
        if (c.nonce && !c.destroyed) { nonces_changed_.emplace_back(c.address, *c.nonce); }
    }
    MILLRACE_ASSERT(conflict == Conflict::none, "the only worker cannot be overtaken");

    gas_used_ += r->gas_used;
    uncut_gas_ += r->gas_used;
    uncut_bytes_ += tx->raw.size();
    block_bytes_ += stored_bytes(*tx, r->logs);
    tips_ += r->tip;
    base_fees_ += r->base_fee;
    auto receipt = std::make_shared<evm::Receipt>();
    receipt->type = tx->transaction.type;
    receipt->success = r->success();
    receipt->cumulative_gas_used = gas_used_;
    receipt->bloom = evm::bloom_of(r->logs);
    auto executed = std::make_shared<ExecutedTransaction>();
    executed->admitted = tx;
    executed->gas_used = r->gas_used;
    executed->effective_gas_price = r->effective_gas_price;
    executed->contract_address = r->created;
    executed->index = transactions_.size();
    executed->first_log_index = log_count_;
    log_count_ += r->logs.size();
    receipt->logs = std::move(r->logs);
    executed->receipt = std::move(receipt);
    transactions_.push_back(executed);
    uncut_.push_back(executed);
    return executed;
}

std::vector<ExecutedPtr> BlockBuilder::discard() noexcept {
    is_open_ = false;
    return std::exchange(uncut_, {});
}

MiniBlockPtr BlockBuilder::cut(uint64_t number, int64_t time_us) {
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
    return m;
}

ClosedBlock BlockBuilder::close() {
    MILLRACE_ASSERT(is_open_ && uncut_.empty(), "a block is closed after its last cut");
    if (rules_.fee_policy == evm::FeePolicy::vaults) {
        evm::StateChanges credits;
        auto credit = [&](const Address& to, const U256& amount) {
            if (amount.is_zero()) { return; }
            evm::AccountChange& c = credits.accounts.emplace_back();
            c.address = to;
            c.touched = true;
            c.credit = amount;
        };
        credit(spec_.sequencer_fee_vault, tips_);
        credit(spec_.base_fee_vault, base_fees_);
        const Conflict conflict = cells_.commit({}, credits);
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

evm::BlockHeader make_header(const ClosedBlock& block, const Hash256& state_root) {
    std::vector<Bytes> raw;
    std::vector<Bytes> receipts;
    raw.reserve(block.transactions.size());
    receipts.reserve(block.transactions.size());
    evm::BlockHeader h;
    for (const ExecutedPtr& t : block.transactions) {
        raw.push_back(t->admitted->raw);
        receipts.push_back(evm::encode_receipt(*t->receipt));
        evm::bloom_merge(h.logs_bloom, t->receipt->bloom);
    }
    h.parent_hash = block.open.parent_hash;
    h.ommers_hash = evm::empty_ommers_hash;
    h.coinbase = block.open.coinbase;
    h.state_root = state_root;
    h.transactions_root = evm::ordered_trie_root(raw, evm::vector_hash_batch());
    h.receipts_root = evm::ordered_trie_root(receipts, evm::vector_hash_batch());
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

Hash256 receipt_digest(const std::vector<ExecutedPtr>& transactions) {
    Bytes all;
    for (const ExecutedPtr& t : transactions) {
        rlp::append_bytes(all, evm::encode_receipt(*t->receipt));
    }
    return kernels::keccak256(all);
}

}  // namespace millrace::sequencer
