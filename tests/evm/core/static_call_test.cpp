// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-214: static frames change nothing.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

const std::vector<std::pair<const char*, Code>>& changing() {
    static const std::vector<std::pair<const char*, Code>> list = {
        {"SSTORE", Code().sstore(0, 1)},
        {"LOG0", Code().push_all(0, 0).op(Opcode::log0)},
        {"LOG1", Code().push_all(0, 0, 0).op(Opcode::log1)},
        {"LOG2", Code().push_all(0, 0, 0, 0).op(Opcode::log2)},
        {"LOG3", Code().push_all(0, 0, 0, 0, 0).op(Opcode::log3)},
        {"LOG4", Code().push_all(0, 0, 0, 0, 0, 0).op(Opcode::log4)},
        {"CREATE", Code().push_all(0, 0, 0).op(Opcode::create)},
        {"SELFDESTRUCT", Code().push(0).op(Opcode::selfdestruct)},
        {"CALL with value", Code().call(address_of(0xe0a), 1, 1000)},
        {"CREATE2", Code().push_all(0, 0, 0, 0).op(Opcode::create2)},
        {"TSTORE", Code().push_all(1, 0).op(Opcode::tstore)},
    };
    return list;
}
bool exists_in(std::string_view name, Revision r) {
    if (name == "CREATE2") { return r >= Revision::constantinople; }
    return name != "TSTORE" || r >= Revision::cancun;
}

TEST(Static, EveryChangeEndsTheFrameAndTakesItsGas) {
    for (const Revision r : revisions(Revision::byzantium)) {
        Machine m(r);
        m.state.set_balance(self_address, U256{100});
        for (const auto& [name, code] : changing()) {
            SCOPED_TRACE(std::string(name) + " in " + std::string(to_string(r)));
            if (!exists_in(name, r)) { continue; }
            const Outcome o = m.run(code, {.gas = 300'000, .is_static = true});
            EXPECT_EQ(o.status, Status::static_mode_violation);
            EXPECT_EQ(o.gas_used, 300'000);
            EXPECT_EQ(m.run(code, {.gas = 300'000}).status, Status::success)
                << "and elsewhere it works";
            // By STATICCALL; the caller goes on.
            m.deploy(other_address, code);
            const Outcome outer = m.run(Code().staticcall(other_address, 100'000).ret_top());
            EXPECT_EQ(outer.status, Status::success);
            EXPECT_EQ(outer.word(), U256{0});
            EXPECT_GE(outer.gas_used, 100'000);
        }
    }
}

TEST(Static, IsInheritedByEveryKindOfCall) {
    for (const Revision r : {Revision::byzantium, Revision::istanbul, Revision::osaka}) {
        Machine m(r);
        m.state.set_balance(self_address, U256{100});
        for (const auto& [name, code] : changing()) {
            if (!exists_in(name, r)) { continue; }
            m.deploy(other_address, code);
            for (const Opcode kind :
                 {Opcode::call, Opcode::callcode, Opcode::delegatecall, Opcode::staticcall}) {
                SCOPED_TRACE(std::string(name) + " by " +
                             std::string(opcode_name(static_cast<uint8_t>(kind))));
                EXPECT_EQ(m.run(Code().call_by(kind, other_address, 300'000).ret_top(),
                                {.is_static = true})
                              .word(),
                          U256{0});
                EXPECT_EQ(m.run(Code().call_by(kind, other_address, 300'000).ret_top()).word(),
                          U256{kind == Opcode::staticcall ? 0u : 1u});
            }
        }
    }
}

TEST(Static, ReadingAndCallingWithoutValueIsAllowed) {
    Machine m;
    m.state.set_balance(self_address, U256{100});
    const RunOptions in_static{.is_static = true};
    for (const Code& allowed :
         {Code().push(0).op(Opcode::sload), Code().push(0).op(Opcode::tload),
          Code().call(other_address, 0, 1000),
          Code().call(other_address, 1, 1000, Opcode::callcode),
          Code().delegatecall(other_address, 1000), Code().staticcall(other_address, 1000),
          Code().push(other_address).op(Opcode::balance),
          Code().push_all(0, 0).op(Opcode::keccak256), Code().push_all(1, 0).op(Opcode::mstore)}) {
        EXPECT_EQ(m.run(allowed, in_static).status, Status::success);
    }
}

TEST(Static, EndsWithItsFrame) {
    // After a STATICCALL the caller may write again, and a callee's restriction is not its own.
    Machine m;
    m.deploy(other_address, Code().op(Opcode::stop));
    const Outcome o = m.run(Code().staticcall(other_address, 1000).pop().sstore(1, 2));
    EXPECT_EQ(o.status, Status::success);
    EXPECT_EQ(change_of(o.changes, self_address)->storage.size(), 1u);
}

TEST(Static, ShowsNoValue) {
    Machine m;
    m.deploy(other_address, Code().op(Opcode::callvalue).ret_top());
    const Outcome o = m.run(Code()
                                .push_all(32, 0, 0, 0)
                                .push(other_address)
                                .push(50'000)
                                .op(Opcode::staticcall)
                                .pop()
                                .ret(0, 32),
                            {.value = U256{9}});
    EXPECT_EQ(o.word(), U256{0});
}

}  // namespace
}  // namespace millrace::evm
