// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of the log: frames, segment headers, records and state deltas. What a
// decoder accepts, its encoder has to give back byte for byte.
#include <algorithm>

#include "storage/wal/frame.hpp"
#include "storage/wal/record.hpp"

using namespace millrace;
using namespace millrace::storage;

namespace {

constexpr uint64_t payload_bytes_max = uint64_t{1} << 20;

void check_record(RecordKind kind, ByteView payload) {
    const auto record = decode_record(kind, payload);
    if (!record) {
        MILLRACE_ASSERT(!record.error().message.empty(), "a refusal says why");
        return;
    }
    MILLRACE_ASSERT(kind_of(*record) == kind, "a record is of the kind it was decoded as");
    Bytes again;
    encode_record(*record, again);
    MILLRACE_ASSERT(std::ranges::equal(again, payload), "the encoding of a record is canonical");
}

void check_delta(ByteView data) {
    const auto delta = decode_state_delta(data);
    if (!delta) { return; }
    Bytes again;
    encode_state_delta(*delta, again);
    MILLRACE_ASSERT(std::ranges::equal(again, data), "the encoding of a delta is canonical");
    MILLRACE_ASSERT(merge(*delta, *delta).is_canonical(), "merging keeps the canonical form");
}

void check_frame(ByteView data) {
    // Checksums stop a fuzzer at the door, so the structure behind them is checked without, and
    // then once more with checksums set right.
    if (const auto whole = read_frame(data, payload_bytes_max)) {
        MILLRACE_ASSERT(read_frame(data, payload_bytes_max, false).has_value(),
                        "what passes the checksums passes without them");
    }
    const auto frame = read_frame(data, payload_bytes_max, false);
    if (!frame) { return; }
    MILLRACE_ASSERT(frame->payload.data() + frame->payload.size() <= data.data() + data.size(),
                    "a payload lies within the input");
    Bytes written(frame_bytes(frame->payload.size()));
    write_frame(frame->header, frame->payload, written.data());
    const auto back = read_frame(written, payload_bytes_max);
    MILLRACE_ASSERT(back.has_value(), "a written frame can be read");
    MILLRACE_ASSERT(std::ranges::equal(back->payload, frame->payload), "with the same payload");
    MILLRACE_ASSERT(back->header.sequence == frame->header.sequence &&
                        back->header.epoch == frame->header.epoch &&
                        back->header.log_id == frame->header.log_id,
                    "and the same header");
    written[written.size() / 2] ^= 1;
    MILLRACE_ASSERT(!read_frame(written, payload_bytes_max).has_value(), "a flipped bit is seen");
    check_record(static_cast<RecordKind>(frame->header.kind), frame->payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) { return 0; }
    const ByteView rest{data + 1, size - 1};
    switch (data[0]) {
        case 0: check_frame(rest); break;
        case 1:
        case 2:
        case 3:
        case 4:
        case 5: check_record(static_cast<RecordKind>(data[0]), rest); break;
        case 6: check_delta(rest); break;
        default:
            if (const auto header = read_segment_header(rest)) {
                uint8_t out[sizeof(SegmentHeader)];
                write_segment_header(*header, out);
                MILLRACE_ASSERT(std::equal(out, out + sizeof out, rest.begin()),
                                "a segment header is written as it was read");
            }
            break;
    }
    return 0;
}
