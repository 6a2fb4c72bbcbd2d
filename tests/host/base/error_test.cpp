// SPDX-License-Identifier: Apache-2.0
// Owns the tests of error passing and of assertions.
#include "host/base/error.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace millrace {
namespace {

Result<std::unique_ptr<int>> make(bool good) {
    if (!good) { return fail(ErrorCode::limit, "no more"); }
    return std::make_unique<int>(7);
}

Result<int> use(bool good) {
    MILLRACE_TRY(const auto p, make(good));
    MILLRACE_TRY(auto q, make(true));
    return *p + *q;
}

Result<void> check(bool good) {
    MILLRACE_CHECK(make(good));
    return {};
}

TEST(Error, TryBindsTheValueOfAMoveOnlyResult) {
    const auto r = use(true);
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(*r, 14);
}

TEST(Error, TryAndCheckPassTheErrorOnUnchanged) {
    const auto r = use(false);
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().code, ErrorCode::limit);
    EXPECT_EQ(r.error().message, "no more");
    EXPECT_TRUE(check(true).has_value());
    ASSERT_FALSE(check(false).has_value());
    EXPECT_EQ(check(false).error().message, "no more");
}

TEST(Error, EveryCodeHasItsOwnText) {
    std::string seen;
    for (int i = 0; i <= static_cast<int>(ErrorCode::internal); ++i) {
        const std::string text = "|" + std::string(to_string(static_cast<ErrorCode>(i))) + "|";
        EXPECT_NE(text, "|unknown|");
        EXPECT_EQ(seen.find(text), std::string::npos) << text;
        seen += text;
    }
}

TEST(ErrorDeathTest, AFailedAssertionSaysWhatAndWhereAndAborts) {
    const int n = 3;
    EXPECT_DEATH(MILLRACE_ASSERT(n == 4, "n is four"),
                 "assertion failed: n == 4 \\(n is four\\) at .*error_test.cpp:[0-9]+");
}

}  // namespace
}  // namespace millrace
