// SPDX-License-Identifier: Apache-2.0
// Owns what the transactions of a mini-block read and wrote, on its way to the mini-block's access
// list.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "host/sequencer/executor/cells.hpp"
#include "host/sequencer/types.hpp"
#include "net/sync/access_builder.hpp"

namespace millrace::sequencer {

/// Reads and writes by transaction, in commit order. The thread that merges notes them, because
/// only there it is known which value a transaction left behind found; the committer makes the
/// list out of them, off the way of execution. The buffers are used again.
class AccessLog {
public:
    /// Begins a mini-block of `block` behind so many transactions and so much gas of it.
    void begin(const OpenBlock& block, uint64_t first_transaction_index, uint64_t gas_used_before);
    /// Notes a transaction before its changes are merged.
    void add(uint64_t gas_used, bool success, const ReadSet& reads, const Published& published);
    size_t transaction_count() const noexcept { return transactions_.size(); }
    /// At least what the access list takes in its encoding; cheap.
    size_t bytes() const noexcept;
    /// At most what add() adds to bytes().
    static size_t bytes_of(const ReadSet& reads, const Published& published) noexcept;

    /// Makes the list in canonical form. `builder` is empty before and after.
    void make(uint64_t mini_block_number, const Hash256& transactions_digest,
              const Hash256& receipts_digest, sync::AccessBuilder& builder,
              sync::MiniBlockAccess& out) const;

private:
    /// A transaction, and where its parts of the lists end; they begin where those of the one
    /// before end.
    struct Transaction {
        uint64_t gas_used = 0;
        bool success = false;
        size_t reads_end = 0;
        size_t slot_reads_end = 0;
        size_t writes_end = 0;
        size_t slot_writes_end = 0;
    };

    void note_read(const AccountCells& account, uint8_t fields);

    sync::AccessHeader header_;
    std::vector<Transaction> transactions_;
    std::vector<sync::AccountRead> reads_;
    std::vector<sync::SlotRead> slot_reads_;
    std::vector<sync::AccountWrite> writes_;
    std::vector<sync::SlotWrite> slot_writes_;
    const AccountCells* last_read_ = nullptr;  ///< reads of one account mostly come together
    size_t code_bytes_ = 0;
};
using AccessLogPtr = std::shared_ptr<AccessLog>;

/// Access logs that nobody uses, with their memory. Thread-safe; logs may outlive the pool.
class AccessLogPool {
public:
    /// It comes back by itself when the last pointer to it goes.
    AccessLogPtr take();

private:
    struct Unused {
        std::mutex mutex;  // guards logs
        std::vector<std::unique_ptr<AccessLog>> logs;
    };
    std::shared_ptr<Unused> unused_ = std::make_shared<Unused>();
};

}  // namespace millrace::sequencer
