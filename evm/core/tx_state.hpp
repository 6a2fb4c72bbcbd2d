// SPDX-License-Identifier: Apache-2.0
// Owns the state as one transaction sees and changes it: accounts, slots, journal, logs, refunds.
#pragma once

#include <deque>
#include <vector>

#include "evm/core/code.hpp"
#include "evm/core/detail/index_table.hpp"
#include "evm/core/precompile_set.hpp"
#include "evm/core/rules.hpp"
#include "evm/core/state_view.hpp"
#include "evm/tx/receipt.hpp"

namespace millrace::evm {

/// One account's record within a transaction. Everything read from the view is kept, so each field
/// is asked for once.
struct TxAccount {
    Address address;
    uint32_t index = 0;

    bool warm = false;
    bool touched = false;
    bool created = false;    ///< a contract was created here in this transaction
    bool destroyed = false;  ///< marked by SELFDESTRUCT for removal at the end
    bool exists_known = false;
    bool exists = false;
    bool nonce_known = false;
    bool nonce_changed = false;
    bool code_hash_known = false;
    bool code_changed = false;
    bool balance_known = false;

    uint64_t nonce = 0;
    Hash256 code_hash;
    AnalyzedCodePtr code;  ///< null until asked for
    CodePtr raw_code;      ///< null until asked for; only while `code` is null

    U256 base_balance;  ///< what the view said, when balance_known
    U256 credit;
    U256 debit;
    U256 bound;  ///< the largest minimum of base_balance that the view has confirmed
};

/// One storage slot's record within a transaction.
struct TxSlot {
    uint32_t account = 0;
    uint32_t index = 0;
    bool warm = false;
    bool known = false;
    U256 key;
    U256 original;  ///< before the transaction
    U256 current;
};

/// The mutable state of the transaction in progress, over a StateView. Reused for one transaction
/// after another by begin(); references to records stay valid until then. Not thread-safe.
class TxState {
public:
    /// Forgets everything and starts a transaction over `view`. The arguments must outlive it.
    void begin(StateView& view, const Rules& rules, CodeCache& codes,
               const PrecompileSet& precompiles);

    // --- Accounts ---
    TxAccount& account(const Address& address);
    /// Marks the account warm (EIP-2929); true when it was cold.
    bool warm_account(TxAccount& a);
    void touch(TxAccount& a);
    /// In the trie, or made to exist by this transaction. Only meaningful before EIP-161.
    bool exists(TxAccount& a);
    /// Nonce, balance and code all empty (EIP-161).
    bool is_empty(TxAccount& a);

    uint64_t nonce(TxAccount& a);
    void set_nonce(TxAccount& a, uint64_t nonce);
    const Hash256& code_hash(TxAccount& a);
    const AnalyzedCode& code(TxAccount& a);
    /// The code without an analysis, which looking at it does not pay for. Valid until the next
    /// call of a member.
    ByteView code_bytes(TxAccount& a);
    void set_code(TxAccount& a, ByteView code);

    /// Value read of the balance.
    U256 balance(TxAccount& a);
    /// Whether `amount` could be debited; records a bound, not a value, when it could.
    bool balance_at_least(TxAccount& a, const U256& amount);
    /// Takes `amount`; balance_at_least(a, amount) must have answered true.
    void debit(TxAccount& a, const U256& amount);
    void credit(TxAccount& a, const U256& amount);

    /// EIP-7610: whether a contract may be created here.
    bool has_collision(TxAccount& a);
    void mark_created(TxAccount& a);
    /// Marks for removal; false when it was marked already.
    bool mark_destroyed(TxAccount& a);

    // --- Storage ---
    TxSlot& slot(TxAccount& a, const U256& key);
    /// Marks the slot warm; true when it was cold.
    bool warm_slot(TxSlot& s);
    const U256& load(TxSlot& s);
    void store(TxSlot& s, const U256& value);
    U256 transient_load(const TxAccount& a, const U256& key);
    void transient_store(const TxAccount& a, const U256& key, const U256& value);

    // --- Logs and refunds ---
    void add_log(Log log) { logs_.push_back(std::move(log)); }
    std::vector<Log>& logs() noexcept { return logs_; }
    int64_t refund() const noexcept { return refund_; }
    void add_refund(int64_t gas) noexcept { refund_ += gas; }

    // --- Frames ---
    struct Checkpoint {
        size_t journal_size;
        size_t log_count;
        int64_t refund;
    };
    Checkpoint checkpoint() const noexcept { return {journal_.size(), logs_.size(), refund_}; }
    /// Undoes everything since the checkpoint except what was read, bound or asked of the view.
    void revert_to(const Checkpoint& checkpoint);

    /// The net effect, sorted by address. The state stays readable until begin().
    StateChanges changes();
    /// Takes changes that are no longer needed: later ones are made in their memory.
    void reuse(StateChanges&& changes);

    /// A number of what the transaction has done so far, for comparing two ways of running the same
    /// frame: accounts and slots in the order of their first touch, logs, refund. Not stable over
    /// versions.
    uint64_t fingerprint() const noexcept;

    Hash256 block_hash(uint64_t number) { return view_->block_hash(number); }
    const Rules& rules() const noexcept { return *rules_; }

private:
    enum class Undo : uint8_t {
        warm_account,
        touched,
        nonce,
        code,
        credit,
        debit,
        created,
        destroyed,
        warm_slot,
        slot,
        transient
    };
    struct JournalEntry {
        Undo kind;
        bool flag = false;
        uint32_t record = 0;
        U256 previous;
        AnalyzedCodePtr code;
        Hash256 code_hash;
    };
    struct Transient {
        uint32_t account;
        U256 key;
        U256 value;
    };

    void note(Undo kind, uint32_t record, const U256& previous = {}, bool flag = false);
    void read_balance(TxAccount& a);
    uint32_t transient_record(const TxAccount& a, const U256& key) const noexcept;

    StateView* view_ = nullptr;
    const Rules* rules_ = nullptr;
    CodeCache* codes_ = nullptr;
    const PrecompileSet* precompiles_ = nullptr;

    // Records are pooled: `*_count_` of them are in use, the rest wait for a later transaction.
    std::deque<TxAccount> accounts_;
    size_t account_count_ = 0;
    std::vector<uint32_t>
        change_places_;  ///< memory of changes(): the place of an account's change
    std::vector<AccountChange> spare_accounts_;             ///< empty; memory for changes()
    std::vector<std::vector<StorageWrite>> spare_storage_;  ///< likewise, each of them
    std::deque<TxSlot> slots_;
    size_t slot_count_ = 0;
    std::vector<Transient> transients_;
    detail::IndexTable account_index_;
    detail::IndexTable slot_index_;
    detail::IndexTable transient_index_;
    std::vector<JournalEntry> journal_;
    std::vector<AnalyzedCodePtr> pinned_code_;  ///< replaced code may still be running
    std::vector<Log> logs_;
    int64_t refund_ = 0;
};

}  // namespace millrace::evm
