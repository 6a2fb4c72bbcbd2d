// SPDX-License-Identifier: Apache-2.0
// Owns the tests of BLOCKHASH: its window of 256 ancestors.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(BlockHash, OnlyThe256AncestorsAreSeen) {
    Machine m;
    for (uint64_t n = 700; n <= 1010; ++n) { m.state.set_block_hash(n, to_hash(U256{n})); }
    const auto ask = [&](const U256& n) {
        return m.value_of(Code().push(n).op(Opcode::blockhash));
    };
    EXPECT_EQ(ask(999), U256{999});
    EXPECT_EQ(ask(744), U256{744});
    EXPECT_EQ(ask(743), U256{});
    EXPECT_EQ(ask(1000), U256{});
    EXPECT_EQ(ask(1001), U256{});
    EXPECT_EQ(ask(U256::max()), U256{});
}

TEST(BlockHash, WindowAtTheBeginningOfTheChain) {
    for (const uint64_t current : {0, 1, 255, 256, 257}) {
        Machine m;
        m.block.number = current;
        for (uint64_t n = 0; n < 300; ++n) { m.state.set_block_hash(n, to_hash(U256{1000 + n})); }
        for (const uint64_t n : {0, 1, 254, 255, 256, 257}) {
            const bool seen = n < current && current <= n + 256;
            EXPECT_EQ(m.value_of(Code().push(n).op(Opcode::blockhash)),
                      seen ? U256{1000 + n} : U256{})
                << n << " at " << current;
        }
    }
}

TEST(BlockHash, NoBitOfTheNumberIsLost) {
    Machine m;
    m.state.set_block_hash(999, to_hash(U256{5}));
    EXPECT_EQ(m.value_of(Code().push(999).op(Opcode::blockhash)), U256{5});
    for (const uint64_t bit : {32, 63, 64, 128, 255}) {
        EXPECT_EQ(m.value_of(Code().push(shl(U256{1}, bit) + U256{999}).op(Opcode::blockhash)),
                  U256{})
            << bit;
    }
}

}  // namespace
}  // namespace millrace::evm
