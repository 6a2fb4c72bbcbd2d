// SPDX-License-Identifier: Apache-2.0
// Owns the hashing of trie nodes one by one.
#include "evm/trie/hash_batch.hpp"

#include "host/base/error.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm {
namespace {

class SequentialHashBatch final : public HashBatch {
public:
    void hash(std::span<const ByteView> messages, std::span<Hash256> digests) noexcept override {
        MILLRACE_ASSERT(messages.size() == digests.size(), "one digest for each message");
        for (size_t i = 0; i < messages.size(); ++i) {
            digests[i] = kernels::keccak256(messages[i]);
        }
    }
};

}  // namespace

HashBatch& sequential_hash_batch() noexcept {
    static SequentialHashBatch hasher;
    return hasher;
}

}  // namespace millrace::evm
