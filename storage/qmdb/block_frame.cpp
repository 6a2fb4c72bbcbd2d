// SPDX-License-Identifier: Apache-2.0
// Owns building and reading of the payload of a frame.
#include "storage/qmdb/block_frame.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "storage/detail/page_buffer.hpp"
#include "storage/io/crc32c.hpp"

namespace millrace::storage::qmdb {
namespace {

constexpr size_t memory_bytes_min = size_t{1} << 20;

std::unexpected<Error> bad(const std::string& why) {
    return fail(ErrorCode::corrupt, "a frame of the entry log is not valid: " + why);
}

uint32_t load_u32(const uint8_t* at) noexcept {
    uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

}  // namespace

/// Page-aligned, so that it can be written past the page cache.
class BlockFrameBuilder::Memory {
public:
    explicit Memory(size_t bytes) : pages_(bytes) {}
    std::span<uint8_t> span() noexcept { return pages_.span(); }

private:
    detail::PageBuffer pages_;
};

BlockFrameBuilder::BlockFrameBuilder() : memory_(std::make_unique<Memory>(memory_bytes_min)) {}
BlockFrameBuilder::~BlockFrameBuilder() = default;

/// Room for `bytes` more and for the padding of the frame behind them.
uint8_t* BlockFrameBuilder::take(size_t bytes) {
    const size_t needed = used_ + bytes + frame_alignment_bytes;
    if (needed > memory_->span().size()) {
        auto larger = std::make_unique<Memory>(std::max(needed, 2 * memory_->span().size()));
        std::memcpy(larger->span().data(), memory_->span().data(), used_);
        memory_ = std::move(larger);
    }
    uint8_t* const at = memory_->span().data() + used_;
    used_ += bytes;
    return at;
}

uint64_t BlockFrameBuilder::memory_bytes() const noexcept {
    return memory_->span().size() + places_.capacity() * sizeof(Place) +
           retired_.capacity() * sizeof(RemovedKey);
}

void BlockFrameBuilder::begin() {
    used_ = 0;
    take(sizeof(FrameHeader) + section_headers_bytes);
    sections_ = {};
    places_.clear();
}

void BlockFrameBuilder::begin_shard(unsigned shard, uint64_t first_serial) {
    shard_ = shard;
    sections_[shard].first_serial = first_serial;
    first_place_[shard] = static_cast<uint32_t>(places_.size());
    retired_.clear();
}

void BlockFrameBuilder::add(const StateEntry& entry) {
    SectionHeader& section = sections_[shard_];
    MILLRACE_ASSERT(entry.serial == section.first_serial + section.entry_count,
                    "serial numbers are dense");
    const size_t start = used_;
    const size_t bound = sizeof(uint32_t) + entry_bytes_bound(entry.value.size());
    uint8_t* const at = take(bound);
    const size_t bytes = encode_entry(entry, at + sizeof(uint32_t));
    const uint32_t crc = crc32c({at + sizeof crc, bytes});
    std::memcpy(at, &crc, sizeof crc);
    used_ = start + sizeof crc + bytes;
    places_.push_back({static_cast<uint32_t>(start + sizeof crc - sizeof(FrameHeader)),
                       static_cast<uint32_t>(bytes)});
    ++section.entry_count;
}

void BlockFrameBuilder::retire(uint64_t serial, const Hash256& key) {
    retired_.push_back({serial, load_be64(key.data())});
}

void BlockFrameBuilder::end_shard() {
    SectionHeader& section = sections_[shard_];
    section.retired_count = static_cast<uint32_t>(retired_.size());
    if (section.entry_count == 0 && section.retired_count == 0) { return; }
    section.table_at = static_cast<uint32_t>(payload_bytes());
    const size_t words = section.entry_count + 1;
    uint8_t* at = take(words * sizeof(uint32_t) + retired_.size() * sizeof(RemovedKey));
    for (size_t i = 0; i + 1 < words; ++i) {
        const Place& place = places_[first_place_[shard_] + i];
        const auto distance =
            static_cast<uint32_t>(section.table_at - (place.at - sizeof(uint32_t)));
        std::memcpy(at, &distance, sizeof distance);
        at += sizeof distance;
    }
    std::memset(at, 0, sizeof(uint32_t));
    if (!retired_.empty()) {
        std::memcpy(at + sizeof(uint32_t), retired_.data(), retired_.size() * sizeof(RemovedKey));
    }
}

void BlockFrameBuilder::add_chunk_root(const Hash256& root) {
    std::memcpy(take(Hash256::size_bytes), root.data(), Hash256::size_bytes);
}

ByteView BlockFrameBuilder::encoded(unsigned shard, uint64_t serial) const noexcept {
    const Place& place = places_[first_place_[shard] + (serial - sections_[shard].first_serial)];
    return {memory_->span().data() + sizeof(FrameHeader) + place.at, place.bytes};
}

std::span<uint8_t> BlockFrameBuilder::frame() noexcept {
    std::memcpy(memory_->span().data() + sizeof(FrameHeader), sections_.data(),
                section_headers_bytes);
    return memory_->span();
}

RemovedKey Section::removed(size_t i) const noexcept {
    RemovedKey value;
    std::memcpy(&value, retired.data() + i * sizeof value, sizeof value);
    return value;
}

Result<std::array<Section, shard_count>> read_block_frame(ByteView payload) {
    if (payload.size() < section_headers_bytes) { return bad("it is too short"); }
    std::array<Section, shard_count> out;
    uint64_t at = section_headers_bytes;
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        Section& s = out[shard];
        std::memcpy(&s.header, payload.data() + shard * sizeof s.header, sizeof s.header);
        const SectionHeader& h = s.header;
        if (h.first_serial > serial_max || h.reserved != 0) { return bad("a section's header"); }
        if (h.entry_count == 0 && h.retired_count == 0) {
            if (h.table_at != 0) { return bad("an empty section has a place"); }
            continue;
        }
        const uint64_t table_bytes = (uint64_t{h.entry_count} + 1) * sizeof(uint32_t);
        const uint64_t retired_bytes = uint64_t{h.retired_count} * sizeof(RemovedKey);
        if (h.table_at < at || h.table_at + table_bytes + retired_bytes > payload.size()) {
            return bad("a section lies outside of it");
        }
        s.records = payload.subspan(at, h.table_at - at);
        s.table = payload.subspan(h.table_at, table_bytes);
        s.retired = payload.subspan(h.table_at + table_bytes, retired_bytes);
        at = h.table_at + table_bytes + retired_bytes;
    }
    for (Section& s : out) {
        const uint64_t roots_bytes =
            chunks_filled(s.header.first_serial, s.header.entry_count) * Hash256::size_bytes;
        if (roots_bytes > payload.size() - at) { return bad("roots of chunks are missing"); }
        s.chunk_roots = payload.subspan(at, roots_bytes);
        at += roots_bytes;
    }
    if (at != payload.size()) { return bad("bytes follow the last root"); }
    return out;
}

Result<uint64_t> chunk_root_place(ByteView headers, uint64_t payload_bytes, unsigned shard,
                                  uint64_t chunk) {
    uint64_t count = 0;
    std::optional<uint64_t> place;
    for (unsigned s = 0; s < shard_count && headers.size() >= section_headers_bytes; ++s) {
        SectionHeader h;
        std::memcpy(&h, headers.data() + s * sizeof h, sizeof h);
        if (h.first_serial > serial_max) { break; }
        const uint64_t filled = chunks_filled(h.first_serial, h.entry_count);
        const uint64_t first = h.first_serial / chunk_entries;
        if (s == shard && chunk >= first && chunk - first < filled) {
            place = count + (chunk - first);
        }
        count += filled;
    }
    const uint64_t bytes = count * Hash256::size_bytes;
    if (!place || bytes > payload_bytes) {
        return bad("the root of chunk " + std::to_string(chunk) + " of shard " +
                   std::to_string(shard) + " is not there");
    }
    return payload_bytes - bytes + *place * Hash256::size_bytes;
}

Result<ByteView> section_record(const Section& section, size_t i) {
    const uint32_t from = load_u32(section.table.data() + i * sizeof(uint32_t));
    const uint32_t to = load_u32(section.table.data() + (i + 1) * sizeof(uint32_t));
    if (from > section.records.size() || to > from) { return bad("a table is not in order"); }
    return section.records.subspan(section.records.size() - from, from - to);
}

Result<DecodedEntry> decode_record(ByteView record) {
    if (record.size() < sizeof(uint32_t) + entry_bytes_min) { return bad("a record is cut off"); }
    const ByteView encoded = record.subspan(sizeof(uint32_t));
    auto decoded = decode_entry(encoded);
    if (!decoded || decoded->bytes != encoded.size()) { return bad("a record is no entry"); }
    return decoded;
}

Result<StateEntry> read_record(ByteView record, uint64_t serial) {
    const auto wrong = [serial](const std::string& what) {
        return fail(ErrorCode::corrupt, "entry " + std::to_string(serial) + " of the log " + what +
                                            "; check the disk, then restore the data directory "
                                            "from a backup or a replica");
    };
    if (record.size() < sizeof(uint32_t) + entry_bytes_min) { return wrong("is cut off"); }
    if (load_u32(record.data()) != crc32c(record.subspan(sizeof(uint32_t)))) {
        return wrong("fails its checksum");
    }
    const auto decoded = decode_record(record);
    if (!decoded || decoded->entry.serial != serial) { return wrong("is another one"); }
    return decoded->entry;
}

}  // namespace millrace::storage::qmdb
