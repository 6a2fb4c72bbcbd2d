// SPDX-License-Identifier: Apache-2.0
// Owns the contracts that a run calls: their compiled code, read from files, and their call data.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::load {

/// Creation code as compiled by the authors.
struct Artifacts {
    Bytes token;    ///< ERC20 of @uniswap/v2-core, its test token; constructor(uint256 supply)
    Bytes factory;  ///< UniswapV2Factory, which carries the pair
    Bytes weth;     ///< WETH9
    Bytes router;   ///< UniswapV2Router02; constructor(address factory, address weth)
};

/// Reads the JSON artifacts of the npm packages @uniswap/v2-core and, when `exchange` is true,
/// @uniswap/v2-periphery. Each NAME.json is looked for in the folder itself and, as npm lays them
/// out, in [node_modules/][@uniswap/]{v2-core,v2-periphery}/build below it. `not_found` names the
/// file and the way to get it.
Result<Artifacts> read_artifacts(const std::string& folder, bool exchange);
/// The field "bytecode" (text, or an object with "object") of an artifact.
Result<Bytes> parse_artifact(std::string_view json, const std::string& origin);

/// A 32-byte word of call data.
struct Word {
    std::array<uint8_t, 32> bytes{};
    Word(const U256& value);       // NOLINT: implicit by design
    Word(uint64_t value);          // NOLINT: implicit by design
    Word(const Address& address);  // NOLINT: implicit by design
};

/// The first four bytes of the signature's Keccak-256, then the words (of dynamic arguments too,
/// laid out by the caller).
Bytes call_data(std::string_view signature, std::initializer_list<Word> words);
/// Creation code and the constructor's arguments.
Bytes creation_data(const Bytes& code, std::initializer_list<Word> words);

/// Where the contracts of a run are.
struct Contracts {
    struct Pair {
        Address token[2];
        Address pair;
    };
    Address token;  ///< what the ERC-20 profiles transfer
    Address factory;
    Address weth;
    Address router;
    std::vector<Pair> pairs;
};

}  // namespace millrace::load
