// SPDX-License-Identifier: Apache-2.0
// Owns MiniBlockAccess in a nested form, in which tests change one thing at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "net/sync/mini_block_access.hpp"

namespace millrace::sync::test {

struct NestedSlot {
    U256 key;
    std::vector<StorageChange> changes;
};
struct NestedAccount {
    Address address;
    uint8_t reads = 0;
    std::vector<NonceChange> nonces;
    std::vector<BalanceChange> balances;
    std::vector<CodeChange> codes;
    std::vector<NestedSlot> changed_slots;
    std::vector<U256> read_slots;
};
struct NestedTransaction {
    uint64_t gas_used = 0;
    bool success = false;
    std::vector<uint32_t> dependencies;
};
struct NestedAccess {
    AccessHeader header;
    std::vector<NestedTransaction> transactions;
    std::vector<NestedAccount> accounts;
};

template <class T>
std::vector<T> copied(std::span<const T> part) {
    return {part.begin(), part.end()};
}

inline NestedAccess nested(const MiniBlockAccess& m) {
    NestedAccess n;
    n.header = m.header;
    for (size_t i = 0; i < m.transactions.size(); ++i) {
        n.transactions.push_back(
            {m.transactions[i].gas_used, m.transactions[i].success, copied(m.dependencies_of(i))});
    }
    for (size_t a = 0; a < m.accounts.size(); ++a) {
        NestedAccount& o = n.accounts.emplace_back();
        o.address = m.accounts[a].address;
        o.reads = m.accounts[a].reads;
        o.nonces = copied(m.nonce_changes_of(a));
        o.balances = copied(m.balance_changes_of(a));
        o.codes = copied(m.code_changes_of(a));
        for (size_t s = m.first_changed_slot(a); s < m.accounts[a].changed_slots_end; ++s) {
            o.changed_slots.push_back({m.changed_slots[s].key, copied(m.storage_changes_of(s))});
        }
        o.read_slots = copied(m.read_slots_of(a));
    }
    return n;
}

inline MiniBlockAccess flat(const NestedAccess& n) {
    MiniBlockAccess m;
    const auto append = [](auto& to, const auto& from) {
        to.insert(to.end(), from.begin(), from.end());
        return static_cast<uint32_t>(to.size());
    };
    m.header = n.header;
    for (const NestedTransaction& t : n.transactions) {
        m.transactions.push_back({t.gas_used, t.success, append(m.dependencies, t.dependencies)});
    }
    for (const NestedAccount& a : n.accounts) {
        AccountAccess o;
        o.address = a.address;
        o.reads = a.reads;
        o.nonce_changes_end = append(m.nonce_changes, a.nonces);
        o.balance_changes_end = append(m.balance_changes, a.balances);
        o.code_changes_end = append(m.code_changes, a.codes);
        for (const NestedSlot& s : a.changed_slots) {
            m.changed_slots.push_back({s.key, append(m.storage_changes, s.changes)});
        }
        o.changed_slots_end = static_cast<uint32_t>(m.changed_slots.size());
        o.read_slots_end = append(m.read_slots, a.read_slots);
        m.accounts.push_back(o);
    }
    return m;
}

/// What a mutation is about, for the test that looks at the refusal.
struct Mutation {
    std::string what;
    enum class Kind { value, other } kind = Kind::other;
    Address address;
    char field = ' ';  ///< n, b, c or s
    U256 slot;
    uint32_t transaction = 0;
};

namespace mutation_detail {

/// Changes of one cell: values, positions, removed, doubled.
template <class Change, class Alter>
void mutate_changes(std::vector<Change>& changes, uint32_t count, Mutation about, Alter&& alter,
                    const std::function<void(const Mutation&)>& visit) {
    for (size_t k = 0; k < changes.size(); ++k) {
        const Change before = changes[k];
        about.transaction = before.transaction;
        about.what = "value";
        about.kind = Mutation::Kind::value;
        alter(changes[k]);
        visit(about);
        changes[k] = before;
        about.kind = Mutation::Kind::other;
        for (const uint32_t t : {before.transaction + 1, before.transaction - 1, 0u, count - 1}) {
            if (t == before.transaction) { continue; }
            about.what = "position to " + std::to_string(t);
            changes[k].transaction = t;
            visit(about);
            changes[k] = before;
        }
        about.what = "removed change";
        changes.erase(changes.begin() + static_cast<ptrdiff_t>(k));
        visit(about);
        changes.insert(changes.begin() + static_cast<ptrdiff_t>(k), before);
    }
    // One more, at every place that has none.
    for (uint32_t t = 0; t < count; ++t) {
        size_t at = 0;
        while (at < changes.size() && changes[at].transaction < t) { ++at; }
        if (at < changes.size() && changes[at].transaction == t) { continue; }
        Change added = changes.empty() ? Change{} : changes[at == 0 ? 0 : at - 1];
        added.transaction = t;
        about.what = "added change";
        about.transaction = t;
        changes.insert(changes.begin() + static_cast<ptrdiff_t>(at), added);
        visit(about);
        changes.erase(changes.begin() + static_cast<ptrdiff_t>(at));
    }
}

template <class T>
void mutate_removed(std::vector<T>& all, Mutation about,
                    const std::function<void(const Mutation&)>& visit) {
    for (size_t k = 0; k < all.size(); ++k) {
        const T before = all[k];
        all.erase(all.begin() + static_cast<ptrdiff_t>(k));
        visit(about);
        all.insert(all.begin() + static_cast<ptrdiff_t>(k), before);
    }
}

}  // namespace mutation_detail

/// Changes `n` in every single way that comes to mind, calls `visit` for each, and undoes it.
inline void for_each_mutation(NestedAccess& n, const std::function<void(const Mutation&)>& visit) {
    using namespace mutation_detail;
    const auto count = static_cast<uint32_t>(n.transactions.size());
    const auto with = [&](std::string what, auto&& change) {
        const NestedAccess before = n;
        change();
        Mutation m;
        m.what = std::move(what);
        visit(m);
        n = before;
    };
    with("mini-block number", [&] { ++n.header.mini_block_number; });
    with("block number", [&] { ++n.header.environment.block_number; });
    with("timestamp", [&] { ++n.header.environment.timestamp_s; });
    with("gas limit", [&] { --n.header.environment.gas_limit; });
    with("base fee", [&] { n.header.environment.base_fee_per_gas += U256{1}; });
    with("coinbase", [&] { n.header.environment.coinbase[19] ^= 1; });
    with("prev_randao", [&] { n.header.environment.prev_randao[0] ^= 1; });
    with("first index", [&] { ++n.header.first_transaction_index; });
    with("gas before", [&] { ++n.header.gas_used_before; });
    with("transactions digest", [&] { n.header.transactions_digest[3] ^= 1; });
    with("receipts digest", [&] { n.header.receipts_digest[3] ^= 1; });
    with("removed transaction", [&] { n.transactions.pop_back(); });
    with("added transaction", [&] { n.transactions.push_back({21'000, true, {}}); });
    for (uint32_t i = 0; i < count; ++i) {
        NestedTransaction& t = n.transactions[i];
        const NestedTransaction before = t;
        Mutation m;
        m.transaction = i;
        const auto tried = [&](std::string what) {
            m.what = std::move(what);
            visit(m);
            t = before;
        };
        ++t.gas_used, tried("gas + 1");
        --t.gas_used, tried("gas - 1");
        t.success = !t.success, tried("success");
        if (i + 1 < count && (n.transactions[i + 1].gas_used != t.gas_used ||
                              n.transactions[i + 1].success != t.success)) {
            std::swap(t, n.transactions[i + 1]);
            m.what = "swapped outcomes";
            visit(m);
            std::swap(t, n.transactions[i + 1]);
        }
        m.what = "dropped dependency";
        mutate_removed(t.dependencies, m, visit);
        for (uint32_t back = 1; back <= i + 1; ++back) {
            if (std::ranges::binary_search(t.dependencies, back)) { continue; }
            t.dependencies.insert(std::ranges::lower_bound(t.dependencies, back), back);
            tried("added dependency");
        }
    }
    for (size_t a = 0; a < n.accounts.size(); ++a) {
        Mutation m;
        m.address = n.accounts[a].address;
        const auto alter_address = [&](int by) {
            n.accounts[a].address[19] = static_cast<uint8_t>(n.accounts[a].address[19] + by);
        };
        m.what = "address";
        alter_address(1), visit(m), alter_address(-1);
        for (const uint8_t bit : {1, 2, 4, 8}) {
            m.what = "read bit " + std::to_string(bit);
            n.accounts[a].reads ^= bit;
            visit(m);
            n.accounts[a].reads ^= bit;
        }
        m.field = 'n';
        mutate_changes(n.accounts[a].nonces, count, m, [](NonceChange& c) { ++c.nonce; }, visit);
        m.field = 'b';
        mutate_changes(
            n.accounts[a].balances, count, m, [](BalanceChange& c) { c.balance += U256{1}; },
            visit);
        m.field = 'c';
        mutate_changes(
            n.accounts[a].codes, count, m,
            [](CodeChange& c) {
                Bytes code = c.code == nullptr ? Bytes{} : *c.code;
                code.push_back(0);
                c.code = std::make_shared<const Bytes>(std::move(code));
            },
            visit);
        m.field = 's';
        auto& slots = n.accounts[a].changed_slots;
        for (size_t s = 0; s < slots.size(); ++s) {
            m.slot = slots[s].key;
            mutate_changes(
                slots[s].changes, count, m, [](StorageChange& c) { c.value += U256{1}; }, visit);
            m.what = "slot key";
            slots[s].key += U256{1}, visit(m), slots[s].key -= U256{1};
        }
        m.field = ' ';
        m.what = "removed changed slot";
        mutate_removed(slots, m, visit);
        m.what = "removed read slot";
        mutate_removed(n.accounts[a].read_slots, m, visit);
        m.what = "added read slot";
        n.accounts[a].read_slots.push_back(U256::max());
        visit(m);
        n.accounts[a].read_slots.pop_back();
    }
    Mutation m;
    m.what = "removed account";
    mutate_removed(n.accounts, m, visit);
    NestedAccount last;
    last.address.bytes.fill(0xff);
    last.reads = field_balance;
    m.what = "added account";
    n.accounts.push_back(last), visit(m), n.accounts.pop_back();
}

}  // namespace millrace::sync::test
