// SPDX-License-Identifier: Apache-2.0
// Owns how a genesis comes about: from a geth-format file, or the built-in one of `--dev`.
#pragma once

#include <string>
#include <vector>

#include "host/base/error.hpp"
#include "host/sequencer/genesis.hpp"
#include "host/sequencer/ledger/commitment_kind.hpp"

namespace millrace::node {

/// Largest balance that an account may be given: the sum of all accounts stays far below 2^256.
inline const U256 balance_max = U256{1} << 128;

/// Reads a geth-format genesis. The chain runs the `millrace` rule set (Osaka from the first block)
/// with the file's chain id, gas limit and accounts; `config.millrace` may set its numbers:
/// {baseFeeFloor, baseFeeChangeDenominator, elasticityMultiplier, transactionGasCap, codeSizeMax,
/// sequencerFeeVault, baseFeeVault}. `notes` gets what the user should know of it. The genesis
/// block has the state root of the commitment, so its hash says which one the chain has.
Result<sequencer::Genesis> load_genesis(const std::string& path,
                                        const sequencer::CommitmentKind& commitment,
                                        std::vector<std::string>& notes);
Result<sequencer::Genesis> parse_genesis(std::string_view text, std::string_view origin,
                                         const sequencer::CommitmentKind& commitment,
                                         std::vector<std::string>& notes);

/// Chain 31337 with ten accounts of 10,000 ether each, the system contracts of EIP-2935 and
/// EIP-4788, and the deterministic deployment proxy that tools expect.
Result<sequencer::Genesis> dev_genesis(const sequencer::CommitmentKind& commitment);

/// A development account.
struct DevAccount {
    Address address;
    Hash256 secret_key;
};
/// The first ten accounts of "test test test test test test test test test test test junk", which
/// everybody knows: never fund them on a real chain.
const std::vector<DevAccount>& dev_accounts();

}  // namespace millrace::node
