// SPDX-License-Identifier: Apache-2.0
// Owns the versioned state in memory: sharded tables of cells with short histories.
#include "storage/state/state_store.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "kernels/keccak/keccak.hpp"

namespace millrace::storage {
namespace {

/// A released pin may free many versions at once; this many per apply() keeps its time even.
constexpr size_t prunes_per_apply = 4;
/// Codes of one part are cut at about this size.
constexpr size_t code_part_bytes = size_t{1} << 20;

struct SlotKey {
    Address address;
    U256 key;
    bool operator==(const SlotKey&) const = default;
};

/// Well mixed in all bits: tables use the upper and the lowest ones, shards those in between.
struct KeyHash {
    using is_avalanching = void;
    size_t operator()(const Address& a) const noexcept { return hash_value(a); }
    size_t operator()(const Hash256& h) const noexcept { return hash_value(h); }
    size_t operator()(const SlotKey& k) const noexcept {
        uint8_t joined[52];
        std::memcpy(joined, k.address.data(), 20);
        std::memcpy(joined + 20, k.key.w, 32);
        return hash_bytes(joined, sizeof joined);
    }
};

struct AccountState {
    bool exists = false;
    uint64_t nonce = 0;
    U256 balance;
    Hash256 code_hash;
    uint64_t incarnation = 0;
    /// Slot entries older than this version are void. Only raised when there were slots to void.
    uint64_t wiped_at = 0;
    uint64_t slot_count = 0;  ///< slots with a value
    bool operator==(const AccountState&) const = default;
};

/// The newest value in place, older ones behind a pointer, ascending by version.
template <class T>
class Cell {
public:
    /// Null when there was no value yet at `version`.
    const T* at(uint64_t version, uint64_t* since = nullptr) const noexcept {
        if (version_ <= version) { return found(version_, value_, since); }
        if (older_ == nullptr) { return nullptr; }
        const auto it = older_->after(version);
        return it == older_->begin() ? nullptr
                                     : found(std::prev(it)->version, std::prev(it)->value, since);
    }
    const T& newest() const noexcept { return value_; }
    uint64_t newest_version() const noexcept { return version_; }

    void set(uint64_t version, const T& value, bool is_new) {
        if (!is_new) {
            if (older_ == nullptr) { older_ = std::make_unique<History>(); }
            older_->items.push_back({version_, value_});
        }
        version_ = version;
        value_ = value;
    }
    /// Drops what no reader at `floor` or later can see.
    void prune(uint64_t floor) {
        if (older_ == nullptr) { return; }
        if (version_ <= floor) {
            older_.reset();
            return;
        }
        const auto after = older_->after(floor);
        if (after != older_->begin()) { older_->drop_before(std::prev(after)); }
    }
    bool has_history() const noexcept { return older_ != nullptr; }

private:
    struct Old {
        uint64_t version;
        T value;
    };
    /// A vector whose front is dropped in amortised constant time.
    struct History {
        std::vector<Old> items;
        size_t dropped = 0;

        auto begin() noexcept { return items.begin() + static_cast<ptrdiff_t>(dropped); }
        auto after(uint64_t version) noexcept {
            return std::upper_bound(begin(), items.end(), version,
                                    [](uint64_t v, const Old& o) { return v < o.version; });
        }
        void drop_before(typename std::vector<Old>::iterator keep) {
            dropped = static_cast<size_t>(keep - items.begin());
            if (dropped > items.size() / 2) {
                items.erase(items.begin(), keep);
                dropped = 0;
            }
        }
    };
    static const T* found(uint64_t v, const T& value, uint64_t* since) noexcept {
        if (since != nullptr) { *since = v; }
        return &value;
    }
    uint64_t version_ = 0;
    T value_{};
    std::unique_ptr<History> older_;
};

template <class Key, class Value>
using Table = boost::unordered_flat_map<Key, Value, KeyHash>;

struct alignas(64) Shard {
    mutable std::shared_mutex mutex;  ///< guards both tables
    Table<Address, Cell<AccountState>> accounts;
    Table<SlotKey, Cell<U256>> slots;
};

/// The keys that one delta changed.
struct Journal {
    uint64_t version = 0;
    bool voids_slots = false;
    std::vector<Address> accounts;
    std::vector<SlotKey> slots;
};

Account public_account(const AccountState& s) {
    return {s.nonce, s.balance, s.code_hash, s.incarnation};
}

AccountDelta delta_of(const Address& address, const AccountState& s) {
    AccountDelta d;
    d.address = address;
    d.deleted = !s.exists;
    d.incarnation = s.incarnation;
    if (s.exists) {
        d.nonce = s.nonce;
        d.balance = s.balance;
        d.code_hash = s.code_hash;
    }
    return d;
}

class MemoryStateStore final : public StateStore {
public:
    explicit MemoryStateStore(const StateStoreOptions& options)
        : options_(options), shards_(std::make_unique<Shard[]>(options.shard_count)) {
        MILLRACE_ASSERT(std::has_single_bit(options.shard_count), "shards are a power of two");
    }

    Result<void> apply(uint64_t version, const StateDelta& delta) override;
    Result<StateDelta> revert_delta(uint64_t version) const override;
    Result<StateDelta> rollback_to(uint64_t version, uint64_t as_version) override;
    Result<void> restore_part(const StateDelta& part) override;
    Result<void> finish_restore(uint64_t version) override;
    uint64_t version() const noexcept override {
        return published_.load(std::memory_order_acquire);
    }
    std::shared_ptr<const StateSnapshot> snapshot() const override;
    Result<std::shared_ptr<const StateSnapshot>> snapshot_at(uint64_t version) const override;
    StateStoreStats stats() const override;

private:
    friend class MemorySnapshot;

    Shard& shard_of(size_t hash) const noexcept {
        return shards_[(hash >> 8) & (options_.shard_count - 1)];
    }
    template <class Key>
    Shard& shard_for(const Key& key) const noexcept {
        return shard_of(KeyHash{}(key));
    }

    AccountState account_at(const Address& address, uint64_t version) const;
    U256 slot_at(const SlotKey& key, uint64_t version) const;
    CodePtr code_of(const Hash256& hash) const;

    Result<void> check(uint64_t version, const StateDelta& delta) const;
    void apply_account(const AccountDelta* delta, std::span<const SlotDelta> slots,
                       const Address& address, uint64_t version, Journal& journal);
    bool write_slot(const SlotKey& key, const U256& value, uint64_t version, uint64_t wiped_at,
                    U256& old);
    void write_account(const Address& address, const AccountState& state, uint64_t version);
    void prune();
    void prune_journal(const Journal& journal, uint64_t floor);
    void sweep_shard();
    void collect_slots(const boost::unordered_flat_set<Address, KeyHash>& accounts,
                       uint64_t version, std::vector<SlotDelta>& out) const;

    std::shared_ptr<const StateSnapshot> pinned(uint64_t version) const;
    void unpin(uint64_t version) const;

    const StateStoreOptions options_;
    const std::unique_ptr<Shard[]> shards_;

    mutable std::shared_mutex codes_mutex_;  ///< guards codes_
    Table<Hash256, CodePtr> codes_;

    mutable std::mutex pins_mutex_;  ///< guards pins_ and floor_
    mutable std::map<uint64_t, uint64_t> pins_;
    uint64_t floor_ = 0;  ///< oldest version that can be read

    /// Release after the tables hold the version, acquire before reading them at it.
    std::atomic<uint64_t> published_{0};
    /// Whether slots of a live table entry were ever voided by a wipe; until then slot reads need
    /// not look at the account. Set before the version that voids is published.
    std::atomic<bool> any_void_slots_{false};
    std::atomic<uint64_t> account_count_{0};
    std::atomic<uint64_t> slot_count_{0};
    std::atomic<uint64_t> journal_count_{0};

    // Writer thread only.
    std::deque<Journal> journals_;
    size_t sweep_left_ = 0;
};

class MemorySnapshot final : public StateSnapshot {
public:
    MemorySnapshot(const MemoryStateStore& store, uint64_t version)
        : store_(store), version_(version) {}
    ~MemorySnapshot() override { store_.unpin(version_); }
    MemorySnapshot(const MemorySnapshot&) = delete;
    MemorySnapshot& operator=(const MemorySnapshot&) = delete;

    uint64_t version() const noexcept override { return version_; }
    std::optional<Account> account(const Address& address) const override {
        const AccountState s = store_.account_at(address, version_);
        return s.exists ? std::optional{public_account(s)} : std::nullopt;
    }
    U256 slot(const Address& address, const U256& key) const override {
        return store_.slot_at({address, key}, version_);
    }
    CodePtr code(const Hash256& hash) const override { return store_.code_of(hash); }
    bool has_storage(const Address& address) const override {
        return store_.account_at(address, version_).slot_count != 0;
    }
    uint64_t incarnation(const Address& address) const override {
        return store_.account_at(address, version_).incarnation;
    }
    Result<void>
    for_each_part(const std::function<Result<void>(const StateDelta&)>& visit) const override;

private:
    const MemoryStateStore& store_;
    const uint64_t version_;
};

AccountState MemoryStateStore::account_at(const Address& address, uint64_t version) const {
    const Shard& shard = shard_for(address);
    const std::shared_lock lock{shard.mutex};
    const auto it = shard.accounts.find(address);
    if (it == shard.accounts.end()) { return {}; }
    const AccountState* s = it->second.at(version);
    return s != nullptr ? *s : AccountState{};
}

U256 MemoryStateStore::slot_at(const SlotKey& key, uint64_t version) const {
    uint64_t wiped_at = 0;
    if (any_void_slots_.load(std::memory_order_relaxed)) {
        wiped_at = account_at(key.address, version).wiped_at;
    }
    const Shard& shard = shard_for(key);
    const std::shared_lock lock{shard.mutex};
    const auto it = shard.slots.find(key);
    if (it == shard.slots.end()) { return {}; }
    uint64_t since = 0;
    const U256* v = it->second.at(version, &since);
    return v != nullptr && since >= wiped_at ? *v : U256{};
}

CodePtr MemoryStateStore::code_of(const Hash256& hash) const {
    static const CodePtr empty = std::make_shared<const Bytes>();
    if (hash == kernels::keccak256_of_empty) { return empty; }
    const std::shared_lock lock{codes_mutex_};
    const auto it = codes_.find(hash);
    return it != codes_.end() ? it->second : nullptr;
}

Result<void> MemoryStateStore::check(uint64_t version, const StateDelta& delta) const {
    const uint64_t current = published_.load(std::memory_order_relaxed);
    if (version <= current) {
        return fail(ErrorCode::invalid_input, "state version " + std::to_string(version) +
                                                  " does not follow " + std::to_string(current));
    }
    if (!delta.is_canonical()) {
        return fail(ErrorCode::invalid_input, "state delta is not in canonical order");
    }
    auto account = delta.accounts.begin();
    for (size_t i = 0; i < delta.slots.size(); ++i) {
        const SlotDelta& s = delta.slots[i];
        if (s.value.is_zero() || (i != 0 && delta.slots[i - 1].address == s.address &&
                                  !delta.slots[i - 1].value.is_zero())) {
            continue;
        }
        while (account != delta.accounts.end() && account->address < s.address) { ++account; }
        const bool in_delta = account != delta.accounts.end() && account->address == s.address;
        if (!in_delta && !account_at(s.address, current).exists) {
            return fail(ErrorCode::invalid_input,
                        "state delta writes storage of an account that does not exist");
        }
    }
    for (const AccountDelta& a : delta.accounts) {
        const auto given =
            std::lower_bound(delta.codes.begin(), delta.codes.end(), a.code_hash,
                             [](const CodeDelta& c, const Hash256& h) { return c.hash < h; });
        const bool known = a.deleted || a.code_hash == kernels::keccak256_of_empty ||
                           (given != delta.codes.end() && given->hash == a.code_hash) ||
                           code_of(a.code_hash) != nullptr;
        if (!known) {
            return fail(ErrorCode::invalid_input,
                        "state delta names a code hash whose code is unknown");
        }
    }
    return {};
}

Result<void> MemoryStateStore::apply(uint64_t version, const StateDelta& delta) {
    MILLRACE_CHECK(check(version, delta));
    if (!delta.codes.empty()) {
        const std::unique_lock lock{codes_mutex_};
        for (const CodeDelta& c : delta.codes) { codes_.try_emplace(c.hash, c.code); }
    }
    Journal journal;
    journal.version = version;
    // Accounts and groups of slots side by side, both ascending by address.
    auto account = delta.accounts.begin();
    size_t slot = 0;
    while (account != delta.accounts.end() || slot < delta.slots.size()) {
        const bool has_account =
            account != delta.accounts.end() &&
            (slot == delta.slots.size() || !(delta.slots[slot].address < account->address));
        const Address& address = has_account ? account->address : delta.slots[slot].address;
        size_t end = slot;
        while (end < delta.slots.size() && delta.slots[end].address == address) { ++end; }
        apply_account(has_account ? &*account : nullptr,
                      std::span{delta.slots}.subspan(slot, end - slot), address, version, journal);
        slot = end;
        account += has_account ? 1 : 0;
    }
    if (journal.voids_slots) { any_void_slots_.store(true, std::memory_order_relaxed); }
    journals_.push_back(std::move(journal));
    published_.store(version, std::memory_order_release);
    prune();
    journal_count_.store(journals_.size(), std::memory_order_relaxed);
    return {};
}

void MemoryStateStore::apply_account(const AccountDelta* delta, std::span<const SlotDelta> slots,
                                     const Address& address, uint64_t version, Journal& journal) {
    const AccountState old = account_at(address, version);
    AccountState state = old;
    if (delta != nullptr) {
        state.exists = !delta->deleted;
        state.nonce = delta->nonce;
        state.balance = delta->balance;
        state.code_hash = delta->code_hash;
        state.incarnation = delta->incarnation;
        if ((delta->deleted || delta->storage_wiped) && old.slot_count != 0) {
            state.slot_count = 0;
            state.wiped_at = version;
            journal.voids_slots = true;
        }
    }
    for (const SlotDelta& s : slots) {
        U256 before;
        const SlotKey key{s.address, s.key};
        if (write_slot(key, s.value, version, state.wiped_at, before)) {
            journal.slots.push_back(key);
            state.slot_count += s.value.is_zero() ? 0 : 1;
            state.slot_count -= before.is_zero() ? 0 : 1;
        }
    }
    if (state != old) {
        write_account(address, state, version);
        journal.accounts.push_back(address);
    }
}

/// False when the slot has that value already; else its value before in `old`.
bool MemoryStateStore::write_slot(const SlotKey& key, const U256& value, uint64_t version,
                                  uint64_t wiped_at, U256& old) {
    Shard& shard = shard_for(key);
    const std::unique_lock lock{shard.mutex};
    const auto it = shard.slots.find(key);
    const bool live = it != shard.slots.end() && it->second.newest_version() >= wiped_at;
    old = live ? it->second.newest() : U256{};
    if (old == value) { return false; }
    if (it != shard.slots.end()) {
        it->second.set(version, value, false);
    } else {
        shard.slots[key].set(version, value, true);
        slot_count_.fetch_add(1, std::memory_order_relaxed);
    }
    return true;
}

void MemoryStateStore::write_account(const Address& address, const AccountState& state,
                                     uint64_t version) {
    Shard& shard = shard_for(address);
    const std::unique_lock lock{shard.mutex};
    const auto [it, inserted] = shard.accounts.try_emplace(address);
    it->second.set(version, state, inserted);
    account_count_.fetch_add(inserted ? 1 : 0, std::memory_order_relaxed);
}

void MemoryStateStore::prune() {
    for (size_t n = 0; n < prunes_per_apply && journals_.size() > options_.window_deltas; ++n) {
        const uint64_t floor = journals_.front().version;
        {
            const std::scoped_lock lock{pins_mutex_};
            if (!pins_.empty() && pins_.begin()->first < floor) { break; }
            floor_ = floor;
        }
        prune_journal(journals_.front(), floor);
        if (journals_.front().voids_slots) { sweep_left_ = options_.shard_count; }
        journals_.pop_front();
    }
    if (sweep_left_ != 0) { sweep_shard(); }
}

void MemoryStateStore::prune_journal(const Journal& journal, uint64_t floor) {
    for (const Address& address : journal.accounts) {
        Shard& shard = shard_for(address);
        const std::unique_lock lock{shard.mutex};
        const auto it = shard.accounts.find(address);
        if (it == shard.accounts.end()) { continue; }
        it->second.prune(floor);
        const AccountState& s = it->second.newest();
        // An account that voided slots has to stay as long as such slots may lie in the tables.
        if (!it->second.has_history() && !s.exists && s.incarnation == 0 && s.wiped_at == 0 &&
            it->second.newest_version() <= floor) {
            shard.accounts.erase(it);
            account_count_.fetch_sub(1, std::memory_order_relaxed);
        }
    }
    for (const SlotKey& key : journal.slots) {
        Shard& shard = shard_for(key);
        const std::unique_lock lock{shard.mutex};
        const auto it = shard.slots.find(key);
        if (it == shard.slots.end()) { continue; }
        it->second.prune(floor);
        if (!it->second.has_history() && it->second.newest().is_zero() &&
            it->second.newest_version() <= floor) {
            shard.slots.erase(it);
            slot_count_.fetch_sub(1, std::memory_order_relaxed);
        }
    }
}

/// Removes the void slots of one shard. Wipes of accounts with storage are rare (none since
/// Cancun but by reverts), so no index by account is kept for them.
void MemoryStateStore::sweep_shard() {
    --sweep_left_;
    Shard& shard = shards_[sweep_left_];
    std::vector<SlotKey> candidates;
    {
        const std::shared_lock lock{shard.mutex};
        for (const auto& [key, cell] : shard.slots) {
            if (!cell.has_history()) { candidates.push_back(key); }
        }
    }
    // Only the writer changes tables, so nothing moves between the two locks. Void at the floor
    // and without history means void for every reader from now on.
    for (const SlotKey& key : candidates) {
        const uint64_t wiped_at = account_at(key.address, floor_).wiped_at;
        if (wiped_at == 0) { continue; }
        const std::unique_lock lock{shard.mutex};
        const auto it = shard.slots.find(key);
        if (it->second.newest_version() < wiped_at) {
            shard.slots.erase(it);
            slot_count_.fetch_sub(1, std::memory_order_relaxed);
        }
    }
}

void MemoryStateStore::collect_slots(const boost::unordered_flat_set<Address, KeyHash>& accounts,
                                     uint64_t version, std::vector<SlotDelta>& out) const {
    for (size_t i = 0; i < options_.shard_count; ++i) {
        std::vector<SlotKey> keys;
        {
            const std::shared_lock lock{shards_[i].mutex};
            for (const auto& [key, cell] : shards_[i].slots) {
                if (accounts.contains(key.address)) { keys.push_back(key); }
            }
        }
        for (const SlotKey& key : keys) {
            const U256 value = slot_at(key, version);
            if (!value.is_zero()) { out.push_back({key.address, key.key, value}); }
        }
    }
}

Result<StateDelta> MemoryStateStore::revert_delta(uint64_t version) const {
    const uint64_t current = published_.load(std::memory_order_relaxed);
    {
        const std::scoped_lock lock{pins_mutex_};
        if (version < floor_ || version > current) {
            return fail(ErrorCode::unavailable,
                        "state version " + std::to_string(version) + " is not kept; versions " +
                            std::to_string(floor_) + " to " + std::to_string(current) + " are");
        }
    }
    boost::unordered_flat_set<Address, KeyHash> accounts;
    boost::unordered_flat_set<SlotKey, KeyHash> slots;
    for (const Journal& j : journals_) {
        if (j.version > version) {
            accounts.insert(j.accounts.begin(), j.accounts.end());
            slots.insert(j.slots.begin(), j.slots.end());
        }
    }
    StateDelta delta;
    boost::unordered_flat_set<Address, KeyHash> wiped;
    for (const Address& address : accounts) {
        const AccountState then = account_at(address, version);
        const AccountState now = account_at(address, current);
        AccountDelta d = delta_of(address, then);
        if (then.exists && then.wiped_at != now.wiped_at) {
            d.storage_wiped = true;
            wiped.insert(address);
        }
        const bool same_public = then.exists == now.exists && then.nonce == now.nonce &&
                                 then.balance == now.balance && then.code_hash == now.code_hash &&
                                 then.incarnation == now.incarnation;
        if (!same_public || d.storage_wiped) { delta.accounts.push_back(d); }
    }
    for (const SlotKey& key : slots) {
        if (wiped.contains(key.address) || !account_at(key.address, version).exists) { continue; }
        const U256 then = slot_at(key, version);
        if (then != slot_at(key, current)) { delta.slots.push_back({key.address, key.key, then}); }
    }
    if (!wiped.empty()) { collect_slots(wiped, version, delta.slots); }
    delta.sort();
    return delta;
}

Result<StateDelta> MemoryStateStore::rollback_to(uint64_t version, uint64_t as_version) {
    MILLRACE_TRY(StateDelta delta, revert_delta(version));
    MILLRACE_CHECK(apply(as_version, delta));
    return delta;
}

Result<void> MemoryStateStore::restore_part(const StateDelta& part) {
    if (version() != 0 || !journals_.empty()) {
        return fail(ErrorCode::conflict, "only an empty state store can be restored");
    }
    if (!part.is_canonical()) {
        return fail(ErrorCode::corrupt, "a part of the checkpoint is not in canonical order");
    }
    const auto twice = [] {
        return fail(ErrorCode::corrupt, "the checkpoint names an account or a slot twice");
    };
    for (const AccountDelta& a : part.accounts) {
        AccountState s;
        s.exists = !a.deleted;
        s.nonce = a.nonce;
        s.balance = a.balance;
        s.code_hash = a.code_hash;
        s.incarnation = a.incarnation;
        Shard& shard = shard_for(a.address);
        const std::unique_lock lock{shard.mutex};
        const auto [it, inserted] = shard.accounts.try_emplace(a.address);
        if (!inserted) { return twice(); }
        it->second.set(0, s, true);
        account_count_.fetch_add(1, std::memory_order_relaxed);
    }
    for (const SlotDelta& s : part.slots) {
        {
            Shard& shard = shard_for(s.address);
            const std::unique_lock lock{shard.mutex};
            const auto it = shard.accounts.find(s.address);
            if (it == shard.accounts.end() || !it->second.newest().exists || s.value.is_zero()) {
                return fail(ErrorCode::corrupt,
                            "the checkpoint has an empty slot or one without account");
            }
            AccountState state = it->second.newest();
            ++state.slot_count;
            it->second.set(0, state, true);
        }
        const SlotKey key{s.address, s.key};
        Shard& shard = shard_for(key);
        const std::unique_lock lock{shard.mutex};
        const auto [it, inserted] = shard.slots.try_emplace(key);
        if (!inserted) { return twice(); }
        it->second.set(0, s.value, true);
        slot_count_.fetch_add(1, std::memory_order_relaxed);
    }
    const std::unique_lock lock{codes_mutex_};
    for (const CodeDelta& c : part.codes) { codes_.try_emplace(c.hash, c.code); }
    return {};
}

Result<void> MemoryStateStore::finish_restore(uint64_t version_restored) {
    if (version() != 0 || !journals_.empty()) {
        return fail(ErrorCode::conflict, "only an empty state store can be restored");
    }
    {
        const std::scoped_lock lock{pins_mutex_};
        floor_ = version_restored;
    }
    published_.store(version_restored, std::memory_order_release);
    return {};
}

std::shared_ptr<const StateSnapshot> MemoryStateStore::pinned(uint64_t version) const {
    auto snapshot = std::make_shared<MemorySnapshot>(*this, version);
    ++pins_[version];
    return snapshot;
}

void MemoryStateStore::unpin(uint64_t version) const {
    const std::scoped_lock lock{pins_mutex_};
    const auto it = pins_.find(version);
    if (--it->second == 0) { pins_.erase(it); }
}

std::shared_ptr<const StateSnapshot> MemoryStateStore::snapshot() const {
    const std::scoped_lock lock{pins_mutex_};
    return pinned(published_.load(std::memory_order_acquire));
}

Result<std::shared_ptr<const StateSnapshot>> MemoryStateStore::snapshot_at(uint64_t version) const {
    const std::scoped_lock lock{pins_mutex_};
    const uint64_t newest = published_.load(std::memory_order_acquire);
    if (version < floor_ || version > newest) {
        return fail(ErrorCode::unavailable, "state version " + std::to_string(version) +
                                                " is not kept; versions " + std::to_string(floor_) +
                                                " to " + std::to_string(newest) + " are");
    }
    return pinned(version);
}

StateStoreStats MemoryStateStore::stats() const {
    StateStoreStats s;
    s.version = version();
    s.deltas_kept = journal_count_.load(std::memory_order_relaxed);
    s.accounts = account_count_.load(std::memory_order_relaxed);
    s.slots = slot_count_.load(std::memory_order_relaxed);
    {
        const std::shared_lock lock{codes_mutex_};
        s.codes = codes_.size();
    }
    const std::scoped_lock lock{pins_mutex_};
    s.oldest_version = floor_;
    for (const auto& [version, count] : pins_) { s.snapshots += count; }
    return s;
}

Result<void>
MemorySnapshot::for_each_part(const std::function<Result<void>(const StateDelta&)>& visit) const {
    // Parts are copied under the lock of one shard and visited outside of it.
    for (size_t i = 0; i < store_.options_.shard_count; ++i) {
        StateDelta part;
        {
            const std::shared_lock lock{store_.shards_[i].mutex};
            for (const auto& [address, cell] : store_.shards_[i].accounts) {
                const AccountState* s = cell.at(version_);
                if (s != nullptr && (s->exists || s->incarnation != 0)) {
                    part.accounts.push_back(delta_of(address, *s));
                }
            }
        }
        if (!part.empty()) {
            part.sort();
            MILLRACE_CHECK(visit(part));
        }
    }
    const bool any_void = store_.any_void_slots_.load(std::memory_order_relaxed);
    for (size_t i = 0; i < store_.options_.shard_count; ++i) {
        StateDelta part;
        std::vector<uint64_t> since;
        {
            const std::shared_lock lock{store_.shards_[i].mutex};
            for (const auto& [key, cell] : store_.shards_[i].slots) {
                uint64_t from = 0;
                const U256* v = cell.at(version_, &from);
                if (v != nullptr && !v->is_zero()) {
                    part.slots.push_back({key.address, key.key, *v});
                    since.push_back(from);
                }
            }
        }
        if (any_void) {
            size_t kept = 0;
            for (size_t k = 0; k < part.slots.size(); ++k) {
                if (since[k] >= store_.account_at(part.slots[k].address, version_).wiped_at) {
                    part.slots[kept++] = part.slots[k];
                }
            }
            part.slots.resize(kept);
        }
        if (!part.empty()) {
            part.sort();
            MILLRACE_CHECK(visit(part));
        }
    }
    std::vector<CodeDelta> codes;
    {
        const std::shared_lock lock{store_.codes_mutex_};
        for (const auto& [hash, code] : store_.codes_) { codes.push_back({hash, code}); }
    }
    StateDelta part;
    size_t bytes = 0;
    for (size_t k = 0; k < codes.size(); ++k) {
        bytes += codes[k].code->size();
        part.codes.push_back(std::move(codes[k]));
        if (bytes >= code_part_bytes || k + 1 == codes.size()) {
            part.sort();
            MILLRACE_CHECK(visit(part));
            part = {};
            bytes = 0;
        }
    }
    return {};
}

}  // namespace

std::unique_ptr<StateStore> make_memory_state_store(const StateStoreOptions& options) {
    return std::make_unique<MemoryStateStore>(options);
}

}  // namespace millrace::storage
