// SPDX-License-Identifier: Apache-2.0
// Owns a directory on the real disk that lives as long as one test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace millrace::storage {

class ScratchDirectory {
public:
    ScratchDirectory() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "millrace-storage-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) { std::abort(); }
        path_ = pattern;
    }
    ~ScratchDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

}  // namespace millrace::storage
