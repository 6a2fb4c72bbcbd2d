// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of the entry log: frames, segment headers, cuts and the sections of a
// payload.
#include <algorithm>

#include "storage/qmdb/block_frame.hpp"
#include "storage/qmdb/frame.hpp"
#include "storage/qmdb/log_cut.hpp"

using namespace millrace;
using namespace millrace::storage;

namespace {

bool lies_within(ByteView part, ByteView whole) {
    return part.empty() || (part.data() >= whole.data() &&
                            part.data() + part.size() <= whole.data() + whole.size());
}

void check_payload(ByteView payload) {
    const auto sections = qmdb::read_block_frame(payload);
    if (!sections) {
        MILLRACE_ASSERT(sections.error().code == ErrorCode::corrupt, "damage is called so");
        return;
    }
    for (const qmdb::Section& s : *sections) {
        MILLRACE_ASSERT(lies_within(s.records, payload) && lies_within(s.table, payload) &&
                            lies_within(s.retired, payload),
                        "a section lies within the payload");
        for (uint32_t i = 0; i < s.header.entry_count; ++i) {
            const auto record = qmdb::section_record(s, i);
            if (!record) { continue; }
            MILLRACE_ASSERT(lies_within(*record, s.records), "a record lies within its section");
            const uint64_t serial = s.header.first_serial + i;
            const auto entry = qmdb::read_record(*record, serial);
            MILLRACE_ASSERT(!entry || entry->serial == serial, "no other entry is given out");
        }
        for (uint32_t i = 0; i < s.header.retired_count; ++i) { (void)s.removed(i); }
        const auto shard = static_cast<unsigned>(&s - sections->data());
        const uint64_t first_chunk = s.header.first_serial / chunk_entries;
        for (size_t i = 0; i < s.chunk_root_count(); ++i) {
            const auto place = qmdb::chunk_root_place(payload.first(qmdb::section_headers_bytes),
                                                      payload.size(), shard, first_chunk + i);
            MILLRACE_ASSERT(place && Hash256::from(payload.subspan(*place, Hash256::size_bytes)) ==
                                         s.chunk_root(i),
                            "a root is where it is looked for");
        }
    }
}

void check_frame(ByteView data) {
    const qmdb::Frame frame = qmdb::read_frame(data, false);
    if (frame.state != qmdb::FrameState::valid) { return; }
    MILLRACE_ASSERT(lies_within(frame.payload, data), "a payload lies within the input");
    Bytes written(data.begin(), data.begin() + static_cast<ptrdiff_t>(
                                                   qmdb::frame_bytes(frame.header.payload_bytes)));
    qmdb::seal_frame(frame.header, frame.header.payload_bytes, written.data());
    MILLRACE_ASSERT(qmdb::read_frame(written).state == qmdb::FrameState::valid,
                    "a sealed frame can be read");
    written[sizeof frame.header / 2] ^= 1;
    MILLRACE_ASSERT(qmdb::read_frame(written).state == qmdb::FrameState::bad_header,
                    "a flipped bit is seen");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const ByteView input{data, size};
    check_payload(input);
    check_frame(input);
    (void)qmdb::read_segment_header(input);
    const auto cut = qmdb::decode_cut_record(input);
    MILLRACE_ASSERT(!cut || (cut->pending <= 1 && cut->end != 0), "a record makes sense");
    return 0;
}
