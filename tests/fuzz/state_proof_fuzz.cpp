// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of state proofs: what a decoder accepts encodes back to the same bytes, and
// the verifier takes anything.
#include <algorithm>

#include "storage/proof/state_proof.hpp"

using namespace millrace;
using namespace millrace::storage;

namespace {

void check_entry(ByteView data) {
    const auto decoded = decode_entry(data);
    if (!decoded) {
        MILLRACE_ASSERT(!decoded.error().message.empty(), "a refusal says why");
        return;
    }
    Bytes again(entry_bytes_bound(decoded->entry.value.size()));
    again.resize(encode_entry(decoded->entry, again.data()));
    MILLRACE_ASSERT(std::ranges::equal(again, data.first(decoded->bytes)),
                    "the encoding of an entry is canonical");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const StateVerifier verifier{kernels::NodeHash::blake3};
    const ByteView input{data, size};
    check_entry(input);
    const auto proof = decode_state_proof(input);
    if (!proof) { return 0; }
    Bytes again;
    encode_state_proof(*proof, again);
    MILLRACE_ASSERT(std::ranges::equal(again, input), "the encoding of a proof is canonical");
    check_entry(proof->entry);
    Hash256 key;
    key[0] = size == 0 ? 0 : data[size - 1];
    key[1] = 1;
    const auto verified = verifier.verify(Hash256{}, key, *proof);
    MILLRACE_ASSERT(!verified.has_value(), "nothing is proven under a root without a pre-image");
    return 0;
}
