// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of the RLP decoder: what it accepts must encode back to the same bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "host/base/rlp.hpp"

namespace {

using millrace::Bytes;
using millrace::ByteView;
using millrace::Result;
namespace rlp = millrace::rlp;

constexpr int depth_max = 64;

/// Appends the encoding of the items of `r` to `out`. Below depth_max an item is taken as it is,
/// so that a deep input costs no stack.
Result<void> reencode(rlp::Reader r, int depth, Bytes& out) {
    while (!r.at_end()) {
        if (depth == depth_max) {
            MILLRACE_TRY(const ByteView raw, r.raw_item());
            out.insert(out.end(), raw.begin(), raw.end());
        } else if (r.next_is_list()) {
            MILLRACE_TRY(const rlp::Reader inner, r.list());
            Bytes payload;
            MILLRACE_CHECK(reencode(inner, depth + 1, payload));
            rlp::append_list(out, payload);
        } else {
            MILLRACE_TRY(const ByteView text, r.bytes());
            rlp::append_bytes(out, text);
        }
    }
    return r.end();
}

bool same(ByteView a, ByteView b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

/// The first item read as a number, an address and a hash.
void read_typed(ByteView input) {
    const auto raw = rlp::Reader{input}.raw_item();
    if (const auto wide = rlp::Reader{input}.u256()) {
        MILLRACE_ASSERT(raw.has_value(), "a number is an item");
        MILLRACE_ASSERT(same(rlp::encode(*wide), *raw), "a number has one encoding");
        const auto narrow = rlp::Reader{input}.u64();
        MILLRACE_ASSERT(narrow.has_value() == wide->fits_u64(), "64 bits are read as 64 bits");
        MILLRACE_ASSERT(!narrow || *narrow == wide->low64(), "both readings agree");
    } else {
        MILLRACE_ASSERT(!rlp::Reader{input}.u64(), "a u64 is a u256");
    }
    if (const auto address = rlp::Reader{input}.address()) {
        MILLRACE_ASSERT(same(rlp::encode(address->view()), *raw), "an address has one encoding");
        MILLRACE_ASSERT(!rlp::Reader{input}.hash(), "no item has two lengths");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const ByteView input{data, size};
    read_typed(input);
    const auto items = rlp::Reader{input}.count();
    Bytes out;
    const auto accepted = reencode(rlp::Reader{input}, 0, out);
    MILLRACE_ASSERT(items.has_value() || !accepted, "a malformed top level is never accepted");
    if (accepted) { MILLRACE_ASSERT(same(out, input), "what is accepted is canonical"); }
    const auto list = rlp::read_list(input);
    MILLRACE_ASSERT(list.has_value() == (items && *items == 1 && data[0] >= 0xc0),
                    "a whole list is exactly one item");
    return 0;
}
