// SPDX-License-Identifier: Apache-2.0
// Owns the writing of JSON text: commas, escapes, and Ethereum's hex forms.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::net {

/// Appends one JSON value to a string. Keys and values are written in order; commas come by
/// themselves. Text is always valid UTF-8: invalid bytes become U+FFFD. The caller balances begin
/// and end.
class JsonWriter {
public:
    JsonWriter() = default;
    /// Goes on behind `prefix`, where a value is due.
    explicit JsonWriter(std::string prefix) : out_(std::move(prefix)) {}

    void begin_object() { open('{'); }
    void end_object() { close('}'); }
    void begin_array() { open('['); }
    void end_array() { close(']'); }
    void key(std::string_view name);

    void null() { raw("null"); }
    void boolean(bool v) { raw(v ? "true" : "false"); }
    void text(std::string_view v);
    /// A JSON number.
    void number(std::integral auto v) { raw(std::to_string(v)); }
    /// Shortest form that reads back the same; not finite becomes 0.
    void number(double v);
    /// "0x.." without leading zeros.
    void quantity(uint64_t v);
    void quantity(const U256& v);
    /// "0x.." of all bytes.
    void data(ByteView v);
    template <size_t N>
    void data(const FixedBytes<N>& v) {
        data(v.view());
    }
    /// A value that is JSON already.
    void raw(std::string_view json);

    void field_null(std::string_view name) { key(name), null(); }
    void field_boolean(std::string_view name, bool v) { key(name), boolean(v); }
    void field_text(std::string_view name, std::string_view v) { key(name), text(v); }
    void field_number(std::string_view name, std::integral auto v) { key(name), number(v); }
    void field_quantity(std::string_view name, uint64_t v) { key(name), quantity(v); }
    void field_quantity(std::string_view name, const U256& v) { key(name), quantity(v); }
    void field_data(std::string_view name, ByteView v) { key(name), data(v); }
    template <size_t N>
    void field_data(std::string_view name, const FixedBytes<N>& v) {
        key(name), data(v.view());
    }

    size_t size() const noexcept { return out_.size(); }
    const std::string& str() const noexcept { return out_; }
    std::string take() { return std::move(out_); }

private:
    void separate();
    void open(char c);
    void close(char c);

    std::string out_;
    bool comma_ = false;  ///< a value was finished at this level
};

/// `text` as a JSON string with its quotes.
std::string json_quoted(std::string_view text);

}  // namespace millrace::net
