// SPDX-License-Identifier: Apache-2.0
// Owns the hashing of trie nodes by the vector kernels of this CPU.
#include "evm/trie/vector_hash_batch.hpp"

#include "host/base/error.hpp"
#include "kernels/keccak/keccak_batch.hpp"

namespace millrace::evm {
namespace {

class VectorHashBatch final : public HashBatch {
public:
    void hash(std::span<const ByteView> messages, std::span<Hash256> digests) noexcept override {
        MILLRACE_ASSERT(kernels::keccak256_batch(kernels::Backend::simd, messages, digests),
                        "one digest for each message");
    }
};

}  // namespace

HashBatch& vector_hash_batch() noexcept {
    static VectorHashBatch hasher;
    return hasher;
}

}  // namespace millrace::evm
