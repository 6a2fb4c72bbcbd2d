// SPDX-License-Identifier: Apache-2.0
// Owns the order and the limits of waiting transactions.
#include "host/sequencer/pool/pool.hpp"

#include <algorithm>
#include <mutex>

#include "evm/core/transition.hpp"

namespace millrace::sequencer {
namespace {

/// Memory that one pooled transaction takes beside its own bytes, roughly.
constexpr size_t entry_overhead_bytes = 1024;

size_t cost_bytes(const AdmittedTransaction& tx) noexcept {
    return 2 * tx.raw.size() + entry_overhead_bytes;
}

bool outbids(const U256& offer, const U256& current, uint64_t percent) noexcept {
    U256 high;
    const U256 scaled = mul_full(offer, U256{100}, high);
    U256 needed_high;
    const U256 needed = mul_full(current, U256{100 + percent}, needed_high);
    return high != needed_high ? high > needed_high : scaled >= needed;
}

}  // namespace

// --- PoolIndex ---

AdmittedPtr PoolIndex::find(const Hash256& hash) const {
    const std::shared_lock lock(mutex_);
    const auto it = by_hash_.find(hash);
    return it == by_hash_.end() ? nullptr : it->second;
}

std::optional<uint64_t> PoolIndex::next_nonce(const Address& sender) const {
    const std::shared_lock lock(mutex_);
    const auto it = senders_.find(sender);
    return it == senders_.end() ? std::nullopt : std::optional(it->second.next_nonce);
}

size_t PoolIndex::size() const {
    const std::shared_lock lock(mutex_);
    return by_hash_.size();
}

void PoolIndex::add(const AdmittedPtr& tx) {
    const std::unique_lock lock(mutex_);
    if (by_hash_.try_emplace(tx->hash, tx).second) { ++senders_[tx->sender].count; }
}

void PoolIndex::set_next_nonce(const Address& sender, uint64_t nonce) {
    const std::unique_lock lock(mutex_);
    if (const auto it = senders_.find(sender); it != senders_.end()) {
        it->second.next_nonce = nonce;
    }
}

void PoolIndex::forget(const Hash256& hash) {
    const auto it = by_hash_.find(hash);
    if (it == by_hash_.end()) { return; }
    const auto sender = senders_.find(it->second->sender);
    if (--sender->second.count == 0) { senders_.erase(sender); }
    by_hash_.erase(it);
}

void PoolIndex::remove(const Hash256& hash) {
    const std::unique_lock lock(mutex_);
    forget(hash);
}

void PoolIndex::published(const AdmittedTransaction& tx) {
    const std::unique_lock lock(mutex_);
    forget(tx.hash);
}

void PoolIndex::clear() {
    const std::unique_lock lock(mutex_);
    by_hash_.clear();
    senders_.clear();
}

void PoolIndex::set_counts(size_t executable, size_t queued) noexcept {
    executable_.store(executable, std::memory_order_relaxed);
    queued_.store(queued, std::memory_order_relaxed);
}

// --- Pool ---

std::optional<Pool::ReadyKey> Pool::ready_key(const Address& sender, const Sender& s) const {
    if (s.under_way) { return std::nullopt; }
    const auto head = s.entries.find(s.account_nonce);
    if (head == s.entries.end()) { return std::nullopt; }
    const evm::Transaction& tx = head->second.tx->transaction;
    if (tx.max_fee_per_gas < base_fee_) { return std::nullopt; }
    return ReadyKey{evm::effective_gas_price(tx, base_fee_) - base_fee_, head->second.arrival,
                    sender};
}

void Pool::make_ready(const Address& sender, const Sender& s) {
    if (const auto key = ready_key(sender, s)) { ready_.insert(*key); }
}

void Pool::unready(const Address& sender, const Sender& s) {
    if (const auto key = ready_key(sender, s)) { ready_.erase(*key); }
}

Pool::TipKey Pool::tip_key(const Address& sender, EntryPlace it) {
    return {it->second.tx->transaction.max_priority_fee_per_gas, it->second.arrival, sender,
            it->first};
}

void Pool::insert(const Address& sender, Sender& s, const AdmittedPtr& tx) {
    const uint64_t nonce = tx->transaction.nonce;
    const EntryPlace it = s.entries.insert_or_assign(nonce, Entry{tx, next_arrival_++}).first;
    by_tip_.insert(tip_key(sender, it));
    ++count_;
    bytes_ += cost_bytes(*tx);
    if (nonce >= s.missing) {
        gapped_.insert(tip_key(sender, it));
        gapped_bytes_ += cost_bytes(*tx);
    }
}

void Pool::erase(const Address& sender, Sender& s, EntryPlace it) {
    const size_t bytes = cost_bytes(*it->second.tx);
    by_tip_.erase(tip_key(sender, it));
    if (gapped_.erase(tip_key(sender, it)) != 0) { gapped_bytes_ -= bytes; }
    --count_;
    bytes_ -= bytes;
    s.entries.erase(it);
}

void Pool::move_missing(const Address& sender, Sender& s, uint64_t missing) {
    const bool forward = missing > s.missing;
    const uint64_t low = std::min(missing, s.missing);
    const uint64_t high = std::max(missing, s.missing);
    for (auto it = s.entries.lower_bound(low); it != s.entries.end() && it->first < high; ++it) {
        const size_t bytes = cost_bytes(*it->second.tx);
        if (forward) {
            if (gapped_.erase(tip_key(sender, it)) != 0) { gapped_bytes_ -= bytes; }
        } else if (gapped_.insert(tip_key(sender, it)).second) {
            gapped_bytes_ += bytes;
        }
    }
    s.missing = missing;
}

bool Pool::make_room(const AdmittedTransaction& tx, bool executable,
                     const AdmittedTransaction* replaced, std::vector<AdmittedPtr>& evicted) {
    // Chosen first and removed afterwards, so that a refused transaction costs nobody a place. Of
    // the sender with the cheapest transaction the last one goes: no chain breaks, and never a
    // head.
    std::vector<std::pair<Address, EntryPlace>> victims;
    std::unordered_map<Address, EntryPlace> ends;
    const U256& tip = tx.transaction.max_priority_fee_per_gas;
    const size_t one_more = replaced == nullptr ? 1 : 0;
    const size_t freed = replaced == nullptr ? 0 : cost_bytes(*replaced);
    size_t count = count_ + one_more;
    size_t bytes = bytes_ + cost_bytes(tx) - freed;
    size_t gapped = gapped_.size() + one_more;
    size_t gapped_bytes = gapped_bytes_ + cost_bytes(tx) - (executable ? 0 : freed);
    const auto fits = [&] {
        const bool all = count <= limits_.transactions_max && bytes <= limits_.bytes_max;
        if (executable || !all) { return all; }
        // Dropped heads may have left more behind a gap than the share; only growth is judged.
        const bool count_fits =
            one_more == 0 ||
            gapped <= std::max<size_t>(1, limits_.transactions_max / limits_.gapped_share);
        return count_fits && (cost_bytes(tx) <= freed ||
                              gapped_bytes <= limits_.bytes_max / limits_.gapped_share);
    };
    const auto take = [&](const TipKey& cheapest) {
        Sender& s = senders_.at(cheapest.sender);
        // What comes before the newcomer in its own chain is what the newcomer stands on.
        if (cheapest.nonce == s.account_nonce ||
            (cheapest.sender == tx.sender && cheapest.nonce <= tx.transaction.nonce)) {
            return;
        }
        auto& end = ends.try_emplace(cheapest.sender, s.entries.end()).first->second;
        while (!fits() && (end == s.entries.end() || cheapest.nonce < end->first)) {
            --end;
            victims.emplace_back(cheapest.sender, end);
            const size_t cost = cost_bytes(*end->second.tx);
            --count;
            bytes -= cost;
            if (end->first > s.missing) {
                --gapped;
                gapped_bytes -= cost;
            }
        }
    };
    for (auto it = gapped_.begin(); !fits() && it != gapped_.end() && (executable || it->tip < tip);
         ++it) {
        take(*it);
    }
    if (executable) {
        for (auto it = by_tip_.begin(); !fits() && it != by_tip_.end() && it->tip < tip; ++it) {
            take(*it);
        }
    }
    if (!fits()) { return false; }
    for (const auto& [sender, it] : victims) {
        Sender& s = senders_.at(sender);
        const uint64_t nonce = it->first;
        evicted.push_back(it->second.tx);
        index_.remove(it->second.tx->hash);
        erase(sender, s, it);
        move_missing(sender, s, std::min(s.missing, nonce));
        index_.set_next_nonce(sender, s.missing);
        if (s.idle() && sender != tx.sender) { senders_.erase(sender); }
    }
    return true;
}

std::expected<Pool::Added, PoolRefusal> Pool::add(const AdmittedPtr& tx, uint64_t account_nonce) {
    const Address& sender = tx->sender;
    const uint64_t nonce = tx->transaction.nonce;
    Added result;
    result.passed = account_changed(sender, account_nonce);
    if (nonce < account_nonce) { return std::unexpected(PoolRefusal::nonce_too_low); }
    const auto [sender_it, fresh] = senders_.try_emplace(sender);
    Sender& s = sender_it->second;
    if (fresh) { s.account_nonce = s.missing = account_nonce; }
    auto refuse = [&](PoolRefusal reason) {
        if (s.idle()) { senders_.erase(sender); }
        return std::unexpected(reason);
    };

    const bool executable = nonce <= s.missing;
    const auto same = s.entries.find(nonce);
    if (same != s.entries.end()) {
        const evm::Transaction& old = same->second.tx->transaction;
        if (same->second.tx->hash == tx->hash) { return refuse(PoolRefusal::already_known); }
        if (s.under_way == same->second.tx->hash) {
            return refuse(PoolRefusal::nonce_too_low);  // in a moment it is
        }
        const evm::Transaction& offer = tx->transaction;
        if (!outbids(offer.max_fee_per_gas, old.max_fee_per_gas, limits_.replacement_percent) ||
            !outbids(offer.max_priority_fee_per_gas, old.max_priority_fee_per_gas,
                     limits_.replacement_percent)) {
            return refuse(PoolRefusal::replacement_underpriced);
        }
        if (!make_room(*tx, executable, same->second.tx.get(), result.evicted)) {
            return refuse(PoolRefusal::full);
        }
        unready(sender, s);
        result.replaced = same->second.tx;
        index_.remove(result.replaced->hash);
        erase(sender, s, same);
    } else {
        if (nonce >= s.missing && nonce - s.missing > limits_.future_nonces_max) {
            return refuse(PoolRefusal::nonce_too_far);
        }
        if (!make_room(*tx, executable, nullptr, result.evicted)) {
            return refuse(PoolRefusal::full);
        }
    }
    const uint64_t missing_before = s.missing;
    insert(sender, s, tx);
    index_.add(tx);
    make_ready(sender, s);
    uint64_t missing = s.missing;
    while (s.entries.contains(missing)) { ++missing; }
    move_missing(sender, s, missing);
    index_.set_next_nonce(sender, s.missing);
    result.executable = nonce < s.missing;
    result.expected_nonce = s.missing;
    if (result.replaced != nullptr && result.executable) {
        result.promoted.push_back(tx);
    } else {
        for (uint64_t n = missing_before; n < s.missing; ++n) {
            result.promoted.push_back(s.entries.at(n).tx);
        }
    }
    publish_counts();
    return result;
}

AdmittedPtr Pool::next(uint64_t gas_left, uint64_t set_aside) {
    while (!ready_.empty()) {
        const Sender& s = senders_.at(ready_.begin()->sender);
        const AdmittedPtr& head = s.entries.at(s.account_nonce).tx;
        if (head->transaction.gas_limit <= gas_left) {
            return head->transaction.gas_limit <= gas_left - std::min(gas_left, set_aside)
                       ? head
                       : nullptr;
        }
        ready_.erase(ready_.begin());  // comes back with the next block
    }
    return nullptr;
}

bool Pool::no_longer_under_way(Sender& s, const AdmittedTransaction& tx) noexcept {
    if (s.under_way != tx.hash) { return false; }
    s.under_way.reset();
    return true;
}

void Pool::under_way(const AdmittedTransaction& tx) {
    Sender& s = senders_.at(tx.sender);
    unready(tx.sender, s);
    s.under_way = tx.hash;
}

void Pool::returned(const AdmittedTransaction& tx) {
    const auto it = senders_.find(tx.sender);
    if (it == senders_.end()) { return; }
    no_longer_under_way(it->second, tx);
    if (it->second.idle()) {
        senders_.erase(it);
    } else {
        make_ready(tx.sender, it->second);
    }
}

void Pool::executed(const AdmittedTransaction& tx) {
    const auto it = senders_.find(tx.sender);
    if (it == senders_.end()) { return; }
    Sender& s = it->second;
    unready(tx.sender, s);
    no_longer_under_way(s, tx);
    if (const auto e = s.entries.find(tx.transaction.nonce); e != s.entries.end()) {
        erase(tx.sender, s, e);
    }
    s.account_nonce = tx.transaction.nonce + 1;
    if (s.idle()) {
        senders_.erase(it);
    } else {
        make_ready(tx.sender, s);
    }
    publish_counts();
}

bool Pool::drop(const AdmittedTransaction& tx) {
    const auto it = senders_.find(tx.sender);
    if (it == senders_.end()) { return false; }
    Sender& s = it->second;
    unready(tx.sender, s);
    no_longer_under_way(s, tx);
    const auto e = s.entries.find(tx.transaction.nonce);
    const bool here = e != s.entries.end() && e->second.tx->hash == tx.hash;
    if (here) {
        erase(tx.sender, s, e);
        move_missing(tx.sender, s, std::min(s.missing, tx.transaction.nonce));
        index_.remove(tx.hash);
        index_.set_next_nonce(tx.sender, s.missing);
    }
    if (s.idle()) {
        senders_.erase(it);
    } else {
        make_ready(tx.sender, s);
    }
    publish_counts();
    return here;
}

std::vector<AdmittedPtr> Pool::account_changed(const Address& sender, uint64_t account_nonce) {
    std::vector<AdmittedPtr> removed;
    const auto it = senders_.find(sender);
    if (it == senders_.end()) {
        // Executed ones of it may still wait for the log.
        index_.set_next_nonce(sender, account_nonce);
        return removed;
    }
    Sender& s = it->second;
    if (s.account_nonce == account_nonce) { return removed; }
    unready(sender, s);
    while (!s.entries.empty() && s.entries.begin()->first < account_nonce) {
        removed.push_back(s.entries.begin()->second.tx);
        index_.remove(removed.back()->hash);
        erase(sender, s, s.entries.begin());
    }
    s.account_nonce = account_nonce;
    move_missing(sender, s, account_nonce);
    uint64_t missing = account_nonce;
    while (s.entries.contains(missing)) { ++missing; }
    move_missing(sender, s, missing);
    index_.set_next_nonce(sender, s.missing);
    if (s.idle()) {
        senders_.erase(it);
    } else {
        make_ready(sender, s);
    }
    publish_counts();
    return removed;
}

void Pool::begin_block(const U256& base_fee) {
    base_fee_ = base_fee;
    ready_.clear();
    for (const auto& [sender, s] : senders_) { make_ready(sender, s); }
}

std::vector<AdmittedPtr> Pool::clear() {
    std::vector<AdmittedPtr> held;
    held.reserve(count_);
    for (const auto& [sender, s] : senders_) {
        for (const auto& [nonce, e] : s.entries) {
            index_.remove(e.tx->hash);
            held.push_back(e.tx);
        }
    }
    senders_.clear();
    ready_.clear();
    by_tip_.clear();
    gapped_.clear();
    count_ = bytes_ = gapped_bytes_ = 0;
    publish_counts();
    return held;
}

std::vector<AdmittedPtr> Pool::executable() const {
    std::vector<AdmittedPtr> out;
    for (const auto& [sender, s] : senders_) {
        for (const auto& [nonce, e] : s.entries) {
            if (nonce < s.missing) { out.push_back(e.tx); }
        }
    }
    return out;
}

std::vector<AdmittedPtr> Pool::queued() const {
    std::vector<AdmittedPtr> out;
    for (const auto& [sender, s] : senders_) {
        for (const auto& [nonce, e] : s.entries) {
            if (nonce > s.missing) { out.push_back(e.tx); }
        }
    }
    return out;
}

}  // namespace millrace::sequencer
