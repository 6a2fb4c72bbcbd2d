// SPDX-License-Identifier: Apache-2.0
// Owns the proof that a key has a value or is absent, and its verification, which needs nothing of
// the engine.
#pragma once

#include <optional>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "storage/proof/state_tree.hpp"

namespace millrace::storage {

/// One live entry and the path from its leaf to the root. If the entry is of the key in question it
/// proves the value. If it is of the predecessor, whose link leads past the key, it proves that the
/// key is absent.
struct StateProof {
    Bytes entry;                ///< encoded
    uint64_t serial_count = 0;  ///< of the entry's shard
    ActiveBits active_bits;     ///< of the entry's chunk
    /// Bit i says that sibling i stands for nothing and is left out. Siblings are counted from the
    /// leaf up: chunk_height of them, then those of the grafted tree.
    uint64_t null_siblings = 0;
    /// The others, from the leaf up, then the shard_bits siblings above the shard.
    std::vector<Hash256> siblings;

    bool operator==(const StateProof&) const = default;
};

/// Appends the encoding: length of the entry (2 bytes), entry, serial count (8), null siblings (8),
/// ActiveBits (32), siblings (32 each); integers are big-endian. The number of siblings follows.
void encode_state_proof(const StateProof& proof, Bytes& out);
/// Decodes the whole input; refuses what encode_state_proof does not write. Takes no more memory
/// than the input.
Result<StateProof> decode_state_proof(ByteView data);

/// Checks proofs against roots. Immutable: any thread.
class StateVerifier {
public:
    explicit StateVerifier(kernels::NodeHash hash) noexcept : hash_(hash), nulls_(hash) {}

    /// The value that `key` has in the state of `root`, or nothing when it is proven to be absent.
    /// The view points into the proof. `ErrorCode::invalid_input` with the reason when the proof
    /// proves neither.
    Result<std::optional<ByteView>> verify(const Hash256& root, const Hash256& key,
                                           const StateProof& proof) const;

private:
    Result<Hash256> root_of(const StateEntry& entry, const StateProof& proof) const;

    kernels::NodeHash hash_;
    NullNodes nulls_;
};

}  // namespace millrace::storage
