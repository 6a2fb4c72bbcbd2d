// SPDX-License-Identifier: Apache-2.0
// Owns the text of error codes and the last words of a failed assertion.
#include "host/base/error.hpp"

#include <cstdio>
#include <cstdlib>

namespace millrace {

std::string_view to_string(ErrorCode code) noexcept {
    switch (code) {
        case ErrorCode::invalid_input: return "invalid input";
        case ErrorCode::not_found: return "not found";
        case ErrorCode::limit: return "limit reached";
        case ErrorCode::io: return "i/o";
        case ErrorCode::corrupt: return "corrupt data";
        case ErrorCode::conflict: return "conflict";
        case ErrorCode::unavailable: return "unavailable";
        case ErrorCode::timeout: return "timeout";
        case ErrorCode::config: return "configuration";
        case ErrorCode::internal: return "internal";
    }
    return "unknown";
}

void assertion_failed(const char* condition, const char* why, const char* file, int line) noexcept {
    std::fprintf(stderr, "millrace: assertion failed: %s (%s) at %s:%d\n", condition, why, file,
                 line);
    std::fflush(stderr);
    std::abort();
}

}  // namespace millrace
