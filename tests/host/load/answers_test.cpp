// SPDX-License-Identifier: Apache-2.0
// Owns the claims about reading a node's answers, whole and malformed.
#include "host/load/answers.hpp"

#include <memory>

#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "host/load/transport.hpp"

namespace millrace::load {
namespace {

/// A text with readable bytes behind it, as a connection gives it; on the heap, so that the address
/// sanitizer sees what is read beyond.
class Padded {
public:
    explicit Padded(std::string_view text)
        : bytes_(std::make_unique<char[]>(text.size() + Connection::padding_bytes)),
          size_(text.size()) {
        std::copy(text.begin(), text.end(), bytes_.get());
    }
    std::string_view view() const { return {bytes_.get(), size_}; }

private:
    std::unique_ptr<char[]> bytes_;
    size_t size_;
};

struct Seen {
    std::vector<std::string> lines;
    bool read(std::string_view text) {
        MessageReader reader;
        const Padded padded(text);
        return reader
            .read(
                padded.view(),
                [this](const Answer& a) {
                    lines.push_back((a.id ? std::to_string(*a.id) : "-") + " " +
                                    (a.failure ? std::to_string(a.failure->code) + " " +
                                                     std::string(a.failure->message) + " " +
                                                     std::to_string(a.failure->retry_after_ms)
                                               : std::string(a.result)));
                },
                [this](const Notification& n) {
                    lines.push_back("note " + std::string(n.subscription) + " " +
                                    std::string(n.result));
                })
            .has_value();
    }
};

using Lines = std::vector<std::string>;

TEST(MessageReader, ReadsSingleAnswersOfEveryType) {
    Seen seen;
    EXPECT_TRUE(seen.read(R"({"jsonrpc":"2.0","id":7,"result":"0x1"})"));
    EXPECT_TRUE(seen.read(R"({"result": {"a":[1,{"b":"}"}]} ,"id":18446744073709551615})"));
    EXPECT_TRUE(seen.read(R"({"id":1,"result":null})"));
    EXPECT_TRUE(seen.read(R"({"id":2,"result":true})"));
    EXPECT_TRUE(seen.read(R"({"id":3,"result":-1.5e3 })"));
    EXPECT_TRUE(seen.read(R"({"id":null,"error":{"code":-32700,"message":"parse \"error\""}})"));
    EXPECT_EQ(seen.lines, (Lines{R"(7 "0x1")", R"(18446744073709551615 {"a":[1,{"b":"}"}]})",
                                 "1 null", "2 true", "3 -1.5e3", R"(- -32700 parse "error" 0)"}));
}

TEST(MessageReader, ReadsBatchesAndRetryHints) {
    Seen seen;
    EXPECT_TRUE(seen.read(
        R"([{"id":1,"result":"0xa"},{"id":2,"error":{"code":-32005,"message":"busy","data":{"x":1,"retryAfterMs":250}}},)"
        R"({"error":{"message":"m","data":"0x","code":3},"id":"text"}])"));
    EXPECT_EQ(seen.lines, (Lines{R"(1 "0xa")", "2 -32005 busy 250", "- 3 m 0"}));
}

TEST(MessageReader, ReadsNotifications) {
    Seen seen;
    EXPECT_TRUE(seen.read(
        R"({"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x9","result":{"number":"0x1"}}})"));
    EXPECT_EQ(seen.lines, (Lines{R"(note 0x9 {"number":"0x1"})"}));
}

TEST(MessageReader, SaysSoWhenAMessageIsMalformed) {
    for (const char* bad : {"",
                            " ",
                            "null",
                            "7",
                            R"("text")",
                            "{",
                            "[",
                            "[1]",
                            "[null]",
                            "{}",
                            R"({"id":1})",
                            R"({"id":1,"result":"0x1")",
                            R"({"id":1,"result":})",
                            R"({"id":1.5,"result":1})",
                            R"({"id":-1,"result":1})",
                            R"({"id":1,"error":5})",
                            R"({"id":1,"error":{"code":"x"}})",
                            R"({"id":1,"result":nul})",
                            R"({"id":1,"result":tru})",
                            R"({"id":1,"result":12x})",
                            R"([{"id":1,"result":1},)",
                            R"({"params":7})",
                            R"({"id" 1})",
                            "<html>busy</html>"}) {
        Seen seen;
        EXPECT_FALSE(seen.read(bad)) << bad;
    }
}

TEST(MessageReader, NoPrefixOfAMessageCrashesOrPasses) {
    const std::string whole =
        R"([{"id":1,"result":{"a":"\u00e9"}},{"id":2,"error":{"code":-32005,"message":"no\n","data":{"retryAfterMs":1}}}])";
    for (size_t size = 0; size < whole.size(); ++size) {
        Seen seen;
        EXPECT_FALSE(seen.read(whole.substr(0, size))) << size;
    }
    Seen seen;
    EXPECT_TRUE(seen.read(whole));
}

const std::string hash_a = "0x" + std::string(63, '0') + "a";
const std::string hash_b = "0x" + std::string(63, '0') + "b";

TEST(ReadBlock, TakesHashesAndMiniBlocks) {
    MessageReader reader;
    std::vector<Hash256> seen;
    const auto take = [&](const Hash256& hash) { seen.push_back(hash); };
    const Padded block(R"({"number":"0x10","transactions":[")" + hash_a + R"(",")" + hash_b +
                       R"("],"uncles":[]})");
    EXPECT_EQ(reader.read_block(block.view(), take).value(), 16u);
    const Padded mini(R"({"block_number":"0x2","transactions":[{"to":null,"hash":")" + hash_b +
                      R"(","input":"0x"}],"receipts":[{"number":"0x99"}]})");
    EXPECT_EQ(reader.read_block(mini.view(), take).value(), 2u);
    EXPECT_EQ(seen,
              (std::vector{hash_literal(hash_a), hash_literal(hash_b), hash_literal(hash_b)}));
}

TEST(ReadBlock, RefusesWhatIsNoBlock) {
    MessageReader reader;
    for (const std::string& bad :
         {std::string("null"), std::string("{}"), std::string(R"({"number":"0x1"})"),
          std::string(R"({"transactions":[]})"), std::string(R"({"number":1,"transactions":[]})"),
          std::string(R"({"number":"0x1","transactions":["0x12"]})"),
          std::string(R"({"number":"0x1","transactions":[{"from":"0x"}]})"),
          R"({"number":"0x1","transactions":[")" + hash_a + R"("})",
          R"({"number":"0x1","transactions":["zz)" + hash_a.substr(2) + R"("]})"}) {
        const Padded padded(bad);
        EXPECT_FALSE(reader.read_block(padded.view(), [](const Hash256&) {})) << bad;
    }
}

TEST(ReadReceipt, TakesWhatIsNeededAndNull) {
    MessageReader reader;
    const Padded receipt(R"({"transactionHash":")" + hash_a +
                         R"(","status":"0x1","blockNumber":"0x5","gasUsed":"0x5208","logs":[]})");
    const auto read = reader.read_receipt(receipt.view());
    ASSERT_TRUE(read && *read);
    EXPECT_TRUE((*read)->succeeded);
    EXPECT_EQ((*read)->block_number, 5u);
    EXPECT_EQ((*read)->gas_used, 21'000u);
    EXPECT_EQ((*read)->transaction_hash, hash_literal(hash_a));
    const Padded none("null");
    EXPECT_FALSE(reader.read_receipt(none.view()).value());
    for (const char* bad :
         {"{}", "[]", R"({"status":"0x1","blockNumber":null})",
          R"({"status":"0x1","blockNumber":"0x1","gasUsed":"0x1"})", R"("0x1")"}) {
        const Padded padded(bad);
        EXPECT_FALSE(reader.read_receipt(padded.view())) << bad;
    }
}

TEST(PlainString, IsAQuotedTextWithoutEscapes) {
    EXPECT_EQ(plain_string(R"("0x1")").value(), "0x1");
    EXPECT_EQ(plain_string(R"("")").value(), "");
    for (const char* bad : {"", "\"", "0x1", R"("a\n")", R"("a"b")", "null"}) {
        EXPECT_FALSE(plain_string(bad)) << bad;
    }
}

}  // namespace
}  // namespace millrace::load
