// SPDX-License-Identifier: Apache-2.0
// Owns the tests of what a header must satisfy after its parent: difficulty, gas limit, fields by
// fork, and the size of a block.
#include "evm/core/block_transition.hpp"
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using R = Revision;

BlockHeader header(uint64_t number, uint64_t timestamp, uint64_t difficulty) {
    BlockHeader h;
    h.number = number;
    h.timestamp = timestamp;
    h.difficulty = U256{difficulty};
    h.ommers_hash = empty_ommers_hash;
    h.gas_limit = 30'000'000;
    return h;
}

U256 difficulty_after(R r, const BlockHeader& parent, uint64_t elapsed_s) {
    return next_difficulty(ethereum_rules(r), parent, parent.timestamp + elapsed_s);
}

TEST(Difficulty, OfTheFirstBlockOfTheMainNetwork) {
    // Genesis has 17,179,869,184; block 1 came long after it: one 2048th less.
    EXPECT_EQ(
        next_difficulty(ethereum_rules(R::frontier), header(0, 0, 17'179'869'184), 1438269988),
        U256{17'171'480'576});
}

TEST(Difficulty, FrontierLooksAt13Seconds) {
    const BlockHeader parent = header(100, 1000, 2048 * 1000);
    EXPECT_EQ(difficulty_after(R::frontier, parent, 12), U256{2048 * 1000 + 1000});
    EXPECT_EQ(difficulty_after(R::frontier, parent, 13), U256{2048 * 1000 - 1000});
    EXPECT_EQ(difficulty_after(R::frontier, parent, 100'000), U256{2048 * 1000 - 1000});
}

TEST(Difficulty, HomesteadCountsTensOfSeconds) {
    // EIP-2: parent / 2048 * max(1 - elapsed / 10, -99)
    const BlockHeader parent = header(100, 1000, 2048 * 1000);
    for (const R r : {R::homestead, R::spurious_dragon}) {
        EXPECT_EQ(difficulty_after(r, parent, 9), U256{2048 * 1000 + 1000});
        EXPECT_EQ(difficulty_after(r, parent, 10), U256{2048 * 1000});
        EXPECT_EQ(difficulty_after(r, parent, 19), U256{2048 * 1000});
        EXPECT_EQ(difficulty_after(r, parent, 20), U256{2048 * 1000 - 1000});
        EXPECT_EQ(difficulty_after(r, parent, 999), U256{2048 * 1000 - 98 * 1000});
        EXPECT_EQ(difficulty_after(r, parent, 1000), U256{2048 * 1000 - 99 * 1000});
        EXPECT_EQ(difficulty_after(r, parent, 100'000), U256{2048 * 1000 - 99 * 1000});
    }
}

TEST(Difficulty, ByzantiumCountsNinesAndOmmers) {
    // EIP-100: parent / 2048 * max((parent has ommers ? 2 : 1) - elapsed / 9, -99)
    BlockHeader parent = header(100, 1000, 2048 * 1000);
    for (const R r : {R::byzantium, R::london}) {
        parent.ommers_hash = empty_ommers_hash;
        EXPECT_EQ(difficulty_after(r, parent, 8), U256{2048 * 1000 + 1000});
        EXPECT_EQ(difficulty_after(r, parent, 9), U256{2048 * 1000});
        EXPECT_EQ(difficulty_after(r, parent, 18), U256{2048 * 1000 - 1000});
        EXPECT_EQ(difficulty_after(r, parent, 100'000), U256{2048 * 1000 - 99 * 1000});
        parent.ommers_hash = to_hash(U256{1});
        EXPECT_EQ(difficulty_after(r, parent, 8), U256{2048 * 1000 + 2000});
        EXPECT_EQ(difficulty_after(r, parent, 17), U256{2048 * 1000 + 1000});
        EXPECT_EQ(difficulty_after(r, parent, 18), U256{2048 * 1000});
        EXPECT_EQ(difficulty_after(r, parent, 100'000), U256{2048 * 1000 - 99 * 1000});
    }
}

TEST(Difficulty, DoesNotFallBelowItsMinimum) {
    EXPECT_EQ(difficulty_after(R::frontier, header(100, 1000, 131'072), 100), U256{131'072});
    EXPECT_EQ(difficulty_after(R::homestead, header(100, 1000, 131'100), 100'000), U256{131'072});
}

TEST(Difficulty, BombGrowsEvery100000BlocksAndIsDelayedByForks) {
    // 2^(period - 2), counted from the delay of EIP-649 (3 M), 1234 (5 M), 2384 (9 M), 3554 (9.7 M,
    // here with the numbers of the forks that this engine tells apart).
    const auto bomb = [](R r, uint64_t number) {
        // Unchanged otherwise: 10 s from Homestead, 9 s from Byzantium on.
        const BlockHeader parent = header(number - 1, 1000, 2048 * 1'000'000'000ull);
        const U256 d = difficulty_after(r, parent, r >= R::byzantium ? 9 : 10);
        return d - parent.difficulty;
    };
    EXPECT_EQ(bomb(R::homestead, 199'999), U256{0});
    EXPECT_EQ(bomb(R::homestead, 200'000), U256{1});
    EXPECT_EQ(bomb(R::homestead, 300'000), U256{2});
    EXPECT_EQ(bomb(R::homestead, 4'200'000), shl(1, 40));
    EXPECT_EQ(bomb(R::byzantium, 3'199'999), U256{0});
    EXPECT_EQ(bomb(R::byzantium, 3'200'000), U256{1});
    EXPECT_EQ(bomb(R::constantinople, 5'199'999), U256{0});
    EXPECT_EQ(bomb(R::constantinople, 5'200'000), U256{1});
    EXPECT_EQ(bomb(R::berlin, 9'200'000), U256{1});
    EXPECT_EQ(bomb(R::london, 9'899'999), U256{0});
    EXPECT_EQ(bomb(R::london, 9'900'000), U256{1});
}

/// A header that follows from `parent` at `r`.
BlockHeader child_of(const BlockHeader& parent, R r) {
    const Rules rules = ethereum_rules(r);
    BlockHeader h = header(parent.number + 1, parent.timestamp + 12, 0);
    h.gas_limit = parent.gas_limit;
    if (r < R::paris) { h.difficulty = next_difficulty(rules, parent, h.timestamp); }
    if (r >= R::london) {
        h.base_fee_per_gas = parent.base_fee_per_gas
                                 ? next_base_fee(rules.base_fee, *parent.base_fee_per_gas,
                                                 parent.gas_used, parent.gas_limit)
                                 : U256{1'000'000'000};
    }
    if (r >= R::shanghai) { h.withdrawals_root = Hash256{}; }
    if (r >= R::cancun) {
        h.blob_gas_used = 0;
        h.excess_blob_gas = next_excess_blob_gas(rules, parent);
        h.parent_beacon_block_root = Hash256{};
    }
    if (r >= R::prague) { h.requests_hash = Hash256{}; }
    return h;
}
BlockHeader parent_of(R r) {
    BlockHeader p = header(99, 1000, r < R::paris ? 2048 * 1000 : 0);
    if (r >= R::london) { p.base_fee_per_gas = U256{1000}; }
    return p;
}
std::optional<BlockError> fault_of(const BlockHeader& h, const BlockHeader& parent, R r) {
    const auto f = validate_header(h, parent, ethereum_rules(r));
    return f ? std::optional{f->error} : std::nullopt;
}

TEST(Header, FieldsAreThereFromTheirForkOnAndNotBefore) {
    for (const R r : revisions()) {
        SCOPED_TRACE(to_string(r));
        const BlockHeader parent = parent_of(r);
        const BlockHeader good = child_of(parent, r);
        EXPECT_EQ(fault_of(good, parent, r), std::nullopt);
        const auto toggled = [&](auto&& field, auto value, R since) {
            BlockHeader h = good;
            if (r >= since) {
                (h.*field).reset();
                EXPECT_EQ(fault_of(h, parent, r), BlockError::field_missing);
            } else {
                h.*field = value;
                EXPECT_EQ(fault_of(h, parent, r), BlockError::field_not_allowed);
            }
        };
        toggled(&BlockHeader::base_fee_per_gas, U256{7}, R::london);
        toggled(&BlockHeader::withdrawals_root, Hash256{}, R::shanghai);
        toggled(&BlockHeader::blob_gas_used, uint64_t{0}, R::cancun);
        toggled(&BlockHeader::excess_blob_gas, uint64_t{0}, R::cancun);
        toggled(&BlockHeader::parent_beacon_block_root, Hash256{}, R::cancun);
        toggled(&BlockHeader::requests_hash, Hash256{}, R::prague);
    }
}

TEST(Header, GasLimitChangesByLessThanA1024th) {
    for (const R r : {R::frontier, R::london, R::osaka}) {
        const BlockHeader parent = parent_of(r);
        const auto with_limit = [&](uint64_t limit) {
            BlockHeader h = child_of(parent, r);
            h.gas_limit = limit;
            return fault_of(h, parent, r);
        };
        const uint64_t step = 30'000'000 / 1024;  // 29,296
        EXPECT_EQ(with_limit(30'000'000 + step - 1), std::nullopt) << to_string(r);
        EXPECT_EQ(with_limit(30'000'000 + step), BlockError::gas_limit_step_too_large);
        EXPECT_EQ(with_limit(30'000'000 - step + 1), std::nullopt);
        EXPECT_EQ(with_limit(30'000'000 - step), BlockError::gas_limit_step_too_large);
        EXPECT_EQ(with_limit(4999), BlockError::gas_limit_out_of_range);
    }
}

TEST(Header, GasLimitDoublesWithTheFirstLondonBlock) {
    // EIP-1559: the step is measured from twice the parent's limit; the base fee begins at 1 Gwei.
    const BlockHeader parent = parent_of(R::berlin);
    BlockHeader h = child_of(parent, R::london);
    EXPECT_EQ(fault_of(h, parent, R::london), BlockError::gas_limit_step_too_large);
    h.gas_limit = 60'000'000;
    EXPECT_EQ(fault_of(h, parent, R::london), std::nullopt);
    h.base_fee_per_gas = U256{999'999'999};
    EXPECT_EQ(fault_of(h, parent, R::london), BlockError::base_fee_mismatch);
}

TEST(Header, EveryNumberHasItsBound) {
    const BlockHeader parent = parent_of(R::osaka);
    const auto changed = [&](auto&& change) {
        BlockHeader h = child_of(parent, R::osaka);
        change(h);
        return fault_of(h, parent, R::osaka);
    };
    EXPECT_EQ(changed([](BlockHeader& h) { ++h.number; }), BlockError::number_invalid);
    EXPECT_EQ(changed([&](BlockHeader& h) { h.timestamp = parent.timestamp; }),
              BlockError::timestamp_not_after_parent);
    EXPECT_EQ(changed([&](BlockHeader& h) { h.timestamp = parent.timestamp + 1; }), std::nullopt);
    EXPECT_EQ(changed([](BlockHeader& h) { h.extra_data.resize(32); }), std::nullopt);
    EXPECT_EQ(changed([](BlockHeader& h) { h.extra_data.resize(33); }),
              BlockError::extra_data_too_long);
    EXPECT_EQ(changed([](BlockHeader& h) { h.gas_used = h.gas_limit; }), std::nullopt);
    EXPECT_EQ(changed([](BlockHeader& h) { h.gas_used = h.gas_limit + 1; }),
              BlockError::gas_used_above_limit);
    EXPECT_EQ(changed([](BlockHeader& h) { h.difficulty = U256{1}; }),
              BlockError::difficulty_not_zero)
        << "EIP-3675";
    EXPECT_EQ(changed([](BlockHeader& h) { h.nonce[7] = 1; }), BlockError::nonce_not_zero);
    EXPECT_EQ(changed([](BlockHeader& h) { h.ommers_hash[0] ^= 1; }),
              BlockError::ommers_not_allowed);
    EXPECT_EQ(changed([](BlockHeader& h) { *h.excess_blob_gas += 1; }),
              BlockError::excess_blob_gas_mismatch);
}

TEST(Header, DaoForkIsNoRuleOfThisEngine) {
    // Block 1,920,000 asks for no extra data and moves no balance: chains without it are meant.
    BlockHeader parent = header(1'919'999, 1000, 2048 * 1000);
    const BlockHeader h = child_of(parent, R::homestead);
    EXPECT_TRUE(h.extra_data.empty());
    EXPECT_EQ(fault_of(h, parent, R::homestead), std::nullopt);
}

TEST(Body, SizeLimitOfEip7934) {
    // 10 MiB less 2 MiB for what surrounds a block, from Osaka on.
    for (const R r : revisions(R::prague)) {
        const Block block{};
        const auto fault_at = [&](size_t size) {
            const auto f = validate_body(block, size, ethereum_rules(r));
            return f && f->error == BlockError::block_too_large;
        };
        EXPECT_FALSE(fault_at(8 * 1024 * 1024));
        EXPECT_EQ(fault_at(8 * 1024 * 1024 + 1), r >= R::osaka) << to_string(r);
    }
    EXPECT_EQ(millrace_rules(1).block_size_max, ~uint64_t{0});
}

}  // namespace
}  // namespace millrace::evm
