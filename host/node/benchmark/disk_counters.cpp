// SPDX-License-Identifier: Apache-2.0
// Owns reading of the system's counters.
#include "host/node/benchmark/disk_counters.hpp"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace millrace::node {
namespace {

constexpr uint64_t counted_sector_bytes = 512;  // whatever the device has

}  // namespace

std::optional<uint64_t> process_written_bytes() {
    std::ifstream file("/proc/self/io");
    std::string name;
    uint64_t value = 0;
    while (file >> name >> value) {
        if (name == "write_bytes:") { return value; }
    }
    return std::nullopt;
}

std::optional<uint64_t> device_written_bytes(const std::string& path) {
    struct stat at{};
    if (stat(path.c_str(), &at) != 0) { return std::nullopt; }
    std::ifstream file("/sys/dev/block/" + std::to_string(major(at.st_dev)) + ":" +
                       std::to_string(minor(at.st_dev)) + "/stat");
    // Reads completed, merged, sectors, milliseconds; writes completed, merged, sectors.
    uint64_t value = 0;
    for (int field = 0; field < 7; ++field) {
        if (!(file >> value)) { return std::nullopt; }
    }
    return value * counted_sector_bytes;
}

uint64_t directory_bytes(const std::string& path) {
    uint64_t total = 0;
    std::error_code ec;
    for (std::filesystem::recursive_directory_iterator it(path, ec), end; !ec && it != end;
         it.increment(ec)) {
        struct stat at{};
        if (stat(it->path().c_str(), &at) == 0 && S_ISREG(at.st_mode)) {
            total += static_cast<uint64_t>(at.st_blocks) * 512;
        }
    }
    return total;
}

void forget_cached(const std::string& path) {
    std::error_code ec;
    for (std::filesystem::recursive_directory_iterator it(path, ec), end; !ec && it != end;
         it.increment(ec)) {
        const int file = ::open(it->path().c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) { continue; }
        // What is dirty would stay.
        fdatasync(file);
        posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        ::close(file);
    }
}

bool is_in_memory(const std::string& path) {
    constexpr long tmpfs = 0x01021994;
    constexpr long ramfs = 0x858458f6;
    struct statfs at{};
    return statfs(path.c_str(), &at) == 0 && (at.f_type == tmpfs || at.f_type == ramfs);
}

}  // namespace millrace::node
