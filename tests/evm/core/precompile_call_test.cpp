// SPDX-License-Identifier: Apache-2.0
// Owns the tests of calls of precompiles: since when they are there, their gas, value and failure.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(PrecompileCall, PrecompileRunsAndItsFailureTakesTheGas) {
    Machine m;
    m.state.set_balance(self_address, U256{100});
    // IDENTITY: 15 + 3 per word.
    const Outcome o = m.run(Code()
                                .mstore(0, 0xabc)
                                .push_all(32, 32, 32, 0, 0, 4, 1000)
                                .op(Opcode::call)
                                .op(Opcode::pop)
                                .ret(32, 32));
    EXPECT_EQ(o.word(), U256{0xabc});
    const Outcome poor = m.run(Code().push_all(0, 0, 32, 0, 0, 4, 17).op(Opcode::call).ret_top());
    EXPECT_EQ(poor.word(), U256{0});
    const Outcome value = m.run(Code().call(address_of(4), 7, 0));
    EXPECT_EQ(change_of(value.changes, address_of(4))->credit, U256{7})
        << "the stipend pays for it";
}

TEST(PrecompileCall, AddressesAppearWithTheirForks) {
    // EIP-196, 197, 198 (Byzantium: 5 to 8), EIP-152 (Istanbul: 9), EIP-4844 (Cancun: 0x0a),
    // EIP-2537 (Prague: 0x0b to 0x11), EIP-7951 (Osaka: 0x100).
    const auto since = [](uint64_t a) -> std::optional<Revision> {
        if (a >= 1 && a <= 4) { return Revision::frontier; }
        if (a >= 5 && a <= 8) { return Revision::byzantium; }
        if (a == 9) { return Revision::istanbul; }
        if (a == 0x0a) { return Revision::cancun; }
        if (a >= 0x0b && a <= 0x11) { return Revision::prague; }
        if (a == 0x100) { return Revision::osaka; }
        return std::nullopt;
    };
    for (const Revision r : revisions()) {
        for (uint64_t a = 0; a <= 0x102; ++a) {
            if (a > 0x14 && a < 0xfe) { continue; }
            const auto first = since(a);
            EXPECT_EQ(Machine::precompiles().contains(address_of(a), r), first && r >= *first)
                << a << " in " << to_string(r);
        }
        // A precompile's number with a higher byte set is none.
        Address far = address_of(1);
        far[0] = 1;
        EXPECT_FALSE(Machine::precompiles().contains(far, r));
    }
}

TEST(PrecompileCall, GasIsExact) {
    // Yellow paper, appendix E, for 33 bytes of input, which are two words.
    struct Case {
        uint64_t address;
        uint64_t gas;
    };
    for (const Case& c :
         std::vector<Case>{{1, 3000}, {2, 60 + 2 * 12}, {3, 600 + 2 * 120}, {4, 15 + 2 * 3}}) {
        for (const Revision r : revisions()) {
            SCOPED_TRACE(std::to_string(c.address) + " in " + std::string(to_string(r)));
            Machine m(r);
            m.state.set_balance(address_of(c.address), U256{1});
            const auto call = [&](uint64_t gas) {
                return m.run(
                    Code().push_all(0, 0, 33, 0, 0, c.address, gas).op(Opcode::call).sstore_top(0));
            };
            const auto flag = [](const Outcome& o) {
                const AccountChange* change = change_of(o.changes, self_address);
                return change != nullptr && !change->storage.empty();
            };
            EXPECT_TRUE(flag(call(c.gas)));
            EXPECT_FALSE(flag(call(c.gas - 1)));
            // Failure takes all it was given; success what it costs.
            const int64_t access = r >= Revision::berlin              ? 100
                                   : r >= Revision::tangerine_whistle ? 700
                                                                      : 40;
            const auto used = [&](uint64_t gas) {
                return m.run(Code().push_all(0, 0, 33, 0, 0, c.address, gas).op(Opcode::call))
                           .gas_used -
                       (7 * 3 + 6 + access);
            };
            EXPECT_EQ(used(c.gas - 1), static_cast<int64_t>(c.gas - 1));
            EXPECT_EQ(used(50'000), static_cast<int64_t>(c.gas));
        }
    }
}

TEST(PrecompileCall, EveryKindOfCallRunsIt) {
    Machine m;
    for (const Opcode kind :
         {Opcode::call, Opcode::callcode, Opcode::delegatecall, Opcode::staticcall}) {
        Code c = Code().mstore(0, 0xabcd).push_all(32, 32, 32, 0);
        if (kind == Opcode::call || kind == Opcode::callcode) { c.push(0); }
        EXPECT_EQ(m.run(c.push_all(4, 1000).op(kind).pop().ret(32, 32)).word(), U256{0xabcd});
    }
}

TEST(PrecompileCall, IsAnAccountWithoutCodeBeforeItsFork) {
    Machine m(Revision::spurious_dragon);
    // MODEXP's address: nothing runs, so nothing comes back, and no gas goes.
    EXPECT_EQ(m.run(Code().call(address_of(5), 0, 10'000)).gas_used, 21 + 700);
    EXPECT_EQ(m.value_of(Code().call(address_of(5), 0, 0)), U256{1});
}

TEST(PrecompileCall, ValueComesBackWhenItFails) {
    Machine m;
    m.state.set_balance(self_address, U256{100});
    m.state.set_balance(address_of(8), U256{1});
    // 2,300 gas do not pay for a pairing.
    const Outcome o = m.run(Code().call(address_of(8), 50, 0).ret_top());
    EXPECT_EQ(o.word(), U256{0});
    const AccountChange* c = change_of(o.changes, self_address);
    EXPECT_TRUE(c == nullptr || c->debit.is_zero());
    const Outcome good = m.run(Code().call(address_of(8), 50, 100'000).ret_top());
    EXPECT_EQ(good.word(), U256{1});
    EXPECT_EQ(change_of(good.changes, address_of(8))->credit, U256{50});
}

TEST(PrecompileCall, TransactionMayNameOneAsItsRecipient) {
    Machine m(Revision::cancun);
    Transaction tx = m.transaction();
    tx.to = address_of(4);
    tx.data = {1, 2, 3};
    const auto r = m.execute(tx);
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(r->output, (Bytes{1, 2, 3}));
    EXPECT_EQ(r->gas_used, 21'000u + 3 * 16 + 15 + 3);
    tx = m.transaction();
    tx.to = address_of(4);
    tx.data = {1, 2, 3};
    tx.gas_limit = 21'000 + 3 * 16 + 17;
    EXPECT_EQ(m.execute(tx)->status, Status::precompile_failure);
}

}  // namespace
}  // namespace millrace::evm
