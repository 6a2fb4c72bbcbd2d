// SPDX-License-Identifier: Apache-2.0
// Owns reading values, and what proofs need, from an index, a tree and the log, be they those of
// the tip or of a snapshot.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "storage/qmdb/detail/block_list.hpp"
#include "storage/qmdb/detail/entry_reader.hpp"
#include "storage/qmdb/detail/prover.hpp"
#include "storage/qmdb/key_index.hpp"
#include "storage/qmdb/twig_forest.hpp"

namespace millrace::storage::qmdb::detail {

/// The serial number whose lower half is in the index of a shard that has given out
/// `serial_count`: what lives spans less than 2^32.
constexpr uint64_t widen(uint64_t serial_count, uint32_t low) noexcept {
    const uint64_t last = serial_count - 1;
    return last - static_cast<uint32_t>(static_cast<uint32_t>(last) - low);
}

/// The keys of one shard's entries, for its index.
class ShardKeys final : public KeySource {
public:
    ShardKeys(EntryReader& reader, const ForestView& forest, unsigned shard)
        : reader_(reader), forest_(forest), shard_(shard) {}
    Result<Hash256> key_of(uint32_t serial) override {
        MILLRACE_TRY(const StateEntry entry,
                     reader_.read(shard_, widen(forest_.serial_count(shard_), serial)));
        return entry.key;
    }

private:
    EntryReader& reader_;
    const ForestView& forest_;
    unsigned shard_;
};

/// What lies before every key is its shard's sentinel, unless entries are not those that the index
/// knows: a reader of a snapshot meets that when its block is being taken back.
std::unexpected<Error> no_predecessor(unsigned shard);

/// One state, that of block `height`; one thread.
class StateReader final : public ProvenState {
public:
    using Indexes = std::array<const IndexView*, shard_count>;
    StateReader(const Indexes& indexes, const ForestView& forest, EntryReader& reader,
                kernels::Backend backend, uint64_t height)
        : indexes_(indexes), forest_(forest), reader_(reader), backend_(backend), height_(height) {}

    // As those of Engine.
    Result<std::optional<Bytes>> get(const Hash256& key);
    /// `list` has all blocks of the log up to this state's. Takes from `budget` as
    /// StateSnapshot::get_at.
    Result<std::optional<Bytes>> get_at(const BlockList& list, const Hash256& key, uint64_t height,
                                        uint64_t& budget);
    Result<StateProof> prove(const Hash256& key) { return prover().prove(key); }
    Result<StateMultiproof> prove(std::span<const Hash256> keys) { return prover().prove(keys); }
    /// Reads and hashes the entries of a chunk that the tree has.
    Result<void> verify_chunk(unsigned shard, uint64_t chunk);

    bool has_block() const noexcept override { return height_ != 0; }
    uint64_t serial_count(unsigned shard) const noexcept override {
        return forest_.serial_count(shard);
    }
    ActiveBits bits(unsigned shard, uint64_t chunk) const noexcept override {
        return forest_.bits(shard, chunk);
    }
    Hash256 grafted_node(unsigned shard, unsigned height, uint64_t index) const noexcept override {
        return forest_.grafted_node(shard, height, index);
    }
    Hash256 top_node(unsigned height, unsigned index) const noexcept override {
        return forest_.top_node(height, index);
    }
    Result<Neighbour> neighbour(const Hash256& key) override;

private:
    uint64_t widen(unsigned shard, uint32_t low) const noexcept {
        return detail::widen(forest_.serial_count(shard), low);
    }
    Prover prover() { return {*this, reader_, forest_.hash(), forest_.nulls(), backend_}; }
    Result<StateEntry> read_version(unsigned shard, uint64_t serial, uint64_t& budget);
    struct Version {
        std::optional<StateEntry> entry;  ///< the last one at or below the height
        uint64_t born = 0;                ///< height of the oldest one that was looked at
    };
    Result<Version> version_at(unsigned shard, uint64_t serial, uint64_t height, uint64_t& budget);
    Result<bool> was_passed_over(const Hash256& key, uint64_t from, uint64_t until,
                                 uint64_t& budget);

    const Indexes indexes_;
    const ForestView& forest_;
    EntryReader& reader_;
    const kernels::Backend backend_;
    const uint64_t height_;
};

}  // namespace millrace::storage::qmdb::detail
