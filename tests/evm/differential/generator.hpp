// SPDX-License-Identifier: Apache-2.0
// Owns the scenarios that both implementations run: small worlds of contracts that call each other.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "evm/core/message.hpp"
#include "evm/core/revision.hpp"
#include "evm/tx/transaction.hpp"
#include "tests/evm/differential/choices.hpp"

namespace millrace::evm::differential {

struct AccountSpec {
    uint64_t nonce = 0;
    U256 balance;
    Bytes code;
    std::map<U256, U256> storage;
};

/// A world and one message or transaction to run in it.
struct Scenario {
    Revision revision = latest_revision;
    std::map<Address, AccountSpec> world;  ///< no account is empty
    std::map<uint64_t, Hash256> block_hashes;
    BlockEnvironment block;
    Address sender;

    /// A whole transaction, or else one message.
    bool is_transaction = false;
    Transaction tx;
    std::vector<std::optional<Address>> authorities;

    bool creates = false;  ///< message: `input` is init code and `to` follows from sender and nonce
    bool is_static = false;
    Address to;
    uint64_t gas = 0;
    U256 gas_price;
    U256 value;
    Bytes input;
    std::vector<Hash256> blob_hashes;
};

/// The scenario of these choices. The same choices give the same scenario on every machine.
Scenario generate_scenario(Choices& choices, Revision first = Revision::frontier);

/// A program of the generator's kind on its own, for tests of code analysis.
Bytes generate_code(Choices& choices, Revision revision);

}  // namespace millrace::evm::differential
