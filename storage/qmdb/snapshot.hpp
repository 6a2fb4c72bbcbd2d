// SPDX-License-Identifier: Apache-2.0
// Owns the interface of a state that stays while the engine goes on.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "storage/proof/state_multiproof.hpp"
#include "storage/proof/state_proof.hpp"

namespace millrace::storage::qmdb {

/// The state after one committed block. Any number of threads may use it, at any time and beside
/// the thread of the engine, without a lock between them. It pins what it shows: as long as it is
/// held, the engine copies the parts of index and tree that a block changes instead of changing
/// them in place, and files of the log that prune() removes keep their space. To be let go before
/// the engine is destroyed.
///
/// When Engine::rollback() takes its block back, every call fails with `ErrorCode::conflict`.
class StateSnapshot {
public:
    virtual ~StateSnapshot() = default;

    virtual uint64_t height() const noexcept = 0;
    virtual const Hash256& root() const noexcept = 0;
    // As those of Engine.
    virtual Result<std::optional<Bytes>> get(const Hash256& key) const = 0;
    virtual Result<std::optional<Bytes>> get_at(const Hash256& key, uint64_t height) const = 0;
    virtual uint64_t oldest_height() const noexcept = 0;
    virtual Result<Hash256> root_at(uint64_t height) const = 0;
    virtual Result<StateProof> prove(const Hash256& key) const = 0;
    virtual Result<StateMultiproof> prove(std::span<const Hash256> keys) const = 0;

    /// get_at() for those whose work must have a bound: takes from `budget` one for each entry that
    /// it reads and for each 16 blocks whose lists of removed keys it looks into. A key that was
    /// not there costs a read or two unless something changed beside it. `ErrorCode::limit` when
    /// nothing is left.
    virtual Result<std::optional<Bytes>> get_at(const Hash256& key, uint64_t height,
                                                uint64_t& budget) const = 0;

    // Proofs under root_at(height), for heights as in get_at(). The tree of that block is made from
    // this one's and the blocks since, which reads these: about 0.1 s for a million changes. The
    // last two trees are kept with the snapshot, 16 bytes for each entry that ended since; one is
    // made at a time, and others wait. `ErrorCode::limit` when more than
    // EngineOptions::past_proof_bytes_max of the log lie between.
    virtual Result<StateProof> prove_at(const Hash256& key, uint64_t height) const = 0;
    virtual Result<StateMultiproof> prove_at(std::span<const Hash256> keys,
                                             uint64_t height) const = 0;
};

}  // namespace millrace::storage::qmdb
