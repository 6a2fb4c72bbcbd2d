// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the runners' parts: names of networks and of reasons, state tests without
// bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/node/conformance/network.hpp"
#include "host/node/conformance/reasons.hpp"
#include "host/node/conformance/state_test.hpp"
#include "host/node/json.hpp"
#include "tests/host/node/chain_fixture.hpp"

namespace millrace::node {
namespace {

using evm::BlockError;
using evm::BlockFault;
using evm::Revision;
using evm::TxError;
using evm::TxType;
using testing::HasSubstr;

BlockFault fault(BlockError error) {
    BlockFault f;
    f.error = error;
    return f;
}
BlockFault fault(TxError error, TxType type = TxType::legacy) {
    BlockFault f = fault(BlockError::transaction_invalid);
    f.transaction_error = error;
    f.transaction_type = type;
    return f;
}

TEST(Reasons, ANameMatchesItsErrorOnly) {
    const BlockFault low = fault(TxError::nonce_too_low);
    EXPECT_EQ(match_reason("TransactionException.NONCE_MISMATCH_TOO_LOW", low), ReasonMatch::same);
    EXPECT_EQ(match_reason("TransactionException.NONCE_MISMATCH_TOO_HIGH", low),
              ReasonMatch::different);
    EXPECT_EQ(match_reason("BlockException.INVALID_STATE_ROOT", low), ReasonMatch::different);
    EXPECT_EQ(match_reason("BlockException.NONCE_MISMATCH_TOO_LOW", low),
              ReasonMatch::unknown_name);
    EXPECT_EQ(match_reason("", low), ReasonMatch::unknown_name);
}

TEST(Reasons, AnyOfSeveralNamesWillDo) {
    const BlockFault low = fault(TxError::nonce_too_low);
    EXPECT_EQ(match_reason("BlockException.INVALID_STATE_ROOT|TransactionException.NONCE_MISMATCH_"
                           "TOO_LOW",
                           low),
              ReasonMatch::same);
    EXPECT_EQ(match_reason("X.UNHEARD_OF|BlockException.INVALID_STATE_ROOT", low),
              ReasonMatch::different);
}

TEST(Reasons, TheTypeOfTheTransactionCounts) {
    const BlockFault f = fault(TxError::type_not_supported, TxType::blob);
    EXPECT_EQ(match_reason("TransactionException.TYPE_3_TX_PRE_FORK", f), ReasonMatch::same);
    EXPECT_EQ(match_reason("TransactionException.TYPE_2_TX_PRE_FORK", f), ReasonMatch::different);
}

TEST(Reasons, OldNamesAreKnown) {
    EXPECT_EQ(match_reason("TR_NoFunds", fault(TxError::insufficient_funds)), ReasonMatch::same);
    EXPECT_EQ(match_reason("TR_NoFunds", fault(TxError::nonce_max)), ReasonMatch::different);
    EXPECT_EQ(match_reason("InvalidNumber", fault(BlockError::number_invalid)), ReasonMatch::same);
    EXPECT_EQ(match_reason("InvalidNumber", fault(BlockError::difficulty_mismatch)),
              ReasonMatch::different);
}

TEST(Reasons, WhatIsSaidOfAHeaderHoldsForTheHeaderOfAnOmmer) {
    BlockFault f = fault(BlockError::ommer_header_invalid);
    f.ommer_error = BlockError::number_invalid;
    EXPECT_EQ(match_reason("BlockException.INVALID_BLOCK_NUMBER", f), ReasonMatch::same);
    EXPECT_EQ(match_reason("BlockException.INVALID_DIFFICULTY", f), ReasonMatch::different);
    EXPECT_EQ(match_reason("BlockException.UNCLE_PARENT_INCORRECT", f), ReasonMatch::same);
}

TEST(Faults, HaveStableNames) {
    EXPECT_EQ(fault(BlockError::gas_used_mismatch).name(), "gas_used_mismatch");
    EXPECT_EQ(fault(TxError::nonce_too_low).name(), "transaction_invalid.nonce_too_low");
    BlockFault f = fault(TxError::nonce_too_low);
    f.index = 3;
    f.detail = "why";
    EXPECT_EQ(f.text(), "transaction_invalid.nonce_too_low at index 3: why");
}

TEST(Networks, AForkHoldsFromTheStart) {
    const auto n = read_network("Prague", nullptr);
    ASSERT_TRUE(n.has_value());
    const evm::Rules r = n->rules_at(0, 0, {});
    EXPECT_EQ(r.revision, Revision::prague);
    EXPECT_EQ(r.blob.max, 9u);
    EXPECT_EQ(r.chain_id, 1u);
}

TEST(Networks, ATransitionHappensAtItsBlockOrTime) {
    const auto by_block = read_network("BerlinToLondonAt5", nullptr);
    ASSERT_TRUE(by_block.has_value());
    EXPECT_EQ(by_block->rules_at(4, 1'000'000, {}).revision, Revision::berlin);
    EXPECT_EQ(by_block->rules_at(5, 0, {}).revision, Revision::london);
    const auto by_time = read_network("CancunToPragueAtTime15k", nullptr);
    ASSERT_TRUE(by_time.has_value());
    EXPECT_EQ(by_time->rules_at(99, 14'999, {}).revision, Revision::cancun);
    EXPECT_EQ(by_time->rules_at(99, 14'999, {}).blob.max, 6u);
    EXPECT_EQ(by_time->rules_at(1, 15'000, {}).revision, Revision::prague);
    EXPECT_EQ(by_time->rules_at(1, 15'000, {}).blob.max, 9u);
    const auto by_difficulty = read_network("LondonToParisAtDiffC0000", nullptr);
    ASSERT_TRUE(by_difficulty.has_value());
    EXPECT_EQ(by_difficulty->rules_at(9, 9, U256{0xbffff}).revision, Revision::london);
    EXPECT_EQ(by_difficulty->rules_at(1, 1, U256{0xc0000}).revision, Revision::paris);
}

TEST(Networks, ForksThatAreNoForksOfTheEvmAreKnown) {
    const auto dao = read_network("HomesteadToDaoAt5", nullptr);
    ASSERT_TRUE(dao.has_value());
    EXPECT_EQ(dao->rules_at(4, 0, {}).dao_fork, evm::DaoFork::none);
    EXPECT_EQ(dao->rules_at(5, 0, {}).dao_fork, evm::DaoFork::moved);
    EXPECT_EQ(dao->rules_at(5, 0, {}).revision, Revision::homestead);
    const auto delay = [](const char* name) {
        const auto n = read_network(name, nullptr);
        return n ? n->rules_at(0, 0, {}).difficulty_bomb_delay : 0;
    };
    EXPECT_EQ(delay("Istanbul"), 5'000'000u);
    EXPECT_EQ(delay("MuirGlacier"), 9'000'000u);
    EXPECT_EQ(delay("London"), 9'700'000u);
    EXPECT_EQ(delay("ArrowGlacier"), 10'700'000u);
    EXPECT_EQ(delay("GrayGlacier"), 11'400'000u);
    const auto transition = read_network("LondonToArrowGlacierAt9", nullptr);
    ASSERT_TRUE(transition.has_value());
    EXPECT_EQ(transition->rules_at(8, 0, {}).difficulty_bomb_delay, 9'700'000u);
    EXPECT_EQ(transition->rules_at(9, 0, {}).difficulty_bomb_delay, 10'700'000u);
    EXPECT_EQ(transition->rules_at(9, 0, {}).revision, Revision::london);
}

TEST(Networks, BlobSchedulesComeFromTheConfiguration) {
    const auto config = parse_json(
        R"({"chainid": "0x05", "blobSchedule": {
            "Osaka": {"target": "0x06", "max": "0x09", "baseFeeUpdateFraction": "0x4c6964"},
            "BPO1": {"target": "0x0a", "max": "0x0f", "baseFeeUpdateFraction": "0x7f5a51"}}})",
        "config");
    ASSERT_TRUE(config.has_value());
    const auto n = read_network("OsakaToBPO1AtTime15k", &*config);
    ASSERT_TRUE(n.has_value());
    EXPECT_EQ(n->rules_at(1, 14'999, {}).blob.max, 9u);
    EXPECT_EQ(n->rules_at(1, 15'000, {}).blob.max, 15u);
    EXPECT_EQ(n->rules_at(1, 15'000, {}).revision, Revision::osaka);
    EXPECT_EQ(n->rules_at(1, 15'000, {}).chain_id, 5u);
    EXPECT_FALSE(read_network("OsakaToBPO1AtTime15k", nullptr).has_value())
        << "such a fork has no schedule of its own";
}

TEST(Networks, OtherNamesAreRefused) {
    for (const char* name : {"", "At", "ToAt5", "Nowhere", "BerlinToLondonAt", "BerlinToLondonAtX",
                             "BerlinToLondonAt99999999999999999999", "BerlinToLondonAtTime",
                             "BerlinToNowhereAt5", "BerlinToLondonAt18446744073709551615k"}) {
        EXPECT_FALSE(read_network(name, nullptr).has_value()) << name;
    }
}

/// A state test in the old form, whose transaction is given by ranges and indexes.
std::string state_test_text(const std::string& root, const std::string& extra) {
    return R"({"old": {"env": {"currentCoinbase": "0x00000000000000000000000000000000000000cc",
        "currentNumber": "0x1", "currentTimestamp": "0x1", "currentGasLimit": "0xf4240",
        "currentDifficulty": "0x20000"},
      "pre": {")" +
           to_hex(test::sender_address()) +
           R"(": {"balance": "0xde0b6b3a7640000", "nonce": "0x0", "code": "0x", "storage": {}}},
      "transaction": {"data": ["0x", "0x00"], "gasLimit": ["0x5208", "0x5300"], "gasPrice": "0x0a",
        "nonce": "0x0", "secretKey": ")" +
           to_hex(test::secret_key) +
           R"(", "to": "0x00000000000000000000000000000000000000bb", "value": ["0x0", "0x3e8"]},
      "post": {"Istanbul": [{"hash": ")" +
           root +
           R"(", "logs": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
        "indexes": {"data": 0, "gas": 0, "value": 1})" +
           extra + "}]}}}";
}

std::string expected_root() {
    const U256 ether{1'000'000'000'000'000'000};
    return to_hex(test::root_of(
        {{test::sender_address(), {1, ether - U256{1000} - U256{210'000}}},
         {address_literal("0x00000000000000000000000000000000000000bb"), {0, U256{1000}}},
         {address_literal("0x00000000000000000000000000000000000000cc"), {0, U256{210'000}}}}));
}

/// The root when the transaction was refused.
std::string root_of_pre(bool with_coinbase = false) {
    test::PlainState state = {{test::sender_address(), {0, U256{1'000'000'000'000'000'000}}}};
    if (with_coinbase) {
        state[address_literal("0x00000000000000000000000000000000000000cc")] = {};
    }
    return to_hex(test::root_of(state));
}

ConformanceReport run_state_text(const std::string& text, const RunnerOptions& options = {}) {
    const test::ScratchFolder folder("state_test_text");
    const auto report = run_state_tests(folder.write("fixture.json", text), options);
    EXPECT_TRUE(report.has_value());
    return report ? *report : ConformanceReport{};
}

TEST(StateTestRunner, RunsATestWithoutTransactionBytes) {
    const ConformanceReport r = run_state_text(state_test_text(expected_root(), ""));
    EXPECT_EQ(r.passed, 1u) << summary_text(r, "state tests");
    EXPECT_EQ(r.forks.at("Istanbul").passed, 1u);
}

TEST(StateTestRunner, TracesEachCaseAndEndsItWithTheStateRoot) {
    std::string text;
    RunnerOptions options;
    options.trace = [&](std::string_view lines) { text += lines; };
    EXPECT_EQ(run_state_text(state_test_text(expected_root(), ""), options).passed, 1u);
    // A transfer runs no code: there is nothing but the summary.
    EXPECT_EQ(text, R"({"stateRoot":")" + expected_root() +
                        R"(","output":"","gasUsed":"0x5208","pass":true,"fork":"Istanbul"})"
                        "\n");
    text.clear();
    const std::string refused =
        state_test_text(to_hex(evm::empty_trie_root), R"(, "txbytes": "0x01")");
    run_state_text(refused, options);
    EXPECT_THAT(text, HasSubstr(R"("gasUsed":"0x0","pass":false,"error":"malformed_transaction)"));
}

TEST(StateTestRunner, ReportsWhatDiffers) {
    const std::string wrong = to_hex(evm::empty_trie_root);
    const ConformanceReport r = run_state_text(state_test_text(wrong, ""));
    ASSERT_EQ(r.failures.size(), 1u);
    EXPECT_EQ(r.failures[0].expected, wrong);
    EXPECT_EQ(r.failures[0].got, expected_root());
    EXPECT_EQ(r.failures[0].reason, "post.Istanbul[0]: the state root differs");
}

TEST(StateTestRunner, ReportsAnAcceptedInvalidTransaction) {
    const ConformanceReport r = run_state_text(state_test_text(
        expected_root(), R"(, "expectException": "TransactionException.NONCE_IS_MAX")"));
    ASSERT_EQ(r.failures.size(), 1u);
    EXPECT_THAT(r.failures[0].reason, HasSubstr("an invalid transaction was accepted"));
}

TEST(StateTestRunner, AReasonThatComesLaterIsFoundAsWell) {
    // The nonce is wrong, and the gas below the intrinsic one, which is looked at first.
    std::string text = state_test_text(root_of_pre(), R"(, "expectException": "TR_NonceTooHigh")");
    const auto put = [&](const std::string& from, const std::string& to) {
        text.replace(text.find(from), from.size(), to);
    };
    put(R"("nonce": "0x0", "secretKey")", R"("nonce": "0x1", "secretKey")");
    put(R"(["0x5208", "0x5300"])", R"(["0x5207"])");
    const ConformanceReport r = run_state_text(text);
    EXPECT_EQ(r.passed, 1u) << summary_text(r, "state tests");
    put("TR_NonceTooHigh", "TR_NonceTooLow");
    EXPECT_EQ(run_state_text(text).passed, 0u);
}

TEST(StateTestRunner, TheFieldsThatAreThereMakeTheTypeAndTheSender) {
    const auto run = [](const std::string& fork, const std::string& fields,
                        const std::string& reason) {
        std::string text =
            state_test_text(root_of_pre(), R"(, "expectException": ")" + reason + "\"");
        const auto put = [&](const std::string& from, const std::string& to) {
            text.replace(text.find(from), from.size(), to);
        };
        put("Istanbul", fork);
        put(R"("gasPrice": "0x0a",)", fields);
        put(R"("secretKey": ")" + to_hex(test::secret_key),
            R"("sender": ")" + to_hex(test::sender_address()));
        const ConformanceReport r = run_state_text(text);
        return r.passed == 1 ? std::string("passed") : summary_text(r, "state tests");
    };
    const std::string fees = R"("maxFeePerGas": "0x0a", "maxPriorityFeePerGas": "0x00",)";
    const std::string blobs = R"("maxFeePerBlobGas": "0x01", "blobVersionedHashes": ["0x02"],)";
    const std::string authorization = R"("authorizationList": [{"chainId": "0x00", "nonce": "0x00",
        "address": "0x00000000000000000000000000000000000000bb", "v": "0x01", "r": "0x1",
        "s": "0x1"}],)";
    const std::string accesses = R"("gasPrice": "0x0a", "accessLists": [[], []],)";
    EXPECT_EQ(run("Istanbul", accesses, "TransactionException.TYPE_1_TX_PRE_FORK"), "passed");
    EXPECT_EQ(run("Berlin", fees, "TransactionException.TYPE_2_TX_PRE_FORK"), "passed");
    EXPECT_EQ(run("Paris", fees + blobs, "TransactionException.TYPE_3_TX_PRE_FORK"), "passed");
    EXPECT_EQ(
        run("Cancun", fees + blobs, "TransactionException.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH"),
        "passed");
    EXPECT_EQ(run("Cancun", fees + authorization, "TransactionException.TYPE_4_TX_PRE_FORK"),
              "passed");
    EXPECT_EQ(run("Prague", fees + authorization, "TransactionException.INTRINSIC_GAS_TOO_LOW"),
              "passed");
}

TEST(StateTestRunner, ANumberThatDoesNotFitMakesAMalformedTransaction) {
    for (const auto& [from, to, reason] :
         std::initializer_list<std::tuple<std::string, std::string, std::string>>{
             {R"("nonce": "0x0", "secretKey")", R"("nonce": "0x10000000000000000", "secretKey")",
              "TransactionException.NONCE_OVERFLOW"},
             {R"("0x5208")", R"("0x10000000000000000")", "TransactionException.GASLIMIT_OVERFLOW"},
             {R"("0x3e8")", R"("0x:bigint 0x1)" + std::string(64, '0') + "\"",
              "TransactionException.VALUE_OVERFLOW"}}) {
        std::string text =
            state_test_text(root_of_pre(), R"(, "expectException": ")" + reason + "\"");
        text.replace(text.find(from), from.size(), to);
        const ConformanceReport r = run_state_text(text);
        EXPECT_EQ(r.passed, 1u) << summary_text(r, "state tests");
    }
}

TEST(StateTestRunner, ARefusedTransactionMayLeaveTheRewardOfNothing) {
    const std::string refused = R"(, "expectException": "TR_NonceTooHigh")";
    const auto run = [&](const std::string& fork, const std::string& root) {
        std::string text = state_test_text(root, refused);
        text.replace(text.find("Istanbul"), 8, fork);
        const std::string nonce = R"("nonce": "0x0", "secretKey")";
        text.replace(text.find(nonce), nonce.size(), R"("nonce": "0x1", "secretKey")");
        return run_state_text(text).passed;
    };
    EXPECT_EQ(run("Frontier", root_of_pre()), 1u);
    EXPECT_EQ(run("Frontier", root_of_pre(true)), 1u);
    EXPECT_EQ(run("EIP150", root_of_pre(true)), 1u);
    EXPECT_EQ(run("EIP158", root_of_pre(true)), 0u);
    EXPECT_EQ(run("EIP158", root_of_pre()), 1u);
    EXPECT_EQ(run("Frontier", expected_root()), 0u);
}

TEST(StateTestRunner, NamesTheFieldOfAMalformedTest) {
    for (const auto& [text, part] : std::initializer_list<std::pair<std::string, std::string>>{
             {R"({"a": {"post": {"Istanbul": [{}]}}})", "pre is missing"},
             {R"({"a": {"post": {"Istanbul": 1}}})", "post.Istanbul: expected a list"},
             {R"({"a": {"post": {"Nowhere": [{}]}}})", "unknown network 'Nowhere'"},
             {R"({"a": {}})", "post is missing"},
             {state_test_text("0xno", ""), "hash"},
             {state_test_text(expected_root(), R"(, "txbytes": "0x1")"), "txbytes"}}) {
        const ConformanceReport r = run_state_text(text);
        ASSERT_EQ(r.failures.size(), 1u) << text;
        EXPECT_THAT(r.failures[0].reason, HasSubstr(part));
    }
}

}  // namespace
}  // namespace millrace::node
