// SPDX-License-Identifier: Apache-2.0
// Owns the test of the BlockchainTest runner: what passes, what must be reported, what is
// malformed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "host/node/conformance/block_test.hpp"
#include "host/node/json.hpp"
#include "tests/host/node/chain_fixture.hpp"

namespace millrace::node {
namespace {

using evm::Block;
using evm::BlockHeader;
using test::ChainFixture;
using test::TransferChain;
using testing::HasSubstr;

/// Runs one fixture text; the folder lives as long as the run.
ConformanceReport run_text(const std::string& text) {
    const test::ScratchFolder folder("block_test_runner");
    auto report = run_block_tests(folder.write("fixture.json", text), {});
    EXPECT_TRUE(report.has_value());
    return report ? *report : ConformanceReport{};
}

/// The reason, the expected and the seen value of the only failure.
std::string only_failure(const ConformanceReport& r) {
    EXPECT_EQ(r.passed, 0u);
    EXPECT_EQ(r.failures.size(), 1u);
    if (r.failures.empty()) { return {}; }
    const CaseFailure& f = r.failures[0];
    return f.reason + " | expected " + f.expected + " | got " + f.got;
}

testing::AssertionResult passes(const ChainFixture& f) {
    const ConformanceReport r = run_text(f.text());
    if (r.passed == 1 && r.failures.empty()) { return testing::AssertionSuccess(); }
    return testing::AssertionFailure() << summary_text(r, "block tests");
}

TEST(BlockTestRunner, AValidChainPasses) { EXPECT_TRUE(passes(TransferChain().complete())); }

TEST(BlockTestRunner, CountsByFork) {
    const ConformanceReport r = run_text(TransferChain().complete().text());
    EXPECT_EQ(r.forks.at("Shanghai").passed, 1u);
    EXPECT_EQ(r.forks.at("Shanghai").failed, 0u);
    EXPECT_EQ(r.files, 1u);
}

TEST(BlockTestRunner, ReportsAWrongLastBlock) {
    ChainFixture f = TransferChain().complete();
    f.last_hash = evm::header_hash(f.genesis);
    EXPECT_THAT(only_failure(run_text(f.text())), HasSubstr("ends with another block"));
}

TEST(BlockTestRunner, ReportsEveryKindOfWrongPostState) {
    const TransferChain chain;
    auto failure_after = [&](const std::function<void(test::PlainState&)>& change) {
        ChainFixture f = chain.complete();
        change(f.post);
        return only_failure(run_text(f.text()));
    };
    EXPECT_THAT(failure_after([&](auto& s) { s[chain.recipient].balance += U256{1}; }),
                HasSubstr("balance is 0x3e8, expected 0x3e9"));
    EXPECT_THAT(failure_after([&](auto& s) { s[test::sender_address()].nonce = 2; }),
                HasSubstr("nonce is 1, expected 2"));
    EXPECT_THAT(failure_after([&](auto& s) { s.erase(chain.coinbase); }),
                HasSubstr("exists, the fixture does not have it"));
    EXPECT_THAT(failure_after([&](auto& s) { s[Address{}] = {0, U256{1}}; }),
                HasSubstr("does not exist, the fixture has it"));
}

TEST(BlockTestRunner, ReportsAWrongPreState) {
    ChainFixture f = TransferChain().complete();
    f.pre[test::sender_address()].balance += U256{1};
    EXPECT_THAT(only_failure(run_text(f.text())), HasSubstr("state root of pre differs"));
}

TEST(BlockTestRunner, ReportsAValidBlockThatIsRefused) {
    TransferChain chain;
    chain.block.header.state_root[5] ^= 1;
    ChainFixture f = chain.complete();
    f.last_hash = evm::header_hash(chain.block.header);
    EXPECT_THAT(only_failure(run_text(f.text())), HasSubstr("state_root_mismatch"));
}

TEST(BlockTestRunner, ReportsAnInvalidBlockThatIsAccepted) {
    const TransferChain chain;
    const ChainFixture f = chain.refusing(chain.block, "BlockException.INVALID_STATE_ROOT");
    EXPECT_THAT(only_failure(run_text(f.text())), HasSubstr("an invalid block was accepted"));
}

TEST(BlockTestRunner, ReportsARefusalForAnotherReason) {
    TransferChain chain;
    chain.block.header.state_root[5] ^= 1;
    const ChainFixture f = chain.refusing(chain.block, "BlockException.INVALID_GASLIMIT");
    const std::string failure = only_failure(run_text(f.text()));
    EXPECT_THAT(failure, HasSubstr("refused for another reason"));
    EXPECT_THAT(failure, HasSubstr("expected BlockException.INVALID_GASLIMIT"));
    EXPECT_THAT(failure, HasSubstr("got state_root_mismatch"));
}

TEST(BlockTestRunner, AnyOfSeveralFaultsMayBeTheReason) {
    TransferChain chain;
    BlockHeader& h = chain.block.header;
    h.state_root[5] ^= 1;
    h.gas_limit += TransferChain::gas_limit / 1024;
    h.receipts_root[5] ^= 1;
    for (const char* reason : {"INVALID_GASLIMIT", "INVALID_RECEIPTS_ROOT", "INVALID_STATE_ROOT"}) {
        EXPECT_TRUE(passes(chain.refusing(chain.block, std::string("BlockException.") + reason)));
    }
    const ChainFixture f = chain.refusing(chain.block, "BlockException.INVALID_GAS_USED");
    EXPECT_THAT(only_failure(run_text(f.text())), HasSubstr("got gas_limit_step_too_large"));
}

TEST(BlockTestRunner, ATransactionAtFaultIsFoundBehindAWrongRoot) {
    // As some tools made such blocks: the header is the one of a block without the transaction.
    TransferChain chain;
    evm::Transaction& tx = chain.block.transactions[0];
    tx.nonce = 9;
    tx.gas_limit = 20'999;
    test::sign(tx);
    chain.block.header.transactions_root = evm::empty_trie_root;
    for (const char* reason : {"NONCE_MISMATCH_TOO_HIGH", "INTRINSIC_GAS_TOO_LOW"}) {
        EXPECT_TRUE(
            passes(chain.refusing(chain.block, std::string("TransactionException.") + reason)));
    }
    const ChainFixture f =
        chain.refusing(chain.block, "TransactionException.INSUFFICIENT_ACCOUNT_FUNDS");
    EXPECT_THAT(only_failure(run_text(f.text())), HasSubstr("got transactions_root_mismatch"));
}

TEST(BlockTestRunner, ABlockOfTheDaoForkCarriesItsMark) {
    ChainFixture f;
    f.network = "HomesteadToDaoAt1";
    BlockHeader& g = f.genesis;
    g.ommers_hash = evm::empty_ommers_hash;
    g.transactions_root = evm::empty_trie_root;
    g.receipts_root = evm::empty_trie_root;
    g.difficulty = U256{0x20000};
    g.gas_limit = 1'000'000;
    const Address the_dao = address_literal("0xbb9bc244d798123fde783fcc1c72d3bb8c189413");
    f.pre = {{the_dao, {1, U256{77}}}};
    g.state_root = test::root_of(f.pre);
    Block b;
    b.header = g;
    b.header.parent_hash = evm::header_hash(g);
    b.header.number = 1;
    b.header.timestamp = 15;
    b.header.extra_data = {'d', 'a', 'o', '-', 'h', 'a', 'r', 'd', '-', 'f', 'o', 'r', 'l'};
    f.add_invalid(b, "BlockException.EXTRA_DATA_INVALID_DAO");
    b.header.extra_data.back() = 'k';
    // With the mark it is the state root that is wrong: the balance was moved, others not.
    f.add_invalid(b, "BlockException.INVALID_STATE_ROOT");
    f.last_hash = evm::header_hash(g);
    f.post = f.pre;
    EXPECT_TRUE(passes(f));
}

TEST(BlockTestRunner, AnUnknownReasonIsNoMatch) {
    TransferChain chain;
    chain.block.header.state_root[5] ^= 1;
    const ChainFixture f = chain.refusing(chain.block, "BlockException.NOT_A_REASON");
    const ConformanceReport r = run_text(f.text());
    EXPECT_EQ(r.failures.size(), 1u);
    EXPECT_EQ(r.unknown_reasons.at("BlockException.NOT_A_REASON"), 1u);
}

/// Changes one thing of the valid block; the fixture's name of what is wrong then.
struct Tampering {
    const char* what;
    std::function<void(Block&)> change;
    const char* reason;
};

TEST(BlockTestRunner, RefusesEachTamperedPartForItsReason) {
    auto header = [](auto change) { return [change](Block& b) { change(b.header); }; };
    auto transaction = [](auto change) {
        return [change](Block& b) {
            change(b.transactions[0]);
            test::sign(b.transactions[0]);
            b.header.transactions_root = evm::ordered_trie_root(
                std::vector<Bytes>{evm::encode_transaction(b.transactions[0])});
        };
    };
    using evm::Transaction;
    const Tampering tamperings[] = {
        {"parent", header([](BlockHeader& h) { h.parent_hash[0] ^= 1; }),
         "BlockException.UNKNOWN_PARENT"},
        {"ommers hash", header([](BlockHeader& h) { h.ommers_hash[0] ^= 1; }),
         "BlockException.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS"},
        {"state root", header([](BlockHeader& h) { h.state_root[0] ^= 1; }),
         "BlockException.INVALID_STATE_ROOT"},
        {"transactions root", header([](BlockHeader& h) { h.transactions_root[0] ^= 1; }),
         "BlockException.INVALID_TRANSACTIONS_ROOT"},
        {"receipts root", header([](BlockHeader& h) { h.receipts_root[0] ^= 1; }),
         "BlockException.INVALID_RECEIPTS_ROOT"},
        {"bloom", header([](BlockHeader& h) { h.logs_bloom[9] ^= 1; }),
         "BlockException.INVALID_LOG_BLOOM"},
        {"difficulty", header([](BlockHeader& h) { h.difficulty = U256{1}; }),
         "BlockException.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS"},
        {"number", header([](BlockHeader& h) { h.number = 2; }),
         "BlockException.INVALID_BLOCK_NUMBER"},
        {"gas limit up",
         header([](BlockHeader& h) { h.gas_limit += TransferChain::gas_limit / 1024; }),
         "BlockException.INVALID_GASLIMIT"},
        {"gas limit down",
         header([](BlockHeader& h) { h.gas_limit -= TransferChain::gas_limit / 1024; }),
         "BlockException.INVALID_GASLIMIT"},
        {"gas limit of 2^63", header([](BlockHeader& h) { h.gas_limit = uint64_t{1} << 63; }),
         "BlockException.GASLIMIT_TOO_BIG"},
        {"gas used", header([](BlockHeader& h) { h.gas_used += 1; }),
         "BlockException.INVALID_GAS_USED"},
        {"gas used above limit", header([](BlockHeader& h) { h.gas_used = h.gas_limit + 1; }),
         "BlockException.INVALID_GAS_USED_ABOVE_LIMIT"},
        {"timestamp", header([](BlockHeader& h) { h.timestamp = 0; }),
         "BlockException.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT"},
        {"extra data", header([](BlockHeader& h) { h.extra_data.resize(33); }),
         "BlockException.EXTRA_DATA_TOO_BIG"},
        {"base fee", header([](BlockHeader& h) { h.base_fee_per_gas = U256{8}; }),
         "BlockException.INVALID_BASEFEE_PER_GAS"},
        {"withdrawals root", header([](BlockHeader& h) { (*h.withdrawals_root)[0] ^= 1; }),
         "BlockException.INVALID_WITHDRAWALS_ROOT|BlockException.INVALID_BLOCK_HASH"},
        {"no withdrawals root", header([](BlockHeader& h) { h.withdrawals_root.reset(); }),
         "BlockException.INCORRECT_BLOCK_FORMAT"},
        {"fields of a later fork", header([](BlockHeader& h) {
             h.blob_gas_used = 0;
             h.excess_blob_gas = 0;
         }),
         "BlockException.INCORRECT_BLOCK_FORMAT"},
        {"no withdrawals", [](Block& b) { b.withdrawals.reset(); },
         "BlockException.RLP_WITHDRAWALS_NOT_READ"},
        {"nonce", transaction([](Transaction& t) { t.nonce = 1; }),
         "TransactionException.NONCE_MISMATCH_TOO_HIGH"},
        {"gas", transaction([](Transaction& t) { t.gas_limit = 20999; }),
         "TransactionException.INTRINSIC_GAS_TOO_LOW"},
        {"gas of the block", transaction([](Transaction& t) { t.gas_limit = 1'000'001; }),
         "TransactionException.GAS_ALLOWANCE_EXCEEDED"},
        {"value", transaction([](Transaction& t) { t.value = U256::max(); }),
         "TransactionException.INSUFFICIENT_ACCOUNT_FUNDS"},
        {"fee cap", transaction([](Transaction& t) {
             t.max_fee_per_gas = U256{6};
             t.max_priority_fee_per_gas = U256{};
         }),
         "TransactionException.INSUFFICIENT_MAX_FEE_PER_GAS"},
        {"tip", transaction([](Transaction& t) { t.max_priority_fee_per_gas = U256{21}; }),
         "TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS"},
        {"chain id", transaction([](Transaction& t) { t.chain_id = 2; }),
         "TransactionException.INVALID_CHAINID"},
        {"type of a later fork", transaction([](Transaction& t) {
             t.type = evm::TxType::set_code;
             t.authorization_list.emplace_back();
         }),
         "TransactionException.TYPE_4_TX_PRE_FORK"},
    };
    for (const Tampering& t : tamperings) {
        const TransferChain chain;
        Block b = chain.block;
        t.change(b);
        EXPECT_TRUE(passes(chain.refusing(b, t.reason))) << t.what;
    }
}

TEST(BlockTestRunner, SaysWhichPartOfABlockIsMalformed) {
    const TransferChain chain;
    auto refuses = [&](const Bytes& raw, const std::string& reason) {
        ChainFixture f = chain.fixture;
        f.add_invalid_raw(raw, reason);
        f.last_hash = evm::header_hash(f.genesis);
        f.post = f.pre;
        return passes(f);
    };
    const Bytes raw = evm::encode_block(chain.block);
    Bytes cut = raw;
    cut.pop_back();
    EXPECT_TRUE(refuses(cut, "BlockException.RLP_STRUCTURES_ENCODING"));
    EXPECT_TRUE(refuses({}, "BlockException.RLP_STRUCTURES_ENCODING"));
    // The list that holds the transaction, then the transaction's type byte.
    const Bytes encoded = evm::encode_transaction(chain.block.transactions[0]);
    const auto at = std::search(raw.begin(), raw.end(), encoded.begin(), encoded.end());
    ASSERT_NE(at, raw.end());
    Bytes other_type = raw;
    other_type[static_cast<size_t>(at - raw.begin())] = 0x05;
    EXPECT_TRUE(refuses(other_type, "TransactionException.TYPE_NOT_SUPPORTED"));
}

TEST(BlockTestRunner, ABlockAfterARefusedOneIsAccepted) {
    const TransferChain chain;
    Block wrong = chain.block;
    wrong.header.state_root[0] ^= 1;  // refused after the state was changed and hashed
    ChainFixture f = chain.fixture;
    f.add_invalid(wrong, "BlockException.INVALID_STATE_ROOT");
    f.add_valid(chain.block);
    EXPECT_TRUE(passes(f));
}

/// Two blocks at height 1 and one at height 2 that takes the second of them as its ommer.
struct OmmerChain {
    ChainFixture fixture;
    Block first;
    Block sibling;
    Block second;

    OmmerChain() {
        const U256 reward{5'000'000'000'000'000'000};
        const Address miner = address_literal("0x0000000000000000000000000000000000000a01");
        const Address other = address_literal("0x0000000000000000000000000000000000000a02");
        fixture.network = "Frontier";
        BlockHeader& g = fixture.genesis;
        g.ommers_hash = evm::empty_ommers_hash;
        g.transactions_root = evm::empty_trie_root;
        g.receipts_root = evm::empty_trie_root;
        g.state_root = evm::empty_trie_root;
        g.difficulty = U256{0x20000};
        g.gas_limit = 1'000'000;
        auto child = [](const BlockHeader& parent, const Address& coinbase, uint64_t elapsed_s) {
            Block b;
            b.header = parent;
            b.header.parent_hash = evm::header_hash(parent);
            b.header.coinbase = coinbase;
            b.header.number = parent.number + 1;
            b.header.timestamp = parent.timestamp + elapsed_s;
            // Frontier: a 2048th up when quick; slow ones stay at the minimum here.
            b.header.difficulty = elapsed_s < 13 ? parent.difficulty + U256{64} : U256{0x20000};
            return b;
        };
        first = child(g, miner, 10);
        first.header.state_root = test::root_of({{miner, {0, reward}}});
        sibling = child(g, other, 20);
        sibling.header.state_root = test::root_of({{other, {0, reward}}});
        second = child(first.header, miner, 10);
        second.ommers = {sibling.header};
        second.header.ommers_hash = evm::ommers_hash(second.ommers);
        // 5 and a 32nd more for the nephew; 7 eighths for the ommer.
        const U256 nephew = reward + reward + reward / U256{32};
        fixture.post = {{miner, {0, nephew}}, {other, {0, reward * U256{7} / U256{8}}}};
        second.header.state_root = test::root_of(fixture.post);
        fixture.last_hash = evm::header_hash(second.header);
    }
    ChainFixture with(const std::vector<Block>& valid) const {
        ChainFixture f = fixture;
        for (const Block& b : valid) { f.add_valid(b); }
        return f;
    }
};

TEST(BlockTestRunner, PaysForAnOmmer) {
    const OmmerChain c;
    EXPECT_TRUE(passes(c.with({c.first, c.second})));
}

TEST(BlockTestRunner, KeepsASideChainApart) {
    const OmmerChain c;
    EXPECT_TRUE(passes(c.with({c.first, c.sibling, c.second})));
    EXPECT_TRUE(passes(c.with({c.sibling, c.first, c.second})));
}

TEST(BlockTestRunner, ProofOfWorkIsCheckedWhereTheFixtureHasIt) {
    const OmmerChain c;
    ChainFixture f = c.fixture;
    f.seal_engine = "Ethash";
    f.add_invalid(c.first, "InvalidBlockNonce");
    f.add_invalid(c.sibling, "InvalidBlockNonce");
    f.last_hash = evm::header_hash(f.genesis);
    f.post.clear();
    EXPECT_TRUE(passes(f));
    f.seal_engine = "NoProof";
    EXPECT_THAT(only_failure(run_text(f.text())), HasSubstr("an invalid block was accepted"));
}

TEST(BlockTestRunner, RefusesWrongOmmersForTheirReason) {
    const OmmerChain c;
    auto refuses = [&](const std::vector<BlockHeader>& ommers, const std::string& reason) {
        ChainFixture f = c.fixture;
        f.add_valid(c.first);
        Block b = c.second;
        b.ommers = ommers;
        b.header.ommers_hash = evm::ommers_hash(ommers);
        f.add_invalid(b, reason);
        f.last_hash = evm::header_hash(c.first.header);
        f.post = {{c.first.header.coinbase, {0, U256{5'000'000'000'000'000'000}}}};
        return passes(f);
    };
    BlockHeader third = c.sibling.header;
    third.extra_data = {1};
    BlockHeader wrong_difficulty = c.sibling.header;
    wrong_difficulty.difficulty += U256{1};
    BlockHeader orphan = c.sibling.header;
    orphan.parent_hash[0] ^= 1;
    EXPECT_TRUE(refuses({c.sibling.header, c.sibling.header}, "BlockException.UNCLE_IS_BROTHER"));
    EXPECT_TRUE(
        refuses({c.sibling.header, third, c.first.header}, "BlockException.TOO_MANY_UNCLES"));
    EXPECT_TRUE(refuses({c.first.header}, "BlockException.UNCLE_IS_ANCESTOR"));
    EXPECT_TRUE(refuses({wrong_difficulty}, "BlockException.INVALID_DIFFICULTY"));
    EXPECT_TRUE(refuses({orphan}, "BlockException.UNCLE_UNKNOWN_PARENT"));
    BlockHeader brother = c.second.header;
    brother.ommers_hash = evm::empty_ommers_hash;
    EXPECT_TRUE(refuses({brother}, "BlockException.UNCLE_PARENT_INCORRECT"));
    wrong_difficulty.number = 9;
    EXPECT_TRUE(refuses({wrong_difficulty}, "BlockException.INVALID_DIFFICULTY")) << "both";
    EXPECT_TRUE(refuses({wrong_difficulty}, "BlockException.INVALID_BLOCK_NUMBER")) << "both";
}

/// Main network block 116525: a contract is destroyed by one transaction and called by the next.
TEST(BlockTestRunner, ADestroyedContractIsGoneForTheNextTransactionOfTheBlock) {
    const U256 ether{1'000'000'000'000'000'000};
    const Address contract = address_literal("0x00000000000000000000000000000000000000dd");
    const Address miner = address_literal("0x0000000000000000000000000000000000000a01");
    ChainFixture f;
    f.network = "Byzantium";
    f.pre[test::sender_address()] = {0, ether};
    f.pre[contract] = {1, U256{7}, {0x33, 0xff}};  // CALLER SELFDESTRUCT
    BlockHeader& g = f.genesis;
    g.ommers_hash = evm::empty_ommers_hash;
    g.transactions_root = evm::empty_trie_root;
    g.receipts_root = evm::empty_trie_root;
    g.state_root = test::root_of(f.pre);
    g.difficulty = U256{0x20000};
    g.gas_limit = 1'000'000;
    // 21,000 + 2 + 5,000, of which the refund of 24,000 takes half; then a call of nothing.
    constexpr uint64_t first_gas = (21000 + 2 + 5000) / 2;
    constexpr uint64_t second_gas = 21000;
    Block b;
    std::vector<Bytes> transactions;
    std::vector<Bytes> receipts;
    for (uint64_t nonce = 0; nonce < 2; ++nonce) {
        evm::Transaction& tx = b.transactions.emplace_back();
        tx.nonce = nonce;
        tx.max_fee_per_gas = tx.max_priority_fee_per_gas = U256{1};
        tx.gas_limit = 100'000;
        tx.to = contract;
        test::sign(tx);
        transactions.push_back(evm::encode_transaction(tx));
        evm::Receipt receipt;
        receipt.success = true;
        receipt.cumulative_gas_used = nonce == 0 ? first_gas : first_gas + second_gas;
        receipts.push_back(evm::encode_receipt(receipt));
    }
    BlockHeader& h = b.header;
    h = g;
    h.parent_hash = evm::header_hash(g);
    h.coinbase = miner;
    h.number = 1;
    h.timestamp = 20;
    h.gas_used = first_gas + second_gas;
    h.transactions_root = evm::ordered_trie_root(transactions);
    h.receipts_root = evm::ordered_trie_root(receipts);
    f.post[test::sender_address()] = {2, ether + U256{7} - U256{first_gas + second_gas}};
    f.post[miner] = {0, U256{3} * ether + U256{first_gas + second_gas}};
    h.state_root = test::root_of(f.post);
    f.add_valid(b);
    f.last_hash = evm::header_hash(h);
    EXPECT_TRUE(passes(f));
}

TEST(BlockTestRunner, MalformedFixturesAreFailuresThatNameTheField) {
    const ChainFixture valid = TransferChain().complete();
    auto failure_after = [&](const std::function<void(test::json::object&)>& change) {
        test::json::object t = valid.test();
        change(t);
        return only_failure(run_text(test::json::serialize(test::json::object{{"one", t}})));
    };
    using Object = test::json::object;
    auto header = [](Object& t) -> Object& { return t["genesisBlockHeader"].as_object(); };
    EXPECT_THAT(failure_after([](Object& t) { t.erase("network"); }), HasSubstr("network"));
    EXPECT_THAT(failure_after([](Object& t) { t["network"] = "Atlantis"; }),
                HasSubstr("unknown network 'Atlantis'"));
    EXPECT_THAT(failure_after([](Object& t) { t["network"] = "ShanghaiToAtlantisAtTime15k"; }),
                HasSubstr("unknown network"));
    EXPECT_THAT(failure_after([](Object& t) { t.erase("pre"); }), HasSubstr("pre is missing"));
    EXPECT_THAT(failure_after([](Object& t) { t["pre"] = 1; }), HasSubstr("pre: expected"));
    EXPECT_THAT(failure_after([](Object& t) { t["pre"] = Object{{"0x1", Object{}}}; }),
                HasSubstr("pre.0x1"));
    EXPECT_THAT(failure_after([](Object& t) { t["blocks"] = "none"; }), HasSubstr("blocks"));
    EXPECT_THAT(failure_after([](Object& t) { t["blocks"].as_array()[0] = 5; }),
                HasSubstr("blocks[0]: expected an object"));
    EXPECT_THAT(
        failure_after([](Object& t) { t["blocks"].as_array()[0].as_object()["rlp"] = "0xzz"; }),
        HasSubstr("blocks[0].rlp"));
    EXPECT_THAT(
        failure_after([](Object& t) { t["blocks"].as_array()[0].as_object().erase("rlp"); }),
        HasSubstr("blocks[0].rlp is missing"));
    EXPECT_THAT(failure_after([&](Object& t) { header(t).erase("gasLimit"); }),
                HasSubstr("genesisBlockHeader.gasLimit is missing"));
    EXPECT_THAT(failure_after([&](Object& t) { header(t)["bloom"] = "0x00"; }),
                HasSubstr("genesisBlockHeader.bloom: has 1 bytes, expected 256"));
    EXPECT_THAT(failure_after([&](Object& t) { header(t)["number"] = "0x10000000000000000"; }),
                HasSubstr("genesisBlockHeader.number"));
    EXPECT_THAT(failure_after([](Object& t) { t.erase("lastblockhash"); }),
                HasSubstr("lastblockhash is missing"));
    EXPECT_THAT(failure_after([](Object& t) { t["postState"] = 3; }), HasSubstr("postState"));
    EXPECT_THAT(failure_after([](Object& t) { t["config"].as_object()["chainid"] = "x"; }),
                HasSubstr("config.chainid"));
    EXPECT_THAT(failure_after([](Object& t) {
                    t["config"].as_object()["blobSchedule"] =
                        Object{{"Shanghai", Object{{"target", 1}, {"max", 0}}}};
                }),
                HasSubstr("config.blobSchedule.Shanghai"));
}

TEST(BlockTestRunner, FilesThatAreNoFixturesAreFailuresThatNameTheFile) {
    const test::ScratchFolder folder("block_test_files");
    folder.write("a.json", "{");
    folder.write("b.json", "[]");
    folder.write("c.json", "{\"x\": 1}");
    folder.write("d.json", "{}");
    folder.write("e.json", std::string(1000, '['));
    folder.write("f.json", TransferChain().complete().text());
    folder.write("ignored.txt", "no fixture");
    const auto r = run_block_tests(folder.path(), {.thread_count = 3});
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(r->passed, 1u);
    ASSERT_EQ(r->failures.size(), 5u);
    for (size_t i = 0; i < 5; ++i) {
        const std::string name{static_cast<char>('a' + i)};
        EXPECT_THAT(r->failures[i].file, testing::EndsWith(name + ".json"));
        EXPECT_FALSE(r->failures[i].reason.empty());
    }
}

TEST(BlockTestRunner, NothingToReadIsAnError) {
    const test::ScratchFolder folder("block_test_empty");
    EXPECT_FALSE(run_block_tests(folder.path(), {}).has_value());
    EXPECT_FALSE(run_block_tests(folder.path() + "/absent", {}).has_value());
}

TEST(BlockTestRunner, TheTextHasNothingThatATerminalObeys) {
    const std::string text =
        summary_text(run_text(R"({"a\u001b[2Jb": {"network": "x\u0007"}})"), "block tests");
    EXPECT_THAT(text, HasSubstr("a\\x1b[2Jb"));
    EXPECT_THAT(text, HasSubstr("x\\x07"));
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(text.find('\x07'), std::string::npos);
}

TEST(BlockTestRunner, TheJsonReportTellsWhatTheTextTells) {
    ChainFixture f = TransferChain().complete();
    f.last_hash = Hash256{};
    const ConformanceReport r = run_text(f.text());
    const auto document = parse_json(report_json(r, "evm blocktest", "somewhere"), "report");
    ASSERT_TRUE(document.has_value());
    const auto& o = document->as_object();
    EXPECT_EQ(o.at("total").to_number<int>(), 1);
    EXPECT_EQ(o.at("failed").to_number<int>(), 1);
    EXPECT_EQ(o.at("forks").at("Shanghai").at("failed").to_number<int>(), 1);
    EXPECT_EQ(o.at("failures").at(0).at("test").as_string(), "one");
    EXPECT_EQ(o.at("failures").at(0).at("expected").as_string(), to_hex(Hash256{}).c_str());
    const std::string text = summary_text(r, "block tests");
    EXPECT_THAT(text, HasSubstr("FAIL one [Shanghai] in "));
    EXPECT_THAT(text, HasSubstr("0 of 1 block tests passed (0.00 %), 1 failed"));
}

}  // namespace
}  // namespace millrace::node
