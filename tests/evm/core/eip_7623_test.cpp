// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-7623: the floor that call data sets.
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using DataFloor = TransactionTest;

TEST_F(DataFloor, HoldsForCallsOfMuchData) {
    Transaction tx = m_.transaction();
    tx.to = other_address;
    tx.data = Bytes(1000, 0x01);
    EXPECT_EQ(intrinsic_gas(tx, m_.rules).base, 37'000u);
    EXPECT_EQ(intrinsic_gas(tx, m_.rules).floor, 61'000u);
    EXPECT_EQ(run(tx).gas_used, 61'000u);
    tx = m_.transaction();
    tx.data = Bytes(1000, 0x00);
    EXPECT_EQ(intrinsic_gas(tx, m_.rules).floor, 31'000u);
    tx.gas_limit = 30'999;
    EXPECT_EQ(error(tx), TxError::gas_below_floor);
    // With much execution the floor does not show.
    m_.deploy(self_address, Code().sstore(1, 1));
    tx.gas_limit = 100'000;
    EXPECT_EQ(run(tx).gas_used, 25'000u + 6 + 22'100);
    Machine cancun(Revision::cancun);
    Transaction before = cancun.transaction();
    before.to = other_address;
    before.data = Bytes(1000, 0x01);
    EXPECT_EQ(cancun.execute(before)->gas_used, 37'000u);
}

TEST_F(DataFloor, CountsTokensOfTenGas) {
    // 21,000 + 10 per token; a zero byte is one token, another byte four.
    for (const Revision r : revisions()) {
        const auto floor = [&](Bytes data) {
            Transaction tx;
            tx.to = other_address;
            tx.data = std::move(data);
            return intrinsic_gas(tx, ethereum_rules(r)).floor;
        };
        const bool there = r >= Revision::prague;
        EXPECT_EQ(floor({}), there ? 21'000u : 0u) << to_string(r);
        EXPECT_EQ(floor({0x00}), there ? 21'010u : 0u);
        EXPECT_EQ(floor({0x01}), there ? 21'040u : 0u);
        EXPECT_EQ(floor({0x01, 0x00, 0xff}), there ? 21'090u : 0u);
    }
}

TEST_F(DataFloor, IsNotRaisedByCreationAccessListOrAuthorizations) {
    Transaction tx = m_.transaction();
    tx.data = {0x01};
    tx.access_list = {{other_address, {to_hash(U256{1})}}};
    EXPECT_EQ(intrinsic_gas(tx, m_.rules).floor, 21'040u);
    tx.to.reset();
    EXPECT_EQ(intrinsic_gas(tx, m_.rules).floor, 21'040u);
}

TEST_F(DataFloor, GasLimitMustCoverIt) {
    Transaction tx = m_.transaction();
    tx.to = other_address;
    tx.data = Bytes(100, 0x01);  // 21,000 + 1,600 intrinsic, 21,000 + 4,000 at least
    tx.gas_limit = 22'599;
    EXPECT_EQ(error(tx), TxError::intrinsic_gas_too_low);
    tx.gas_limit = 22'600;
    EXPECT_EQ(error(tx), TxError::gas_below_floor);
    tx.gas_limit = 24'999;
    EXPECT_EQ(error(tx), TxError::gas_below_floor);
    tx.gas_limit = 25'000;
    EXPECT_EQ(run(tx).gas_used, 25'000u);
}

TEST_F(DataFloor, IsAppliedAfterRefunds) {
    // Execution costs less than the floor only after the refund: the floor counts.
    m_.state.set_storage(self_address, U256{1}, U256{1});
    m_.deploy(self_address, Code().sstore(1, 0));
    Transaction tx = m_.transaction();
    tx.data = Bytes(200, 0x01);
    // 21,000 + 3,200 + 5,006 = 29,206, less 4,800 = 24,406; the floor is 29,000.
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.gas_used, 29'000u);
}

TEST_F(DataFloor, IsPaidByAFailingTransactionToo) {
    m_.deploy(self_address, Code().revert(0, 0));
    Transaction tx = m_.transaction();
    tx.data = Bytes(100, 0x01);
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.status, Status::revert);
    EXPECT_EQ(r.gas_used, 25'000u);
}

TEST_F(DataFloor, DoesNotAddToExecutionAboveIt) {
    m_.deploy(self_address, Code().append(Bytes(2500, 0x5b)));
    Transaction tx = m_.transaction();
    tx.data = Bytes(100, 0x01);
    EXPECT_EQ(run(tx).gas_used, 21'000u + 1'600 + 2'500) << "25,100, just above 25,000";
}

}  // namespace
}  // namespace millrace::evm
