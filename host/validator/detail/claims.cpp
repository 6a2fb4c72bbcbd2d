// SPDX-License-Identifier: Apache-2.0
// Owns the look-up of accounts and slots in an access list.
#include "host/validator/detail/claims.hpp"

#include <bit>

namespace millrace::validator::detail {
namespace {

uint64_t slot_hash(uint32_t account, const U256& key) noexcept {
    return hash_value(key) ^ std::rotl(account * 0x9e3779b97f4a7c15ull, 17);
}

}  // namespace

uint64_t Claims::hash_of_slot(size_t slot) const noexcept {
    return slot_hash(slot_accounts_[slot], slot_key(slot));
}

void Claims::index(const sync::MiniBlockAccess& access) {
    access_ = &access;
    accounts_.clear();
    slots_.clear();
    slot_accounts_.assign(access.changed_slots.size() + access.read_slots.size(), 0);
    for (uint32_t a = 0; a < access.accounts.size(); ++a) {
        accounts_.insert(hash_value(access.accounts[a].address), a,
                         [&](uint32_t k) { return hash_value(access.accounts[k].address); });
        const sync::AccountAccess& account = access.accounts[a];
        const auto fill = [&](size_t begin, size_t end) {
            std::fill(slot_accounts_.begin() + static_cast<ptrdiff_t>(begin),
                      slot_accounts_.begin() + static_cast<ptrdiff_t>(end), a);
        };
        fill(access.first_changed_slot(a), account.changed_slots_end);
        const size_t read = access.changed_slots.size();
        fill(read + access.first_read_slot(a), read + account.read_slots_end);
    }
    for (uint32_t s = 0; s < slot_accounts_.size(); ++s) {
        slots_.insert(hash_of_slot(s), s, [&](uint32_t k) { return hash_of_slot(k); });
    }
    change_counts_.assign(access.transactions.size(), 0);
    count(access.nonce_changes);
    count(access.balance_changes);
    count(access.code_changes);
    count(access.storage_changes);
}

uint32_t Claims::account(const Address& address) const noexcept {
    return accounts_.find(hash_value(address),
                          [&](uint32_t a) { return access_->accounts[a].address == address; });
}

uint32_t Claims::slot(uint32_t account, const U256& key) const noexcept {
    return slots_.find(slot_hash(account, key), [&](uint32_t s) {
        return slot_accounts_[s] == account && slot_key(s) == key;
    });
}

}  // namespace millrace::validator::detail
