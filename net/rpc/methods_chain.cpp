// SPDX-License-Identifier: Apache-2.0
// Owns the eth_ methods that read: blocks, transactions, receipts, logs, state, calls and fees.
#include <algorithm>
#include <array>

#include "net/rpc/encode.hpp"
#include "net/rpc/method.hpp"

namespace millrace::net {

namespace {

using Where = Method::Where;

// ---------------------------------------------------------------- Node

RpcResult<void> chain_id(CallContext& c, const Params&, JsonWriter& w) {
    w.quantity(c.node.chain_id());
    return {};
}

RpcResult<void> block_number(CallContext& c, const Params&, JsonWriter& w) {
    w.quantity(c.node.block_number());
    return {};
}

RpcResult<void> syncing(CallContext& c, const Params&, JsonWriter& w) {
    const auto status = c.node.syncing();
    if (!status) {
        w.boolean(false);
        return {};
    }
    w.begin_object();
    w.field_quantity("startingBlock", status->starting_block);
    w.field_quantity("currentBlock", status->current_block);
    w.field_quantity("highestBlock", status->highest_block);
    w.end_object();
    return {};
}

RpcResult<void> accounts(CallContext& c, const Params&, JsonWriter& w) {
    w.begin_array();
    if (DevApi* dev = c.node.dev()) {
        for (const auto& address : dev->accounts()) { w.data(address); }
    }
    w.end_array();
    return {};
}

// ---------------------------------------------------------------- Blocks

using BlockPtr = std::shared_ptr<const BlockData>;

/// Parameter 0 as a block by number or by hash, whichever the method takes.
RpcResult<BlockPtr> block_of(CallContext& c, const Params& p, bool by_hash) {
    if (by_hash) {
        MILLRACE_TRY(const Hash256 hash, p.hash(0));
        return from_node(c.node.block(BlockRef::hash(hash)));
    }
    MILLRACE_TRY(const BlockRef ref, p.block(0));
    return from_node(c.node.block(ref));
}

RpcResult<void> get_block(CallContext& c, const Params& p, JsonWriter& w, bool by_hash) {
    MILLRACE_TRY(const bool full, p.boolean(1, false));
    MILLRACE_TRY(const BlockPtr block, block_of(c, p, by_hash));
    if (block) {
        write_block(w, *block, full);
    } else {
        w.null();
    }
    return {};
}

RpcResult<void> get_block_by_number(CallContext& c, const Params& p, JsonWriter& w) {
    return get_block(c, p, w, false);
}
RpcResult<void> get_block_by_hash(CallContext& c, const Params& p, JsonWriter& w) {
    return get_block(c, p, w, true);
}

template <bool by_hash>
RpcResult<void> transaction_count_of_block(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const BlockPtr block, block_of(c, p, by_hash));
    if (block) {
        w.quantity(uint64_t{block->transactions.size()});
    } else {
        w.null();
    }
    return {};
}

template <bool by_hash>
RpcResult<void> uncle_count(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const BlockPtr block, block_of(c, p, by_hash));
    if (block) {
        w.quantity(uint64_t{block->ommer_hashes.size()});
    } else {
        w.null();
    }
    return {};
}

template <bool by_hash>
RpcResult<void> transaction_in_block(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const uint64_t index, p.quantity64(1));
    MILLRACE_TRY(const BlockPtr block, block_of(c, p, by_hash));
    if (block && index < block->transactions.size()) {
        write_transaction(w, block->transactions[index]);
    } else {
        w.null();
    }
    return {};
}

RpcResult<void> get_block_receipts(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const BlockRef ref, p.block(0));
    MILLRACE_TRY(const auto receipts, from_node(c.node.block_receipts(ref)));
    if (!receipts) {
        w.null();
        return {};
    }
    w.begin_array();
    for (const auto& receipt : *receipts) { write_receipt(w, receipt); }
    w.end_array();
    return {};
}

// ---------------------------------------------------------------- Transactions and logs

RpcResult<void> get_transaction_by_hash(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Hash256 hash, p.hash(0));
    MILLRACE_TRY(const auto tx, from_node(c.node.transaction(hash)));
    if (tx) {
        write_transaction(w, *tx);
    } else {
        w.null();
    }
    return {};
}

RpcResult<void> get_transaction_receipt(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Hash256 hash, p.hash(0));
    MILLRACE_TRY(const auto receipt, from_node(c.node.receipt(hash)));
    if (receipt) {
        write_receipt(w, *receipt);
    } else {
        w.null();
    }
    return {};
}

RpcResult<void> get_logs(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const LogSelection selection, p.log_selection(0));
    MILLRACE_TRY(const LogQuery query, to_log_query(selection, c.node, c.options));
    MILLRACE_TRY(const auto logs, from_node(c.node.logs(query)));
    w.begin_array();
    for (const auto& log : logs) { write_log(w, log); }
    w.end_array();
    return {};
}

// ---------------------------------------------------------------- State

RpcResult<void> get_balance(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_TRY(const BlockRef ref, p.block(1));
    MILLRACE_TRY(const U256 balance, from_node(c.node.balance(address, ref)));
    w.quantity(balance);
    return {};
}

RpcResult<void> get_transaction_count(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_TRY(const BlockRef ref, p.block(1));
    MILLRACE_TRY(const uint64_t nonce, from_node(c.node.nonce(address, ref)));
    w.quantity(nonce);
    return {};
}

RpcResult<void> get_code(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_TRY(const BlockRef ref, p.block(1));
    MILLRACE_TRY(const Bytes code, from_node(c.node.code(address, ref)));
    w.data(code);
    return {};
}

RpcResult<void> get_storage_at(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_TRY(const U256 slot, p.slot(1));
    MILLRACE_TRY(const BlockRef ref, p.block(2));
    MILLRACE_TRY(const U256 value, from_node(c.node.storage(address, slot, ref)));
    w.data(to_hash(value));
    return {};
}

RpcResult<void> get_proof(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const Address address, p.address(0));
    MILLRACE_TRY(const auto slots, p.slots(1));
    MILLRACE_TRY(const BlockRef ref, p.block(2));
    MILLRACE_TRY(const AccountProof proof, from_node(c.node.proof(address, slots, ref)));
    write_proof(w, proof, p.whole_words(1));
    return {};
}

// ---------------------------------------------------------------- Calls

RpcResult<void> call(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const CallRequest request, p.call(0));
    MILLRACE_TRY(const BlockRef ref, p.block(1));
    MILLRACE_TRY(const StateOverrides state, p.state_overrides(2));
    MILLRACE_TRY(const BlockOverrides block, p.block_overrides(3));
    MILLRACE_TRY(const CallResult result, from_node(c.node.call(request, ref, state, block)));
    w.data(result.output);
    return {};
}

RpcResult<void> estimate_gas(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const CallRequest request, p.call(0));
    MILLRACE_TRY(const BlockRef ref, p.block(1));
    MILLRACE_TRY(const StateOverrides state, p.state_overrides(2));
    MILLRACE_TRY(const BlockOverrides block, p.block_overrides(3));
    MILLRACE_TRY(const uint64_t gas, from_node(c.node.estimate_gas(request, ref, state, block)));
    w.quantity(gas);
    return {};
}

RpcResult<void> create_access_list(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const CallRequest request, p.call(0));
    MILLRACE_TRY(const BlockRef ref, p.block(1));
    MILLRACE_TRY(const AccessListResult result, from_node(c.node.create_access_list(request, ref)));
    w.begin_object();
    w.key("accessList");
    write_access_list(w, result.access_list);
    if (!result.error.empty()) { w.field_text("error", result.error); }
    w.field_quantity("gasUsed", result.gas_used);
    w.end_object();
    return {};
}

// ---------------------------------------------------------------- Fees

RpcResult<void> gas_price(CallContext& c, const Params&, JsonWriter& w) {
    MILLRACE_TRY(const U256 price, from_node(c.node.gas_price()));
    w.quantity(price);
    return {};
}

RpcResult<void> max_priority_fee(CallContext& c, const Params&, JsonWriter& w) {
    MILLRACE_TRY(const U256 tip, from_node(c.node.max_priority_fee_per_gas()));
    w.quantity(tip);
    return {};
}

RpcResult<void> blob_base_fee(CallContext& c, const Params&, JsonWriter& w) {
    MILLRACE_TRY(const U256 fee, from_node(c.node.blob_base_fee()));
    w.quantity(fee);
    return {};
}

RpcResult<void> fee_history(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const uint64_t count, p.loose64(0));
    MILLRACE_TRY(const BlockRef newest, p.block(1));
    MILLRACE_TRY(const auto percentiles, p.percentiles(2));
    if (count == 0) { return bad_param(0, "at least one block"); }
    const uint64_t capped = std::min(count, c.options.fee_history_blocks_max);
    MILLRACE_TRY(const FeeHistory history,
                 from_node(c.node.fee_history(capped, newest, percentiles)));
    write_fee_history(w, history);
    return {};
}

constexpr std::array methods = {
    Method{"eth_chainId", 0, Where::network_thread, false, chain_id},
    Method{"eth_blockNumber", 0, Where::network_thread, false, block_number},
    Method{"eth_syncing", 0, Where::network_thread, false, syncing},
    Method{"eth_accounts", 0, Where::worker, false, accounts},
    Method{"eth_getBlockByNumber", 2, Where::worker, false, get_block_by_number},
    Method{"eth_getBlockByHash", 2, Where::worker, false, get_block_by_hash},
    Method{"eth_getBlockTransactionCountByNumber", 1, Where::worker, false,
           transaction_count_of_block<false>},
    Method{"eth_getBlockTransactionCountByHash", 1, Where::worker, false,
           transaction_count_of_block<true>},
    Method{"eth_getUncleCountByBlockNumber", 1, Where::worker, false, uncle_count<false>},
    Method{"eth_getUncleCountByBlockHash", 1, Where::worker, false, uncle_count<true>},
    Method{"eth_getTransactionByBlockNumberAndIndex", 2, Where::worker, false,
           transaction_in_block<false>},
    Method{"eth_getTransactionByBlockHashAndIndex", 2, Where::worker, false,
           transaction_in_block<true>},
    Method{"eth_getBlockReceipts", 1, Where::worker, false, get_block_receipts},
    Method{"eth_getTransactionByHash", 1, Where::worker, false, get_transaction_by_hash},
    Method{"eth_getTransactionReceipt", 1, Where::worker, false, get_transaction_receipt},
    Method{"eth_getLogs", 1, Where::worker, false, get_logs},
    Method{"eth_getBalance", 2, Where::worker, false, get_balance},
    Method{"eth_getTransactionCount", 2, Where::worker, false, get_transaction_count},
    Method{"eth_getCode", 2, Where::worker, false, get_code},
    Method{"eth_getStorageAt", 3, Where::worker, false, get_storage_at},
    Method{"eth_getProof", 3, Where::worker, false, get_proof},
    Method{"eth_call", 4, Where::worker, false, call},
    Method{"eth_estimateGas", 4, Where::worker, false, estimate_gas},
    Method{"eth_createAccessList", 2, Where::worker, false, create_access_list},
    Method{"eth_gasPrice", 0, Where::worker, false, gas_price},
    Method{"eth_maxPriorityFeePerGas", 0, Where::worker, false, max_priority_fee},
    Method{"eth_blobBaseFee", 0, Where::worker, false, blob_base_fee},
    Method{"eth_feeHistory", 3, Where::worker, false, fee_history},
};

}  // namespace

std::span<const Method> chain_methods() { return methods; }

RpcResult<LogQuery> to_log_query(const LogSelection& selection, NodeApi& node,
                                 const RpcOptions& options) {
    LogQuery query;
    query.filter = selection.filter;
    query.block_hash = selection.block_hash;
    query.results_max = options.logs_results_max;
    query.blocks_max = options.logs_blocks_max;
    query.from = selection.from.value_or(BlockRef::latest());
    query.to = selection.to.value_or(BlockRef::latest());
    if (query.block_hash) { return query; }
    const auto numeric = [](const BlockRef& ref) { return ref.kind == BlockRef::Kind::number; };
    if (numeric(query.from) && numeric(query.to) &&
        query.from.number_value > query.to.number_value) {
        return rpc_fail(rpc_code::invalid_params, "invalid block range params");
    }
    if (numeric(query.to) && query.to.number_value > node.block_number()) {
        return rpc_fail(rpc_code::invalid_params, "block range extends beyond current head block");
    }
    return query;
}

}  // namespace millrace::net
