// SPDX-License-Identifier: Apache-2.0
// Owns the tree of an earlier block, made from that of a later one and the log between the two.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "storage/qmdb/detail/block_list.hpp"
#include "storage/qmdb/detail/state_reader.hpp"
#include "storage/qmdb/entry_directory.hpp"
#include "storage/qmdb/entry_log.hpp"
#include "storage/qmdb/twig_forest.hpp"

namespace millrace::storage::qmdb::detail {

/// The root of a full chunk as the frame of the block has it that filled the chunk, or the
/// rewritten segment that has its last entry.
Result<Hash256> logged_chunk_root(const LogReader& log, const EntryDirectory& directory,
                                  const BlockList& list, unsigned shard, uint64_t chunk);

/// What the state after an earlier block has for proofs. Leaves never change, so it differs from
/// the later one in these: what was appended since is not there; an entry that ended since is live,
/// which the blocks since say (each of their entries names the one before it, and they name those
/// that they removed); and the nodes above both. Only these nodes are kept here, the others are
/// those of the later tree. Immutable: any thread.
class PastTree {
public:
    /// The later state, that after the last block of `list`, which outlives what is made of it.
    struct Later {
        const ForestView& forest;
        const EntryDirectory& directory;
        const LogReader& log;
        const BlockList& list;
        kernels::Backend backend;
    };
    /// That after the first `count` blocks of the list, at least one and not all; the log has what
    /// it needs (BlockList::is_kept). Reads and verifies all frames since, and compares the root.
    /// Takes 16 bytes of memory for each entry that ended since, and 80 to 100 for each chunk of
    /// these. `ErrorCode::corrupt` when the log does not lead to the root of that block.
    static Result<std::shared_ptr<const PastTree>> make(const Later& later, size_t count);
    /// How much of the log make() reads.
    static uint64_t log_bytes(const BlockList& list, size_t count) noexcept {
        return list.blocks.back().payload_at - list.blocks[count - 1].payload_at;
    }

    uint64_t serial_count(unsigned shard) const noexcept { return shards_[shard].serial_count; }
    ActiveBits bits(unsigned shard, uint64_t chunk) const noexcept;
    Hash256 grafted_node(unsigned shard, unsigned height, uint64_t index) const noexcept;
    Hash256 top_node(unsigned height, unsigned index) const noexcept {
        return top_[(shard_count >> height) + index];
    }
    /// The serial number that a key had, if it ended since.
    Result<std::optional<uint64_t>> find_ended(const Hash256& key, EntryReader& reader) const;
    /// That of the largest key below `key` whose entry ended since.
    Result<std::optional<uint64_t>> ended_below(const Hash256& key, EntryReader& reader) const;

private:
    /// An entry that was live and is no more.
    struct Ended {
        uint64_t head = 0;  ///< the first 8 bytes of its key
        uint64_t serial = 0;
    };
    struct ChangedChunk {
        uint64_t chunk = 0;
        ActiveBits bits;
    };
    using Level = std::vector<std::pair<uint64_t, Hash256>>;  ///< by index
    struct Shard {
        uint64_t serial_count = 0;
        std::vector<Ended> ended;           ///< by key
        std::vector<ChangedChunk> changed;  ///< by chunk; the last one is always among them
        std::vector<Level> levels;          ///< changed nodes of the grafted tree, by height
    };

    explicit PastTree(const Later& later) : later_(later) {}
    Result<void> read_blocks(size_t count);
    Result<void> note_changed(unsigned shard);
    Result<void> sort_by_key(unsigned shard);
    Result<void> hash_levels();
    Result<Hash256> chunk_node_root(unsigned shard, uint64_t chunk, const ActiveBits& bits) const;
    Result<Hash256> open_chunk_root(unsigned shard) const;
    uint64_t last_chunk(unsigned shard) const noexcept {
        return (shards_[shard].serial_count - 1) / chunk_entries;
    }

    const Later later_;
    std::array<Shard, shard_count> shards_;
    std::array<Hash256, 2 * shard_count> top_;  ///< heap
};

/// The state of a past tree, for proofs; one thread.
class PastReader final : public ProvenState {
public:
    PastReader(const PastTree& tree, const StateReader::Indexes& indexes, const ForestView& later,
               EntryReader& reader)
        : tree_(tree), indexes_(indexes), later_(later), reader_(reader) {}

    bool has_block() const noexcept override { return true; }
    uint64_t serial_count(unsigned shard) const noexcept override {
        return tree_.serial_count(shard);
    }
    ActiveBits bits(unsigned shard, uint64_t chunk) const noexcept override {
        return tree_.bits(shard, chunk);
    }
    Hash256 grafted_node(unsigned shard, unsigned height, uint64_t index) const noexcept override {
        return tree_.grafted_node(shard, height, index);
    }
    Hash256 top_node(unsigned height, unsigned index) const noexcept override {
        return tree_.top_node(height, index);
    }
    Result<Neighbour> neighbour(const Hash256& key) override;

private:
    const PastTree& tree_;
    const StateReader::Indexes indexes_;  ///< of the later state
    const ForestView& later_;
    EntryReader& reader_;
};

}  // namespace millrace::storage::qmdb::detail
