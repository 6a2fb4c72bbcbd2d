// SPDX-License-Identifier: Apache-2.0
// Owns the tests of refunds: their cap before and after EIP-3529, and what keeps them.
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(Refund, IsCapped) {
    const auto clear_ten = [](Revision r) {
        Machine m(r);
        Code code;
        for (uint64_t i = 1; i <= 10; ++i) {
            code.sstore(U256{i}, 0);
            m.state.set_storage(self_address, U256{i}, U256{1});
        }
        m.deploy(self_address, code);
        return *m.execute(m.transaction());
    };
    const TransactionResult berlin = clear_ten(Revision::berlin);
    const uint64_t spent = 21'000 + 10 * (6 + 5000);
    EXPECT_EQ(berlin.gas_refunded, spent / 2) << "150,000 would be due";
    EXPECT_EQ(berlin.gas_used, spent - spent / 2);
    const TransactionResult london = clear_ten(Revision::london);
    EXPECT_EQ(london.gas_refunded, spent / 5) << "48,000 would be due";
}

/// A transaction whose code clears `count` slots and then spends `burn` gas on top, in JUMPDESTs.
TransactionResult clear_slots(Revision r, uint64_t count, size_t burn) {
    Machine m(r);
    Code code;
    for (uint64_t i = 1; i <= count; ++i) {
        code.sstore(U256{i}, 0);
        m.state.set_storage(self_address, U256{i}, U256{1});
    }
    code.append(Bytes(burn, 0x5b));
    m.deploy(self_address, code);
    return *m.execute(m.transaction());
}

TEST(Refund, IsAtMostHalfAndFromLondonOnAFifth) {
    for (const Revision r : revisions()) {
        SCOPED_TRACE(to_string(r));
        // 5,000 each in every fork; EIP-2929 splits it, cold, into 2,100 and 2,900.
        const uint64_t each = r >= Revision::london ? 4800 : 15000;
        const uint64_t quotient = r >= Revision::london ? 5 : 2;
        for (const size_t burn : {0u, 1u, 2u, 3u, 4u, 5u, 20'000u}) {
            for (const uint64_t count : {0, 1, 2, 10}) {
                const uint64_t spent = 21'000 + count * 5006 + burn;
                const uint64_t refunded = std::min(count * each, spent / quotient);
                const TransactionResult result = clear_slots(r, count, burn);
                EXPECT_EQ(result.gas_refunded, refunded) << count << " " << burn;
                EXPECT_EQ(result.gas_used, spent - refunded);
            }
        }
    }
}

TEST(Refund, ComesBackToTheSenderAtTheEffectivePrice) {
    Machine m(Revision::london);
    m.state.set_balance(sender_address, U256{1'000'000'000});
    m.state.set_storage(self_address, U256{1}, U256{1});
    m.deploy(self_address, Code().sstore(1, 0));
    const auto r = m.execute(m.transaction());
    const uint64_t used = 21'000 + 5006 - 4800;
    EXPECT_EQ(r->gas_used, used);
    EXPECT_EQ(m.state.balance(sender_address), U256{1'000'000'000 - 10 * used});
    EXPECT_EQ(m.state.balance(m.block.coinbase), U256{3 * used}) << "10 less the base fee of 7";
}

TEST(Refund, OfAFailedFrameIsLost) {
    for (const Revision r : {Revision::byzantium, Revision::istanbul, Revision::london}) {
        Machine m(r);
        m.state.set_storage(self_address, U256{1}, U256{1});
        m.state.set_storage(self_address, U256{2}, U256{1});
        m.deploy(other_address, Code().sstore(1, 0).revert(0, 0));
        const int64_t each = r >= Revision::london ? 4800 : 15000;
        EXPECT_EQ(m.run(Code().delegatecall(other_address, 50'000)).refund, 0);
        EXPECT_EQ(m.run(Code().sstore(2, 0).delegatecall(other_address, 50'000)).refund, each)
            << "the caller's own stays";
        m.deploy(self_address, Code().sstore(1, 0).op(Opcode::invalid));
        const auto failed = m.execute(m.transaction());
        EXPECT_EQ(failed->gas_refunded, 0u);
        EXPECT_EQ(failed->gas_used, m.transaction().gas_limit);
    }
}

TEST(Refund, MayBeTakenBackByACalleeAndByTheCaller) {
    // EIP-2200 subtracts; the counter of a single frame may be negative.
    Machine m(Revision::istanbul);
    m.state.set_storage(self_address, U256{1}, U256{1});
    m.deploy(other_address, Code().sstore(1, 2));
    // Cleared: +15,000; written again by the callee: -15,000.
    EXPECT_EQ(m.run(Code().sstore(1, 0).delegatecall(other_address, 50'000)).refund, 0);
    // And once more cleared: +15,000.
    EXPECT_EQ(
        m.run(Code().sstore(1, 0).delegatecall(other_address, 50'000).pop().sstore(1, 0)).refund,
        15'000);
    // When the callee fails, what it took back is there again.
    m.deploy(other_address, Code().sstore(1, 2).op(Opcode::invalid));
    EXPECT_EQ(m.run(Code().sstore(1, 0).delegatecall(other_address, 50'000)).refund, 15'000);
}

TEST(Refund, OfSelfdestructIsGivenOncePerContract) {
    for (const Revision r : revisions()) {
        Machine m(r);
        m.deploy(other_address, Code().push(0x999).op(Opcode::selfdestruct));
        m.deploy(address_of(0xabc), Code().push(0x999).op(Opcode::selfdestruct));
        const int64_t each = r >= Revision::london ? 0 : 24'000;
        const Code once = Code().call(other_address, 0, 100'000).pop();
        EXPECT_EQ(m.run(once).refund, each) << to_string(r);
        EXPECT_EQ(m.run(Code().append(once).append(once)).refund, each);
        EXPECT_EQ(m.run(Code().append(once).call(address_of(0xabc), 0, 100'000)).refund, 2 * each);
    }
}

}  // namespace
}  // namespace millrace::evm
