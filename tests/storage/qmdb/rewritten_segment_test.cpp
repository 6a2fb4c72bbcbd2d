// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the encoding of rewritten segments.
#include "storage/qmdb/rewritten_segment.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "kernels/tree/node_hash.hpp"
#include "storage/io/crc32c.hpp"

namespace millrace::storage::qmdb {
namespace {

Bytes record_of(uint64_t serial, size_t value_bytes, uint8_t fill) {
    const Bytes value(value_bytes, fill);
    StateEntry entry;
    entry.serial = serial;
    entry.key[0] = fill;
    entry.height = 3;
    entry.previous_distance = serial % 5;
    entry.value = value;
    Bytes out(sizeof(uint32_t) + entry_bytes_bound(value_bytes));
    out.resize(sizeof(uint32_t) + encode_entry(entry, out.data() + sizeof(uint32_t)));
    const uint32_t crc = crc32c(ByteView{out}.subspan(sizeof crc));
    std::memcpy(out.data(), &crc, sizeof crc);
    return out;
}

struct Chunk {
    Chunk(ChunkRange range, unsigned kept_of_16, std::mt19937_64& random) {
        block.range = range;
        for (uint64_t s = range.first; s < range.end; ++s) {
            if (random() % 16 < kept_of_16) {
                block.kept[s % chunk_entries / 8] |= static_cast<uint8_t>(1u << (s % 8));
                memory.push_back(record_of(s, random() % 513, static_cast<uint8_t>(random())));
            } else {
                block.distances.push_back(random() % (s + 1));
            }
        }
        for (const Bytes& record : memory) { block.records.emplace_back(record); }
        if (range.has_root()) { block.root = Hash256{}; }
        block.places = dropped_nodes(range, block.kept);
        for (size_t i = 0; i < block.places.size(); ++i) {
            Hash256 node;
            node[0] = static_cast<uint8_t>(i);
            block.nodes.push_back(node);
        }
    }
    std::vector<Bytes> memory;
    ChunkBlock block;
};

const ChunkRange ranges[] = {{0, 256},   {256, 512},  {700, 768},
                             {512, 513}, {769, 1000}, {1023, 1024}};

TEST(RewrittenSegment, AChunkIsReadBackAndFoundRecordByRecord) {
    std::mt19937_64 random{3};
    for (const ChunkRange& range : ranges) {
        for (const unsigned kept : {0, 1, 8, 15, 16}) {
            const Chunk chunk{range, kept, random};
            Bytes raw;
            encode_chunk_block(chunk.block, raw);
            EXPECT_LE(raw.size(), chunk_block_bytes_max);
            const auto decoded = decode_chunk_block(raw, range);
            ASSERT_TRUE(decoded);
            EXPECT_EQ(decoded->kept, chunk.block.kept);
            EXPECT_EQ(decoded->root, chunk.block.root);
            EXPECT_EQ(decoded->distances, chunk.block.distances);
            EXPECT_EQ(decoded->nodes, chunk.block.nodes);
            ASSERT_EQ(decoded->records.size(), chunk.memory.size());
            size_t record = 0;
            for (uint64_t s = range.first; s < range.end; ++s) {
                const auto found = find_record(raw, range, s);
                ASSERT_TRUE(found);
                const Bytes none;
                const Bytes& expected = chunk.block.is_kept(s) ? chunk.memory[record++] : none;
                EXPECT_TRUE(std::ranges::equal(*found, expected)) << s;
            }
            // Shorter by anything, or longer, it is none.
            for (size_t bytes = 0; bytes < raw.size(); bytes += 1 + bytes / 7) {
                EXPECT_FALSE(decode_chunk_block(ByteView{raw}.first(bytes), range));
            }
            raw.push_back(0);
            EXPECT_FALSE(decode_chunk_block(raw, range));
        }
    }
}

TEST(RewrittenSegment, BitsOutsideOfTheRangeAreRefused) {
    std::mt19937_64 random{4};
    const ChunkRange range{700, 768};
    Bytes raw;
    encode_chunk_block(Chunk{range, 8, random}.block, raw);
    raw[0] |= 1;
    EXPECT_FALSE(decode_chunk_block(raw, range));
}

/// Word by word: a node is dropped when all of its leaves are, and is named when its parent is not.
std::vector<uint16_t> naive_dropped(const ChunkRange& range, const ActiveBits& kept) {
    std::vector<bool> dropped(2 * chunk_entries);
    for (uint64_t i = 0; i < chunk_entries; ++i) {
        const uint64_t serial = range.first / chunk_entries * chunk_entries + i;
        dropped[chunk_entries + i] =
            serial >= range.first && serial < range.end && !is_active(kept, serial);
    }
    for (size_t node = chunk_entries - 1; node != 0; --node) {
        dropped[node] = dropped[2 * node] && dropped[2 * node + 1];
    }
    std::vector<uint16_t> out;
    for (size_t node = 2; node < 2 * chunk_entries; ++node) {
        if (dropped[node] && !dropped[node / 2]) { out.push_back(static_cast<uint16_t>(node)); }
    }
    // From left to right.
    std::ranges::sort(out, {}, [](uint16_t node) {
        size_t leaf = node;
        while (leaf < chunk_entries) { leaf *= 2; }
        return leaf;
    });
    return out;
}

TEST(RewrittenSegment, TheDroppedNodesAreTheGreatestSubtrees) {
    std::mt19937_64 random{5};
    for (const ChunkRange& range : ranges) {
        for (int i = 0; i < 200; ++i) {
            const Chunk chunk{range, static_cast<unsigned>(random() % 17), random};
            EXPECT_EQ(chunk.block.places, naive_dropped(range, chunk.block.kept));
        }
    }
    EXPECT_TRUE(dropped_nodes({256, 512}, {}).empty());
    EXPECT_EQ(dropped_nodes({256, 384}, {}), std::vector<uint16_t>{2});
}

TEST(RewrittenSegment, FramesAreReadBack) {
    std::mt19937_64 random{6};
    Bytes raw;
    std::vector<RewrittenFrame> frames(3);
    for (RewrittenFrame& frame : frames) {
        frame.header.sequence = random();
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            frame.entry_count[shard] = static_cast<uint32_t>(random());
            frame.removed[shard].resize(random() % 3, {random(), random()});
        }
        encode_frame(frame, raw);
    }
    const auto decoded = decode_frames(raw, 3);
    ASSERT_TRUE(decoded);
    Bytes again;
    for (const RewrittenFrame& frame : *decoded) { encode_frame(frame, again); }
    EXPECT_EQ(again, raw);
    EXPECT_FALSE(decode_frames(raw, 2));
    EXPECT_FALSE(decode_frames(raw, 4));
    EXPECT_FALSE(decode_frames(raw, ~uint32_t{0}));
    EXPECT_FALSE(decode_frames(ByteView{raw}.first(raw.size() - 1), 3));
}

TEST(RewrittenSegment, ABlockIsStoredAsItIsUnlessThatSavesAQuarter) {
    BlockEncoder encoder;
    std::mt19937_64 random{7};
    Bytes noise(1000);
    for (uint8_t& b : noise) { b = static_cast<uint8_t>(random()); }
    Bytes out;
    ASSERT_TRUE(encoder.encode(5, noise, out));
    EXPECT_EQ(out.size(), sizeof(BlockHeader) + 1000);
    EXPECT_TRUE(std::equal(noise.begin(), noise.end(), out.begin() + sizeof(BlockHeader)));
    out.clear();
    const Bytes same(1000, 9);
    ASSERT_TRUE(encoder.encode(5, same, out));
    EXPECT_LT(out.size(), 100u);
    EXPECT_EQ(out.size() % 8, 0u);
    BlockHeader header;
    std::memcpy(&header, out.data(), sizeof header);
    BlockBuffer buffer;
    const ByteView stored = ByteView{out}.subspan(sizeof header, header.stored_bytes);
    ASSERT_TRUE(buffer.decompress(stored, 1000));
    EXPECT_TRUE(std::ranges::equal(buffer.raw(), same));
    // Neither more nor less than the header says.
    EXPECT_FALSE(buffer.decompress(stored, 999));
    EXPECT_FALSE(buffer.decompress(stored, 1001));
    EXPECT_FALSE(buffer.decompress(stored.first(stored.size() - 1), 1000));
}

}  // namespace
}  // namespace millrace::storage::qmdb
