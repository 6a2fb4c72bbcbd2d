// SPDX-License-Identifier: Apache-2.0
// Owns how changes of transactions accumulate over a base state.
#include "evm/core/overlay.hpp"

#include "evm/tx/block.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm {

bool StateOverlay::account_exists(const Address& address) {
    OverlayAccount& a = entry(address);
    if (!a.exists_known) {
        a.exists = base_ != nullptr && base_->account_exists(address);
        a.exists_known = true;
    }
    return a.exists;
}

uint64_t StateOverlay::nonce(const Address& address) {
    OverlayAccount& a = entry(address);
    if (!a.nonce) { a.nonce = base_ != nullptr ? base_->nonce(address) : 0; }
    return *a.nonce;
}

U256 StateOverlay::balance(const Address& address) {
    OverlayAccount& a = entry(address);
    if (!a.balance) { a.balance = base_ != nullptr ? base_->balance(address) : U256{}; }
    return *a.balance;
}

Hash256 StateOverlay::code_hash(const Address& address) {
    OverlayAccount& a = entry(address);
    if (!a.code_hash) {
        a.code_hash = base_ != nullptr ? base_->code_hash(address) : empty_code_hash;
    }
    return *a.code_hash;
}

CodePtr StateOverlay::code(const Hash256& hash) {
    if (const auto it = codes_.find(hash); it != codes_.end()) { return it->second; }
    if (base_ != nullptr && hash != empty_code_hash) { return base_->code(hash); }
    static const CodePtr none = std::make_shared<const Bytes>();
    return none;
}

U256 StateOverlay::storage(const Address& address, const U256& key) {
    OverlayAccount& a = entry(address);
    if (const auto it = a.storage.find(key); it != a.storage.end()) { return it->second; }
    const U256 value =
        a.storage_cleared || base_ == nullptr ? U256{} : base_->storage(address, key);
    a.storage.emplace(key, value);
    return value;
}

bool StateOverlay::has_storage(const Address& address) {
    OverlayAccount& a = entry(address);
    for (const auto& [key, value] : a.storage) {
        if (!value.is_zero()) { return true; }
    }
    return !a.storage_cleared && base_ != nullptr && base_->has_storage(address);
}

Hash256 StateOverlay::block_hash(uint64_t number) {
    if (const auto it = block_hashes_.find(number); it != block_hashes_.end()) {
        return it->second;
    }
    return base_ != nullptr ? base_->block_hash(number) : Hash256{};
}

OverlayAccount& StateOverlay::existing(const Address& address) {
    OverlayAccount& a = entry(address);
    a.exists_known = true;
    a.exists = true;
    a.changed = true;
    return a;
}

void StateOverlay::erase(const Address& address) {
    OverlayAccount& a = entry(address);
    a.exists_known = true;
    a.exists = false;
    a.changed = true;
    a.nonce = 0;
    a.balance = U256{};
    a.code_hash = empty_code_hash;
    a.storage_cleared = true;
    a.storage.clear();
    a.storage_changed.clear();
}

void StateOverlay::apply(const StateChanges& changes, bool clear_empty) {
    for (const AccountChange& c : changes.accounts) {
        if (c.destroyed) {
            erase(c.address);
            continue;
        }
        if (!c.credit.is_zero() || !c.debit.is_zero()) { balance(c.address); }
        OverlayAccount& a = existing(c.address);
        if (c.storage_wiped) { clear_storage(c.address); }
        if (c.nonce) { a.nonce = *c.nonce; }
        if (!c.credit.is_zero() || !c.debit.is_zero()) {
            a.balance = *a.balance + c.credit - c.debit;
        }
        if (c.code_hash) {
            a.code_hash = *c.code_hash;
            if (c.code != nullptr) { codes_[*c.code_hash] = c.code; }
        }
        for (const StorageWrite& w : c.storage) {
            a.storage[w.key] = w.value;
            a.storage_changed[w.key] = true;
        }
        if (clear_empty && nonce(c.address) == 0 && code_hash(c.address) == empty_code_hash &&
            balance(c.address).is_zero()) {
            erase(c.address);
        }
    }
}

void StateOverlay::merge(const StateOverlay& upper) {
    for (const auto& [address, u] : upper.accounts_) {
        if (!u.changed) { continue; }
        if (!u.exists) {
            erase(address);
            continue;
        }
        if (u.storage_cleared) { clear_storage(address); }
        OverlayAccount& a = existing(address);
        if (u.nonce) { a.nonce = u.nonce; }
        if (u.balance) { a.balance = u.balance; }
        if (u.code_hash) { a.code_hash = u.code_hash; }
        for (const auto& [key, changed] : u.storage_changed) {
            a.storage[key] = u.storage.at(key);
            a.storage_changed[key] = true;
        }
    }
    for (const auto& [hash, code] : upper.codes_) { codes_.insert_or_assign(hash, code); }
}

void StateOverlay::set_balance(const Address& address, const U256& value) {
    existing(address).balance = value;
}
void StateOverlay::set_nonce(const Address& address, uint64_t value) {
    existing(address).nonce = value;
}

void StateOverlay::set_code(const Address& address, ByteView code) {
    OverlayAccount& a = existing(address);
    a.code_hash = code.empty() ? empty_code_hash : kernels::keccak256(code);
    if (!code.empty()) {
        codes_[*a.code_hash] = std::make_shared<const Bytes>(code.begin(), code.end());
    }
}

void StateOverlay::set_storage(const Address& address, const U256& key, const U256& value) {
    OverlayAccount& a = existing(address);
    a.storage[key] = value;
    a.storage_changed[key] = true;
}

void StateOverlay::clear_storage(const Address& address) {
    OverlayAccount& a = existing(address);
    a.storage_cleared = true;
    a.storage.clear();
    a.storage_changed.clear();
}

}  // namespace millrace::evm
