// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the state trie against the JSON-RPC suite: its genesis and its proofs.
#include <gtest/gtest.h>
#include <simdjson.h>

#include "evm/trie/state_trie.hpp"
#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"
#include "tests/evm/tx/vector_files.hpp"

namespace millrace::evm {
namespace {

namespace dom = simdjson::dom;

std::vector<Block> read_chain(const std::filesystem::path& folder) {
    const std::string file = test::read_text(folder / "chain.rlp");
    rlp::Reader reader(as_bytes(file));
    std::vector<Block> blocks;
    while (!reader.at_end()) { blocks.push_back(decode_block(*reader.raw_item()).value()); }
    return blocks;
}

TEST(RpcSuiteState, GenesisRootLeadsToTheHashThatBlockOneNames) {
    MILLRACE_NEED_VECTORS(folder, "rpc-tests");
    dom::parser parser;
    const std::string text = test::read_text(folder / "genesis.json");
    const dom::object genesis = parser.parse(text);
    StateTrie trie;
    size_t slots = 0;
    for (const auto field : dom::object(genesis["alloc"])) {
        const Address address = address_literal(field.key);
        const dom::object account = field.value;
        std::string_view value;
        const uint64_t nonce =
            account["nonce"].get(value) == simdjson::SUCCESS ? u64_from_hex(value).value() : 0;
        const Bytes code =
            account["code"].get(value) == simdjson::SUCCESS ? test::bytes_from_hex(value) : Bytes{};
        trie.set_account(address, nonce,
                         u256_from_hex(std::string_view(account["balance"])).value(),
                         kernels::keccak256(code));
        dom::object storage;
        if (account["storage"].get(storage) != simdjson::SUCCESS) { continue; }
        for (const auto slot : storage) {
            trie.set_storage(address, to_u256(hash_literal(slot.key)),
                             load_be(test::bytes_from_hex(std::string_view(slot.value))));
            ++slots;
        }
    }
    EXPECT_GT(slots, 0u);

    const std::vector<Block> blocks = read_chain(folder);
    BlockHeader header;
    const auto number = [&](std::string_view key) {
        return u256_from_hex(std::string_view(genesis[key])).value();
    };
    header.ommers_hash = empty_ommers_hash;
    header.state_root = trie.root();
    header.transactions_root = empty_trie_root;
    header.receipts_root = empty_trie_root;
    header.difficulty = number("difficulty");
    header.gas_limit = number("gasLimit").low64();
    header.timestamp = number("timestamp").low64();
    header.extra_data = test::bytes_from_hex(std::string_view(genesis["extraData"]));
    const Hash256 nonce = to_hash(number("nonce"));
    header.nonce = FixedBytes<8>::from(nonce.view().subspan(24));
    EXPECT_EQ(header_hash(header), blocks.at(0).header.parent_hash);
}

TEST(RpcSuiteState, ProofsOfTheSuiteVerify) {
    MILLRACE_NEED_VECTORS(folder, "rpc-tests");
    const std::vector<Block> blocks = read_chain(folder);
    size_t checked = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder / "eth_getProof")) {
        SCOPED_TRACE(file.path().filename().string());
        const std::string all = test::read_text(file.path());
        const size_t at = all.find("<< ");
        ASSERT_NE(at, std::string::npos);
        dom::parser parser;
        const std::string line = all.substr(at + 3, all.find('\n', at) - at - 3);
        const dom::element answer = parser.parse(line);
        const dom::object result = answer["result"];
        const auto text = [&](const dom::object& o, std::string_view key) {
            return std::string_view(o[key]);
        };
        const auto nodes = [&](const dom::object& o, std::string_view key) {
            std::vector<Bytes> list;
            for (const dom::element node : dom::array(o[key])) {
                list.push_back(test::bytes_from_hex(std::string_view(node)));
            }
            return list;
        };
        Proof proof;
        proof.address = address_literal(text(result, "address"));
        proof.exists = true;
        proof.account = {u64_from_hex(text(result, "nonce")).value(),
                         u256_from_hex(text(result, "balance")).value(),
                         hash_literal(text(result, "storageHash")),
                         hash_literal(text(result, "codeHash"))};
        proof.account_nodes = nodes(result, "accountProof");
        for (const dom::object slot : dom::array(result["storageProof"])) {
            proof.storage.push_back({u256_from_hex(text(slot, "key")).value(),
                                     u256_from_hex(text(slot, "value")).value(),
                                     nodes(slot, "proof")});
        }
        // The block asked for differs from file to file; its root is the hash of the first node.
        bool known_root = false;
        for (const Block& block : blocks) {
            known_root |= block.header.state_root == kernels::keccak256(proof.account_nodes.at(0));
        }
        EXPECT_TRUE(known_root);
        const auto verified = verify_proof(kernels::keccak256(proof.account_nodes.at(0)), proof);
        EXPECT_TRUE(verified) << verified.error().message;
        ++checked;
    }
    EXPECT_GE(checked, 4u);
}

}  // namespace
}  // namespace millrace::evm
