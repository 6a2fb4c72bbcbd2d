// SPDX-License-Identifier: Apache-2.0
// Owns what Foundry and Hardhat ask of a development node. -32601 on any other node.
#include <array>

#include "net/rpc/method.hpp"

namespace millrace::net {

namespace {

using Where = Method::Where;

/// Hardhat answers true where anvil answers null.
void write_done(const CallContext& c, JsonWriter& w) {
    if (c.method.starts_with("hardhat_")) {
        w.boolean(true);
    } else {
        w.null();
    }
}

// ---------------------------------------------------------------- Snapshots and time

RpcResult<void> snapshot(CallContext& c, const Params&, JsonWriter& w) {
    MILLRACE_TRY(const uint64_t id, from_node(c.node.dev()->snapshot()));
    w.quantity(id);
    return {};
}

RpcResult<void> revert(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const uint64_t id, p.loose64(0));
    MILLRACE_TRY(const bool found, from_node(c.node.dev()->revert(id)));
    w.boolean(found);
    return {};
}

RpcResult<void> increase_time(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const uint64_t seconds, p.loose64(0));
    MILLRACE_TRY(const uint64_t offset, from_node(c.node.dev()->increase_time(seconds)));
    w.number(offset);
    return {};
}

RpcResult<void> set_next_block_timestamp(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const uint64_t timestamp, p.loose64(0));
    MILLRACE_CHECK(from_node(c.node.dev()->set_next_block_timestamp(timestamp)));
    w.null();
    return {};
}

// ---------------------------------------------------------------- Mining

RpcResult<void> mine_blocks(CallContext& c, uint64_t count, std::optional<uint64_t> timestamp,
                            uint64_t interval_s) {
    if (count > c.options.mine_blocks_max) {
        return bad_param(0, "at most " + std::to_string(c.options.mine_blocks_max) + " blocks");
    }
    if (count == 0) { return {}; }
    MILLRACE_CHECK(from_node(c.node.dev()->mine(count, timestamp, interval_s)));
    return {};
}

/// Options as an object: {timestamp, blocks}.
RpcResult<void> read_mine_options(const Params& p, uint64_t& count,
                                  std::optional<uint64_t>& timestamp) {
    const simdjson::dom::object object = p.at(0).get_object().value_unsafe();
    const auto read = [&object](std::string_view name, auto& into) -> RpcResult<void> {
        JsonElement e;
        if (object.at_key(name).get(e) != simdjson::SUCCESS) { return {}; }
        const Params one(std::vector<JsonElement>{e});
        if (!one.has(0)) { return {}; }
        MILLRACE_TRY(into, one.loose64(0));
        return {};
    };
    MILLRACE_CHECK(read("blocks", count));
    return read("timestamp", timestamp);
}

/// evm_mine [timestamp | {timestamp, blocks}]
RpcResult<void> evm_mine(CallContext& c, const Params& p, JsonWriter& w) {
    uint64_t count = 1;
    std::optional<uint64_t> timestamp;
    if (p.has(0) && p.at(0).is_object()) {
        MILLRACE_CHECK(read_mine_options(p, count, timestamp));
    } else if (p.has(0)) {
        MILLRACE_TRY(timestamp, p.loose64(0));
    }
    MILLRACE_CHECK(mine_blocks(c, count, timestamp, 1));
    w.text("0x0");
    return {};
}

/// anvil_mine, hardhat_mine [blocks, interval in seconds]
RpcResult<void> mine(CallContext& c, const Params& p, JsonWriter& w) {
    uint64_t count = 1;
    uint64_t interval_s = 1;
    if (p.has(0)) { MILLRACE_TRY(count, p.loose64(0)); }
    if (p.has(1)) { MILLRACE_TRY(interval_s, p.loose64(1)); }
    MILLRACE_CHECK(mine_blocks(c, count, std::nullopt, interval_s));
    write_done(c, w);
    return {};
}

// ---------------------------------------------------------------- State

RpcResult<void> set_balance(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_TRY(const U256 balance, p.loose(1));
    MILLRACE_CHECK(from_node(c.node.dev()->set_balance(address, balance)));
    write_done(c, w);
    return {};
}

RpcResult<void> set_code(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_TRY(Bytes code, p.data(1));
    MILLRACE_CHECK(from_node(c.node.dev()->set_code(address, std::move(code))));
    write_done(c, w);
    return {};
}

RpcResult<void> set_storage_at(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_TRY(const U256 slot, p.loose(1));
    MILLRACE_TRY(const U256 value, p.loose(2));
    MILLRACE_CHECK(from_node(c.node.dev()->set_storage(address, slot, value)));
    w.boolean(true);
    return {};
}

RpcResult<void> set_nonce(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_TRY(const uint64_t nonce, p.loose64(1));
    MILLRACE_CHECK(from_node(c.node.dev()->set_nonce(address, nonce)));
    write_done(c, w);
    return {};
}

// ---------------------------------------------------------------- Impersonation

RpcResult<void> impersonate(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_CHECK(from_node(c.node.dev()->impersonate(address)));
    write_done(c, w);
    return {};
}

RpcResult<void> stop_impersonating(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_CHECK(from_node(c.node.dev()->stop_impersonating(address)));
    write_done(c, w);
    return {};
}

RpcResult<void> auto_impersonate(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const bool on, p.boolean(0, true));
    MILLRACE_CHECK(from_node(c.node.dev()->auto_impersonate(on)));
    write_done(c, w);
    return {};
}

constexpr Method dev(std::string_view name, size_t params_max, SyncHandler handler) {
    return Method{name, params_max, Where::worker, true, handler};
}

constexpr std::array methods = {
    dev("evm_snapshot", 0, snapshot),
    dev("evm_revert", 1, revert),
    dev("evm_increaseTime", 1, increase_time),
    dev("evm_setNextBlockTimestamp", 1, set_next_block_timestamp),
    dev("evm_mine", 1, evm_mine),
    dev("anvil_mine", 2, mine),
    dev("hardhat_mine", 2, mine),
    dev("anvil_setBalance", 2, set_balance),
    dev("hardhat_setBalance", 2, set_balance),
    dev("anvil_setCode", 2, set_code),
    dev("hardhat_setCode", 2, set_code),
    dev("anvil_setStorageAt", 3, set_storage_at),
    dev("hardhat_setStorageAt", 3, set_storage_at),
    dev("anvil_setNonce", 2, set_nonce),
    dev("hardhat_setNonce", 2, set_nonce),
    dev("anvil_impersonateAccount", 1, impersonate),
    dev("hardhat_impersonateAccount", 1, impersonate),
    dev("anvil_stopImpersonatingAccount", 1, stop_impersonating),
    dev("hardhat_stopImpersonatingAccount", 1, stop_impersonating),
    dev("anvil_autoImpersonateAccount", 1, auto_impersonate),
    dev("hardhat_autoImpersonateAccount", 1, auto_impersonate),
};

}  // namespace

std::span<const Method> dev_methods() { return methods; }

}  // namespace millrace::net
