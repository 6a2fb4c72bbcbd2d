// SPDX-License-Identifier: Apache-2.0
// Owns the JSON of blocks, transactions, receipts, logs and real-time events.
#pragma once

#include "net/node_api.hpp"
#include "net/rpc/json_writer.hpp"

namespace millrace::net {

/// As eth_getBlockBy*: with whole transactions or their hashes. The hash and the nonce of an open
/// block are null.
void write_block(JsonWriter& w, const BlockData& block, bool full_transactions);
/// As eth_getTransactionByHash. A pooled transaction has nulls for its block.
void write_transaction(JsonWriter& w, const TransactionData& data);
/// As eth_getTransactionReceipt.
void write_receipt(JsonWriter& w, const ReceiptData& data);
void write_log(JsonWriter& w, const LogData& data);
void write_access_list(JsonWriter& w, const evm::AccessList& list);
void write_fee_history(JsonWriter& w, const FeeHistory& history);
/// `whole_keys[i]` tells that slot i was asked for with all its 32 bytes; it is named so again.
void write_proof(JsonWriter& w, const AccountProof& proof, const std::vector<bool>& whole_keys);
void write_engine_proof(JsonWriter& w, const EngineProof& proof);

/// What eth_subscribe sends: newHeads, miniBlocks, stateChanges.
void write_head(JsonWriter& w, const HeadEvent& head);
/// With `hashes_only` the transactions are their hashes, and there are no receipts.
void write_mini_block(JsonWriter& w, const MiniBlockEvent& event, bool hashes_only = false);
/// As a mini-block without a number of its own, marked as not durable.
void write_preview(JsonWriter& w, const PreviewEvent& event, bool hashes_only);
void write_state_change(JsonWriter& w, const StateChange& change);

/// The logs of one receipt with their places.
std::vector<LogData> logs_of(const ReceiptData& data);

}  // namespace millrace::net
