// SPDX-License-Identifier: Apache-2.0
// Owns the step from a transaction to what it did, for any thread that executes.
#pragma once

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "evm/core/transition.hpp"
#include "evm/tx/bloom_memo.hpp"
#include "host/sequencer/executor/cells.hpp"
#include "host/sequencer/types.hpp"

namespace millrace::sequencer {

/// What all transactions of a block see. Immutable and shared.
struct BlockContext {
    OpenBlock block;
    evm::Rules rules;
    evm::BlockEnvironment environment;
    /// Numbers and hashes of the ancestors that are known, ascending.
    std::deque<std::pair<uint64_t, Hash256>> block_hashes;

    /// The zero hash for a block that is not known.
    Hash256 block_hash(uint64_t number) const noexcept;
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

/// Takes what the block keeps out of a result. `blooms` is the caller's.
Execution make_execution(const AdmittedPtr& tx, evm::TransactionResult&& result,
                         evm::BloomMemo& blooms);

}  // namespace millrace::sequencer
