// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-211: the return data of the last call, and of the output area.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(ReturnData, IsThatOfTheLastCallAndBounded) {
    Machine m;
    m.deploy(other_address, Code().mstore(0, 0x1234).ret(0, 32));
    m.deploy(address_of(0xbad), Code().mstore(0, 0x99).revert(31, 1));
    const Code call = Code().call(other_address, 0, 50'000).op(Opcode::pop);
    EXPECT_EQ(m.value_of(Code().op(Opcode::returndatasize)), U256{0});
    EXPECT_EQ(m.value_of(Code().append(call).op(Opcode::returndatasize)), U256{32});
    EXPECT_EQ(m.value_of(Code()
                             .append(call)
                             .push_all(2, 30, 0)
                             .op(Opcode::returndatacopy)
                             .push(0)
                             .op(Opcode::mload)),
              shl(U256{0x1234}, 240));
    const Code failed = Code().call(address_of(0xbad), 0, 50'000).op(Opcode::pop);
    EXPECT_EQ(m.value_of(Code().append(call).append(failed).op(Opcode::returndatasize)), U256{1});
    // One byte too many is an exceptional end, unlike every other copy.
    const auto copy = [&](const U256& size, const U256& offset) {
        return m.run(Code().append(call).push(size).push(offset).push(0).op(Opcode::returndatacopy))
            .status;
    };
    EXPECT_EQ(copy(32, 0), Status::success);
    EXPECT_EQ(copy(0, 32), Status::success);
    EXPECT_EQ(copy(33, 0), Status::return_data_out_of_bounds);
    EXPECT_EQ(copy(1, 32), Status::return_data_out_of_bounds);
    EXPECT_EQ(copy(0, 33), Status::return_data_out_of_bounds);
    EXPECT_EQ(copy(32, U256::max()), Status::return_data_out_of_bounds);
    EXPECT_EQ(copy(2, ~uint64_t{0}), Status::return_data_out_of_bounds);
    // A call that never began, and a successful creation, leave it empty.
    EXPECT_EQ(m.value_of(Code()
                             .append(call)
                             .call(other_address, 1'000'000, 0)
                             .op(Opcode::pop)
                             .op(Opcode::returndatasize)),
              U256{0});
    EXPECT_EQ(m.value_of(Code()
                             .append(call)
                             .push_all(0, 0, 0)
                             .op(Opcode::create)
                             .op(Opcode::pop)
                             .op(Opcode::returndatasize)),
              U256{0});
}

TEST(ReturnData, OutputIsCutToTheCallersSpaceAndLeavesTheRestAlone) {
    Machine m;
    m.deploy(other_address, Code().mstore(0, U256::max()).ret(0, 4));
    const Outcome o = m.run(Code()
                                .mstore(0, 0x77)
                                .push_all(32, 0, 0, 0, 0)
                                .push(other_address)
                                .push(50'000)
                                .op(Opcode::call)
                                .op(Opcode::pop)
                                .ret(0, 32));
    EXPECT_EQ(o.word(), (shl(U256{0xffffffff}, 224) | U256{0x77}));
    const Outcome cut = m.run(Code()
                                  .mstore(0, 0)
                                  .push_all(2, 0, 0, 0, 0)
                                  .push(other_address)
                                  .push(50'000)
                                  .op(Opcode::call)
                                  .op(Opcode::pop)
                                  .ret(0, 32));
    EXPECT_EQ(cut.word(), shl(U256{0xffff}, 240));
}

/// RETURNDATASIZE after `code`, whose flags and addresses stay below.
U256 size_after(Machine& m, const Code& code) {
    return m.value_of(Code().append(code).op(Opcode::returndatasize));
}

TEST(ReturnData, SizeAfterEveryWayACallCanEnd) {
    Machine m;
    m.state.set_balance(self_address, U256{5});
    m.deploy(address_of(0xa1), Code().ret(0, 7));
    m.deploy(address_of(0xa2), Code().revert(0, 9));
    m.deploy(address_of(0xa3), Code().op(Opcode::invalid));
    m.deploy(address_of(0xa4), Code().op(Opcode::stop));
    m.deploy(address_of(0xa5), Code().push(0).op(Opcode::selfdestruct));
    const auto call = [](uint64_t to, uint64_t value = 0) {
        return Code().call(address_of(to), value, 50'000);
    };
    const Code seven = call(0xa1);
    EXPECT_EQ(size_after(m, seven), U256{7});
    const std::vector<std::pair<Code, uint64_t>> cases = {
        {call(0xa2), 9},
        {call(0xa3), 0},
        {call(0xa4), 0},
        {call(0xa5), 0},
        {call(0x9999), 0},                                                // nobody
        {call(0xa1, 6), 0},                                               // not enough balance
        {Code().push_all(0, 0, 33, 0, 0, 4, 1000).op(Opcode::call), 33},  // identity
        {Code().push_all(0, 0, 33, 0, 0, 4, 1).op(Opcode::call), 0},      // identity without gas
    };
    for (size_t i = 0; i < cases.size(); ++i) {
        EXPECT_EQ(size_after(m, Code().append(seven).append(cases[i].first)), U256{cases[i].second})
            << "case " << i;
    }
}

TEST(ReturnData, SizeAfterEveryWayACreationCanEnd) {
    // EIP-211: empty after success; the data of a REVERT; empty after other failures.
    Machine m;
    m.deploy(address_of(0xa1), Code().ret(0, 7));
    const Code seven = Code().call(address_of(0xa1), 0, 50'000).pop();
    const auto create = [](const Code& init, uint64_t value = 0) {
        return Code().put(init).push_all(init.size(), 0, value).op(Opcode::create);
    };
    const auto size = [&](const Code& c) { return size_after(m, Code().append(seven).append(c)); };
    EXPECT_EQ(size(create(Code().ret(0, 5))), U256{0}) << "success";
    EXPECT_EQ(size(create(Code().revert(0, 5))), U256{5});
    EXPECT_EQ(size(create(Code().op(Opcode::invalid))), U256{0});
    EXPECT_EQ(size(create(Code().ret(0, 5), 1)), U256{0}) << "not enough balance";
    EXPECT_EQ(size(create(Code().push(0xef).push(0).op(Opcode::mstore8).ret(0, 5))), U256{0})
        << "EIP-3541";
    EXPECT_EQ(size(create(Code().ret(0, 0x6001))), U256{0}) << "EIP-170";
    m.state.set_nonce(create_address(self_address, 1), 1);
    EXPECT_EQ(size(create(Code().ret(0, 5))), U256{0}) << "collision";
}

TEST(ReturnData, IsEmptyAtTheBeginningOfAFrame) {
    Machine m;
    m.deploy(address_of(0xa1), Code().ret(0, 7));
    m.deploy(other_address, Code().op(Opcode::returndatasize).ret_top());
    EXPECT_EQ(m.run(Code()
                        .mstore(0, 99)
                        .call(address_of(0xa1), 0, 50'000)
                        .pop()
                        .push_all(32, 0, 0, 0, 0)
                        .push(other_address)
                        .push(50'000)
                        .op(Opcode::call)
                        .pop()
                        .ret(0, 32))
                  .word(),
              U256{0});
}

TEST(ReturnData, BelongsToTheFrameThatCalled) {
    // What the callee's own callee returned does not show; the caller's is replaced as a whole.
    Machine m;
    m.deploy(address_of(0xa1), Code().ret(0, 100));
    m.deploy(other_address, Code().call(address_of(0xa1), 0, 50'000).ret(0, 3));
    EXPECT_EQ(size_after(m, Code().call(other_address, 0, 100'000)), U256{3});
}

TEST(ReturnData, BoundsDoNotWrap) {
    // EIP-211: start + size beyond the buffer is an exceptional end, in 256-bit arithmetic.
    Machine m;
    m.deploy(address_of(0xa1), Code().ret(0, 32));
    const auto copy = [&](const U256& from, const U256& size) {
        const Outcome o = m.run(Code()
                                    .call(address_of(0xa1), 0, 50'000)
                                    .pop()
                                    .push(size)
                                    .push(from)
                                    .push(0)
                                    .op(Opcode::returndatacopy));
        return o.status;
    };
    EXPECT_EQ(copy(0, 32), Status::success);
    EXPECT_EQ(copy(31, 1), Status::success);
    EXPECT_EQ(copy(32, 0), Status::success) << "nothing from the very end";
    for (const auto& [from, size] : std::vector<std::pair<U256, U256>>{{31, 2},
                                                                       {32, 1},
                                                                       {33, 0},
                                                                       {U256{~uint64_t{0}}, 0},
                                                                       {U256{~uint64_t{0}}, 1},
                                                                       {shl(U256{1}, 64), 0},
                                                                       {shl(U256{1}, 64), 1},
                                                                       {U256::max(), 0},
                                                                       {U256::max(), 1},
                                                                       {U256::max(), 32}}) {
        EXPECT_EQ(copy(from, size), Status::return_data_out_of_bounds)
            << to_hex_quantity(from) << " " << to_hex_quantity(size);
    }
}

TEST(ReturnData, OutputOfAFailedCallIsCopiedOnlyForARevert) {
    Machine m;
    const auto output = [&](const Code& callee) {
        m.deploy(other_address, callee);
        return m
            .run(Code()
                     .mstore(0, 0x55)
                     .push_all(32, 0, 0, 0, 0)
                     .push(other_address)
                     .push(50'000)
                     .op(Opcode::call)
                     .pop()
                     .ret(0, 32))
            .word();
    };
    EXPECT_EQ(output(Code().mstore(0, 0x77).ret(0, 32)), U256{0x77});
    EXPECT_EQ(output(Code().mstore(0, 0x77).revert(0, 32)), U256{0x77});
    EXPECT_EQ(output(Code().mstore(0, 0x77).op(Opcode::invalid)), U256{0x55});
    EXPECT_EQ(output(Code().mstore(0, 0x77).ret(0, 0)), U256{0x55});
}

}  // namespace
}  // namespace millrace::evm
