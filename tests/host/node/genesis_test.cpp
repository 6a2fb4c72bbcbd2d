// SPDX-License-Identifier: Apache-2.0
// Owns the tests of genesis files: what is taken, and what is refused with which words.
#include <gtest/gtest.h>

#include "host/node/genesis.hpp"

namespace millrace::node {
namespace {

constexpr const char* account = "0x00000000000000000000000000000000000000aa";

std::string file(const std::string& config, const std::string& fields = "",
                 const std::string& alloc = "") {
    return R"({"config":{"chainId":1234)" + config + R"(},"gasLimit":"0x1c9c380")" + fields +
           R"(,"alloc":{)" + alloc + "}}";
}

std::string account_with(const std::string& fields) {
    return std::string("\"") + account + "\":{" + fields + "}";
}

void expect_refused(const std::string& text, const std::string& words) {
    SCOPED_TRACE(text);
    std::vector<std::string> notes;
    const auto g = parse_genesis(text, "g.json", notes);
    ASSERT_FALSE(g.has_value());
    EXPECT_EQ(g.error().code, ErrorCode::config);
    EXPECT_NE(g.error().message.find(words), std::string::npos) << g.error().message;
}

size_t notes_of(const std::string& text) {
    std::vector<std::string> notes;
    const auto g = parse_genesis(text, "g.json", notes);
    EXPECT_TRUE(g.has_value()) << g.error().message;
    return notes.size();
}

TEST(Genesis, OsakaTimeIsAnyNumberButNothingElse) {
    EXPECT_EQ(notes_of(file(R"(,"osakaTime":0)")), 0u);
    EXPECT_EQ(notes_of(file(R"(,"osakaTime":"0x0")")), 0u);
    EXPECT_EQ(notes_of(file("")), 1u);
    EXPECT_EQ(notes_of(file(R"(,"osakaTime":null)")), 1u);
    EXPECT_EQ(notes_of(file(R"(,"osakaTime":17)")), 1u);
    for (const char* bad : {"-1", "1e30", "1.5", "[]", "\"soon\""}) {
        expect_refused(file(std::string(R"(,"osakaTime":)") + bad), "config.osakaTime");
    }
}

TEST(Genesis, SlotTwiceIsRefusedHoweverItIsSpelled) {
    expect_refused(
        file("", "", account_with(R"("balance":"1","storage":{"0x1":"0x2","0x01":"0x3"})")),
        "slot 0x1 appears twice");
    expect_refused(
        file("", "", account_with(R"("balance":"1","storage":{"0x1":"0x0","0x01":"0x3"})")),
        "slot 0x1 appears twice");
    EXPECT_EQ(notes_of(file(R"(,"osakaTime":0)", "",
                            account_with(R"("balance":"1","storage":{"0x1":"0x2","0x02":"3"})"))),
              0u);
}

TEST(Genesis, BalancesStayFarBelowTheWordSize) {
    const std::string most = "0x100000000000000000000000000000000";
    EXPECT_EQ(notes_of(file(R"(,"osakaTime":0)", "", account_with("\"balance\":\"" + most + "\""))),
              0u);
    expect_refused(file("", "", account_with(R"("balance":"0x100000000000000000000000000000001")")),
                   "above 2^128");
}

TEST(Genesis, TimeNeverWraps) {
    expect_refused(file("", R"(,"timestamp":"0xffffffffffffffff")"), "timestamp is");
    expect_refused(file("", R"(,"timestamp":"0x10000000001")"), "timestamp is");
    EXPECT_EQ(notes_of(file(R"(,"osakaTime":0)", R"(,"timestamp":"0x10000000000")")), 0u);
}

TEST(Genesis, OneTransactionFitsIntoABlock) {
    const std::string high =
        R"({"config":{"chainId":1,"osakaTime":0,"millrace":{"transactionGasCap":2000000000}},)";
    expect_refused(high + R"("gasLimit":"0x174876e800","alloc":{}})", "transactionGasCap");
    EXPECT_EQ(notes_of(high + R"("gasLimit":"0x1c9c380","alloc":{}})"), 0u)
        << "the block's gas limit bounds it too";
}

TEST(Genesis, DigestOfTheRulesDependsOnEveryNumberOfTheFile) {
    std::vector<std::string> notes;
    const auto digest = [&](const std::string& config) {
        return sequencer::rules_digest(parse_genesis(file(config), "g.json", notes).value());
    };
    std::vector<Hash256> seen{digest("")};
    for (const char* number :
         {R"("transactionGasCap":50000)", R"("codeSizeMax":100)", R"("baseFeeFloor":"0x3b9aca00")",
          R"("baseFeeChangeDenominator":9)", R"("elasticityMultiplier":7)",
          R"("sequencerFeeVault":"0x00000000000000000000000000000000000000ff")",
          R"("baseFeeVault":"0x00000000000000000000000000000000000000ff")"}) {
        seen.push_back(digest(std::string(R"(,"millrace":{)") + number + "}"));
        EXPECT_EQ(std::count(seen.begin(), seen.end(), seen.back()), 1) << number;
    }
}

}  // namespace
}  // namespace millrace::node
