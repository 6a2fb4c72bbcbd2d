// SPDX-License-Identifier: Apache-2.0
// Owns JSON-RPC errors: codes, and how errors of the node become answers.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "net/node_api.hpp"

namespace millrace::net {

/// JSON-RPC 2.0 (section 5.1), EIP-1474, EIP-7966 and what geth adds.
namespace rpc_code {
inline constexpr int parse_error = -32700;
inline constexpr int invalid_request = -32600;
inline constexpr int method_not_found = -32601;
inline constexpr int invalid_params = -32602;
inline constexpr int internal_error = -32603;
inline constexpr int server_error = -32000;
inline constexpr int resource_not_found = -32001;
inline constexpr int response_too_large = -32003;
inline constexpr int limit_exceeded = -32005;
inline constexpr int reverted = 3;
inline constexpr int sync_timeout = 4;
inline constexpr int sync_not_ready = 5;
}  // namespace rpc_code

struct RpcError {
    int code = rpc_code::internal_error;
    std::string message;
    std::string data_json;  ///< a JSON value, or empty
};

template <class T>
using RpcResult = std::expected<T, RpcError>;

[[nodiscard]] std::unexpected<RpcError> rpc_fail(int code, std::string message,
                                                 std::string data_json = {});
/// -32602 "invalid argument N: what".
[[nodiscard]] std::unexpected<RpcError> bad_param(size_t index, std::string_view what);

/// The answer for an error of the node.
RpcError to_rpc_error(const ApiError& error);

/// "execution reverted", with ": reason" when the output is Solidity's Error(string) or
/// Panic(uint256).
std::string revert_message(ByteView output);

}  // namespace millrace::net
