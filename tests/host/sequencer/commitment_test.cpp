// SPDX-License-Identifier: Apache-2.0
// Owns the run of the state store's suite over the `mpt` commitment.
#include "evm/tx/block.hpp"
#include "host/sequencer/ledger/mpt_commitment.hpp"
#include "tests/storage/state_store_suite.hpp"

namespace millrace::storage {

INSTANTIATE_TEST_SUITE_P(Mpt, StateStoreSuite,
                         ::testing::Values(CommitmentCase{
                             "mpt", [] { return sequencer::make_mpt_commitment(); },
                             evm::empty_trie_root}),
                         [](const auto& param) { return param.param.name; });

}  // namespace millrace::storage
