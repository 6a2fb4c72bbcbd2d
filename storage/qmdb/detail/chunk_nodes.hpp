// SPDX-License-Identifier: Apache-2.0
// Owns hashing of a chunk of which only some leaves and nodes are known.
#pragma once

#include <array>
#include <bitset>
#include <span>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/tree/node_hash.hpp"
#include "storage/proof/state_tree.hpp"

namespace millrace::storage::qmdb::detail {

inline constexpr size_t chunk_node_count = kernels::tree_nodes(chunk_height);
/// The nodes of a chunk in heap order, and which of them are known.
using ChunkNodes = std::array<Hash256, chunk_node_count>;
using KnownNodes = std::bitset<chunk_node_count>;

/// Computes every node that is not known and whose children are, from the leaves up; it is known
/// then. Fails as the hash's batch does.
Result<void> hash_known_nodes(kernels::NodeHash hash, kernels::Backend backend,
                              std::span<Hash256, chunk_node_count> nodes, KnownNodes& known);

}  // namespace millrace::storage::qmdb::detail
