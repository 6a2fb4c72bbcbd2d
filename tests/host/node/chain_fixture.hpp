// SPDX-License-Identifier: Apache-2.0
// Owns the making of small BlockchainTest fixtures for tests of their runner. What a block should
// lead to is worked out by hand in the test, never by the code under test.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "evm/trie/ordered_root.hpp"
#include "evm/trie/state_trie.hpp"
#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::test {

namespace json = boost::json;

/// A folder of its own, also among tests that run at the same time, that is removed at the end.
class ScratchFolder {
public:
    explicit ScratchFolder(const std::string& name)
        : path_(std::filesystem::path(MILLRACE_SCRATCH_DIR) /
                (name + "." + std::to_string(::getpid()))) {
        std::filesystem::remove_all(path_);
        std::filesystem::create_directories(path_);
    }
    ~ScratchFolder() {
        std::error_code ec;
        std::filesystem::remove_all(path_, ec);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;

    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream out(path_ / name, std::ios::binary);
        out << text;
        if (!out.flush()) { throw std::runtime_error("cannot write " + name); }
        return (path_ / name).string();
    }
    std::string path() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

/// Accounts without storage.
struct PlainAccount {
    uint64_t nonce = 0;
    U256 balance;
    Bytes code = {};
};
using PlainState = std::map<Address, PlainAccount>;

inline Hash256 root_of(const PlainState& state) {
    evm::StateTrie trie;
    for (const auto& [address, a] : state) {
        trie.set_account(address, a.nonce, a.balance, kernels::keccak256(a.code));
    }
    return trie.root();
}

inline json::object json_of(const PlainState& state) {
    json::object o;
    for (const auto& [address, a] : state) {
        o[to_hex(address)] = json::object{{"nonce", to_hex_quantity(a.nonce)},
                                          {"balance", to_hex_quantity(a.balance)},
                                          {"code", to_hex(a.code)},
                                          {"storage", json::object{}}};
    }
    return o;
}

inline json::object json_of(const evm::BlockHeader& h) {
    json::object o{{"parentHash", to_hex(h.parent_hash)},
                   {"uncleHash", to_hex(h.ommers_hash)},
                   {"coinbase", to_hex(h.coinbase)},
                   {"stateRoot", to_hex(h.state_root)},
                   {"transactionsTrie", to_hex(h.transactions_root)},
                   {"receiptTrie", to_hex(h.receipts_root)},
                   {"bloom", to_hex(h.logs_bloom)},
                   {"difficulty", to_hex_quantity(h.difficulty)},
                   {"number", to_hex_quantity(h.number)},
                   {"gasLimit", to_hex_quantity(h.gas_limit)},
                   {"gasUsed", to_hex_quantity(h.gas_used)},
                   {"timestamp", to_hex_quantity(h.timestamp)},
                   {"extraData", to_hex(h.extra_data)},
                   {"mixHash", to_hex(h.prev_randao)},
                   {"nonce", to_hex(h.nonce)},
                   {"hash", to_hex(evm::header_hash(h))}};
    if (h.base_fee_per_gas) { o["baseFeePerGas"] = to_hex_quantity(*h.base_fee_per_gas); }
    if (h.withdrawals_root) { o["withdrawalsRoot"] = to_hex(*h.withdrawals_root); }
    return o;
}

inline const Hash256 secret_key =
    hash_literal("0x00000000000000000000000000000000000000000000000000000000000000a7");

inline Address sender_address() { return *kernels::address_of_secret_key(secret_key); }

inline void sign(evm::Transaction& tx) {
    const auto s = kernels::sign(evm::signing_hash(tx), secret_key);
    tx.r = s->r;
    tx.s = s->s;
    tx.y_parity = s->y_parity;
}

/// A fixture in the making.
struct ChainFixture {
    std::string network;
    std::string seal_engine = "NoProof";
    evm::BlockHeader genesis;
    PlainState pre;
    json::array blocks;
    Hash256 last_hash;
    PlainState post;

    void add_valid(const evm::Block& block) {
        blocks.push_back(json::object{{"rlp", to_hex(evm::encode_block(block))},
                                      {"blockHeader", json_of(block.header)}});
    }
    void add_invalid(const evm::Block& block, const std::string& reason) {
        add_invalid_raw(evm::encode_block(block), reason);
    }
    void add_invalid_raw(const Bytes& raw, const std::string& reason) {
        blocks.push_back(json::object{{"rlp", to_hex(raw)}, {"expectException", reason}});
    }
    json::object test() const {
        return {{"network", network},
                {"genesisBlockHeader", json_of(genesis)},
                {"pre", json_of(pre)},
                {"blocks", blocks},
                {"lastblockhash", to_hex(last_hash)},
                {"postState", json_of(post)},
                {"config", json::object{{"network", network}, {"chainid", "0x01"}}},
                {"sealEngine", seal_engine}};
    }
    std::string text() const { return json::serialize(json::object{{"one", test()}}); }
};

/// Shanghai: an account that holds one ether, and a block with one transfer of 1,000 wei at the
/// price of 20 wei, of which 7 are the base fee.
struct TransferChain {
    static constexpr uint64_t gas_limit = 1'000'000;
    Address recipient = address_literal("0x00000000000000000000000000000000000000bb");
    Address coinbase = address_literal("0x00000000000000000000000000000000000000cc");
    ChainFixture fixture;
    evm::Block block;

    TransferChain() {
        const U256 ether{1'000'000'000'000'000'000};
        fixture.network = "Shanghai";
        fixture.pre[sender_address()] = {0, ether};
        evm::BlockHeader& g = fixture.genesis;
        g.ommers_hash = evm::empty_ommers_hash;
        g.transactions_root = evm::empty_trie_root;
        g.receipts_root = evm::empty_trie_root;
        g.withdrawals_root = evm::empty_trie_root;
        g.state_root = root_of(fixture.pre);
        g.gas_limit = gas_limit;
        g.gas_used = gas_limit / 2;  // at the target: the base fee stays
        g.base_fee_per_gas = U256{7};

        fixture.post[sender_address()] = {1, ether - U256{1000} - U256{20 * 21000}};
        fixture.post[recipient] = {0, U256{1000}};
        fixture.post[coinbase] = {0, U256{13 * 21000}};

        evm::Transaction tx;
        tx.type = evm::TxType::dynamic_fee;
        tx.chain_id = 1;
        tx.max_fee_per_gas = U256{20};
        tx.max_priority_fee_per_gas = U256{20};
        tx.gas_limit = 21000;
        tx.to = recipient;
        tx.value = U256{1000};
        sign(tx);
        block.transactions = {tx};
        block.withdrawals.emplace();
        evm::BlockHeader& h = block.header;
        h = g;
        h.parent_hash = evm::header_hash(g);
        h.coinbase = coinbase;
        h.number = 1;
        h.timestamp = 12;
        h.gas_used = 21000;
        h.transactions_root =
            evm::ordered_trie_root(std::vector<Bytes>{evm::encode_transaction(tx)});
        evm::Receipt receipt;
        receipt.type = tx.type;
        receipt.success = true;
        receipt.cumulative_gas_used = 21000;
        h.receipts_root = evm::ordered_trie_root(std::vector<Bytes>{evm::encode_receipt(receipt)});
        h.state_root = root_of(fixture.post);
        fixture.last_hash = evm::header_hash(h);
    }
    /// The fixture with its valid block.
    ChainFixture complete() const {
        ChainFixture f = fixture;
        f.add_valid(block);
        return f;
    }
    /// A fixture whose only block is invalid for `reason`.
    ChainFixture refusing(const evm::Block& invalid, const std::string& reason) const {
        ChainFixture f = fixture;
        f.add_invalid(invalid, reason);
        f.last_hash = evm::header_hash(f.genesis);
        f.post = f.pre;
        return f;
    }
};

}  // namespace millrace::test
