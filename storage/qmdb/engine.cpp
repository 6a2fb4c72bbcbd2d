// SPDX-License-Identifier: Apache-2.0
// Owns opening, committing, reading and pruning of the state engine.
#include "storage/qmdb/engine.hpp"

#include <algorithm>

#include "kernels/blake3/blake3_batch.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/sha256/sha256_batch.hpp"
#include "storage/qmdb/detail/engine_impl.hpp"

namespace millrace::storage::qmdb {

Result<std::unique_ptr<Engine>> Engine::open(FileSystem& fs, const std::string& directory,
                                             const EngineOptions& options,
                                             std::unique_ptr<LogWriter> writer) {
    auto engine = std::make_unique<detail::EngineImpl>(options);
    MILLRACE_CHECK(engine->start(fs, directory, std::move(writer)));
    return engine;
}

Hash256 log_identity(const Hash256& identity, kernels::NodeHash hash) noexcept {
    std::array<uint8_t, Hash256::size_bytes + 1> preimage;
    std::ranges::copy(identity.bytes, preimage.begin());
    preimage.back() = static_cast<uint8_t>(hash);
    return kernels::keccak256(preimage);
}

namespace detail {

Result<void> hash_leaves(kernels::NodeHash hash, kernels::Backend backend,
                         std::span<const ByteView> messages, std::span<Hash256> digests) {
    switch (hash) {
        case kernels::NodeHash::keccak256:
            return kernels::keccak256_batch(backend, messages, digests);
        case kernels::NodeHash::sha256: return kernels::sha256_batch(backend, messages, digests);
        case kernels::NodeHash::blake3: return kernels::blake3_batch(backend, messages, digests);
    }
    return fail(ErrorCode::invalid_input, "no such node hash");
}

EngineImpl::EngineImpl(const EngineOptions& options)
    : options_(options), forest_(options.hash, options.backend) {
    frame_.begin();
    for (auto& index : indexes_) { index = std::make_unique<KeyIndex>(shard_bits); }
}

EngineImpl::~EngineImpl() {
    care_.reset();  // it may hold a snapshot
    for (const auto& pin : pins_) {
        MILLRACE_ASSERT(pin->released.load(std::memory_order_acquire),
                        "snapshots are let go before their engine");
    }
}

std::unexpected<Error> EngineImpl::stop(Error error) {
    failed_ = error;
    return std::unexpected(std::move(error));
}

StateReader EngineImpl::state_reader() {
    StateReader::Indexes indexes;
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        indexes[shard] = indexes_[shard].get();
    }
    return {indexes, forest_, *reader_, options_.backend, height_};
}

Result<void> EngineImpl::commit() {
    if (failed_) { return std::unexpected(*failed_); }
    if (!waits_) { return {}; }
    const FrameOf block{height_, root_, oldest_sequence()};
    const auto at = log_->append(block, frame_.frame(), frame_.payload_bytes());
    if (!at) {
        if (at.error().code == ErrorCode::limit) { return std::unexpected(at.error()); }
        return stop(at.error());
    }
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const SectionHeader& section = frame_.section(shard);
        directory_.add(shard, section.first_serial, section.entry_count, *at + section.table_at);
    }
    const std::span<const uint8_t> frame = frame_.frame();
    MILLRACE_TRY(const auto sections,
                 read_block_frame(frame.subspan(sizeof(FrameHeader), frame_.payload_bytes())));
    list_.push_back({height_, *at, block.oldest_sequence, root_, removed_keys(sections)});
    frame_.begin();
    reader_->release();
    waits_ = false;
    // The block is durable whatever that finds; nothing goes on after damage.
    if (auto r = care_for_files(); !r) { return stop(std::move(r).error()); }
    return {};
}

uint64_t EngineImpl::oldest_sequence() noexcept {
    uint64_t oldest = list_.first_sequence + list_.blocks.size();
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        // Proofs, restarts and rollbacks need the dead neighbours of what lives too.
        const uint64_t first = forest_.first_live(shard) / chunk_entries * chunk_entries;
        if (frame_.has(shard, first)) { continue; }
        const auto run = directory_.find(shard, first);
        MILLRACE_ASSERT(run, "chunks with something live are in the log as a whole");
        oldest = std::min(oldest, list_.first_sequence + list_.index_at(run->table_at));
    }
    return oldest;
}

Result<std::optional<Bytes>> EngineImpl::get(const Hash256& key) {
    if (failed_) { return std::unexpected(*failed_); }
    return state_reader().get(key);
}

Result<std::optional<Bytes>> EngineImpl::get_at(const Hash256& key, uint64_t height) {
    if (failed_) { return std::unexpected(*failed_); }
    if (waits_ && height < height_) {
        return fail(ErrorCode::conflict,
                    "a block waits for its commit; read earlier heights after it");
    }
    uint64_t unlimited = ~uint64_t{0};
    return state_reader().get_at(list_, key, height, unlimited);
}

Result<StateProof> EngineImpl::prove(const Hash256& key) {
    if (failed_) { return std::unexpected(*failed_); }
    return state_reader().prove(key);
}

Result<StateMultiproof> EngineImpl::prove(std::span<const Hash256> keys) {
    if (failed_) { return std::unexpected(*failed_); }
    return state_reader().prove(keys);
}

/// Where the entries of a chunk are, for people.
std::string EngineImpl::describe_chunk(unsigned shard, uint64_t chunk) const {
    const uint64_t first = chunk * chunk_entries;
    const uint64_t end = std::min(first + chunk_entries, forest_.serial_count(shard));
    const auto run = directory_.find(shard, first);
    return "entries " + std::to_string(first) + " to " + std::to_string(end - 1) + " of shard " +
           std::to_string(shard) + (run ? ", before " + log_->describe(run->table_at) : "");
}

Result<uint64_t> EngineImpl::verify_chunks() {
    if (failed_) { return std::unexpected(*failed_); }
    StateReader reader = state_reader();
    uint64_t entries = 0;
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const uint64_t count = forest_.serial_count(shard);
        for (uint64_t chunk = 0; chunk * chunk_entries < count; ++chunk) {
            const bool is_full = (chunk + 1) * chunk_entries <= count;
            // What is dead and full is not in the tree, and may be gone from the disk.
            if (is_full && forest_.bits(shard, chunk).is_zero()) { continue; }
            if (const auto r = reader.verify_chunk(shard, chunk); !r) {
                return fail(r.error().code,
                            describe_chunk(shard, chunk) + ": " + r.error().message);
            }
            entries += std::min(chunk_entries, count - chunk * chunk_entries);
        }
    }
    return entries;
}

Result<size_t> EngineImpl::prune() {
    if (failed_) { return std::unexpected(*failed_); }
    if (waits_ || cut_waits_) {
        return fail(ErrorCode::conflict,
                    "a block waits for its commit or rollback; prune after it");
    }
    if (height_ / options_.heights_per_block < options_.history_blocks) { return size_t{0}; }
    const size_t count =
        list_.count_up_to(height_ - options_.history_blocks * options_.heights_per_block);
    if (count == 0) { return size_t{0}; }
    const CommittedBlock& oldest = list_.blocks[count - 1];
    if (oldest.oldest_sequence <= list_.first_sequence) { return size_t{0}; }
    LogPosition keep = list_.blocks[oldest.oldest_sequence - list_.first_sequence].payload_at;
    // One that is being rewritten would come back.
    if (rewritten_segment_) { keep = std::min(keep, *rewritten_segment_ * log_->segment_bytes()); }
    reader_->release();
    const auto removed = log_->prune_below(keep);
    if (!removed) { return stop(removed.error()); }
    while (list_.blocks.front().payload_at < log_->begin()) { list_.pop_front(); }
    directory_.drop_before(log_->begin());
    return removed;
}

EngineStats EngineImpl::stats() const noexcept {
    EngineStats out;
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        out.key_count += indexes_[shard]->size();
        out.serial_count += forest_.serial_count(shard);
        out.index_bytes += indexes_[shard]->bytes();
        out.snapshot_bytes += indexes_[shard]->kept_bytes();
        out.opened_live_bytes += opened_live_bytes_[shard];
    }
    // Those of the sentinels do not count.
    out.key_count -= std::min<uint64_t>(out.key_count, shard_count);
    out.compacted_count = compacted_;
    out.relinked_count = relinked_;
    out.tree_bytes = forest_.bytes();
    out.directory_bytes = directory_.bytes();
    out.block_bytes = list_.bytes();
    out.snapshot_bytes += forest_.kept_bytes();
    for (const auto& pin : pins_) { out.snapshot_bytes += pin->view_bytes; }
    out.work_bytes = frame_.memory_bytes() + items_.capacity() * sizeof(Item) +
                     messages_.capacity() * sizeof(ByteView) + leaves_.capacity() * sizeof(Hash256);
    const EntryLog::FileBytes files = log_->file_bytes();
    out.log_bytes = files.all;
    out.rewritten_count = files.rewritten_count;
    out.rewritten_bytes = files.rewritten;
    return out;
}

}  // namespace detail
}  // namespace millrace::storage::qmdb
