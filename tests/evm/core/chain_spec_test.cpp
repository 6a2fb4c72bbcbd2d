// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the choice of rules for a block and of the names of forks.
#include "evm/core/chain_spec.hpp"
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(ChainSpec, ChoosesTheForkByBlockOrTime) {
    ChainSpec spec;
    spec.rule_set = RuleSet::ethereum;
    spec.rules.chain_id = 9;
    spec.forks = {{Revision::homestead, 10, {}},
                  {Revision::london, 20, {}},
                  {Revision::shanghai, {}, 1000},
                  {Revision::cancun, {}, 2000}};
    spec.blob_schedules = {{2000, {3, 6, 100}}, {3000, {6, 9, 200}}};
    EXPECT_EQ(spec.rules_at(9, 0).revision, Revision::frontier);
    EXPECT_EQ(spec.rules_at(10, 0).revision, Revision::homestead);
    EXPECT_EQ(spec.rules_at(25, 999).revision, Revision::london);
    EXPECT_EQ(spec.rules_at(25, 1000).revision, Revision::shanghai);
    EXPECT_EQ(spec.rules_at(25, 2500).blob.base_fee_update_fraction, 100u);
    EXPECT_EQ(spec.rules_at(25, 3000).blob.target, 6u);
    EXPECT_EQ(spec.rules_at(25, 3000).chain_id, 9u);
    spec.rule_set = RuleSet::millrace;
    spec.rules = millrace_rules(9);
    EXPECT_EQ(spec.rules_at(0, 0).revision, Revision::osaka);
    EXPECT_EQ(spec.rules_at(0, 0).fee_policy, FeePolicy::vaults);
}

TEST(Revisions, NamesAreReadBack) {
    for (int r = 0; r < revision_count; ++r) {
        const auto revision = static_cast<Revision>(r);
        EXPECT_EQ(revision_from_text(to_string(revision)), revision);
    }
    EXPECT_EQ(revision_from_text("constantinoplefix"), Revision::petersburg);
    EXPECT_EQ(revision_from_text("Merge"), Revision::paris);
    EXPECT_EQ(revision_from_text("Amsterdam"), std::nullopt);
}

}  // namespace
}  // namespace millrace::evm
