// SPDX-License-Identifier: Apache-2.0
// Owns the memory of the tree's nodes and the order in which changed ones are hashed.
#include "storage/qmdb/twig_forest.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace millrace::storage::qmdb {
namespace {

// A tile is a tree of height 10 in one piece of memory, whose leaves are the pairs of root and
// ActiveBits of 512 chunks. So the bits are hashed where they are changed, and one batch leads from
// any number of changed bits to the roots of their tiles. Above are tiles of height 6.
constexpr unsigned tile_height = 10;
constexpr unsigned tile_grafted_height = tile_height - 1;
constexpr uint64_t tile_chunks = uint64_t{1} << tile_grafted_height;
constexpr uint64_t tile_entries = tile_chunks * chunk_entries;
constexpr unsigned upper_height = 6;
constexpr uint64_t upper_fan = uint64_t{1} << upper_height;
constexpr size_t upper_levels_max =
    (grafted_height_max - tile_grafted_height + upper_height - 1) / upper_height;
constexpr unsigned top_height = shard_bits + 1;
/// Memory of chunks that is kept for the next batch: 1 MiB.
constexpr size_t spare_chunks_max = 64;

constexpr size_t root_place(uint64_t chunk) noexcept {
    return kernels::tree_leaf(tile_height, 2 * (chunk % tile_chunks));
}

uint64_t word_of(const ActiveBits& bits, size_t word) noexcept {
    uint64_t out;
    std::memcpy(&out, bits.data() + 8 * word, sizeof out);
    return out;
}

}  // namespace

struct ForestView::Tile {
    Hash256 nodes[kernels::tree_nodes(tile_height)];
    uint64_t dirty[tile_chunks / 64] = {};  ///< chunks whose pair changed
    uint64_t live_count = 0;
    bool touched = false;  ///< it is in touched_tiles_
    uint64_t epoch = 0;    ///< that made it, see Epochs
};

struct ForestView::UpperTile {
    Hash256 nodes[kernels::tree_nodes(upper_height)];
    uint64_t epoch = 0;
};

struct TwigForest::OpenChunk {
    Hash256 nodes[kernels::tree_nodes(chunk_height)];
};

struct TwigForest::FullChunk {
    unsigned shard = 0;
    uint64_t chunk = 0;
    uint32_t hashed = 0;  ///< leaves from here on are not
    std::unique_ptr<OpenChunk> nodes;
};

TwigForest::Shard::Shard() = default;
TwigForest::Shard::Shard(Shard&&) noexcept = default;
TwigForest::Shard::~Shard() = default;

TwigForest::TwigForest(kernels::NodeHash hash, kernels::Backend backend)
    : ForestView(hash),
      backend_(backend),
      null_chunk_(kernels::tree_nodes(chunk_height)),
      null_tile_(kernels::tree_nodes(tile_height)),
      null_upper_(upper_levels_max, std::vector<Hash256>(kernels::tree_nodes(upper_height))),
      chunk_hasher_(hash, chunk_height),
      tile_hasher_(hash, tile_height),
      upper_hasher_(hash, upper_height),
      top_hasher_(hash, top_height) {
    kernels::fill_uniform(hash, {}, chunk_height, null_chunk_);
    kernels::fill_uniform(hash, nulls_->grafted[0], tile_grafted_height,
                          std::span{null_tile_}.first(kernels::tree_nodes(tile_grafted_height)));
    for (uint64_t chunk = 0; chunk < tile_chunks; ++chunk) {
        null_tile_[root_place(chunk)] = nulls_->plain[chunk_height];
    }
    for (size_t level = 0; level < upper_levels_max; ++level) {
        const Hash256& below = nulls_->grafted[tile_grafted_height + level * upper_height];
        kernels::fill_uniform(hash, below, upper_height, null_upper_[level]);
    }
}

TwigForest::~TwigForest() {
    for (ShardTree& t : trees_) {
        for (Tile* const tile : t.tiles) { delete tile; }
        for (auto& level : t.upper) {
            for (UpperTile* const tile : level) { delete tile; }
        }
    }
    limbo_.release({}, [](Tile* tile) { delete tile; });
    upper_limbo_.release({}, [](UpperTile* tile) { delete tile; });
}

void TwigForest::set_epochs(const detail::Epochs& epochs) {
    MILLRACE_ASSERT(touched_tiles_.empty() && full_chunks_.empty(), "all is hashed");
    epochs_ = epochs;
    limbo_.release(epochs, [](Tile* tile) { delete tile; });
    upper_limbo_.release(epochs, [](UpperTile* tile) { delete tile; });
}

void TwigForest::retire_tile(Tile* tile) {
    if (tile->epoch > epochs_.pinned_newest) {
        delete tile;
    } else {
        limbo_.add(tile, epochs_.current, sizeof *tile);
    }
}

/// The tile, copied if a view has it too.
ForestView::UpperTile& TwigForest::writable(UpperTile*& tile) {
    if (tile->epoch <= epochs_.pinned_newest) {
        upper_limbo_.add(tile, epochs_.current, sizeof *tile);
        tile = new UpperTile{*tile};
        tile->epoch = epochs_.current;
    }
    return *tile;
}

ForestView::Tile& TwigForest::touch(unsigned shard, uint64_t chunk) {
    auto& tiles = trees_[shard].tiles;
    const uint64_t index = chunk / tile_chunks;
    if (index >= tiles.size()) { tiles.resize(index + 1); }
    if (tiles[index] == nullptr) {
        tiles[index] = new Tile;
        tiles[index]->epoch = epochs_.current;
        std::copy(null_tile_.begin(), null_tile_.end(), tiles[index]->nodes);
    } else if (tiles[index]->epoch <= epochs_.pinned_newest) {
        Tile* const copy = new Tile{*tiles[index]};
        copy->epoch = epochs_.current;
        limbo_.add(std::exchange(tiles[index], copy), epochs_.current, sizeof *copy);
    }
    Tile& tile = *tiles[index];
    tile.dirty[chunk % tile_chunks / 64] |= uint64_t{1} << (chunk % 64);
    if (!tile.touched) {
        tile.touched = true;
        touched_tiles_.push_back({shard, index});
    }
    return tile;
}

uint64_t TwigForest::append(unsigned shard) {
    Shard& s = shards_[shard];
    const uint64_t serial = trees_[shard].serial_count++;
    Tile& tile = touch(shard, serial / chunk_entries);
    ActiveBits& bits = tile.nodes[root_place(serial / chunk_entries) + 1];
    bits[serial % chunk_entries / 8] |= static_cast<uint8_t>(1u << (serial % 8));
    ++tile.live_count;
    ++s.live_count;
    return serial;
}

void TwigForest::retire(unsigned shard, uint64_t serial) {
    Tile& tile = touch(shard, serial / chunk_entries);
    ActiveBits& bits = tile.nodes[root_place(serial / chunk_entries) + 1];
    MILLRACE_ASSERT(is_active(bits, serial), "only what lives can die");
    bits[serial % chunk_entries / 8] &= static_cast<uint8_t>(~(1u << (serial % 8)));
    --tile.live_count;
    --shards_[shard].live_count;
}

bool TwigForest::revive(unsigned shard, uint64_t serial) {
    Shard& s = shards_[shard];
    Tile& tile = touch(shard, serial / chunk_entries);
    ActiveBits& bits = tile.nodes[root_place(serial / chunk_entries) + 1];
    MILLRACE_ASSERT(serial < trees_[shard].serial_count && !is_active(bits, serial),
                    "only the dead can be revived");
    const bool was_dead = bits.is_zero();
    bits[serial % chunk_entries / 8] |= static_cast<uint8_t>(1u << (serial % 8));
    ++tile.live_count;
    ++s.live_count;
    s.first_live = std::min(s.first_live, serial);
    return was_dead;
}

void TwigForest::shrink(unsigned shard, uint64_t serial_count) {
    Shard& s = shards_[shard];
    MILLRACE_ASSERT(serial_count <= trees_[shard].serial_count && full_chunks_.empty(),
                    "what is taken back was given out and hashed");
    const uint64_t end = (trees_[shard].serial_count + chunk_entries - 1) / chunk_entries;
    for (uint64_t chunk = (serial_count + chunk_entries - 1) / chunk_entries; chunk < end;
         ++chunk) {
        MILLRACE_ASSERT(bits(shard, chunk).is_zero(), "nothing that is taken back lives");
        touch(shard, chunk).nodes[root_place(chunk)] = nulls_->plain[chunk_height];
    }
    trees_[shard].serial_count = serial_count;
    s.leaf_count = std::min(s.leaf_count, serial_count / chunk_entries * chunk_entries);
    s.first_live = std::min(s.first_live, serial_count);
    s.open.reset();
    s.open_hashed = 0;
}

void TwigForest::restore_chunk(unsigned shard, uint64_t chunk, const Hash256& root) {
    MILLRACE_ASSERT((chunk + 1) * chunk_entries <= shards_[shard].leaf_count, "the chunk is full");
    touch(shard, chunk).nodes[root_place(chunk)] = root;
}

ActiveBits ForestView::bits(unsigned shard, uint64_t chunk) const noexcept {
    const auto& tiles = trees_[shard].tiles;
    const uint64_t index = chunk / tile_chunks;
    if (index >= tiles.size() || tiles[index] == nullptr) { return {}; }
    return tiles[index]->nodes[root_place(chunk) + 1];
}

bool ForestView::is_live(unsigned shard, uint64_t serial) const noexcept {
    return is_active(bits(shard, serial / chunk_entries), serial);
}

void TwigForest::prefetch(unsigned shard, uint64_t serial) const noexcept {
    const auto& tiles = trees_[shard].tiles;
    const uint64_t index = serial / tile_entries;
    if (index >= tiles.size() || tiles[index] == nullptr) { return; }
    __builtin_prefetch(&tiles[index]->nodes[root_place(serial / chunk_entries) + 1]);
}

uint64_t TwigForest::first_live(unsigned shard) noexcept {
    Shard& s = shards_[shard];
    // Nothing at or above serial_count is live, so the search ends there in any case.
    while (s.first_live < trees_[shard].serial_count) {
        const auto& tile = trees_[shard].tiles[s.first_live / tile_entries];
        if (tile == nullptr || tile->live_count == 0) {
            s.first_live = (s.first_live / tile_entries + 1) * tile_entries;
            continue;
        }
        const ActiveBits& bits = tile->nodes[root_place(s.first_live / chunk_entries) + 1];
        const uint64_t left =
            word_of(bits, s.first_live % chunk_entries / 64) >> (s.first_live % 64);
        if (left != 0) {
            s.first_live += static_cast<unsigned>(std::countr_zero(left));
            return s.first_live;
        }
        s.first_live = (s.first_live / 64 + 1) * 64;
    }
    s.first_live = trees_[shard].serial_count;
    return s.first_live;
}

void TwigForest::set_leaves(unsigned shard, uint64_t first, std::span<const Hash256> leaves) {
    Shard& s = shards_[shard];
    MILLRACE_ASSERT(first == s.leaf_count && leaves.size() <= trees_[shard].serial_count - first,
                    "leaves are set in order, for serial numbers given out");
    while (!leaves.empty()) {
        const size_t from = s.leaf_count % chunk_entries;
        const size_t count = std::min<uint64_t>(leaves.size(), chunk_entries - from);
        if (from == 0) {
            if (spare_chunks_.empty()) { spare_chunks_.push_back(std::make_unique<OpenChunk>()); }
            s.open = std::move(spare_chunks_.back());
            spare_chunks_.pop_back();
            s.open_hashed = 0;
            // A chunk that is filled at once has no node left that was there before.
            if (count < chunk_entries) {
                std::copy(null_chunk_.begin(), null_chunk_.end(), s.open->nodes);
            }
        }
        std::copy_n(leaves.begin(), count, s.open->nodes + kernels::tree_leaf(chunk_height, from));
        const uint64_t chunk = s.leaf_count / chunk_entries;
        s.leaf_count += count;
        if (s.leaf_count % chunk_entries == 0) {
            full_chunks_.push_back({shard, chunk, s.open_hashed, std::move(s.open)});
        }
        leaves = leaves.subspan(count);
    }
}

Result<void> TwigForest::fold_leaves() {
    work_trees_.clear();
    dirty_.clear();
    const auto add = [&](OpenChunk& chunk, uint32_t from, uint32_t to) {
        const auto tree = static_cast<uint32_t>(work_trees_.size());
        work_trees_.push_back(chunk.nodes);
        for (uint32_t leaf = from; leaf < to; ++leaf) { dirty_.push_back({tree, leaf}); }
    };
    for (const FullChunk& full : full_chunks_) { add(*full.nodes, full.hashed, chunk_entries); }
    for (const Shard& s : shards_) {
        const auto leaves = static_cast<uint32_t>(s.leaf_count % chunk_entries);
        if (leaves != 0 && s.open_hashed < leaves) { add(*s.open, s.open_hashed, leaves); }
    }
    MILLRACE_CHECK(chunk_hasher_.rehash(backend_, work_trees_, dirty_));
    for (FullChunk& full : full_chunks_) {
        touch(full.shard, full.chunk).nodes[root_place(full.chunk)] = full.nodes->nodes[1];
        if (spare_chunks_.size() < spare_chunks_max) {
            spare_chunks_.push_back(std::move(full.nodes));
        }
    }
    full_chunks_.clear();
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        Shard& s = shards_[shard];
        const auto leaves = static_cast<uint32_t>(s.leaf_count % chunk_entries);
        if (leaves == 0 || s.open_hashed == leaves) { continue; }
        const uint64_t chunk = s.leaf_count / chunk_entries;
        touch(shard, chunk).nodes[root_place(chunk)] = s.open->nodes[1];
        s.open_hashed = leaves;
    }
    return {};
}

void TwigForest::begin_at(unsigned shard, uint64_t serial_count) {
    Shard& s = shards_[shard];
    MILLRACE_ASSERT(trees_[shard].serial_count == 0 && serial_count % chunk_entries == 0,
                    "a shard begins with whole chunks");
    trees_[shard].serial_count = s.leaf_count = s.first_live = serial_count;
    trees_[shard].tiles.resize((serial_count + tile_entries - 1) / tile_entries);
}

void TwigForest::skip_dead_chunk(unsigned shard) noexcept {
    Shard& s = shards_[shard];
    MILLRACE_ASSERT(s.leaf_count % chunk_entries == 0 &&
                        s.leaf_count + chunk_entries <= trees_[shard].serial_count &&
                        bits(shard, s.leaf_count / chunk_entries).is_zero(),
                    "a dead chunk is full and has no bit");
    s.leaf_count += chunk_entries;
}

void TwigForest::set_full_chunk(unsigned shard, const Hash256& root) {
    Shard& s = shards_[shard];
    MILLRACE_ASSERT(s.leaf_count % chunk_entries == 0 &&
                        s.leaf_count + chunk_entries <= trees_[shard].serial_count,
                    "a full chunk is set as a whole");
    const uint64_t chunk = s.leaf_count / chunk_entries;
    touch(shard, chunk).nodes[root_place(chunk)] = root;
    s.leaf_count += chunk_entries;
}

Hash256 ForestView::chunk_root(unsigned shard, uint64_t chunk) const noexcept {
    const auto& tiles = trees_[shard].tiles;
    const uint64_t index = chunk / tile_chunks;
    if (index >= tiles.size() || tiles[index] == nullptr) { return nulls_->plain[chunk_height]; }
    return tiles[index]->nodes[root_place(chunk)];
}

Result<Hash256> TwigForest::root() {
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        MILLRACE_ASSERT(shards_[shard].leaf_count == serial_count(shard),
                        "every entry has its leaf");
    }
    MILLRACE_CHECK(fold_leaves());
    MILLRACE_CHECK(hash_tiles());
    MILLRACE_CHECK(hash_upper());
    return hash_top();
}

Result<void> TwigForest::hash_tiles() {
    std::sort(touched_tiles_.begin(), touched_tiles_.end());
    work_trees_.clear();
    dirty_.clear();
    for (const Changed& at : touched_tiles_) {
        Tile& tile = *trees_[at.shard].tiles[at.index];
        const auto tree = static_cast<uint32_t>(work_trees_.size());
        work_trees_.push_back(tile.nodes);
        for (uint32_t word = 0; word < std::size(tile.dirty); ++word) {
            for (uint64_t left = tile.dirty[word]; left != 0; left &= left - 1) {
                const uint32_t chunk = 64 * word + static_cast<uint32_t>(std::countr_zero(left));
                Hash256* const pair = tile.nodes + root_place(chunk);
                const uint64_t end = (at.index * tile_chunks + chunk + 1) * chunk_entries;
                if (pair[1].is_zero() && end <= trees_[at.shard].serial_count) {
                    pair[0] = nulls_->plain[chunk_height];
                }
                dirty_.push_back({tree, 2 * chunk});
            }
        }
    }
    MILLRACE_CHECK(tile_hasher_.rehash(backend_, work_trees_, dirty_));
    for (const Changed& at : touched_tiles_) {
        ShardTree& t = trees_[at.shard];
        Tile*& tile = t.tiles[at.index];
        std::ranges::fill(tile->dirty, 0);
        tile->touched = false;
        if (tile->live_count == 0 && (at.index + 1) * tile_entries <= t.serial_count) {
            retire_tile(std::exchange(tile, nullptr));
        }
    }
    changed_.insert(changed_.end(), touched_tiles_.begin(), touched_tiles_.end());
    touched_tiles_.clear();
    return {};
}

const Hash256& TwigForest::child_root(unsigned shard, size_t level, uint64_t index) const noexcept {
    const ShardTree& t = trees_[shard];
    if (level != 0) { return t.upper[level - 1][index]->nodes[1]; }
    return t.tiles[index] == nullptr ? nulls_->grafted[tile_grafted_height]
                                     : t.tiles[index]->nodes[1];
}

Result<void> TwigForest::hash_upper() {
    for (size_t level = 0; !changed_.empty(); ++level) {
        begin_upper_level(level);
        MILLRACE_CHECK(hash_upper_level(level));
        std::swap(changed_, next_changed_);
    }
    return {};
}

/// A shard gets a further level when it has more than one tile below; then the first one of these,
/// which stood alone so far, counts as changed too.
void TwigForest::begin_upper_level(size_t level) {
    for (size_t i = 0, count = changed_.size(); i < count; ++i) {
        ShardTree& t = trees_[changed_[i].shard];
        const size_t children = level == 0 ? t.tiles.size() : t.upper[level - 1].size();
        if (children > 1 && t.upper.size() == level) {
            t.upper.emplace_back();
            // Those that are dead since before a start from a log were never changed.
            for (uint64_t child = 0; child < children; ++child) {
                changed_.push_back({changed_[i].shard, child});
            }
        }
    }
    std::sort(changed_.begin(), changed_.end());
    changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
    std::erase_if(changed_,
                  [&](const Changed& c) { return trees_[c.shard].upper.size() <= level; });
}

Result<void> TwigForest::hash_upper_level(size_t level) {
    work_trees_.clear();
    dirty_.clear();
    next_changed_.clear();
    for (const auto& [shard, index] : changed_) {
        auto& tiles = trees_[shard].upper[level];
        const Changed parent{shard, index / upper_fan};
        while (tiles.size() <= parent.index) {
            tiles.push_back(new UpperTile);
            tiles.back()->epoch = epochs_.current;
            std::ranges::copy(null_upper_[level], tiles.back()->nodes);
        }
        if (next_changed_.empty() || next_changed_.back() != parent) {
            next_changed_.push_back(parent);
            work_trees_.push_back(writable(tiles[parent.index]).nodes);
        }
        const auto leaf = static_cast<uint32_t>(index % upper_fan);
        tiles[parent.index]->nodes[kernels::tree_leaf(upper_height, leaf)] =
            child_root(shard, level, index);
        dirty_.push_back({static_cast<uint32_t>(work_trees_.size() - 1), leaf});
    }
    return upper_hasher_.rehash(backend_, work_trees_, dirty_);
}

Result<Hash256> TwigForest::hash_top() {
    dirty_.clear();
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const uint64_t count = serial_count(shard);
        Hash256* const pair = top_.data() + kernels::tree_leaf(top_height, 2 * shard);
        pair[0] = grafted_node(shard, grafted_height(count), 0);
        pair[1] = shard_header(count);
        dirty_.push_back({0, 2 * shard});
    }
    Hash256* const tree = top_.data();
    MILLRACE_CHECK(top_hasher_.rehash(backend_, std::span{&tree, 1}, dirty_));
    return top_[1];
}

Hash256 ForestView::grafted_node(unsigned shard, unsigned height, uint64_t index) const noexcept {
    const ShardTree& t = trees_[shard];
    if (height <= tile_grafted_height) {
        const unsigned above = tile_grafted_height - height;
        const uint64_t tile = index >> above;
        if (tile >= t.tiles.size() || t.tiles[tile] == nullptr) { return nulls_->grafted[height]; }
        const uint64_t first = uint64_t{1} << above;
        return t.tiles[tile]->nodes[first + index % first];
    }
    const unsigned level = (height - tile_grafted_height - 1) / upper_height;
    const unsigned above = upper_height * (level + 1) - (height - tile_grafted_height);
    const uint64_t tile = index >> above;
    if (level >= t.upper.size() || tile >= t.upper[level].size()) {
        return nulls_->grafted[height];
    }
    const uint64_t first = uint64_t{1} << above;
    return t.upper[level][tile]->nodes[first + index % first];
}

Hash256 ForestView::top_node(unsigned height, unsigned index) const noexcept {
    return top_[(shard_count >> height) + index];
}

uint64_t ForestView::view_bytes() const noexcept {
    uint64_t total = 0;
    for (const ShardTree& t : trees_) {
        total += t.tiles.size() * sizeof(void*);
        for (const auto& level : t.upper) { total += level.size() * sizeof(void*); }
    }
    return total;
}

uint64_t TwigForest::bytes() const noexcept {
    uint64_t total = 0;
    for (const Shard& s : shards_) { total += s.open == nullptr ? 0 : sizeof(OpenChunk); }
    for (const ShardTree& t : trees_) {
        total += t.tiles.capacity() * sizeof(void*);
        for (const Tile* const tile : t.tiles) { total += tile == nullptr ? 0 : sizeof(Tile); }
        for (const auto& level : t.upper) { total += level.size() * sizeof(UpperTile); }
    }
    return total;
}

}  // namespace millrace::storage::qmdb
