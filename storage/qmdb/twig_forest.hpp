// SPDX-License-Identifier: Apache-2.0
// Owns the Merkle data of all shards in memory: ActiveBits, roots of chunks and the nodes above,
// hashed level by level in batches.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/tree/tree.hpp"
#include "storage/proof/state_tree.hpp"
#include "storage/qmdb/detail/epochs.hpp"

namespace millrace::storage::qmdb {

/// The nodes that proofs read. A copy of that of a forest, taken between root() and the next
/// change, is what it is now: it may be used on any thread as long as the forest is told by
/// set_epochs() that it is pinned.
class ForestView {
public:
    /// How many serial numbers the shard has given out.
    uint64_t serial_count(unsigned shard) const noexcept { return trees_[shard].serial_count; }
    bool is_live(unsigned shard, uint64_t serial) const noexcept;
    ActiveBits bits(unsigned shard, uint64_t chunk) const noexcept;

    // Valid between root() and the next change.
    /// A node of the shard's grafted tree.
    Hash256 grafted_node(unsigned shard, unsigned height, uint64_t index) const noexcept;
    /// The root of a full chunk; that of zero leaves when nothing of it is live.
    Hash256 chunk_root(unsigned shard, uint64_t chunk) const noexcept;
    /// A node of the tree over the shards: height 0 has the shards.
    Hash256 top_node(unsigned height, unsigned index) const noexcept;

    /// What a copy of this takes for itself.
    uint64_t view_bytes() const noexcept;

    kernels::NodeHash hash() const noexcept { return hash_; }
    const NullNodes& nulls() const noexcept { return *nulls_; }

protected:
    struct Tile;
    struct UpperTile;
    struct ShardTree {
        uint64_t serial_count = 0;
        std::vector<Tile*> tiles;  ///< null where all is dead
        std::vector<std::vector<UpperTile*>> upper;
    };

    explicit ForestView(kernels::NodeHash hash)
        : hash_(hash), nulls_(std::make_shared<NullNodes>(hash)) {}

    kernels::NodeHash hash_;
    std::shared_ptr<const NullNodes> nulls_;
    std::array<ShardTree, shard_count> trees_;
    std::array<Hash256, 4 * shard_count> top_;  ///< heap of the shards' pairs
};

/// The tree that storage/proof/state_tree.hpp describes. Half a byte of memory per serial number
/// between the oldest live one and the newest. Changes are made in any order; root() then hashes
/// each changed node once. Nothing is read from the disk. One thread at a time.
class TwigForest : public ForestView {
public:
    TwigForest(kernels::NodeHash hash, kernels::Backend backend);
    ~TwigForest();
    TwigForest(const TwigForest&) = delete;
    TwigForest& operator=(const TwigForest&) = delete;

    uint64_t live_count(unsigned shard) const noexcept { return shards_[shard].live_count; }
    /// The least live serial number; serial_count when nothing lives.
    uint64_t first_live(unsigned shard) noexcept;
    /// Hint that retire() of this serial number comes soon.
    void prefetch(unsigned shard, uint64_t serial) const noexcept;

    /// Gives out the next serial number, live. Its leaf must be set before root().
    uint64_t append(unsigned shard);
    /// Ends the life of an entry that lives.
    void retire(unsigned shard, uint64_t serial);
    /// Makes an entry live that is not. Returns whether nothing of its chunk was live: if it is
    /// full, its root is gone and must be set by restore_chunk() before root().
    bool revive(unsigned shard, uint64_t serial);
    /// Takes back the serial numbers from `serial_count` on, of which none is live, and the leaves
    /// of the chunk that this cuts: those must be set before root(). Only right after root() or
    /// shrink().
    void shrink(unsigned shard, uint64_t serial_count);
    /// Sets the root of a full chunk.
    void restore_chunk(unsigned shard, uint64_t chunk, const Hash256& root);
    /// Sets the leaves of serial numbers from `first` on, the first one that has no leaf yet.
    void set_leaves(unsigned shard, uint64_t first, std::span<const Hash256> leaves);

    /// Hashes the chunks that got leaves, which frees the memory of those that are full; root()
    /// does it too. Fails as root().
    Result<void> fold_leaves();
    /// Hashes what changed. All serial numbers given out have leaves. Fails as the hash's batch
    /// does, with `unavailable` or `internal` on a device; the call can be repeated.
    Result<Hash256> root();

    /// For a start from a log: begins a shard, which is new, with `serial_count` dead entries whose
    /// chunks are gone. A multiple of chunk_entries.
    void begin_at(unsigned shard, uint64_t serial_count);
    /// For a start from a log: the next leaves to be set are those of a full chunk without a live
    /// entry, which needs none.
    void skip_dead_chunk(unsigned shard) noexcept;
    /// For a start from a log: the next leaves to be set are those of a full chunk with this root.
    void set_full_chunk(unsigned shard, const Hash256& root);
    /// From now on copies nodes of pinned views before it changes them, and frees those that no
    /// view needs any more. Only right after root().
    void set_epochs(const detail::Epochs& epochs);

    /// Memory taken by nodes and bits, without that of the work at hand.
    uint64_t bytes() const noexcept;
    /// Memory of the nodes that only views have.
    uint64_t kept_bytes() const noexcept { return limbo_.bytes() + upper_limbo_.bytes(); }

private:
    struct OpenChunk;
    struct Shard {
        Shard();
        Shard(Shard&&) noexcept;
        ~Shard();

        uint64_t leaf_count = 0;  ///< serial numbers whose leaf is known
        uint64_t live_count = 0;
        uint64_t first_live = 0;          ///< nothing below is live
        std::unique_ptr<OpenChunk> open;  ///< nodes of the chunk that is not full, if any
        uint32_t open_hashed = 0;         ///< how many of its leaves are hashed
    };
    /// A changed node that the next level has to copy.
    struct Changed {
        uint32_t shard = 0;
        uint64_t index = 0;
        auto operator<=>(const Changed&) const = default;
    };
    struct FullChunk;

    Tile& touch(unsigned shard, uint64_t chunk);
    void retire_tile(Tile* tile);
    UpperTile& writable(UpperTile*& tile);
    Result<void> hash_tiles();
    Result<void> hash_upper();
    Result<void> hash_upper_level(size_t level);
    void begin_upper_level(size_t level);
    Result<Hash256> hash_top();
    const Hash256& child_root(unsigned shard, size_t level, uint64_t index) const noexcept;

    const kernels::Backend backend_;
    std::vector<Hash256> null_chunk_;  ///< the nodes of a chunk without entries
    std::vector<Hash256> null_tile_;
    std::vector<std::vector<Hash256>> null_upper_;  ///< by level
    std::array<Shard, shard_count> shards_;
    detail::Epochs epochs_;
    detail::Limbo<Tile> limbo_;
    detail::Limbo<UpperTile> upper_limbo_;

    // Work of the next root().
    std::vector<FullChunk> full_chunks_;  ///< with leaves that are not hashed yet
    std::vector<Changed> touched_tiles_;
    std::vector<Changed> changed_;  ///< of the level below the one being hashed
    std::vector<Changed> next_changed_;
    std::vector<Hash256*> work_trees_;
    std::vector<kernels::DirtyLeaf> dirty_;
    std::vector<std::unique_ptr<OpenChunk>> spare_chunks_;
    kernels::TreeHasher chunk_hasher_;
    kernels::TreeHasher tile_hasher_;
    kernels::TreeHasher upper_hasher_;
    kernels::TreeHasher top_hasher_;
};

}  // namespace millrace::storage::qmdb
