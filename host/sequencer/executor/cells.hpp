// SPDX-License-Identifier: Apache-2.0
// Owns the executor's state: versioned cells, transactions' views of them, and the commit that can
// refuse.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "evm/core/state_view.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::sequencer {

/// One piece of state with the commit sequence number of its last change. A cell per account field
/// and per slot, so that a transfer to an account does not conflict with that account's own nonce.
template <class T>
struct Cell {
    T value{};
    uint64_t version = 0;
};

/// What a transaction depends on. Pointers are to cells of the table it was read from.
struct ReadSet {
    template <class T>
    struct Read {
        const Cell<T>* cell;
        uint64_t version;
    };
    struct Bound {
        const Cell<U256>* cell;
        U256 min;  ///< the balance must be at least this at commit
    };
    std::vector<Read<uint64_t>> nonces;
    std::vector<Read<U256>> values;  ///< balances and slots
    std::vector<Read<Hash256>> code_hashes;
    std::vector<Bound> bounds;
    void clear();
};

/// Why a commit was refused.
enum class Conflict : uint8_t { none, stale_read, bound_violated };

/// All state that executed transactions have touched, over a pinned snapshot of the store: what no
/// transaction has written since the table was filled is still what the snapshot says. One owning
/// thread; the protocol (versions, validation, deltas) is the one that parallel execution needs.
class CellTable {
public:
    struct AccountCells {
        Cell<uint64_t> nonce;
        Cell<U256> balance;
        Cell<Hash256> code_hash;
        uint64_t incarnation = 0;
        bool dirty = false;              ///< changed since the last take_delta()
        bool is_empty() const noexcept;  ///< EIP-161
        std::unordered_map<U256, Cell<U256>> slots;
    };

    explicit CellTable(std::shared_ptr<const storage::StateSnapshot> base)
        : base_(std::move(base)) {}

    /// Each block names the code that it deploys anew, known or not: what a delta holds must follow
    /// from the block alone, because recovery begins at any of them with an empty table.
    void begin_block() { deployed_.clear(); }

    /// Validates what the transaction read and publishes its changes, or changes nothing. Returns
    /// the reason of a refusal. Balances move by the deltas; only the reads decide on validity.
    Conflict commit(const ReadSet& reads, const evm::StateChanges& changes);

    /// Net post-values of everything committed since the last call, in canonical order.
    storage::StateDelta take_delta();
    /// About what take_delta() would take in its encoded form.
    size_t dirty_bytes() const noexcept;
    /// Direct edits of development methods; committed like a transaction that read nothing.
    void set_balance(const Address& address, const U256& balance);
    void set_nonce(const Address& address, uint64_t nonce);
    void set_code(const Address& address, Bytes code);
    void set_storage(const Address& address, const U256& key, const U256& value);
    /// An account that has got storage since the last take_delta() and does not exist (EIP-161),
    /// which the store cannot hold. Only edits can bring it about.
    std::optional<Address> account_with_stray_storage() const;

    /// Replaces the snapshot below by a newer one and, when more than `cells_max` are held, forgets
    /// all cells. Only when every committed change is part of `base`.
    void rebase(std::shared_ptr<const storage::StateSnapshot> base, size_t cells_max);
    /// As rebase, forgetting everything: after a revert.
    void reset(std::shared_ptr<const storage::StateSnapshot> base);

    uint64_t sequence() const noexcept { return sequence_; }
    size_t cell_count() const noexcept { return cell_count_; }

    // Used by CellView.
    AccountCells& account(const Address& address);
    Cell<U256>& slot(AccountCells& a, const Address& address, const U256& key);
    evm::CodePtr code(const Hash256& hash) const;
    bool has_storage(const Address& address);

private:
    struct DirtySlot {
        Address address;
        U256 key;
    };
    void mark(const Address& address, AccountCells& a);

    std::shared_ptr<const storage::StateSnapshot> base_;
    // Node-based maps: read sets hold pointers to cells while others are added.
    std::unordered_map<Address, AccountCells> accounts_;
    std::unordered_map<Hash256, evm::CodePtr> codes_;
    std::vector<Address> dirty_accounts_;
    std::unordered_map<Address, std::unordered_map<U256, bool>> dirty_slots_;
    size_t dirty_slot_count_ = 0;
    std::vector<Hash256> new_codes_;  ///< may name one twice
    size_t new_code_bytes_ = 0;
    std::unordered_set<Hash256> deployed_;  ///< by transactions of this block
    void add_code(const Hash256& hash, evm::CodePtr code);
    void mark_slot(const Address& address, const U256& key);
    void forget_changes() noexcept;
    uint64_t sequence_ = 0;
    size_t cell_count_ = 0;
};

/// A transaction's view of a CellTable; records every read and bound. Block hashes come from a
/// function of the owner.
class CellView final : public evm::StateView {
public:
    using BlockHashes = std::function<Hash256(uint64_t)>;
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
    Hash256 block_hash(uint64_t number) override { return block_hashes_(number); }

    const ReadSet& reads() const noexcept { return reads_; }
    void clear() { reads_.clear(); }

private:
    CellTable& cells_;
    const BlockHashes& block_hashes_;
    ReadSet reads_;
};

}  // namespace millrace::sequencer
