// SPDX-License-Identifier: Apache-2.0
// Owns the state commitment `mpt` behind the store's interface.
#pragma once

#include <memory>

#include "storage/state/commitment.hpp"

namespace millrace::sequencer {

/// Ethereum's secure Merkle Patricia trie (evm/trie), in memory.
std::unique_ptr<storage::StateCommitment> make_mpt_commitment();

}  // namespace millrace::sequencer
