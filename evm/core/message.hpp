// SPDX-License-Identifier: Apache-2.0
// Owns the vocabulary of execution: block and transaction environment, messages and their outcome.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm {

/// Why execution of a frame ended.
enum class Status : uint8_t {
    success,
    revert,
    out_of_gas,
    undefined_instruction,
    invalid_instruction,
    stack_underflow,
    stack_overflow,
    bad_jump_destination,
    static_mode_violation,
    return_data_out_of_bounds,
    call_depth_exceeded,
    insufficient_balance,
    nonce_overflow,
    address_collision,
    code_size_exceeded,
    initcode_size_exceeded,
    code_starts_with_ef,
    precompile_failure,
};

std::string_view to_string(Status status) noexcept;

/// What the block fixes for its transactions.
struct BlockEnvironment {
    uint64_t number = 0;
    uint64_t timestamp = 0;  ///< seconds
    uint64_t gas_limit = 0;
    Address coinbase;
    U256 difficulty;        ///< before Paris
    Hash256 prev_randao;    ///< from Paris on
    U256 base_fee_per_gas;  ///< from London on
    U256 blob_base_fee;     ///< from Cancun on, per blob gas
};

/// What the transaction fixes for its frames.
struct TransactionEnvironment {
    Address origin;
    U256 gas_price;
    std::span<const Hash256> blob_hashes;
};

enum class CallKind : uint8_t { call, callcode, delegatecall, staticcall, create, create2 };

struct Message {
    CallKind kind = CallKind::call;
    bool is_static = false;
    /// Code was reached through an EIP-7702 delegation; precompiles are not run then.
    bool delegated = false;
    /// Value moves from sender to recipient (CALL, creations); DELEGATECALL only shows it.
    bool transfers_value = true;
    int32_t depth = 0;
    int64_t gas = 0;
    Address recipient;  ///< whose storage and balance; the new contract for creations
    Address sender;
    Address code_address;  ///< whose code, for calls
    U256 value;
    ByteView input;  ///< call data, or init code for creations
};

/// The outcome of a message. `output` points into the engine's memory and is valid until it runs
/// the next message.
struct CallOutcome {
    Status status = Status::success;
    int64_t gas_left = 0;
    ByteView output;
};

}  // namespace millrace::evm
