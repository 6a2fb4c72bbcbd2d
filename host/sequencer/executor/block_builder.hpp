// SPDX-License-Identifier: Apache-2.0
// Owns the building of one block after another: opening, executing, cutting, closing.
#pragma once

#include <deque>
#include <expected>
#include <span>

#include "evm/core/block_rules.hpp"
#include "evm/core/chain_spec.hpp"
#include "evm/core/transition.hpp"
#include "evm/trie/hash_batch.hpp"
#include "host/sequencer/executor/access_log.hpp"
#include "host/sequencer/executor/execution.hpp"
#include "host/sequencer/types.hpp"

namespace millrace::sequencer {

/// Keeps the books of the open block on top of a CellTable: what was executed, in the order of the
/// commits. It executes by itself, one transaction after the other, or takes what the workers of an
/// Executor committed. The sequencer drives it live, recovery drives it again over the log: the
/// same order gives the same results. One owning thread, the table's merging thread.
class BlockBuilder {
public:
    /// The references, and `shared_code` where it is not null, outlive the builder.
    BlockBuilder(const evm::ChainSpec& spec, const evm::PrecompileSet& precompiles,
                 CellTable& cells, evm::SharedCode* shared_code = nullptr);

    /// Opens a block and runs the opening system operations. No block may be open. Returns their
    /// net effect. Of a block whose parent is promised (only if can_open_before_parent()) those
    /// that take the parent's hash run in parent_sealed(), and a transaction that asks for it has
    /// to wait: nothing of the block tells whether the hash came before or after it was opened.
    storage::StateDelta open(const OpenBlock& block);
    /// Whether the block could be opened without its parent's hash: only where the code of the
    /// opening operations is what the EIPs say. Between blocks.
    bool can_open_before_parent(uint64_t number, uint64_t timestamp_s) const;
    /// The open block waits for its parent's hash.
    bool awaits_parent() const noexcept { return parent_hash_ != nullptr; }
    /// Brings the hash of the promised parent. Everything must be cut; workers may be executing.
    /// Returns the net effect of the opening operations that took the hash.
    storage::StateDelta parent_sealed(const Hash256& hash);
    bool is_open() const noexcept { return is_open_; }
    const OpenBlock& block() const noexcept { return block_; }
    /// What the transactions of the open block see.
    const BlockContextPtr& context() const noexcept { return context_; }
    uint64_t gas_left() const noexcept { return block_.gas_limit - gas_used_; }
    uint64_t gas_used() const noexcept { return gas_used_; }
    /// Transactions executed since the last cut.
    size_t uncut_count() const noexcept { return uncut_.size(); }
    uint64_t uncut_gas() const noexcept { return uncut_gas_; }
    /// About what a mini-block of them takes in the log: wire forms, post-values, access list.
    size_t uncut_bytes() const noexcept {
        return uncut_bytes_ + cells_.dirty_bytes() + accesses_->bytes();
    }
    /// At most about what a transaction adds to uncut_bytes().
    static size_t bytes_of(const Execution& execution, const Published& published,
                           const ReadSet& reads) noexcept;
    /// About what the block takes so far in the chain data: wire forms and receipts.
    size_t block_bytes() const noexcept { return block_bytes_; }
    size_t transaction_count() const noexcept { return transactions_.size(); }
    bool has_mini_blocks() const noexcept { return !mini_block_ends_.empty(); }

    /// Executes and commits a transaction, or says why it cannot be included (nothing changes).
    /// Nobody else may be committing.
    std::expected<ExecutedPtr, evm::TxError> execute(const AdmittedPtr& tx);
    /// Takes a transaction that a worker committed, in the order of the sequence numbers.
    ExecutedPtr add(Execution execution, const Published& published, const ReadSet& reads);
    /// Accounts whose nonce the last execute() or add() changed, with the new nonce.
    const std::vector<std::pair<Address, uint64_t>>& nonces_changed() const noexcept {
        return nonces_changed_;
    }

    struct Cut {
        MiniBlockPtr mini_block;
        AccessLogPtr accesses;  ///< what its transactions read and wrote
    };
    /// Makes a mini-block of what was executed since the last cut; there must be something.
    Cut cut(uint64_t number, int64_t time_us);
    /// Runs the closing system operations (fee vaults) and closes the block. Everything must be
    /// cut, and the parent's hash be known.
    ClosedBlock close();
    /// Forgets the open block with everything executed in it; the cells must be reset next.
    /// Returns what was executed since the last cut.
    std::vector<ExecutedPtr> discard() noexcept;

    /// Tells the hash of a block that was sealed or loaded, for BLOCKHASH; keeps the last 256.
    void add_block_hash(uint64_t number, const Hash256& hash);
    void clear_block_hashes() { block_hashes_.clear(); }

private:
    ExecutedPtr keep(Execution execution, const Published& published, const ReadSet& reads);
    void begin_accesses();
    evm::SystemCallResult run_opening(const evm::OpeningCall& call);

    const evm::ChainSpec& spec_;
    const evm::PrecompileSet& precompiles_;
    CellTable& cells_;
    evm::Workspace workspace_;
    CellView::BlockHashes block_hash_function_;
    CellView view_;
    evm::BloomMemo blooms_;

    bool is_open_ = false;
    OpenBlock block_;
    BlockContextPtr context_;
    std::shared_ptr<ParentHash> parent_hash_;  ///< while it is to come
    bool slot_promised_ = false;               ///< the history contract was there at the opening
    std::vector<ExecutedPtr> transactions_;
    std::vector<ExecutedPtr> uncut_;
    AccessLogPool access_logs_;
    AccessLogPtr accesses_ = access_logs_.take();  ///< of uncut_
    Published published_;                          ///< of execute()
    std::vector<uint32_t> mini_block_ends_;
    uint64_t first_mini_block_number_ = 0;
    uint64_t gas_used_ = 0;
    uint64_t uncut_gas_ = 0;
    size_t uncut_bytes_ = 0;
    size_t block_bytes_ = 0;
    std::vector<std::pair<Address, uint64_t>> nonces_changed_;
    uint64_t log_count_ = 0;
    U256 tips_;
    U256 base_fees_;
    std::deque<std::pair<uint64_t, Hash256>> block_hashes_;
};

/// What PREVRANDAO is in the block after one with these fields and transactions: a hash over what
/// is known when that block is closed, before its own hash is. It only is different in each block;
/// whoever orders or sends the last transactions can choose it, so it is no source of randomness.
Hash256 next_prev_randao(const Hash256& prev_randao, const Hash256& parent_hash, uint64_t number,
                         const std::vector<ExecutedPtr>& transactions,
                         const std::vector<uint32_t>& mini_block_ends);

/// Header of a closed block over this state root (Osaka's fields); `hash` hashes the tries of
/// transactions and receipts. `receipts` has the transactions' receipts, encoded.
evm::BlockHeader make_header(const ClosedBlock& block, const Hash256& state_root,
                             std::span<const ByteView> receipts, evm::HashBatch& hash);
}  // namespace millrace::sequencer
