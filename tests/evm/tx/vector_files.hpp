// SPDX-License-Identifier: Apache-2.0
// Owns finding and reading the test vectors that are not part of the repository.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>

#include <zstd.h>

#include "host/base/hex.hpp"
#include "host/base/types.hpp"

namespace millrace::test {

/// Path of `name` under MILLRACE_VECTORS, or under the folder known to the build; absent when there
/// is no such thing, in which case the test skips.
inline std::optional<std::filesystem::path> find_vectors(const std::string& name) {
    const char* env = std::getenv("MILLRACE_VECTORS");
    const std::filesystem::path base = env != nullptr ? env : MILLRACE_VECTORS_DEFAULT;
    std::error_code ec;
    if (!std::filesystem::exists(base / name, ec)) { return std::nullopt; }
    return base / name;
}

inline std::string read_text(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) { throw std::runtime_error("cannot read " + path.string()); }
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::string read_zstd_text(const std::filesystem::path& path) {
    const std::string packed = read_text(path);
    const unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > (1ull << 30)) {
        throw std::runtime_error("no usable size in " + path.string());
    }
    std::string text(size, '\0');
    const size_t n = ZSTD_decompress(text.data(), text.size(), packed.data(), packed.size());
    if (ZSTD_isError(n) != 0 || n != size) {
        throw std::runtime_error("cannot decompress " + path.string());
    }
    return text;
}

inline Bytes bytes_from_hex(std::string_view text) {
    Result<Bytes> bytes = from_hex(text);
    if (!bytes) { throw std::runtime_error(bytes.error().message); }
    return *std::move(bytes);
}

}  // namespace millrace::test

/// Skips the test unless the vectors `name` are there; defines the variable `folder`.
#define MILLRACE_NEED_VECTORS(folder, name)                                                 \
    const auto folder##_found = ::millrace::test::find_vectors(name);                       \
    if (!folder##_found) {                                                                  \
        GTEST_SKIP() << "vectors '" << (name)                                               \
                     << "' are not here; set MILLRACE_VECTORS to the folder that has them"; \
    }                                                                                       \
    const std::filesystem::path& folder = *folder##_found
