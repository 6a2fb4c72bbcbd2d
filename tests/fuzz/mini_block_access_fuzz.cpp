// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of a mini-block's access. What the decoder accepts is canonical and encodes
// back to the same bytes; what it refuses has a reason.
#include <algorithm>

#include "net/sync/access_codec.hpp"

using namespace millrace;
using namespace millrace::sync;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static MiniBlockAccess access;  // used again, as a node does
    const ByteView input{data, size};
    const auto decoded = decode_access(input, access);
    if (!decoded) {
        MILLRACE_ASSERT(!decoded.error().message.empty(), "a refusal says why");
        return 0;
    }
    MILLRACE_ASSERT(check_canonical(access).has_value(), "what is decoded is canonical");
    Bytes again;
    MILLRACE_ASSERT(encode_access(access, again).has_value(), "and can be encoded");
    MILLRACE_ASSERT(std::ranges::equal(again, input), "to the same bytes");
    return 0;
}
