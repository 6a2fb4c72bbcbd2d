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
    // The input is zeros, which every one of these accepts (points at infinity, empty numbers).
    using R = Revision;
    struct Case {
        const char* what;
        uint64_t address;
        uint64_t input_size;
        std::vector<Since> gas;
    };
    const std::vector<Case> cases = {
        // Yellow paper, appendix E; 33 bytes are two words.
        {"ECRECOVER", 1, 33, {{R::frontier, 3000}}},
        {"SHA256", 2, 33, {{R::frontier, 60 + 2 * 12}}},
        {"RIPEMD160", 3, 33, {{R::frontier, 600 + 2 * 120}}},
        {"IDENTITY", 4, 33, {{R::frontier, 15 + 2 * 3}}},
        {"IDENTITY of nothing", 4, 0, {{R::frontier, 15}}},
        // MODEXP of empty numbers: EIP-198 has no minimum, EIP-2565 has 200, EIP-7883 has 500.
        {"MODEXP", 5, 96, {{R::byzantium, 0}, {R::berlin, 200}, {R::osaka, 500}}},
        // EIP-196 and EIP-197, repriced by EIP-1108.
        {"BN254 add", 6, 128, {{R::byzantium, 500}, {R::istanbul, 150}}},
        {"BN254 mul", 7, 96, {{R::byzantium, 40'000}, {R::istanbul, 6000}}},
        {"BN254 pairing of none", 8, 0, {{R::byzantium, 100'000}, {R::istanbul, 45'000}}},
        {"BN254 pairing of one", 8, 192, {{R::byzantium, 180'000}, {R::istanbul, 45'000 + 34'000}}},
        // EIP-2537.
        {"BLS G1 add", 0x0b, 256, {{R::prague, 375}}},
        {"BLS G1 sum of one product", 0x0c, 160, {{R::prague, 12'000}}},
        {"BLS G2 add", 0x0d, 512, {{R::prague, 600}}},
        {"BLS G2 sum of one product", 0x0e, 288, {{R::prague, 22'500}}},
        {"BLS pairing of one", 0x0f, 384, {{R::prague, 37'700 + 32'600}}},
        {"BLS map to G1", 0x10, 64, {{R::prague, 5500}}},
        {"BLS map to G2", 0x11, 128, {{R::prague, 23'800}}},
        // EIP-7951; an invalid signature is an empty answer, not a failure.
        {"P256VERIFY", 0x100, 160, {{R::osaka, 6900}}},
    };
    for (const Case& c : cases) {
        for (const Revision r : revisions(c.gas.front().revision)) {
            SCOPED_TRACE(std::string(c.what) + " in " + std::string(to_string(r)));
            Machine m(r);
            m.state.set_balance(address_of(c.address), U256{1});
            const auto price = static_cast<uint64_t>(at(c.gas, r));
            const auto call = [&](uint64_t gas) {
                return Code().push_all(0, 0, c.input_size, 0, 0, c.address, gas).op(Opcode::call);
            };
            const auto succeeds = [&](uint64_t gas) {
                const Outcome o = m.run(call(gas).sstore_top(0));
                const AccountChange* change = change_of(o.changes, self_address);
                return change != nullptr && !change->storage.empty();
            };
            // Memory of the input, access, and seven PUSHes surround it.
            const auto words = static_cast<int64_t>((c.input_size + 31) / 32);
            const int64_t access =
                at({{R::frontier, 40}, {R::tangerine_whistle, 700}, {R::berlin, 100}}, r);
            const auto used = [&](uint64_t gas) {
                return m.run(call(gas)).gas_used - (7 * 3 + 3 * words + access);
            };
            EXPECT_TRUE(succeeds(price));
            EXPECT_EQ(used(price + 10'000), static_cast<int64_t>(price));
            if (price == 0) { continue; }
            EXPECT_FALSE(succeeds(price - 1));
            EXPECT_EQ(used(price - 1), static_cast<int64_t>(price - 1)) << "failure takes it all";
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
