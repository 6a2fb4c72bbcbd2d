// SPDX-License-Identifier: Apache-2.0
// Owns unpacking the archives of test vectors, once per build folder.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "tests/evm/tx/vector_files.hpp"

namespace millrace::test {

/// Where the fixtures `name` are: the folder `name` of the vectors, or else their archive
/// `archive_name` unpacked into `target`, which is emptied first and kept until the archive is
/// newer. Absent when neither is there, in which case the test skips, or when tar fails.
inline std::optional<std::filesystem::path> unpacked_vectors(const std::string& name,
                                                             const std::string& archive_name,
                                                             const std::filesystem::path& target) {
    namespace fs = std::filesystem;
    if (const auto folder = find_vectors(name)) { return folder; }
    auto archive = find_vectors(archive_name);
    if (!archive) { archive = find_vectors("vectors/" + archive_name); }
    if (!archive) { return std::nullopt; }
    // CTest runs each test in a process of its own, perhaps several at once.
    const std::string lock_path = target.string() + ".lock";
    fs::create_directories(target.parent_path());
    const int lock = ::open(lock_path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    const std::unique_ptr<const int, void (*)(const int*)> unlock{
        &lock, [](const int* fd) { ::close(*fd); }};
    if (lock < 0 || ::flock(lock, LOCK_EX) != 0) {
        ADD_FAILURE() << "cannot lock " << lock_path;
        return std::nullopt;
    }
    const fs::path done = target / (name + ".unpacked");
    if (fs::exists(done) && fs::last_write_time(done) >= fs::last_write_time(*archive)) {
        return target;
    }
    fs::remove_all(target);
    fs::create_directories(target);
    const std::string command =
        "tar --zstd -xf '" + archive->string() + "' -C '" + target.string() + "'";
    if (std::system(command.c_str()) != 0) {
        ADD_FAILURE() << "cannot unpack: " << command;
        return std::nullopt;
    }
    std::ofstream(done) << archive->string() << "\n";
    return target;
}

}  // namespace millrace::test
