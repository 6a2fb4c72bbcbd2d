// SPDX-License-Identifier: Apache-2.0
// Owns reading from snapshots, and how the engine makes and frees them.
#include <algorithm>
#include <string>
#include <type_traits>

#include "storage/qmdb/detail/engine_impl.hpp"

namespace millrace::storage::qmdb::detail {

template <class Read>
auto SnapshotImpl::answer(Read&& read) const
    -> std::invoke_result_t<Read, StateReader&, EntryReader&> {
    const auto revoked = [this] {
        return fail(ErrorCode::conflict, "block " + std::to_string(pin_->height) +
                                             " of the snapshot was taken back; take another one");
    };
    // Spares the reads; the look that counts is the one after them.
    if (pin_->revoked.load(std::memory_order_seq_cst)) { return revoked(); }
    EntryReader entries{parts_.log, parts_.directory, nullptr};
    StateReader reader{indexes(), parts_.forest, entries, parts_.backend, pin_->height};
    auto out = read(reader, entries);
    if (pin_->revoked.load(std::memory_order_seq_cst)) { return revoked(); }
    return out;
}

StateReader::Indexes SnapshotImpl::indexes() const noexcept {
    StateReader::Indexes out;
    for (unsigned shard = 0; shard < shard_count; ++shard) { out[shard] = &parts_.indexes[shard]; }
    return out;
}

Result<std::optional<Bytes>> SnapshotImpl::get(const Hash256& key) const {
    return answer([&](StateReader& reader, EntryReader&) { return reader.get(key); });
}

Result<std::optional<Bytes>> SnapshotImpl::get_at(const Hash256& key, uint64_t height) const {
    uint64_t unlimited = ~uint64_t{0};
    return get_at(key, height, unlimited);
}

Result<std::optional<Bytes>> SnapshotImpl::get_at(const Hash256& key, uint64_t height,
                                                  uint64_t& budget) const {
    return answer([&](StateReader& reader, EntryReader&) {
        return reader.get_at(parts_.list, key, height, budget);
    });
}

Result<StateProof> SnapshotImpl::prove(const Hash256& key) const {
    return answer([&](StateReader& reader, EntryReader&) { return reader.prove(key); });
}

Result<StateMultiproof> SnapshotImpl::prove(std::span<const Hash256> keys) const {
    return answer([&](StateReader& reader, EntryReader&) { return reader.prove(keys); });
}

Result<StateProof> SnapshotImpl::prove_at(const Hash256& key, uint64_t height) const {
    return prove_past<StateProof>(key, height);
}

Result<StateMultiproof> SnapshotImpl::prove_at(std::span<const Hash256> keys,
                                               uint64_t height) const {
    return prove_past<StateMultiproof>(keys, height);
}

template <class Proof, class Asked>
Result<Proof> SnapshotImpl::prove_past(const Asked& asked, uint64_t height) const {
    return answer([&](StateReader& reader, EntryReader& entries) -> Result<Proof> {
        MILLRACE_TRY(const size_t count, parts_.list.count_kept(height, pin_->height));
        if (count == parts_.list.blocks.size()) { return reader.prove(asked); }
        if (count == 0) { return fail(ErrorCode::not_found, "there is no state before a block"); }
        MILLRACE_TRY(const auto tree, past_tree(count));
        PastReader past{*tree, indexes(), parts_.forest, entries};
        const ForestView& forest = parts_.forest;
        return Prover{past, entries, forest.hash(), forest.nulls(), parts_.backend}.prove(asked);
    });
}

/// The tree after the first `count` blocks, made at most once as long as few others are asked for.
Result<std::shared_ptr<const PastTree>> SnapshotImpl::past_tree(size_t count) const {
    if (PastTree::log_bytes(parts_.list, count) > parts_.past_proof_bytes_max) {
        return fail(ErrorCode::limit, "too much has changed since for a proof: more than " +
                                          std::to_string(parts_.past_proof_bytes_max >> 20) +
                                          " MiB of the log lie between; ask for a newer state");
    }
    const std::scoped_lock lock{past_mutex_};
    const auto known = std::ranges::find(past_, count, &Past::count);
    if (known != past_.end()) {
        std::rotate(past_.begin(), known, known + 1);
        return past_.front().tree;
    }
    if (past_.size() == past_trees_max) { past_.pop_back(); }
    MILLRACE_TRY(auto tree, PastTree::make({parts_.forest, parts_.directory, parts_.log,
                                            parts_.list, parts_.backend},
                                           count));
    past_.insert(past_.begin(), {count, tree});
    return tree;
}

Result<std::shared_ptr<const StateSnapshot>> EngineImpl::snapshot() {
    if (failed_) { return std::unexpected(*failed_); }
    if (waits_ || cut_waits_) {
        return fail(ErrorCode::conflict,
                    "a block waits for its commit or rollback; take the snapshot after it");
    }
    if (height_ == 0) { return fail(ErrorCode::not_found, "there is no state before a block"); }
    if (auto last = last_snapshot_.lock();
        last != nullptr && last->height() == height_ && last->root() == root_) {
        return last;
    }
    auto pin = std::make_shared<Pin>();
    pin->epoch = epochs_.current++;
    pin->height = height_;
    // Readers do not wait for their turn on a device, nor make the engine wait for its own.
    const kernels::Backend backend =
        options_.backend == kernels::Backend::cuda ? kernels::Backend::simd : options_.backend;
    SnapshotImpl::Parts parts{
        {}, forest_, directory_, *log_, list_, backend, options_.past_proof_bytes_max, root_};
    pin->view_bytes = forest_.view_bytes();
    for (const auto& index : indexes_) {
        parts.indexes.push_back(*index);
        pin->view_bytes += index->view_bytes();
    }
    auto out = std::make_shared<const SnapshotImpl>(std::move(parts), pin);
    pins_.push_back(std::move(pin));
    last_snapshot_ = out;
    set_epochs();
    return out;
}

/// Frees what released snapshots saw; before a block changes anything.
void EngineImpl::release_snapshots() {
    if (pins_.empty()) { return; }
    const size_t gone = std::erase_if(pins_, [](const std::shared_ptr<Pin>& pin) {
        return pin->released.load(std::memory_order_acquire);
    });
    if (gone != 0) { set_epochs(); }
}

void EngineImpl::set_epochs() {
    epochs_.pinned_newest = pins_.empty() ? 0 : pins_.back()->epoch;
    epochs_.pinned_oldest = pins_.empty() ? ~uint64_t{0} : pins_.front()->epoch;
    forest_.set_epochs(epochs_);
    for (auto& index : indexes_) { index->set_epochs(epochs_); }
}

/// Snapshots of blocks above `height` are of no more use: the log is cut below them.
void EngineImpl::revoke_snapshots(uint64_t height) noexcept {
    if (const auto last = last_snapshot_.lock(); last != nullptr && last->height() > height) {
        last_snapshot_.reset();
    }
    for (const auto& pin : pins_) {
        if (pin->height > height) { pin->revoked.store(true, std::memory_order_seq_cst); }
    }
}

}  // namespace millrace::storage::qmdb::detail
