// SPDX-License-Identifier: Apache-2.0
// Owns noting reads and writes by cell, and handing them to the builder of the access list.
#include "host/sequencer/executor/access_log.hpp"

#include <span>

namespace millrace::sequencer {
namespace {

// What an entry takes in the encoding at most (net/sync/access_codec.hpp), with the dependency that
// it may bring about.
constexpr size_t header_bytes = 256;
constexpr size_t position_bytes = 3;
constexpr size_t transaction_bytes = 10 + position_bytes;
constexpr size_t account_bytes = 20 + 1 + 5 * 5 + position_bytes;
constexpr size_t slot_bytes = 33 + 2 * position_bytes;
constexpr size_t account_write_bytes = account_bytes + 3 * position_bytes + 10 + 33 + 5;
constexpr size_t slot_write_bytes = slot_bytes + position_bytes + 33;
/// What it makes no sense to keep for the next mini-block: few are as large.
constexpr size_t kept_entries = size_t{1} << 17;

uint8_t field_of(CellKind kind) noexcept {
    switch (kind) {
        case CellKind::nonce: return sync::field_nonce;
        case CellKind::balance: return sync::field_balance;
        default: return sync::field_code;
    }
}

template <class T>
void empty(std::vector<T>& list) {
    list.clear();
    if (list.capacity() > kept_entries) { list = {}; }
}

template <class T>
std::span<const T> part(const std::vector<T>& list, size_t begin, size_t end) noexcept {
    return {list.data() + begin, end - begin};
}

}  // namespace

void AccessLog::begin(const OpenBlock& block, uint64_t first_transaction_index,
                      uint64_t gas_used_before) {
    empty(transactions_);
    empty(reads_);
    empty(slot_reads_);
    empty(writes_);
    empty(slot_writes_);
    code_bytes_ = 0;
    header_ = {};
    header_.first_transaction_index = first_transaction_index;
    header_.gas_used_before = gas_used_before;
    sync::AccessEnvironment& e = header_.environment;
    e.block_number = block.number;
    e.timestamp_s = block.timestamp_s;
    e.gas_limit = block.gas_limit;
    e.base_fee_per_gas = block.base_fee_per_gas;
    e.coinbase = block.coinbase;
    e.prev_randao = block.prev_randao;
}

void AccessLog::note_read(const AccountCells& account, uint8_t fields) {
    if (last_read_ != &account) {
        reads_.push_back({account.address, 0});
        last_read_ = &account;
    }
    reads_.back().fields |= fields;
}

void AccessLog::add(uint64_t gas_used, bool success, const ReadSet& reads,
                    const Published& published) {
    last_read_ = nullptr;
    for (const ReadSet::Read& r : reads.reads) {
        if (r.kind == CellKind::slot) {
            const SlotCell& s = SlotCell::of(r.cell);
            slot_reads_.push_back({s.account->address, s.key});
        } else {
            note_read(AccountCells::of(r.cell, r.kind), field_of(r.kind));
        }
    }
    for (const ReadSet::Bound& b : reads.bounds) {
        note_read(AccountCells::of(&b.cell->version_word(), CellKind::balance),
                  sync::AccountRead::bounded);
    }
    for (const Published::AccountPost& p : published.accounts) {
        const AccountCells::Merged& before = p.account->merged;
        sync::AccountWrite w;
        if (p.nonce && *p.nonce != before.nonce) { w.nonce = p.nonce; }
        if (p.balance && *p.balance != before.balance) { w.balance = p.balance; }
        if (p.code_hash && *p.code_hash != before.code_hash) {
            w.code_changed = true;
            w.code = p.code;
            code_bytes_ += p.code == nullptr ? 0 : p.code->size();
        }
        if (!w.nonce && !w.balance && !w.code_changed) { continue; }
        w.address = p.account->address;
        writes_.push_back(std::move(w));
    }
    for (const Published::SlotPost& p : published.slots) {
        if (p.value == p.slot->merged_value) { continue; }
        slot_writes_.push_back({p.slot->account->address, p.slot->key, p.value});
    }
    transactions_.push_back({gas_used, success, reads_.size(), slot_reads_.size(), writes_.size(),
                             slot_writes_.size()});
}

size_t AccessLog::bytes() const noexcept {
    if (transactions_.empty()) { return 0; }
    return header_bytes + transactions_.size() * transaction_bytes + reads_.size() * account_bytes +
           slot_reads_.size() * (account_bytes + slot_bytes) +
           writes_.size() * account_write_bytes +
           slot_writes_.size() * (account_bytes + slot_write_bytes) + code_bytes_;
}

size_t AccessLog::bytes_of(const ReadSet& reads, const Published& published) noexcept {
    constexpr size_t read_bytes = account_bytes + slot_bytes;
    size_t n = header_bytes + transaction_bytes +
               (reads.reads.size() + reads.bounds.size()) * read_bytes +
               published.accounts.size() * account_write_bytes +
               published.slots.size() * (account_bytes + slot_write_bytes);
    for (const Published::AccountPost& p : published.accounts) {
        if (p.code != nullptr) { n += p.code->size(); }
    }
    return n;
}

void AccessLog::make(uint64_t mini_block_number, const Hash256& transactions_digest,
                     const Hash256& receipts_digest, sync::AccessBuilder& builder,
                     sync::MiniBlockAccess& out) const {
    Transaction before;
    for (const Transaction& t : transactions_) {
        builder.add({t.gas_used, t.success, part(reads_, before.reads_end, t.reads_end),
                     part(slot_reads_, before.slot_reads_end, t.slot_reads_end),
                     part(writes_, before.writes_end, t.writes_end),
                     part(slot_writes_, before.slot_writes_end, t.slot_writes_end)});
        before = t;
    }
    sync::AccessHeader header = header_;
    header.mini_block_number = mini_block_number;
    header.transactions_digest = transactions_digest;
    header.receipts_digest = receipts_digest;
    builder.finish(header, out);
}

AccessLogPtr AccessLogPool::take() {
    constexpr size_t unused_max = 8;
    std::unique_ptr<AccessLog> log;
    {
        const std::lock_guard lock{unused_->mutex};
        if (!unused_->logs.empty()) {
            log = std::move(unused_->logs.back());
            unused_->logs.pop_back();
        }
    }
    if (log == nullptr) { log = std::make_unique<AccessLog>(); }
    return {log.release(), [unused = unused_](AccessLog* l) {
                std::unique_ptr<AccessLog> back{l};
                const std::lock_guard lock{unused->mutex};
                if (unused->logs.size() < unused_max) { unused->logs.push_back(std::move(back)); }
            }};
}

}  // namespace millrace::sequencer
