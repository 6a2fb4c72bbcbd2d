// SPDX-License-Identifier: Apache-2.0
// Owns the tests of LOG0 to LOG4.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(Log, HoldsTopicsAndDataInOrder) {
    Machine m;
    const Outcome o =
        m.run(Code().mstore(0, 0xabcd).push_all(4, 3, 2, 1).push_all(2, 30).op(Opcode::log4));
    ASSERT_EQ(o.logs.size(), 1u);
    EXPECT_EQ(o.logs[0].address, self_address);
    EXPECT_EQ(o.logs[0].data, (Bytes{0xab, 0xcd}));
    EXPECT_EQ(o.logs[0].topics, (Topics{to_hash(U256{1}), to_hash(U256{2}), to_hash(U256{3}),
                                             to_hash(U256{4})}));
    EXPECT_EQ(o.gas_used, 9 + 3 + 6 * 3 + 375 + 4 * 375 + 2 * 8);
    m.deploy(other_address, Code().push_all(0, 0).op(Opcode::log0).revert(0, 0));
    EXPECT_TRUE(m.run(Code().call(other_address, 0, 100'000)).logs.empty())
        << "a reverted frame logs nothing";
}

TEST(Log, HasAsManyTopicsAsItsNumber) {
    Machine m;
    for (unsigned n = 0; n <= 4; ++n) {
        Code c;
        for (unsigned i = n; i > 0; --i) { c.push(U256::max() - U256{i}); }
        const Outcome o = m.run(c.push_all(0, 0).op(static_cast<uint8_t>(0xa0 + n)));
        ASSERT_EQ(o.logs.size(), 1u);
        EXPECT_TRUE(o.logs[0].data.empty());
        ASSERT_EQ(o.logs[0].topics.size(), n);
        for (unsigned i = 0; i < n; ++i) {
            EXPECT_EQ(o.logs[0].topics[i], to_hash(U256::max() - U256{i + 1}));
        }
    }
}

TEST(Log, IsWrittenInTheNameOfTheRunningAccount) {
    Machine m;
    m.deploy(other_address, Code().push_all(0, 0).op(Opcode::log0));
    const auto logger = [&](Opcode kind) {
        const Outcome o = m.run(Code().call_by(kind, other_address, 100'000));
        return o.logs.size() == 1 ? o.logs[0].address : Address{};
    };
    EXPECT_EQ(logger(Opcode::call), other_address);
    EXPECT_EQ(logger(Opcode::callcode), self_address);
    EXPECT_EQ(logger(Opcode::delegatecall), self_address);
    EXPECT_EQ(logger(Opcode::staticcall), Address{}) << "it failed there";
}

TEST(Log, OrderIsThatOfExecutionAndRevertedFramesLeaveAGap) {
    Machine m;
    const auto log = [](uint64_t topic) {
        return Code().push(topic).push_all(0, 0).op(Opcode::log1);
    };
    m.deploy(other_address, log(2));
    m.deploy(address_of(0xbad), log(9).revert(0, 0));
    m.deploy(address_of(0xbae), log(8).op(Opcode::invalid));
    const Outcome o = m.run(Code()
                                .append(log(1))
                                .call(other_address, 0, 50'000)
                                .pop()
                                .call(address_of(0xbad), 0, 50'000)
                                .pop()
                                .call(address_of(0xbae), 0, 50'000)
                                .pop()
                                .append(log(3)));
    ASSERT_EQ(o.logs.size(), 3u);
    for (size_t i = 0; i < 3; ++i) { EXPECT_EQ(o.logs[i].topics[0], to_hash(U256{i + 1})); }
}

}  // namespace
}  // namespace millrace::evm
