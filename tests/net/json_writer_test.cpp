// SPDX-License-Identifier: Apache-2.0
// Owns the claims about JSON text that goes out.
#include "net/rpc/json_writer.hpp"

#include <gtest/gtest.h>

namespace millrace::net {
namespace {

TEST(JsonWriter, PutsCommasBetweenButNotAround) {
    JsonWriter w;
    w.begin_object();
    w.field_number("a", 1);
    w.key("b");
    w.begin_array();
    w.boolean(true);
    w.null();
    w.begin_object();
    w.end_object();
    w.end_array();
    w.field_text("c", "d");
    w.end_object();
    EXPECT_EQ(w.str(), R"({"a":1,"b":[true,null,{}],"c":"d"})");
}

TEST(JsonWriter, EscapesWhatJsonForbids) {
    EXPECT_EQ(json_quoted("a\"b\\c\n\r\t\x01\x7f"), "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\"");
}

TEST(JsonWriter, KeepsValidUtf8) {
    const std::string text = "é€\xf0\x9f\x98\x80";
    EXPECT_EQ(json_quoted(text), '"' + text + '"');
}

TEST(JsonWriter, ReplacesInvalidUtf8) {
    const std::string r = "\xef\xbf\xbd";
    EXPECT_EQ(json_quoted("\xff"), '"' + r + '"');
    EXPECT_EQ(json_quoted("\xc0\x80"), '"' + r + r + '"');                  // overlong
    EXPECT_EQ(json_quoted("\xed\xa0\x80"), '"' + r + r + r + '"');          // surrogate
    EXPECT_EQ(json_quoted("\xf4\x90\x80\x80"), '"' + r + r + r + r + '"');  // above U+10FFFF
    EXPECT_EQ(json_quoted("\xe2\x82"), '"' + r + r + '"');                  // cut short
}

TEST(JsonWriter, WritesQuantitiesWithoutLeadingZeros) {
    JsonWriter w;
    w.begin_array();
    w.quantity(uint64_t{0});
    w.quantity(~uint64_t{0});
    w.quantity(U256(1, 0, 0, 0));
    w.quantity(U256::max());
    w.quantity(U256(0, 0, 0x12, 0x3));
    w.end_array();
    EXPECT_EQ(w.str(), R"(["0x0","0xffffffffffffffff","0x1)" + std::string(48, '0') + R"(","0x)" +
                           std::string(64, 'f') + R"(","0x120000000000000003"])");
}

TEST(JsonWriter, WritesDataWithAllItsBytes) {
    JsonWriter w;
    w.begin_array();
    w.data(ByteView{});
    w.data(Bytes{0x00, 0xff, 0x1a});
    w.end_array();
    EXPECT_EQ(w.str(), R"(["0x","0x00ff1a"])");
}

TEST(JsonWriter, WritesDoublesThatReadBack) {
    JsonWriter w;
    w.begin_array();
    w.number(0.1);
    w.number(1e300);
    w.number(0.0 / 0.0);
    w.end_array();
    EXPECT_EQ(w.str(), "[0.1,1e+300,0]");
}

}  // namespace
}  // namespace millrace::net
