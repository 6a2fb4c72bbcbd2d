// SPDX-License-Identifier: Apache-2.0
// Owns publication to readers, and the stored form of blocks.
#include "host/sequencer/chain_view.hpp"

#include <algorithm>
#include <mutex>

#include <boost/unordered/unordered_flat_map.hpp>

#include "evm/core/transition.hpp"
#include "host/base/rlp.hpp"

namespace millrace::sequencer {
namespace {
constexpr size_t recent_blocks_max = 128;
constexpr size_t recent_bytes_max = size_t{256} << 20;  // but never less than one block
constexpr size_t older_blocks_max = 16;
constexpr size_t older_bytes_max = size_t{64} << 20;  // but never less than one block
constexpr size_t versions_max = 1 << 20;

/// About the memory that a block takes.
size_t memory_bytes(const SealedBlock& block) noexcept {
    size_t n = 1024;
    for (const ExecutedPtr& t : block.transactions) {
        n += 1024 + 2 * t->admitted->raw.size();
        for (const evm::Log& l : t->receipt.logs) {
            n += sizeof(evm::Log) + l.data.size();
        }
    }
    return n;
}
}  // namespace

SealedPtr ChainView::head() const {
    const std::shared_lock lock(mutex_);
    return head_;
}

std::optional<OpenBlockView> ChainView::open_block() const {
    const std::shared_lock lock(mutex_);
    const std::optional<Unsealed>& newest = open_ ? open_ : closed_;
    return newest ? std::optional{newest->view} : std::nullopt;
}

std::vector<OpenBlockView> ChainView::unsealed_blocks() const {
    std::vector<OpenBlockView> out;
    const std::shared_lock lock(mutex_);
    if (closed_) { out.push_back(closed_->view); }
    if (open_) { out.push_back(open_->view); }
    return out;
}

Result<SealedPtr> ChainView::sealed(uint64_t number) const {
    {
        const std::shared_lock lock(mutex_);
        if (number == genesis_->header.number) { return genesis_; }
        if (number > head_->header.number) { return SealedPtr{}; }
        if (!recent_.empty() && number >= recent_.front().block->header.number) {
            return recent_[number - recent_.front().block->header.number].block;
        }
    }
    return older(number);
}

Result<SealedPtr> ChainView::older(uint64_t number) const {
    // A revert may have put another one in its place.
    const auto hash = chain_.hash_of(number);
    if (!hash) { return SealedPtr{}; }
    {
        const std::lock_guard lock(older_mutex_);
        const auto it =
            std::ranges::find_if(older_, [&](const Recent& r) { return r.block->hash == *hash; });
        if (it != older_.end()) {
            std::rotate(it, it + 1, older_.end());
            return older_.back().block;
        }
    }
    auto stored = chain_.block(number);
    if (!stored) {
        if (stored.error().code == ErrorCode::not_found) { return SealedPtr{}; }
        return std::unexpected(stored.error());
    }
    MILLRACE_TRY(const SealedPtr block, from_stored(**stored));
    const std::lock_guard lock(older_mutex_);
    older_.push_back({block, memory_bytes(*block)});
    older_bytes_ += older_.back().bytes;
    while (older_.size() > older_blocks_max ||
           (older_.size() > 1 && older_bytes_ > older_bytes_max)) {
        older_bytes_ -= older_.front().bytes;
        older_.pop_front();
    }
    return block;
}

Result<SealedPtr> ChainView::sealed(const Hash256& hash) const {
    {
        const std::shared_lock lock(mutex_);
        if (hash == genesis_->hash) { return genesis_; }
        for (const Recent& r : recent_) {
            if (r.block->hash == hash) { return r.block; }
        }
    }
    const auto number = chain_.number_of(hash);
    if (!number) { return SealedPtr{}; }
    return sealed(*number);
}

struct ChainView::Unsealed::Transactions : boost::unordered_flat_map<Hash256, ExecutedPtr> {};

LocatedTransaction ChainView::Unsealed::locate(const ExecutedPtr& t) const {
    return {t, view.open.number, Hash256{}, view.open.timestamp_s, view.open.base_fee_per_gas};
}

/// Under the lock.
std::optional<LocatedTransaction> ChainView::find_unsealed(const Hash256& hash) const {
    for (const std::optional<Unsealed>* block : {&open_, &closed_}) {
        if (!*block) { continue; }
        const auto it = (*block)->transactions->find(hash);
        if (it != (*block)->transactions->end()) { return (*block)->locate(it->second); }
    }
    return std::nullopt;
}

std::optional<LocatedTransaction> ChainView::find_sealed(const Hash256& hash) const {
    const auto place = chain_.find_transaction(hash);
    if (!place) { return std::nullopt; }
    const auto block = sealed(place->block_number);
    if (!block || *block == nullptr || place->index >= (*block)->transactions.size()) {
        return std::nullopt;
    }
    const SealedBlock& b = **block;
    return LocatedTransaction{b.transactions[place->index], b.header.number, b.hash,
                              b.header.timestamp, b.header.base_fee_per_gas.value_or(U256{})};
}

std::optional<LocatedTransaction> ChainView::find_transaction(const Hash256& hash) const {
    {
        const std::shared_lock lock(mutex_);
        if (auto found = find_unsealed(hash)) { return found; }
    }
    // A block sealed in between is in the store before it leaves those that are not.
    return find_sealed(hash);
}

Result<std::shared_ptr<const storage::StateSnapshot>>
ChainView::state_after(uint64_t number) const {
    uint64_t version = 0;
    {
        const std::shared_lock lock(mutex_);
        if (versions_.empty() || number < versions_.front().first ||
            number > versions_.back().first) {
            return fail(ErrorCode::unavailable,
                        "state of block " + std::to_string(number) +
                            " is not kept; the history begins at block " +
                            std::to_string(versions_.empty() ? 0 : versions_.front().first));
        }
        version = versions_[number - versions_.front().first].second;
    }
    return state_.snapshot_at(version);
}

uint64_t ChainView::watch(const Hash256& hash, Watcher done) {
    std::optional<LocatedTransaction> found;
    {
        const std::unique_lock lock(mutex_);
        found = find_unsealed(hash);
        if (!found && !chain_.find_transaction(hash)) {
            const uint64_t id = next_watch_++;
            watches_.emplace(hash, Watch{id, std::move(done)});
            watched_.emplace(id, hash);
            return id;
        }
    }
    if (!found) { found = find_sealed(hash); }
    if (found) { done(&*found, {}); }
    return 0;
}

void ChainView::unwatch(uint64_t id) {
    if (id == 0) { return; }
    const std::unique_lock lock(mutex_);
    const auto watched = watched_.find(id);
    if (watched == watched_.end()) { return; }
    const auto [first, last] = watches_.equal_range(watched->second);
    watches_.erase(std::find_if(first, last, [&](const auto& w) { return w.second.id == id; }));
    watched_.erase(watched);
}

void ChainView::give_up(const Hash256& hash, std::string_view reason) {
    std::vector<Watcher> ended;
    {
        const std::unique_lock lock(mutex_);
        auto [first, last] = watches_.equal_range(hash);
        for (auto it = first; it != last; ++it) {
            ended.push_back(std::move(it->second.done));
            watched_.erase(it->second.id);
        }
        watches_.erase(first, last);
    }
    for (Watcher& done : ended) { done(nullptr, reason); }
}

size_t ChainView::watcher_count() const {
    const std::shared_lock lock(mutex_);
    return watches_.size();
}

void ChainView::add_observer(ChainObserver* observer) {
    const std::unique_lock lock(observers_mutex_);
    observers_.push_back(observer);
}

void ChainView::remove_observer(ChainObserver* observer) {
    const std::unique_lock lock(observers_mutex_);
    std::erase(observers_, observer);
}

std::vector<SealedPtr> ChainView::push_recent(const SealedPtr& block, size_t bytes) {
    std::vector<SealedPtr> left;
    recent_.push_back({block, bytes});
    recent_bytes_ += bytes;
    while (recent_.size() > 1 &&
           (recent_.size() > recent_blocks_max || recent_bytes_ > recent_bytes_max)) {
        recent_bytes_ -= recent_.front().bytes;
        left.push_back(std::move(recent_.front().block));
        recent_.pop_front();
    }
    return left;
}

void ChainView::publish_genesis(const SealedPtr& genesis, uint64_t state_version) {
    const std::unique_lock lock(mutex_);
    genesis_ = genesis;
    head_ = genesis;
    recent_.clear();
    recent_bytes_ = 0;
    push_recent(genesis, memory_bytes(*genesis));
    if (versions_.empty()) { versions_.emplace_back(genesis->header.number, state_version); }
}

void ChainView::restore_head(const SealedPtr& head) {
    const std::unique_lock lock(mutex_);
    head_ = head;
    recent_.clear();
    recent_bytes_ = 0;
    push_recent(head, memory_bytes(*head));
}

void ChainView::restore_version(uint64_t block_number, uint64_t state_version) {
    const std::unique_lock lock(mutex_);
    while (!versions_.empty() && versions_.back().first >= block_number) {
        versions_.pop_back();
    }  // undone by a revert
    if (!versions_.empty() && versions_.back().first + 1 != block_number) { versions_.clear(); }
    versions_.emplace_back(block_number, state_version);
}

void ChainView::publish_open(const OpenBlock& open) {
    const std::unique_lock lock(mutex_);
    open_.emplace();
    open_->view.open = open;
    open_->transactions = std::make_shared<Unsealed::Transactions>();
}

void ChainView::publish_closed() {
    const std::unique_lock lock(mutex_);
    closed_ = std::move(open_);
    open_.reset();
}

void ChainView::publish_mini_block(const MiniBlockPtr& mini_block) {
    std::vector<std::pair<Watcher, LocatedTransaction>> ready;
    {
        const std::unique_lock lock(mutex_);
        open_->view.mini_blocks.push_back(mini_block);
        for (const ExecutedPtr& t : mini_block->transactions) {
            (*open_->transactions)[t->admitted->hash] = t;
            if (watches_.empty()) { continue; }
            auto [first, last] = watches_.equal_range(t->admitted->hash);
            for (auto it = first; it != last; ++it) {
                ready.emplace_back(std::move(it->second.done), open_->locate(t));
                watched_.erase(it->second.id);
            }
            watches_.erase(first, last);
        }
    }
    for (auto& [done, located] : ready) { done(&located, {}); }
    const std::shared_lock lock(observers_mutex_);
    for (ChainObserver* o : observers_) { o->on_mini_block(mini_block); }
}

void ChainView::publish_sealed(const SealedPtr& block, uint64_t state_version) {
    const size_t bytes = memory_bytes(*block);
    // Destroyed after the lock: they are large.
    std::optional<Unsealed> done;
    std::vector<SealedPtr> left;
    {
        const std::unique_lock lock(mutex_);
        head_ = block;
        left = push_recent(block, bytes);
        versions_.emplace_back(block->header.number, state_version);
        if (versions_.size() > versions_max) { versions_.pop_front(); }
        std::swap(done, closed_);
        if (open_ && open_->view.open.parent_promised) {
            open_->view.open.parent_hash = block->hash;
            open_->view.open.parent_promised = false;
        }
    }
    const std::shared_lock lock(observers_mutex_);
    for (ChainObserver* o : observers_) { o->on_sealed(block); }
}

void ChainView::publish_reverted(const SealedPtr& last_kept, uint64_t state_version,
                                 const std::vector<SealedPtr>& undone) {
    std::vector<MiniBlockPtr> open;
    {
        const std::unique_lock lock(mutex_);
        if (open_) { open = std::move(open_->view.mini_blocks); }
        open_.reset();
        head_ = last_kept;
        while (!recent_.empty() && recent_.back().block->header.number > last_kept->header.number) {
            recent_bytes_ -= recent_.back().bytes;
            recent_.pop_back();
        }
        if (recent_.empty()) { push_recent(last_kept, memory_bytes(*last_kept)); }
        while (!versions_.empty() && versions_.back().first >= last_kept->header.number) {
            versions_.pop_back();
        }
        versions_.emplace_back(last_kept->header.number, state_version);
    }
    const std::shared_lock lock(observers_mutex_);
    for (ChainObserver* o : observers_) { o->on_reverted(last_kept->header.number, undone, open); }
}

std::vector<ByteView> store_transactions(const std::vector<ExecutedPtr>& transactions,
                                         storage::StoredBlock& s) {
    // A list's header, the receipt's, sender, gas used and created contract take less.
    constexpr size_t rest_bytes = 9 + 9 + 21 + 9 + 21;
    size_t raw_bytes = 0;
    size_t receipt_bytes = 0;
    std::vector<size_t> sizes;
    sizes.reserve(transactions.size());
    for (const ExecutedPtr& t : transactions) {
        raw_bytes += t->admitted->raw.size();
        sizes.push_back(evm::encoded_receipt_bytes(t->receipt));
        receipt_bytes += sizes.back() + rest_bytes;
    }
    s.transactions.reserve(transactions.size(), raw_bytes);
    s.transaction_hashes.reserve(transactions.size());
    s.receipts.reserve(transactions.size(), receipt_bytes);
    std::vector<ByteView> receipts;
    receipts.reserve(transactions.size());
    Bytes before;
    Bytes after;
    for (size_t i = 0; i < transactions.size(); ++i) {
        const ExecutedTransaction& t = *transactions[i];
        s.transactions.push_back(t.admitted->raw);
        s.transaction_hashes.push_back(t.admitted->hash);
        // [receipt, sender, gas used, created contract or empty]; the rest follows from the block.
        before.clear();
        rlp::append_string_header(before, sizes[i]);
        after.clear();
        rlp::append_fixed(after, t.admitted->sender);
        rlp::append_u64(after, t.gas_used);
        rlp::append_bytes(after, t.contract_address ? t.contract_address->view() : ByteView{});
        s.receipts.append([&](Bytes& out) {
            rlp::append_list_header(out, before.size() + sizes[i] + after.size());
            out.insert(out.end(), before.begin(), before.end());
            evm::append_receipt(out, t.receipt);
            out.insert(out.end(), after.begin(), after.end());
        });
        const ByteView stored = s.receipts[i];
        receipts.push_back(stored.subspan(stored.size() - after.size() - sizes[i], sizes[i]));
    }
    return receipts;
}

void store_header(const SealedBlock& block, storage::StoredBlock& s) {
    s.number = block.header.number;
    s.hash = block.hash;
    s.header = evm::encode_header(block.header);
    s.mini_block_ends = block.mini_block_ends;
    s.first_mini_block_number = block.first_mini_block_number;
}

Result<SealedPtr> from_stored(const storage::StoredBlock& stored) {
    auto b = std::make_shared<SealedBlock>();
    MILLRACE_TRY(b->header, evm::decode_header(stored.header));
    b->hash = stored.hash;
    b->mini_block_ends = stored.mini_block_ends;
    b->first_mini_block_number = stored.first_mini_block_number;
    uint64_t log_index = 0;
    const U256 base_fee = b->header.base_fee_per_gas.value_or(U256{});
    for (size_t i = 0; i < stored.transactions.size(); ++i) {
        auto admitted = std::make_shared<AdmittedTransaction>();
        MILLRACE_TRY(admitted->transaction, evm::decode_transaction(stored.transactions[i]));
        const ByteView raw = stored.transactions[i];
        admitted->raw.assign(raw.begin(), raw.end());
        admitted->hash = stored.transaction_hashes[i];
        auto t = std::make_shared<ExecutedTransaction>();
        MILLRACE_TRY(rlp::Reader r, rlp::read_list(stored.receipts[i]));
        MILLRACE_TRY(const ByteView receipt_bytes, r.bytes());
        MILLRACE_TRY(evm::Receipt receipt, evm::decode_receipt(receipt_bytes));
        MILLRACE_TRY(admitted->sender, r.address());
        MILLRACE_TRY(t->gas_used, r.u64());
        MILLRACE_TRY(const ByteView created, r.bytes());
        MILLRACE_CHECK(r.end());
        if (!created.empty()) { t->contract_address = Address::from(created); }
        t->effective_gas_price = evm::effective_gas_price(admitted->transaction, base_fee);
        t->index = i;
        t->first_log_index = log_index;
        log_index += receipt.logs.size();
        t->receipt = std::move(receipt);
        t->admitted = std::move(admitted);
        b->transactions.push_back(std::move(t));
    }
    return b;
}

}  // namespace millrace::sequencer
