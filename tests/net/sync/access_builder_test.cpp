// SPDX-License-Identifier: Apache-2.0
// Owns the tests of making a mini-block's access: against its definition, and the shape of its
// dependencies.
#include <gtest/gtest.h>

#include "net/sync/access_builder.hpp"
#include "net/sync/access_codec.hpp"
#include "tests/net/sync/random_access.hpp"

namespace millrace::sync {
namespace {

using namespace test;

MiniBlockAccess built(AccessBuilder& builder, const AccessHeader& header,
                      const std::vector<OwnedAccess>& accesses) {
    for (const OwnedAccess& t : accesses) { builder.add(t.view()); }
    MiniBlockAccess out;
    builder.finish(header, out);
    return out;
}

TEST(AccessBuilder, EqualsTheDefinitionOnRandomAccesses) {
    AccessBuilder builder;  // used again and again, as the sealer does
    for (uint64_t seed = 1; seed <= 400; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        const auto accesses = random_accesses(seed, 1 + seed % 90, 1 + seed % 13);
        const AccessHeader header = random_header(seed);
        const MiniBlockAccess expected = plain_access(header, accesses);
        ASSERT_EQ(built(builder, header, accesses), expected);
        const auto canonical = check_canonical(expected);
        ASSERT_TRUE(canonical.has_value()) << canonical.error().message;
    }
}

TEST(AccessBuilder, EqualsTheDefinitionWithManyAccounts) {
    AccessBuilder builder;
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        const auto accesses = random_accesses(seed, 1500, 2000);
        ASSERT_EQ(built(builder, {}, accesses), plain_access({}, accesses));
    }
}

TEST(AccessBuilder, CountsAtLeastTheBytesOfTheEncoding) {
    for (uint64_t seed = 1; seed <= 50; ++seed) {
        AccessBuilder builder;
        for (const OwnedAccess& t : random_accesses(seed, 1 + seed, 5)) { builder.add(t.view()); }
        const size_t bound = builder.bytes();
        MiniBlockAccess m;
        builder.finish(random_header(seed), m);
        Bytes encoded;
        ASSERT_TRUE(encode_access(m, encoded).has_value());
        EXPECT_LE(encoded.size(), bound);
        EXPECT_EQ(builder.bytes(), 0u);
    }
}

OwnedAccess credit(const Address& to, uint64_t post) {
    OwnedAccess t;
    t.writes.push_back({to, std::nullopt, U256{post}, false, {}});
    return t;
}
OwnedAccess balance_reader(const Address& of) {
    OwnedAccess t;
    t.reads.push_back({of, field_balance});
    return t;
}

TEST(AccessBuilder, CreditsAndBoundsDependOnNothing) {
    std::vector<OwnedAccess> accesses;
    for (uint64_t i = 0; i < 30; ++i) {
        accesses.push_back(credit(small_address(1), i + 1));
        accesses.back().reads.push_back({small_address(1), AccountRead::bounded});
    }
    AccessBuilder builder;
    EXPECT_TRUE(built(builder, {}, accesses).dependencies.empty());
}

TEST(AccessBuilder, DependenciesOnAHotBalanceGrowLinearly) {
    // Everybody's credits before everybody's reads would be 4 million dependencies.
    constexpr uint32_t half = 2048;
    std::vector<OwnedAccess> accesses;
    for (uint32_t i = 0; i < half; ++i) { accesses.push_back(credit(small_address(1), i + 1)); }
    for (uint32_t i = 0; i < half; ++i) { accesses.push_back(balance_reader(small_address(1))); }
    AccessBuilder builder;
    const MiniBlockAccess m = built(builder, {}, accesses);
    EXPECT_EQ(m.dependencies_of(half).size(), half) << "the first names them all";
    for (uint32_t i = half + 1; i < 2 * half; ++i) {
        ASSERT_EQ(copied(m.dependencies_of(i)), (std::vector<uint32_t>{i - half}));
    }
}

TEST(AccessBuilder, ReadersAmongFewChangesDoNotDependOnEachOther) {
    std::vector<OwnedAccess> accesses;
    for (uint32_t i = 0; i < 8; ++i) {
        accesses.push_back(credit(small_address(1), i + 1));
        accesses.push_back(balance_reader(small_address(1)));
    }
    AccessBuilder builder;
    const MiniBlockAccess m = built(builder, {}, accesses);
    EXPECT_EQ(copied(m.dependencies_of(7)), (std::vector<uint32_t>{1, 3, 5, 7}));
}

TEST(AccessBuilder, BeginsAnewAfterFinish) {
    AccessBuilder builder;
    built(builder, {}, random_accesses(1, 40, 5));
    EXPECT_EQ(builder.transaction_count(), 0u);
    const auto second = random_accesses(2, 40, 5);
    EXPECT_EQ(built(builder, {}, second), plain_access({}, second));
    for (const OwnedAccess& t : random_accesses(3, 10, 5)) { builder.add(t.view()); }
    builder.clear();
    EXPECT_EQ(built(builder, {}, second), plain_access({}, second));
}

}  // namespace
}  // namespace millrace::sync
