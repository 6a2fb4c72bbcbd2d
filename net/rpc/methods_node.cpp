// SPDX-License-Identifier: Apache-2.0
// Owns the net_, web3_, rpc_, txpool_ and millrace_ methods.
#include <array>
#include <map>

#include "host/base/hex.hpp"
#include "kernels/keccak/keccak.hpp"
#include "net/rpc/encode.hpp"
#include "net/rpc/method.hpp"

namespace millrace::net {

namespace {

using Where = Method::Where;

RpcResult<void> net_version(CallContext& c, const Params&, JsonWriter& w) {
    w.text(std::to_string(c.node.chain_id()));
    return {};
}

RpcResult<void> net_listening(CallContext&, const Params&, JsonWriter& w) {
    w.boolean(true);
    return {};
}

RpcResult<void> net_peer_count(CallContext& c, const Params&, JsonWriter& w) {
    w.quantity(c.node.peer_count());
    return {};
}

RpcResult<void> web3_client_version(CallContext& c, const Params&, JsonWriter& w) {
    w.text(c.node.client_version());
    return {};
}

RpcResult<void> web3_sha3(CallContext&, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Bytes data, p.data(0));
    w.data(kernels::keccak256(data));
    return {};
}

RpcResult<void> rpc_modules(CallContext& c, const Params&, JsonWriter& w) {
    w.begin_object();
    for (const std::string_view name :
         {"eth", "millrace", "net", "realtime", "rpc", "txpool", "web3"}) {
        w.field_text(name, "1.0");
    }
    if (c.node.dev() != nullptr) {
        for (const std::string_view name : {"anvil", "evm", "hardhat"}) {
            w.field_text(name, "1.0");
        }
    }
    w.end_object();
    return {};
}

// ---------------------------------------------------------------- Pool

using WriteEntry = void (*)(JsonWriter&, const TransactionData&);
/// By sender, then by nonce.
using BySender = std::map<Address, std::map<uint64_t, const TransactionData*>>;

BySender by_sender(const std::vector<TransactionData>& transactions) {
    BySender out;
    for (const auto& tx : transactions) { out[tx.sender][tx.transaction->nonce] = &tx; }
    return out;
}

void write_by_nonce(JsonWriter& w, const std::map<uint64_t, const TransactionData*>& transactions,
                    WriteEntry write) {
    w.begin_object();
    for (const auto& [nonce, tx] : transactions) {
        w.key(std::to_string(nonce));
        write(w, *tx);
    }
    w.end_object();
}

void write_pool_part(JsonWriter& w, std::string_view name,
                     const std::vector<TransactionData>& transactions, WriteEntry write) {
    w.key(name);
    w.begin_object();
    for (const auto& [sender, chain] : by_sender(transactions)) {
        w.key(to_hex(sender));
        write_by_nonce(w, chain, write);
    }
    w.end_object();
}

RpcResult<void> write_pool(CallContext& c, JsonWriter& w, WriteEntry write) {
    MILLRACE_TRY(const PoolContent content, from_node(c.node.pool_content(std::nullopt)));
    w.begin_object();
    write_pool_part(w, "pending", content.pending, write);
    write_pool_part(w, "queued", content.queued, write);
    w.end_object();
    return {};
}

RpcResult<void> txpool_status(CallContext& c, const Params&, JsonWriter& w) {
    MILLRACE_TRY(const PoolStatus status, from_node(c.node.pool_status()));
    w.begin_object();
    w.field_quantity("pending", status.pending);
    w.field_quantity("queued", status.queued);
    w.end_object();
    return {};
}

RpcResult<void> txpool_content(CallContext& c, const Params&, JsonWriter& w) {
    return write_pool(c, w, write_transaction);
}

RpcResult<void> txpool_content_from(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address sender, p.address(0));
    MILLRACE_TRY(const PoolContent content, from_node(c.node.pool_content(sender)));
    w.begin_object();
    for (const auto& [name, part] :
         {std::pair("pending", &content.pending), std::pair("queued", &content.queued)}) {
        w.key(name);
        BySender senders = by_sender(*part);
        write_by_nonce(w, senders[sender], write_transaction);
    }
    w.end_object();
    return {};
}

RpcResult<void> txpool_inspect(CallContext& c, const Params&, JsonWriter& w) {
    return write_pool(c, w, [](JsonWriter& out, const TransactionData& data) {
        const evm::Transaction& tx = *data.transaction;
        out.text((tx.to ? to_hex(*tx.to) : std::string("contract creation")) + ": " +
                 to_decimal(tx.value) + " wei + " + std::to_string(tx.gas_limit) + " gas × " +
                 to_decimal(tx.max_fee_per_gas) + " wei");
    });
}

// ---------------------------------------------------------------- What only Millrace has

/// Proofs of the state engine. The last argument says whether there is one proof for each key
/// ("single") or one for all of them ("multi").
RpcResult<void> get_engine_proof(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_TRY(const auto slots, p.slots(1));
    MILLRACE_TRY(const BlockRef ref, p.block(2));
    bool together = false;
    if (p.has(3)) {
        MILLRACE_TRY(const std::string_view form, p.text(3));
        if (form != "single" && form != "multi") {
            return bad_param(3, "expected \"single\" or \"multi\"");
        }
        together = form == "multi";
    }
    MILLRACE_TRY(const EngineProof proof,
                 from_node(c.node.engine_proof(address, slots, ref, together)));
    write_engine_proof(w, proof);
    return {};
}

constexpr std::array methods = {
    Method{"net_version", 0, Where::network_thread, false, net_version},
    Method{"net_listening", 0, Where::network_thread, false, net_listening},
    Method{"net_peerCount", 0, Where::network_thread, false, net_peer_count},
    Method{"web3_clientVersion", 0, Where::network_thread, false, web3_client_version},
    Method{"web3_sha3", 1, Where::worker, false, web3_sha3},
    Method{"rpc_modules", 0, Where::network_thread, false, rpc_modules},
    Method{"millrace_getProof", 4, Where::worker, false, get_engine_proof},
    Method{"txpool_status", 0, Where::worker, false, txpool_status},
    Method{"txpool_content", 0, Where::worker, false, txpool_content},
    Method{"txpool_contentFrom", 1, Where::worker, false, txpool_content_from},
    Method{"txpool_inspect", 0, Where::worker, false, txpool_inspect},
};

}  // namespace

std::span<const Method> node_methods() { return methods; }

}  // namespace millrace::net
