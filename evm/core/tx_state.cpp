// SPDX-License-Identifier: Apache-2.0
// Owns the journal and the bookkeeping of reads, bounds and deltas of one transaction.
#include "evm/core/tx_state.hpp"

#include "evm/tx/block.hpp"
#include "host/base/error.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm {
namespace {

/// EIP-161's touch of RIPEMD-160 survived a revert on mainnet (block 2,675,119) and is consensus.
constexpr Address ripemd160_address = [] {
    Address a;
    a[19] = 3;
    return a;
}();

size_t slot_hash(uint32_t account, const U256& key) noexcept {
    return hash_value(key) ^ (static_cast<size_t>(account) * 0x9e3779b97f4a7c15ull);
}

}  // namespace

void TxState::begin(StateView& view, const Rules& rules, CodeCache& codes,
                    const PrecompileSet& precompiles) {
    view_ = &view;
    rules_ = &rules;
    codes_ = &codes;
    precompiles_ = &precompiles;
    // Records are used again, perhaps much later; what they hold of code is not to outlive caches.
    for (size_t i = 0; i < account_count_; ++i) {
        accounts_[i].code.reset();
        accounts_[i].raw_code.reset();
    }
    account_count_ = 0;
    slot_count_ = 0;
    transients_.clear();
    account_index_.clear();
    slot_index_.clear();
    transient_index_.clear();
    journal_.clear();
    pinned_code_.clear();
    logs_.clear();
    refund_ = 0;
}

void TxState::note(Undo kind, uint32_t record, const U256& previous, bool flag) {
    JournalEntry& e = journal_.emplace_back();
    e.kind = kind;
    e.flag = flag;
    e.record = record;
    e.previous = previous;
}

TxAccount& TxState::account(const Address& address) {
    const size_t hash = hash_value(address);
    const uint32_t found =
        account_index_.find(hash, [&](uint32_t i) { return accounts_[i].address == address; });
    if (found != detail::IndexTable::none) { return accounts_[found]; }
    if (account_count_ == accounts_.size()) { accounts_.emplace_back(); }
    const auto index = static_cast<uint32_t>(account_count_++);
    TxAccount& a = accounts_[index];
    a = TxAccount{};
    a.address = address;
    a.index = index;
    a.warm = precompiles_->contains(address, rules_->revision);
    account_index_.insert(hash, index,
                          [&](uint32_t i) { return hash_value(accounts_[i].address); });
    return a;
}

bool TxState::warm_account(TxAccount& a) {
    if (a.warm) { return false; }
    note(Undo::warm_account, a.index);
    a.warm = true;
    return true;
}

void TxState::touch(TxAccount& a) {
    if (a.touched) { return; }
    // Before EIP-161 a touch is the account's existence, and that is undone like everything else.
    const bool survives =
        a.address == ripemd160_address && rules_->at_least(Revision::spurious_dragon);
    if (!survives) { note(Undo::touched, a.index); }
    a.touched = true;
}

bool TxState::exists(TxAccount& a) {
    if (a.touched || a.nonce_changed || a.code_changed || !a.credit.is_zero()) { return true; }
    if (!a.exists_known) {
        a.exists = view_->account_exists(a.address);
        a.exists_known = true;
    }
    return a.exists;
}

bool TxState::is_empty(TxAccount& a) {
    // The balance comes last: it is the field that others change most.
    return nonce(a) == 0 && code_hash(a) == empty_code_hash && balance(a).is_zero();
}

uint64_t TxState::nonce(TxAccount& a) {
    if (!a.nonce_known) {
        a.nonce = view_->nonce(a.address);
        a.nonce_known = true;
    }
    return a.nonce;
}

void TxState::set_nonce(TxAccount& a, uint64_t value) {
    note(Undo::nonce, a.index, U256{nonce(a)}, a.nonce_changed);
    a.nonce = value;
    a.nonce_changed = true;
}

const Hash256& TxState::code_hash(TxAccount& a) {
    if (!a.code_hash_known) {
        a.code_hash = view_->code_hash(a.address);
        a.code_hash_known = true;
    }
    return a.code_hash;
}

const AnalyzedCode& TxState::code(TxAccount& a) {
    if (a.code == nullptr) {
        const Hash256& hash = code_hash(a);
        a.code = hash == empty_code_hash ? empty_code() : codes_->get(hash, *view_);
    }
    return *a.code;
}

ByteView TxState::code_bytes(TxAccount& a) {
    if (a.code != nullptr) { return a.code->bytes(); }
    if (a.raw_code == nullptr) {
        const Hash256& hash = code_hash(a);
        if (hash == empty_code_hash) { return {}; }
        if ((a.code = codes_->find(hash)) != nullptr) { return a.code->bytes(); }
        a.raw_code = view_->code(hash);
    }
    return *a.raw_code;
}

void TxState::set_code(TxAccount& a, ByteView new_code) {
    JournalEntry& e = journal_.emplace_back();
    e.kind = Undo::code;
    e.flag = a.code_changed;
    e.record = a.index;
    e.code_hash = code_hash(a);
    e.code = a.code;
    if (a.code != nullptr) { pinned_code_.push_back(a.code); }
    a.code = new_code.empty() ? empty_code() : codes_->analyze(new_code);
    a.code_hash = new_code.empty() ? empty_code_hash : kernels::keccak256(new_code);
    a.code_changed = true;
}

void TxState::read_balance(TxAccount& a) {
    if (!a.balance_known) {
        a.base_balance = view_->balance(a.address);
        a.balance_known = true;
    }
}

U256 TxState::balance(TxAccount& a) {
    read_balance(a);
    return a.base_balance + a.credit - a.debit;
}

bool TxState::balance_at_least(TxAccount& a, const U256& amount) {
    if (a.balance_known) { return balance(a) >= amount; }
    bool overflow = false;
    const U256 out = add_overflow(a.debit, amount, overflow);
    if (overflow) { return balance(a) >= amount; }
    if (out <= a.credit) { return true; }
    const U256 required = out - a.credit;
    if (required <= a.bound) { return true; }
    if (view_->balance_at_least(a.address, required)) {
        a.bound = required;
        return true;
    }
    return false;
}

void TxState::debit(TxAccount& a, const U256& amount) {
    if (amount.is_zero()) { return; }
    note(Undo::debit, a.index, a.debit);
    a.debit += amount;
}

void TxState::credit(TxAccount& a, const U256& amount) {
    touch(a);
    if (amount.is_zero()) { return; }
    note(Undo::credit, a.index, a.credit);
    a.credit += amount;
}

bool TxState::has_collision(TxAccount& a) {
    return nonce(a) != 0 || code_hash(a) != empty_code_hash || view_->has_storage(a.address);
}

void TxState::mark_created(TxAccount& a) {
    note(Undo::created, a.index, {}, a.created);
    a.created = true;
    touch(a);
}

bool TxState::mark_destroyed(TxAccount& a) {
    if (a.destroyed) { return false; }
    note(Undo::destroyed, a.index);
    a.destroyed = true;
    return true;
}

TxSlot& TxState::slot(TxAccount& a, const U256& key) {
    const size_t hash = slot_hash(a.index, key);
    const uint32_t found = slot_index_.find(
        hash, [&](uint32_t i) { return slots_[i].account == a.index && slots_[i].key == key; });
    if (found != detail::IndexTable::none) { return slots_[found]; }
    if (slot_count_ == slots_.size()) { slots_.emplace_back(); }
    const auto index = static_cast<uint32_t>(slot_count_++);
    TxSlot& s = slots_[index];
    s = TxSlot{};
    s.account = a.index;
    s.index = index;
    s.key = key;
    slot_index_.insert(hash, index,
                       [&](uint32_t i) { return slot_hash(slots_[i].account, slots_[i].key); });
    return s;
}

bool TxState::warm_slot(TxSlot& s) {
    if (s.warm) { return false; }
    note(Undo::warm_slot, s.index);
    s.warm = true;
    return true;
}

const U256& TxState::load(TxSlot& s) {
    if (!s.known) {
        const TxAccount& a = accounts_[s.account];
        s.original = a.created ? U256{} : view_->storage(a.address, s.key);
        s.current = s.original;
        s.known = true;
    }
    return s.current;
}

void TxState::store(TxSlot& s, const U256& value) {
    load(s);
    note(Undo::slot, s.index, s.current);
    s.current = value;
}

uint32_t TxState::transient_record(const TxAccount& a, const U256& key) const noexcept {
    return transient_index_.find(slot_hash(a.index, key), [&](uint32_t i) {
        return transients_[i].account == a.index && transients_[i].key == key;
    });
}

U256 TxState::transient_load(const TxAccount& a, const U256& key) {
    const uint32_t i = transient_record(a, key);
    return i == detail::IndexTable::none ? U256{} : transients_[i].value;
}

void TxState::transient_store(const TxAccount& a, const U256& key, const U256& value) {
    uint32_t i = transient_record(a, key);
    if (i == detail::IndexTable::none) {
        i = static_cast<uint32_t>(transients_.size());
        transients_.push_back({a.index, key, U256{}});
        transient_index_.insert(slot_hash(a.index, key), i, [&](uint32_t r) {
            return slot_hash(transients_[r].account, transients_[r].key);
        });
    }
    note(Undo::transient, i, transients_[i].value);
    transients_[i].value = value;
}

void TxState::revert_to(const Checkpoint& checkpoint) {
    while (journal_.size() > checkpoint.journal_size) {
        JournalEntry& e = journal_.back();
        switch (e.kind) {
            case Undo::warm_account: accounts_[e.record].warm = false; break;
            case Undo::touched: accounts_[e.record].touched = false; break;
            case Undo::nonce:
                accounts_[e.record].nonce = e.previous.low64();
                accounts_[e.record].nonce_changed = e.flag;
                break;
            case Undo::code: {
                TxAccount& a = accounts_[e.record];
                pinned_code_.push_back(std::move(a.code));
                a.code = std::move(e.code);
                a.code_hash = e.code_hash;
                a.code_changed = e.flag;
                break;
            }
            case Undo::credit: accounts_[e.record].credit = e.previous; break;
            case Undo::debit: accounts_[e.record].debit = e.previous; break;
            case Undo::created: accounts_[e.record].created = e.flag; break;
            case Undo::destroyed: accounts_[e.record].destroyed = false; break;
            case Undo::warm_slot: slots_[e.record].warm = false; break;
            case Undo::slot: slots_[e.record].current = e.previous; break;
            case Undo::transient: transients_[e.record].value = e.previous; break;
        }
        journal_.pop_back();
    }
    logs_.resize(checkpoint.log_count);
    refund_ = checkpoint.refund;
}

uint64_t TxState::fingerprint() const noexcept {
    uint64_t sum = static_cast<uint64_t>(refund_) ^ account_count_ << 32 ^ slot_count_ << 16;
    const auto mix = [&sum](uint64_t v) { sum = (sum ^ v) * 0x9e3779b97f4a7c15ull; };
    const auto mix_word = [&mix](const U256& v) { mix(hash_value(v)); };
    for (size_t i = 0; i < account_count_; ++i) {
        const TxAccount& a = accounts_[i];
        mix(hash_value(a.address));
        mix(static_cast<uint64_t>(a.warm) | static_cast<uint64_t>(a.touched) << 1 |
            static_cast<uint64_t>(a.created) << 2 | static_cast<uint64_t>(a.destroyed) << 3 |
            static_cast<uint64_t>(a.nonce_changed) << 4 |
            static_cast<uint64_t>(a.code_changed) << 5);
        mix(a.nonce_changed ? a.nonce : 0);
        if (a.code_changed) { mix(hash_bytes(a.code_hash.data(), a.code_hash.size())); }
        mix_word(a.credit);
        mix_word(a.debit);
    }
    for (size_t i = 0; i < slot_count_; ++i) {
        const TxSlot& s = slots_[i];
        mix(s.account << 1 | static_cast<uint64_t>(s.warm));
        mix_word(s.key);
        mix_word(s.current);
    }
    for (const Transient& t : transients_) {
        mix(t.account);
        mix_word(t.key);
        mix_word(t.value);
    }
    for (const Log& log : logs_) {
        mix(hash_value(log.address));
        mix(hash_bytes(log.data.data(), log.data.size()));
        for (const Hash256& topic : log.topics) { mix(hash_bytes(topic.data(), topic.size())); }
    }
    return sum;
}

StateChanges TxState::changes() {
    change_places_.assign(account_count_, detail::IndexTable::none);
    std::vector<uint32_t>& place = change_places_;
    StateChanges out{std::move(spare_accounts_)};
    // Sender, receiver and few more in most.
    constexpr size_t accounts_expected = 4;
    out.accounts.reserve(std::min(account_count_, accounts_expected));
    auto change_of = [&](uint32_t index) -> AccountChange& {
        if (place[index] == detail::IndexTable::none) {
            place[index] = static_cast<uint32_t>(out.accounts.size());
            out.accounts.emplace_back().address = accounts_[index].address;
        }
        return out.accounts[place[index]];
    };
    for (uint32_t i = 0; i < account_count_; ++i) {
        TxAccount& a = accounts_[i];
        if (a.destroyed) {
            change_of(i).destroyed = true;
            continue;
        }
        if (!a.touched && !a.nonce_changed && !a.code_changed && !a.created && a.credit.is_zero() &&
            a.debit.is_zero()) {
            continue;
        }
        AccountChange& c = change_of(i);
        c.touched = true;
        c.storage_wiped = a.created;
        if (a.nonce_changed) { c.nonce = a.nonce; }
        if (a.code_changed) {
            c.code_hash = a.code_hash;
            if (a.code->size() != 0) {
                c.code =
                    std::make_shared<const Bytes>(a.code->bytes().begin(), a.code->bytes().end());
            }
        }
        // Only the net movement matters to others.
        if (a.credit >= a.debit) {
            c.credit = a.credit - a.debit;
        } else {
            c.debit = a.debit - a.credit;
        }
    }
    for (uint32_t i = 0; i < slot_count_; ++i) {
        const TxSlot& s = slots_[i];
        if (!s.known || s.current == s.original || accounts_[s.account].destroyed) { continue; }
        std::vector<StorageWrite>& storage = change_of(s.account).storage;
        if (storage.empty() && !spare_storage_.empty()) {
            storage = std::move(spare_storage_.back());
            spare_storage_.pop_back();
        }
        storage.push_back({s.key, s.current});
    }
    for (AccountChange& c : out.accounts) {
        std::sort(c.storage.begin(), c.storage.end(),
                  [](const auto& x, const auto& y) { return x.key < y.key; });
    }
    std::sort(out.accounts.begin(), out.accounts.end(),
              [](const auto& x, const auto& y) { return x.address < y.address; });
    return out;
}

void TxState::reuse(StateChanges&& changes) {
    constexpr size_t kept_max = 16;
    constexpr size_t kept_entries_max = 256;
    for (AccountChange& c : changes.accounts) {
        const size_t room = c.storage.capacity();
        if (room != 0 && room <= kept_entries_max && spare_storage_.size() < kept_max) {
            c.storage.clear();
            spare_storage_.push_back(std::move(c.storage));
        }
    }
    if (changes.accounts.capacity() <= kept_entries_max) {
        changes.accounts.clear();
        spare_accounts_ = std::move(changes.accounts);
    }
}

}  // namespace millrace::evm
