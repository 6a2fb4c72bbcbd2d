// SPDX-License-Identifier: Apache-2.0
// Owns the hashes of the authenticated tree, one at a time.
#include "storage/proof/state_tree.hpp"

#include <cstring>

#include "kernels/blake3/blake3.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/sha256/sha256.hpp"

namespace millrace::storage {

Hash256 shard_header(uint64_t serial_count) noexcept {
    Hash256 out;
    store_be64(serial_count, out.data() + Hash256::size_bytes - 8);
    return out;
}

Hash256 leaf_hash(kernels::NodeHash hash, ByteView encoded_entry) noexcept {
    switch (hash) {
        case kernels::NodeHash::keccak256: return kernels::keccak256(encoded_entry);
        case kernels::NodeHash::sha256: return kernels::sha256(encoded_entry);
        case kernels::NodeHash::blake3: return kernels::blake3(encoded_entry);
    }
    MILLRACE_ASSERT(false, "no such node hash");
}

Hash256 pair_hash(kernels::NodeHash hash, const Hash256& left, const Hash256& right) noexcept {
    uint8_t children[2 * Hash256::size_bytes];
    std::memcpy(children, left.data(), Hash256::size_bytes);
    std::memcpy(children + Hash256::size_bytes, right.data(), Hash256::size_bytes);
    return leaf_hash(hash, children);
}

NullNodes::NullNodes(kernels::NodeHash hash) noexcept {
    plain[0] = {};
    for (size_t h = 1; h < plain.size(); ++h) {
        plain[h] = pair_hash(hash, plain[h - 1], plain[h - 1]);
    }
    grafted[0] = pair_hash(hash, plain[chunk_height], ActiveBits{});
    for (size_t h = 1; h < grafted.size(); ++h) {
        grafted[h] = pair_hash(hash, grafted[h - 1], grafted[h - 1]);
    }
}

}  // namespace millrace::storage
