// SPDX-License-Identifier: Apache-2.0
// Owns the payload of a frame: the entries that one block appends to each shard, and those that it
// ends without a successor.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "storage/proof/state_tree.hpp"
#include "storage/qmdb/frame.hpp"

namespace millrace::storage::qmdb {

// Payload, little-endian: a SectionHeader for each shard, then the sections that are not empty in
// the order of shards. A section is
// - its entries: CRC-32C of the encoding (4 bytes), encoding (see StateEntry);
// - the table: for each entry its distance in bytes before the table (4 bytes), then a zero;
// - the serial numbers that were live and have no successor in this frame, each (8 bytes) followed
// by
//   the first 8 bytes of its key as a number, so that a removed key is found without reading.
// Then come, shard by shard, the roots of the chunks that became full with this block (32 bytes
// each), so that a start need not hash what is full.

struct SectionHeader {
    uint64_t first_serial = 0;  ///< of the entries; the shard's next one when there are none
    uint32_t entry_count = 0;
    uint32_t retired_count = 0;
    uint32_t table_at = 0;  ///< from the payload's start; 0 for an empty section
    uint32_t reserved = 0;
};
static_assert(sizeof(SectionHeader) == 24);

inline constexpr size_t section_headers_bytes = shard_count * sizeof(SectionHeader);
inline constexpr size_t block_frame_overhead_bytes =
    shard_count * (sizeof(SectionHeader) + sizeof(uint32_t));
/// How many chunks become full with `count` entries from `first` on.
constexpr uint64_t chunks_filled(uint64_t first, uint64_t count) noexcept {
    return (first + count) / chunk_entries - first / chunk_entries;
}
/// What an entry with a value of the greatest length takes with its place in the table.
inline constexpr size_t stored_entry_bytes_max =
    entry_bytes_bound(entry_value_bytes_max) + 2 * sizeof(uint32_t);

/// A key that a block removed, with its last serial number; as it lies in the payload.
struct RemovedKey {
    uint64_t serial = 0;
    uint64_t head = 0;  ///< its first 8 bytes, big-endian
};
static_assert(sizeof(RemovedKey) == 16);

/// Builds the frame of one block. The memory stays for the next one.
class BlockFrameBuilder {
public:
    BlockFrameBuilder();
    ~BlockFrameBuilder();

    void begin();
    /// Shards come in ascending order.
    void begin_shard(unsigned shard, uint64_t first_serial);
    /// The entry's serial number is the next one of the shard. Its value may not lie in this frame.
    void add(const StateEntry& entry);
    void retire(uint64_t serial, const Hash256& key);
    void end_shard();
    /// After the last shard, in the order of shards: the roots of the chunks that became full.
    void add_chunk_root(const Hash256& root);

    const SectionHeader& section(unsigned shard) const noexcept { return sections_[shard]; }
    /// The encoding of an entry of this frame; valid until something is added.
    ByteView encoded(unsigned shard, uint64_t serial) const noexcept;
    /// Whether the frame has an entry with this serial number.
    bool has(unsigned shard, uint64_t serial) const noexcept {
        const SectionHeader& s = sections_[shard];
        return serial >= s.first_serial && serial - s.first_serial < s.entry_count;
    }
    uint64_t entry_count() const noexcept { return places_.size(); }

    /// What EntryLog::append takes, after the last root.
    std::span<uint8_t> frame() noexcept;
    uint64_t payload_bytes() const noexcept { return used_ - sizeof(FrameHeader); }
    /// Memory taken, mostly for the largest frame so far.
    uint64_t memory_bytes() const noexcept;

private:
    struct Place {
        uint32_t at = 0;  ///< of the encoding, from the payload's start
        uint32_t bytes = 0;
    };
    uint8_t* take(size_t bytes);

    class Memory;
    std::unique_ptr<Memory> memory_;
    size_t used_ = 0;
    unsigned shard_ = 0;
    std::array<SectionHeader, shard_count> sections_;
    std::array<uint32_t, shard_count> first_place_{};
    std::vector<Place> places_;
    std::vector<RemovedKey> retired_;  ///< of the shard at hand
};

/// A section that was read back; views into the payload.
struct Section {
    SectionHeader header;
    ByteView records;  ///< from the first entry to the table
    ByteView table;
    ByteView retired;
    ByteView chunk_roots;

    RemovedKey removed(size_t i) const noexcept;
    size_t chunk_root_count() const noexcept { return chunk_roots.size() / Hash256::size_bytes; }
    Hash256 chunk_root(size_t i) const noexcept {
        return Hash256::from(chunk_roots.subspan(i * Hash256::size_bytes, Hash256::size_bytes));
    }
};
/// Finds the sections of a payload. `ErrorCode::corrupt` when they are not what the builder makes;
/// entries are not looked at.
Result<std::array<Section, shard_count>> read_block_frame(ByteView payload);
/// Where in a payload the root of a chunk is that its block filled; `headers` are the payload's
/// section_headers_bytes. `ErrorCode::corrupt` when it is not there.
Result<uint64_t> chunk_root_place(ByteView headers, uint64_t payload_bytes, unsigned shard,
                                  uint64_t chunk);
/// The encoding of entry `i` of a section. `ErrorCode::corrupt` when the place is wrong.
Result<ByteView> section_record(const Section& section, size_t i);

/// Decodes a record (checksum and encoding) whose checksum is known to be right.
/// `ErrorCode::corrupt` unless it is an entry and nothing else.
Result<DecodedEntry> decode_record(ByteView record);
/// Checks the checksum of a record (checksum and encoding) and decodes it. `ErrorCode::corrupt`
/// unless it is the entry with that serial number.
Result<StateEntry> read_record(ByteView record, uint64_t serial);

}  // namespace millrace::storage::qmdb
