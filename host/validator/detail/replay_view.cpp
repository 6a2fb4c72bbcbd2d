// SPDX-License-Identifier: Apache-2.0
// Owns the answers to a replayed transaction and the comparison of its writes.
#include "host/validator/detail/replay_view.hpp"

#include "host/base/hex.hpp"
#include "host/validator/detail/net_writes.hpp"

namespace millrace::validator::detail {
namespace {

template <class T>
std::string differ(const T& claimed, const T& computed) {
    return "claimed " + to_hex_quantity(claimed) + ", computed " + to_hex_quantity(computed);
}

template <class Change>
size_t place_of(std::span<const Change> part, const std::vector<Change>& all) noexcept {
    return static_cast<size_t>(part.data() - all.data());
}

}  // namespace

void ReplayView::begin(uint32_t transaction) noexcept {
    self_ = transaction;
    record_ = &run_.records[transaction];
    made_up_code_ = false;
    last_account_ = none;
    listed_code_.clear();
    made_.clear();
}

void ReplayView::refuse(ReplayError error, const CellName& cell, std::string detail) {
    if (record_->fault) { return; }
    ReplayFault& f = record_->fault.emplace();
    f.error = error;
    f.transaction = self_;
    f.cell = cell;
    f.detail = std::move(detail);
}

// --- Reads ---

uint32_t ReplayView::account_of(const Address& address) noexcept {
    if (last_account_ == none || last_address_ != address) {
        last_address_ = address;
        last_account_ = run_.claims.account(address);
    }
    return last_account_;
}

bool ReplayView::is_declared(uint32_t account, bool changed, uint8_t bit, const Address& address,
                             Field field) {
    if (account == none || (!changed && (run_.access().accounts[account].reads & bit) == 0)) {
        refuse(ReplayError::undeclared_read, {address, field, {}});
        return false;
    }
    if (!changed) { Run::mark(run_.account_marks[account], bit); }
    return true;
}

bool ReplayView::may_read(uint32_t writer, const Address& address, Field field, const U256& slot) {
    if (run_.way == ReplayWay::by_dependencies && !run_.claims.depends(self_, writer)) {
        refuse(ReplayError::undeclared_dependency, {address, field, slot},
               "written by transaction " + std::to_string(writer));
        return false;
    }
    record_->writers.push_back(writer);
    return true;
}

bool ReplayView::account_exists(const Address& address) {
    return nonce(address) != 0 || code_hash(address) != evm::empty_code_hash ||
           !balance(address).is_zero();
}

uint64_t ReplayView::nonce(const Address& address) {
    const sync::MiniBlockAccess& m = run_.access();
    const uint32_t a = account_of(address);
    const auto changes = a == none ? std::span<const sync::NonceChange>{} : m.nonce_changes_of(a);
    if (!is_declared(a, !changes.empty(), sync::field_nonce, address, Field::nonce)) { return 0; }
    const uint32_t before = changes_before(changes, self_);
    if (before == 0) { return run_.pre_accounts[a].nonce; }
    if (!may_read(changes[before - 1].transaction, address, Field::nonce)) { return 0; }
    return run_.way == ReplayWay::by_values
               ? changes[before - 1].nonce
               : run_.computed.nonces[place_of(changes, m.nonce_changes) + before - 1];
}

Hash256 ReplayView::code_hash(const Address& address) {
    const sync::MiniBlockAccess& m = run_.access();
    const uint32_t a = account_of(address);
    const auto changes = a == none ? std::span<const sync::CodeChange>{} : m.code_changes_of(a);
    if (!is_declared(a, !changes.empty(), sync::field_code, address, Field::code)) {
        return evm::empty_code_hash;
    }
    const uint32_t before = changes_before(changes, self_);
    if (before == 0) { return run_.pre_accounts[a].code_hash; }
    if (!may_read(changes[before - 1].transaction, address, Field::code)) {
        return evm::empty_code_hash;
    }
    const size_t place = place_of(changes, m.code_changes) + before - 1;
    const bool claimed = run_.way == ReplayWay::by_values;
    const Hash256& hash =
        claimed ? run_.claimed_code_hashes[place] : run_.computed.code_hashes[place];
    listed_code_.emplace_back(hash,
                              claimed ? m.code_changes[place].code : run_.computed.codes[place]);
    return hash;
}

evm::CodePtr ReplayView::code(const Hash256& hash) {
    static const evm::CodePtr none_at_all = std::make_shared<const Bytes>();
    for (const auto& [listed, code] : listed_code_) {
        if (listed == hash) { return code == nullptr ? none_at_all : code; }
    }
    if (evm::CodePtr code = run_.pre_state->code(hash)) { return code; }
    made_up_code_ = true;
    if (!record_->fault) {
        ReplayFault& f = record_->fault.emplace();
        f.error = ReplayError::pre_state_missing;
        f.transaction = self_;
        f.detail = "the code with hash " + to_hex(hash);
    }
    return none_at_all;
}

U256 ReplayView::storage(const Address& address, const U256& key) {
    const sync::MiniBlockAccess& m = run_.access();
    const uint32_t a = account_of(address);
    const uint32_t s = a == none ? none : run_.claims.slot(a, key);
    if (s == none) {
        refuse(ReplayError::undeclared_read, {address, Field::storage, key});
        return {};
    }
    if (!run_.claims.is_changed_slot(s)) {
        Run::mark(run_.slot_marks[s], 1);
        return run_.pre_slots[s];
    }
    const auto changes = m.storage_changes_of(s);
    const uint32_t before = changes_before(changes, self_);
    if (before == 0) { return run_.pre_slots[s]; }
    if (!may_read(changes[before - 1].transaction, address, Field::storage, key)) { return {}; }
    return run_.way == ReplayWay::by_values
               ? changes[before - 1].value
               : run_.computed.slots[place_of(changes, m.storage_changes) + before - 1];
}

/// Only asked for an account with a nonce of zero and no code. From Cancun on a transaction gives
/// storage only to accounts that keep a nonce, so that of such an account is what it was before the
/// mini-block.
bool ReplayView::has_storage(const Address& address) {
    const auto known = run_.pre_state->has_storage(address);
    if (!known) {
        refuse(ReplayError::pre_state_missing, {address, Field::storage, {}},
               "whether there is any");
    }
    return known.value_or(false);
}

Hash256 ReplayView::block_hash(uint64_t number) {
    const auto known = run_.pre_state->block_hash(number);
    if (!known) { refuse(ReplayError::pre_state_missing, {{}, Field::block_hash, number}); }
    return known.value_or(Hash256{});
}

// --- Balances ---

std::optional<U256> ReplayView::balance_after(uint32_t account, uint32_t before,
                                              uint32_t& missing) const {
    const sync::MiniBlockAccess& m = run_.access();
    const U256& pre = run_.pre_accounts[account].balance;
    if (before == 0) { return pre; }
    const auto changes = m.balance_changes_of(account);
    if (run_.way == ReplayWay::by_values) { return changes[before - 1].balance; }
    // Changes commute, so each must be among the dependencies, nearest first, as far back as to one
    // that knew the balance.
    const auto dependencies = m.dependencies_of(self_);
    size_t d = 0;
    uint32_t covered = before;
    for (; covered > 0; --covered) {
        const uint32_t back = self_ - changes[covered - 1].transaction;
        while (d < dependencies.size() && dependencies[d] < back) { ++d; }
        if (d == dependencies.size() || dependencies[d] != back) { break; }
    }
    U256 balance = pre;
    uint32_t from = 0;
    if (covered != 0) {
        missing = changes[covered - 1].transaction;
        const Record::Observation* anchor = nullptr;
        for (const uint32_t back : dependencies) {
            if (back >= self_ - missing) { break; }
            anchor = run_.records[self_ - back].observation(account);
            if (anchor != nullptr) {
                from = changes_before(changes, self_ - back);
                break;
            }
        }
        if (anchor == nullptr) { return std::nullopt; }
        balance = anchor->balance;
    }
    const size_t place = place_of(changes, m.balance_changes);
    for (uint32_t k = from; k < before; ++k) { balance += run_.computed.balance_deltas[place + k]; }
    return balance;
}

U256 ReplayView::balance(const Address& address) {
    const uint32_t a = account_of(address);
    const auto changes =
        a == none ? std::span<const sync::BalanceChange>{} : run_.access().balance_changes_of(a);
    if (!is_declared(a, !changes.empty(), sync::field_balance, address, Field::balance)) {
        return {};
    }
    uint32_t missing = 0;
    const auto known = balance_after(a, changes_before(changes, self_), missing);
    if (!known) {
        refuse(ReplayError::undeclared_dependency, {address, Field::balance, {}},
               "changed by transaction " + std::to_string(missing));
        return {};
    }
    record_->observations.push_back({a, *known});
    return *known;
}

bool ReplayView::balance_at_least(const Address& address, const U256& min) {
    const uint32_t a = account_of(address);
    const auto changes =
        a == none ? std::span<const sync::BalanceChange>{} : run_.access().balance_changes_of(a);
    if (!is_declared(a, !changes.empty(), sync::field_balance, address, Field::balance)) {
        return true;
    }
    uint32_t missing = 0;
    const auto known = balance_after(a, changes_before(changes, self_), missing);
    if (!known) {
        // A bound that fails is a read by value, with its dependencies; so this one must hold.
        record_->bounds.push_back({a, min});
        return true;
    }
    if (*known < min) {
        record_->observations.push_back({a, *known});
        return false;
    }
    return true;
}

void ReplayView::close_record() {
    auto& all = record_->observations;
    std::ranges::sort(all, {}, &Record::Observation::account);
    const auto repeated = std::ranges::unique(all, {}, &Record::Observation::account);
    all.erase(repeated.begin(), repeated.end());
}

// --- Writes ---

/// Finds each change in the access list and compares it, or keeps it where only all together can be
/// compared.
struct WriteComparison {
    ReplayView& view;
    using Field = CellName::Field;

    template <class Change>
    const Change* claimed(std::span<const Change> changes, const CellName& cell) {
        const uint32_t k = changes_before(changes, view.self_);
        if (k == changes.size() || changes[k].transaction != view.self_) {
            view.refuse(ReplayError::undeclared_write, cell);
            return nullptr;
        }
        view.made_.push_back(&changes[k]);
        return &changes[k];
    }
    template <class Change, class Part>
    const Change* claimed_of(const Address& address, Field field, Part&& part) {
        const CellName cell{address, field, {}};
        const uint32_t a = view.account_of(address);
        return claimed(a == ReplayView::none ? std::span<const Change>{} : part(a), cell);
    }
    bool keeps() const noexcept { return view.run_.way == ReplayWay::by_dependencies; }

    void nonce(const Address& address, uint64_t value) {
        const sync::MiniBlockAccess& m = view.run_.access();
        const auto* c = claimed_of<sync::NonceChange>(
            address, Field::nonce, [&](uint32_t a) { return m.nonce_changes_of(a); });
        if (c == nullptr) { return; }
        if (keeps()) { view.run_.computed.nonces[c - m.nonce_changes.data()] = value; }
        if (c->nonce != value) {
            view.refuse(ReplayError::value_mismatch, {address, Field::nonce, {}},
                        differ(c->nonce, value));
        }
    }
    void balance(const Address& address, const U256& delta) {
        const sync::MiniBlockAccess& m = view.run_.access();
        const auto* c = claimed_of<sync::BalanceChange>(
            address, Field::balance, [&](uint32_t a) { return m.balance_changes_of(a); });
        if (c == nullptr) { return; }
        if (keeps()) {
            view.run_.computed.balance_deltas[c - m.balance_changes.data()] = delta;
            return;
        }
        const uint32_t a = view.account_of(address);
        const bool first = c == m.balance_changes_of(a).data();
        const U256 computed = (first ? view.run_.pre_accounts[a].balance : c[-1].balance) + delta;
        if (c->balance != computed) {
            view.refuse(ReplayError::value_mismatch, {address, Field::balance, {}},
                        differ(c->balance, computed));
        }
    }
    void code(const Address& address, const Hash256& hash, const evm::CodePtr& code) {
        const sync::MiniBlockAccess& m = view.run_.access();
        const auto* c = claimed_of<sync::CodeChange>(
            address, Field::code, [&](uint32_t a) { return m.code_changes_of(a); });
        if (c == nullptr) { return; }
        const auto place = static_cast<size_t>(c - m.code_changes.data());
        if (keeps()) {
            view.run_.computed.code_hashes[place] = hash;
            view.run_.computed.codes[place] = code;
        }
        const Hash256& named = view.run_.claimed_code_hashes[place];
        if (named != hash) {
            view.refuse(ReplayError::value_mismatch, {address, Field::code, {}},
                        "claimed code with hash " + to_hex(named) + ", computed " + to_hex(hash));
        }
    }
    void slot(const Address& address, const U256& key, const U256& value) {
        const sync::MiniBlockAccess& m = view.run_.access();
        const uint32_t a = view.account_of(address);
        const uint32_t s = a == ReplayView::none ? a : view.run_.claims.slot(a, key);
        const bool changed = s != ReplayView::none && view.run_.claims.is_changed_slot(s);
        const CellName cell{address, Field::storage, key};
        const auto* c = claimed(
            changed ? m.storage_changes_of(s) : std::span<const sync::StorageChange>{}, cell);
        if (c == nullptr) { return; }
        if (keeps()) { view.run_.computed.slots[c - m.storage_changes.data()] = value; }
        if (c->value != value) {
            view.refuse(ReplayError::value_mismatch, cell, differ(c->value, value));
        }
    }
};

void ReplayView::check_writes(const evm::StateChanges& changes) {
    visit_net_writes(changes, *this, WriteComparison{*this});
    if (!at_fault() && made_.size() != run_.claims.change_count(self_)) { refuse_missing_write(); }
}

void ReplayView::refuse_missing_write() {
    const sync::MiniBlockAccess& m = run_.access();
    std::ranges::sort(made_);
    const auto missing = [&](const auto& changes) {
        const uint32_t k = changes_before(changes, self_);
        return k < changes.size() && changes[k].transaction == self_ &&
               !std::ranges::binary_search(made_, static_cast<const void*>(&changes[k]));
    };
    for (size_t a = 0; a < m.accounts.size(); ++a) {
        const Address& address = m.accounts[a].address;
        const auto found = [&](Field field, const U256& slot = {}) {
            refuse(ReplayError::missing_write, {address, field, slot});
        };
        if (missing(m.nonce_changes_of(a))) { found(Field::nonce); }
        if (missing(m.balance_changes_of(a))) { found(Field::balance); }
        if (missing(m.code_changes_of(a))) { found(Field::code); }
        for (size_t s = m.first_changed_slot(a); s < m.accounts[a].changed_slots_end; ++s) {
            if (missing(m.storage_changes_of(s))) { found(Field::storage, m.changed_slots[s].key); }
        }
    }
}

}  // namespace millrace::validator::detail
