// SPDX-License-Identifier: Apache-2.0
// Owns recording what transactions read and write when they run one after the other.
#include "host/validator/serial_execution.hpp"

#include "host/validator/detail/net_writes.hpp"

namespace millrace::validator {
namespace {

struct WriteCollector {
    evm::StateView& state;  ///< before the transaction
    std::vector<sync::AccountWrite>& writes;
    std::vector<sync::SlotWrite>& slot_writes;

    sync::AccountWrite& of(const Address& address) {
        // Changes come account by account.
        if (writes.empty() || writes.back().address != address) {
            writes.emplace_back().address = address;
        }
        return writes.back();
    }
    void nonce(const Address& address, uint64_t value) { of(address).nonce = value; }
    void balance(const Address& address, const U256& delta) {
        of(address).balance = state.balance(address) + delta;
    }
    void code(const Address& address, const Hash256&, const evm::CodePtr& code) {
        of(address).code_changed = true;
        of(address).code = code;
    }
    void slot(const Address& address, const U256& key, const U256& value) {
        slot_writes.push_back({address, key, value});
    }
};

}  // namespace

void RecordingView::note(const Address& address, uint8_t field) {
    if (reads_.empty() || reads_.back().address != address) { reads_.push_back({address, 0}); }
    reads_.back().fields |= field;
}

bool RecordingView::account_exists(const Address& address) {
    note(address, sync::field_nonce | sync::field_balance | sync::field_code);
    return base_.account_exists(address);
}
uint64_t RecordingView::nonce(const Address& address) {
    note(address, sync::field_nonce);
    return base_.nonce(address);
}
U256 RecordingView::balance(const Address& address) {
    note(address, sync::field_balance);
    return base_.balance(address);
}
bool RecordingView::balance_at_least(const Address& address, const U256& min) {
    const bool holds = base_.balance_at_least(address, min);
    note(address, holds ? sync::AccountRead::bounded : uint8_t{sync::field_balance});
    return holds;
}
Hash256 RecordingView::code_hash(const Address& address) {
    note(address, sync::field_code);
    return base_.code_hash(address);
}
U256 RecordingView::storage(const Address& address, const U256& key) {
    slot_reads_.push_back({address, key});
    return base_.storage(address, key);
}

std::expected<void, evm::TxError> SerialExecution::execute(const ReplayTransaction& t) {
    view_.clear();
    const uint64_t limit = block_.environment.gas_limit;
    auto result = evm::execute_transaction(
        {*t.transaction, t.sender, t.authorities}, view_, workspace_, block_.rules, precompiles_,
        block_.environment, limit > gas_used_ ? limit - gas_used_ : 0);
    if (!result) { return std::unexpected(result.error()); }
    writes_.clear();
    slot_writes_.clear();
    detail::visit_net_writes(result->changes, view_, WriteCollector{state_, writes_, slot_writes_});
    builder_.add({result->gas_used, result->success(), view_.reads(), view_.slot_reads(), writes_,
                  slot_writes_});
    state_.apply(result->changes, true);
    gas_used_ += result->gas_used;
    evm::Receipt& r = receipts_.emplace_back();
    r.type = t.transaction->type;
    r.success = result->success();
    r.cumulative_gas_used = gas_used_;
    r.bloom = blooms_.bloom_of(result->logs);
    r.logs = std::move(result->logs);
    hashes_.push_back(t.hash);
    return {};
}

void SerialExecution::finish(sync::MiniBlockAccess& out) {
    sync::AccessHeader h;
    h.mini_block_number = block_.mini_block_number;
    h.environment = access_environment(block_.environment);
    h.first_transaction_index = block_.first_transaction_index;
    h.gas_used_before = block_.gas_used_before;
    h.transactions_digest = sync::transactions_digest(hashes_);
    h.receipts_digest = receipts_digest(receipts_);
    builder_.finish(h, out);
}

}  // namespace millrace::validator
