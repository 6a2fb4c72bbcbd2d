// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-3607: transactions whose sender has code.
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(SenderWithCode, IsRefusedInEveryFork) {
    // The EIP holds for all blocks, also those before it: no such transaction was ever included.
    for (const Revision r : revisions()) {
        Machine m(r);
        m.state.set_code(sender_address, Bytes{0x00});
        Transaction tx = m.transaction();
        tx.to = other_address;
        EXPECT_EQ(m.execute(tx).error(), TxError::sender_has_code) << to_string(r);
        EXPECT_EQ(m.state.nonce(sender_address), 0u);
        m.state.set_code(sender_address, {});
        EXPECT_TRUE(m.execute(tx).has_value());
    }
}

TEST(SenderWithCode, MayBeADelegationFromPragueOn) {
    for (const Revision r : revisions()) {
        Machine m(r);
        m.state.set_code(sender_address, delegation_designator(other_address));
        Transaction tx = m.transaction();
        tx.to = other_address;
        EXPECT_EQ(m.execute(tx).has_value(), r >= Revision::prague) << to_string(r);
    }
}

TEST(SenderWithCode, AlmostADelegationIsCode) {
    Machine m;
    for (const size_t size : {1, 3, 22, 24}) {
        Bytes code = delegation_designator(other_address);
        code.resize(size);
        m.state.set_code(sender_address, code);
        Transaction tx = m.transaction();
        tx.to = other_address;
        EXPECT_EQ(m.execute(tx).error(), TxError::sender_has_code) << size;
    }
}

}  // namespace
}  // namespace millrace::evm
