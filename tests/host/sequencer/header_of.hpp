// SPDX-License-Identifier: Apache-2.0
// Owns the header of a closed block from receipts that are encoded one by one.
#pragma once

#include "evm/trie/hash_batch.hpp"
#include "host/sequencer/executor/block_builder.hpp"

namespace millrace::sequencer::test {

inline evm::BlockHeader header_of(const ClosedBlock& block, const Hash256& state_root) {
    std::vector<Bytes> receipts;
    for (const ExecutedPtr& t : block.transactions) {
        receipts.push_back(evm::encode_receipt(t->receipt));
    }
    const std::vector<ByteView> views(receipts.begin(), receipts.end());
    return make_header(block, state_root, views, evm::sequential_hash_batch());
}

}  // namespace millrace::sequencer::test
