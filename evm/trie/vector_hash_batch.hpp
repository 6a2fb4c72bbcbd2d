// SPDX-License-Identifier: Apache-2.0
// Owns the hashing of trie nodes by the vector kernels of this CPU.
#pragma once

#include "evm/trie/hash_batch.hpp"

namespace millrace::evm {

/// Many nodes at once in vector lanes, on the calling thread. Stateless: any thread may use it. Of
/// the library millrace::trie_batch, so that the state transition links no vector kernels.
HashBatch& vector_hash_batch() noexcept;

}  // namespace millrace::evm
