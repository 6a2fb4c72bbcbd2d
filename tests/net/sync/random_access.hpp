// SPDX-License-Identifier: Apache-2.0
// Owns random accesses of transactions, and the slow and plain making of a mini-block's access.
#pragma once

#include <map>
#include <random>
#include <set>

#include "net/sync/access_builder.hpp"
#include "tests/net/sync/nested_access.hpp"

namespace millrace::sync::test {

/// A transaction's access that owns its parts.
struct OwnedAccess {
    uint64_t gas_used = 0;
    bool success = false;
    std::vector<AccountRead> reads;
    std::vector<SlotRead> slot_reads;
    std::vector<AccountWrite> writes;
    std::vector<SlotWrite> slot_writes;
    TransactionAccess view() const {
        return {gas_used, success, reads, slot_reads, writes, slot_writes};
    }
};

inline Address small_address(uint64_t i) {
    Address a;
    // Some share their first bytes, most do not.
    a[0] = i % 3 == 0 ? 0 : static_cast<uint8_t>(i * 151);
    a[18] = static_cast<uint8_t>(i >> 8);
    a[19] = static_cast<uint8_t>(i);
    return a;
}

/// Accesses of `count` transactions to `accounts` accounts.
inline std::vector<OwnedAccess> random_accesses(uint64_t seed, uint32_t count, uint32_t accounts) {
    std::mt19937_64 random(seed);
    std::vector<OwnedAccess> out(count);
    const auto key = [&]() -> U256 {
        const uint64_t k = random() % 6;
        return k < 3 ? U256{k} : U256{k * 0x123456789abcdef, k, 0, k};
    };
    for (OwnedAccess& t : out) {
        t.gas_used = 21'000 + random() % 100'000;
        t.success = random() % 4 != 0;
        for (uint64_t k = random() % 5; k > 0; --k) {
            t.reads.push_back({small_address(random() % accounts), uint8_t(random() % 16)});
        }
        for (uint64_t k = random() % 4; k > 0; --k) {
            t.slot_reads.push_back({small_address(random() % accounts), key()});
        }
        std::set<Address> written;
        for (uint64_t k = random() % 4; k > 0; --k) {
            AccountWrite w;
            w.address = small_address(random() % accounts);
            if (!written.insert(w.address).second) { continue; }
            if (random() % 2 == 0) { w.nonce = random(); }
            if (random() % 2 == 0) { w.balance = U256{random(), 0, 0, random()}; }
            if (random() % 8 == 0) {
                w.code_changed = true;
                if (random() % 2 == 0) {
                    w.code = std::make_shared<const Bytes>(1 + random() % 40, uint8_t(random()));
                }
            }
            if (w.nonce || w.balance || w.code_changed) { t.writes.push_back(w); }
        }
        std::set<std::pair<Address, U256>> slots;
        for (uint64_t k = random() % 4; k > 0; --k) {
            const SlotWrite w{small_address(random() % accounts), key(), U256{random() % 3}};
            if (slots.insert({w.address, w.key}).second) { t.slot_writes.push_back(w); }
        }
    }
    return out;
}

/// The definition of the canonical form, written down without a thought for speed.
inline MiniBlockAccess plain_access(const AccessHeader& header,
                                    const std::vector<OwnedAccess>& transactions) {
    struct Cells {
        uint8_t read = 0;
        NestedAccount changes;
        std::map<U256, std::vector<StorageChange>> slots;
        std::set<U256> slots_read;
        std::vector<uint32_t> balance_readers;
    };
    std::map<Address, Cells> all;
    NestedAccess n;
    n.header = header;
    for (uint32_t i = 0; i < transactions.size(); ++i) {
        const OwnedAccess& t = transactions[i];
        std::set<uint32_t> needs;
        std::set<Address> balances_read;
        for (const AccountRead& r : t.reads) {
            if (r.fields == 0) { continue; }
            Cells& c = all[r.address];
            c.read |= static_cast<uint8_t>(r.fields & 7);
            if ((r.fields & AccountRead::bounded) != 0) { c.read |= field_balance; }
            if ((r.fields & field_nonce) != 0 && !c.changes.nonces.empty()) {
                needs.insert(c.changes.nonces.back().transaction);
            }
            if ((r.fields & field_code) != 0 && !c.changes.codes.empty()) {
                needs.insert(c.changes.codes.back().transaction);
            }
            if ((r.fields & field_balance) != 0) { balances_read.insert(r.address); }
        }
        for (const Address& address : balances_read) {
            // Plays the history of the account once more from its beginning.
            Cells& c = all[address];
            std::optional<uint32_t> anchor;
            std::set<uint32_t> open;
            auto change = c.changes.balances.begin();
            const auto end = c.changes.balances.end();
            for (const uint32_t reader : c.balance_readers) {
                for (; change != end && change->transaction < reader; ++change) {
                    open.insert(change->transaction);
                }
                const bool changes_too = change != end && change->transaction == reader;
                if (changes_too || open.size() > BalanceDependencies::balance_changes_apart) {
                    anchor = reader;
                    open.clear();
                }
                if (changes_too) { ++change; }
            }
            for (; change != end; ++change) { open.insert(change->transaction); }
            needs.insert(open.begin(), open.end());
            if (anchor) { needs.insert(*anchor); }
            c.balance_readers.push_back(i);
        }
        for (const SlotRead& r : t.slot_reads) {
            Cells& c = all[r.address];
            c.slots_read.insert(r.key);
            const auto it = c.slots.find(r.key);
            if (it != c.slots.end()) { needs.insert(it->second.back().transaction); }
        }
        for (const AccountWrite& w : t.writes) {
            NestedAccount& c = all[w.address].changes;
            if (w.nonce) { c.nonces.push_back({i, *w.nonce}); }
            if (w.balance) { c.balances.push_back({i, *w.balance}); }
            if (w.code_changed) { c.codes.push_back({i, w.code}); }
        }
        for (const SlotWrite& w : t.slot_writes) {
            all[w.address].slots[w.key].push_back({i, w.value});
        }
        NestedTransaction& o = n.transactions.emplace_back();
        o.gas_used = t.gas_used;
        o.success = t.success;
        for (auto it = needs.rbegin(); it != needs.rend(); ++it) {
            o.dependencies.push_back(i - *it);
        }
    }
    for (auto& [address, c] : all) {
        NestedAccount& o = n.accounts.emplace_back(c.changes);
        o.address = address;
        o.reads = c.read;
        if (!o.nonces.empty()) { o.reads &= uint8_t(~field_nonce); }
        if (!o.balances.empty()) { o.reads &= uint8_t(~field_balance); }
        if (!o.codes.empty()) { o.reads &= uint8_t(~field_code); }
        for (auto& [key, changes] : c.slots) { o.changed_slots.push_back({key, changes}); }
        for (const U256& key : c.slots_read) {
            if (!c.slots.contains(key)) { o.read_slots.push_back(key); }
        }
    }
    return flat(n);
}

inline AccessHeader random_header(uint64_t seed) {
    std::mt19937_64 random(seed);
    AccessHeader h;
    h.mini_block_number = random() >> (random() % 64);
    h.environment.block_number = random() >> (random() % 64);
    h.environment.timestamp_s = 1'700'000'000 + random() % 1000;
    h.environment.gas_limit = random() >> (random() % 64);
    h.environment.base_fee_per_gas = U256{random() % 3 == 0 ? random() : 0, 0, 0, random()};
    for (uint8_t& b : h.environment.coinbase.bytes) { b = static_cast<uint8_t>(random()); }
    for (uint8_t& b : h.environment.prev_randao.bytes) { b = static_cast<uint8_t>(random()); }
    for (uint8_t& b : h.transactions_digest.bytes) { b = static_cast<uint8_t>(random()); }
    for (uint8_t& b : h.receipts_digest.bytes) { b = static_cast<uint8_t>(random()); }
    h.first_transaction_index = random() % 100'000;
    h.gas_used_before = random() >> 30;
    return h;
}

}  // namespace millrace::sync::test
