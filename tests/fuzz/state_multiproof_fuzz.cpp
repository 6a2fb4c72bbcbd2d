// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of multiproofs: what the decoder accepts encodes back to the same bytes, and
// the verifier takes anything.
#include <algorithm>

#include "storage/proof/state_multiproof.hpp"

using namespace millrace;
using namespace millrace::storage;

namespace {

/// Keys that fit the shards and forms of the entries as far as that goes, so that the verifier
/// comes as far as the root.
std::vector<Hash256> keys_for(const StateMultiproof& proof) {
    std::vector<Hash256> keys;
    for (const auto& shard : proof.shards) {
        Hash256 key = sentinel_key(shard.index);
        const auto take = [&] {
            for (size_t i = 24; i-- > 0 && ++key[i] == 0;) {}
            keys.push_back(key);
        };
        for (const auto& entry : shard.entries) {
            if (entry.key && key < *entry.key) { key = *entry.key; }
            if (!entry.key) { take(); }
            for (uint32_t i = 0; i < entry.absent_count; ++i) { take(); }
        }
    }
    return keys;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const StateMultiproofVerifier verifier{kernels::NodeHash::blake3};
    const ByteView input{data, size};
    const auto proof = decode_state_multiproof(input);
    if (!proof) {
        MILLRACE_ASSERT(!proof.error().message.empty(), "a refusal says why");
        return 0;
    }
    Bytes again;
    encode_state_multiproof(*proof, again);
    MILLRACE_ASSERT(std::ranges::equal(again, input), "the encoding of a multiproof is canonical");
    const std::vector<Hash256> keys = keys_for(*proof);
    MILLRACE_ASSERT(keys.size() == proof->key_count(), "every entry answers its keys");
    const auto verified = verifier.verify(Hash256{}, keys, *proof);
    MILLRACE_ASSERT(!verified.has_value(), "nothing is proven under a root without a pre-image");
    return 0;
}
