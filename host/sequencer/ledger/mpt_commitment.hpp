// SPDX-License-Identifier: Apache-2.0
// Owns the state commitment `mpt` behind the store's interface.
#pragma once

#include <memory>

#include "kernels/offload/engine.hpp"
#include "storage/state/commitment.hpp"

namespace millrace::sequencer {

/// Ethereum's secure Merkle Patricia trie (evm/trie), in memory. Its nodes are hashed on the
/// engine, which outlives it, or on the calling thread.
std::unique_ptr<storage::StateCommitment>
make_mpt_commitment(kernels::OffloadEngine* offload = nullptr);

}  // namespace millrace::sequencer
