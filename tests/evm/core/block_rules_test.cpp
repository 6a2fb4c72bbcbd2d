// SPDX-License-Identifier: Apache-2.0
// Owns the tests of what happens between and around transactions: fees of the next block, blob
// prices, system calls, withdrawals, rewards, requests, and the choice of rules.
#include "evm/core/block_rules.hpp"
#include "evm/core/chain_spec.hpp"
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

constexpr uint64_t gwei = 1'000'000'000;

TEST(BaseFee, FollowsTheUseOfTheParent) {
    const BaseFeeParameters p;
    const auto next = [&](uint64_t fee, uint64_t used, uint64_t limit) {
        return next_base_fee(p, U256{fee}, used, limit);
    };
    EXPECT_EQ(next(gwei, 10'000'000, 20'000'000), U256{gwei});
    EXPECT_EQ(next(gwei, 9'000'000, 20'000'000), U256{987'500'000});
    EXPECT_EQ(next(gwei, 11'000'000, 20'000'000), U256{1'012'500'000});
    EXPECT_EQ(next(gwei, 20'000'000, 20'000'000), U256{1'125'000'000});
    EXPECT_EQ(next(gwei, 0, 20'000'000), U256{875'000'000});
    // The first London block of the main network and its child.
    EXPECT_EQ(next(gwei, 30'025'257, 30'029'122), U256{1'124'967'822});
    EXPECT_EQ(next(1, 20'000'000, 20'000'000), U256{2}) << "rises by one at least";
    EXPECT_EQ(next(7, 0, 20'000'000), U256{7}) << "7 / 8 rounds down to no change";
    EXPECT_EQ(next(0, 0, 20'000'000), U256{0});
}

TEST(BaseFee, FullBlocksGrowItByAnEighthEach) {
    const BaseFeeParameters p;
    U256 fee{gwei};
    for (const uint64_t expected :
         {1'125'000'000u, 1'265'625'000u, 1'423'828'125u, 1'601'806'640u}) {
        fee = next_base_fee(p, fee, 30'000'000, 30'000'000);
        EXPECT_EQ(fee, U256{expected});
    }
}

TEST(BaseFee, FloorAndParametersOfTheChain) {
    const BaseFeeParameters p = millrace_rules(1).base_fee;
    EXPECT_EQ(next_base_fee(p, p.floor, 0, 1'000'000), p.floor);
    EXPECT_EQ(next_base_fee(p, U256{1'000'001}, 0, 1'000'000), p.floor);
    EXPECT_EQ(next_base_fee(p, U256{250 * gwei}, 1'000'000, 1'000'000), U256{251 * gwei})
        << "a 250th";
}

TEST(BlobFee, KnownValuesOfTheExponential) {
    const auto fee = [](uint64_t fraction, uint64_t excess) {
        return blob_base_fee({3, 6, fraction}, excess);
    };
    constexpr uint64_t cancun = 3'338'477;
    EXPECT_EQ(fee(cancun, 0), U256{1});
    EXPECT_EQ(fee(cancun, 2'314'057), U256{1});
    EXPECT_EQ(fee(cancun, 2'314'058), U256{2});
    EXPECT_EQ(fee(cancun, 10u << 20), U256{23});
    EXPECT_EQ(fee(1, 2), U256{6});
    EXPECT_EQ(fee(2, 4), U256{6});
    EXPECT_EQ(fee(1, 3), U256{16});
    EXPECT_EQ(fee(2, 6), U256{18});
    EXPECT_EQ(fee(1, 4), U256{49});
    EXPECT_EQ(fee(2, 8), U256{50});
    EXPECT_EQ(fee(1, 5), U256{136});
    EXPECT_EQ(fee(2, 5), U256{11});
    EXPECT_EQ(fee(2'225'652, 50'000'000), U256{5'709'098'764});
    EXPECT_EQ(fee(1, 1'000'000), U256::max()) << "saturates";
}

TEST(BlobFee, ExcessFollowsTheUse) {
    const auto next = [](Revision r, uint64_t excess, uint64_t blobs, uint64_t base_fee = 1) {
        BlockHeader parent;
        parent.excess_blob_gas = excess;
        parent.blob_gas_used = blobs << 17;
        parent.base_fee_per_gas = U256{base_fee};
        return next_excess_blob_gas(ethereum_rules(r), parent);
    };
    constexpr uint64_t blob = 1u << 17;
    EXPECT_EQ(next(Revision::cancun, 0, 0), 0u);
    EXPECT_EQ(next(Revision::cancun, 0, 3), 0u);
    EXPECT_EQ(next(Revision::cancun, 0, 4), blob);
    EXPECT_EQ(next(Revision::cancun, blob, 2), 0u);
    EXPECT_EQ(next(Revision::cancun, 10 * blob, 0), 7 * blob);
    EXPECT_EQ(next(Revision::prague, 0, 7), blob) << "the target is six";
    EXPECT_EQ(next(Revision::osaka, 10 * blob, 6), 10 * blob) << "blobs are dear enough";
    // EIP-7918: where execution is far dearer, the excess grows by the use above the reserve.
    EXPECT_EQ(next(Revision::osaka, 10 * blob, 6, gwei), 10 * blob + 6 * blob * 3 / 9);
    EXPECT_EQ(next(Revision::prague, 10 * blob, 6, gwei), 10 * blob);
    EXPECT_EQ(next_excess_blob_gas(ethereum_rules(Revision::cancun), BlockHeader{}), 0u);
}

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

TEST(Withdrawals, AreCreditedInGweiFromShanghaiOn) {
    Machine m;
    const std::vector<Withdrawal> list = {
        {0, 0, other_address, 3}, {1, 0, other_address, 4}, {2, 0, address_of(0x99), 0}};
    apply_withdrawals(m.state, list, ethereum_rules(Revision::paris));
    EXPECT_EQ(m.state.balance(other_address), U256{});
    apply_withdrawals(m.state, list, ethereum_rules(Revision::shanghai));
    EXPECT_EQ(m.state.balance(other_address), U256{7 * gwei});
    EXPECT_FALSE(m.state.account_exists(address_of(0x99))) << "nothing for nobody leaves nobody";
}

TEST(Rewards, OfProofOfWork) {
    const U256 ether = U256{gwei} * U256{gwei};
    EXPECT_EQ(block_reward(Revision::frontier), U256{5} * ether);
    EXPECT_EQ(block_reward(Revision::byzantium), U256{3} * ether);
    EXPECT_EQ(block_reward(Revision::constantinople), U256{2} * ether);
    EXPECT_EQ(block_reward(Revision::london), U256{2} * ether);
    EXPECT_EQ(block_reward(Revision::paris), U256{});
    Machine m(Revision::frontier);
    BlockHeader header;
    header.number = 10;
    header.coinbase = address_of(1000);
    BlockHeader ommer;
    ommer.number = 8;
    ommer.coinbase = address_of(1001);
    apply_rewards(m.state, header, std::vector{ommer}, m.rules);
    EXPECT_EQ(m.state.balance(address_of(1000)), U256{5} * ether + U256{5} * ether / U256{32});
    EXPECT_EQ(m.state.balance(address_of(1001)), U256{5} * ether * U256{6} / U256{8});
}

TEST(Requests, AreReadFromDepositsAndContracts) {
    Machine m(Revision::prague);
    const Address withdrawals = address_literal("0x00000961ef480eb55e80d19ad83579a64c007002");
    const Address consolidations = address_literal("0x0000bbddc7ce488642fb579f8b00f3a590007251");
    const auto collect = [&](std::span<const Log> logs) {
        return collect_requests(m.state, Machine::workspace(), m.rules, Machine::precompiles(),
                                m.block, logs);
    };
    EXPECT_FALSE(collect({}).has_value()) << "the contracts must be there";
    m.deploy(withdrawals, Code().mstore(0, 0xaa).ret(31, 1));
    m.deploy(consolidations, Code().op(Opcode::stop));
    EXPECT_EQ(collect({}).value(), (std::vector<Bytes>{{0x01, 0xaa}}));

    Log deposit;
    deposit.address = address_literal("0x00000000219ab540356cbb839cbe05303d7705fa");
    deposit.topics = {
        hash_literal("0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5")};
    deposit.data.resize(576);
    const auto word = [&](size_t at, uint64_t v) { store_be(U256{v}, deposit.data.data() + at); };
    word(0, 160);
    word(32, 256);
    word(64, 320);
    word(96, 384);
    word(128, 512);
    word(160, 48);
    word(256, 32);
    word(320, 8);
    word(384, 96);
    word(512, 8);
    deposit.data[192] = 0x11;
    deposit.data[544] = 0x22;
    const auto r = collect(std::vector{deposit}).value();
    ASSERT_EQ(r.size(), 2u);
    EXPECT_EQ(r[0].size(), 193u);
    EXPECT_EQ(r[0][0], 0x00);
    EXPECT_EQ(r[0][1], 0x11);
    EXPECT_EQ(r[0][185], 0x22);
    word(160, 47);
    EXPECT_FALSE(collect(std::vector{deposit}).has_value());
    m.deploy(withdrawals, Code().op(Opcode::invalid));
    EXPECT_FALSE(collect({}).has_value());
    m.rules = millrace_rules(1);
    EXPECT_TRUE(collect({}).value().empty());
}

TEST(ChainSpec, ChoosesTheForkByBlockOrTime) {
    ChainSpec spec;
    spec.rule_set = RuleSet::ethereum;
    spec.rules.chain_id = 9;
    spec.forks = {{Revision::homestead, 10, {}},
                  {Revision::london, 20, {}},
                  {Revision::shanghai, {}, 1000},
                  {Revision::cancun, {}, 2000}};
    spec.blob_schedules = {{2000, {3, 6, 100}}, {3000, {6, 9, 200}}};
    EXPECT_EQ(spec.rules_at(9, 0).revision, Revision::frontier);
    EXPECT_EQ(spec.rules_at(10, 0).revision, Revision::homestead);
    EXPECT_EQ(spec.rules_at(25, 999).revision, Revision::london);
    EXPECT_EQ(spec.rules_at(25, 1000).revision, Revision::shanghai);
    EXPECT_EQ(spec.rules_at(25, 2500).blob.base_fee_update_fraction, 100u);
    EXPECT_EQ(spec.rules_at(25, 3000).blob.target, 6u);
    EXPECT_EQ(spec.rules_at(25, 3000).chain_id, 9u);
    spec.rule_set = RuleSet::millrace;
    spec.rules = millrace_rules(9);
    EXPECT_EQ(spec.rules_at(0, 0).revision, Revision::osaka);
    EXPECT_EQ(spec.rules_at(0, 0).fee_policy, FeePolicy::vaults);
}

TEST(Revisions, NamesAreReadBack) {
    for (int r = 0; r < revision_count; ++r) {
        const auto revision = static_cast<Revision>(r);
        EXPECT_EQ(revision_from_text(to_string(revision)), revision);
    }
    EXPECT_EQ(revision_from_text("constantinoplefix"), Revision::petersburg);
    EXPECT_EQ(revision_from_text("Merge"), Revision::paris);
    EXPECT_EQ(revision_from_text("Amsterdam"), std::nullopt);
}

}  // namespace
}  // namespace millrace::evm
