// SPDX-License-Identifier: Apache-2.0
// Owns looking into JSON text from a test.
#pragma once

#include <string>
#include <string_view>

#include <simdjson.h>

namespace millrace::net::testing {

/// The value at a JSON pointer, without white space; "<absent>" or "<not JSON: ..>" otherwise.
inline std::string json_at(std::string_view text, std::string_view pointer) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (const auto error = parser.parse(text.data(), text.size()).get(root)) {
        return std::string("<not JSON: ") + simdjson::error_message(error) + "> " +
               std::string(text);
    }
    simdjson::dom::element found;
    if (root.at_pointer(pointer).get(found) != simdjson::SUCCESS) { return "<absent>"; }
    return simdjson::minify(found);
}

}  // namespace millrace::net::testing
