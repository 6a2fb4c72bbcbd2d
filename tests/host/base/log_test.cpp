// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the log's forms, levels and lines.
#include "host/base/log.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <regex>
#include <sstream>
#include <thread>

namespace millrace::log {
namespace {

// 2024-02-29 23:59:59.987654 UTC
constexpr int64_t leap_day_us = 1'709'251'199'987'654;

TEST(LogFormat, TerminalPutsTheMessageFirst) {
    EXPECT_EQ(
        format_record(Format::terminal, Level::info, leap_day_us, "sealed a block",
                      {{"number", 17}, {"hash", "0xab"}, {"note", "two words"}}),
        "2024-02-29T23:59:59.987Z info  sealed a block number=17 hash=0xab note=\"two words\"");
}

TEST(LogFormat, LogfmtQuotesWhatNeedsIt) {
    EXPECT_EQ(format_record(Format::logfmt, Level::warn, 0, "slow",
                            {{"a", ""}, {"b", "x=y"}, {"c", "say \"hi\""}, {"d", "back\\slash"}}),
              "time=1970-01-01T00:00:00.000Z level=warn msg=slow a=\"\" b=\"x=y\" "
              "c=\"say \\\"hi\\\"\" d=\"back\\\\slash\"");
    EXPECT_EQ(format_record(Format::logfmt, Level::error, 0, "m", {{"a key=\"x", 1}}),
              "time=1970-01-01T00:00:00.000Z level=error msg=m a_key__x=1");
}

TEST(LogFormat, JsonQuotesTextAndNotNumbers) {
    EXPECT_EQ(format_record(
                  Format::json, Level::debug, leap_day_us, "m",
                  {{"text", "17"}, {"n", -17}, {"u", ~uint64_t{0}}, {"flag", true}, {"x", 0.5}}),
              "{\"time\":\"2024-02-29T23:59:59.987Z\",\"level\":\"debug\",\"msg\":\"m\","
              "\"text\":\"17\",\"n\":-17,\"u\":18446744073709551615,\"flag\":true,\"x\":0.500}");
}

TEST(LogFormat, JsonHasNoInfinities) {
    const double infinity = std::numeric_limits<double>::infinity();
    EXPECT_EQ(
        format_record(Format::json, Level::trace, 0, "", {{"x", infinity}}),
        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"trace\",\"msg\":\"\",\"x\":\"inf\"}");
}

TEST(LogFormat, TimesBeforeTheEpochAreRight) {
    EXPECT_EQ(format_record(Format::terminal, Level::info, -1, "m"),
              "1969-12-31T23:59:59.999Z info  m");
}

TEST(LogFormat, ControlCharactersAreEscapedEverywhere) {
    // A line end, an escape sequence, DEL, a C1 control, a line separator and a direction override.
    const std::string hostile = "a\nb\r\t\x1b[2J\x7f\xc2\x9b\xe2\x80\xa8\xe2\x80\xae";
    const std::string text = "a\\nb\\r\\t\\x1b[2J\\x7f\\u009b\\u2028\\u202e";
    const std::string json = "a\\nb\\r\\t\\u001b[2J\\u007f\\u009b\\u2028\\u202e";
    const std::string time = "1970-01-01T00:00:00.000Z";
    EXPECT_EQ(format_record(Format::terminal, Level::info, 0, hostile, {{"k", hostile}}),
              time + " info  " + text + " k=\"" + text + "\"");
    EXPECT_EQ(format_record(Format::logfmt, Level::info, 0, hostile, {{"k", hostile}}),
              "time=" + time + " level=info msg=\"" + text + "\" k=\"" + text + "\"");
    EXPECT_EQ(format_record(Format::json, Level::info, 0, hostile, {{hostile, hostile}}),
              "{\"time\":\"" + time + "\",\"level\":\"info\",\"msg\":\"" + json + "\",\"" + json +
                  "\":\"" + json + "\"}");
}

TEST(LogFormat, ValidUtf8IsKeptAndInvalidIsEscaped) {
    const auto terminal = [](std::string_view m) {
        return format_record(Format::terminal, Level::info, 0, m).substr(31);
    };
    const auto json = [](std::string_view m) {
        const std::string r = format_record(Format::json, Level::info, 0, m);
        return r.substr(57, r.size() - 59);
    };
    EXPECT_EQ(terminal("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8a"),
              "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8a");
    // Lone continuation, overlong "/", cut sequence, surrogate, beyond U+10FFFF, stray 0xff.
    EXPECT_EQ(terminal("\x80"), "\\x80");
    EXPECT_EQ(terminal("\xc0\xaf"), "\\xc0\\xaf");
    EXPECT_EQ(terminal("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
    EXPECT_EQ(terminal("\xf0\x80\x80\xaf"), "\\xf0\\x80\\x80\\xaf");
    EXPECT_EQ(terminal("\xe2\x82"), "\\xe2\\x82");
    EXPECT_EQ(terminal("\xc3("), "\\xc3(");
    EXPECT_EQ(terminal("\xed\xa0\x80"), "\\xed\\xa0\\x80");
    EXPECT_EQ(terminal("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
    EXPECT_EQ(terminal("\xff"), "\\xff");
    EXPECT_EQ(json("a\xffz"), "a\\ufffdz");
}

TEST(LogLevel, TextIsParsedExactly) {
    EXPECT_EQ(level_from_text("trace"), Result<Level>(Level::trace));
    EXPECT_EQ(level_from_text("off"), Result<Level>(Level::off));
    ASSERT_FALSE(level_from_text("loud").has_value());
    EXPECT_EQ(level_from_text("loud").error().message,
              "unknown log level \"loud\": use trace, debug, info, warn, error or off");
    EXPECT_FALSE(level_from_text("").has_value());
    EXPECT_FALSE(level_from_text("INFO").has_value());
    EXPECT_EQ(format_from_text("terminal"), Result<Format>(Format::terminal));
    EXPECT_EQ(format_from_text("logfmt"), Result<Format>(Format::logfmt));
    EXPECT_EQ(format_from_text("json"), Result<Format>(Format::json));
    EXPECT_FALSE(format_from_text("xml").has_value());
}

TEST(Log, WritesOnlyFromTheConfiguredLevelUp) {
    configure({.level = Level::warn, .format = Format::logfmt});
    EXPECT_FALSE(enabled(Level::info));
    EXPECT_TRUE(enabled(Level::warn));
    EXPECT_FALSE(enabled(Level::off));
    testing::internal::CaptureStderr();
    info("hidden");
    warn("shown {} %s", {{"k", 1}});
    configure({.level = Level::off, .format = Format::logfmt});
    error("hidden");
    configure({.level = Level::trace, .format = Format::json});
    debug("also");
    const std::string seen = testing::internal::GetCapturedStderr();
    const std::string time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z";
    EXPECT_TRUE(std::regex_match(
        seen, std::regex("time=" + time + " level=warn msg=\"shown \\{\\} %s\" k=1\n" +
                         "\\{\"time\":\"" + time + "\",\"level\":\"debug\",\"msg\":\"also\"\\}\n")))
        << seen;
}

TEST(Log, LinesOfManyThreadsAreNeverMixed) {
    constexpr int threads_count = 4;
    constexpr int records_count = 250;
    configure({.level = Level::info, .format = Format::logfmt});
    testing::internal::CaptureStderr();
    std::vector<std::thread> threads;
    for (int t = 0; t < threads_count; ++t) {
        threads.emplace_back([t] {
            const std::string filler(300, static_cast<char>('a' + t));
            for (int i = 0; i < records_count; ++i) { info("m", {{"fill", filler}, {"i", i}}); }
        });
    }
    for (std::thread& t : threads) { t.join(); }
    std::istringstream lines(testing::internal::GetCapturedStderr());
    int next[threads_count] = {};
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        const size_t fill = line.find(" fill=");
        ASSERT_NE(fill, std::string::npos) << line;
        const char letter = line[fill + 6];
        ASSERT_TRUE(letter >= 'a' && letter < 'a' + threads_count) << line;
        const std::string expected =
            std::string(300, letter) + " i=" + std::to_string(next[letter - 'a']++);
        ASSERT_EQ(line.substr(fill + 6), expected);
    }
    EXPECT_EQ(count, threads_count * records_count);
}

}  // namespace
}  // namespace millrace::log
