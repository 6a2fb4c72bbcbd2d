// SPDX-License-Identifier: Apache-2.0
// Owns the making of a MiniBlockAccess out of what its transactions read and wrote.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "net/sync/balance_dependencies.hpp"
#include "net/sync/key_index.hpp"
#include "net/sync/mini_block_access.hpp"

namespace millrace::sync {

/// Fields of an account that a transaction read before its own writes: bits of AccountField, and
/// `bounded`. The same account may come several times.
struct AccountRead {
    /// The balance was asked to be at least something, and was. A bound that failed is a read of
    /// field_balance.
    static constexpr uint8_t bounded = 8;
    Address address;
    uint8_t fields = 0;
};
struct SlotRead {
    Address address;
    U256 key;
};
/// Fields of an account that have another value after the transaction than before it, with that
/// value. An account comes once.
struct AccountWrite {
    Address address;
    std::optional<uint64_t> nonce;
    std::optional<U256> balance;
    bool code_changed = false;
    CodePtr code;
};
struct SlotWrite {
    Address address;
    U256 key;
    U256 value;
};

/// What one transaction did, at its place in the order. Only looked at during the call.
struct TransactionAccess {
    uint64_t gas_used = 0;
    bool success = false;
    std::span<const AccountRead> reads;
    std::span<const SlotRead> slot_reads;
    std::span<const AccountWrite> writes;
    std::span<const SlotWrite> slot_writes;
};

/// Takes transactions in commit order and gives the mini-block's access in canonical form. It finds
/// the last writers itself. Reused for one mini-block after another without allocating. One thread.
class AccessBuilder {
public:
    void add(const TransactionAccess& transaction);
    size_t transaction_count() const noexcept { return transactions_.size(); }
    /// At least what the encoding takes so far; cheap.
    size_t bytes() const noexcept { return bytes_; }

    /// Writes the mini-block of everything added since the last time into `out`, whose memory is
    /// used again, and begins anew.
    void finish(const AccessHeader& header, MiniBlockAccess& out);
    /// Forgets what was added.
    void clear() noexcept;

private:
    static constexpr uint32_t none = KeyIndex::none;

    /// One line of the cache: mini-blocks touch many accounts a few times each. The lists are
    /// newest first, and the counts theirs.
    struct alignas(64) Account {
        Address address;
        uint16_t nonce_count = 0;
        uint16_t balance_count = 0;
        uint16_t code_count = 0;
        uint8_t reads = 0;
        uint32_t slot_count = 0;
        uint32_t last_nonce = none;
        uint32_t last_balance = none;
        uint32_t last_code = none;
        uint32_t last_slot = none;
        BalanceDependencies balance;
    };
    static_assert(sizeof(Account) == 64 && transactions_max <= 0xffff);
    struct alignas(64) Slot {
        U256 key;
        uint32_t account = 0;
        uint32_t last_change = none;
        uint32_t change_count = 0;
        uint32_t previous = none;  ///< slot of the account
    };
    /// A change in the list of its cell.
    template <class Change>
    struct Linked {
        Change change;
        uint32_t previous;
    };
    /// A record's place in an order by keys whose first bits are `prefix`.
    struct Place {
        uint64_t prefix;
        uint32_t record;
    };

    uint32_t account(const Address& address);
    uint32_t account(const Address& address, uint64_t hash);
    uint32_t slot(const Address& address, const U256& key);
    void read_account(const AccountRead& read, uint64_t hash);
    void write_account(const AccountWrite& write);
    void depend_on(uint32_t transaction) {
        if (transaction != before_mini_block) { needed_.push_back(transaction); }
    }
    void close_dependencies();
    template <class Less>
    void sort_places(Less&& less);
    void emit_account(const Account& a, MiniBlockAccess& out);
    void emit_slots(const Account& a, MiniBlockAccess& out);

    std::vector<TransactionOutcome> transactions_;
    std::vector<uint32_t> dependencies_;
    std::vector<Account> accounts_;
    std::vector<Slot> slots_;
    std::vector<Linked<NonceChange>> nonces_;
    std::vector<Linked<BalanceChange>> balances_;
    std::vector<Linked<CodeChange>> codes_;
    std::vector<Linked<StorageChange>> storage_;
    KeyIndex account_index_;
    KeyIndex slot_index_;
    size_t bytes_ = 0;
    uint32_t last_account_ = none;  ///< questions about one account mostly come together

    /// How far finish() has filled the lists of changes.
    struct Ends {
        uint32_t nonces = 0;
        uint32_t balances = 0;
        uint32_t codes = 0;
        uint32_t storage = 0;
    } ends_;

    // Memory that is used again.
    std::vector<uint32_t> needed_;
    std::vector<uint64_t> hashes_;
    std::vector<uint32_t> positions_;
    std::vector<Place> places_;
    std::vector<Place> sorted_;
    std::vector<Place> order_;
    std::vector<uint32_t> starts_;
};

}  // namespace millrace::sync
