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
    virtual Result<StateProof> prove(const Hash256& key) const = 0;
    virtual Result<StateMultiproof> prove(std::span<const Hash256> keys) const = 0;
};

}  // namespace millrace::storage::qmdb
