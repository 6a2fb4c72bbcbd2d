// SPDX-License-Identifier: Apache-2.0
// Owns the translation of node errors and revert data into JSON-RPC errors.
#include "net/rpc/rpc_error.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "host/base/hex.hpp"
#include "net/rpc/json_writer.hpp"

namespace millrace::net {

namespace {

constexpr std::array<uint8_t, 4> error_selector = {0x08, 0xc3, 0x79, 0xa0};
constexpr std::array<uint8_t, 4> panic_selector = {0x4e, 0x48, 0x7b, 0x71};

std::string_view panic_text(uint64_t code) {
    switch (code) {
        case 0x00: return "generic panic";
        case 0x01: return "assert(false)";
        case 0x11: return "arithmetic underflow or overflow";
        case 0x12: return "division or modulo by zero";
        case 0x21: return "enum overflow";
        case 0x22: return "invalid encoded storage byte array accessed";
        case 0x31: return "out-of-bounds array access; popping on an empty array";
        case 0x32: return "out-of-bounds access of an array or bytesN";
        case 0x41: return "out of memory";
        case 0x51: return "uninitialized function";
        default: return {};
    }
}

/// The text of abi.encode(string), when that is what the bytes are.
std::optional<std::string> abi_string(ByteView encoded) {
    if (encoded.size() < 64) { return std::nullopt; }
    const U256 offset = load_be(encoded.first(32));
    if (!offset.fits_u64() || offset.low64() > encoded.size() - 32) { return std::nullopt; }
    const ByteView tail = encoded.subspan(offset.low64());
    const U256 length = load_be(tail.first(32));
    if (!length.fits_u64() || length.low64() > tail.size() - 32) { return std::nullopt; }
    const ByteView text = tail.subspan(32, length.low64());
    return std::string(text.begin(), text.end());
}

std::string limit_data(const ApiError& error) {
    JsonWriter w;
    w.begin_object();
    if (error.retry_after_ms) { w.field_number("retryAfterMs", *error.retry_after_ms); }
    if (error.retry_range) {
        w.field_quantity("from", error.retry_range->first);
        w.field_quantity("to", error.retry_range->second);
    }
    w.end_object();
    return w.take();
}

int code_of(ApiErrorKind kind) {
    switch (kind) {
        case ApiErrorKind::invalid_params: return rpc_code::invalid_params;
        case ApiErrorKind::not_found:
        case ApiErrorKind::rejected:
        case ApiErrorKind::execution:
        case ApiErrorKind::not_ready: return rpc_code::server_error;
        case ApiErrorKind::reverted: return rpc_code::reverted;
        case ApiErrorKind::limit: return rpc_code::limit_exceeded;
        case ApiErrorKind::resource_not_found: return rpc_code::resource_not_found;
        case ApiErrorKind::unsupported: return rpc_code::method_not_found;
        case ApiErrorKind::internal: return rpc_code::internal_error;
    }
    return rpc_code::internal_error;
}

}  // namespace

std::unexpected<RpcError> rpc_fail(int code, std::string message, std::string data_json) {
    return std::unexpected(RpcError{code, std::move(message), std::move(data_json)});
}

std::unexpected<RpcError> bad_param(size_t index, std::string_view what) {
    std::string message = "invalid argument " + std::to_string(index) + ": ";
    message.append(what);
    return rpc_fail(rpc_code::invalid_params, std::move(message));
}

RpcError to_rpc_error(const ApiError& error) {
    RpcError out{code_of(error.kind), error.message, {}};
    if (error.kind == ApiErrorKind::reverted) {
        out.message = revert_message(error.data);
        out.data_json = '"' + to_hex(error.data) + '"';
    }
    if (error.retry_range) {
        out.message += "; retry with the block range " + std::to_string(error.retry_range->first) +
                       "-" + std::to_string(error.retry_range->second);
    }
    if (error.retry_after_ms || error.retry_range) { out.data_json = limit_data(error); }
    return out;
}

std::string revert_message(ByteView output) {
    std::string message = "execution reverted";
    if (output.size() < 4) { return message; }
    const ByteView selector = output.first(4);
    const ByteView payload = output.subspan(4);
    if (std::ranges::equal(selector, error_selector)) {
        if (const auto text = abi_string(payload)) { message += ": " + *text; }
    } else if (std::ranges::equal(selector, panic_selector) && payload.size() == 32) {
        const U256 code = load_be(payload);
        const std::string_view text = code.fits_u64() ? panic_text(code.low64()) : "";
        message += ": ";
        message +=
            text.empty() ? "unknown panic code: " + to_hex_quantity(code) : std::string(text);
    }
    return message;
}

}  // namespace millrace::net
