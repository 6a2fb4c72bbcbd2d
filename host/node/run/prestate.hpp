// SPDX-License-Identifier: Apache-2.0
// Owns the state and the block that a single run starts from, and a state as JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "evm/core/overlay.hpp"
#include "host/base/error.hpp"

namespace millrace::node {

/// What a prestate file gives; absent is what it does not say.
struct Prestate {
    evm::StateOverlay state;  ///< over test_chain()
    std::optional<uint64_t> chain_id;
    std::optional<uint64_t> number;
    std::optional<uint64_t> timestamp;  ///< seconds
    std::optional<uint64_t> gas_limit;
    std::optional<Address> coinbase;
    std::optional<U256> difficulty;
    std::optional<Hash256> prev_randao;
    std::optional<U256> base_fee_per_gas;
    std::optional<uint64_t> excess_blob_gas;
};

Prestate empty_prestate();

/// Reads a geth-format genesis ({"alloc": {..}} with `config.chainId`, number, timestamp, gasLimit,
/// coinbase, difficulty, mixHash, baseFeePerGas or baseFee, excessBlobGas), or a bare alloc
/// ({"0xaddress": {balance, nonce, code, storage}}). Other members are left alone, as geth does.
/// Errors name `origin` and the field.
Result<Prestate> parse_prestate(std::string_view text, std::string_view origin);
Result<Prestate> load_prestate(const std::string& path);

/// Every account of `state`, an overlay over test_chain(), as an alloc: sorted by address, without
/// members and slots that are zero.
boost::json::object alloc_json(const evm::StateOverlay& state);

}  // namespace millrace::node
