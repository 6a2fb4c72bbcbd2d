// SPDX-License-Identifier: Apache-2.0
// Owns the runs of the oracles over seeds; the fuzz target of the same oracles takes bytes.
#include <gtest/gtest.h>

#include "tests/evm/precompiles/calling.hpp"
#include "tests/evm/precompiles/oracles/oracles.hpp"
#include "tests/evm/precompiles/oracles/reference_hashes.hpp"

namespace millrace::evm::oracles {
namespace {

class PrecompileOracle : public testing::TestWithParam<NamedOracle> {};

/// Hash functions and copies take everything.
bool can_refuse(std::string_view name) {
    return name != "sha256" && name != "ripemd160" && name != "identity";
}

TEST_P(PrecompileOracle, AgreesWithTheContract) {
    unsigned answered = 0;
    unsigned refused = 0;
    for (uint64_t seed = 0; seed < 300; ++seed) {
        Choices choices{seed};
        Findings findings;
        GetParam().run(choices, findings);
        ASSERT_EQ("", findings.first()) << "seed " << seed;
        answered += findings.answered();
        refused += findings.refused();
    }
    // Inputs that never get past the checks would agree too.
    EXPECT_GT(answered, 90u);
    if (can_refuse(GetParam().name)) { EXPECT_GT(refused, 15u); }
}

INSTANTIATE_TEST_SUITE_P(Each, PrecompileOracle, testing::ValuesIn(all_oracles),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(PrecompileOracleFindings, NamesEveryKindOfDisagreement) {
    const Bytes abc{'a', 'b', 'c'};
    const auto finding = [&](const Answer& answer, uint64_t gas = Findings::gas_default) {
        Findings findings;
        findings.compare(0x04, abc, Revision::osaka, answer, gas);
        return findings.first();
    };
    EXPECT_EQ("", finding({true, 18, abc}));
    EXPECT_EQ("", finding({true, 18, abc}, 17));
    EXPECT_NE("", finding({true, 17, abc}));
    EXPECT_NE("", finding({true, 18, {}}));
    EXPECT_NE("", finding({}));
    EXPECT_NE("", finding({true, 19, abc}, 18));
    Findings findings;
    findings.require(true, "not this");
    findings.require(false, "this");
    findings.require(false, "nor this");
    EXPECT_EQ("this", findings.first());
}

TEST(ReferenceHashes, AnswerThePublishedExamples) {
    const Bytes abc{'a', 'b', 'c'};
    EXPECT_EQ("0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
              to_hex(reference_sha256(abc)));
    EXPECT_EQ("0x8eb208f7e05d987a9b044a8e98c6b087f15a0bfc", to_hex(reference_ripemd160(abc)));
}

}  // namespace
}  // namespace millrace::evm::oracles
