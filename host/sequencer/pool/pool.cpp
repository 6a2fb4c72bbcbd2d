// SPDX-License-Identifier: Apache-2.0
// Owns the order and the limits of waiting transactions.
#include "host/sequencer/pool/pool.hpp"

#include <algorithm>
#include <bit>
#include <mutex>
#include <unordered_map>

#include <boost/unordered/unordered_flat_map.hpp>

#include "evm/core/transition.hpp"

namespace millrace::sequencer {
namespace {

/// Senders without a transaction that are kept for their memory, and how long a chain they may have
/// had room for: some megabytes in all.
constexpr size_t unused_senders_max = 16'384;
constexpr size_t unused_entries_max = 16;

size_t cost_bytes(const AdmittedTransaction& tx) noexcept { return pooled_bytes(1, tx.raw.size()); }

bool outbids(const U256& offer, const U256& current, uint64_t percent) noexcept {
    U256 high;
    const U256 scaled = mul_full(offer, U256{100}, high);
    U256 needed_high;
    const U256 needed = mul_full(current, U256{100 + percent}, needed_high);
    return high != needed_high ? high > needed_high : scaled >= needed;
}

}  // namespace

// --- PoolIndex ---

struct PoolIndex::Maps {
    struct Sender {
        uint64_t next_nonce = 0;
        size_t count = 0;  ///< of transactions here; without any, nothing is known of the sender
    };
    boost::unordered_flat_map<Hash256, AdmittedPtr> by_hash;
    boost::unordered_flat_map<Address, Sender> senders;

    void forget(const Hash256& hash) {
        const auto it = by_hash.find(hash);
        if (it == by_hash.end()) { return; }
        const auto sender = senders.find(it->second->sender);
        if (--sender->second.count == 0) { senders.erase(sender); }
        by_hash.erase(it);
    }
};

PoolIndex::PoolIndex() : maps_(std::make_unique<Maps>()) {}
PoolIndex::~PoolIndex() = default;

AdmittedPtr PoolIndex::find(const Hash256& hash) const {
    const std::shared_lock lock(mutex_);
    const auto it = maps_->by_hash.find(hash);
    return it == maps_->by_hash.end() ? nullptr : it->second;
}

bool PoolIndex::contains(const Hash256& hash) const {
    const std::shared_lock lock(mutex_);
    return maps_->by_hash.contains(hash);
}

std::optional<uint64_t> PoolIndex::next_nonce(const Address& sender) const {
    const std::shared_lock lock(mutex_);
    const auto it = maps_->senders.find(sender);
    return it == maps_->senders.end() ? std::nullopt : std::optional(it->second.next_nonce);
}

size_t PoolIndex::size() const {
    const std::shared_lock lock(mutex_);
    return maps_->by_hash.size();
}

void PoolIndex::add(const AdmittedPtr& tx, uint64_t next_nonce) {
    const std::unique_lock lock(mutex_);
    Maps::Sender& s = maps_->senders[tx->sender];
    if (maps_->by_hash.try_emplace(tx->hash, tx).second) { ++s.count; }
    s.next_nonce = next_nonce;
}

void PoolIndex::set_next_nonce(const Address& sender, uint64_t nonce) {
    const std::unique_lock lock(mutex_);
    if (const auto it = maps_->senders.find(sender); it != maps_->senders.end()) {
        it->second.next_nonce = nonce;
    }
}

void PoolIndex::remove(const Hash256& hash) {
    const std::unique_lock lock(mutex_);
    maps_->forget(hash);
}

void PoolIndex::published(std::span<const ExecutedPtr> transactions) {
    const std::unique_lock lock(mutex_);
    for (const ExecutedPtr& t : transactions) { maps_->forget(t->admitted->hash); }
}

void PoolIndex::clear() {
    const std::unique_lock lock(mutex_);
    maps_->by_hash.clear();
    maps_->senders.clear();
}

void PoolIndex::set_counts(size_t executable, size_t queued) noexcept {
    executable_.store(executable, std::memory_order_relaxed);
    queued_.store(queued, std::memory_order_relaxed);
}

// --- Pool::Chain ---

size_t Pool::Chain::place_of(uint64_t nonce) const noexcept {
    if (empty() || nonce <= front().nonce()) { return 0; }
    // Most chains have no gap.
    const uint64_t ahead = nonce - front().nonce();
    if (ahead < size() && (*this)[ahead].nonce() == nonce) { return ahead; }
    const auto it = std::lower_bound(begin(), end(), nonce,
                                     [](const Entry& e, uint64_t n) { return e.nonce() < n; });
    return static_cast<size_t>(it - begin());
}

const Pool::Entry* Pool::Chain::find(uint64_t nonce) const noexcept {
    const size_t at = place_of(nonce);
    return at < size() && (*this)[at].nonce() == nonce ? &(*this)[at] : nullptr;
}

void Pool::Chain::insert(Entry e) {
    const size_t at = place_of(e.nonce());
    entries_.insert(entries_.begin() + static_cast<ptrdiff_t>(first_ + at), std::move(e));
}

void Pool::Chain::erase(uint64_t nonce) {
    const size_t at = place_of(nonce);
    if (at != 0) {
        entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(first_ + at));
        return;
    }
    entries_[first_++].tx.reset();
    if (first_ * 2 > entries_.size()) {
        entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(first_));
        first_ = 0;
    }
}

// --- Pool ---

struct Pool::Senders : boost::unordered_flat_map<Address, std::unique_ptr<Sender>> {};

Pool::Pool(const PoolLimits& limits, PoolIndex& index)
    : limits_(limits), index_(index), senders_(std::make_unique<Senders>()) {}
Pool::~Pool() = default;

void Pool::make_ready(Sender& s) {
    if (s.ready || s.under_way || s.entries.empty() ||
        s.entries.front().nonce() != s.account_nonce) {
        return;
    }
    const Entry& head = s.entries.front();
    const evm::Transaction& tx = head.tx->transaction;
    if (tx.max_fee_per_gas < base_fee_) { return; }
    s.ready = true;
    s.ready_long = tx.gas_limit > limits_.long_gas;
    s.tip = evm::effective_gas_price(tx, base_fee_) - base_fee_;
    s.arrival = head.arrival;
    s.bucket = tip_bucket(s.tip);
    ready_[s.ready_long ? 1 : 0].push(&s);
}

void Pool::unready(Sender& s) {
    if (!s.ready) { return; }
    s.ready = false;
    ready_[s.ready_long ? 1 : 0].erase(&s);
}

Pool::TipKey Pool::tip_key(const Sender& s, const Entry& e) {
    return {e.tx->transaction.max_priority_fee_per_gas, e.arrival, s.address, e.nonce()};
}

void Pool::keep_order_of_eviction() {
    // Below half of either limit nothing is evicted soon; the way back is longer, so that a pool
    // at the border does not sort again and again.
    const auto beyond = [&](size_t part) {
        return count_ * part > limits_.transactions_max || bytes_ * part > limits_.bytes_max;
    };
    if (sorted_ && !beyond(4)) {
        sorted_ = false;
        by_tip_.clear();
    } else if (!sorted_ && beyond(2)) {
        sort_by_tip();
    }
}

void Pool::sort_by_tip() {
    sorted_ = true;
    for (const auto& [address, s] : *senders_) {
        for (const Entry& e : s->entries) { by_tip_.insert(tip_key(*s, e)); }
    }
}

void Pool::insert(Sender& s, const AdmittedPtr& tx) {
    const Entry entry{tx, next_arrival_++};
    ++count_;
    bytes_ += cost_bytes(*tx);
    if (sorted_) { by_tip_.insert(tip_key(s, entry)); }
    if (entry.nonce() > s.missing) {
        gapped_.insert(tip_key(s, entry));
        gapped_bytes_ += cost_bytes(*tx);
    } else if (entry.nonce() == s.missing) {
        ++s.missing;
    }
    s.entries.insert(entry);
    keep_order_of_eviction();
}

void Pool::erase(Sender& s, uint64_t nonce) {
    const Entry& e = *s.entries.find(nonce);
    const size_t bytes = cost_bytes(*e.tx);
    if (sorted_) { by_tip_.erase(tip_key(s, e)); }
    if (nonce >= s.missing && gapped_.erase(tip_key(s, e)) != 0) { gapped_bytes_ -= bytes; }
    --count_;
    bytes_ -= bytes;
    s.entries.erase(nonce);
    keep_order_of_eviction();
}

Pool::Sender* Pool::find_sender(const Address& address) const {
    const auto it = senders_->find(address);
    return it == senders_->end() ? nullptr : it->second.get();
}

Pool::Sender& Pool::sender_of(const Address& address, uint64_t account_nonce) {
    const auto [it, fresh] = senders_->try_emplace(address);
    if (fresh) {
        if (unused_.empty()) {
            it->second = std::make_unique<Sender>();
        } else {
            it->second = std::move(unused_.back());
            unused_.pop_back();
        }
        Sender& s = *it->second;
        s.address = address;
        s.account_nonce = s.missing = account_nonce;
    }
    return *it->second;
}

void Pool::erase_if_idle(Sender& s) {
    if (!s.idle()) { return; }
    const auto it = senders_->find(s.address);
    std::unique_ptr<Sender> idle = std::move(it->second);
    senders_->erase(it);
    if (given_out_head_ == idle.get()) { given_out_head_ = nullptr; }
    if (unused_.size() < unused_senders_max && idle->entries.capacity() <= unused_entries_max) {
        unused_.push_back(std::move(idle));
    }
}

void Pool::move_missing(Sender& s, uint64_t missing) {
    const bool forward = missing > s.missing;
    const uint64_t low = std::min(missing, s.missing);
    const uint64_t high = std::max(missing, s.missing);
    for (size_t at = s.entries.place_of(low); at < s.entries.size(); ++at) {
        const Entry& e = s.entries[at];
        if (e.nonce() >= high) { break; }
        const size_t bytes = cost_bytes(*e.tx);
        if (forward) {
            if (gapped_.erase(tip_key(s, e)) != 0) { gapped_bytes_ -= bytes; }
        } else if (gapped_.insert(tip_key(s, e)).second) {
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
    std::vector<std::pair<Sender*, uint64_t>> victims;
    std::unordered_map<Address, size_t> ends;  ///< how many of a sender would stay
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
            gapped <= gapped_max();
        return count_fits && (cost_bytes(tx) <= freed ||
                              gapped_bytes <= gapped_bytes_max());
    };
    const auto take = [&](const TipKey& cheapest) {
        Sender& s = *find_sender(cheapest.sender);
        // What comes before the newcomer in its own chain is what the newcomer stands on.
        if (cheapest.nonce == s.account_nonce ||
            (cheapest.sender == tx.sender && cheapest.nonce <= tx.transaction.nonce)) {
            return;
        }
        size_t& stay = ends.try_emplace(cheapest.sender, s.entries.size()).first->second;
        while (!fits() && stay != 0 && cheapest.nonce <= s.entries[stay - 1].nonce()) {
            const Entry& last = s.entries[--stay];
            victims.emplace_back(&s, last.nonce());
            const size_t cost = cost_bytes(*last.tx);
            --count;
            bytes -= cost;
            if (last.nonce() > s.missing) {
                --gapped;
                gapped_bytes -= cost;
            }
        }
    };
    for (auto it = gapped_.begin(); !fits() && it != gapped_.end() && (executable || it->tip < tip);
         ++it) {
        take(*it);
    }
    if (executable && !fits()) {
        if (!sorted_) { sort_by_tip(); }
        for (auto it = by_tip_.begin(); !fits() && it != by_tip_.end() && it->tip < tip; ++it) {
            take(*it);
        }
    }
    if (!fits()) { return false; }
    for (const auto& [sender, nonce] : victims) {
        Sender& s = *sender;
        evicted.push_back(s.entries.find(nonce)->tx);
        index_.remove(evicted.back()->hash);
        erase(s, nonce);
        move_missing(s, std::min(s.missing, nonce));
        index_.set_next_nonce(s.address, s.missing);
        if (s.address != tx.sender) { erase_if_idle(s); }
    }
    return true;
}

std::expected<Pool::Added, PoolRefusal> Pool::add(const AdmittedPtr& tx, uint64_t account_nonce) {
    const Address& sender = tx->sender;
    const uint64_t nonce = tx->transaction.nonce;
    Added result;
    Sender& s = sender_of(sender, account_nonce);
    follow_account(s, account_nonce, result.passed);
    auto refuse = [&](PoolRefusal reason) {
        erase_if_idle(s);
        return std::unexpected(reason);
    };

    if (nonce < account_nonce) { return refuse(PoolRefusal::nonce_too_low); }
    const bool executable = nonce <= s.missing;
    if (const Entry* same = s.entries.find(nonce)) {
        const evm::Transaction& old = same->tx->transaction;
        if (same->tx->hash == tx->hash) { return refuse(PoolRefusal::already_known); }
        if (s.under_way == same->tx->hash) {
            return refuse(PoolRefusal::under_way);
        }
        const evm::Transaction& offer = tx->transaction;
        if (!outbids(offer.max_fee_per_gas, old.max_fee_per_gas, limits_.replacement_percent) ||
            !outbids(offer.max_priority_fee_per_gas, old.max_priority_fee_per_gas,
                     limits_.replacement_percent)) {
            return refuse(PoolRefusal::replacement_underpriced);
        }
        // It stays itself: make_room() evicts nothing of a chain up to the newcomer.
        result.replaced = same->tx;
        if (!make_room(*tx, executable, result.replaced.get(), result.evicted)) {
            return refuse(PoolRefusal::full);
        }
        unready(s);
        index_.remove(result.replaced->hash);
        erase(s, nonce);
    } else {
        if (nonce >= s.missing && nonce - s.missing > limits_.future_nonces_max) {
            return refuse(PoolRefusal::nonce_too_far);
        }
        if (!make_room(*tx, executable, nullptr, result.evicted)) {
            return refuse(PoolRefusal::full);
        }
    }
    const uint64_t missing_before = s.missing;
    insert(s, tx);
    make_ready(s);
    move_missing(s, first_missing(s, s.missing));
    index_.add(tx, s.missing);
    result.executable = nonce < s.missing;
    result.expected_nonce = s.missing;
    promoted_.clear();
    if (result.replaced != nullptr && result.executable) {
        promoted_.push_back(tx);
    } else {
        for (size_t at = s.entries.place_of(missing_before); at < s.entries.size(); ++at) {
            if (s.entries[at].nonce() >= s.missing) { break; }
            promoted_.push_back(s.entries[at].tx);
        }
    }
    result.promoted = promoted_;
    publish_counts();
    return result;
}

uint64_t Pool::expected_nonce(const Address& sender, uint64_t account_nonce) const {
    const Sender* s = find_sender(sender);
    return s == nullptr ? account_nonce : std::max(account_nonce, s->missing);
}

uint64_t Pool::first_missing(const Sender& s, uint64_t from) noexcept {
    for (size_t at = s.entries.place_of(from);
         at < s.entries.size() && s.entries[at].nonce() == from; ++at) {
        ++from;
    }
    return from;
}

void Pool::Ready::push(Sender* s) {
    by_tip.push(s);
    buckets[s->bucket].push(s);
    filled |= uint32_t{1} << s->bucket;
}

void Pool::Ready::erase(Sender* s) noexcept {
    by_tip.erase(s);
    buckets[s->bucket].erase(s);
    if (buckets[s->bucket].empty()) { filled &= ~(uint32_t{1} << s->bucket); }
}

void Pool::Ready::clear() noexcept {
    by_tip.clear();
    for (auto& bucket : buckets) { bucket.clear(); }
    filled = 0;
}

Pool::Sender* Pool::Ready::oldest() const noexcept {
    Sender* found = nullptr;
    for (uint32_t rest = filled; rest != 0; rest &= rest - 1) {
        Sender* s = buckets[static_cast<size_t>(std::countr_zero(rest))].top();
        if (found == nullptr || IsOlder{}(*s, *found)) { found = s; }
    }
    return found;
}

Pool::Turn Pool::turn() const noexcept {
    const uint64_t n = given_out_;
    if (limits_.oldest_one_in != 0 && n % limits_.oldest_one_in == 0) { return Turn::oldest; }
    const uint64_t w = limits_.weighted_one_in;
    // In the middle between two turns of the oldest, where both come as often.
    return w != 0 && n % w == w / 2 ? Turn::weighted : Turn::highest;
}

size_t Pool::weighted_bucket(uint32_t filled) const noexcept {
    // The trailing zeros of a count are 0 half of the time, 1 a quarter of it, and so on.
    const uint64_t round = given_out_ / limits_.weighted_one_in + 1;
    const auto bucket_of = [](uint32_t bits) {
        return static_cast<size_t>(std::bit_width(bits)) - 1;
    };
    uint32_t rest = filled;
    for (int rank = std::countr_zero(round) + 1; rank != 0; --rank) {
        const uint32_t below = rest & ~(uint32_t{1} << bucket_of(rest));
        if (below == 0) { break; }
        rest = below;
    }
    return bucket_of(rest);
}

Pool::Sender* Pool::ready_head(Ready& ready, Turn turn, size_t bucket, uint64_t gas_left) {
    while (!ready.by_tip.empty()) {
        Sender* s = ready.by_tip.top();
        if (turn == Turn::oldest) { s = ready.oldest(); }
        if (turn == Turn::weighted) {
            if (ready.buckets[bucket].empty()) { return nullptr; }
            s = ready.buckets[bucket].top();
        }
        if (s->entries.front().tx->transaction.gas_limit <= gas_left) { return s; }
        unready(*s);  // comes back with the next block
        passed_over_ = true;
    }
    return nullptr;
}

AdmittedPtr Pool::next(uint64_t gas_left, uint64_t set_aside, bool with_long) {
    Turn now = turn();
    size_t bucket = 0;
    if (now == Turn::weighted) {
        const uint32_t filled = ready_[0].filled | (with_long ? ready_[1].filled : 0);
        if (filled == 0) { return nullptr; }
        bucket = weighted_bucket(filled);
    }
    Sender* head = ready_head(ready_[0], now, bucket, gas_left);
    Sender* long_head = with_long ? ready_head(ready_[1], now, bucket, gas_left) : nullptr;
    if (head == nullptr && long_head == nullptr && now == Turn::weighted) {
        // All of the bucket needed more gas than is left.
        now = Turn::highest;
        head = ready_head(ready_[0], now, bucket, gas_left);
        long_head = with_long ? ready_head(ready_[1], now, bucket, gas_left) : nullptr;
    }
    const bool by_tip = now == Turn::highest;
    if (long_head != nullptr && (head == nullptr || (by_tip ? PaysMore{}(*long_head, *head)
                                                            : IsOlder{}(*long_head, *head)))) {
        head = long_head;
    }
    if (head == nullptr) { return nullptr; }
    given_out_head_ = head;
    const AdmittedPtr& tx = head->entries.front().tx;
    const uint64_t unclaimed = gas_left - std::min(gas_left, set_aside);
    return tx->transaction.gas_limit <= unclaimed ? tx : nullptr;
}

bool Pool::no_longer_under_way(Sender& s, const AdmittedTransaction& tx) noexcept {
    if (s.under_way != tx.hash) { return false; }
    s.under_way.reset();
    return true;
}

void Pool::under_way(const AdmittedTransaction& tx) {
    Sender& s = given_out_head_ != nullptr && given_out_head_->address == tx.sender
                    ? *given_out_head_
                    : *find_sender(tx.sender);
    unready(s);
    s.under_way = tx.hash;
    ++given_out_;
}

void Pool::returned(const AdmittedTransaction& tx) {
    Sender* s = find_sender(tx.sender);
    if (s == nullptr) { return; }
    no_longer_under_way(*s, tx);
    make_ready(*s);
    erase_if_idle(*s);
}

void Pool::executed(const AdmittedTransaction& tx) {
    Sender* sender = find_sender(tx.sender);
    if (sender == nullptr) { return; }
    Sender& s = *sender;
    unready(s);
    if (!no_longer_under_way(s, tx)) { ++given_out_; }
    const uint64_t nonce = tx.transaction.nonce;
    if (s.entries.find(nonce) != nullptr) { erase(s, nonce); }
    s.account_nonce = nonce + 1;
    make_ready(s);
    erase_if_idle(s);
    publish_counts();
}

bool Pool::drop(const AdmittedTransaction& tx) {
    Sender* sender = find_sender(tx.sender);
    if (sender == nullptr) { return false; }
    Sender& s = *sender;
    unready(s);
    no_longer_under_way(s, tx);
    const uint64_t nonce = tx.transaction.nonce;
    const Entry* e = s.entries.find(nonce);
    const bool here = e != nullptr && e->tx->hash == tx.hash;
    if (here) {
        erase(s, nonce);
        move_missing(s, std::min(s.missing, nonce));
        index_.remove(tx.hash);
        index_.set_next_nonce(s.address, s.missing);
    }
    make_ready(s);
    erase_if_idle(s);
    publish_counts();
    return here;
}

size_t Pool::gapped_max() const noexcept {
    return std::max<size_t>(1, limits_.transactions_max / limits_.gapped_share);
}

std::vector<AdmittedPtr> Pool::trim_gapped() {
    std::vector<AdmittedPtr> given_up;
    while (gapped_.size() > gapped_max() || gapped_bytes_ > gapped_bytes_max()) {
        const TipKey cheapest = *gapped_.begin();
        Sender& s = *find_sender(cheapest.sender);
        given_up.push_back(s.entries.find(cheapest.nonce)->tx);
        index_.remove(given_up.back()->hash);
        erase(s, cheapest.nonce);
        erase_if_idle(s);
    }
    if (!given_up.empty()) { publish_counts(); }
    return given_up;
}

std::vector<AdmittedPtr> Pool::account_changed(const Address& sender, uint64_t account_nonce) {
    std::vector<AdmittedPtr> removed;
    if (Sender* s = find_sender(sender)) {
        follow_account(*s, account_nonce, removed);
        erase_if_idle(*s);
    } else {
        // Executed ones of it may still wait for the log.
        index_.set_next_nonce(sender, account_nonce);
    }
    return removed;
}

void Pool::follow_account(Sender& s, uint64_t account_nonce, std::vector<AdmittedPtr>& removed) {
    if (s.account_nonce == account_nonce) { return; }
    unready(s);
    while (!s.entries.empty() && s.entries.front().nonce() < account_nonce) {
        removed.push_back(s.entries.front().tx);
        index_.remove(removed.back()->hash);
        erase(s, removed.back()->transaction.nonce);
    }
    s.account_nonce = account_nonce;
    move_missing(s, account_nonce);
    move_missing(s, first_missing(s, account_nonce));
    index_.set_next_nonce(s.address, s.missing);
    make_ready(s);
    publish_counts();
}

void Pool::begin_block(const U256& base_fee) {
    if (base_fee == base_fee_ && !passed_over_) { return; }
    base_fee_ = base_fee;
    passed_over_ = false;
    for (Ready& ready : ready_) { ready.clear(); }
    for (auto& [address, s] : *senders_) {
        s->ready = false;
        make_ready(*s);
    }
}

std::vector<AdmittedPtr> Pool::clear() {
    std::vector<AdmittedPtr> held;
    held.reserve(count_);
    for (const auto& [address, s] : *senders_) {
        for (const Entry& e : s->entries) {
            index_.remove(e.tx->hash);
            held.push_back(e.tx);
        }
    }
    for (Ready& ready : ready_) { ready.clear(); }
    senders_->clear();
    given_out_head_ = nullptr;
    by_tip_.clear();
    sorted_ = false;
    gapped_.clear();
    count_ = bytes_ = gapped_bytes_ = 0;
    publish_counts();
    return held;
}

template <class Take>
void Pool::visit(const std::optional<Address>& sender, const Take& take) const {
    const auto visit_one = [&](const Sender& s) {
        for (const Entry& e : s.entries) { take(s, e); }
    };
    if (!sender) {
        for (const auto& [address, s] : *senders_) { visit_one(*s); }
    } else if (const Sender* s = find_sender(*sender)) {
        visit_one(*s);
    }
}

std::vector<AdmittedPtr> Pool::executable(const std::optional<Address>& sender) const {
    std::vector<AdmittedPtr> out;
    visit(sender, [&](const Sender& s, const Entry& e) {
        if (e.nonce() < s.missing) { out.push_back(e.tx); }
    });
    return out;
}

std::vector<AdmittedPtr> Pool::queued(const std::optional<Address>& sender) const {
    std::vector<AdmittedPtr> out;
    visit(sender, [&](const Sender& s, const Entry& e) {
        if (e.nonce() > s.missing) { out.push_back(e.tx); }
    });
    return out;
}

}  // namespace millrace::sequencer
