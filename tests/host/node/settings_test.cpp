// SPDX-License-Identifier: Apache-2.0
// Owns the tests of what settings mean together.
#include "host/node/settings.hpp"

#include <cstdlib>

#include <gtest/gtest.h>

namespace millrace::node {
namespace {

/// As if the environment said so.
Result<void> resolve(Settings& settings, const char* name, const char* value) {
    ::setenv(name, value, 1);
    auto r = SettingTable{settings}.resolve();
    ::unsetenv(name);
    return r;
}

TEST(HistorySetting, IsANumberOfBlocksOrAllOfThem) {
    Settings s;
    EXPECT_EQ(history_blocks_of(s, "qmdb-keccak256").value(), 1024u);
    EXPECT_EQ(history_blocks_of(s, "mpt").value(), 1024u) << "nothing was asked for";
    s.dev = true;
    s.history_records = 77;
    EXPECT_EQ(history_blocks_of(s, "qmdb-blake3").value(), 77u);
    for (const auto& [text, blocks] :
         {std::pair{"0", uint64_t{0}}, {"5000", 5000}, {"all", ~0ul}}) {
        Settings given;
        ASSERT_TRUE(resolve(given, "MILLRACE_HISTORY", text));
        EXPECT_EQ(history_blocks_of(given, "qmdb-keccak256").value(), blocks);
        EXPECT_EQ(history_blocks_of(given, "mpt").error().code, ErrorCode::config);
    }
    for (const char* wrong : {"", "-1", "1.5", "some", "12 ", "1000000000001", "0x10"}) {
        Settings given;
        EXPECT_EQ(resolve(given, "MILLRACE_HISTORY", wrong).error().code, ErrorCode::config)
            << wrong;
    }
}

}  // namespace
}  // namespace millrace::node
