// SPDX-License-Identifier: Apache-2.0
// Owns the tests of genesis files: what is taken, and what is refused with which words.
#include <gtest/gtest.h>

#include <set>

#include "host/base/hex.hpp"
#include "host/node/commitment_choice.hpp"
#include "host/node/genesis.hpp"

namespace millrace::node {
namespace {

constexpr sequencer::CommitmentKind mpt{sequencer::CommitmentKind::Type::mpt, {}};
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
    const auto g = parse_genesis(text, "g.json", mpt, notes);
    ASSERT_FALSE(g.has_value());
    EXPECT_EQ(g.error().code, ErrorCode::config);
    EXPECT_NE(g.error().message.find(words), std::string::npos) << g.error().message;
}

size_t notes_of(const std::string& text) {
    std::vector<std::string> notes;
    const auto g = parse_genesis(text, "g.json", mpt, notes);
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
        return sequencer::rules_digest(parse_genesis(file(config), "g.json", mpt, notes).value());
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

TEST(Genesis, CommitmentDecidesTheStateRootAndNothingElse) {
    const std::string text = file(R"(,"osakaTime":0)", "", account_with(R"("balance":"0x7")"));
    const auto genesis_of = [&](const char* commitment) {
        std::vector<std::string> notes;
        return parse_genesis(text, "g.json", sequencer::parse_commitment(commitment).value(), notes)
            .value();
    };
    const sequencer::Genesis tries = genesis_of("mpt");
    std::set<Hash256> roots{tries.header.state_root};
    std::set<Hash256> hashes{tries.hash};
    for (const char* name : {"qmdb-keccak256", "qmdb-sha256", "qmdb-blake3"}) {
        sequencer::Genesis g = genesis_of(name);
        EXPECT_TRUE(roots.insert(g.header.state_root).second) << name;
        EXPECT_TRUE(hashes.insert(g.hash).second) << name;
        EXPECT_EQ(g.header.state_root,
                  sequencer::genesis_state_root(sequencer::parse_commitment(name).value(), g.state)
                      .value());
        g.header.state_root = tries.header.state_root;
        EXPECT_EQ(evm::header_hash(g.header), tries.hash);
        EXPECT_EQ(sequencer::rules_digest(g), sequencer::rules_digest(tries));
    }
    EXPECT_EQ(genesis_of("memory").hash, tries.hash);
    EXPECT_EQ(sequencer::parse_commitment("qmdb").error().code, ErrorCode::config);
}

// Every node of the development chain must have the same one.
TEST(Genesis, DevelopmentChainHasTheKnownRoots) {
    const auto root = [](const char* name) {
        return to_hex(
            dev_genesis(sequencer::parse_commitment(name).value()).value().header.state_root);
    };
    EXPECT_EQ(root("mpt"), "0xba3a9fc971c327cd7f288df113a32089bb18fff089b69adee41b5664bd1c9378");
    EXPECT_EQ(root("qmdb-keccak256"),
              "0x9513540a78758f3cfca053810f0ce665dcb3d2b7574f788a2ef283f88dfd292e");
}

TEST(CommitmentChoice, IsThatOfTheDirectoryOrTheDefault) {
    const auto choice = [](const char* commitment, const char* hash,
                           std::optional<std::string> existing) {
        return choose_commitment(commitment, hash, existing, "d");
    };
    EXPECT_EQ(choice("auto", "auto", {}).value(), sequencer::default_commitment);
    EXPECT_EQ(choice("qmdb", "auto", {}).value(), "qmdb-keccak256");
    EXPECT_EQ(choice("qmdb", "blake3", {}).value(), "qmdb-blake3");
    EXPECT_EQ(choice("auto", "sha256", {}).value(), "qmdb-sha256");
    EXPECT_EQ(choice("mpt", "auto", {}).value(), "mpt");
    EXPECT_EQ(choice("memory", "auto", {}).value(), "memory");
    // A directory keeps what it has.
    EXPECT_EQ(choice("auto", "auto", "mpt").value(), "mpt");
    EXPECT_EQ(choice("mpt", "auto", "mpt").value(), "mpt");
    EXPECT_EQ(choice("auto", "auto", "qmdb-blake3").value(), "qmdb-blake3");
    EXPECT_EQ(choice("qmdb", "auto", "qmdb-blake3").value(), "qmdb-blake3");
    EXPECT_EQ(choice("auto", "blake3", "qmdb-blake3").value(), "qmdb-blake3");
    const auto refused = [&](const char* commitment, const char* hash,
                             std::optional<std::string> existing, const char* words) {
        const auto r = choice(commitment, hash, std::move(existing));
        ASSERT_FALSE(r.has_value());
        EXPECT_EQ(r.error().code, ErrorCode::config);
        EXPECT_NE(r.error().message.find(words), std::string::npos) << r.error().message;
    };
    refused("qmdb", "auto", "mpt", "has the state commitment 'mpt', not 'qmdb-keccak256'");
    refused("auto", "blake3", "mpt", "has the state commitment 'mpt', not 'qmdb-blake3'");
    refused("mpt", "auto", "qmdb-blake3", "has the state commitment 'qmdb-blake3', not 'mpt'");
    refused("qmdb", "sha256", "qmdb-blake3", "'qmdb-blake3', not 'qmdb-sha256'");
    refused("mpt", "sha256", {}, "--state-hash is for the commitment qmdb");
}

}  // namespace
}  // namespace millrace::node
