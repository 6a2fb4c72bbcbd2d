// SPDX-License-Identifier: Apache-2.0
// Owns running one transaction over the cells and keeping what the block needs of it.
#include "host/sequencer/executor/execution.hpp"

#include "host/base/recycled.hpp"
#include "host/sequencer/impersonation.hpp"

namespace millrace::sequencer {

std::optional<Hash256> BlockContext::block_hash(uint64_t number) const noexcept {
    if (parent_hash != nullptr && number + 1 == block.number) { return parent_hash->get(); }
    if (block_hashes.empty() || number < block_hashes.front().first) { return Hash256{}; }
    // Consecutive but after a revert, so the place is mostly known.
    const size_t at = number - block_hashes.front().first;
    if (at < block_hashes.size() && block_hashes[at].first == number) {
        return block_hashes[at].second;
    }
    for (auto it = block_hashes.rbegin(); it != block_hashes.rend(); ++it) {
        if (it->first == number) { return it->second; }
    }
    return Hash256{};
}

std::expected<evm::TransactionResult, evm::TxError>
run_transaction(const AdmittedTransaction& tx, CellView& view, evm::Workspace& workspace,
                const evm::PrecompileSet& precompiles, const BlockContext& context,
                uint64_t gas_left) {
    evm::ExecutionOptions options;
    options.keep_output = false;
    options.check_sender_code =
        !impersonated_sender(tx.transaction);  // contracts may be impersonated
    return evm::execute_transaction({tx.transaction, tx.sender, tx.authorities}, view, workspace,
                                    context.rules, precompiles, context.environment, gas_left,
                                    options);
}

std::shared_ptr<ExecutedTransaction> new_executed() {
    return std::allocate_shared<ExecutedTransaction>(RecyclingAllocator<ExecutedTransaction>{});
}

Execution make_execution(const AdmittedPtr& tx, evm::TransactionResult&& result,
                         evm::BloomMemo& blooms) {
    Execution e;
    e.tip = result.tip;
    e.base_fee = result.base_fee;
    for (const evm::AccountChange& c : result.changes.accounts) {
        if (!c.nonce || c.destroyed) { continue; }
        if (c.address == tx->sender && *c.nonce == tx->transaction.nonce + 1) { continue; }
        e.nonces_changed.emplace_back(c.address, *c.nonce);
    }
    e.executed = new_executed();
    ExecutedTransaction& executed = *e.executed;
    executed.receipt.type = tx->transaction.type;
    executed.receipt.success = result.success();
    executed.receipt.bloom = blooms.bloom_of(result.logs);
    executed.receipt.logs = std::move(result.logs);
    executed.admitted = tx;
    executed.gas_used = result.gas_used;
    executed.effective_gas_price = result.effective_gas_price;
    executed.contract_address = result.created;
    return e;
}

}  // namespace millrace::sequencer
