// SPDX-License-Identifier: Apache-2.0
// Owns the tests of proof of work's difficulty: the formula of each fork and the bomb's delays.
// Every number is worked out from the EIP that is named.
#include <gtest/gtest.h>

#include "evm/core/block_transition.hpp"
#include "evm/core/chain_spec.hpp"

namespace millrace::evm {
namespace {

constexpr uint64_t parent_time = 1'000;

/// Difficulty of the block `elapsed_s` after a parent of number `number - 1`.
U256 next(const Rules& rules, uint64_t parent_difficulty, uint64_t elapsed_s, uint64_t number = 1,
          bool parent_has_ommers = false) {
    BlockHeader parent;
    parent.difficulty = U256{parent_difficulty};
    parent.timestamp = parent_time;
    parent.number = number - 1;
    parent.ommers_hash = parent_has_ommers ? Hash256{} : empty_ommers_hash;
    return next_difficulty(rules, parent, parent_time + elapsed_s);
}

constexpr uint64_t d = 2048 * 1000;  // a quotum of 1,000

TEST(Difficulty, FrontierMovesByOneQuotum) {
    const Rules r = ethereum_rules(Revision::frontier);
    EXPECT_EQ(next(r, d, 1), U256{d + 1000});
    EXPECT_EQ(next(r, d, 12), U256{d + 1000});
    EXPECT_EQ(next(r, d, 13), U256{d - 1000});
    EXPECT_EQ(next(r, d, 100'000), U256{d - 1000});
}

TEST(Difficulty, HomesteadFallsWithTheTimeDownTo99Quota) {
    const Rules r = ethereum_rules(Revision::homestead);  // EIP-2
    EXPECT_EQ(next(r, d, 9), U256{d + 1000});
    EXPECT_EQ(next(r, d, 10), U256{d});
    EXPECT_EQ(next(r, d, 19), U256{d});
    EXPECT_EQ(next(r, d, 20), U256{d - 1000});
    EXPECT_EQ(next(r, d, 999), U256{d - 98'000});
    EXPECT_EQ(next(r, d, 1000), U256{d - 99'000});
    EXPECT_EQ(next(r, d, 1'000'000), U256{d - 99'000});
    EXPECT_EQ(next(r, d, 5, 1, true), U256{d + 1000}) << "ommers count from Byzantium on";
}

TEST(Difficulty, ByzantiumCountsTheOmmersOfTheParent) {
    const Rules r = ethereum_rules(Revision::byzantium);  // EIP-100
    EXPECT_EQ(next(r, d, 8), U256{d + 1000});
    EXPECT_EQ(next(r, d, 9), U256{d});
    EXPECT_EQ(next(r, d, 18), U256{d - 1000});
    EXPECT_EQ(next(r, d, 8, 1, true), U256{d + 2000});
    EXPECT_EQ(next(r, d, 9, 1, true), U256{d + 1000});
    EXPECT_EQ(next(r, d, 18, 1, true), U256{d});
    EXPECT_EQ(next(r, d, 1'000'000, 1, true), U256{d - 99'000});
    EXPECT_EQ(next(r, d, 1'000'000), U256{d - 99'000});
}

TEST(Difficulty, NeverFallsBelowItsMinimum) {
    for (const Revision v : {Revision::frontier, Revision::homestead, Revision::london}) {
        EXPECT_EQ(next(ethereum_rules(v), 131'072, 1'000'000), U256{131'072});
        EXPECT_EQ(next(ethereum_rules(v), 0, 1'000'000), U256{131'072});
    }
}

/// What the bomb adds at `number`.
U256 bomb(const Rules& rules, uint64_t number) {
    return next(rules, d, 1, number) - next(rules, d, 1, 1);
}

TEST(Difficulty, TheBombDoublesEvery100000Blocks) {
    const Rules r = ethereum_rules(Revision::frontier);
    EXPECT_EQ(bomb(r, 199'999), U256{});
    EXPECT_EQ(bomb(r, 200'000), U256{1});
    EXPECT_EQ(bomb(r, 299'999), U256{1});
    EXPECT_EQ(bomb(r, 300'000), U256{2});
    EXPECT_EQ(bomb(r, 1'200'000), U256{1024});
    EXPECT_EQ(bomb(r, 25'700'000), shl(U256{1}, 255));
}

TEST(Difficulty, ForksDelayTheBomb) {
    struct Delay {
        Revision revision;
        uint64_t blocks;
    };
    // EIP-649, EIP-1234, EIP-2384 (Muir Glacier, between Istanbul and Berlin), EIP-3554.
    for (const Delay& v :
         {Delay{Revision::spurious_dragon, 0}, Delay{Revision::byzantium, 3'000'000},
          Delay{Revision::constantinople, 5'000'000}, Delay{Revision::petersburg, 5'000'000},
          Delay{Revision::istanbul, 5'000'000}, Delay{Revision::berlin, 9'000'000},
          Delay{Revision::london, 9'700'000}}) {
        const Rules r = ethereum_rules(v.revision);
        EXPECT_EQ(bomb(r, v.blocks + 199'999), U256{}) << to_string(v.revision);
        EXPECT_EQ(bomb(r, v.blocks + 200'000), U256{1}) << to_string(v.revision);
    }
}

TEST(Difficulty, GlaciersDelayTheBombOfTheirFork) {
    ChainSpec spec;
    spec.rule_set = RuleSet::ethereum;
    spec.forks = {{Revision::london, 0, {}}};
    spec.bomb_delays = {{50, 9'000'000}, {100, 10'700'000}};
    EXPECT_EQ(spec.rules_at(49, 0).difficulty_bomb_delay, 9'700'000u);
    EXPECT_EQ(spec.rules_at(99, 0).difficulty_bomb_delay, 9'700'000u) << "a later fork's own holds";
    EXPECT_EQ(spec.rules_at(100, 0).difficulty_bomb_delay, 10'700'000u);
}

}  // namespace
}  // namespace millrace::evm
