// SPDX-License-Identifier: Apache-2.0
// Owns collecting accesses by cell, and putting the cells in order at the end.
#include "net/sync/access_builder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>

namespace millrace::sync {
namespace {

// What an entry takes in the encoding at most.
constexpr size_t header_bytes = 256;
constexpr size_t position_bytes = 3;  // of at most 65,536
constexpr size_t transaction_bytes = 10 + position_bytes;
constexpr size_t account_bytes = 20 + 1 + 5 * 5;
constexpr size_t value_bytes = 33;
constexpr size_t slot_bytes = value_bytes + position_bytes;

uint64_t slot_hash(uint32_t account, const U256& key) noexcept {
    return hash_value(key) ^ std::rotl(account * 0x9e3779b97f4a7c15ull, 17);
}

uint64_t prefix_of(const Address& address) noexcept {
    uint64_t prefix;
    std::memcpy(&prefix, address.data(), sizeof prefix);
    return __builtin_bswap64(prefix);
}

/// Writes the changes of one cell, which are linked newest first, in their order behind the first
/// `begin` of `out`; gives where they end.
template <class Linked, class Change>
uint32_t emit_changes(const std::vector<Linked>& all, uint32_t last, uint32_t count, uint32_t begin,
                      std::vector<Change>& out) {
    uint32_t at = begin + count;
    for (uint32_t k = last; at != begin; k = all[k].previous) { out[--at] = all[k].change; }
    return begin + count;
}

}  // namespace

// --- Collecting ---

uint32_t AccessBuilder::account(const Address& address) {
    if (last_account_ != none && accounts_[last_account_].address == address) {
        return last_account_;
    }
    return account(address, hash_value(address));
}

uint32_t AccessBuilder::account(const Address& address, uint64_t hash) {
    uint32_t found =
        account_index_.find(hash, [&](uint32_t a) { return accounts_[a].address == address; });
    if (found == none) {
        found = static_cast<uint32_t>(accounts_.size());
        account_index_.insert(hash, found,
                              [&](uint32_t a) { return hash_value(accounts_[a].address); });
        accounts_.emplace_back().address = address;
        bytes_ += account_bytes;
    }
    last_account_ = found;
    return found;
}

uint32_t AccessBuilder::slot(const Address& address, const U256& key) {
    const uint32_t owner = account(address);
    const uint64_t hash = slot_hash(owner, key);
    uint32_t found = slot_index_.find(
        hash, [&](uint32_t s) { return slots_[s].account == owner && slots_[s].key == key; });
    if (found == none) {
        found = static_cast<uint32_t>(slots_.size());
        slot_index_.insert(hash, found,
                           [&](uint32_t s) { return slot_hash(slots_[s].account, slots_[s].key); });
        Slot& s = slots_.emplace_back();
        s.key = key;
        s.account = owner;
        s.previous = accounts_[owner].last_slot;
        accounts_[owner].last_slot = found;
        ++accounts_[owner].slot_count;
        bytes_ += slot_bytes;
    }
    return found;
}

void AccessBuilder::read_account(const AccountRead& read, uint64_t hash) {
    if (read.fields == 0) { return; }
    const auto reader = static_cast<uint32_t>(transactions_.size());
    Account& a = accounts_[account(read.address, hash)];
    const bool bounded = (read.fields & AccountRead::bounded) != 0;
    a.reads |= static_cast<uint8_t>((read.fields & 7) | (bounded ? field_balance : 0));
    if ((read.fields & field_nonce) != 0 && a.last_nonce != none) {
        depend_on(nonces_[a.last_nonce].change.transaction);
    }
    if ((read.fields & field_code) != 0 && a.last_code != none) {
        depend_on(codes_[a.last_code].change.transaction);
    }
    if ((read.fields & field_balance) == 0 || a.balance.was_read_by(reader)) { return; }
    // The rule counts changes from the oldest, the list begins with the newest.
    positions_.clear();
    for (uint32_t k = a.last_balance; k != none; k = balances_[k].previous) {
        if (positions_.size() == a.balance.pending(a.balance_count)) { break; }
        positions_.push_back(balances_[k].change.transaction);
    }
    a.balance.read(
        reader, a.balance_count, [&](uint32_t k) { return positions_[a.balance_count - 1 - k]; },
        [&](uint32_t t) { depend_on(t); });
}

void AccessBuilder::write_account(const AccountWrite& write) {
    const auto writer = static_cast<uint32_t>(transactions_.size());
    Account& a = accounts_[account(write.address)];
    if (write.nonce) {
        nonces_.push_back({{writer, *write.nonce}, a.last_nonce});
        a.last_nonce = static_cast<uint32_t>(nonces_.size() - 1);
        ++a.nonce_count;
        bytes_ += position_bytes + 10;
    }
    if (write.balance) {
        balances_.push_back({{writer, *write.balance}, a.last_balance});
        a.last_balance = static_cast<uint32_t>(balances_.size() - 1);
        a.balance.change(writer, ++a.balance_count);
        bytes_ += position_bytes + value_bytes;
    }
    if (write.code_changed) {
        codes_.push_back({{writer, write.code}, a.last_code});
        a.last_code = static_cast<uint32_t>(codes_.size() - 1);
        ++a.code_count;
        bytes_ += position_bytes + 5 + (write.code == nullptr ? 0 : write.code->size());
    }
}

void AccessBuilder::close_dependencies() {
    const auto self = static_cast<uint32_t>(transactions_.size());
    std::sort(needed_.begin(), needed_.end(), std::greater<>{});
    needed_.erase(std::unique(needed_.begin(), needed_.end()), needed_.end());
    for (const uint32_t t : needed_) { dependencies_.push_back(self - t); }
    bytes_ += transaction_bytes + needed_.size() * position_bytes;
    needed_.clear();
}

void AccessBuilder::add(const TransactionAccess& t) {
    const auto self = static_cast<uint32_t>(transactions_.size());
    if (self == 0) { bytes_ = header_bytes; }
    MILLRACE_ASSERT(self < transactions_max, "the sealer cuts in time");
    // The look-ups miss the cache, but together.
    hashes_.clear();
    for (const AccountRead& r : t.reads) {
        hashes_.push_back(hash_value(r.address));
        account_index_.prefetch(hashes_.back());
    }
    for (size_t k = 0; k < t.reads.size(); ++k) { read_account(t.reads[k], hashes_[k]); }
    for (const SlotRead& r : t.slot_reads) {
        const Slot& s = slots_[slot(r.address, r.key)];
        if (s.last_change != none) { depend_on(storage_[s.last_change].change.transaction); }
    }
    for (const AccountWrite& w : t.writes) { write_account(w); }
    for (const SlotWrite& w : t.slot_writes) {
        Slot& s = slots_[slot(w.address, w.key)];
        storage_.push_back({{self, w.value}, s.last_change});
        s.last_change = static_cast<uint32_t>(storage_.size() - 1);
        ++s.change_count;
        bytes_ += position_bytes + value_bytes;
    }
    close_dependencies();
    transactions_.push_back({t.gas_used, t.success, static_cast<uint32_t>(dependencies_.size())});
}

// --- Putting in order ---

/// Into sorted_. Addresses and most slot keys are hashes: dealt out by their first bits, few share
/// a heap. Where they do, because somebody chose them so, it is an ordinary sort.
template <class Less>
void AccessBuilder::sort_places(Less&& less) {
    const auto before = [&](const Place& x, const Place& y) {
        return x.prefix != y.prefix ? x.prefix < y.prefix : less(x.record, y.record);
    };
    constexpr size_t dealt_from = 48;
    if (places_.size() < dealt_from) {
        sorted_.assign(places_.begin(), places_.end());
        std::sort(sorted_.begin(), sorted_.end(), before);
        return;
    }
    const int bits = std::bit_width(places_.size()) - 1;
    starts_.assign((size_t{1} << bits) + 1, 0);
    for (const Place& p : places_) { ++starts_[(p.prefix >> (64 - bits)) + 1]; }
    for (size_t h = 1; h < starts_.size(); ++h) { starts_[h] += starts_[h - 1]; }
    sorted_.resize(places_.size());
    for (const Place& p : places_) { sorted_[starts_[p.prefix >> (64 - bits)]++] = p; }
    // Each start has moved to the end of its heap.
    size_t begin = 0;
    for (size_t h = 0; h + 1 < starts_.size(); ++h) {
        const size_t end = starts_[h];
        if (end - begin > 1) {
            std::sort(sorted_.begin() + static_cast<ptrdiff_t>(begin),
                      sorted_.begin() + static_cast<ptrdiff_t>(end), before);
        }
        begin = end;
    }
}

void AccessBuilder::emit_slots(const Account& a, MiniBlockAccess& out) {
    if (a.slot_count == 0) { return; }
    places_.clear();
    for (uint32_t s = a.last_slot; s != none; s = slots_[s].previous) {
        places_.push_back({slots_[s].key.w[3], s});
    }
    sort_places([&](uint32_t x, uint32_t y) { return slots_[x].key < slots_[y].key; });
    for (const Place& p : sorted_) {
        const Slot& s = slots_[p.record];
        if (s.change_count == 0) {
            out.read_slots.push_back(s.key);
        } else {
            ends_.storage = emit_changes(storage_, s.last_change, s.change_count, ends_.storage,
                                         out.storage_changes);
            out.changed_slots.push_back({s.key, ends_.storage});
        }
    }
}

void AccessBuilder::emit_account(const Account& a, MiniBlockAccess& out) {
    AccountAccess& o = out.accounts.emplace_back();
    o.address = a.address;
    o.reads = a.reads;
    if (a.nonce_count != 0) { o.reads &= static_cast<uint8_t>(~field_nonce); }
    if (a.balance_count != 0) { o.reads &= static_cast<uint8_t>(~field_balance); }
    if (a.code_count != 0) { o.reads &= static_cast<uint8_t>(~field_code); }
    o.nonce_changes_end = ends_.nonces =
        emit_changes(nonces_, a.last_nonce, a.nonce_count, ends_.nonces, out.nonce_changes);
    o.balance_changes_end = ends_.balances = emit_changes(
        balances_, a.last_balance, a.balance_count, ends_.balances, out.balance_changes);
    o.code_changes_end = ends_.codes =
        emit_changes(codes_, a.last_code, a.code_count, ends_.codes, out.code_changes);
    emit_slots(a, out);
    o.changed_slots_end = static_cast<uint32_t>(out.changed_slots.size());
    o.read_slots_end = static_cast<uint32_t>(out.read_slots.size());
}

void AccessBuilder::finish(const AccessHeader& header, MiniBlockAccess& out) {
    out.clear();
    out.header = header;
    out.transactions = transactions_;
    out.dependencies = dependencies_;
    out.accounts.reserve(accounts_.size());
    out.nonce_changes.resize(nonces_.size());
    out.balance_changes.resize(balances_.size());
    out.code_changes.resize(codes_.size());
    out.storage_changes.resize(storage_.size());
    ends_ = {};
    places_.clear();
    for (uint32_t a = 0; a < accounts_.size(); ++a) {
        places_.push_back({prefix_of(accounts_[a].address), a});
    }
    sort_places(
        [&](uint32_t x, uint32_t y) { return accounts_[x].address < accounts_[y].address; });
    // The slots of an account are sorted in the same memory.
    order_.swap(sorted_);
    for (const Place& p : order_) { emit_account(accounts_[p.record], out); }
    clear();
}

void AccessBuilder::clear() noexcept {
    transactions_.clear();
    dependencies_.clear();
    accounts_.clear();
    slots_.clear();
    nonces_.clear();
    balances_.clear();
    codes_.clear();
    storage_.clear();
    account_index_.clear();
    slot_index_.clear();
    bytes_ = 0;
    last_account_ = none;
    needed_.clear();
}

}  // namespace millrace::sync
