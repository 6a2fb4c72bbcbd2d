// SPDX-License-Identifier: Apache-2.0
// Owns what can be built from the file interface alone: paths, whole files, atomic replacement.
#include "storage/io/file_system.hpp"

namespace millrace::storage {

std::string join_path(std::string_view directory, std::string_view name) {
    std::string path{directory};
    if (!path.empty() && path.back() != '/') { path.push_back('/'); }
    path += name;
    return path;
}

std::string parent_path(std::string_view path) {
    while (path.size() > 1 && path.back() == '/') { path.remove_suffix(1); }
    const size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) { return "."; }
    return std::string{path.substr(0, slash == 0 ? 1 : slash)};
}

Result<Bytes> read_file(FileSystem& fs, const std::string& path, uint64_t bytes_max) {
    MILLRACE_TRY(const auto file, fs.open(path, OpenMode::read));
    MILLRACE_TRY(const uint64_t size, file->size());
    if (size > bytes_max) {
        return fail(ErrorCode::limit, path + " has " + std::to_string(size) + " bytes, at most " +
                                          std::to_string(bytes_max) + " are expected");
    }
    Bytes content(size);
    MILLRACE_TRY(const size_t got, file->read_at(0, content));
    content.resize(got);
    return content;
}

Result<void> replace_file(FileSystem& fs, const std::string& path, ByteView content) {
    const std::string temporary = path + ".tmp";
    {
        MILLRACE_TRY(const auto file, fs.open(temporary, OpenMode::create_or_wipe));
        MILLRACE_CHECK(file->write_at(0, content));
        MILLRACE_CHECK(file->sync_data());
    }
    MILLRACE_CHECK(fs.rename(temporary, path));
    return fs.sync_directory(parent_path(path));
}

}  // namespace millrace::storage
