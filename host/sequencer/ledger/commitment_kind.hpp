// SPDX-License-Identifier: Apache-2.0
// Owns the names of the state commitments that a chain can have.
#pragma once

#include <string_view>

#include "host/base/error.hpp"
#include "host/sequencer/genesis.hpp"
#include "kernels/tree/node_hash.hpp"

namespace millrace::sequencer {

/// What makes the state roots of a chain; fixed by its genesis, and named in its data directory.
struct CommitmentKind {
    enum class Type : uint8_t {
        qmdb,    ///< the state engine of storage/qmdb
        mpt,     ///< Ethereum's tries (evm/trie), in memory
        memory,  ///< the naive one of storage/state, for tests
    };
    Type type = Type::qmdb;
    kernels::NodeHash hash = kernels::NodeHash::keccak256;  ///< of leaves and nodes, for qmdb
};

/// Of a new chain: its parse is CommitmentKind{}.
inline constexpr std::string_view default_commitment = "qmdb-keccak256";

/// "qmdb-keccak256", "qmdb-sha256", "qmdb-blake3", "mpt" or "memory"; `ErrorCode::config` for
/// anything else.
Result<CommitmentKind> parse_commitment(std::string_view name);

/// Whether a chain with these rules can have the commitment. `ErrorCode::config` with the reason
/// when it cannot: the state engine needs Cancun from the genesis on, since before it a transaction
/// could wipe the storage of an account.
Result<void> check_commitment(const CommitmentKind& kind, const evm::ChainSpec& spec);

/// The state root of a genesis with this state. The naive commitment takes that of the tries.
Result<Hash256> genesis_state_root(const CommitmentKind& kind, const storage::StateDelta& state);

}  // namespace millrace::sequencer
