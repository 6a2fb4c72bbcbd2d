// SPDX-License-Identifier: Apache-2.0
// Owns loading, validation and publication of cells, and the deltas of what was published.
#include "host/sequencer/executor/cells.hpp"

#include <algorithm>
#include <utility>

#include "evm/tx/block.hpp"
#include "host/base/error.hpp"
#include "host/sequencer/executor/commit_mutant.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::sequencer {
namespace {

/// How often a commit looks at a cell that another one has locked before it gives up.
constexpr unsigned lock_rounds_max = 1024;

uint64_t slot_hash(const AccountCells& account, const U256& key) noexcept {
    U256 mixed = key;
    mixed.w[0] ^= account.index_hash;
    mixed.w[3] += account.index_hash;
    return hash_value(mixed);
}

bool nothing_there(uint64_t nonce, const U256& balance, const Hash256& code_hash) noexcept {
    return nonce == 0 && balance.is_zero() && code_hash == evm::empty_code_hash;
}

}  // namespace

bool AccountCells::Merged::is_empty() const noexcept {
    return nothing_there(nonce, balance, code_hash);
}

// --- Cells ---

AccountCells& CellTable::account(const Address& address) {
    const uint64_t hash = hash_value(address);
    const auto matches = [&](const AccountCells& a) { return a.address == address; };
    if (AccountCells* a = accounts_.find(hash, matches)) { return *a; }
    const auto stored = base_->account(address);
    const uint64_t incarnation = base_->incarnation(address);
    bool added = false;
    AccountCells& a = accounts_.find_or_add(
        hash, matches,
        [&](AccountCells& n) {
            n.address = address;
            n.incarnation = incarnation;
            n.merged.nonce = stored ? stored->nonce : 0;
            n.merged.balance = stored ? stored->balance : U256{};
            n.merged.code_hash = stored ? stored->code_hash : evm::empty_code_hash;
            n.nonce.set(n.merged.nonce);
            n.balance.set(n.merged.balance);
            n.code_hash.set(n.merged.code_hash);
        },
        added);
    if (added) { cell_count_.fetch_add(3, std::memory_order_relaxed); }
    return a;
}

SlotCell& CellTable::slot(AccountCells& a, const U256& key) {
    const uint64_t hash = slot_hash(a, key);
    const auto matches = [&](const SlotCell& s) { return s.account == &a && s.key == key; };
    if (SlotCell* s = slots_.find(hash, matches)) { return *s; }
    const U256 stored = base_->slot(a.address, key);
    bool added = false;
    SlotCell& s = slots_.find_or_add(
        hash, matches,
        [&](SlotCell& n) {
            n.account = &a;
            n.key = key;
            n.merged_value = stored;
            n.value.set(stored);
            n.next = a.slots.load(std::memory_order_relaxed);
            // Other shards may be adding slots of the same account.
            while (!a.slots.compare_exchange_weak(n.next, &n, std::memory_order_release,
                                                  std::memory_order_relaxed)) {}
        },
        added);
    if (added) { cell_count_.fetch_add(1, std::memory_order_relaxed); }
    return s;
}

evm::CodePtr CellTable::code(const Hash256& hash) const {
    static const evm::CodePtr none = std::make_shared<const Bytes>();
    if (hash == evm::empty_code_hash) { return none; }
    if (const CodeNode* n = codes_.find(
            hash_value(hash), [&](const CodeNode& other) { return other.hash == hash; })) {
        return n->code;
    }
    evm::CodePtr code = base_->code(hash);
    MILLRACE_ASSERT(code != nullptr, "the store knows the code of every account it holds");
    return code;
}

void CellTable::add_code(const Hash256& hash, const evm::CodePtr& code) {
    bool added = false;
    codes_.find_or_add(
        hash_value(hash), [&](const CodeNode& n) { return n.hash == hash; },
        [&](CodeNode& n) {
            n.hash = hash;
            n.code = code;
        },
        added);
}

bool CellTable::has_storage(const Address& address) {
    for (const SlotCell* s = account(address).slots.load(std::memory_order_acquire); s != nullptr;
         s = s->next) {
        if (!s->value.value().is_zero()) { return true; }
    }
    return base_->has_storage(address);
}

// --- Commits ---

void CellTable::lock_order(const evm::StateChanges& changes, Scratch& scratch) {
    scratch.locks.clear();
    scratch.accounts.clear();
    scratch.slots.clear();
    const auto add = [&](VersionWord& cell) { scratch.locks.push_back({&cell, 0}); };
    for (size_t i = 0; i < changes.accounts.size(); ++i) {
        const evm::AccountChange& c = changes.accounts[i];
        const bool moves = !c.credit.is_zero() || !c.debit.is_zero();
        if (!c.destroyed && !c.nonce && !moves && !c.code_hash && c.storage.empty()) { continue; }
        AccountCells& a = account(c.address);
        scratch.accounts.push_back({&a, i});
        if (c.destroyed || c.nonce) { add(a.nonce.version_word()); }
        if (c.destroyed || moves) { add(a.balance.version_word()); }
        if (c.destroyed || c.code_hash) { add(a.code_hash.version_word()); }
        if (c.destroyed) { continue; }
        for (const evm::StorageWrite& w : c.storage) {
            SlotCell& s = slot(a, w.key);
            scratch.slots.push_back(&s);
            add(s.value.version_word());
        }
    }
    // One order for all, so that no two commits wait for each other.
    std::sort(scratch.locks.begin(), scratch.locks.end(),
              [](const auto& x, const auto& y) { return std::less<>{}(x.cell, y.cell); });
}

bool CellTable::lock_changed(const evm::StateChanges& changes, Scratch& scratch) {
    lock_order(changes, scratch);
    for (size_t i = 0; i < scratch.locks.size(); ++i) {
        Scratch::Lock& l = scratch.locks[i];
        for (Backoff backoff;; backoff.wait()) {
            uint64_t seen = l.cell->load(std::memory_order_relaxed);
            // Acquire: what the last holder published is seen.
            if (!is_locked(seen) &&
                l.cell->compare_exchange_weak(seen, seen | version_lock, std::memory_order_acquire,
                                              std::memory_order_relaxed)) {
                l.before = seen;
                break;
            }
            if (backoff.rounds() >= lock_rounds_max) {
                scratch.locks.resize(i);
                unlock(scratch);
                return false;
            }
        }
    }
    return true;
}

void CellTable::unlock(Scratch& scratch) noexcept {
    for (const Scratch::Lock& l : scratch.locks) {
        l.cell->store(l.before, std::memory_order_release);
    }
    scratch.locks.clear();
}

/// With sequence 0 it tells whether a commit would be in vain, before anything is locked.
Conflict CellTable::validate(const ReadSet& reads, const Scratch& scratch, uint64_t sequence,
                             const ReadSet::Read* environment) noexcept {
    const auto lock_of = [&](const VersionWord* cell) -> const Scratch::Lock* {
        const auto it = std::lower_bound(
            scratch.locks.begin(), scratch.locks.end(), cell,
            [](const auto& l, const VersionWord* c) { return std::less<>{}(l.cell, c); });
        return it != scratch.locks.end() && it->cell == cell ? &*it : nullptr;
    };
    if constexpr (commit_mutant == CommitMutant::no_validation) { return Conflict::none; }
    const auto holds = [&](const ReadSet::Read& r) {
        const uint64_t now = r.cell->load(std::memory_order_acquire);
        if (now == r.version) { return true; }
        if (now != (r.version | version_lock)) { return false; }
        return lock_of(r.cell) != nullptr;
    };
    if (commit_mutant != CommitMutant::no_environment && environment != nullptr &&
        !holds(*environment)) {
        return Conflict::stale_read;
    }
    for (const ReadSet::Read& r : reads.reads) {
        if (!holds(r)) { return Conflict::stale_read; }
    }
    for (const ReadSet::Bound& b : reads.bounds) {
        if constexpr (commit_mutant == CommitMutant::no_bounds) { break; }
        if (lock_of(&b.cell->version_word()) != nullptr) {
            if (b.cell->load() < b.min) { return Conflict::bound_violated; }
            continue;
        }
        const uint64_t before = b.cell->version_word().load(std::memory_order_acquire);
        const U256 balance = b.cell->load();
        const uint64_t after = b.cell->version_word().load(std::memory_order_relaxed);
        const bool settled = before == after && !is_locked(before);
        if (sequence == 0 && !settled) { continue; }  // what moves it now may leave enough
        // A value of a later number says nothing of the place that this commit has in the order.
        const bool later =
            commit_mutant != CommitMutant::bound_of_any_number && sequence_of(before) > sequence;
        if (sequence != 0 && (!settled || later)) { return Conflict::stale_read; }
        if (balance < b.min) { return Conflict::bound_violated; }
    }
    return Conflict::none;
}

CellTable::Commit CellTable::commit(const ReadSet& reads, const evm::StateChanges& changes,
                                    Scratch& scratch, Published& published,
                                    const ReadSet::Read* environment) {
    return commit_as(0, reads, changes, scratch, published, environment);
}

CellTable::Commit CellTable::commit_as(uint64_t sequence, const ReadSet& reads,
                                       const evm::StateChanges& changes, Scratch& scratch,
                                       Published& published, const ReadSet::Read* environment) {
    const auto yield = [&] {
        if (scratch.yield != nullptr) { (*scratch.yield)(); }
    };
    published.clear();
    scratch.locks.clear();
    if (const Conflict c = validate(reads, scratch, 0, environment); c != Conflict::none) {
        return {c, 0};
    }
    yield();
    if constexpr (commit_mutant == CommitMutant::sequence_before_locks) {
        if (sequence == 0) { sequence = take_sequence(); }
        yield();
    }
    if (!lock_changed(changes, scratch)) {
        return {Conflict::locked, commit_mutant == CommitMutant::none ? 0 : sequence};
    }
    yield();
    const uint64_t s = sequence != 0 ? sequence : take_sequence();
    yield();
    if (const Conflict c = validate(reads, scratch, s, environment); c != Conflict::none) {
        unlock(scratch);
        return {c, commit_mutant == CommitMutant::lost_number ? 0 : s};
    }
    yield();
    publish(changes, scratch, s, published);
    return {Conflict::none, s};
}

void CellTable::publish(const evm::StateChanges& changes, Scratch& scratch, uint64_t sequence,
                        Published& published) {
    size_t next_slot = 0;
    for (const Scratch::Account& place : scratch.accounts) {
        const evm::AccountChange& c = changes.accounts[place.change];
        AccountCells& a = *place.cells;
        Published::AccountPost& post = published.accounts.emplace_back();
        post.account = &a;
        if (c.destroyed) {
            // From Cancun on only a contract created in the same transaction is destroyed: nothing
            // of it was ever published, and the address is left as it was, without its balance.
            if (nothing_there(a.nonce.load(), a.balance.load(), a.code_hash.load())) {
                published.accounts.pop_back();
                continue;
            }
            post.nonce = 0;
            post.balance = U256{};
            post.code_hash = evm::empty_code_hash;
        } else {
            post.nonce = c.nonce;
            if (!c.credit.is_zero() || !c.debit.is_zero()) {
                post.balance = a.balance.load() + c.credit - c.debit;
            }
            post.code_hash = c.code_hash;
            if (c.code_hash && c.code != nullptr) {
                post.code = c.code;
                // Before its hash, so that whoever reads the hash finds the code.
                add_code(*c.code_hash, c.code);
            }
            for (const evm::StorageWrite& w : c.storage) {
                SlotCell& s = *scratch.slots[next_slot++];
                s.value.set(w.value);
                published.slots.push_back({&s, w.value});
            }
        }
        if (post.nonce) { a.nonce.set(*post.nonce); }
        if (post.balance) { a.balance.set(*post.balance); }
        if (post.code_hash) { a.code_hash.set(*post.code_hash); }
        if (!post.nonce && !post.balance && !post.code_hash) { published.accounts.pop_back(); }
    }
    for (const Scratch::Lock& l : scratch.locks) {
        // Release: whoever sees the version sees the value.
        l.cell->store(version_of(sequence), std::memory_order_release);
    }
    scratch.locks.clear();
}

uint64_t CellTable::close_environment(VersionWord& environment) noexcept {
    uint64_t border = 0;
    if constexpr (commit_mutant == CommitMutant::number_before_border) { border = take_sequence(); }
    environment.fetch_or(version_lock, std::memory_order_seq_cst);
    return border != 0 ? border : take_sequence();
}

// --- Merging ---

void CellTable::mark(AccountCells& a) {
    if (!a.merged.dirty) {
        a.merged.dirty = true;
        dirty_accounts_.push_back(&a);
    }
}

void CellTable::mark(SlotCell& s) {
    if (!s.merged_dirty) {
        s.merged_dirty = true;
        dirty_slots_.push_back(&s);
    }
}

void CellTable::name_code(const Hash256& hash, const evm::CodePtr& code) {
    new_code_bytes_ += code->size();
    new_codes_.push_back(hash);
}

void CellTable::merge(const Published& published) {
    for (const Published::AccountPost& p : published.accounts) {
        AccountCells& a = *p.account;
        if (p.nonce) { a.merged.nonce = *p.nonce; }
        if (p.balance) { a.merged.balance = *p.balance; }
        if (p.code_hash) { a.merged.code_hash = *p.code_hash; }
        mark(a);
        if (p.code != nullptr && deployed_.insert(*p.code_hash).second) {
            name_code(*p.code_hash, p.code);
        }
    }
    for (const Published::SlotPost& p : published.slots) {
        p.slot->merged_value = p.value;
        mark(*p.slot);
    }
}

Conflict CellTable::commit_alone(const ReadSet& reads, const evm::StateChanges& changes) {
    const Conflict conflict = publish_alone(reads, changes, published_);
    if (conflict == Conflict::none) { merge(published_); }
    return conflict;
}

Conflict CellTable::publish_alone(const ReadSet& reads, const evm::StateChanges& changes,
                                  Published& published) {
    return commit_as(given_sequence_, reads, changes, scratch_, published, nullptr).conflict;
}

Conflict CellTable::commit_opening(const ReadSet& reads, const evm::StateChanges& changes) {
    const uint64_t given = std::exchange(given_sequence_, opening_sequence_);
    const Conflict c = commit_alone(reads, changes);
    given_sequence_ = given;
    return c;
}

void CellTable::forget_changes() noexcept {
    for (AccountCells* a : dirty_accounts_) { a->merged.dirty = false; }
    for (SlotCell* s : dirty_slots_) { s->merged_dirty = false; }
    dirty_accounts_.clear();
    dirty_slots_.clear();
    new_codes_.clear();
    new_code_bytes_ = 0;
}

namespace {
// About what each takes in an encoded delta.
constexpr size_t account_delta_bytes = 130;
constexpr size_t slot_delta_bytes = 20 + 32 + 32;
constexpr size_t code_delta_bytes = 32 + 4;
}  // namespace

size_t CellTable::delta_bytes_of(const Published& published) noexcept {
    size_t n =
        published.accounts.size() * account_delta_bytes + published.slots.size() * slot_delta_bytes;
    for (const Published::AccountPost& p : published.accounts) {
        if (p.code != nullptr) { n += code_delta_bytes + p.code->size(); }
    }
    return n;
}

size_t CellTable::dirty_bytes() const noexcept {
    return dirty_accounts_.size() * account_delta_bytes + dirty_slots_.size() * slot_delta_bytes +
           new_codes_.size() * code_delta_bytes + new_code_bytes_;
}

storage::StateDelta CellTable::take_delta() {
    storage::StateDelta d;
    d.accounts.reserve(dirty_accounts_.size());
    for (const AccountCells* a : dirty_accounts_) {
        storage::AccountDelta& out = d.accounts.emplace_back();
        out.address = a->address;
        out.incarnation = a->incarnation;
        // EIP-161: an account that has become empty does not exist.
        if (a->merged.is_empty()) {
            out.deleted = true;
            continue;
        }
        out.nonce = a->merged.nonce;
        out.balance = a->merged.balance;
        out.code_hash = a->merged.code_hash;
    }
    d.slots.reserve(dirty_slots_.size());
    for (const SlotCell* s : dirty_slots_) {
        d.slots.push_back({s->account->address, s->key, s->merged_value});
    }
    std::sort(new_codes_.begin(), new_codes_.end());
    new_codes_.erase(std::unique(new_codes_.begin(), new_codes_.end()), new_codes_.end());
    for (const Hash256& hash : new_codes_) { d.codes.push_back({hash, code(hash)}); }
    forget_changes();
    d.sort();
    return d;
}

// --- Edits ---

void CellTable::edit(const Address& address, const std::function<void(evm::AccountChange&)>& fill) {
    evm::StateChanges changes;
    changes.accounts.emplace_back().address = address;
    fill(changes.accounts.back());
    const Conflict conflict = commit_alone({}, changes);
    MILLRACE_ASSERT(conflict == Conflict::none, "edits are made at rest");
    mark(account(address));  // also where the value was that already
}

void CellTable::set_balance(const Address& address, const U256& balance) {
    const U256 now = account(address).balance.value();
    edit(address, [&](evm::AccountChange& c) {
        if (balance >= now) {
            c.credit = balance - now;
        } else {
            c.debit = now - balance;
        }
    });
}

void CellTable::set_nonce(const Address& address, uint64_t nonce) {
    edit(address, [&](evm::AccountChange& c) { c.nonce = nonce; });
}

void CellTable::set_code(const Address& address, Bytes code) {
    const Hash256 hash = code.empty() ? evm::empty_code_hash : kernels::keccak256(code);
    evm::CodePtr shared;
    if (!code.empty()) {
        shared = std::make_shared<const Bytes>(std::move(code));
        add_code(hash, shared);
    }
    edit(address, [&](evm::AccountChange& c) { c.code_hash = hash; });
    // Whatever transactions deployed: an edit is a record of its own, and a refused one leaves
    // none.
    if (shared != nullptr) { name_code(hash, shared); }
}

void CellTable::set_storage(const Address& address, const U256& key, const U256& value) {
    SlotCell& s = slot(account(address), key);
    evm::StateChanges changes;
    changes.accounts.emplace_back().address = address;
    changes.accounts.back().storage.push_back({key, value});
    const Conflict conflict = commit_alone({}, changes);
    MILLRACE_ASSERT(conflict == Conflict::none, "edits are made at rest");
    mark(s);
}

std::optional<Address> CellTable::account_with_stray_storage() const {
    for (const SlotCell* s : dirty_slots_) {
        if (s->account->merged.is_empty() && !s->merged_value.is_zero()) {
            return s->account->address;
        }
    }
    return std::nullopt;
}

// --- The store below ---

void CellTable::rebase(std::shared_ptr<const storage::StateSnapshot> base, size_t cells_max) {
    MILLRACE_ASSERT(dirty_accounts_.empty() && dirty_slots_.empty(),
                    "a table is rebased only when all is committed");
    base_ = std::move(base);
    if (cell_count() > cells_max) {
        fulfil();  // who asked for it is gone with its cell
        accounts_.clear();
        slots_.clear();
        codes_.clear();
        cell_count_.store(0, std::memory_order_relaxed);
    }
}

void CellTable::reset(std::shared_ptr<const storage::StateSnapshot> base) {
    forget_changes();
    cell_count_.store(1, std::memory_order_relaxed);  // however few there are, all are forgotten
    rebase(std::move(base), 0);
}

// --- Views ---

AccountCells& CellView::account(const Address& address) {
    if (last_ == nullptr || last_->address != address) { last_ = &cells_.account(address); }
    return *last_;
}

template <class T>
T CellView::read(const Cell<T>& cell, CellKind kind) {
    uint64_t version = 0;
    const T v = cell.read(version);
    reads_.reads.push_back({&cell.version_word(), version, kind});
    return v;
}

bool CellView::account_exists(const Address& address) {
    return nonce(address) != 0 || code_hash(address) != evm::empty_code_hash ||
           !balance(address).is_zero();
}

uint64_t CellView::nonce(const Address& address) {
    return read(account(address).nonce, CellKind::nonce);
}

U256 CellView::balance(const Address& address) {
    return read(account(address).balance, CellKind::balance);
}

bool CellView::balance_at_least(const Address& address, const U256& min) {
    const Cell<U256>& c = account(address).balance;
    uint64_t version = 0;
    if (c.read(version) < min) {
        reads_.reads.push_back({&c.version_word(), version, CellKind::balance});
        return false;
    }
    reads_.bounds.push_back({&c, min});
    return true;
}

Hash256 CellView::code_hash(const Address& address) {
    return read(account(address).code_hash, CellKind::code_hash);
}

U256 CellView::storage(const Address& address, const U256& key) {
    const SlotCell& s = cells_.slot(account(address), key);
    // Before the value: without a promise it is the one that was promised.
    if (cells_.is_promised(s)) { awaits_parent_ = true; }
    return read(s.value, CellKind::slot);
}

}  // namespace millrace::sequencer
