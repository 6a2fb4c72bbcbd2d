// SPDX-License-Identifier: Apache-2.0
// Owns the step from a transaction to what it did, for any thread that executes.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "evm/core/transition.hpp"
#include "evm/tx/bloom_memo.hpp"
#include "host/sequencer/executor/cells.hpp"
#include "host/sequencer/types.hpp"

namespace millrace::sequencer {

/// The hash of a block's parent, which may come while the block is being executed.
class ParentHash {
public:
    /// Once, by the thread that owns the block.
    void set(const Hash256& hash) noexcept {
        hash_ = hash;
        // Release: whoever sees that it is known sees the hash.
        known_.store(true, std::memory_order_release);
    }
    /// Any thread; nothing while it is not known.
    std::optional<Hash256> get() const noexcept {
        return known_.load(std::memory_order_acquire) ? std::optional{hash_} : std::nullopt;
    }

private:
    std::atomic<bool> known_{false};
    Hash256 hash_;
};

/// What all transactions of a block see. Immutable and shared, but for a parent's hash to come.
struct BlockContext {
    OpenBlock block;  ///< as it was opened
    evm::Rules rules;
    evm::BlockEnvironment environment;
    /// Numbers and hashes of the ancestors that are known, ascending.
    std::deque<std::pair<uint64_t, Hash256>> block_hashes;
    /// Where the block was opened before its parent was sealed, else null.
    std::shared_ptr<const ParentHash> parent_hash;

    /// The zero hash for a block that is not known; nothing for a parent that is not sealed yet.
    std::optional<Hash256> block_hash(uint64_t number) const noexcept;
};
using BlockContextPtr = std::shared_ptr<const BlockContext>;

/// A transaction that was executed, but for its place in the block.
struct Execution {
    std::shared_ptr<ExecutedTransaction> executed;
    U256 tip;       ///< paid in all
    U256 base_fee;  ///< paid in all
    /// Accounts whose nonce changed, with the new nonce: signers of EIP-7702 authorizations,
    /// accounts whose code created contracts; the sender only where its nonce is not the
    /// transaction's plus one.
    std::vector<std::pair<Address, uint64_t>> nonces_changed;
};

/// Runs `tx` over `view`, with `gas_left` in its block; changes nothing.
std::expected<evm::TransactionResult, evm::TxError>
run_transaction(const AdmittedTransaction& tx, CellView& view, evm::Workspace& workspace,
                const evm::PrecompileSet& precompiles, const BlockContext& context,
                uint64_t gas_left);

/// An empty one, in memory that earlier ones have left: blocks come and go at one rate.
std::shared_ptr<ExecutedTransaction> new_executed();
/// Takes what the block keeps out of a result. `blooms` is the caller's.
Execution make_execution(const AdmittedPtr& tx, evm::TransactionResult&& result,
                         evm::BloomMemo& blooms);

}  // namespace millrace::sequencer
