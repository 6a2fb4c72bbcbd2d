// SPDX-License-Identifier: Apache-2.0
// Owns the hashing of trie nodes by the offload engine.
#pragma once

#include "evm/trie/vector_hash_batch.hpp"
#include "kernels/offload/engine.hpp"

namespace millrace::sequencer {

/// Trie nodes of a level, hashed by the engine's workers and its device along with the calling
/// thread; by the calling thread alone where there is no engine. The engine outlives it.
class OffloadHashBatch final : public evm::HashBatch {
public:
    explicit OffloadHashBatch(kernels::OffloadEngine* engine) : engine_(engine) {}

    void hash(std::span<const ByteView> messages, std::span<Hash256> digests) noexcept override {
        // A level near the root has few nodes: to wake others for them takes longer than they do.
        constexpr size_t shared_from = 64;
        if (engine_ == nullptr || messages.size() < shared_from) {
            evm::vector_hash_batch().hash(messages, digests);
        } else {
            engine_->keccak256(messages, digests);
        }
    }

private:
    kernels::OffloadEngine* engine_;
};

}  // namespace millrace::sequencer
