// SPDX-License-Identifier: Apache-2.0
// Owns the tests of system calls at the beginning of a block: EIP-4788 and EIP-2935.
#include "evm/core/block_rules.hpp"
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(SystemCalls, OpeningCallsByFork) {
    const auto count = [](Revision r) { return opening_calls(ethereum_rules(r), {}, {}).size(); };
    EXPECT_EQ(count(Revision::shanghai), 0u);
    EXPECT_EQ(count(Revision::cancun), 1u);
    EXPECT_EQ(count(Revision::prague), 2u);
    const auto calls =
        opening_calls(ethereum_rules(Revision::osaka), to_hash(U256{1}), to_hash(U256{2}));
    EXPECT_EQ(calls[0].target, address_literal("0x000f3df6d732807ef1319fb7b8bb8522d0beac02"));
    EXPECT_EQ(calls[0].input, to_hash(U256{2}));
    EXPECT_EQ(calls[1].target, address_literal("0x0000f90827f1c53a10cb7a02335b175320002935"));
    EXPECT_EQ(calls[1].input, to_hash(U256{1}));
    EXPECT_FALSE(calls[0].takes_parent_hash);
    EXPECT_TRUE(calls[1].takes_parent_hash);
    // The runtime code that the EIPs give.
    EXPECT_EQ(
        calls[0].standard_code_hash,
        kernels::keccak256(
            from_hex("3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f"
                     "35801560495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5f"
                     "fd5b62001fff42064281555f359062001fff015500")
                .value()));
    EXPECT_EQ(
        calls[1].standard_code_hash,
        kernels::keccak256(
            from_hex("3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143"
                     "038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff"
                     "60014303065500")
                .value()));
}

TEST(SystemCalls, RunFromTheSystemAddressWithoutFeesOrNonce) {
    Machine m;
    m.deploy(other_address, Code()
                                .op(Opcode::caller)
                                .sstore_top(0)
                                .push(0)
                                .op(Opcode::calldataload)
                                .sstore_top(2)
                                .push(7)
                                .ret_top());
    const SystemCallResult r =
        system_call(other_address, to_hash(U256{5}).view(), m.state, Machine::workspace(), m.rules,
                    Machine::precompiles(), m.block);
    EXPECT_TRUE(r.had_code);
    EXPECT_EQ(r.status, Status::success);
    EXPECT_EQ(load_be(r.output.data()), U256{7});
    m.state.apply(r.changes, true);
    const Address system = address_literal("0xfffffffffffffffffffffffffffffffffffffffe");
    EXPECT_EQ(m.state.storage(other_address, U256{0}), to_u256(system));
    EXPECT_EQ(m.state.storage(other_address, U256{2}), U256{5});
    EXPECT_EQ(m.state.nonce(system), 0u);
    EXPECT_FALSE(m.state.account_exists(system));

    const SystemCallResult nobody =
        system_call(address_of(0x999), {}, m.state, Machine::workspace(), m.rules,
                    Machine::precompiles(), m.block);
    EXPECT_FALSE(nobody.had_code);
    EXPECT_TRUE(nobody.changes.empty());
    m.deploy(other_address, Code().sstore(0, 99).op(Opcode::invalid));
    const SystemCallResult failed = system_call(other_address, {}, m.state, Machine::workspace(),
                                                m.rules, Machine::precompiles(), m.block);
    EXPECT_EQ(failed.status, Status::invalid_instruction);
    EXPECT_TRUE(change_of(failed.changes, other_address) == nullptr ||
                change_of(failed.changes, other_address)->storage.empty());
}

TEST(SystemCalls, BlockBeginsWithBoth) {
    Machine m;
    const Address history = address_literal("0x0000f90827f1c53a10cb7a02335b175320002935");
    const Address roots = address_literal("0x000f3df6d732807ef1319fb7b8bb8522d0beac02");
    for (const Address& a : {history, roots}) {
        m.deploy(a, Code().push(0).op(Opcode::calldataload).sstore_top(3));
    }
    begin_block(m.state, Machine::workspace(), m.rules, Machine::precompiles(), m.block,
                to_hash(U256{11}), to_hash(U256{22}));
    EXPECT_EQ(m.state.storage(history, U256{3}), U256{11});
    EXPECT_EQ(m.state.storage(roots, U256{3}), U256{22});
}

constexpr std::string_view beacon_roots_code =
    "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f3580156049576200"
    "1fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f35906200"
    "1fff015500";
constexpr std::string_view history_code =
    "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611f"
    "ff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";

/// A machine whose system contracts are those of the EIPs.
struct SystemContracts {
    explicit SystemContracts(Revision r) : m(r) {
        m.deploy(roots, from_hex(beacon_roots_code).value());
        m.deploy(history, from_hex(history_code).value());
    }
    void begin(uint64_t number, uint64_t timestamp, uint64_t parent_hash, uint64_t root) {
        m.block.number = number;
        m.block.timestamp = timestamp;
        begin_block(m.state, Machine::workspace(), m.rules, Machine::precompiles(), m.block,
                    to_hash(U256{parent_hash}), to_hash(U256{root}));
    }
    /// What a contract gets: the word, or nothing when the call fails.
    std::optional<U256> ask(const Address& contract, const U256& question) {
        const Outcome o = m.run(Code()
                                    .mstore(0, question)
                                    .push_all(32, 32, 32, 0, 0)
                                    .push(contract)
                                    .push(100'000)
                                    .op(Opcode::call)
                                    .push(0)
                                    .op(Opcode::mstore)
                                    .ret(0, 64));
        if (load_be(o.output.data()).is_zero()) { return std::nullopt; }
        return load_be(o.output.data() + 32);
    }

    const Address roots = address_literal("0x000f3df6d732807ef1319fb7b8bb8522d0beac02");
    const Address history = address_literal("0x0000f90827f1c53a10cb7a02335b175320002935");
    Machine m;
};

TEST(BeaconRoots, AreFoundByTimestampInARingOf8191) {
    // EIP-4788, with the contract's code of its text.
    SystemContracts s(Revision::cancun);
    s.begin(10, 1000, 1, 111);
    s.begin(11, 1012, 2, 222);
    EXPECT_EQ(s.ask(s.roots, 1000), U256{111});
    EXPECT_EQ(s.ask(s.roots, 1012), U256{222});
    EXPECT_EQ(s.ask(s.roots, 1001), std::nullopt) << "no block had this time";
    EXPECT_EQ(s.ask(s.roots, 0), std::nullopt);
    s.begin(12, 1000 + 8191, 3, 333);
    EXPECT_EQ(s.ask(s.roots, 1000), std::nullopt) << "overwritten";
    EXPECT_EQ(s.ask(s.roots, 9191), U256{333});
    // timestamp mod 8191 holds the time, 8191 more the root.
    EXPECT_EQ(s.m.state.storage(s.roots, U256{1000}), U256{9191});
    EXPECT_EQ(s.m.state.storage(s.roots, U256{1000 + 8191}), U256{333});
}

TEST(HistoryHashes, AreServedFor8191Blocks) {
    // EIP-2935, with the contract's code of its text: slot (number - 1) mod 8191.
    SystemContracts s(Revision::prague);
    s.begin(10'000, 1000, 77, 1);
    EXPECT_EQ(s.m.state.storage(s.history, U256{9999 % 8191}), U256{77});
    EXPECT_EQ(s.ask(s.history, 9999), U256{77});
    EXPECT_EQ(s.ask(s.history, 10'000), std::nullopt) << "not the current block";
    EXPECT_EQ(s.ask(s.history, 10'001), std::nullopt);
    EXPECT_EQ(s.ask(s.history, 10'000 - 8191), U256{0}) << "in range, but nothing was stored";
    EXPECT_EQ(s.ask(s.history, 10'000 - 8192), std::nullopt);
    // BLOCKHASH itself keeps its window and its source.
    s.m.state.set_block_hash(9999, to_hash(U256{88}));
    EXPECT_EQ(s.m.value_of(Code().push(9999).op(Opcode::blockhash)), U256{88});
    EXPECT_EQ(s.m.value_of(Code().push(10'000 - 257).op(Opcode::blockhash)), U256{0});
}

TEST(SystemCalls, DoNothingWhereTheContractIsMissing) {
    Machine m;
    begin_block(m.state, Machine::workspace(), m.rules, Machine::precompiles(), m.block,
                to_hash(U256{1}), to_hash(U256{2}));
    EXPECT_FALSE(
        m.state.account_exists(address_literal("0x000f3df6d732807ef1319fb7b8bb8522d0beac02")));
}

TEST(SystemCalls, HaveThirtyMillionGas) {
    Machine m;
    m.deploy(other_address, Code().op(Opcode::gas).sstore_top(0));
    const SystemCallResult r = system_call(other_address, {}, m.state, Machine::workspace(),
                                           m.rules, Machine::precompiles(), m.block);
    m.state.apply(r.changes, true);
    EXPECT_EQ(m.state.storage(other_address, U256{0}), U256{30'000'000 - 2});
}

}  // namespace
}  // namespace millrace::evm
