// SPDX-License-Identifier: Apache-2.0
// Owns the executor's state: versioned cells, transactions' views of them, and the commit that can
// refuse.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "evm/core/state_view.hpp"
#include "host/sequencer/executor/cell_index.hpp"
#include "host/sequencer/executor/versioned_cell.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::sequencer {

/// Which piece of state a cell holds.
enum class CellKind : uint8_t { nonce, balance, code_hash, slot };

/// What a transaction depends on. Pointers are to cells of the table it was read from.
struct ReadSet {
    struct Read {
        const VersionWord* cell;
        uint64_t version;
        CellKind kind{};
    };
    struct Bound {
        const Cell<U256>* cell;
        U256 min;  ///< the balance must be at least this at commit
    };
    std::vector<Read> reads;
    std::vector<Bound> bounds;
    void clear() noexcept {
        reads.clear();
        bounds.clear();
    }
    /// As Published::recycle().
    void recycle() noexcept {
        constexpr size_t kept = 256;
        clear();
        if (reads.capacity() > kept) { reads = {}; }
        if (bounds.capacity() > kept) { bounds = {}; }
    }
};

/// Why a commit was refused.
enum class Conflict : uint8_t {
    none,
    locked,          ///< another commit held a cell for too long
    stale_read,      ///< a value that was read is no longer the value
    bound_violated,  ///< a balance has fallen below what was asked of it
};

struct SlotCell;

/// The cells of one account: one for each field, so that a transfer to an account does not conflict
/// with that account's own nonce.
struct alignas(64) AccountCells {
    Cell<uint64_t> nonce;
    Cell<U256> balance;
    Cell<Hash256> code_hash;
    Address address;
    uint64_t index_hash = 0;
    uint64_t incarnation = 0;
    std::atomic<SlotCell*> slots{nullptr};  ///< newest first

    /// The account that has this version word; `kind` is not `slot`.
    static const AccountCells& of(const VersionWord* cell, CellKind kind) noexcept;

    /// As of the last merged commit, for the thread that merges.
    struct Merged {
        uint64_t nonce = 0;
        U256 balance;
        Hash256 code_hash;
        bool dirty = false;              ///< changed since the last take_delta()
        bool is_empty() const noexcept;  ///< EIP-161
    } merged;
};

struct alignas(64) SlotCell {
    Cell<U256> value;
    AccountCells* account = nullptr;
    U256 key;
    uint64_t index_hash = 0;
    SlotCell* next = nullptr;  ///< of the same account

    /// The slot that has this version word.
    static const SlotCell& of(const VersionWord* cell) noexcept {
        return *reinterpret_cast<const SlotCell*>(reinterpret_cast<const char*>(cell) -
                                                  offsetof(SlotCell, value));
    }

    U256 merged_value;  ///< as AccountCells::merged
    bool merged_dirty = false;
};

inline const AccountCells& AccountCells::of(const VersionWord* cell, CellKind kind) noexcept {
    // A version word is the first member of its cell.
    const size_t at = kind == CellKind::nonce     ? offsetof(AccountCells, nonce)
                      : kind == CellKind::balance ? offsetof(AccountCells, balance)
                                                  : offsetof(AccountCells, code_hash);
    return *reinterpret_cast<const AccountCells*>(reinterpret_cast<const char*>(cell) - at);
}

/// What one commit published, with the values that it left behind. The buffers are reused.
struct Published {
    struct AccountPost {
        AccountCells* account = nullptr;
        std::optional<uint64_t> nonce;
        std::optional<U256> balance;
        std::optional<Hash256> code_hash;
        evm::CodePtr code;
    };
    struct SlotPost {
        SlotCell* slot;
        U256 value;
    };
    std::vector<AccountPost> accounts;
    std::vector<SlotPost> slots;
    void clear() noexcept {
        accounts.clear();
        slots.clear();
    }
    /// As clear(), and gives back what one large transaction needed and most do not.
    void recycle() noexcept {
        constexpr size_t kept = 256;
        clear();
        if (accounts.capacity() > kept) { accounts = {}; }
        if (slots.capacity() > kept) { slots = {}; }
    }
};

/// All state that executed transactions have touched, over a pinned snapshot of the store: what no
/// transaction has written since the table was filled is still what the snapshot says.
///
/// The protocol of a commit: lock the cells that change, take a sequence number, validate what was
/// read, publish under the number. A number taken under locks and before validation makes the order
/// of numbers a serial order: whoever writes what I read either has its lock when I validate, or
/// has published, or takes a later number. (Tu and others, "Speedy transactions in multicore
/// in-memory databases", 2013, with a number from one counter instead of one from the data.)
///
/// Members are for any thread unless they say otherwise. "At rest" means that no commit and no view
/// is in use on another thread.
class CellTable {
public:
    explicit CellTable(std::shared_ptr<const storage::StateSnapshot> base)
        : base_(std::move(base)) {}

    // --- Commits ---

    struct Commit {
        Conflict conflict = Conflict::none;
        uint64_t sequence = 0;  ///< zero when none was taken; else used up, even by a conflict
    };
    /// Memory of a thread that commits.
    struct Scratch {
        /// Called between the steps of a commit where it is not null (tests).
        const std::function<void()>* yield = nullptr;
        struct Lock {
            VersionWord* cell;
            uint64_t before;
        };
        struct Account {
            AccountCells* cells;
            size_t change;
        };
        std::vector<Lock> locks;
        std::vector<Account> accounts;
        std::vector<SlotCell*> slots;
    };
    /// Validates what the transaction read and publishes its changes, or changes nothing. Balances
    /// move by the deltas; only the reads decide on validity. `environment` is one more read, of a
    /// cell outside the table, or null. Fills `published` where there was no conflict.
    Commit commit(const ReadSet& reads, const evm::StateChanges& changes, Scratch& scratch,
                  Published& published, const ReadSet::Read* environment = nullptr);
    /// Takes the next sequence number for something that is no commit of the table.
    uint64_t take_sequence() noexcept {
        return sequence_.fetch_add(1, std::memory_order_acq_rel) + 1;
    }
    /// The border of two blocks is a commit, too, that writes `environment`: locks the cell, which
    /// no other commit does, and then takes the number that it returns. Until open_environment()
    /// every commit with a higher number is refused.
    uint64_t close_environment(VersionWord& environment) noexcept;
    static void open_environment(VersionWord& environment, uint64_t border) noexcept {
        environment.store(version_of(border), std::memory_order_seq_cst);
    }
    /// The last number taken.
    uint64_t sequence() const noexcept { return sequence_.load(std::memory_order_acquire); }

    // --- The merging thread: makes deltas of what was published, in the order of the numbers ---

    /// Each block names the code that it deploys anew, known or not: what a delta holds must follow
    /// from the block alone, because recovery begins at any of them with an empty table.
    void begin_block() {
        deployed_.clear();
        opening_sequence_ = given_sequence_;
    }
    void merge(const Published& published);
    /// From now on commit_alone() uses this number, until it is zero: between two blocks of an
    /// executor, whose transactions would refuse everything that was read there.
    void use_sequence(uint64_t sequence) noexcept { given_sequence_ = sequence; }
    /// commit and merge of a thread that is the only one to commit.
    Conflict commit_alone(const ReadSet& reads, const evm::StateChanges& changes);
    /// As commit_alone, but leaves the merge to the caller.
    Conflict publish_alone(const ReadSet& reads, const evm::StateChanges& changes,
                           Published& published);
    /// As commit_alone() of an opening operation of this block, while others are committing: it has
    /// the number that those before it had. Whatever it changes must be promised, so that nobody
    /// has committed anything that depends on it.
    Conflict commit_opening(const ReadSet& reads, const evm::StateChanges& changes);

    /// Says that `slot` is going to be written by commit_opening(): who reads it before fulfil()
    /// has to wait (CellView::awaits_parent). At rest; one slot at a time.
    void promise(const SlotCell& slot) noexcept {
        promised_.store(&slot, std::memory_order_release);
    }
    /// The promised value is committed, or will never come.
    void fulfil() noexcept {
        // Release: whoever no longer sees the promise sees the value.
        promised_.store(nullptr, std::memory_order_release);
    }
    bool is_promised(const SlotCell& slot) const noexcept {
        return promised_.load(std::memory_order_acquire) == &slot;
    }

    /// Net post-values of everything merged since the last call, in canonical order.
    storage::StateDelta take_delta();
    /// About what take_delta() would take in its encoded form.
    size_t dirty_bytes() const noexcept;
    /// At most what merge() adds to that.
    static size_t delta_bytes_of(const Published& published) noexcept;
    /// Direct edits of development methods, at rest; committed like a transaction that read
    /// nothing.
    void set_balance(const Address& address, const U256& balance);
    void set_nonce(const Address& address, uint64_t nonce);
    void set_code(const Address& address, Bytes code);
    void set_storage(const Address& address, const U256& key, const U256& value);
    /// An account that has got storage since the last take_delta() and does not exist (EIP-161),
    /// which the store cannot hold. Only edits can bring it about.
    std::optional<Address> account_with_stray_storage() const;

    /// Replaces the snapshot below by a newer one and, when more than `cells_max` are held, forgets
    /// all cells. Only at rest, with nothing left for take_delta(); to forget, every committed
    /// change must be part of `base`. What is kept needs none: of a value that has a cell nobody
    /// asks the snapshot, and a value without one has not changed.
    void rebase(std::shared_ptr<const storage::StateSnapshot> base, size_t cells_max);
    /// As rebase, forgetting everything: after a revert.
    void reset(std::shared_ptr<const storage::StateSnapshot> base);

    size_t cell_count() const noexcept { return cell_count_.load(std::memory_order_relaxed); }

    // --- Cells ---
    AccountCells& account(const Address& address);
    SlotCell& slot(AccountCells& a, const U256& key);
    evm::CodePtr code(const Hash256& hash) const;
    /// Not a cell of its own: a creation asks it after it has read a nonce of zero and no code, and
    /// an account that has storage by a transaction has had a nonce or code since.
    bool has_storage(const Address& address);

private:
    struct CodeNode {
        Hash256 hash;
        evm::CodePtr code;
        uint64_t index_hash = 0;
    };

    bool lock_changed(const evm::StateChanges& changes, Scratch& scratch);
    void lock_order(const evm::StateChanges& changes, Scratch& scratch);
    static void unlock(Scratch& scratch) noexcept;
    static Conflict validate(const ReadSet& reads, const Scratch& scratch, uint64_t sequence,
                             const ReadSet::Read* environment) noexcept;
    void publish(const evm::StateChanges& changes, Scratch& scratch, uint64_t sequence,
                 Published& published);
    void add_code(const Hash256& hash, const evm::CodePtr& code);
    void name_code(const Hash256& hash, const evm::CodePtr& code);
    void mark(AccountCells& a);
    void mark(SlotCell& s);
    void forget_changes() noexcept;
    void edit(const Address& address, const std::function<void(evm::AccountChange&)>& fill);

    Commit commit_as(uint64_t sequence, const ReadSet& reads, const evm::StateChanges& changes,
                     Scratch& scratch, Published& published, const ReadSet::Read* environment);

    std::shared_ptr<const storage::StateSnapshot> base_;
    CellIndex<AccountCells> accounts_;
    CellIndex<SlotCell> slots_;
    CellIndex<CodeNode> codes_;
    alignas(64) SharedWord sequence_{0};
    alignas(64) std::atomic<size_t> cell_count_{0};
    alignas(64) std::atomic<const SlotCell*> promised_{nullptr};  ///< changes once a block

    // Of the merging thread.
    uint64_t given_sequence_ = 0;
    uint64_t opening_sequence_ = 0;  ///< given at the beginning of the block
    Scratch scratch_;
    Published published_;
    std::vector<AccountCells*> dirty_accounts_;
    std::vector<SlotCell*> dirty_slots_;
    std::vector<Hash256> new_codes_;  ///< may name one twice
    size_t new_code_bytes_ = 0;
    std::unordered_set<Hash256> deployed_;  ///< by transactions of this block
};

/// A transaction's view of a CellTable; records every read and bound. Block hashes come from a
/// function of the owner, nothing for one that is not known yet. One thread.
class CellView final : public evm::StateView {
public:
    using BlockHashes = std::function<std::optional<Hash256>(uint64_t)>;
    CellView(CellTable& cells, const BlockHashes& block_hashes)
        : cells_(cells), block_hashes_(block_hashes) {}

    bool account_exists(const Address& address) override;
    uint64_t nonce(const Address& address) override;
    U256 balance(const Address& address) override;
    bool balance_at_least(const Address& address, const U256& min) override;
    Hash256 code_hash(const Address& address) override;
    evm::CodePtr code(const Hash256& hash) override { return cells_.code(hash); }
    U256 storage(const Address& address, const U256& key) override;
    bool has_storage(const Address& address) override { return cells_.has_storage(address); }
    Hash256 block_hash(uint64_t number) override {
        const std::optional<Hash256> hash = block_hashes_(number);
        if (!hash) { awaits_parent_ = true; }
        return hash.value_or(Hash256{});
    }

    const ReadSet& reads() const noexcept { return reads_; }
    /// Exchanges what was recorded for buffers to record into.
    void take_reads(ReadSet& out) noexcept {
        out.clear();
        std::swap(reads_, out);
    }
    /// Something was read that only the parent's hash will tell: what was done since clear() must
    /// not be committed, and can be done again once the hash is known.
    bool awaits_parent() const noexcept { return awaits_parent_; }
    void clear() noexcept {
        reads_.clear();
        last_ = nullptr;
        awaits_parent_ = false;
    }

private:
    AccountCells& account(const Address& address);
    template <class T>
    T read(const Cell<T>& cell, CellKind kind);

    CellTable& cells_;
    const BlockHashes& block_hashes_;
    ReadSet reads_;
    AccountCells* last_ = nullptr;  ///< questions about one account mostly come together
    bool awaits_parent_ = false;
};

}  // namespace millrace::sequencer
