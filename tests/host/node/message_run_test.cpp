// SPDX-License-Identifier: Apache-2.0
// Owns the tests of single runs: prestate files, messages, timing and the report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "host/base/hex.hpp"
#include "host/node/conformance/fixture.hpp"
#include "host/node/json.hpp"
#include "host/node/run/message_run.hpp"
#include "host/node/run/prestate.hpp"
#include "host/node/run/run_report.hpp"

namespace millrace::node {
namespace {

using testing::HasSubstr;

const Address alice = address_literal("0x00000000000000000000000000000000000a11ce");
const Address target = address_literal("0x0000000000000000000000000000000000007a26");

// --- Prestate ---

TEST(Prestate, AGenesisGivesAccountsAndBlock) {
    const auto p = parse_prestate(R"({
        "config": {"chainId": 5, "londonBlock": 0},
        "number": "0x10", "timestamp": 1700000000, "gasLimit": "0x1c9c380", "difficulty": "0x20000",
        "coinbase": "0x00000000000000000000000000000000000000cc",
        "mixHash": "0x00000000000000000000000000000000000000000000000000000000000000ab",
        "baseFeePerGas": "7", "excessBlobGas": "0x20000", "extraData": "0x",
        "alloc": {
          "00000000000000000000000000000000000a11ce": {"balance": "1000", "nonce": "0x2"},
          "0x0000000000000000000000000000000000007a26": {"balance": "0x0", "code": "0x6001",
              "storage": {"0x01": "0x02"}, "secretKey": "ignored"}}})",
                                  "genesis.json");
    ASSERT_TRUE(p.has_value()) << p.error().message;
    evm::StateOverlay state = p->state;
    EXPECT_EQ(p->chain_id, 5u);
    EXPECT_EQ(p->number, 16u);
    EXPECT_EQ(p->timestamp, 1'700'000'000u);
    EXPECT_EQ(p->gas_limit, 30'000'000u);
    EXPECT_EQ(p->difficulty, U256{0x20000});
    EXPECT_EQ(p->coinbase, address_literal("0x00000000000000000000000000000000000000cc"));
    EXPECT_EQ(p->prev_randao, to_hash(U256{0xab}));
    EXPECT_EQ(p->base_fee_per_gas, U256{7});
    EXPECT_EQ(p->excess_blob_gas, 0x20000u);
    EXPECT_EQ(state.balance(alice), U256{1000});
    EXPECT_EQ(state.nonce(alice), 2u);
    EXPECT_EQ(*state.code(state.code_hash(target)), *from_hex("0x6001"));
    EXPECT_EQ(state.storage(target, U256{1}), U256{2});
}

TEST(Prestate, ABareAllocSaysNothingOfTheBlock) {
    const auto p = parse_prestate(
        R"({"0x00000000000000000000000000000000000a11ce": {"balance": "0x5"}})", "alloc.json");
    ASSERT_TRUE(p.has_value()) << p.error().message;
    evm::StateOverlay state = p->state;
    EXPECT_EQ(state.balance(alice), U256{5});
    EXPECT_FALSE(p->chain_id || p->number || p->timestamp || p->gas_limit || p->coinbase ||
                 p->difficulty || p->prev_randao || p->base_fee_per_gas || p->excess_blob_gas);
}

TEST(Prestate, NullAndAbsentMembersAreTheSame) {
    const auto p = parse_prestate(R"({"alloc": {}, "number": null, "config": null})", "g.json");
    ASSERT_TRUE(p.has_value()) << p.error().message;
    EXPECT_FALSE(p->number.has_value());
    EXPECT_TRUE(parse_prestate("{}", "empty.json").has_value());
}

TEST(Prestate, AMalformedFileIsNamedWithItsField) {
    const std::string a = "0x00000000000000000000000000000000000a11ce";
    auto account = [&](const std::string& members) { return "{\"" + a + "\": " + members + "}"; };
    auto genesis = [&](const std::string& members) { return "{\"alloc\": {}, " + members + "}"; };
    for (const auto& [text, what] : std::initializer_list<std::pair<std::string, std::string>>{
             {"", "not valid JSON"},
             {"[]", "expected a JSON object"},
             {"7", "expected a JSON object"},
             {R"({"config": {}})", "'config' is no address, and there is no member 'alloc'"},
             {R"({"0x12": {}})", "'0x12' is no address"},
             {R"({"alloc": []})", "alloc: expected an object"},
             {R"({"alloc": null})", "alloc: expected an object"},
             {R"({"alloc": {"0x12": {}}})", "alloc.0x12: address must have 20 bytes"},
             {account("1"), "alloc." + a + ": expected an object"},
             {account(R"({"balance": "lots"})"), "alloc." + a + ".balance: "},
             {account(R"({"balance": -1})"), "alloc." + a + ".balance: expected a number"},
             {account(R"({"nonce": "0x10000000000000000"})"),
              "alloc." + a + ".nonce: number exceeds 64 bits"},
             {account(R"({"code": "0x6"})"), "alloc." + a + ".code: "},
             {account(R"({"code": 96})"), "alloc." + a + ".code: expected a hex string"},
             {account(R"({"storage": []})"), "alloc." + a + ".storage: expected an object"},
             {account(R"({"storage": {"k": "0x1"}})"), "alloc." + a + ".storage.k: "},
             {account(R"({"storage": {"0x1": "0x1", "0x01": "0x2"}})"),
              "alloc." + a + ".storage: slot 0x1 appears twice"},
             {"{\"" + a + "\": {}, \"" + a.substr(2) + "\": {}}",
              "alloc: account " + a + " appears twice"},
             {genesis(R"("number": "ten")"), "number: "},
             {genesis(R"("timestamp": {})"), "timestamp: expected a number"},
             {genesis(R"("gasLimit": "0x1ffffffffffffffff")"), "gasLimit: number exceeds 64 bits"},
             {genesis(R"("coinbase": "0x1")"), "coinbase: "},
             {genesis(R"("mixHash": true)"), "mixHash: "},
             {genesis(R"("baseFee": [])"), "baseFee: expected a number"},
             {genesis(R"("config": 1)"), "config: expected an object"},
             {genesis(R"("config": {"chainId": "x"})"), "config.chainId: "}}) {
        const auto p = parse_prestate(text, "file.json");
        ASSERT_FALSE(p.has_value()) << text;
        EXPECT_THAT(p.error().message, HasSubstr("file.json: "));
        EXPECT_THAT(p.error().message, HasSubstr(what)) << text;
    }
}

TEST(Prestate, WhatCannotBeReadIsNamed) {
    const auto missing = load_prestate("/nonexistent/prestate.json");
    ASSERT_FALSE(missing.has_value());
    EXPECT_THAT(missing.error().message, HasSubstr("/nonexistent/prestate.json"));
    const auto folder = load_prestate("/");
    ASSERT_FALSE(folder.has_value());
    EXPECT_THAT(folder.error().message, HasSubstr("cannot read /: Is a directory"));
}

TEST(Prestate, AStateIsReadBackAsItWasWritten) {
    evm::StateOverlay state = empty_prestate().state;
    state.set_balance(alice, U256{1} << 200);
    state.set_nonce(alice, 7);
    state.set_balance(target, U256{});
    state.set_code(target, *from_hex("0x60016002"));
    state.set_storage(target, U256{3}, ~U256{});
    state.set_storage(target, U256{4}, U256{});
    const boost::json::object alloc = alloc_json(state);
    EXPECT_EQ(
        boost::json::serialize(alloc),
        R"({"0x0000000000000000000000000000000000007a26":{"balance":"0x0","code":"0x60016002",)"
        R"("storage":{"0x0000000000000000000000000000000000000000000000000000000000000003":)"
        R"("0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}},)"
        R"("0x00000000000000000000000000000000000a11ce":{"balance":)"
        R"("0x100000000000000000000000000000000000000000000000000","nonce":"0x7"}})");
    const auto again = parse_prestate(boost::json::serialize(alloc), "dump");
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(alloc_json(again->state), alloc);
    EXPECT_EQ(state_root_of(again->state), state_root_of(state));
}

// --- Messages ---

struct Scene {
    evm::StateOverlay state = empty_prestate().state;
    MessageRun run;

    explicit Scene(std::string_view code, evm::Revision revision = evm::latest_revision) {
        run.rules = evm::ethereum_rules(revision);
        run.sender = alice;
        run.receiver = target;
        run.gas = 100'000;
        if (!code.empty()) { state.set_code(target, *from_hex(code)); }
    }
    MessageOutcome go(evm::Tracer* tracer = nullptr) {
        return MessageRunner{run, state}.run(tracer);
    }
};

TEST(MessageRun, ReturnsOutputAndGasWithoutIntrinsicGas) {
    // PUSH1 42, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN: 3 + 2 + 6 + 3 + 2
    Scene s("602a5f5260205ff3");
    const MessageOutcome o = s.go();
    EXPECT_EQ(o.status, evm::Status::success);
    EXPECT_EQ(load_be(o.output.data()), U256{42});
    EXPECT_EQ(o.gas_used, 16);
    EXPECT_EQ(failure_text(o), "");
}

TEST(MessageRun, SeesItsBlockAndItself) {
    // Each instruction is followed by MSTORE at the next word; then RETURN 13 words.
    std::string code;
    int at = 0;
    for (const char* op :
         {"32", "33", "30", "34", "3a", "41", "42", "43", "44", "45", "46", "48", "5f49"}) {
        char store[16];
        std::snprintf(store, sizeof store, "61%04x52", 32 * at++);
        code += op + std::string(store);
    }
    Scene s(code + "6101a05ff3");
    s.run.rules.chain_id = 9;
    s.run.value = U256{3};
    s.run.gas_price = U256{11};
    s.run.block.coinbase = address_literal("0x00000000000000000000000000000000000000cc");
    s.run.block.timestamp = 17;
    s.run.block.number = 18;
    s.run.block.prev_randao = to_hash(U256{19});
    s.run.block.gas_limit = 20;
    s.run.block.base_fee_per_gas = U256{21};
    s.run.blob_hashes = {to_hash(U256{22})};
    s.state.set_balance(alice, U256{3});
    const MessageOutcome o = s.go();
    ASSERT_EQ(o.output.size(), 13u * 32);
    const U256 expected[] = {to_u256(alice), to_u256(alice), to_u256(target), U256{3},  U256{11},
                             U256{0xcc},     U256{17},       U256{18},        U256{19}, U256{20},
                             U256{9},        U256{21},       U256{22}};
    for (size_t i = 0; i < std::size(expected); ++i) {
        EXPECT_EQ(load_be(o.output.data() + 32 * i), expected[i]) << "word " << i;
    }
}

TEST(MessageRun, ValueMovesWhenTheSenderHasIt) {
    Scene s("00");
    s.run.value = U256{5};
    const MessageOutcome poor = s.go();
    EXPECT_EQ(poor.status, evm::Status::insufficient_balance);
    EXPECT_EQ(poor.gas_used, 0);
    EXPECT_TRUE(poor.changes.empty());
    s.state.set_balance(alice, U256{8});
    const MessageOutcome o = s.go();
    EXPECT_EQ(o.status, evm::Status::success);
    s.state.apply(o.changes, true);
    EXPECT_EQ(s.state.balance(alice), U256{3});
    EXPECT_EQ(s.state.balance(target), U256{5});
}

TEST(MessageRun, SenderReceiverCoinbaseAndPrecompilesAreWarm) {
    // BALANCE of CALLER, ADDRESS, COINBASE, and of the identity contract
    Scene warm("333130314131600431");
    EXPECT_EQ(warm.go().gas_used, 2 + 100 + 2 + 100 + 2 + 100 + 3 + 100);
    // Before EIP-3651 the coinbase is cold.
    Scene london("4131", evm::Revision::london);
    london.run.block.coinbase = address_literal("0x00000000000000000000000000000000000000cc");
    EXPECT_EQ(london.go().gas_used, 2 + 2600);
}

TEST(MessageRun, ARefundIsCountedAndNotPaid) {
    Scene s("5f5f55");  // clears slot 0
    s.state.set_storage(target, U256{}, U256{1});
    const MessageOutcome o = s.go();
    EXPECT_EQ(o.gas_used, 2 + 2 + 5000);
    EXPECT_EQ(o.gas_refund, 4800);
}

TEST(MessageRun, ACreationGivesItsCodeAndAddress) {
    // PUSH1 0xfe, PUSH0, MSTORE8, PUSH1 1, PUSH0, RETURN
    Scene s("");
    s.run.creates = true;
    s.run.input = *from_hex("60fe5f5360015ff3");
    s.state.set_nonce(alice, 4);
    const MessageOutcome o = s.go();
    EXPECT_EQ(o.status, evm::Status::success);
    EXPECT_EQ(o.output, *from_hex("fe"));
    EXPECT_EQ(o.created, evm::create_address(alice, 4));
    EXPECT_EQ(o.gas_used, 3 + 2 + 6 + 3 + 2 + 200);
    s.state.apply(o.changes, true);
    EXPECT_EQ(s.state.nonce(alice), 5u);
    EXPECT_EQ(s.state.nonce(*o.created), 1u);

    s.state.set_nonce(alice, ~uint64_t{0});
    const MessageOutcome last = s.go();
    EXPECT_EQ(last.status, evm::Status::nonce_overflow);
    EXPECT_FALSE(last.created.has_value());
}

TEST(MessageRun, AFailedCreationHasNoAddress) {
    Scene s("");
    s.run.creates = true;
    s.run.input = *from_hex("fe");
    const MessageOutcome o = s.go();
    EXPECT_EQ(o.status, evm::Status::invalid_instruction);
    EXPECT_FALSE(o.created.has_value());
    EXPECT_EQ(o.gas_used, 100'000);
}

TEST(MessageRun, ADelegationIsFollowedFromPragueOn) {
    const Address code_at = address_literal("0x0000000000000000000000000000000000000de1");
    for (const evm::Revision r : {evm::Revision::cancun, evm::Revision::prague}) {
        Scene s("", r);
        s.state.set_code(code_at, *from_hex("602a5f5260205ff3"));
        s.state.set_code(target, evm::delegation_designator(code_at));
        const MessageOutcome o = s.go();
        EXPECT_EQ(o.status, r == evm::Revision::prague ? evm::Status::success
                                                       : evm::Status::undefined_instruction);
    }
}

TEST(MessageRun, APrecompileNeedsNoCode) {
    Scene s("");
    s.run.receiver = address_literal("0x0000000000000000000000000000000000000004");
    s.run.input = *from_hex("0102");
    const MessageOutcome o = s.go();
    EXPECT_EQ(o.output, *from_hex("0102"));
    EXPECT_EQ(o.gas_used, 18);
}

TEST(MessageRun, BlockHashesAreThoseOfGethsEvm) {
    Scene s("600a405f5260205ff3");
    s.run.block.number = 11;
    // keccak("10")
    EXPECT_EQ(to_hex(s.go().output),
              "0x1a192fabce13988b84994d4296e6cdc418d55e2f1d7f942188d4040b94fc57ac");
}

TEST(MessageRun, EveryRunStartsFromTheSameState) {
    // SLOAD 0, add one, SSTORE 0, return it
    Scene s("5f546001015f55"
            "5f545f5260205ff3");
    MessageRunner runner{s.run, s.state};
    const MessageOutcome first = runner.run();
    const MessageTiming timing = runner.time(7);
    const MessageOutcome again = runner.run();
    EXPECT_EQ(load_be(first.output.data()), U256{1});
    EXPECT_EQ(again.output, first.output);
    EXPECT_EQ(again.gas_used, first.gas_used);
    EXPECT_EQ(again.changes, first.changes);
    EXPECT_EQ(timing.runs, 7u);
    EXPECT_GT(timing.min_us, 0);
    EXPECT_LE(timing.min_us, timing.median_us);
    EXPECT_LE(timing.median_us, timing.p99_us);
    EXPECT_DOUBLE_EQ(timing.mgas_per_second,
                     static_cast<double>(first.gas_used) / timing.median_us);
}

TEST(MessageTiming, TakesMedianMinimumAndNearestRank) {
    const MessageTiming one = timing_of({2000}, 10);
    EXPECT_EQ(one.median_us, 2);
    EXPECT_EQ(one.p99_us, 2);
    EXPECT_EQ(one.mgas_per_second, 5);
    const MessageTiming two = timing_of({1000, 3000}, 10);
    EXPECT_EQ(two.median_us, 2);
    EXPECT_EQ(two.min_us, 1);
    EXPECT_EQ(two.p99_us, 3);
    std::vector<int64_t> many;
    for (int64_t i = 1; i <= 200; ++i) { many.push_back(i * 1000); }
    EXPECT_EQ(timing_of(many, 1).p99_us, 198);
    EXPECT_EQ(timing_of(many, 1).median_us, 100.5);
}

// --- Report ---

TEST(RunReport, AFailureSaysWhyInOneLineOfAscii) {
    MessageOutcome o;
    o.status = evm::Status::out_of_gas;
    EXPECT_EQ(failure_text(o), "out of gas");
    o.status = evm::Status::revert;
    EXPECT_EQ(failure_text(o), "execution reverted");
    // Error("no\n\"x\xff")
    o.output = *from_hex("08c379a0"
                         "0000000000000000000000000000000000000000000000000000000000000020"
                         "0000000000000000000000000000000000000000000000000000000000000007"
                         "6e6f0a2278ff2200000000000000000000000000000000000000000000000000");
    EXPECT_EQ(failure_text(o), "execution reverted: no\\x0a\"x\\xff\"");
}

TEST(RunReport, JsonHoldsWhatHappened) {
    // PUSH1 7, PUSH1 0x99, PUSH0, PUSH0, LOG2 of nothing, STOP
    Scene s("600760995f5fa200");
    RunReport r;
    r.outcome = s.go();
    r.outcome.cpu_ns = 1234;
    r.fork = "Osaka";
    r.state_root = to_hash(U256{0xab});
    EXPECT_EQ(
        report_json(r),
        R"({"pass":true,"output":"0x","gasUsed":"0x46f","gasRefund":"0x0","logs":[{"address":)"
        R"("0x0000000000000000000000000000000000007a26","topics":[)"
        R"("0x0000000000000000000000000000000000000000000000000000000000000099",)"
        R"("0x0000000000000000000000000000000000000000000000000000000000000007"],"data":"0x"}],)"
        R"("stateRoot":"0x00000000000000000000000000000000000000000000000000000000000000ab",)"
        R"("time":1234,"fork":"Osaka"})");

    r.outcome = {};
    r.outcome.status = evm::Status::revert;
    r.timing = MessageTiming{3, 2, 1, 4, 5};
    r.alloc = boost::json::object{};
    const boost::json::value v = boost::json::parse(report_json(r));
    EXPECT_EQ(v.at("pass"), false);
    EXPECT_EQ(v.at("error"), "execution reverted");
    EXPECT_EQ(v.at("bench").at("runs"), 3);
    EXPECT_EQ(v.at("bench").at("p99_us"), 4.0);
    EXPECT_TRUE(v.at("alloc").is_object());
}

}  // namespace
}  // namespace millrace::node
