// SPDX-License-Identifier: Apache-2.0
// Owns the thread that computes the roots and the header of closed blocks.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <variant>

#include "evm/trie/hash_batch.hpp"
#include "host/base/metrics.hpp"
#include "host/base/ring.hpp"
#include "host/sequencer/types.hpp"
#include "storage/chain/chain_store.hpp"
#include "storage/state/commitment.hpp"

namespace millrace::sequencer {

/// A block with its header, and the form in which the chain data keeps it. Immutable and shared.
struct FinishedBlock {
    SealedPtr block;
    storage::StoredBlockPtr stored;
};
using FinishedPtr = std::shared_ptr<const FinishedBlock>;
using FinishedDone = std::function<void(const FinishedPtr&)>;

/// Puts the header on a closed block over this state root. `hash` hashes the tries of transactions
/// and receipts.
FinishedPtr finish_block(ClosedBlock block, const Hash256& state_root, evm::HashBatch& hash);

/// Owns the state commitment: takes every change of the state in order, and computes the root when
/// a block is closed, while the next block's changes wait in its ring. One thread feeds it; its own
/// is called `mr-root`.
class Sealer {
public:
    struct Options {
        /// Called before each root, on the sealer's thread (tests: a slow root); may be empty.
        std::function<void()> before_root;
        metrics::Histogram* root_seconds = nullptr;
    };
    /// `hash` is used by the sealer's thread only and outlives it.
    Sealer(std::unique_ptr<storage::StateCommitment> commitment, evm::HashBatch& hash,
           Options options);
    /// Gives up what has not begun; a root under way is waited for.
    ~Sealer();
    Sealer(const Sealer&) = delete;
    Sealer& operator=(const Sealer&) = delete;

    /// Both wait while the ring is full, which holds back the log and with it execution.
    void apply(std::shared_ptr<const storage::StateDelta> delta);
    /// The state is now the one after `block`. `done` is called on the sealer's thread; not at all
    /// when the sealer goes first.
    void close(ClosedBlock block, FinishedDone done);
    /// Waits until everything given so far is done with, callbacks too.
    void settle();
    /// Changes that the ring has room for (sequencer note: some seconds of mini-blocks), and about how many are in it. Any thread.
    static constexpr size_t capacity = 256;
    size_t waiting() const noexcept { return inbox_.size_approx(); }

private:
    struct Close {
        ClosedBlock block;
        FinishedDone done;
    };
    using Message =
        std::variant<std::shared_ptr<const storage::StateDelta>, Close, std::promise<void>>;
    void push(Message message);
    void run();

    std::unique_ptr<storage::StateCommitment> commitment_;
    evm::HashBatch& hash_;
    Options options_;
    Mailbox<Message> inbox_;
    std::atomic<bool> stopping_{false};
    std::jthread thread_;
};

}  // namespace millrace::sequencer
