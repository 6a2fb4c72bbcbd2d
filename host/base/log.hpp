// SPDX-License-Identifier: Apache-2.0
// Owns the structured log: one message and typed fields per line, as terminal text, logfmt or JSON.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

#include "host/base/error.hpp"
#include "host/base/types.hpp"

namespace millrace::log {

enum class Level : uint8_t { trace, debug, info, warn, error, off };
enum class Format : uint8_t { terminal, logfmt, json };

Result<Level> level_from_text(std::string_view text);
Result<Format> format_from_text(std::string_view text);

/// One key and its value, already as text.
struct Field {
    std::string_view key;
    std::string value;
    bool is_text = true;  ///< quoted in JSON; numbers are not

    Field(std::string_view k, std::string_view v) : key(k), value(v) {}
    Field(std::string_view k, const char* v) : key(k), value(v) {}
    Field(std::string_view k, const std::string& v) : key(k), value(v) {}
    template <std::integral T>
    Field(std::string_view k, T v) : key(k), value(std::to_string(v)), is_text(false) {}
    Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), is_text(false) {}
    Field(std::string_view k, double v);  ///< three decimals
};

struct Options {
    Level level = Level::info;
    Format format = Format::terminal;
};

/// Sets level and format of the process; lines go to standard error. Safe to call again.
void configure(const Options& options);
bool enabled(Level level) noexcept;
/// One record as write() would print it at `wall_us` (microseconds since the Unix epoch, shown as
/// UTC), without the line end. Control characters, invalid UTF-8 and marks that turn the direction
/// of text are escaped.
std::string format_record(Format format, Level level, int64_t wall_us, std::string_view message,
                          std::initializer_list<Field> fields = {});
/// Thread-safe; one line, never split. Control characters in messages and fields are escaped.
void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void debug(std::string_view m, std::initializer_list<Field> f = {}) {
    write(Level::debug, m, f);
}
inline void info(std::string_view m, std::initializer_list<Field> f = {}) {
    write(Level::info, m, f);
}
inline void warn(std::string_view m, std::initializer_list<Field> f = {}) {
    write(Level::warn, m, f);
}
inline void error(std::string_view m, std::initializer_list<Field> f = {}) {
    write(Level::error, m, f);
}

}  // namespace millrace::log
