// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-2929 and 3651: cold and warm accounts and slots.
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(Access, AccountsByFork) {
    struct Cost {
        Revision revision;
        int64_t balance, extcodesize, extcodehash, again;
    };
    for (const Cost& c : std::vector<Cost>{{Revision::frontier, 20, 20, -1, 20},
                                           {Revision::tangerine_whistle, 400, 700, -1, 400},
                                           {Revision::constantinople, 400, 700, 400, 400},
                                           {Revision::istanbul, 700, 700, 700, 700},
                                           {Revision::berlin, 2600, 2600, 2600, 100},
                                           {Revision::osaka, 2600, 2600, 2600, 100}}) {
        SCOPED_TRACE(to_string(c.revision));
        Machine m(c.revision);
        const auto gas = [&](Opcode op) {
            return m.run(Code().push(other_address).op(op)).gas_used - 3;
        };
        EXPECT_EQ(gas(Opcode::balance), c.balance);
        EXPECT_EQ(gas(Opcode::extcodesize), c.extcodesize);
        if (c.extcodehash >= 0) { EXPECT_EQ(gas(Opcode::extcodehash), c.extcodehash); }
        const Code twice =
            Code().push(other_address).op(Opcode::balance).push(other_address).op(Opcode::balance);
        EXPECT_EQ(m.run(twice).gas_used, 6 + c.balance + c.again);
        // Precompiles start out warm.
        EXPECT_EQ(m.run(Code().push(1).op(Opcode::balance)).gas_used - 3,
                  c.revision >= Revision::berlin ? 100 : c.balance);
    }
}

TEST(Access, WarmthIsLostWhenAFrameReverts) {
    Machine m;
    m.deploy(
        other_address,
        Code().push(7).op(Opcode::sload).push(address_of(0x77)).op(Opcode::balance).revert(0, 0));
    const Code call = Code().call(other_address, 0, 100'000).op(Opcode::pop);
    const int64_t once = m.run(call).gas_used;
    const int64_t twice = m.run(Code().append(call).append(call)).gas_used;
    EXPECT_EQ(twice - once, once - 2500) << "only the callee itself is warm the second time";
}

TEST(Access, SenderReceiverAndCoinbaseStartWarm) {
    const auto gas = [](Revision r, const Address& who) {
        Machine m(r);
        m.deploy(self_address, Code().push(who).op(Opcode::balance));
        return m.execute(m.transaction())->gas_used - 21'003;
    };
    const Address coinbase = address_of(0xc01);
    EXPECT_EQ(gas(Revision::berlin, sender_address), 100u);
    EXPECT_EQ(gas(Revision::berlin, self_address), 100u);
    EXPECT_EQ(gas(Revision::paris, coinbase), 2600u);
    EXPECT_EQ(gas(Revision::shanghai, coinbase), 100u) << "EIP-3651";
}

/// What `code` costs, its PUSHes included.
int64_t gas_of(Machine& m, const Code& code) { return m.run(code).gas_used; }

TEST(Access, EveryInstructionThatNamesAnAccountWarmsIt) {
    const Address a = address_of(0xacc);
    struct Case {
        const char* what;
        Code code;
        int64_t cold;  ///< with its PUSHes
    };
    const std::vector<Case> cases = {
        {"BALANCE", Code().push(a).op(Opcode::balance), 3 + 2600},
        {"EXTCODESIZE", Code().push(a).op(Opcode::extcodesize), 3 + 2600},
        {"EXTCODEHASH", Code().push(a).op(Opcode::extcodehash), 3 + 2600},
        {"EXTCODECOPY", Code().push_all(0, 0, 0).push(a).op(Opcode::extcodecopy), 12 + 2600},
        {"CALL", Code().call(a, 0, 0), 21 + 2600},
        {"CALLCODE", Code().call(a, 0, 0, Opcode::callcode), 21 + 2600},
        {"DELEGATECALL", Code().delegatecall(a, 0), 18 + 2600},
        {"STATICCALL", Code().staticcall(a, 0), 18 + 2600},
    };
    for (const Revision r : revisions(Revision::berlin)) {
        Machine m(r);
        for (const Case& first : cases) {
            EXPECT_EQ(gas_of(m, first.code), first.cold);
            for (const Case& second : cases) {
                SCOPED_TRACE(std::string(first.what) + " then " + second.what);
                EXPECT_EQ(gas_of(m, Code().append(first.code).append(second.code)),
                          first.cold + second.cold - 2500);
            }
            EXPECT_EQ(gas_of(m, Code().append(first.code).push(a).op(Opcode::selfdestruct)),
                      first.cold + 3 + 5000);
        }
    }
}

TEST(Access, UpperBitsOfAnAddressDoNotMakeItAnother) {
    Machine m;
    const U256 a = to_u256(address_of(0xacc));
    EXPECT_EQ(
        gas_of(
            m,
            Code().push(a).op(Opcode::balance).push(a | shl(U256::max(), 160)).op(Opcode::balance)),
        6 + 2600 + 100);
}

TEST(Access, PrecompilesOfTheForkStartWarm) {
    for (const Revision r : revisions(Revision::berlin)) {
        Machine m(r);
        for (const uint64_t a : {0, 1, 4, 5, 9, 0x0a, 0x0b, 0x11, 0x12, 0x100, 0x101}) {
            const bool precompile = (a >= 1 && a <= 9) || (a == 0x0a && r >= Revision::cancun) ||
                                    (a >= 0x0b && a <= 0x11 && r >= Revision::prague) ||
                                    (a == 0x100 && r >= Revision::osaka);
            EXPECT_EQ(gas_of(m, Code().push(a).op(Opcode::balance)), 3 + (precompile ? 100 : 2600))
                << a << " in " << to_string(r);
        }
    }
}

TEST(Access, SlotsAreWarmByAccountAndKey) {
    Machine m;
    const Code load = Code().push(7).op(Opcode::sload);
    EXPECT_EQ(gas_of(m, load), 3 + 2100);
    EXPECT_EQ(gas_of(m, Code().append(load).append(load)), 6 + 2100 + 100);
    EXPECT_EQ(gas_of(m, Code().append(load).push(8).op(Opcode::sload)), 6 + 2 * 2100);
    EXPECT_EQ(gas_of(m, Code().append(load).push(shl(1, 64) + U256{7}).op(Opcode::sload)),
              6 + 2 * 2100);
    EXPECT_EQ(gas_of(m, Code().append(load).sstore(7, 1)), 3 + 2100 + 6 + 20000);
    EXPECT_EQ(gas_of(m, Code().sstore(7, 1).append(load)), 6 + 2100 + 20000 + 3 + 100);
    // The same key of another account is another slot; by DELEGATECALL it is the same.
    m.deploy(other_address, Code().append(load));
    EXPECT_EQ(gas_of(m, Code().append(load).call(other_address, 0, 50'000)),
              3 + 2100 + 21 + 2600 + 3 + 2100);
    EXPECT_EQ(gas_of(m, Code().append(load).delegatecall(other_address, 50'000)),
              3 + 2100 + 18 + 2600 + 3 + 100);
}

TEST(Access, WarmthOfASuccessfulFrameStays) {
    Machine m;
    const Address a = address_of(0xacc);
    m.deploy(other_address, Code().push(a).op(Opcode::balance).push(7).op(Opcode::sload));
    const Code call = Code().delegatecall(other_address, 50'000).pop();
    const int64_t once = gas_of(m, call);
    EXPECT_EQ(once, 18 + 2600 + 2 + 3 + 2600 + 3 + 2100);
    EXPECT_EQ(gas_of(m, Code().append(call).push(a).op(Opcode::balance).push(7).op(Opcode::sload)),
              once + 3 + 100 + 3 + 100);
}

TEST(Access, WarmthOfAFailedFrameGoesWithIt) {
    const Address a = address_of(0xacc);
    for (const Code& end : {Code().revert(0, 0), Code().op(Opcode::invalid)}) {
        Machine m;
        m.deploy(other_address,
                 Code().push(a).op(Opcode::balance).push(7).op(Opcode::sload).append(end));
        const Code call = Code().delegatecall(other_address, 50'000).pop();
        const Code after = Code().push(a).op(Opcode::balance).push(7).op(Opcode::sload);
        const int64_t once = gas_of(m, call);
        EXPECT_EQ(gas_of(m, Code().append(call).append(after)), once + 3 + 2600 + 3 + 2100);
        // What was warm before the frame stays warm.
        EXPECT_EQ(gas_of(m, Code().append(after).append(call).append(after)) -
                      gas_of(m, Code().append(after).append(call)),
                  3 + 100 + 3 + 100);
    }
}

TEST(Access, CreationWarmsTheNewAddressEvenWhenItFails) {
    const Address created = create_address(self_address, 1);
    const auto probe = Code().push(created).op(Opcode::balance);
    const auto creating = [](const Code& init, uint64_t value) {
        return Code().put(init).push_all(init.size(), 0, value).op(Opcode::create).pop();
    };
    const auto warm_after = [&](Machine& m, const Code& c) {
        const RunOptions rich{.gas = 10'000'000};
        return m.run(Code().append(c).append(probe), rich).gas_used - m.run(c, rich).gas_used ==
               103;
    };
    Machine m;
    EXPECT_TRUE(warm_after(m, creating(Code().op(Opcode::stop), 0)));
    EXPECT_TRUE(warm_after(m, creating(Code().revert(0, 0), 0)));
    EXPECT_FALSE(warm_after(m, creating(Code().op(Opcode::stop), 1))) << "it never began";
    m.state.set_nonce(created, 1);
    const Code collides = creating(Code().op(Opcode::stop), 0);
    // The collision takes 63/64 of what is there, so compare what the probe leaves.
    const Outcome o = m.run(Code()
                                .append(collides)
                                .op(Opcode::gas)
                                .append(probe)
                                .op(Opcode::gas)
                                .op(Opcode::swap1)
                                .pop()
                                .op(Opcode::swap1)
                                .op(Opcode::sub)
                                .ret_top(),
                            {.gas = 10'000'000});
    EXPECT_EQ(o.word(), U256{3 + 100 + 2}) << "PUSH, BALANCE and GAS";
}

TEST(Access, TransactionWarmsItsCreation) {
    Machine m;
    Transaction tx = m.transaction();
    tx.to.reset();
    tx.data = Code().op(Opcode::address).op(Opcode::balance).pop().bytes();
    // 53,000, 16 per byte, 2 for the word of init code; ADDRESS, BALANCE, POP, STOP
    EXPECT_EQ(m.execute(tx)->gas_used, 53'000u + 3 * 16 + 2 + 2 + 100 + 2);
}

}  // namespace
}  // namespace millrace::evm
