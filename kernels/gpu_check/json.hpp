// SPDX-License-Identifier: Apache-2.0
// Owns writing JSON text, enough for the check's report.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::gpu_check {

inline std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += ' ';
        } else {
            out += c;
        }
    }
    return out + "\"";
}

inline std::string json_number(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
}

/// Members in the order in which they were added; values are JSON already.
class JsonObject {
public:
    JsonObject& add(std::string_view key, std::string value) {
        members_.emplace_back(json_string(key), std::move(value));
        return *this;
    }
    std::string text() const {
        std::string out = "{";
        for (size_t i = 0; i < members_.size(); ++i) {
            out += (i == 0 ? "" : ", ") + members_[i].first + ": " + members_[i].second;
        }
        return out + "}";
    }

private:
    std::vector<std::pair<std::string, std::string>> members_;
};

/// One element a line.
inline std::string json_array(const std::vector<std::string>& elements) {
    std::string out = "[";
    for (size_t i = 0; i < elements.size(); ++i) {
        out += (i == 0 ? "\n    " : ",\n    ") + elements[i];
    }
    return out + (elements.empty() ? "]" : "\n  ]");
}

}  // namespace millrace::gpu_check
