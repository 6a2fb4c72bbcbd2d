// SPDX-License-Identifier: Apache-2.0
// Owns the levels of a chunk with gaps.
#include "storage/qmdb/detail/chunk_nodes.hpp"

#include <vector>

#include "storage/qmdb/detail/state_reader.hpp"

namespace millrace::storage::qmdb::detail {

Result<void> hash_known_nodes(kernels::NodeHash hash, kernels::Backend backend,
                              std::span<Hash256, chunk_node_count> nodes, KnownNodes& known) {
    static_assert(sizeof(Hash256) == Hash256::size_bytes, "two children lie in 64 bytes");
    std::vector<ByteView> pairs;
    std::vector<size_t> places;
    std::vector<Hash256> digests;
    for (size_t level = chunk_node_count / 4; level != 0; level /= 2) {
        pairs.clear();
        places.clear();
        for (size_t node = level; node < 2 * level; ++node) {
            if (known.test(node) || !known.test(2 * node) || !known.test(2 * node + 1)) {
                continue;
            }
            pairs.push_back({nodes[2 * node].data(), 2 * Hash256::size_bytes});
            places.push_back(node);
        }
        if (pairs.empty()) { continue; }
        digests.resize(pairs.size());
        // The hash of a node is that of its children's 64 bytes, as that of any message.
        MILLRACE_CHECK(hash_leaves(hash, backend, pairs, digests));
        for (size_t i = 0; i < places.size(); ++i) {
            nodes[places[i]] = digests[i];
            known.set(places[i]);
        }
    }
    return {};
}

}  // namespace millrace::storage::qmdb::detail
