// SPDX-License-Identifier: Apache-2.0
// Owns what readers see of the chain: the durable part, sealed blocks and the open one.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "host/base/error.hpp"
#include "host/sequencer/types.hpp"
#include "storage/chain/chain_store.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::sequencer {

/// Takes publications on the committer's thread: mini-blocks in chain order, and blocks in chain
/// order; a block comes after all of its mini-blocks, and after some of the next block's as well
/// when those were faster than its root. Implementations only queue.
class ChainObserver {
public:
    virtual ~ChainObserver() = default;
    virtual void on_mini_block(const MiniBlockPtr& mini_block) = 0;
    virtual void on_sealed(const SealedPtr& block) = 0;
    /// Blocks above `last_kept` and the open one are undone. `sealed` ascends. No block is between
    /// its close and its seal.
    virtual void on_reverted(uint64_t last_kept, const std::vector<SealedPtr>& sealed,
                             const std::vector<MiniBlockPtr>& open) = 0;
};

/// A transaction with its place.
struct LocatedTransaction {
    ExecutedPtr transaction;
    uint64_t block_number = 0;
    Hash256 block_hash;  ///< zero until the block is sealed
    uint64_t block_timestamp_s = 0;
    U256 base_fee_per_gas;
};

/// An open or closed block as far as it is durable.
struct OpenBlockView {
    OpenBlock open;
    std::vector<MiniBlockPtr> mini_blocks;
};

/// Reads by any thread; publications by the committer only. Sealed blocks live in the chain store,
/// the newest of them decoded here as well.
class ChainView {
public:
    ChainView(storage::ChainStore& chain, storage::StateStore& state)
        : chain_(chain), state_(state) {}

    // --- Reading ---
    /// Never null after recovery: block 0 is the genesis.
    SealedPtr head() const;
    /// The newest block that is not sealed: open, or closed while the next one is not open yet.
    std::optional<OpenBlockView> open_block() const;
    /// All blocks that are not sealed, ascending: at most one that is closed, and the open one.
    std::vector<OpenBlockView> unsealed_blocks() const;
    /// Null when there is no such sealed block.
    Result<SealedPtr> sealed(uint64_t number) const;
    Result<SealedPtr> sealed(const Hash256& hash) const;
    std::optional<LocatedTransaction> find_transaction(const Hash256& hash) const;
    /// The newest durable state.
    std::shared_ptr<const storage::StateSnapshot> latest_state() const { return state_.snapshot(); }
    /// State after sealed block `number`; fails when it is older than the history kept.
    Result<std::shared_ptr<const storage::StateSnapshot>> state_after(uint64_t number) const;

    /// Calls `done` with the transaction as soon as it is durable: at once when it is already,
    /// else on the committer's thread; or with null and the reason when it left the pool without
    /// being executed. Gives an id for unwatch(), or 0 when `done` has run.
    using Watcher = std::function<void(const LocatedTransaction*, std::string_view reason)>;
    uint64_t watch(const Hash256& hash, Watcher done);
    /// Ends the watches of a transaction that will not be executed. Any thread.
    void give_up(const Hash256& hash, std::string_view reason);
    void unwatch(uint64_t id);
    size_t watcher_count() const;

    void add_observer(ChainObserver* observer);
    void remove_observer(ChainObserver* observer);

    // --- Publishing (committer) ---
    void publish_genesis(const SealedPtr& genesis, uint64_t state_version);
    void publish_open(const OpenBlock& open);
    /// The open block is complete; its seal follows.
    void publish_closed();
    void publish_mini_block(const MiniBlockPtr& mini_block);
    void publish_sealed(const SealedPtr& block, uint64_t state_version);
    /// Undoes everything after `last_kept`, whose sealed form the caller gives.
    void publish_reverted(const SealedPtr& last_kept, uint64_t state_version,
                          const std::vector<SealedPtr>& undone);
    /// Restores what is known of earlier blocks at start-up, without telling observers.
    void restore_version(uint64_t block_number, uint64_t state_version);
    void restore_head(const SealedPtr& head);

private:
    /// A block that is not sealed, with a look-up of its transactions.
    struct Unsealed {
        struct Transactions;
        OpenBlockView view;
        std::shared_ptr<Transactions> transactions;
        LocatedTransaction locate(const ExecutedPtr& t) const;
    };
    std::optional<LocatedTransaction> find_unsealed(const Hash256& hash) const;
    std::optional<LocatedTransaction> find_sealed(const Hash256& hash) const;
    /// A block that is only in the store; null when there is none.
    Result<SealedPtr> older(uint64_t number) const;
    std::vector<ChainObserver*> observers() const;

    storage::ChainStore& chain_;
    storage::StateStore& state_;

    mutable std::shared_mutex mutex_;  // guards everything below
    SealedPtr head_;
    SealedPtr genesis_;
    std::optional<Unsealed> closed_;
    std::optional<Unsealed> open_;
    struct Recent {
        SealedPtr block;
        size_t bytes;
    };
    /// Returns what it has no longer room for, to be destroyed without the lock.
    std::vector<SealedPtr> push_recent(const SealedPtr& block, size_t bytes);
    std::deque<Recent> recent_;  ///< newest last
    size_t recent_bytes_ = 0;
    std::deque<std::pair<uint64_t, uint64_t>>
        versions_;  ///< block number, state version; ascending
    struct Watch {
        uint64_t id;
        Watcher done;
    };
    std::unordered_multimap<Hash256, Watch> watches_;
    std::unordered_map<uint64_t, Hash256> watched_;  ///< by id; as many as watches_
    uint64_t next_watch_ = 1;
    std::vector<ChainObserver*> observers_;
    /// Blocks of the store that were asked for last, because who asks for one transaction mostly
    /// asks for its neighbours too and a block is read as a whole; the latest is the newest.
    mutable std::mutex older_mutex_;  // guards the two below
    mutable std::deque<Recent> older_;
    mutable size_t older_bytes_ = 0;
    /// Held shared while observers are called, so that removal can wait for them.
    mutable std::shared_mutex observers_mutex_;
};

/// Conversions to and from what the chain store keeps.
/// The part of the transactions, which is known first; gives views of the receipts in the form that
/// the receipts trie has them in, valid as long as `stored` keeps its list of receipts.
std::vector<ByteView> store_transactions(const std::vector<ExecutedPtr>& transactions,
                                         storage::StoredBlock& stored);
/// The rest.
void store_header(const SealedBlock& block, storage::StoredBlock& stored);
Result<SealedPtr> from_stored(const storage::StoredBlock& stored);

}  // namespace millrace::sequencer
