// SPDX-License-Identifier: Apache-2.0
// Owns opening, writing and refusing the files of a bench command.
#include "host/node/benchmark/output_files.hpp"

#include <cerrno>
#include <cstring>

namespace millrace::node {

bool refuse_file(const std::string& path, std::FILE* progress) {
    std::fprintf(progress, "millrace: cannot write %s: %s\n", path.c_str(), std::strerror(errno));
    return false;
}

bool files_open(std::span<const std::string> paths, std::FILE* progress) {
    for (const std::string& path : paths) {
        if (path.empty()) { continue; }
        std::FILE* file = std::fopen(path.c_str(), "ab");
        if (file == nullptr) { return refuse_file(path, progress); }
        std::fclose(file);
    }
    return true;
}

bool write_text(const std::string& path, const std::string& text, std::FILE* progress) {
    if (path.empty()) { return true; }
    std::FILE* file = std::fopen(path.c_str(), "wb");
    bool done = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if (file != nullptr) { done = std::fclose(file) == 0 && done; }
    return done || refuse_file(path, progress);
}

}  // namespace millrace::node
