// SPDX-License-Identifier: Apache-2.0
// Owns the doorway through which tries hash many nodes at once.
#pragma once

#include <span>

#include "host/base/types.hpp"

namespace millrace::evm {

/// Keccak-256 of many messages. Implementations may use SIMD or a device; the digests are the same
/// everywhere, and a failing device is the implementation's to recover from.
class HashBatch {
public:
    virtual ~HashBatch() = default;
    /// Writes keccak256(messages[i]) to digests[i]; both have the same size, which may be 0.
    virtual void hash(std::span<const ByteView> messages, std::span<Hash256> digests) noexcept = 0;
};

/// One message after the other on the calling thread. Stateless: any thread may use it.
HashBatch& sequential_hash_batch() noexcept;

}  // namespace millrace::evm
