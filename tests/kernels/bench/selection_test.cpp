// SPDX-License-Identifier: Apache-2.0
// Owns the tests of reading option values: what is taken, and what each refusal says.
#include "kernels/bench/selection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::kernel_bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string refusal(const auto& result) {
    return result.has_value() ? "taken" : result.error().message;
}

TEST(ParseBatches, ListsAscendAndNameEachOnce) {
    EXPECT_THAT(*parse_batches("64,1,64,8"), ElementsAre(1, 8, 64));
}

TEST(ParseBatches, KAndMArePowersOfTwo) {
    EXPECT_THAT(*parse_batches("4K,1M,2k"), ElementsAre(2048, 4096, 1048576));
}

TEST(ParseBatches, SweepsStepByFourOrByTheFactorAndTakeTheirEnd) {
    EXPECT_THAT(*parse_batches("1..100"), ElementsAre(1, 4, 16, 64, 100));
    EXPECT_THAT(*parse_batches("64..256:2"), ElementsAre(64, 128, 256));
    EXPECT_THAT(*parse_batches("7..7"), ElementsAre(7));
    EXPECT_EQ(parse_batches(batch_sweep)->front(), 1u);
    EXPECT_EQ(parse_batches(batch_sweep)->back(), batch_max);
}

TEST(ParseBatches, ListsAndSweepsMix) {
    EXPECT_THAT(*parse_batches("3,1..4:2,5"), ElementsAre(1, 2, 3, 4, 5));
}

TEST(ParseBatches, RefusalsNameWhatWasSeenAndWhatIsTaken) {
    for (const char* text : {"",
                             "0",
                             "-1",
                             "1.5",
                             "x",
                             "1,",
                             ",1",
                             "1,,2",
                             "2M",
                             "1048577",
                             "K",
                             "99999999999999999999",
                             "18446744073709551615K",
                             "1..",
                             "..4",
                             "1...4",
                             "1..4:",
                             "1..4:1",
                             "1..4:x",
                             " 1"}) {
        const auto batches = parse_batches(text);
        ASSERT_FALSE(batches.has_value()) << text;
        EXPECT_EQ(batches.error().code, ErrorCode::invalid_input);
        EXPECT_THAT(batches.error().message, HasSubstr("'")) << text;
    }
    EXPECT_THAT(refusal(parse_batches("1,2M")),
                testing::AllOf(HasSubstr("'2M'"), HasSubstr("1048576")));
    EXPECT_THAT(refusal(parse_batches("8..4")), HasSubstr("backwards"));
}

TEST(ParseMessageSizes, ZeroAndTheLimitAreTaken) {
    EXPECT_THAT(*parse_message_sizes("64K,0,136"), ElementsAre(0, 136, 65536));
    EXPECT_THAT(refusal(parse_message_sizes("65537")), HasSubstr("65536"));
    EXPECT_THAT(refusal(parse_message_sizes("")), HasSubstr("message size"));
    EXPECT_THAT(refusal(parse_message_sizes("1..4")), HasSubstr("'1..4'"));
}

TEST(ParseThreads, AllIsTheNumberOfCores) {
    EXPECT_THAT(*parse_threads("1,all", 16), ElementsAre(1, 16));
    EXPECT_THAT(*parse_threads("all,1,1", 1), ElementsAre(1));
    EXPECT_THAT(*parse_threads("3,2", 4), ElementsAre(2, 3));
}

TEST(ParseThreads, MoreThanThereAreIsRefusedWithTheirNumber) {
    EXPECT_THAT(refusal(parse_threads("17", 16)), HasSubstr("16"));
    EXPECT_THAT(refusal(parse_threads("0", 16)), HasSubstr("'0'"));
    EXPECT_THAT(refusal(parse_threads("some", 16)), HasSubstr("'some'"));
    EXPECT_THAT(refusal(parse_threads("", 16)), HasSubstr("''"));
}

TEST(ParseNames, KeepsTheOrderOfTheKnown) {
    const std::vector<std::string> known = {"scalar", "simd", "cuda"};
    EXPECT_THAT(*parse_names("cuda,scalar,cuda", known, "back end"), ElementsAre("scalar", "cuda"));
    EXPECT_THAT(*select_names({}, known, "back end"), ElementsAre("scalar", "simd", "cuda"));
}

TEST(ParseNames, AnUnknownOneIsNamedWithTheKnown) {
    const std::vector<std::string> known = {"scalar", "simd"};
    EXPECT_THAT(refusal(parse_names("simd,opencl", known, "back end")),
                testing::AllOf(HasSubstr("back end 'opencl'"), HasSubstr("scalar, simd")));
    EXPECT_THAT(refusal(parse_names("", known, "back end")), HasSubstr("''"));
    EXPECT_THAT(refusal(select_names({"tress"}, {"hash", "tree"}, "kernel family")),
                HasSubstr("hash, tree"));
}

}  // namespace
}  // namespace millrace::kernel_bench
