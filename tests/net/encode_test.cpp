// SPDX-License-Identifier: Apache-2.0
// Owns the claims about the JSON of Ethereum's objects.
#include "net/rpc/encode.hpp"

#include <gtest/gtest.h>

#include "tests/net/fake_node.hpp"
#include "tests/net/json_view.hpp"

namespace millrace::net {
namespace {

using namespace testing;

template <class Write>
std::string json_of(Write write) {
    JsonWriter w;
    write(w);
    return w.take();
}

std::string json_of(const TransactionData& data) {
    return json_of([&](JsonWriter& w) { write_transaction(w, data); });
}

TransactionData of_type(evm::TxType type, std::optional<uint64_t> chain_id) {
    TransactionData data = dynamic_fee_transaction(3, std::nullopt);
    evm::Transaction tx = *data.transaction;
    tx.type = type;
    tx.chain_id = chain_id;
    data.transaction = std::make_shared<evm::Transaction>(tx);
    return data;
}

const Inclusion place{hash_of(0x83), 3, 1003, 0};

TEST(WriteTransaction, IncludedDynamicFeeShowsThePricePaid) {
    const std::string json = json_of(dynamic_fee_transaction(3, place));
    EXPECT_EQ(json_at(json, "/blockNumber"), "\"0x3\"");
    EXPECT_EQ(json_at(json, "/blockTimestamp"), "\"0x3eb\"");
    EXPECT_EQ(json_at(json, "/transactionIndex"), "\"0x0\"");
    EXPECT_EQ(json_at(json, "/gasPrice"), "\"0xc\"");
    EXPECT_EQ(json_at(json, "/maxFeePerGas"), "\"0x64\"");
    EXPECT_EQ(json_at(json, "/maxPriorityFeePerGas"), "\"0x2\"");
    EXPECT_EQ(json_at(json, "/value"), "\"0xde0b6b3a7640000\"");
    EXPECT_EQ(json_at(json, "/input"), "\"0xabcd\"");
    EXPECT_EQ(json_at(json, "/type"), "\"0x2\"");
    EXPECT_EQ(json_at(json, "/chainId"), "\"0x539\"");
    EXPECT_EQ(json_at(json, "/v"), "\"0x1\"");
    EXPECT_EQ(json_at(json, "/yParity"), "\"0x1\"");
    EXPECT_EQ(json_at(json, "/accessList/0/storageKeys/0"),
              "\"0x0000000000000000000000000000000000000000000000000000000000000001\"");
}

TEST(WriteTransaction, PooledHasNullsAndTheFeeCap) {
    const std::string json = json_of(dynamic_fee_transaction(3, std::nullopt));
    for (const char* name :
         {"/blockHash", "/blockNumber", "/blockTimestamp", "/transactionIndex"}) {
        EXPECT_EQ(json_at(json, name), "null") << name;
    }
    EXPECT_EQ(json_at(json, "/gasPrice"), "\"0x64\"");
}

TEST(WriteTransaction, LegacySignatureFollowsEip155) {
    const std::string protected_json = json_of(of_type(evm::TxType::legacy, 1337));
    EXPECT_EQ(json_at(protected_json, "/v"), "\"0xa96\"");  // 35 + 2 * 1337 + 1
    EXPECT_EQ(json_at(protected_json, "/chainId"), "\"0x539\"");
    EXPECT_EQ(json_at(protected_json, "/yParity"), "<absent>");
    EXPECT_EQ(json_at(protected_json, "/accessList"), "<absent>");
    EXPECT_EQ(json_at(protected_json, "/maxFeePerGas"), "<absent>");
    const std::string old = json_of(of_type(evm::TxType::legacy, std::nullopt));
    EXPECT_EQ(json_at(old, "/v"), "\"0x1c\"");
    EXPECT_EQ(json_at(old, "/chainId"), "<absent>");
    // Chain ids near 2^64 do not overflow v.
    EXPECT_EQ(json_at(json_of(of_type(evm::TxType::legacy, ~uint64_t{0})), "/v"),
              "\"0x20000000000000022\"");
}

TEST(WriteTransaction, AccessListTypeHasPriceAndParity) {
    const std::string json = json_of(of_type(evm::TxType::access_list, 1337));
    EXPECT_EQ(json_at(json, "/gasPrice"), "\"0x64\"");
    EXPECT_EQ(json_at(json, "/maxFeePerGas"), "<absent>");
    EXPECT_EQ(json_at(json, "/yParity"), "\"0x1\"");
}

TEST(WriteTransaction, BlobAndSetCodeFields) {
    TransactionData blob = of_type(evm::TxType::blob, 1337);
    evm::Transaction tx = *blob.transaction;
    tx.max_fee_per_blob_gas = 9;
    tx.blob_versioned_hashes = {hash_of(0x42)};
    blob.transaction = std::make_shared<evm::Transaction>(tx);
    EXPECT_EQ(json_at(json_of(blob), "/maxFeePerBlobGas"), "\"0x9\"");
    EXPECT_EQ(json_at(json_of(blob), "/blobVersionedHashes/0").size(), 68u);

    tx.type = evm::TxType::set_code;
    tx.authorization_list = {{U256(1337), address_of(5), 8, 1, U256(3), U256(4)}};
    blob.transaction = std::make_shared<evm::Transaction>(tx);
    const std::string json = json_of(blob);
    EXPECT_EQ(json_at(json, "/authorizationList/0"),
              R"({"chainId":"0x539","address":"0x0000000000000000000000000000000000000005",)"
              R"("nonce":"0x8","yParity":"0x1","r":"0x3","s":"0x4"})");
    EXPECT_EQ(json_at(json, "/blobVersionedHashes"), "<absent>");
}

TEST(WriteTransaction, DepositHasSourceAndMint) {
    TransactionData data = of_type(evm::TxType::deposit, std::nullopt);
    const std::string json = json_of(data);
    EXPECT_EQ(json_at(json, "/type"), "\"0x7e\"");
    EXPECT_EQ(json_at(json, "/mint"), "\"0x0\"");
    EXPECT_EQ(json_at(json, "/sourceHash").size(), 68u);
    EXPECT_EQ(json_at(json, "/gasPrice"), "\"0x0\"");
    EXPECT_EQ(json_at(json, "/yParity"), "<absent>");
}

TEST(WriteTransaction, CreationHasNullTo) {
    TransactionData data = of_type(evm::TxType::legacy, 1);
    evm::Transaction tx = *data.transaction;
    tx.to.reset();
    data.transaction = std::make_shared<evm::Transaction>(tx);
    EXPECT_EQ(json_at(json_of(data), "/to"), "null");
}

TEST(WriteReceipt, HasStatusLogsAndNullContract) {
    const ReceiptData data = receipt_with_log(3, place);
    const std::string json = json_of([&](JsonWriter& w) { write_receipt(w, data); });
    EXPECT_EQ(json_at(json, "/status"), "\"0x1\"");
    EXPECT_EQ(json_at(json, "/root"), "<absent>");
    EXPECT_EQ(json_at(json, "/contractAddress"), "null");
    EXPECT_EQ(json_at(json, "/cumulativeGasUsed"), "\"0x9c40\"");
    EXPECT_EQ(json_at(json, "/gasUsed"), "\"0x7530\"");
    EXPECT_EQ(json_at(json, "/logs/0/logIndex"), "\"0x4\"");
    EXPECT_EQ(json_at(json, "/logs/0/removed"), "false");
    EXPECT_EQ(json_at(json, "/logs/0/blockTimestamp"), "\"0x3eb\"");
    EXPECT_EQ(json_at(json, "/logs/0/data"), "\"0x0102\"");
    EXPECT_EQ(json_at(json, "/logsBloom").size(), 2 + 2 + 512u);
    EXPECT_EQ(json_at(json, "/blobGasUsed"), "<absent>");
}

TEST(WriteReceipt, BeforeByzantiumHasRootInsteadOfStatus) {
    ReceiptData data = receipt_with_log(3, place);
    evm::Receipt receipt = *data.receipt;
    receipt.state_root = hash_of(9);
    data.receipt = std::make_shared<evm::Receipt>(receipt);
    data.contract_address = address_of(1);
    data.to.reset();
    data.blob_gas_used = 131072;
    data.blob_gas_price = U256(1);
    const std::string json = json_of([&](JsonWriter& w) { write_receipt(w, data); });
    EXPECT_EQ(json_at(json, "/status"), "<absent>");
    EXPECT_EQ(json_at(json, "/root").size(), 68u);
    EXPECT_EQ(json_at(json, "/to"), "null");
    EXPECT_EQ(json_at(json, "/contractAddress").size(), 44u);
    EXPECT_EQ(json_at(json, "/blobGasUsed"), "\"0x20000\"");
}

TEST(WriteBlock, FieldsFollowTheFork) {
    FakeNode node;
    const auto block = block_with_transaction(node, 3);
    const auto json = [&](bool full) {
        return json_of([&](JsonWriter& w) { write_block(w, *block, full); });
    };
    EXPECT_EQ(json_at(json(false), "/transactions/0").size(), 68u);
    EXPECT_EQ(json_at(json(true), "/transactions/0/nonce"), "\"0x3\"");
    EXPECT_EQ(json_at(json(false), "/baseFeePerGas"), "\"0xa\"");
    EXPECT_EQ(json_at(json(false), "/withdrawals"), "[]");
    EXPECT_EQ(json_at(json(false), "/size"), "\"0x258\"");
    EXPECT_EQ(json_at(json(false), "/requestsHash"), "<absent>");
    EXPECT_EQ(json_at(json(false), "/nonce"), "\"0x0000000000000000\"");
    block->header.base_fee_per_gas.reset();
    block->header.withdrawals_root.reset();
    block->withdrawals.reset();
    block->header.requests_hash = hash_of(1);
    block->header.parent_beacon_block_root = hash_of(2);
    block->header.blob_gas_used = 0;
    block->header.excess_blob_gas = 5;
    EXPECT_EQ(json_at(json(false), "/baseFeePerGas"), "<absent>");
    EXPECT_EQ(json_at(json(false), "/withdrawals"), "<absent>");
    EXPECT_EQ(json_at(json(false), "/blobGasUsed"), "\"0x0\"");
    EXPECT_EQ(json_at(json(false), "/excessBlobGas"), "\"0x5\"");
    EXPECT_EQ(json_at(json(false), "/requestsHash").size(), 68u);
}

TEST(WriteBlock, OpenBlockHasNullHashAndNonce) {
    FakeNode node;
    const auto block = block_with_transaction(node, 3);
    block->sealed = false;
    const std::string json = json_of([&](JsonWriter& w) { write_block(w, *block, false); });
    EXPECT_EQ(json_at(json, "/hash"), "null");
    EXPECT_EQ(json_at(json, "/nonce"), "null");
    EXPECT_EQ(json_at(json, "/number"), "\"0x3\"");
}

TEST(WriteStateChange, NonceIsANumberAndSlotsAreWords) {
    const StateChange change{address_of(7), 12, U256(0x100), {{U256(1), U256(2)}}};
    EXPECT_EQ(
        json_of([&](JsonWriter& w) { write_state_change(w, change); }),
        R"({"address":"0x0000000000000000000000000000000000000007","nonce":12,"balance":"0x100",)"
        R"("storage":{"0x)" +
            std::string(63, '0') + R"(1":"0x)" + std::string(63, '0') + R"(2"}})");
}

TEST(WriteMiniBlock, HasTheDocumentedFields) {
    MiniBlockEvent event;
    event.block_number = 3;
    event.block_timestamp = 1003;
    event.index = 2;
    event.mini_block_number = 77;
    event.timestamp_us = 1'003'000'020;
    event.gas_used = 30'000;
    event.transactions = {dynamic_fee_transaction(3, place)};
    event.receipts = {receipt_with_log(3, place)};
    const std::string json = json_of([&](JsonWriter& w) { write_mini_block(w, event); });
    EXPECT_EQ(json_at(json, "/mini_block_number"), "\"0x4d\"");
    EXPECT_EQ(json_at(json, "/mini_block_timestamp"), "\"0x3bc890d4\"");
    EXPECT_EQ(json_at(json, "/index"), "\"0x2\"");
    EXPECT_EQ(json_at(json, "/transactions/0/hash").size(), 68u);
    EXPECT_EQ(json_at(json, "/receipts/0/status"), "\"0x1\"");
}

}  // namespace
}  // namespace millrace::net
