// SPDX-License-Identifier: Apache-2.0
// Owns validation and publication of transactions in the cell table.
#include "host/sequencer/executor/cells.hpp"

#include <algorithm>

#include "evm/tx/block.hpp"
#include "host/base/error.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::sequencer {

void ReadSet::clear() {
    nonces.clear();
    values.clear();
    code_hashes.clear();
    bounds.clear();
}

CellTable::AccountCells& CellTable::account(const Address& address) {
    const auto [it, added] = accounts_.try_emplace(address);
    AccountCells& a = it->second;
    if (added) {
        cell_count_ += 3;
        const auto stored = base_->account(address);
        a.nonce.value = stored ? stored->nonce : 0;
        a.balance.value = stored ? stored->balance : U256{};
        a.code_hash.value = stored ? stored->code_hash : evm::empty_code_hash;
        a.incarnation = base_->incarnation(address);
    }
    return a;
}

Cell<U256>& CellTable::slot(AccountCells& a, const Address& address, const U256& key) {
    const auto [it, added] = a.slots.try_emplace(key);
    if (added) {
        ++cell_count_;
        it->second.value = base_->slot(address, key);
    }
    return it->second;
}

evm::CodePtr CellTable::code(const Hash256& hash) const {
    static const evm::CodePtr none = std::make_shared<const Bytes>();
    if (hash == evm::empty_code_hash) { return none; }
    if (const auto it = codes_.find(hash); it != codes_.end()) { return it->second; }
    evm::CodePtr code = base_->code(hash);
    MILLRACE_ASSERT(code != nullptr, "the store knows the code of every account it holds");
    return code;
}

bool CellTable::has_storage(const Address& address) {
    for (const auto& [key, cell] : account(address).slots) {
        if (!cell.value.is_zero()) { return true; }
    }
    return base_->has_storage(address);
}

void CellTable::mark(const Address& address, AccountCells& a) {
    if (!a.dirty) {
        a.dirty = true;
        dirty_accounts_.push_back(address);
    }
}

Conflict CellTable::commit(const ReadSet& reads, const evm::StateChanges& changes) {
    for (const auto& r : reads.nonces) {
        if (r.cell->version != r.version) { return Conflict::stale_read; }
    }
    for (const auto& r : reads.values) {
        if (r.cell->version != r.version) { return Conflict::stale_read; }
    }
    for (const auto& r : reads.code_hashes) {
        if (r.cell->version != r.version) { return Conflict::stale_read; }
    }
    for (const auto& b : reads.bounds) {
        if (b.cell->value < b.min) { return Conflict::bound_violated; }
    }

    const uint64_t s = ++sequence_;
    for (const evm::AccountChange& c : changes.accounts) {
        AccountCells& a = account(c.address);
        if (c.destroyed) {
            // From Cancun on only a contract created in the same transaction is destroyed: nothing
            // of it was ever published, and the address is left as it was, without its balance.
            if (!a.balance.value.is_zero() || a.nonce.value != 0) {
                a.balance = {U256{}, s};
                a.nonce = {0, s};
                a.code_hash = {evm::empty_code_hash, s};
                mark(c.address, a);
            }
            continue;
        }
        if (c.nonce) {
            a.nonce = {*c.nonce, s};
            mark(c.address, a);
        }
        if (!c.credit.is_zero() || !c.debit.is_zero()) {
            a.balance = {a.balance.value + c.credit - c.debit, s};
            mark(c.address, a);
        }
        if (c.code_hash) {
            a.code_hash = {*c.code_hash, s};
            mark(c.address, a);
            if (c.code != nullptr) {
                if (deployed_.insert(*c.code_hash).second) {
                    add_code(*c.code_hash, c.code);
                } else {
                    codes_.try_emplace(*c.code_hash, c.code);
                }
            }
        }
        for (const evm::StorageWrite& w : c.storage) {
            slot(a, c.address, w.key) = {w.value, s};
            mark_slot(c.address, w.key);
        }
    }
    return Conflict::none;
}

void CellTable::add_code(const Hash256& hash, evm::CodePtr code) {
    new_code_bytes_ += code->size();
    codes_.try_emplace(hash, std::move(code));
    new_codes_.push_back(hash);
}

void CellTable::mark_slot(const Address& address, const U256& key) {
    if (dirty_slots_[address].try_emplace(key, true).second) { ++dirty_slot_count_; }
}

void CellTable::forget_changes() noexcept {
    dirty_accounts_.clear();
    dirty_slots_.clear();
    new_codes_.clear();
    dirty_slot_count_ = new_code_bytes_ = 0;
}

size_t CellTable::dirty_bytes() const noexcept {
    constexpr size_t account_bytes = 130;
    constexpr size_t slot_bytes = 20 + 32 + 32;
    constexpr size_t code_bytes = 32 + 4;
    return dirty_accounts_.size() * account_bytes + dirty_slot_count_ * slot_bytes +
           new_codes_.size() * code_bytes + new_code_bytes_;
}

storage::StateDelta CellTable::take_delta() {
    storage::StateDelta d;
    for (const Address& address : dirty_accounts_) {
        AccountCells& a = accounts_.at(address);
        a.dirty = false;
        storage::AccountDelta& out = d.accounts.emplace_back();
        out.address = address;
        out.incarnation = a.incarnation;
        // EIP-161: an account that has become empty does not exist.
        if (a.is_empty()) {
            out.deleted = true;
            continue;
        }
        out.nonce = a.nonce.value;
        out.balance = a.balance.value;
        out.code_hash = a.code_hash.value;
    }
    for (const auto& [address, keys] : dirty_slots_) {
        AccountCells& a = accounts_.at(address);
        for (const auto& [key, unused] : keys) {
            d.slots.push_back({address, key, a.slots.at(key).value});
        }
    }
    std::sort(new_codes_.begin(), new_codes_.end());
    new_codes_.erase(std::unique(new_codes_.begin(), new_codes_.end()), new_codes_.end());
    for (const Hash256& hash : new_codes_) { d.codes.push_back({hash, codes_.at(hash)}); }
    forget_changes();
    d.sort();
    return d;
}

void CellTable::set_balance(const Address& address, const U256& balance) {
    AccountCells& a = account(address);
    a.balance = {balance, ++sequence_};
    mark(address, a);
}

void CellTable::set_nonce(const Address& address, uint64_t nonce) {
    AccountCells& a = account(address);
    a.nonce = {nonce, ++sequence_};
    mark(address, a);
}

void CellTable::set_code(const Address& address, Bytes code) {
    AccountCells& a = account(address);
    const Hash256 hash = code.empty() ? evm::empty_code_hash : kernels::keccak256(code);
    a.code_hash = {hash, ++sequence_};
    mark(address, a);
    // Whatever transactions deployed: an edit is a record of its own, and a refused one leaves
    // none.
    if (!code.empty()) { add_code(hash, std::make_shared<const Bytes>(std::move(code))); }
}

void CellTable::set_storage(const Address& address, const U256& key, const U256& value) {
    AccountCells& a = account(address);
    slot(a, address, key) = {value, ++sequence_};
    mark_slot(address, key);
}

bool CellTable::AccountCells::is_empty() const noexcept {
    return nonce.value == 0 && balance.value.is_zero() && code_hash.value == evm::empty_code_hash;
}

std::optional<Address> CellTable::account_with_stray_storage() const {
    for (const auto& [address, keys] : dirty_slots_) {
        const AccountCells& a = accounts_.at(address);
        if (!a.is_empty()) { continue; }
        for (const auto& [key, unused] : keys) {
            if (!a.slots.at(key).value.is_zero()) { return address; }
        }
    }
    return std::nullopt;
}

void CellTable::rebase(std::shared_ptr<const storage::StateSnapshot> base, size_t cells_max) {
    MILLRACE_ASSERT(dirty_accounts_.empty() && dirty_slots_.empty(),
                    "a table is rebased only when all is committed");
    base_ = std::move(base);
    if (cell_count_ > cells_max) {
        accounts_.clear();
        codes_.clear();
        cell_count_ = 0;
    }
}

void CellTable::reset(std::shared_ptr<const storage::StateSnapshot> base) {
    forget_changes();
    rebase(std::move(base), 0);
    accounts_.clear();
    codes_.clear();
    cell_count_ = 0;
}

bool CellView::account_exists(const Address& address) {
    return nonce(address) != 0 || code_hash(address) != evm::empty_code_hash ||
           !balance(address).is_zero();
}

uint64_t CellView::nonce(const Address& address) {
    const Cell<uint64_t>& c = cells_.account(address).nonce;
    reads_.nonces.push_back({&c, c.version});
    return c.value;
}

U256 CellView::balance(const Address& address) {
    const Cell<U256>& c = cells_.account(address).balance;
    reads_.values.push_back({&c, c.version});
    return c.value;
}

bool CellView::balance_at_least(const Address& address, const U256& min) {
    const Cell<U256>& c = cells_.account(address).balance;
    if (c.value < min) {
        reads_.values.push_back({&c, c.version});
        return false;
    }
    reads_.bounds.push_back({&c, min});
    return true;
}

Hash256 CellView::code_hash(const Address& address) {
    const Cell<Hash256>& c = cells_.account(address).code_hash;
    reads_.code_hashes.push_back({&c, c.version});
    return c.value;
}

U256 CellView::storage(const Address& address, const U256& key) {
    const Cell<U256>& c = cells_.slot(cells_.account(address), address, key);
    reads_.values.push_back({&c, c.version});
    return c.value;
}

}  // namespace millrace::sequencer
