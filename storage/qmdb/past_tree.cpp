// SPDX-License-Identifier: Apache-2.0
// Owns going back from a tree to that of an earlier block, in memory and for readers only.
#include "storage/qmdb/detail/past_tree.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace millrace::storage::qmdb::detail {
namespace {

std::unexpected<Error> corrupt(const std::string& what) {
    return fail(ErrorCode::corrupt, "the log does not lead back to an earlier state: " + what +
                                        "; check the disk, then restore the data directory from a "
                                        "backup or a replica");
}

/// From 2 * count children to count parents.
Result<std::vector<Hash256>> hash_pairs(kernels::NodeHash hash, kernels::Backend backend,
                                        std::span<const Hash256> children) {
    static_assert(sizeof(Hash256) == Hash256::size_bytes);
    std::vector<ByteView> messages(children.size() / 2);
    for (size_t i = 0; i < messages.size(); ++i) {
        messages[i] = {children[2 * i].data(), 2 * Hash256::size_bytes};
    }
    std::vector<Hash256> out(messages.size());
    MILLRACE_CHECK(hash_leaves(hash, backend, messages, out));
    return out;
}

void set_active(ActiveBits& bits, uint64_t serial) noexcept {
    bits[serial % chunk_entries / 8] |= static_cast<uint8_t>(1u << (serial % 8));
}

}  // namespace

Result<Hash256> logged_chunk_root(const LogReader& log, const EntryDirectory& directory,
                                  const BlockList& list, unsigned shard, uint64_t chunk) {
    const auto run = directory.find(shard, (chunk + 1) * chunk_entries - 1);
    if (!run || list.blocks.empty() || list.blocks.front().payload_at > run->table_at) {
        return corrupt("a full chunk has no place");
    }
    if (const SegmentFile* const file = log.segment_at(run->table_at);
        file != nullptr && file->rewritten() != nullptr) {
        if (!file->rewritten()->has(shard, (chunk + 1) * chunk_entries - 1)) {
            return corrupt("a full chunk is not where it should be");
        }
        BlockBuffer buffer;
        MILLRACE_TRY(const ChunkBlock block, file->rewritten()->chunk(*file, shard, chunk, buffer));
        return block.root.value();
    }
    const LogPosition payload_at = list.blocks[list.index_at(run->table_at)].payload_at;
    std::array<uint8_t, sizeof(FrameHeader) + section_headers_bytes> memory;
    MILLRACE_TRY(const ByteView head,
                 log.read(payload_at - sizeof(FrameHeader), memory.size(), memory));
    if (head.size() != memory.size()) { return corrupt("a frame is cut off"); }
    FrameHeader header;
    std::memcpy(&header, head.data(), sizeof header);
    MILLRACE_TRY(const uint64_t place,
                 chunk_root_place(head.subspan(sizeof header), header.payload_bytes, shard, chunk));
    std::array<uint8_t, Hash256::size_bytes> root;
    MILLRACE_TRY(const ByteView found, log.read(payload_at + place, root.size(), root));
    if (found.size() != root.size()) { return corrupt("a frame is cut off"); }
    // A wrong one is found out by the root of the state.
    return Hash256::from(found);
}

Result<std::shared_ptr<const PastTree>> PastTree::make(const Later& later, size_t count) {
    MILLRACE_ASSERT(count != 0 && count < later.list.blocks.size(), "an earlier block is meant");
    std::shared_ptr<PastTree> tree{new PastTree(later)};
    MILLRACE_CHECK(tree->read_blocks(count));
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        MILLRACE_CHECK(tree->note_changed(shard));
        MILLRACE_CHECK(tree->sort_by_key(shard));
    }
    MILLRACE_CHECK(tree->hash_levels());
    const CommittedBlock& block = later.list.blocks[count - 1];
    if (tree->top_[1] != block.root) {
        return corrupt("its entries do not have the root of block " + std::to_string(block.height));
    }
    return tree;
}

/// Finds what ended since.
Result<void> PastTree::read_blocks(size_t count) {
    Bytes scratch;
    for (size_t i = count; i < later_.list.blocks.size(); ++i) {
        const CommittedBlock& block = later_.list.blocks[i];
        MILLRACE_TRY(const Frame frame, later_.log.read_frame_at(block.payload_at, scratch));
        if (frame.header.height != block.height) { return corrupt("a frame is of another block"); }
        MILLRACE_TRY(const auto sections, read_block_frame(frame.payload));
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            Shard& s = shards_[shard];
            const Section& section = sections[shard];
            if (i == count) { s.serial_count = section.header.first_serial; }
            for (uint32_t k = 0; k < section.header.entry_count; ++k) {
                MILLRACE_TRY(const ByteView record, section_record(section, k));
                MILLRACE_TRY(const DecodedEntry decoded, decode_record(record));
                const StateEntry& e = decoded.entry;
                if (e.has_previous() && e.previous() < s.serial_count) {
                    s.ended.push_back({load_be64(e.key.data()), e.previous()});
                }
            }
            for (uint32_t k = 0; k < section.header.retired_count; ++k) {
                const RemovedKey removed = section.removed(k);
                if (removed.serial < s.serial_count) {
                    s.ended.push_back({removed.head, removed.serial});
                }
            }
        }
    }
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const uint64_t serials = shards_[shard].serial_count;
        if (serials == 0 || serials > later_.forest.serial_count(shard)) {
            return corrupt("shard " + std::to_string(shard) + " has lost its end");
        }
    }
    return {};
}

/// The chunks whose bits are others, and the last one, behind which nothing was.
Result<void> PastTree::note_changed(unsigned shard) {
    Shard& s = shards_[shard];
    std::ranges::sort(s.ended, {}, &Ended::serial);
    const auto begin = [&](uint64_t chunk) {
        ActiveBits bits = later_.forest.bits(shard, chunk);
        for (uint64_t serial = s.serial_count; serial < (chunk + 1) * chunk_entries; ++serial) {
            bits[serial % chunk_entries / 8] &= static_cast<uint8_t>(~(1u << (serial % 8)));
        }
        s.changed.push_back({chunk, bits});
    };
    for (const Ended& e : s.ended) {
        const uint64_t chunk = e.serial / chunk_entries;
        if (s.changed.empty() || s.changed.back().chunk != chunk) { begin(chunk); }
        if (is_active(s.changed.back().bits, e.serial)) {
            return corrupt("entry " + std::to_string(e.serial) + " of shard " +
                           std::to_string(shard) + " ends twice");
        }
        set_active(s.changed.back().bits, e.serial);
    }
    if (s.changed.empty() || s.changed.back().chunk != last_chunk(shard)) {
        begin(last_chunk(shard));
    }
    return {};
}

Result<void> PastTree::sort_by_key(unsigned shard) {
    auto& ended = shards_[shard].ended;
    std::ranges::sort(ended, {}, &Ended::head);
    // Keys whose first 8 bytes are the same are put in order by the log.
    EntryReader reader{later_.log, later_.directory, nullptr};
    for (auto from = ended.begin(); from != ended.end();) {
        const auto to =
            std::find_if(from, ended.end(), [&](const Ended& e) { return e.head != from->head; });
        if (to - from > 1) {
            std::vector<std::pair<Hash256, Ended>> whole;
            for (auto it = from; it != to; ++it) {
                MILLRACE_TRY(const StateEntry entry, reader.read(shard, it->serial));
                whole.emplace_back(entry.key, *it);
                reader.release();
            }
            std::ranges::sort(whole, {}, [](const auto& w) { return w.first; });
            std::ranges::transform(whole, from, [](const auto& w) { return w.second; });
        }
        from = to;
    }
    return {};
}

Result<Hash256> PastTree::open_chunk_root(unsigned shard) const {
    EntryReader reader{later_.log, later_.directory, nullptr};
    PastReader state{*this, {}, later_.forest, reader};
    Prover prover{state, reader, later_.forest.hash(), later_.forest.nulls(), later_.backend};
    return prover.chunk_root(shard, last_chunk(shard));
}

/// The root of a changed chunk, above whose pair with these bits the grafted tree begins.
Result<Hash256> PastTree::chunk_node_root(unsigned shard, uint64_t chunk,
                                          const ActiveBits& bits) const {
    if ((chunk + 1) * chunk_entries > shards_[shard].serial_count) {
        return open_chunk_root(shard);
    }
    // Full, and nothing of it lives: then it stands for nothing.
    if (bits.is_zero()) { return later_.forest.nulls().plain[chunk_height]; }
    if (!later_.forest.bits(shard, chunk).is_zero()) {
        return later_.forest.chunk_root(shard, chunk);
    }
    return logged_chunk_root(later_.log, later_.directory, later_.list, shard, chunk);
}

/// Level by level, those of all shards together.
Result<void> PastTree::hash_levels() {
    const kernels::NodeHash hash = later_.forest.hash();
    std::vector<Hash256> children;
    unsigned height_max = 0;
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        Shard& s = shards_[shard];
        const unsigned height = grafted_height(s.serial_count);
        height_max = std::max(height_max, height);
        s.levels.resize(height + 1);
        for (const ChangedChunk& c : s.changed) {
            MILLRACE_TRY(const Hash256 root, chunk_node_root(shard, c.chunk, c.bits));
            children.push_back(root);
            children.push_back(c.bits);
            s.levels[0].emplace_back(c.chunk, Hash256{});
        }
    }
    for (unsigned h = 0;; ++h) {
        MILLRACE_TRY(const auto nodes, hash_pairs(hash, later_.backend, children));
        children.clear();
        auto node = nodes.begin();
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            Shard& s = shards_[shard];
            if (h >= s.levels.size()) { continue; }
            for (auto& [index, value] : s.levels[h]) { value = *node++; }
            if (h + 1 == s.levels.size()) { continue; }
            for (const auto& [index, value] : s.levels[h]) {
                Level& above = s.levels[h + 1];
                if (!above.empty() && above.back().first == index / 2) { continue; }
                above.emplace_back(index / 2, Hash256{});
                children.push_back(grafted_node(shard, h, index & ~uint64_t{1}));
                children.push_back(grafted_node(shard, h, index | 1));
            }
        }
        if (h == height_max) { break; }
    }
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const Shard& s = shards_[shard];
        top_[shard_count + shard] =
            pair_hash(hash, s.levels.back()[0].second, shard_header(s.serial_count));
    }
    for (size_t i = shard_count - 1; i != 0; --i) {
        top_[i] = pair_hash(hash, top_[2 * i], top_[2 * i + 1]);
    }
    return {};
}

ActiveBits PastTree::bits(unsigned shard, uint64_t chunk) const noexcept {
    const Shard& s = shards_[shard];
    if (chunk > last_chunk(shard)) { return {}; }
    const auto it = std::ranges::lower_bound(s.changed, chunk, {}, &ChangedChunk::chunk);
    if (it != s.changed.end() && it->chunk == chunk) { return it->bits; }
    return later_.forest.bits(shard, chunk);
}

Hash256 PastTree::grafted_node(unsigned shard, unsigned height, uint64_t index) const noexcept {
    const Shard& s = shards_[shard];
    if (index > last_chunk(shard) >> height) { return later_.forest.nulls().grafted[height]; }
    const Level& level = s.levels[height];
    const auto it =
        std::ranges::lower_bound(level, index, {}, [](const auto& n) { return n.first; });
    if (it != level.end() && it->first == index) { return it->second; }
    return later_.forest.grafted_node(shard, height, index);
}

Result<std::optional<uint64_t>> PastTree::find_ended(const Hash256& key,
                                                     EntryReader& reader) const {
    const unsigned shard = shard_of(key);
    const uint64_t head = load_be64(key.data());
    for (const Ended& e : std::ranges::equal_range(shards_[shard].ended, head, {}, &Ended::head)) {
        MILLRACE_TRY(const StateEntry entry, reader.read(shard, e.serial));
        if (entry.key == key) { return std::optional{e.serial}; }
    }
    return std::nullopt;
}

Result<std::optional<uint64_t>> PastTree::ended_below(const Hash256& key,
                                                      EntryReader& reader) const {
    const unsigned shard = shard_of(key);
    const auto& ended = shards_[shard].ended;
    const uint64_t head = load_be64(key.data());
    auto it = std::ranges::upper_bound(ended, head, {}, &Ended::head);
    while (it != ended.begin()) {
        --it;
        if (it->head == head) {
            MILLRACE_TRY(const StateEntry entry, reader.read(shard, it->serial));
            if (!(entry.key < key)) { continue; }
        }
        return std::optional{it->serial};
    }
    return std::nullopt;
}

/// What was live then is what is live still and not newer, and what ended since.
Result<ProvenState::Neighbour> PastReader::neighbour(const Hash256& key) {
    const unsigned shard = shard_of(key);
    ShardKeys keys{reader_, later_, shard};
    const uint64_t end = tree_.serial_count(shard);
    const auto widened = [&](uint32_t low) { return widen(later_.serial_count(shard), low); };
    MILLRACE_TRY(const auto now, indexes_[shard]->find(key, keys));
    std::optional<uint64_t> serial;
    if (now && widened(*now) < end) { serial = widened(*now); }
    if (!serial) { MILLRACE_TRY(serial, tree_.find_ended(key, reader_)); }
    if (serial) {
        MILLRACE_TRY(const StateEntry entry, reader_.read(shard, *serial));
        return Neighbour{entry, true};
    }
    MILLRACE_TRY(const auto kept, indexes_[shard]->predecessor_if(
                                      key, keys, [&](uint32_t low) { return widened(low) < end; }));
    MILLRACE_TRY(const auto ended, tree_.ended_below(key, reader_));
    std::optional<StateEntry> found;
    if (kept) { MILLRACE_TRY(found, reader_.read(shard, widened(*kept))); }
    if (ended) {
        MILLRACE_TRY(const StateEntry entry, reader_.read(shard, *ended));
        if (!found || found->key < entry.key) { found = entry; }
    }
    if (!found) { return no_predecessor(shard); }
    return Neighbour{*found, false};
}

}  // namespace millrace::storage::qmdb::detail
