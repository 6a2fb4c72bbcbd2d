// SPDX-License-Identifier: Apache-2.0
// Owns the three forms of a log record and the sink behind them; the only file that knows spdlog.
#include "host/base/log.hpp"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>

namespace millrace::log {
namespace {

// Relaxed everywhere: a record written while the configuration changes may take either form.
std::atomic<Level> current_level{Level::info};
std::atomic<Format> current_format{Format::terminal};

std::string_view level_name(Level level) noexcept {
    switch (level) {
        case Level::trace: return "trace";
        case Level::debug: return "debug";
        case Level::info: return "info";
        case Level::warn: return "warn";
        case Level::error: return "error";
        case Level::off: return "off";
    }
    return "unknown";
}

/// "2026-01-31T23:59:59.123Z"
std::string time_text(int64_t wall_us) {
    using namespace std::chrono;
    const sys_time<microseconds> t{microseconds{wall_us}};
    const auto day = floor<days>(t);
    const year_month_day date{day};
    const hh_mm_ss clock{floor<milliseconds>(t - day)};
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                       clock.subseconds().count());
}

struct CodePoint {
    uint32_t value;
    size_t bytes;  ///< 0: the first byte does not begin valid UTF-8
};

/// The code point at the start of a non-empty `text`; overlong forms and surrogates are invalid.
CodePoint first_code_point(std::string_view text) noexcept {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const uint8_t lead = byte(0);
    if (lead < 0x80) { return {lead, 1}; }
    const size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < n) { return {0, 0}; }
    uint32_t value = lead & (0x7fu >> n);
    for (size_t i = 1; i < n; ++i) {
        if ((byte(i) & 0xc0) != 0x80) { return {0, 0}; }
        value = value << 6 | (byte(i) & 0x3fu);
    }
    const bool overlong = (n == 3 && value < 0x800) || (n == 4 && value < 0x10000);
    const bool surrogate = value >= 0xd800 && value <= 0xdfff;
    if (overlong || surrogate || value > 0x10ffff) { return {0, 0}; }
    return {value, n};
}

/// Characters that move the cursor, end a line or turn the direction of the text around them: all
/// means to forge a record or to hide a part of one.
bool is_control(uint32_t c) noexcept {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

enum class Quoting : uint8_t { none, text, json };

/// Appends `text` with control characters and invalid UTF-8 escaped, and with quotes and
/// backslashes escaped as well where the result stands between quotes.
void append_escaped(std::string& out, std::string_view text, Quoting quoting) {
    while (!text.empty()) {
        const CodePoint c = first_code_point(text);
        if (c.bytes == 0) {
            // JSON has no escape for a byte: the replacement character stands for it.
            out += quoting == Quoting::json
                       ? "\\ufffd"
                       : fmt::format("\\x{:02x}", static_cast<uint8_t>(text[0]));
            text.remove_prefix(1);
            continue;
        }
        if (c.value == '\n') {
            out += "\\n";
        } else if (c.value == '\r') {
            out += "\\r";
        } else if (c.value == '\t') {
            out += "\\t";
        } else if (is_control(c.value)) {
            out += c.value < 0x80 && quoting != Quoting::json ? fmt::format("\\x{:02x}", c.value)
                                                              : fmt::format("\\u{:04x}", c.value);
        } else {
            const bool special = c.value == '"' || c.value == '\\';
            if (special && quoting != Quoting::none) { out.push_back('\\'); }
            out += text.substr(0, c.bytes);
        }
        text.remove_prefix(c.bytes);
    }
}

/// A logfmt value: bare when every reader takes it as one word, else between quotes.
void append_logfmt_value(std::string& out, std::string_view value) {
    bool bare = !value.empty();
    for (const char c : value) { bare = bare && c > ' ' && c < 0x7f && !std::strchr("\"=\\", c); }
    if (bare) {
        out += value;
        return;
    }
    out.push_back('"');
    append_escaped(out, value, Quoting::text);
    out.push_back('"');
}

void append_logfmt_field(std::string& out, std::string_view key, std::string_view value) {
    out.push_back(' ');
    for (const char c : key) {
        out.push_back(c > ' ' && c < 0x7f && c != '=' && c != '"' ? c : '_');
    }
    out.push_back('=');
    append_logfmt_value(out, value);
}

void append_json_text(std::string& out, std::string_view text) {
    out.push_back('"');
    append_escaped(out, text, Quoting::json);
    out.push_back('"');
}

std::string terminal_record(Level level, int64_t wall_us, std::string_view message,
                            std::initializer_list<Field> fields) {
    std::string out = fmt::format("{} {:<5} ", time_text(wall_us), level_name(level));
    append_escaped(out, message, Quoting::none);
    for (const Field& f : fields) { append_logfmt_field(out, f.key, f.value); }
    return out;
}

std::string logfmt_record(Level level, int64_t wall_us, std::string_view message,
                          std::initializer_list<Field> fields) {
    std::string out = fmt::format("time={} level={}", time_text(wall_us), level_name(level));
    append_logfmt_field(out, "msg", message);
    for (const Field& f : fields) { append_logfmt_field(out, f.key, f.value); }
    return out;
}

std::string json_record(Level level, int64_t wall_us, std::string_view message,
                        std::initializer_list<Field> fields) {
    std::string out =
        fmt::format(R"({{"time":"{}","level":"{}","msg":)", time_text(wall_us), level_name(level));
    append_json_text(out, message);
    for (const Field& f : fields) {
        out.push_back(',');
        append_json_text(out, f.key);
        out.push_back(':');
        if (f.is_text) {
            append_json_text(out, f.value);
        } else {
            out += f.value;
        }
    }
    out.push_back('}');
    return out;
}

/// Writes record and line end to standard error in one call, under a mutex.
spdlog::sinks::sink& sink() {
    // Never destroyed: threads may log until the process is gone.
    static spdlog::sinks::sink* const instance = [] {
        auto made = std::make_unique<spdlog::sinks::stderr_sink_mt>();
        made->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
        return made.release();
    }();
    return *instance;
}

}  // namespace

Result<Level> level_from_text(std::string_view text) {
    for (const Level level :
         {Level::trace, Level::debug, Level::info, Level::warn, Level::error, Level::off}) {
        if (text == level_name(level)) { return level; }
    }
    return fail(ErrorCode::config, "unknown log level \"" + std::string(text.substr(0, 80)) +
                                       "\": use trace, debug, info, warn, error or off");
}

Result<Format> format_from_text(std::string_view text) {
    if (text == "terminal") { return Format::terminal; }
    if (text == "logfmt") { return Format::logfmt; }
    if (text == "json") { return Format::json; }
    return fail(ErrorCode::config, "unknown log format \"" + std::string(text.substr(0, 80)) +
                                       "\": use terminal, logfmt or json");
}

// JSON has no spelling for infinities and NaN: there they are text.
Field::Field(std::string_view k, double v)
    : key(k), value(fmt::format("{:.3f}", v)), is_text(!std::isfinite(v)) {}

void configure(const Options& options) {
    current_level.store(options.level, std::memory_order_relaxed);
    current_format.store(options.format, std::memory_order_relaxed);
}

bool enabled(Level level) noexcept {
    return level != Level::off && level >= current_level.load(std::memory_order_relaxed);
}

std::string format_record(Format format, Level level, int64_t wall_us, std::string_view message,
                          std::initializer_list<Field> fields) {
    switch (format) {
        case Format::terminal: return terminal_record(level, wall_us, message, fields);
        case Format::logfmt: return logfmt_record(level, wall_us, message, fields);
        case Format::json: return json_record(level, wall_us, message, fields);
    }
    return {};
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
    if (!enabled(level)) { return; }
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const int64_t wall_us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    const std::string record = format_record(current_format.load(std::memory_order_relaxed), level,
                                             wall_us, message, fields);
    sink().log(spdlog::details::log_msg(spdlog::string_view_t{}, spdlog::level::info, record));
}

}  // namespace millrace::log
