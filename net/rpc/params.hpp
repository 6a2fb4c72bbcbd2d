// SPDX-License-Identifier: Apache-2.0
// Owns the reading of JSON-RPC parameters into the types of the node interface.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include <simdjson.h>

#include "net/node_api.hpp"
#include "net/rpc/rpc_error.hpp"

namespace millrace::net {

using JsonElement = simdjson::dom::element;

/// The filter object of eth_getLogs, eth_newFilter and eth_subscribe("logs"), as given.
struct LogSelection {
    LogFilter filter;
    std::optional<Hash256> block_hash;
    std::optional<BlockRef> from;
    std::optional<BlockRef> to;

    /// Both ends are "pending": per mini-block.
    bool is_real_time() const noexcept {
        return from && to && from->kind == BlockRef::Kind::pending &&
               to->kind == BlockRef::Kind::pending;
    }
};

/// The positional parameters of one request. Each reader fails with -32602 "invalid argument N:
/// ..". Views into the parsed document: valid as long as that is. `index` may lie behind the end:
/// that is a missing argument, and for the optional ones the default.
class Params {
public:
    explicit Params(std::vector<JsonElement> items) : items_(std::move(items)) {}

    size_t size() const noexcept { return items_.size(); }
    /// Given, and not null.
    bool has(size_t index) const noexcept;
    JsonElement at(size_t index) const noexcept { return items_[index]; }

    RpcResult<Address> address(size_t index) const;
    RpcResult<Hash256> hash(size_t index) const;
    /// Hex without leading zeros, as Ethereum defines quantities.
    RpcResult<uint64_t> quantity64(size_t index) const;
    RpcResult<U256> quantity(size_t index) const;
    /// Hex of 1 to 64 digits, with leading zeros: a storage slot.
    RpcResult<U256> slot(size_t index) const;
    /// What development tools send: hex with or without leading zeros, decimal text, JSON numbers.
    RpcResult<uint64_t> loose64(size_t index) const;
    RpcResult<U256> loose(size_t index) const;
    RpcResult<Bytes> data(size_t index) const;
    RpcResult<bool> boolean(size_t index, bool fallback) const;
    RpcResult<std::string_view> text(size_t index) const;
    /// Tag, number, hash or EIP-1898 object; `latest` when absent.
    RpcResult<BlockRef> block(size_t index) const;
    RpcResult<CallRequest> call(size_t index) const;
    RpcResult<StateOverrides> state_overrides(size_t index) const;
    RpcResult<BlockOverrides> block_overrides(size_t index) const;
    RpcResult<LogSelection> log_selection(size_t index) const;
    /// One address or an array of them; empty when absent.
    RpcResult<std::vector<Address>> addresses(size_t index) const;
    /// At most 1024, so that a proof of them is bounded work; empty when absent.
    RpcResult<std::vector<U256>> slots(size_t index) const;
    /// For each of `slots`, whether it was spelled with all its 64 digits.
    std::vector<bool> whole_words(size_t index) const;
    /// Ascending percentiles in [0, 100], at most 100; empty when absent.
    RpcResult<std::vector<double>> percentiles(size_t index) const;

private:
    std::vector<JsonElement> items_;
};

}  // namespace millrace::net
