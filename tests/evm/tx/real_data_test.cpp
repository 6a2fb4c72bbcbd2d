// SPDX-License-Identifier: Apache-2.0
// Owns the tests against real blocks: mainnet blocks and the chain of the JSON-RPC suite.
#include <algorithm>
#include <filesystem>
#include <map>
#include <string>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "evm/trie/ordered_root.hpp"
#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"
#include "tests/evm/tx/recover_sender.hpp"
#include "tests/evm/tx/vector_files.hpp"

namespace millrace::evm {
namespace {

namespace dom = simdjson::dom;
using test::bytes_from_hex;

std::string_view text(const dom::object& o, std::string_view key) {
    return std::string_view(o[key]);
}
bool has(const dom::object& o, std::string_view key) {
    dom::element e;
    return o[key].get(e) == simdjson::SUCCESS && !e.is_null();
}
Hash256 hash(const dom::object& o, std::string_view key) { return hash_literal(text(o, key)); }
Address address(const dom::object& o, std::string_view key) {
    return address_literal(text(o, key));
}
U256 number(const dom::object& o, std::string_view key) {
    return u256_from_hex(text(o, key)).value();
}
uint64_t number64(const dom::object& o, std::string_view key) { return number(o, key).low64(); }

/// A header as eth_getBlockByNumber spells it.
BlockHeader header_of(const dom::object& o) {
    BlockHeader h;
    h.parent_hash = hash(o, "parentHash");
    h.ommers_hash = hash(o, "sha3Uncles");
    h.coinbase = address(o, "miner");
    h.state_root = hash(o, "stateRoot");
    h.transactions_root = hash(o, "transactionsRoot");
    h.receipts_root = hash(o, "receiptsRoot");
    h.logs_bloom = Bloom::from(bytes_from_hex(text(o, "logsBloom")));
    h.difficulty = number(o, "difficulty");
    h.number = number64(o, "number");
    h.gas_limit = number64(o, "gasLimit");
    h.gas_used = number64(o, "gasUsed");
    h.timestamp = number64(o, "timestamp");
    h.extra_data = bytes_from_hex(text(o, "extraData"));
    h.prev_randao = hash(o, "mixHash");
    h.nonce = FixedBytes<8>::from(bytes_from_hex(text(o, "nonce")));
    if (has(o, "baseFeePerGas")) { h.base_fee_per_gas = number(o, "baseFeePerGas"); }
    if (has(o, "withdrawalsRoot")) { h.withdrawals_root = hash(o, "withdrawalsRoot"); }
    if (has(o, "blobGasUsed")) { h.blob_gas_used = number64(o, "blobGasUsed"); }
    if (has(o, "excessBlobGas")) { h.excess_blob_gas = number64(o, "excessBlobGas"); }
    if (has(o, "parentBeaconBlockRoot")) {
        h.parent_beacon_block_root = hash(o, "parentBeaconBlockRoot");
    }
    if (has(o, "requestsHash")) { h.requests_hash = hash(o, "requestsHash"); }
    return h;
}

/// Compares a decoded transaction with its JSON, and its sender with the one recovered.
void expect_matches(const Transaction& tx, const dom::object& o) {
    EXPECT_EQ(transaction_hash(tx), hash(o, "hash"));
    EXPECT_EQ(U256{static_cast<uint64_t>(tx.type)}, number(o, "type"));
    EXPECT_EQ(U256{tx.nonce}, number(o, "nonce"));
    EXPECT_EQ(U256{tx.gas_limit}, number(o, "gas"));
    EXPECT_EQ(tx.value, number(o, "value"));
    EXPECT_EQ(to_hex(tx.data), text(o, "input"));
    EXPECT_EQ(tx.to.has_value(), has(o, "to"));
    if (tx.to) { EXPECT_EQ(*tx.to, address(o, "to")); }
    EXPECT_EQ(tx.r, number(o, "r"));
    EXPECT_EQ(tx.s, number(o, "s"));
    if (tx.has_gas_price_only()) {
        EXPECT_EQ(tx.max_fee_per_gas, number(o, "gasPrice"));
    } else {
        EXPECT_EQ(tx.max_fee_per_gas, number(o, "maxFeePerGas"));
        EXPECT_EQ(tx.max_priority_fee_per_gas, number(o, "maxPriorityFeePerGas"));
    }
    if (has(o, "chainId")) { EXPECT_EQ(U256{tx.chain_id.value()}, number(o, "chainId")); }
    if (has(o, "accessList")) {
        EXPECT_EQ(tx.access_list.size(), dom::array(o["accessList"]).size());
    }
    if (has(o, "blobVersionedHashes")) {
        EXPECT_EQ(tx.blob_versioned_hashes.size(), dom::array(o["blobVersionedHashes"]).size());
        EXPECT_EQ(tx.max_fee_per_blob_gas, number(o, "maxFeePerBlobGas"));
    }
    if (has(o, "authorizationList")) {
        EXPECT_EQ(tx.authorization_list.size(), dom::array(o["authorizationList"]).size());
    }
    EXPECT_EQ(test::recover_signer(signing_hash(tx), tx.y_parity, tx.r, tx.s), address(o, "from"));
    EXPECT_TRUE(signature_values_valid(tx, true));
}

TEST(MainnetBlocks, TransactionsAndRootsAgree) {
    MILLRACE_NEED_VECTORS(folder, "blocks");
    size_t blocks = 0;
    std::map<TxType, size_t> transactions;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
        if (file.path().extension() != ".zst") { continue; }
        SCOPED_TRACE(file.path().filename().string());
        ++blocks;
        dom::parser parser;
        const dom::object block = parser.parse(test::read_zstd_text(file.path()));
        const dom::object json_header = block["header"];
        const BlockHeader header = header_of(json_header);
        EXPECT_EQ(header_hash(header), hash(json_header, "hash"));
        EXPECT_EQ(decode_header(encode_header(header)).value(), header);
        std::vector<Bytes> raws;
        for (const dom::object o : dom::array(block["transactions"])) {
            const Bytes raw = bytes_from_hex(text(o, "raw"));
            const auto tx = decode_transaction(raw);
            ASSERT_TRUE(tx) << tx.error().message;
            ASSERT_EQ(encode_transaction(*tx), raw);
            expect_matches(*tx, o);
            ++transactions[tx->type];
            raws.push_back(raw);
        }
        EXPECT_EQ(ordered_trie_root(raws), header.transactions_root);
        if (has(block, "withdrawals")) {
            std::vector<Bytes> withdrawals;
            for (const dom::object o : dom::array(block["withdrawals"])) {
                const Withdrawal w{number64(o, "index"), number64(o, "validatorIndex"),
                                   address(o, "address"), number64(o, "amount")};
                withdrawals.push_back(encode_withdrawal(w));
                EXPECT_EQ(decode_withdrawal(withdrawals.back()).value(), w);
            }
            EXPECT_EQ(ordered_trie_root(withdrawals), header.withdrawals_root);
        }
    }
    EXPECT_GE(blocks, 30u);
    for (const TxType type :
         {TxType::legacy, TxType::access_list, TxType::dynamic_fee, TxType::blob}) {
        EXPECT_GT(transactions[type], 0u) << static_cast<int>(type);
    }
}

/// The blocks of chain.rlp, which follows the genesis without gaps.
std::vector<Block> read_chain(const std::filesystem::path& folder) {
    const std::string file = test::read_text(folder / "chain.rlp");
    rlp::Reader reader(as_bytes(file));
    std::vector<Block> blocks;
    while (!reader.at_end()) {
        const auto raw = reader.raw_item();
        EXPECT_TRUE(raw);
        if (!raw) { break; }
        auto block = decode_block(*raw);
        EXPECT_TRUE(block) << block.error().message;
        if (!block) { break; }
        EXPECT_EQ(encode_block(*block), Bytes(raw->begin(), raw->end()));
        blocks.push_back(*std::move(block));
    }
    return blocks;
}

TEST(RpcSuiteChain, BlocksSurviveDecodingAndTheirHashesLink) {
    MILLRACE_NEED_VECTORS(folder, "rpc-tests");
    const std::vector<Block> blocks = read_chain(folder);
    ASSERT_EQ(blocks.size(), 54u);
    std::map<TxType, size_t> transactions;
    for (size_t i = 0; i < blocks.size(); ++i) {
        const Block& block = blocks[i];
        SCOPED_TRACE(i);
        EXPECT_EQ(block.header.number, i + 1);
        if (i > 0) { EXPECT_EQ(block.header.parent_hash, header_hash(blocks[i - 1].header)); }
        std::vector<Bytes> raws;
        for (const Transaction& tx : block.transactions) {
            raws.push_back(encode_transaction(tx));
            EXPECT_EQ(decode_transaction(raws.back()).value(), tx);
            ++transactions[tx.type];
        }
        EXPECT_EQ(ordered_trie_root(raws), block.header.transactions_root);
        EXPECT_EQ(ommers_hash(block.ommers), block.header.ommers_hash);
        ASSERT_EQ(block.withdrawals.has_value(), block.header.withdrawals_root.has_value());
        if (block.withdrawals) {
            std::vector<Bytes> withdrawals;
            for (const Withdrawal& w : *block.withdrawals) {
                withdrawals.push_back(encode_withdrawal(w));
            }
            EXPECT_EQ(ordered_trie_root(withdrawals), block.header.withdrawals_root);
        }
    }
    EXPECT_GT(transactions[TxType::set_code], 0u);
    EXPECT_GT(transactions[TxType::blob], 0u);
}

/// Calls `visit(result)` for the result of every exchange in METHOD/*.io.
template <class Visit>
size_t for_each_result(const std::filesystem::path& method, Visit&& visit) {
    size_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(method)) {
        const std::string all = test::read_text(file.path());
        for (size_t at = all.find("<< "); at != std::string::npos; at = all.find("<< ", at + 1)) {
            SCOPED_TRACE(file.path().filename().string());
            dom::parser parser;
            const dom::element answer =
                parser.parse(all.substr(at + 3, all.find('\n', at) - at - 3));
            dom::element result;
            if (answer["result"].get(result) == simdjson::SUCCESS && !result.is_null()) {
                visit(result);
                ++count;
            }
        }
    }
    return count;
}

TEST(RpcSuiteChain, TransactionsAreWhatTheSuiteSays) {
    MILLRACE_NEED_VECTORS(folder, "rpc-tests");
    std::map<Hash256, Transaction> by_hash;
    for (const Block& block : read_chain(folder)) {
        for (const Transaction& tx : block.transactions) { by_hash[transaction_hash(tx)] = tx; }
    }
    const size_t checked =
        for_each_result(folder / "eth_getTransactionByHash", [&](const dom::object& o) {
            const auto found = by_hash.find(hash(o, "hash"));
            ASSERT_NE(found, by_hash.end());
            expect_matches(found->second, o);
        });
    EXPECT_GE(checked, 4u);
}

TEST(RpcSuiteChain, AuthoritiesRecoverToTheSenderOfTheirTransactions) {
    MILLRACE_NEED_VECTORS(folder, "rpc-tests");
    // The suite names no authority. A wrong hash would recover to accounts that nobody has; the
    // right one gives accounts of the genesis or of the chain.
    const std::string genesis = test::read_text(folder / "genesis.json");
    dom::parser parser;
    const dom::object root = parser.parse(genesis);
    std::vector<Address> known;
    for (const auto field : dom::object(root["alloc"])) {
        known.push_back(address_literal(field.key));
    }
    size_t checked = 0;
    for (const Block& block : read_chain(folder)) {
        for (const Transaction& tx : block.transactions) {
            for (const Authorization& a : tx.authorization_list) {
                const auto authority =
                    test::recover_signer(authorization_signing_hash(a), a.y_parity, a.r, a.s);
                ASSERT_TRUE(authority);
                EXPECT_EQ(std::count(known.begin(), known.end(), *authority), 1)
                    << to_hex(*authority);
                ++checked;
            }
        }
    }
    EXPECT_GT(checked, 0u);
}

Receipt receipt_of(const dom::object& o) {
    Receipt r;
    r.type = static_cast<TxType>(number64(o, "type"));
    if (has(o, "root")) {
        r.state_root = hash(o, "root");
    } else {
        r.success = number64(o, "status") == 1;
    }
    r.cumulative_gas_used = number64(o, "cumulativeGasUsed");
    for (const dom::object l : dom::array(o["logs"])) {
        Log log{address(l, "address"), {}, bytes_from_hex(text(l, "data"))};
        for (const dom::element topic : dom::array(l["topics"])) {
            log.topics.push_back(hash_literal(std::string_view(topic)));
        }
        r.logs.push_back(std::move(log));
    }
    r.bloom = bloom_of(r.logs);
    EXPECT_EQ(to_hex(r.bloom), text(o, "logsBloom"));
    return r;
}

TEST(RpcSuiteChain, ReceiptsGiveTheRootsAndBloomsOfTheirBlocks) {
    MILLRACE_NEED_VECTORS(folder, "rpc-tests");
    const std::vector<Block> blocks = read_chain(folder);
    size_t blocks_checked = 0;
    for_each_result(folder / "eth_getBlockReceipts", [&](const dom::array& all) {
        std::vector<Bytes> raws;
        Bloom bloom;
        uint64_t block_number = 0;
        for (const dom::object o : all) {
            const Receipt receipt = receipt_of(o);
            raws.push_back(encode_receipt(receipt));
            EXPECT_EQ(decode_receipt(raws.back()).value(), receipt);
            bloom_merge(bloom, receipt.bloom);
            block_number = number64(o, "blockNumber");
        }
        if (raws.empty()) { return; }
        const Block& block = blocks.at(block_number - 1);
        EXPECT_EQ(block.transactions.size(), raws.size());
        EXPECT_EQ(ordered_trie_root(raws), block.header.receipts_root);
        EXPECT_EQ(bloom, block.header.logs_bloom);
        ++blocks_checked;
    });
    EXPECT_GT(blocks_checked, 0u);

    std::map<TxType, size_t> by_type;
    for_each_result(folder / "eth_getTransactionReceipt", [&](const dom::object& o) {
        const Receipt receipt = receipt_of(o);
        EXPECT_EQ(decode_receipt(encode_receipt(receipt)).value(), receipt);
        Bloom merged = blocks.at(number64(o, "blockNumber") - 1).header.logs_bloom;
        const Bloom of_block = merged;
        bloom_merge(merged, receipt.bloom);
        EXPECT_EQ(merged, of_block);
        ++by_type[receipt.type];
    });
    for (const TxType type : {TxType::legacy, TxType::access_list, TxType::dynamic_fee,
                              TxType::blob, TxType::set_code}) {
        EXPECT_GT(by_type[type], 0u) << static_cast<int>(type);
    }
}

}  // namespace
}  // namespace millrace::evm
