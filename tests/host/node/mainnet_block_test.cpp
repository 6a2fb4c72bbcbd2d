// SPDX-License-Identifier: Apache-2.0
// Owns the test of the runner of main network blocks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <functional>

#include "host/node/conformance/mainnet_block.hpp"
#include "tests/host/node/chain_fixture.hpp"

namespace millrace::node {
namespace {

using test::TransferChain;
using testing::HasSubstr;

test::json::object document(const TransferChain& chain) {
    test::json::object pre;
    for (const auto& [address, a] : chain.fixture.pre) {
        pre[to_hex(address)] = test::json::object{{"nonce", to_hex_quantity(a.nonce)},
                                                  {"balance", to_hex_quantity(a.balance)},
                                                  {"storage", test::json::object{}}};
    }
    return {{"fork", "Shanghai"},
            {"chainId", "0x1"},
            {"header", test::json_of(chain.block.header)},
            {"transactions",
             test::json::array{test::json::object{
                 {"raw", to_hex(evm::encode_transaction(chain.block.transactions[0]))}}}},
            {"uncles", test::json::array{}},
            {"withdrawals", test::json::array{}},
            {"blockHashes", test::json::object{}},
            {"code", test::json::object{}},
            {"pre", pre}};
}

MainnetBlockResult run_text(const std::string& text, unsigned repeat = 1) {
    const test::ScratchFolder folder("mainnet_block");
    const auto r =
        run_mainnet_blocks(folder.write("block.json", text), {.repeat = repeat, .filter = ""});
    EXPECT_TRUE(r.has_value() && r->size() == 1);
    return r && r->size() == 1 ? r->front() : MainnetBlockResult{};
}

TEST(MainnetBlock, ABlockThatAgreesPasses) {
    const MainnetBlockResult r = run_text(test::json::serialize(document(TransferChain())), 3);
    EXPECT_EQ(r.failure, "");
    EXPECT_EQ(r.number, 1u);
    EXPECT_EQ(r.transactions, 1u);
    EXPECT_EQ(r.gas_used, 21000u);
    EXPECT_TRUE(r.receipts_root_checked);
    EXPECT_GE(r.seconds_median, r.seconds_min);
}

TEST(MainnetBlock, ReadsCompressedFilesAndRefusesDamagedOnes) {
    const test::ScratchFolder folder("mainnet_zstd");
    const std::string text = test::json::serialize(document(TransferChain()));
    std::string packed(ZSTD_compressBound(text.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
    folder.write("a.json.zst", packed);
    folder.write("b.json.zst", packed.substr(0, packed.size() / 2));
    folder.write("c.json.zst", "no zstd frame");
    folder.write("d.json", "{}");
    const auto r = run_mainnet_blocks(folder.path(), {});
    ASSERT_TRUE(r.has_value());
    ASSERT_EQ(r->size(), 4u);
    size_t passed = 0;
    for (const MainnetBlockResult& b : *r) { passed += b.failure.empty() ? 1 : 0; }
    EXPECT_EQ(passed, 1u);
    EXPECT_THAT(mainnet_text(*r), HasSubstr("1 of 4 blocks passed, 3 failed"));
}

TEST(MainnetBlock, ReportsWhatDiffers) {
    const std::pair<const char*, std::function<void(evm::BlockHeader&)>> cases[] = {
        {"gas_used_mismatch", [](evm::BlockHeader& h) { h.gas_used = 21001; }},
        {"logs_bloom_mismatch", [](evm::BlockHeader& h) { h.logs_bloom[0] = 1; }},
        {"receipts_root_mismatch", [](evm::BlockHeader& h) { h.receipts_root[0] ^= 1; }},
        {"transactions_root_mismatch", [](evm::BlockHeader& h) { h.transactions_root[0] ^= 1; }},
    };
    for (const auto& [name, change] : cases) {
        TransferChain chain;
        change(chain.block.header);
        EXPECT_THAT(run_text(test::json::serialize(document(chain))).failure, HasSubstr(name));
    }
}

TEST(MainnetBlock, NamesTheFieldOfAMalformedFile) {
    using Object = test::json::object;
    const std::pair<const char*, std::function<void(Object&)>> cases[] = {
        {"fork", [](Object& o) { o["fork"] = "Nowhere"; }},
        {"header is missing", [](Object& o) { o.erase("header"); }},
        {"header: its hash", [](Object& o) { o["header"].as_object()["gasUsed"] = "0x1"; }},
        {"transactions[0].raw", [](Object& o) { o["transactions"].as_array()[0] = Object{}; }},
        {"pre is missing", [](Object& o) { o.erase("pre"); }},
        {"code.0x",
         [](Object& o) {
             o["pre"].as_object()["0x00000000000000000000000000000000000000aa"] =
                 Object{{"codeHash", to_hex(evm::empty_trie_root)}};
         }},
        {"withdrawals[0].index",
         [](Object& o) { o["withdrawals"].as_array().push_back(Object{}); }},
        {"blockHashes", [](Object& o) { o["blockHashes"] = 1; }},
    };
    for (const auto& [part, change] : cases) {
        Object o = document(TransferChain());
        change(o);
        EXPECT_THAT(run_text(test::json::serialize(o)).failure, HasSubstr(part));
    }
}

}  // namespace
}  // namespace millrace::node
