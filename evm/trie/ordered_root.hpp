// SPDX-License-Identifier: Apache-2.0
// Owns the root over a list: transactions, receipts and withdrawals of a block.
#pragma once

#include <span>

#include "evm/trie/hash_batch.hpp"
#include "host/base/types.hpp"

namespace millrace::evm {

/// Root of the trie that maps rlp(index) to items[index] (yellow paper 4.3.2). Leaves are hashed in
/// batches. Empty items are not allowed: the trie cannot tell them from absent ones.
Hash256 ordered_trie_root(std::span<const ByteView> items,
                          HashBatch& hasher = sequential_hash_batch());
Hash256 ordered_trie_root(std::span<const Bytes> items,
                          HashBatch& hasher = sequential_hash_batch());

}  // namespace millrace::evm
