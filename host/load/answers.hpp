// SPDX-License-Identifier: Apache-2.0
// Owns the reading of what a node answers: as little of it as a measurement needs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "host/base/error.hpp"
#include "host/base/types.hpp"

namespace millrace::load {

/// JSON-RPC's error object.
struct RpcFailure {
    int64_t code = 0;
    std::string_view message;
    uint64_t retry_after_ms = 0;  ///< `data.retryAfterMs`; 0 when it is not there
};

/// One response object. Views point into the message.
struct Answer {
    std::optional<uint64_t> id;  ///< absent for null and for what is no number
    std::optional<RpcFailure> failure;
    std::string_view result;  ///< as JSON text; empty with a failure
};

/// What a subscription sent.
struct Notification {
    std::string_view subscription;
    std::string_view result;  ///< as JSON text
};

/// JSON-RPC's code for a method that the node does not have.
inline constexpr int64_t method_not_found = -32601;
/// "Limit exceeded" (EIP-1474): ask again later.
inline constexpr int64_t limit_exceeded = -32005;

/// Reads messages; keeps its buffers. Texts must have Connection::padding_bytes readable bytes
/// behind them. Anything that is not what it should be is an error, never a crash.
class MessageReader {
public:
    MessageReader();
    ~MessageReader();

    /// Calls `answer` for each response object of a message, single or batch, in its order, and
    /// `notification` for a notification. Objects before a fault have been handed out.
    Result<void> read(std::string_view text, const std::function<void(const Answer&)>& answer,
                      const std::function<void(const Notification&)>& notification);

    /// Calls `transaction` with each hash of a block, whose transactions are hashes or objects (a
    /// mini-block's); gives the block's number (a mini-block's `block_number`).
    Result<uint64_t> read_block(std::string_view block,
                                const std::function<void(const Hash256&)>& transaction);

    struct Receipt {
        bool succeeded = false;
        uint64_t block_number = 0;
        uint64_t gas_used = 0;
        Hash256 transaction_hash;
    };
    /// Nothing for null: the transaction is not included.
    Result<std::optional<Receipt>> read_receipt(std::string_view receipt);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The text of a JSON string without escapes, e.g. a quantity or a hash.
Result<std::string_view> plain_string(std::string_view json);

}  // namespace millrace::load
