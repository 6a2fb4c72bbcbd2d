// SPDX-License-Identifier: Apache-2.0
// Owns the transaction pool: nonce chains per sender, priority by tip, replacement, limits.
#pragma once

#include <array>
#include <atomic>
#include <expected>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <span>
#include <vector>

#include "host/sequencer/pool/ready_heap.hpp"
#include "host/sequencer/pool/tip_bucket.hpp"

#include "host/sequencer/types.hpp"

namespace millrace::sequencer {

/// Memory that so many pooled transactions of so many bytes in wire form take together, roughly.
constexpr size_t pooled_bytes(size_t count, size_t wire_bytes) noexcept {
    constexpr size_t entry_overhead_bytes = 1024;
    return 2 * wire_bytes + count * entry_overhead_bytes;
}

struct PoolLimits {
    size_t transactions_max = 200'000;
    size_t bytes_max = size_t{512} << 20;
    /// Transactions behind a missing nonce may take 1/gapped_share of both limits above, because
    /// nobody can say whether they will ever run.
    size_t gapped_share = 4;
    /// How far beyond the first missing nonce of its sender a transaction may be.
    uint64_t future_nonces_max = 64;
    /// By how much both fees of a replacement must exceed those of the replaced.
    uint64_t replacement_percent = 10;
    /// Transactions with a higher gas limit are long, and next() can leave them out.
    uint64_t long_gas = 1'000'000;
    /// One in so many transactions that are given out is the one that waits for longest, whatever
    /// it pays; all others are those that pay most. 0: none.
    uint32_t oldest_one_in = 8;
    /// One in so many, besides, is for the buckets of tips (tip_bucket.hpp) below the highest one
    /// that has any, by weight: half of these for the next lower one, a quarter for the one below
    /// that, and so on, the last one taking what is left; in a bucket for the one that waits for
    /// longest. 0: none.
    uint32_t weighted_one_in = 8;
};

enum class PoolRefusal : uint8_t {
    already_known,
    nonce_too_low,
    nonce_too_far,
    replacement_underpriced,
    under_way,  ///< what it would replace is being executed
    full
};

/// What other threads may ask of the pool: transactions by hash and the next nonce of a sender.
/// Entries stay until the transaction is durable in a mini-block or dropped, so that nothing is
/// invisible between execution and publication. Any thread.
class PoolIndex {
public:
    PoolIndex();
    ~PoolIndex();
    AdmittedPtr find(const Hash256& hash) const;
    bool contains(const Hash256& hash) const;
    /// The nonce after the sender's last executable or executed transaction, when it has any here.
    std::optional<uint64_t> next_nonce(const Address& sender) const;
    size_t size() const;
    /// Of the pool itself, without what was executed and waits for the log.
    size_t executable_count() const noexcept { return executable_.load(std::memory_order_relaxed); }
    size_t queued_count() const noexcept { return queued_.load(std::memory_order_relaxed); }

    /// Adds a transaction, and sets its sender's next nonce.
    void add(const AdmittedPtr& tx, uint64_t next_nonce);
    /// Ignored for senders without a transaction here.
    void set_next_nonce(const Address& sender, uint64_t nonce);
    void remove(const Hash256& hash);
    /// The transactions are durable: the accounts' own nonces now tell what they told.
    void published(std::span<const ExecutedPtr> transactions);
    void clear();
    void set_counts(size_t executable, size_t queued) noexcept;

private:
    struct Maps;
    mutable std::shared_mutex mutex_;  // guards maps_
    std::unique_ptr<Maps> maps_;
    // Relaxed: numbers to look at, nothing depends on them.
    std::atomic<size_t> executable_{0};
    std::atomic<size_t> queued_{0};
};

/// The pool itself. One owning thread; keeps `index` up to date.
class Pool {
public:
    Pool(const PoolLimits& limits, PoolIndex& index);
    ~Pool();

    struct Added {
        bool executable = false;
        uint64_t expected_nonce = 0;  ///< the first missing one, when not executable
        AdmittedPtr replaced;
        /// Of the same sender, with nonces that its account has left behind.
        std::vector<AdmittedPtr> passed;
        std::vector<AdmittedPtr> evicted;
        /// What became executable, the transaction itself included; valid until the next one is
        /// added.
        std::span<const AdmittedPtr> promoted;
    };
    /// Takes a transaction of a sender whose next nonce to execute is `account_nonce`; when the
    /// sender is known with another one it is brought up to date first, as by account_changed().
    ///
    /// A full pool makes room for an executable transaction by giving up those behind a missing
    /// nonce, whatever they pay, then chains that pay less; for one behind a missing nonce only
    /// others of that kind that pay less have to go.
    std::expected<Added, PoolRefusal> add(const AdmittedPtr& tx, uint64_t account_nonce);

    /// The executable transaction with the highest tip that pays the base fee and needs at most
    /// `gas_left`, or where it is its turn the oldest of these (oldest_one_in) or of a lower bucket
    /// (weighted_one_in); heads that need
    /// more are passed over until the next begin_block(). Without
    /// `with_long` those above `long_gas` are left where they are. Null when there is none, and
    /// when what is `set_aside` of that gas for others leaves too little for it. It stays in the
    /// pool until executed() or drop().
    AdmittedPtr next(uint64_t gas_left, uint64_t set_aside = 0, bool with_long = true);
    /// What next() gave is being executed elsewhere: nothing of its sender is given out, and it
    /// cannot be replaced, until executed(), drop() or returned().
    void under_way(const AdmittedTransaction& tx);
    /// It was not executed after all, and waits again.
    void returned(const AdmittedTransaction& tx);
    /// The head of its sender was executed: the one after it becomes executable.
    void executed(const AdmittedTransaction& tx);
    /// Removes one that cannot be executed; the sender's later ones wait for a new one. False when
    /// it had left the pool already, because its account left it behind.
    bool drop(const AdmittedTransaction& tx);
    /// Gives up transactions behind a missing nonce beyond their share, those that pay least first,
    /// and returns them: a dropped head leaves its whole chain behind such a nonce.
    std::vector<AdmittedPtr> trim_gapped();
    /// The account's nonce is not what the pool's own transactions made of it (it authorised
    /// something by EIP-7702, its code created contracts, or a development node set it):
    /// transactions below it are removed and returned, the others follow from it.
    std::vector<AdmittedPtr> account_changed(const Address& sender, uint64_t account_nonce);
    /// Orders heads by what they pay over this base fee.
    void begin_block(const U256& base_fee);
    /// Returns everything that it held.
    std::vector<AdmittedPtr> clear();

    /// The first nonce that its sender, whose next one to execute is `account_nonce`, has to send.
    uint64_t expected_nonce(const Address& sender, uint64_t account_nonce) const;

    size_t size() const noexcept { return count_; }
    size_t bytes() const noexcept { return bytes_; }
    size_t executable_count() const noexcept { return count_ - gapped_.size(); }
    size_t executable_bytes() const noexcept { return bytes_ - gapped_bytes_; }
    /// Of one sender, or of all.
    std::vector<AdmittedPtr> executable(const std::optional<Address>& sender = {}) const;
    std::vector<AdmittedPtr> queued(const std::optional<Address>& sender = {}) const;

private:
    struct Entry {
        AdmittedPtr tx;
        uint64_t arrival = 0;
        uint64_t nonce() const noexcept { return tx->transaction.nonce; }
    };
    /// Transactions of one sender in the order of their nonces. What is executed leaves at the
    /// front, which costs nothing for the others.
    class Chain {
    public:
        auto begin() const noexcept { return entries_.begin() + static_cast<ptrdiff_t>(first_); }
        auto end() const noexcept { return entries_.end(); }
        bool empty() const noexcept { return first_ == entries_.size(); }
        size_t size() const noexcept { return entries_.size() - first_; }
        /// How many it has had room for.
        size_t capacity() const noexcept { return entries_.capacity(); }
        const Entry& front() const noexcept { return entries_[first_]; }
        const Entry& back() const noexcept { return entries_.back(); }
        const Entry& operator[](size_t at) const noexcept { return entries_[first_ + at]; }
        /// How many have a lower nonce.
        size_t place_of(uint64_t nonce) const noexcept;
        /// Null when there is none.
        const Entry* find(uint64_t nonce) const noexcept;
        void insert(Entry e);
        void erase(uint64_t nonce);

    private:
        std::vector<Entry> entries_;
        size_t first_ = 0;
    };
    struct Sender {
        Address address;
        uint64_t account_nonce = 0;
        /// The first nonce that is not here: everything before it is executable in turn.
        uint64_t missing = 0;
        std::optional<Hash256> under_way;  ///< what is being executed elsewhere
        bool idle() const noexcept { return entries.empty() && !under_way; }
        Chain entries;

        // While its head is ready.
        bool ready = false;
        bool ready_long = false;
        U256 tip;  ///< of the head, over the base fee
        uint64_t arrival = 0;
        size_t bucket = 0;  ///< of the tip
        size_t tip_place = 0;
        size_t age_place = 0;
    };
    struct PaysMore {
        /// Higher tip first, then earlier arrival.
        bool operator()(const Sender& a, const Sender& b) const noexcept {
            return a.tip != b.tip ? b.tip < a.tip : a.arrival < b.arrival;
        }
    };
    struct IsOlder {
        bool operator()(const Sender& a, const Sender& b) const noexcept {
            return a.arrival < b.arrival;
        }
    };
    /// Heads that may be given out.
    struct Ready {
        ReadyHeap<Sender, &Sender::tip_place, PaysMore> by_tip;
        /// By age, for each bucket of tips.
        std::array<ReadyHeap<Sender, &Sender::age_place, IsOlder>, tip_bucket_count> buckets;
        uint32_t filled = 0;  ///< a bit for each bucket that has any
        void push(Sender* s);
        void erase(Sender* s) noexcept;
        void clear() noexcept;
        Sender* oldest() const noexcept;
    };
    enum class Turn : uint8_t { highest, oldest, weighted };
    struct TipKey {
        U256 tip;
        uint64_t arrival = 0;
        Address sender;
        uint64_t nonce = 0;
        /// Lower tip first, then later arrival: the order of eviction.
        bool operator<(const TipKey& o) const noexcept {
            if (tip != o.tip) { return tip < o.tip; }
            return arrival > o.arrival;
        }
    };

    /// Whether `tx` was what its sender had under way; it no longer is.
    static bool no_longer_under_way(Sender& s, const AdmittedTransaction& tx) noexcept;
    void make_ready(Sender& s);
    void unready(Sender& s);
    /// The next head of one kind, with Turn::weighted that of `bucket`; null when there is none.
    Sender* ready_head(Ready& ready, Turn turn, size_t bucket, uint64_t gas_left);
    Turn turn() const noexcept;
    /// Whose weighted turn it is, of the buckets that `filled` says have any.
    size_t weighted_bucket(uint32_t filled) const noexcept;
    static TipKey tip_key(const Sender& s, const Entry& e);
    /// What fills the first gap moves `missing` behind itself.
    void insert(Sender& s, const AdmittedPtr& tx);
    void erase(Sender& s, uint64_t nonce);
    Sender* find_sender(const Address& address) const;
    /// The sender's, new with `account_nonce` when it has none.
    Sender& sender_of(const Address& address, uint64_t account_nonce);
    void erase_if_idle(Sender& s);
    /// account_changed() of a sender that is known.
    void follow_account(Sender& s, uint64_t account_nonce, std::vector<AdmittedPtr>& removed);
    /// Changes the first missing nonce; entries between the old and the new one change their kind.
    void move_missing(Sender& s, uint64_t missing);
    /// Makes room for `tx`, in the place of `replaced` if there is one; false, and nothing changed,
    /// when what may go is not enough.
    bool make_room(const AdmittedTransaction& tx, bool executable,
                   const AdmittedTransaction* replaced, std::vector<AdmittedPtr>& evicted);
    /// Sorts all by tip, once the pool is so full that it will matter, and no longer when it is
    /// not.
    void keep_order_of_eviction();
    void sort_by_tip();
    size_t gapped_max() const noexcept;
    size_t gapped_bytes_max() const noexcept { return limits_.bytes_max / limits_.gapped_share; }
    /// Calls `take(sender, entry)` for all of one sender, or of all.
    template <class Take>
    void visit(const std::optional<Address>& sender, const Take& take) const;
    /// The first nonce from `from` on that the sender's chain lacks.
    static uint64_t first_missing(const Sender& s, uint64_t from) noexcept;
    void publish_counts() noexcept { index_.set_counts(count_ - gapped_.size(), gapped_.size()); }

    PoolLimits limits_;
    PoolIndex& index_;
    struct Senders;
    std::unique_ptr<Senders> senders_;  ///< by address; each stays where it is
    std::vector<std::unique_ptr<Sender>> unused_;  ///< bounded; with the memory of their chains
    std::vector<AdmittedPtr> promoted_;            ///< of the last add()
    Sender* given_out_head_ = nullptr;             ///< what next() gave, for under_way()
    Ready ready_[2];                               ///< the second has heads above long_gas
    uint64_t given_out_ = 1;
    bool passed_over_ = false;  ///< a head was, since begin_block()
    bool sorted_ = false;       ///< by_tip_ is kept
    std::set<TipKey> by_tip_;
    std::set<TipKey> gapped_;  ///< those behind a missing nonce
    U256 base_fee_;
    size_t count_ = 0;
    size_t bytes_ = 0;
    size_t gapped_bytes_ = 0;
    uint64_t next_arrival_ = 0;
};

}  // namespace millrace::sequencer
