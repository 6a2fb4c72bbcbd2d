// SPDX-License-Identifier: Apache-2.0
// Owns the two ways of failing: Result<T> for what can be expected, MILLRACE_ASSERT for bugs.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

enum class ErrorCode : uint8_t {
    invalid_input,  ///< malformed or out-of-range data from a user, a peer or a file
    not_found,
    limit,        ///< a documented limit was reached; try again later or send less
    io,           ///< the disk or the system refused
    corrupt,      ///< stored data fails its own checks
    conflict,     ///< state moved underneath; retry
    unavailable,  ///< a device, part or role is not here
    timeout,
    config,  ///< the configuration cannot be used
    internal,
};

std::string_view to_string(ErrorCode code) noexcept;

/// An expected failure. The message says what happened, the value seen, and what to do next.
struct Error {
    ErrorCode code = ErrorCode::internal;
    std::string message;
    bool operator==(const Error&) const = default;
};

template <class T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
    return std::unexpected<Error>(Error{code, std::move(message)});
}

/// Prints the failed condition with its place and aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* why, const char* file,
                                   int line) noexcept;

}  // namespace millrace

#define MILLRACE_CONCAT_(a, b) a##b
#define MILLRACE_CONCAT(a, b) MILLRACE_CONCAT_(a, b)

/// Checks an invariant of our own, in every build. Input never reaches it.
#define MILLRACE_ASSERT(cond, why)                                        \
    do {                                                                  \
        if (!(cond)) [[unlikely]] {                                       \
            ::millrace::assertion_failed(#cond, why, __FILE__, __LINE__); \
        }                                                                 \
    } while (false)

#define MILLRACE_TRY_IMPL_(tmp, decl, ...)                                     \
    auto tmp = (__VA_ARGS__);                                                  \
    if (!tmp) [[unlikely]] { return std::unexpected(std::move(tmp).error()); } \
    decl = *std::move(tmp)

/// `MILLRACE_TRY(auto x, f());` binds the value or passes the error on.
#define MILLRACE_TRY(decl, ...) \
    MILLRACE_TRY_IMPL_(MILLRACE_CONCAT(millrace_try_, __COUNTER__), decl, __VA_ARGS__)

/// `MILLRACE_CHECK(f());` passes on the error of a Result whose value is not needed.
#define MILLRACE_CHECK(...)                                                        \
    do {                                                                           \
        if (auto millrace_check_ = (__VA_ARGS__); !millrace_check_) [[unlikely]] { \
            return std::unexpected(std::move(millrace_check_).error());            \
        }                                                                          \
    } while (false)
