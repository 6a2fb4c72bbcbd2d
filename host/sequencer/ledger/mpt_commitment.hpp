// SPDX-License-Identifier: Apache-2.0
// Owns the state commitment `mpt` behind the store's interface, and its proofs.
#pragma once

#include <memory>
#include <span>

#include "evm/trie/proof.hpp"
#include "kernels/offload/engine.hpp"
#include "storage/state/commitment.hpp"

namespace millrace::sequencer {

/// Proofs of accounts (EIP-1186) out of a commitment, by the thread that owns it.
class AccountProver {
public:
    virtual ~AccountProver() = default;

    /// Proof under `root`, which one of the last few root() calls gave; `state` is the state of
    /// that time. `ErrorCode::unavailable` when the root is none of these or cannot be gone back
    /// to; `ErrorCode::limit` when going back has taken too much time of late.
    virtual Result<evm::Proof> prove(const Hash256& root, const storage::StateSnapshot& state,
                                     const Address& address, std::span<const U256> slots) = 0;
};

/// Limits of going back.
struct MptProofOptions {
    /// Roots that are remembered.
    size_t roots_max = 8;
    /// Changes since the oldest of them that are remembered, about 150 bytes each.
    size_t changes_max = 250'000;
    /// Going back to a root that is not the newest takes at most one part in so many of the time.
    uint32_t share_of_time = 5;
};

/// Ethereum's secure Merkle Patricia trie (evm/trie), in memory. Its nodes are hashed on the
/// engine, which outlives it, or on the calling thread. It is an AccountProver too.
///
/// The trie follows the changes as they come, so that only hashing is left for root(). For a proof
/// it is taken back to the newest root; what was undone waits and is done again by the next root().
/// As long as proofs are asked for all changes wait for that, so that the trie stays where proofs
/// are cheap. Older roots are gone back to for one proof at a time.
std::unique_ptr<storage::StateCommitment>
make_mpt_commitment(kernels::OffloadEngine* offload = nullptr, const MptProofOptions& proofs = {});

/// The prover that a commitment is as well; null when it is none.
AccountProver* account_prover(storage::StateCommitment& commitment) noexcept;

}  // namespace millrace::sequencer
