// SPDX-License-Identifier: Apache-2.0
// Owns directories that go with what made them.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "host/base/error.hpp"

namespace millrace::node {

/// A new directory, removed with everything in it when the object goes.
class TemporaryDirectory {
public:
    TemporaryDirectory() = default;
    ~TemporaryDirectory() { remove(); }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    /// Makes it in `parent`, or where the system keeps temporary files when that is empty; its name
    /// begins with `prefix`. `ErrorCode::io` when that is not possible.
    Result<std::string> create(const std::string& prefix, const std::string& parent = {}) {
        remove();
        std::error_code ec;
        const std::filesystem::path in = parent.empty() ? std::filesystem::temp_directory_path(ec)
                                                        : std::filesystem::path(parent);
        std::string pattern = (in / (prefix + "-XXXXXX")).string();
        if (ec || mkdtemp(pattern.data()) == nullptr) {
            return fail(ErrorCode::io, "cannot make a temporary directory in " + in.string());
        }
        path_ = pattern;
        return path_;
    }
    const std::string& path() const noexcept { return path_; }

private:
    void remove() noexcept {
        std::error_code ec;
        if (!path_.empty()) { std::filesystem::remove_all(path_, ec); }
        path_.clear();
    }
    std::string path_;
};

}  // namespace millrace::node
