// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-155: legacy transactions with and without a chain id.
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(ReplayProtection, FormWithChainIdIsAnInvalidSignatureBeforeSpuriousDragon) {
    // v = 35 + 2 * chain id + parity is no v of the time before: only 27 and 28 are.
    for (const Revision r : revisions()) {
        Machine m(r);
        Transaction tx = m.transaction();
        tx.to = other_address;
        tx.chain_id = 1;
        const auto result = m.execute(tx);
        EXPECT_EQ(result.has_value(), r >= Revision::spurious_dragon) << to_string(r);
        if (!result) { EXPECT_EQ(result.error(), TxError::signature_invalid); }
    }
}

TEST(ReplayProtection, FormWithoutChainIdStaysValid) {
    for (const Revision r : revisions()) {
        Machine m(r);
        Transaction tx = m.transaction();
        tx.to = other_address;
        EXPECT_FALSE(tx.chain_id.has_value());
        EXPECT_TRUE(m.execute(tx).has_value()) << to_string(r);
    }
}

TEST(ReplayProtection, AnotherChainIsRefused) {
    for (const Revision r : revisions(Revision::spurious_dragon)) {
        Machine m(r);
        Transaction tx = m.transaction();
        tx.to = other_address;
        for (const uint64_t chain : {uint64_t{0}, uint64_t{2}, ~uint64_t{0}}) {
            tx.chain_id = chain;
            EXPECT_EQ(m.execute(tx).error(), TxError::chain_id_mismatch);
        }
    }
}

}  // namespace
}  // namespace millrace::evm
