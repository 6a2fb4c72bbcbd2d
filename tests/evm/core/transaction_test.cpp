// SPDX-License-Identifier: Apache-2.0
// Owns the tests of transactions as a whole: creation, failure, deposits, simulations, vaults.
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST_F(TransactionTest, FeesStayOutOfTheStateUnderTheVaultPolicy) {
    m_.rules = millrace_rules(1);
    Transaction tx = dynamic(2, 100);
    tx.to = other_address;
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.tip, U256{2 * 21'000});
    EXPECT_EQ(m_.state.balance(m_.block.coinbase), U256{});
    EXPECT_EQ(change_of(r.changes, m_.block.coinbase), nullptr);
}

TEST_F(TransactionTest, CreationGivesAddressOutputAndFailureKeepsTheNonce) {
    Transaction tx = m_.transaction();
    tx.to.reset();
    tx.data = deployer(Bytes{0x60, 0x01}).bytes();
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.created, create_address(sender_address, 0));
    EXPECT_EQ(*m_.state.code(m_.state.code_hash(*r.created)), (Bytes{0x60, 0x01}));
    tx = m_.transaction();
    tx.to.reset();
    tx.data = Code().op(Opcode::invalid).bytes();
    const TransactionResult failed = run(tx);
    EXPECT_FALSE(failed.success());
    EXPECT_FALSE(failed.created);
    EXPECT_EQ(failed.gas_used, tx.gas_limit);
    EXPECT_EQ(m_.state.nonce(sender_address), 2u);
}

TEST_F(TransactionTest, FailureKeepsGasAndNothingElse) {
    m_.deploy(self_address, Code().sstore(1, 1).push_all(0, 0).op(Opcode::log0).revert(0, 0));
    Transaction tx = m_.transaction();
    tx.value = U256{9};
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.status, Status::revert);
    EXPECT_TRUE(r.logs.empty());
    EXPECT_EQ(m_.state.balance(self_address), U256{});
    EXPECT_EQ(m_.state.storage(self_address, U256{1}), U256{});
    EXPECT_EQ(r.gas_refunded, 0u);
}

TEST_F(TransactionTest, DepositMintsWithoutFeesAndCountsTheNonce) {
    m_.rules = millrace_rules(1);
    Transaction tx;
    tx.type = TxType::deposit;
    tx.from = sender_address;
    tx.to = other_address;
    tx.mint = U256{500};
    tx.value = U256{400};
    tx.gas_limit = 100'000;
    m_.state.set_balance(sender_address, {});
    const TransactionResult r = run(tx);
    EXPECT_TRUE(r.success());
    EXPECT_EQ(r.tip, U256{});
    EXPECT_EQ(m_.state.balance(sender_address), U256{100});
    EXPECT_EQ(m_.state.balance(other_address), U256{400});
    EXPECT_EQ(m_.state.nonce(sender_address), 1u);
    tx.value = U256{1000};
    const TransactionResult failed = run(tx);
    EXPECT_FALSE(failed.success()) << "included, but it moves nothing";
    EXPECT_EQ(m_.state.balance(sender_address), U256{600}) << "the mint stays";
    EXPECT_EQ(m_.state.nonce(sender_address), 2u);
}

TEST_F(TransactionTest, RelaxationsOfSimulations) {
    Transaction tx = m_.transaction();
    tx.nonce = 99;
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = U256{};
    m_.state.set_balance(sender_address, {});
    m_.deploy(self_address, Code().op(Opcode::gasprice).ret_top());
    const ExecutionOptions options{.check_nonce = false,
                                   .check_sender_code = false,
                                   .check_fees = false,
                                   .charge_fees = false};
    const auto r = m_.execute(tx, {}, options);
    ASSERT_TRUE(r.has_value()) << to_string(r.error());
    EXPECT_TRUE(r->success());
    EXPECT_EQ(load_be(r->output.data()), U256{});
}

}  // namespace
}  // namespace millrace::evm
