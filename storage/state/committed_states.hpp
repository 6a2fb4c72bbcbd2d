// SPDX-License-Identifier: Apache-2.0
// Owns the interface through which readers reach the states after committed blocks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "storage/proof/state_multiproof.hpp"
#include "storage/proof/state_proof.hpp"

namespace millrace::storage {

/// The states after the blocks that a commitment had when this was taken, by the keys of
/// storage/proof/state_leaf.hpp. Any number of threads, beside the thread of the commitment. What
/// the newest of these states is made of stays in memory and on the disk as long as this is held:
/// for the time of some reads. To be let go before the commitment is destroyed.
///
/// `ErrorCode::conflict` from any call: the newest block was taken back meanwhile, take another
/// one. `ErrorCode::io` and `corrupt`: what is asked for cannot be read.
class CommittedStates {
public:
    virtual ~CommittedStates() = default;

    virtual uint64_t newest_block() const noexcept = 0;
    /// The first block whose state is there.
    virtual uint64_t oldest_block() const noexcept = 0;

    // `ErrorCode::not_found` for blocks outside of these two.
    virtual Result<Hash256> root(uint64_t block) const = 0;
    /// The value of a key after the block, or nothing. Takes from `budget` what it costs in entries
    /// read; `ErrorCode::limit` when nothing is left: the key has changed that often since.
    virtual Result<std::optional<Bytes>> value(const Hash256& key, uint64_t block,
                                               uint64_t& budget) const = 0;
    /// Proof of a value or of absence under root(block). `ErrorCode::limit` when too much has
    /// changed since the block; `ErrorCode::invalid_input` for keys that no proof can have.
    virtual Result<StateProof> prove(const Hash256& key, uint64_t block) const = 0;
    /// One proof of many keys, strictly ascending (check_multiproof_keys).
    virtual Result<StateMultiproof> prove(std::span<const Hash256> keys, uint64_t block) const = 0;
};

using CommittedStatesPtr = std::shared_ptr<const CommittedStates>;

}  // namespace millrace::storage
