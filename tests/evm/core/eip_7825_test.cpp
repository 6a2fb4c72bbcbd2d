// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-7825: the cap of a transaction's gas limit.
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(TransactionGasCap, Is2To24FromOsakaOn) {
    for (const Revision r : revisions()) {
        Machine m(r);
        m.block.gas_limit = 60'000'000;
        const auto with_limit = [&](uint64_t gas) {
            Transaction tx = m.transaction();
            tx.to = other_address;
            tx.gas_limit = gas;
            return m.execute(tx);
        };
        EXPECT_TRUE(with_limit(16'777'216).has_value()) << to_string(r);
        const auto above = with_limit(16'777'217);
        EXPECT_EQ(above.has_value(), r < Revision::osaka) << to_string(r);
        if (!above) { EXPECT_EQ(above.error(), TxError::gas_limit_exceeds_cap); }
    }
}

TEST(TransactionGasCap, OfTheChainIsANumberOfItsRules) {
    Transaction tx;
    tx.to = other_address;
    tx.gas_limit = 200'000'000;
    EXPECT_EQ(validate_stateless(tx, millrace_rules(1)), std::nullopt);
    tx.gas_limit = 200'000'001;
    EXPECT_EQ(validate_stateless(tx, millrace_rules(1)), TxError::gas_limit_exceeds_cap);
}

TEST(TransactionGasCap, NoLimitBeyondTheGasTypeIsTaken) {
    // 2^63 - 1 is the most a block can have (yellow paper: gas limits fit 63 bits).
    for (const Revision r : revisions()) {
        Transaction tx;
        tx.to = other_address;
        tx.gas_limit = uint64_t{1} << 63;
        EXPECT_EQ(validate_stateless(tx, ethereum_rules(r)), TxError::gas_limit_exceeds_cap);
    }
}

TEST(TransactionGasCap, DoesNotBindSystemCallsOrInnerCalls) {
    Machine m;
    m.deploy(other_address, Code().op(Opcode::gas).ret_top());
    const Outcome o = m.run(Code()
                                .push_all(32, 0, 0, 0, 0)
                                .push(other_address)
                                .push(20'000'000)
                                .op(Opcode::call)
                                .pop()
                                .ret(0, 32),
                            {.gas = 30'000'000});
    EXPECT_EQ(o.word(), U256{20'000'000 - 2});
}

}  // namespace
}  // namespace millrace::evm
