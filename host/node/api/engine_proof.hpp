// SPDX-License-Identifier: Apache-2.0
// Owns the proofs of millrace_getProof.
#pragma once

#include <vector>

#include "evm/tx/block.hpp"
#include "host/base/error.hpp"
#include "kernels/tree/node_hash.hpp"
#include "net/node_api.hpp"
#include "storage/state/committed_states.hpp"

namespace millrace::node {

/// Proofs of an account and slots of it after a sealed block, under the state root of its header:
/// one for each key, or one of all `together`. Each is verified before it is given out, and the
/// values are those that it proves. Errors as CommittedStates; `ErrorCode::conflict` when the block
/// with that root is not among the states.
Result<net::EngineProof> prove_by_engine(const storage::CommittedStates& states,
                                         kernels::NodeHash hash, const evm::BlockHeader& header,
                                         const Hash256& block_hash, const Address& address,
                                         const std::vector<U256>& slots, bool together);

}  // namespace millrace::node
