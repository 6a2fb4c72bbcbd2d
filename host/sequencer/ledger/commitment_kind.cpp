// SPDX-License-Identifier: Apache-2.0
// Owns what the commitments mean for a genesis.
#include "host/sequencer/ledger/commitment_kind.hpp"

#include <string>

#include "host/sequencer/ledger/mpt_commitment.hpp"
#include "storage/qmdb/block_commitment.hpp"

namespace millrace::sequencer {

Result<CommitmentKind> parse_commitment(std::string_view name) {
    using Type = CommitmentKind::Type;
    if (name == "mpt") { return CommitmentKind{Type::mpt, {}}; }
    if (name == "memory") { return CommitmentKind{Type::memory, {}}; }
    for (const kernels::NodeHash hash :
         {kernels::NodeHash::keccak256, kernels::NodeHash::sha256, kernels::NodeHash::blake3}) {
        if (name == "qmdb-" + std::string(kernels::to_string(hash))) {
            return CommitmentKind{Type::qmdb, hash};
        }
    }
    return fail(ErrorCode::config, "there is no state commitment '" + std::string(name) + "'");
}

Result<void> check_commitment(const CommitmentKind& kind, const evm::ChainSpec& spec) {
    if (kind.type != CommitmentKind::Type::qmdb ||
        spec.rules_at(0, 0).revision >= evm::Revision::cancun) {
        return {};
    }
    return fail(ErrorCode::config,
                "the commitment qmdb needs a chain that has Cancun from its genesis on; take mpt");
}

Result<Hash256> genesis_state_root(const CommitmentKind& kind, const storage::StateDelta& state) {
    if (kind.type == CommitmentKind::Type::qmdb) {
        return storage::qmdb::genesis_root(state, kind.hash);
    }
    const auto mpt = make_mpt_commitment();
    storage::apply_delta(*mpt, state);
    return mpt->root();
}

}  // namespace millrace::sequencer
