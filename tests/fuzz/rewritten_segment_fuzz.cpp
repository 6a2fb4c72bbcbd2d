// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of rewritten segments: blocks of chunks, the frames, whole files.
#include <algorithm>
#include <cstring>

#include "storage/detail/header_crc.hpp"
#include "storage/io/crc32c.hpp"
#include "storage/qmdb/rewritten_segment.hpp"

using namespace millrace;
using namespace millrace::storage;

namespace {

bool lies_within(ByteView part, ByteView whole) {
    return part.empty() || (part.data() >= whole.data() &&
                            part.data() + part.size() <= whole.data() + whole.size());
}

void check_chunk(ByteView raw, const qmdb::ChunkRange& range) {
    for (uint64_t s = range.first; s < range.end; ++s) {
        const auto found = qmdb::find_record(raw, range, s);
        MILLRACE_ASSERT(!found || lies_within(*found, raw), "a record lies within its block");
    }
    const auto block = qmdb::decode_chunk_block(raw, range);
    if (!block) { return; }
    MILLRACE_ASSERT(block->records.size() + block->distances.size() == range.count(),
                    "each entry is kept or not");
    Bytes again;
    qmdb::encode_chunk_block(*block, again);
    MILLRACE_ASSERT(std::ranges::equal(again, raw), "there is one encoding");
    size_t record = 0;
    for (uint64_t s = range.first; s < range.end; ++s) {
        const auto found = qmdb::find_record(raw, range, s);
        MILLRACE_ASSERT(found && found->empty() == !block->is_kept(s), "both ways agree");
        if (block->is_kept(s)) {
            MILLRACE_ASSERT(found->data() == block->records[record++].data(), "on the record");
        }
    }
}

void check_frames(ByteView raw) {
    if (raw.empty()) { return; }
    const auto frames = qmdb::decode_frames(raw.subspan(1), raw[0]);
    if (!frames) { return; }
    Bytes again;
    for (const qmdb::RewrittenFrame& frame : *frames) { qmdb::encode_frame(frame, again); }
    MILLRACE_ASSERT(std::ranges::equal(again, raw.subspan(1)), "there is one encoding");
}

/// Sets all checksums of a file, so that what they guard is reached.
void seal(Bytes& file) {
    qmdb::SegmentHeader segment;
    qmdb::RewrittenHeader header;
    if (file.size() < qmdb::frame_alignment_bytes) { return; }
    std::memcpy(&segment, file.data(), sizeof segment);
    // It bounds the memory for the frames.
    segment.segment_bytes = std::min(segment.segment_bytes, uint64_t{1} << 20);
    qmdb::write_segment_header(segment, file.data());
    std::memcpy(&header, file.data() + sizeof segment, sizeof header);
    header.file_bytes = file.size();
    header.header_crc = storage::detail::crc_of(header);
    std::memcpy(file.data() + sizeof segment, &header, sizeof header);
    qmdb::BlockHeader block;
    for (size_t at = qmdb::frame_alignment_bytes; file.size() - at >= sizeof block;) {
        std::memcpy(&block, file.data() + at, sizeof block);
        const uint64_t bytes = sizeof block + (uint64_t{block.stored_bytes} + 7) / 8 * 8;
        if (bytes > file.size() - at) { return; }
        block.header_crc = 0;
        std::memcpy(file.data() + at, &block, sizeof block);
        block.header_crc = crc32c(ByteView{file}.subspan(at, bytes));
        std::memcpy(file.data() + at, &block, sizeof block);
        at += bytes;
    }
}

/// A file of its own content.
class InputFile final : public File {
public:
    explicit InputFile(ByteView data) : File("input"), data_(data) {}
    Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) const override {
        if (offset >= data_.size()) { return size_t{0}; }
        const size_t n = std::min<uint64_t>(into.size(), data_.size() - offset);
        std::memcpy(into.data(), data_.data() + offset, n);
        return n;
    }
    Result<void> write_at(uint64_t, ByteView) override { return refuse(); }
    Result<void> sync_data() override { return refuse(); }
    Result<uint64_t> size() const override { return uint64_t{data_.size()}; }
    Result<void> truncate(uint64_t) override { return refuse(); }
    Result<void> preallocate(uint64_t) override { return refuse(); }

private:
    static std::unexpected<Error> refuse() { return fail(ErrorCode::io, "it is only read"); }
    ByteView data_;
};

void check_file(ByteView input) {
    Bytes content{input.begin(), input.end()};
    seal(content);
    auto file =
        qmdb::SegmentFile::open(std::make_unique<InputFile>(content), content.size(), false);
    MILLRACE_ASSERT(file.has_value(), "nothing is mapped");
    const auto segment = qmdb::RewrittenSegment::open(*file);
    if (!segment) {
        MILLRACE_ASSERT(segment.error().code == ErrorCode::corrupt, "damage is called so");
        return;
    }
    const qmdb::RewrittenSegment& s = **segment;
    qmdb::BlockBuffer buffer;
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        for (uint64_t serial = s.first_serial(shard); serial < s.end_serial(shard); ++serial) {
            MILLRACE_ASSERT(s.record(*file, shard, serial, buffer).has_value(),
                            "what was opened is found");
        }
    }
    MILLRACE_ASSERT(s.frames(*file).has_value(), "and so are its frames");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) { return 0; }
    const ByteView input{data + 1, size - 1};
    switch (data[0] % 3) {
        case 0: {
            if (input.size() < 3) { break; }
            // Any range within a chunk.
            const uint64_t chunk = uint64_t{input[0]} * chunk_entries;
            const uint64_t first = chunk + input[1];
            const uint64_t most = chunk + chunk_entries - first;
            check_chunk(input.subspan(3), {first, first + 1 + input[2] % most});
            break;
        }
        case 1: check_frames(input); break;
        default: check_file(input); break;
    }
    return 0;
}
