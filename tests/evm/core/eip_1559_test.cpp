// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-1559: what a transaction pays, and the base fee of the next block.
#include "evm/core/block_rules.hpp"
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using DynamicFee = TransactionTest;

TEST_F(DynamicFee, TransferPaysTipAndBurnsBaseFee) {
    m_.state.set_balance(sender_address, U256{1'000'000'000});
    Transaction tx = dynamic(2, 100);
    tx.gas_limit = 50'000;
    tx.to = other_address;
    tx.value = U256{33};
    const TransactionResult r = run(tx);
    EXPECT_TRUE(r.success());
    EXPECT_EQ(r.gas_used, 21'000u);
    EXPECT_EQ(r.effective_gas_price, U256{9});
    EXPECT_EQ(r.tip, U256{2 * 21'000});
    EXPECT_EQ(r.base_fee, U256{7 * 21'000});
    EXPECT_EQ(m_.state.balance(sender_address), U256{1'000'000'000 - 33 - 9 * 21'000});
    EXPECT_EQ(m_.state.balance(other_address), U256{33});
    EXPECT_EQ(m_.state.balance(m_.block.coinbase), U256{2 * 21'000});
    EXPECT_EQ(m_.state.nonce(sender_address), 1u);
}

TEST(Price, EffectiveGasPrice) {
    const auto price = [](uint64_t tip, uint64_t cap, uint64_t base) {
        Transaction tx;
        tx.max_priority_fee_per_gas = U256{tip};
        tx.max_fee_per_gas = U256{cap};
        return effective_gas_price(tx, U256{base});
    };
    EXPECT_EQ(price(2, 100, 10), U256{12});
    EXPECT_EQ(price(2, 11, 10), U256{11});
    EXPECT_EQ(price(2, 10, 10), U256{10});
    EXPECT_EQ(price(50, 50, 7), U256{50}) << "a single gas price";
}

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

TEST_F(DynamicFee, PaysTheBaseFeeAndAtMostTheTip) {
    struct Case {
        uint64_t tip, cap, price;
    };
    m_.state.set_balance(sender_address, U256{10'000'000'000});
    for (const Case& c :
         std::vector<Case>{{0, 7, 7}, {5, 7, 7}, {1, 8, 8}, {5, 100, 12}, {100, 100, 100}}) {
        Transaction tx = dynamic(c.tip, c.cap);
        tx.to = other_address;
        const U256 before = m_.state.balance(sender_address);
        const U256 miner = m_.state.balance(m_.block.coinbase);
        const TransactionResult r = run(tx);
        EXPECT_EQ(r.effective_gas_price, U256{c.price});
        EXPECT_EQ(before - m_.state.balance(sender_address), U256{c.price * 21'000});
        EXPECT_EQ(m_.state.balance(m_.block.coinbase) - miner, U256{(c.price - 7) * 21'000})
            << "the base fee goes to nobody";
    }
}

TEST_F(DynamicFee, LegacyPriceIsTipAndCap) {
    Transaction tx = m_.transaction();
    tx.to = other_address;
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = U256{6};
    EXPECT_EQ(error(tx), TxError::fee_cap_below_base_fee);
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = U256{7};
    EXPECT_EQ(run(tx).tip, U256{});
}

TEST_F(DynamicFee, BalanceMustCoverTheCapAndValueExactly) {
    Transaction tx = dynamic(1, 100);
    tx.to = other_address;
    tx.gas_limit = 30'000;
    tx.value = U256{5};
    m_.state.set_balance(sender_address, U256{30'000 * 100 + 4});
    EXPECT_EQ(error(tx), TxError::insufficient_funds);
    m_.state.set_balance(sender_address, U256{30'000 * 100 + 5});
    EXPECT_TRUE(run(tx).success());
    EXPECT_EQ(m_.state.balance(sender_address), U256{30'000 * 100 - 21'000 * 8});
}

TEST_F(DynamicFee, GasPriceOpcodeShowsTheEffectivePrice) {
    m_.deploy(self_address, Code().op(Opcode::gasprice).sstore_top(0));
    run(dynamic(2, 100));
    EXPECT_EQ(m_.state.storage(self_address, U256{0}), U256{9});
}

TEST_F(DynamicFee, BeforeLondonTheWholePriceGoesToTheCoinbase) {
    for (const Revision r : revisions(Revision::frontier, Revision::berlin)) {
        Machine m(r);
        Transaction tx = m.transaction();
        tx.to = other_address;
        EXPECT_TRUE(m.execute(tx)->success());
        EXPECT_EQ(m.state.balance(m.block.coinbase), U256{10 * 21'000}) << to_string(r);
    }
}

TEST(BaseFee, DeltaRoundsDown) {
    // 1,000,007 * 1 / 10,000,000 / 8 is 0: up by one at least, down by nothing.
    const BaseFeeParameters p;
    EXPECT_EQ(next_base_fee(p, U256{1'000'007}, 10'000'001, 20'000'000), U256{1'000'008});
    EXPECT_EQ(next_base_fee(p, U256{1'000'007}, 9'999'999, 20'000'000), U256{1'000'007});
    EXPECT_EQ(next_base_fee(p, U256{100'000'000}, 10'000'001, 20'000'000), U256{100'000'001});
    EXPECT_EQ(next_base_fee(p, U256{100'000'000}, 9'999'999, 20'000'000), U256{99'999'999});
}

}  // namespace
}  // namespace millrace::evm
