// SPDX-License-Identifier: Apache-2.0
// Owns the claim that a log record is one line of well-formed text whatever bytes are in it.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <string>

#include "host/base/log.hpp"

namespace millrace::log {
namespace {

rc::Gen<std::string> bytes() {
    return rc::gen::oneOf(
        rc::gen::container<std::string>(
            rc::gen::map(rc::gen::inRange(0, 256), [](int c) { return static_cast<char>(c); })),
        rc::gen::container<std::string>(rc::gen::elementOf(
            std::string("\"\\\n\x1b \xc2\x80\xe2\x80\xa8\xf0\x9f\x8c\x8a\xed\xa0\xff"))));
}

bool has_control(const std::string& text) {
    return std::ranges::any_of(
        text, [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == '\x7f'; });
}

RC_GTEST_PROP(LogProperty, EveryRecordIsOneLineOfValidUtf8, ()) {
    const std::string message = *bytes();
    const std::string key = *bytes();
    const std::string value = *bytes();
    for (const Format format : {Format::terminal, Format::logfmt, Format::json}) {
        const std::string record = format_record(format, Level::info, 0, message, {{key, value}});
        RC_ASSERT(!has_control(record));
        RC_ASSERT(simdjson::validate_utf8(record));
    }
}

RC_GTEST_PROP(LogProperty, JsonParsesAndGivesValidTextBack, ()) {
    const std::string message = *bytes();
    const std::string value = *bytes();
    const std::string record = format_record(Format::json, Level::info, 0, message, {{"k", value}});
    simdjson::dom::parser parser;
    simdjson::dom::element document;
    RC_ASSERT(parser.parse(record).get(document) == simdjson::SUCCESS);
    for (const auto& [key, text] : {std::pair{"msg", message}, std::pair{"k", value}}) {
        std::string_view seen;
        RC_ASSERT(document[key].get_string().get(seen) == simdjson::SUCCESS);
        if (simdjson::validate_utf8(text)) { RC_ASSERT(seen == text); }
    }
}

}  // namespace
}  // namespace millrace::log
