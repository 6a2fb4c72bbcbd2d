// SPDX-License-Identifier: Apache-2.0
// Owns the parts of a mini-block's access list and the check of its canonical form.
#include "net/sync/mini_block_access.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "kernels/sha256/sha256.hpp"

namespace millrace::sync {
namespace {

template <class T>
std::span<const T> between(const std::vector<T>& all, size_t begin, size_t end) noexcept {
    return {all.data() + begin, end - begin};
}

ByteView bytes_of(const CodePtr& code) noexcept { return code == nullptr ? ByteView{} : *code; }

std::unexpected<Error> refuse(const std::string& what, size_t index) {
    return fail(ErrorCode::invalid_input,
                "mini-block access: " + what + " (entry " + std::to_string(index) + ")");
}

/// Walks the ends of one array, which may not go back or beyond.
struct Ends {
    size_t size;
    size_t begin = 0;
    size_t end = 0;
    bool next(size_t new_end) noexcept {
        if (new_end < end || new_end > size) { return false; }
        begin = end;
        end = new_end;
        return true;
    }
    bool empty() const noexcept { return begin == end; }
};

template <class Change>
bool ascending_transactions(std::span<const Change> changes, size_t transaction_count) noexcept {
    for (size_t k = 0; k < changes.size(); ++k) {
        if (changes[k].transaction >= transaction_count) { return false; }
        if (k != 0 && changes[k].transaction <= changes[k - 1].transaction) { return false; }
    }
    return true;
}

Result<void> check_transactions(const MiniBlockAccess& m) {
    if (m.transactions.empty()) { return refuse("has no transaction", 0); }
    if (m.transactions.size() > transactions_max) {
        return refuse("has more than " + std::to_string(transactions_max) + " transactions",
                      m.transactions.size());
    }
    Ends ends{m.dependencies.size()};
    for (size_t i = 0; i < m.transactions.size(); ++i) {
        if (m.transactions[i].gas_used >> 63 != 0) { return refuse("gas beyond 63 bits", i); }
        if (!ends.next(m.transactions[i].dependencies_end)) {
            return refuse("dependencies end outside of their array", i);
        }
        uint64_t last = 0;
        for (size_t k = ends.begin; k < ends.end; ++k) {
            const uint32_t back = m.dependencies[k];
            if (back <= last) { return refuse("dependencies not ascending", i); }
            if (back > i) { return refuse("depends on what is before the mini-block", i); }
            last = back;
        }
    }
    if (ends.end != m.dependencies.size()) { return refuse("dependencies of no transaction", 0); }
    return {};
}

Result<void> check_slots(const MiniBlockAccess& m, size_t account, const Ends& changed,
                         const Ends& read, Ends& changes) {
    for (size_t s = changed.begin; s < changed.end; ++s) {
        if (s > changed.begin && m.changed_slots[s].key <= m.changed_slots[s - 1].key) {
            return refuse("changed slots not ascending", account);
        }
        if (!changes.next(m.changed_slots[s].changes_end) || changes.empty()) {
            return refuse("a slot's changes are none or end outside of their array", account);
        }
        if (!ascending_transactions(between(m.storage_changes, changes.begin, changes.end),
                                    m.transactions.size())) {
            return refuse("a slot's changes not ascending by transaction", account);
        }
    }
    size_t s = changed.begin;
    for (size_t r = read.begin; r < read.end; ++r) {
        const U256& key = m.read_slots[r];
        if (r > read.begin && key <= m.read_slots[r - 1]) {
            return refuse("read slots not ascending", account);
        }
        while (s < changed.end && m.changed_slots[s].key < key) { ++s; }
        if (s < changed.end && m.changed_slots[s].key == key) {
            return refuse("a slot both read and changed", account);
        }
    }
    return {};
}

}  // namespace

bool CodeChange::operator==(const CodeChange& o) const {
    return transaction == o.transaction && std::ranges::equal(bytes_of(code), bytes_of(o.code));
}

void MiniBlockAccess::clear() noexcept {
    header = {};
    transactions.clear();
    dependencies.clear();
    accounts.clear();
    nonce_changes.clear();
    balance_changes.clear();
    code_changes.clear();
    changed_slots.clear();
    storage_changes.clear();
    read_slots.clear();
}

std::span<const uint32_t> MiniBlockAccess::dependencies_of(size_t t) const noexcept {
    return between(dependencies, t == 0 ? 0 : transactions[t - 1].dependencies_end,
                   transactions[t].dependencies_end);
}
std::span<const NonceChange> MiniBlockAccess::nonce_changes_of(size_t a) const noexcept {
    return between(nonce_changes, a == 0 ? 0 : accounts[a - 1].nonce_changes_end,
                   accounts[a].nonce_changes_end);
}
std::span<const BalanceChange> MiniBlockAccess::balance_changes_of(size_t a) const noexcept {
    return between(balance_changes, a == 0 ? 0 : accounts[a - 1].balance_changes_end,
                   accounts[a].balance_changes_end);
}
std::span<const CodeChange> MiniBlockAccess::code_changes_of(size_t a) const noexcept {
    return between(code_changes, a == 0 ? 0 : accounts[a - 1].code_changes_end,
                   accounts[a].code_changes_end);
}
std::span<const ChangedSlot> MiniBlockAccess::changed_slots_of(size_t a) const noexcept {
    return between(changed_slots, first_changed_slot(a), accounts[a].changed_slots_end);
}
std::span<const U256> MiniBlockAccess::read_slots_of(size_t a) const noexcept {
    return between(read_slots, first_read_slot(a), accounts[a].read_slots_end);
}
std::span<const StorageChange> MiniBlockAccess::storage_changes_of(size_t s) const noexcept {
    return between(storage_changes, s == 0 ? 0 : changed_slots[s - 1].changes_end,
                   changed_slots[s].changes_end);
}

Result<void> check_canonical(const MiniBlockAccess& m) {
    MILLRACE_CHECK(check_transactions(m));
    const size_t count = m.transactions.size();
    Ends nonces{m.nonce_changes.size()};
    Ends balances{m.balance_changes.size()};
    Ends codes{m.code_changes.size()};
    Ends changed{m.changed_slots.size()};
    Ends read{m.read_slots.size()};
    Ends changes{m.storage_changes.size()};
    for (size_t a = 0; a < m.accounts.size(); ++a) {
        const AccountAccess& account = m.accounts[a];
        if (a != 0 && account.address <= m.accounts[a - 1].address) {
            return refuse("accounts not ascending", a);
        }
        if (!nonces.next(account.nonce_changes_end) || !codes.next(account.code_changes_end) ||
            !balances.next(account.balance_changes_end) || !read.next(account.read_slots_end) ||
            !changed.next(account.changed_slots_end)) {
            return refuse("an account's entries end outside of their array", a);
        }
        const bool nothing =
            nonces.empty() && balances.empty() && codes.empty() && changed.empty() && read.empty();
        if (account.reads == 0 && nothing) { return refuse("an account without entries", a); }
        const int changed_fields = (nonces.empty() ? 0 : field_nonce) |
                                   (balances.empty() ? 0 : field_balance) |
                                   (codes.empty() ? 0 : field_code);
        if (account.reads > 7 || (account.reads & changed_fields) != 0) {
            return refuse("an account's field both read and changed, or unknown", a);
        }
        if (!ascending_transactions(m.nonce_changes_of(a), count) ||
            !ascending_transactions(m.balance_changes_of(a), count) ||
            !ascending_transactions(m.code_changes_of(a), count)) {
            return refuse("an account's changes not ascending by transaction", a);
        }
        MILLRACE_CHECK(check_slots(m, a, changed, read, changes));
    }
    if (nonces.end != nonces.size || balances.end != balances.size || codes.end != codes.size ||
        changed.end != changed.size || read.end != read.size || changes.end != changes.size) {
        return refuse("entries of no account", m.accounts.size());
    }
    for (size_t k = 0; k < m.code_changes.size(); ++k) {
        if (m.code_changes[k].code != nullptr && m.code_changes[k].code->empty()) {
            return refuse("empty code is null", k);
        }
    }
    return {};
}

Hash256 transactions_digest(std::span<const Hash256> hashes) {
    static_assert(sizeof(Hash256) == 32);
    return kernels::sha256({reinterpret_cast<const uint8_t*>(hashes.data()), hashes.size_bytes()});
}

}  // namespace millrace::sync
