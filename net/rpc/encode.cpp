// SPDX-License-Identifier: Apache-2.0
// Owns which fields each Ethereum object has in JSON, by type and fork.
#include "net/rpc/encode.hpp"

namespace millrace::net {

namespace {

void write_optional_address(JsonWriter& w, std::string_view name,
                            const std::optional<Address>& address) {
    w.key(name);
    if (address) {
        w.data(*address);
    } else {
        w.null();
    }
}

/// Fields of every header, but for its hash and nonce.
void write_header_fields(JsonWriter& w, const evm::BlockHeader& h) {
    w.field_quantity("number", h.number);
    w.field_data("parentHash", h.parent_hash);
    w.field_data("mixHash", h.prev_randao);
    w.field_data("sha3Uncles", h.ommers_hash);
    w.field_data("logsBloom", h.logs_bloom);
    w.field_data("stateRoot", h.state_root);
    w.field_data("miner", h.coinbase);
    w.field_quantity("difficulty", h.difficulty);
    w.field_data("extraData", h.extra_data);
    w.field_quantity("gasLimit", h.gas_limit);
    w.field_quantity("gasUsed", h.gas_used);
    w.field_quantity("timestamp", h.timestamp);
    w.field_data("transactionsRoot", h.transactions_root);
    w.field_data("receiptsRoot", h.receipts_root);
    if (h.base_fee_per_gas) { w.field_quantity("baseFeePerGas", *h.base_fee_per_gas); }
    if (h.withdrawals_root) { w.field_data("withdrawalsRoot", *h.withdrawals_root); }
    if (h.blob_gas_used) { w.field_quantity("blobGasUsed", *h.blob_gas_used); }
    if (h.excess_blob_gas) { w.field_quantity("excessBlobGas", *h.excess_blob_gas); }
    if (h.parent_beacon_block_root) {
        w.field_data("parentBeaconBlockRoot", *h.parent_beacon_block_root);
    }
    if (h.requests_hash) { w.field_data("requestsHash", *h.requests_hash); }
}

void write_withdrawals(JsonWriter& w, const std::vector<evm::Withdrawal>& withdrawals) {
    w.key("withdrawals");
    w.begin_array();
    for (const auto& withdrawal : withdrawals) {
        w.begin_object();
        w.field_quantity("index", withdrawal.index);
        w.field_quantity("validatorIndex", withdrawal.validator_index);
        w.field_data("address", withdrawal.address);
        w.field_quantity("amount", withdrawal.amount_gwei);
        w.end_object();
    }
    w.end_array();
}

void write_inclusion(JsonWriter& w, const std::optional<Inclusion>& inclusion) {
    if (inclusion) {
        w.field_data("blockHash", inclusion->block_hash);
        w.field_quantity("blockNumber", inclusion->block_number);
        w.field_quantity("blockTimestamp", inclusion->block_timestamp);
        w.field_quantity("transactionIndex", inclusion->index);
    } else {
        w.field_null("blockHash");
        w.field_null("blockNumber");
        w.field_null("blockTimestamp");
        w.field_null("transactionIndex");
    }
}

void write_fees(JsonWriter& w, const TransactionData& data) {
    const evm::Transaction& tx = *data.transaction;
    if (tx.type == evm::TxType::deposit) {
        w.field_quantity("gasPrice", uint64_t{0});
        return;
    }
    if (tx.has_gas_price_only()) {
        w.field_quantity("gasPrice", tx.max_fee_per_gas);
        return;
    }
    w.field_quantity("gasPrice", data.inclusion ? data.effective_gas_price : tx.max_fee_per_gas);
    w.field_quantity("maxFeePerGas", tx.max_fee_per_gas);
    w.field_quantity("maxPriorityFeePerGas", tx.max_priority_fee_per_gas);
}

void write_authorizations(JsonWriter& w, const std::vector<evm::Authorization>& list) {
    w.key("authorizationList");
    w.begin_array();
    for (const auto& item : list) {
        w.begin_object();
        w.field_quantity("chainId", item.chain_id);
        w.field_data("address", item.address);
        w.field_quantity("nonce", item.nonce);
        w.field_quantity("yParity", uint64_t{item.y_parity});
        w.field_quantity("r", item.r);
        w.field_quantity("s", item.s);
        w.end_object();
    }
    w.end_array();
}

/// Fields that only some types have, before the signature.
void write_typed_fields(JsonWriter& w, const evm::Transaction& tx) {
    if (tx.type == evm::TxType::deposit) {
        w.field_data("sourceHash", tx.source_hash);
        w.field_quantity("mint", tx.mint);
        return;
    }
    if (tx.type != evm::TxType::legacy) {
        w.key("accessList");
        write_access_list(w, tx.access_list);
    }
    if (tx.chain_id) { w.field_quantity("chainId", *tx.chain_id); }
    if (tx.type == evm::TxType::blob) {
        w.field_quantity("maxFeePerBlobGas", tx.max_fee_per_blob_gas);
        w.key("blobVersionedHashes");
        w.begin_array();
        for (const auto& hash : tx.blob_versioned_hashes) { w.data(hash); }
        w.end_array();
    }
    if (tx.type == evm::TxType::set_code) { write_authorizations(w, tx.authorization_list); }
}

/// EIP-155: v of a protected legacy transaction is 35 + 2 * chain id + parity.
U256 legacy_v(const evm::Transaction& tx) {
    const U256 parity(tx.y_parity);
    return tx.chain_id ? U256(*tx.chain_id) * U256(2) + U256(35) + parity : U256(27) + parity;
}

void write_signature(JsonWriter& w, const evm::Transaction& tx) {
    const bool legacy = tx.type == evm::TxType::legacy;
    w.field_quantity("v", legacy ? legacy_v(tx) : U256(tx.y_parity));
    w.field_quantity("r", tx.r);
    w.field_quantity("s", tx.s);
    if (!legacy && tx.type != evm::TxType::deposit) {
        w.field_quantity("yParity", uint64_t{tx.y_parity});
    }
}

void write_log_fields(JsonWriter& w, const evm::Log& log, const Inclusion& place,
                      const Hash256& transaction_hash, uint64_t log_index, bool removed) {
    w.begin_object();
    w.field_data("address", log.address);
    w.key("topics");
    w.begin_array();
    for (const auto& topic : log.topics) { w.data(topic); }
    w.end_array();
    w.field_data("data", log.data);
    w.field_quantity("blockNumber", place.block_number);
    w.field_data("transactionHash", transaction_hash);
    w.field_quantity("transactionIndex", place.index);
    w.field_data("blockHash", place.block_hash);
    w.field_quantity("blockTimestamp", place.block_timestamp);
    w.field_quantity("logIndex", log_index);
    w.field_boolean("removed", removed);
    w.end_object();
}

void write_nodes(JsonWriter& w, std::string_view name, const std::vector<Bytes>& nodes) {
    w.key(name);
    w.begin_array();
    for (const auto& node : nodes) { w.data(node); }
    w.end_array();
}

template <class T, class Write>
void write_list(JsonWriter& w, std::string_view name, const std::vector<T>& items, Write write) {
    w.key(name);
    w.begin_array();
    for (const auto& item : items) { write(item); }
    w.end_array();
}

}  // namespace

void write_access_list(JsonWriter& w, const evm::AccessList& list) {
    w.begin_array();
    for (const auto& entry : list) {
        w.begin_object();
        w.field_data("address", entry.address);
        write_list(w, "storageKeys", entry.storage_keys, [&w](const Hash256& key) { w.data(key); });
        w.end_object();
    }
    w.end_array();
}

void write_block(JsonWriter& w, const BlockData& block, bool full_transactions) {
    w.begin_object();
    if (block.sealed) {
        w.field_data("hash", block.hash);
        w.field_data("nonce", block.header.nonce);
    } else {
        w.field_null("hash");
        w.field_null("nonce");
    }
    write_header_fields(w, block.header);
    w.field_quantity("size", block.size_bytes);
    write_list(w, "transactions", block.transactions, [&](const TransactionData& tx) {
        if (full_transactions) {
            write_transaction(w, tx);
        } else {
            w.data(tx.hash);
        }
    });
    write_list(w, "uncles", block.ommer_hashes, [&w](const Hash256& hash) { w.data(hash); });
    if (block.withdrawals) { write_withdrawals(w, *block.withdrawals); }
    w.end_object();
}

void write_transaction(JsonWriter& w, const TransactionData& data) {
    const evm::Transaction& tx = *data.transaction;
    w.begin_object();
    write_inclusion(w, data.inclusion);
    w.field_data("from", data.sender);
    w.field_quantity("gas", tx.gas_limit);
    write_fees(w, data);
    w.field_data("hash", data.hash);
    w.field_data("input", tx.data);
    w.field_quantity("nonce", tx.nonce);
    write_optional_address(w, "to", tx.to);
    w.field_quantity("value", tx.value);
    w.field_quantity("type", static_cast<uint64_t>(tx.type));
    write_typed_fields(w, tx);
    write_signature(w, tx);
    w.end_object();
}

void write_receipt(JsonWriter& w, const ReceiptData& data) {
    const evm::Receipt& receipt = *data.receipt;
    w.begin_object();
    if (data.blob_gas_price) { w.field_quantity("blobGasPrice", *data.blob_gas_price); }
    if (data.blob_gas_used) { w.field_quantity("blobGasUsed", *data.blob_gas_used); }
    w.field_data("blockHash", data.inclusion.block_hash);
    w.field_quantity("blockNumber", data.inclusion.block_number);
    write_optional_address(w, "contractAddress", data.contract_address);
    w.field_quantity("cumulativeGasUsed", receipt.cumulative_gas_used);
    w.field_quantity("effectiveGasPrice", data.effective_gas_price);
    w.field_data("from", data.sender);
    w.field_quantity("gasUsed", data.gas_used);
    w.key("logs");
    w.begin_array();
    uint64_t log_index = data.first_log_index;
    for (const auto& log : receipt.logs) {
        write_log_fields(w, log, data.inclusion, data.transaction_hash, log_index++, false);
    }
    w.end_array();
    w.field_data("logsBloom", receipt.bloom);
    if (receipt.state_root) {
        w.field_data("root", *receipt.state_root);
    } else {
        w.field_quantity("status", uint64_t{receipt.success});
    }
    write_optional_address(w, "to", data.to);
    w.field_data("transactionHash", data.transaction_hash);
    w.field_quantity("transactionIndex", data.inclusion.index);
    w.field_quantity("type", static_cast<uint64_t>(receipt.type));
    w.end_object();
}

void write_log(JsonWriter& w, const LogData& data) {
    write_log_fields(w, data.log, data.inclusion, data.transaction_hash, data.log_index,
                     data.removed);
}

void write_fee_history(JsonWriter& w, const FeeHistory& history) {
    const auto quantity = [&w](const U256& v) { w.quantity(v); };
    const auto ratio = [&w](double v) { w.number(v); };
    w.begin_object();
    w.field_quantity("oldestBlock", history.oldest_block);
    if (!history.reward.empty()) {
        write_list(w, "reward", history.reward, [&](const std::vector<U256>& row) {
            w.begin_array();
            for (const auto& v : row) { w.quantity(v); }
            w.end_array();
        });
    }
    write_list(w, "baseFeePerGas", history.base_fee_per_gas, quantity);
    write_list(w, "gasUsedRatio", history.gas_used_ratio, ratio);
    if (!history.base_fee_per_blob_gas.empty()) {
        write_list(w, "baseFeePerBlobGas", history.base_fee_per_blob_gas, quantity);
        write_list(w, "blobGasUsedRatio", history.blob_gas_used_ratio, ratio);
    }
    w.end_object();
}

void write_proof(JsonWriter& w, const AccountProof& proof, const std::vector<bool>& whole_keys) {
    w.begin_object();
    w.field_data("address", proof.address);
    write_nodes(w, "accountProof", proof.nodes);
    w.field_quantity("balance", proof.balance);
    w.field_data("codeHash", proof.code_hash);
    w.field_quantity("nonce", proof.nonce);
    w.field_data("storageHash", proof.storage_hash);
    size_t index = 0;
    write_list(w, "storageProof", proof.storage, [&](const AccountProof::StorageProof& item) {
        w.begin_object();
        if (index < whole_keys.size() && whole_keys[index]) {
            w.field_data("key", to_hash(item.key));
        } else {
            w.field_quantity("key", item.key);
        }
        ++index;
        w.field_quantity("value", item.value);
        write_nodes(w, "proof", item.nodes);
        w.end_object();
    });
    w.end_object();
}

namespace {

void write_leaf(JsonWriter& w, const EngineProof::Leaf& leaf, bool has_proof) {
    w.field_data("key", leaf.key);
    if (leaf.value) {
        w.field_data("leaf", *leaf.value);
    } else {
        w.field_null("leaf");
    }
    if (has_proof) { w.field_data("proof", leaf.proof); }
}

void write_known(JsonWriter& w, std::string_view name, const std::optional<uint64_t>& value) {
    if (value) {
        w.field_quantity(name, *value);
    } else {
        w.field_null(name);
    }
}

}  // namespace

void write_engine_proof(JsonWriter& w, const EngineProof& proof) {
    const bool each = proof.keys.empty();
    w.begin_object();
    w.field_data("address", proof.address);
    w.field_quantity("blockNumber", proof.block_number);
    w.field_data("blockHash", proof.block_hash);
    w.field_data("stateRoot", proof.state_root);
    w.field_text("nodeHash", proof.node_hash);
    w.key("account");
    w.begin_object();
    write_leaf(w, proof.account, each);
    w.field_quantity("nonce", proof.nonce);
    w.field_quantity("balance", proof.balance);
    w.field_data("codeHash", proof.code_hash);
    write_known(w, "ordinal", proof.ordinal);
    write_known(w, "incarnation", proof.incarnation);
    w.end_object();
    write_list(w, "storage", proof.storage, [&](const EngineProof::Slot& slot) {
        w.begin_object();
        w.field_data("slot", to_hash(slot.slot));
        w.field_data("value", to_hash(slot.value));
        write_leaf(w, slot.leaf, each);
        w.end_object();
    });
    if (!each) {
        w.key("multiproof");
        w.begin_object();
        write_list(w, "keys", proof.keys, [&w](const Hash256& key) { w.data(key); });
        w.field_data("proof", proof.multiproof);
        w.end_object();
    }
    w.end_object();
}

void write_head(JsonWriter& w, const HeadEvent& head) {
    w.begin_object();
    w.field_data("hash", head.hash);
    w.field_data("nonce", head.header.nonce);
    write_header_fields(w, head.header);
    w.field_quantity("miniBlockCount", head.mini_block_count);
    w.end_object();
}

namespace {

template <class Event>
void write_results(JsonWriter& w, const Event& event, bool hashes_only) {
    if (hashes_only) {
        write_list(w, "transactions", event.transactions,
                   [&w](const TransactionData& tx) { w.data(tx.hash); });
        return;
    }
    write_list(w, "transactions", event.transactions,
               [&w](const TransactionData& tx) { write_transaction(w, tx); });
    write_list(w, "receipts", event.receipts,
               [&w](const ReceiptData& receipt) { write_receipt(w, receipt); });
}

}  // namespace

void write_mini_block(JsonWriter& w, const MiniBlockEvent& event, bool hashes_only) {
    w.begin_object();
    w.field_quantity("block_number", event.block_number);
    w.field_quantity("block_timestamp", event.block_timestamp);
    w.field_quantity("index", event.index);
    w.field_quantity("mini_block_number", event.mini_block_number);
    w.field_quantity("mini_block_timestamp", event.timestamp_us);
    w.field_quantity("gas_used", event.gas_used);
    write_results(w, event, hashes_only);
    w.end_object();
}

void write_preview(JsonWriter& w, const PreviewEvent& event, bool hashes_only) {
    w.begin_object();
    w.field_boolean("preview", true);
    w.field_boolean("durable", false);
    w.field_quantity("block_number", event.block_number);
    w.field_quantity("block_timestamp", event.block_timestamp);
    write_results(w, event, hashes_only);
    w.end_object();
}

void write_state_change(JsonWriter& w, const StateChange& change) {
    w.begin_object();
    w.field_data("address", change.address);
    w.field_number("nonce", change.nonce);
    w.field_quantity("balance", change.balance);
    w.key("storage");
    w.begin_object();
    for (const auto& [slot, value] : change.storage) {
        JsonWriter name;
        name.data(to_hash(slot));
        const std::string& quoted = name.str();
        w.field_data(std::string_view(quoted).substr(1, quoted.size() - 2), to_hash(value));
    }
    w.end_object();
    w.end_object();
}

std::vector<LogData> logs_of(const ReceiptData& data) {
    std::vector<LogData> out;
    out.reserve(data.receipt->logs.size());
    uint64_t log_index = data.first_log_index;
    for (const auto& log : data.receipt->logs) {
        out.push_back({log, data.inclusion, data.transaction_hash, log_index++, false});
    }
    return out;
}

}  // namespace millrace::net
