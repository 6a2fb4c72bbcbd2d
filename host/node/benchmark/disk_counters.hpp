// SPDX-License-Identifier: Apache-2.0
// Owns the system's counts of what is written to a disk and taken on it, and its cache.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace millrace::node {

/// Bytes that this process caused to be written so far, by `write_bytes` of /proc/self/io: pages
/// made dirty, so a page that is overwritten before it goes to the disk counts once, and with large
/// folios a small random write may count as many pages. Nothing where the system does not say.
std::optional<uint64_t> process_written_bytes();

/// Bytes that the block device with this file or directory has written so far, whoever wrote them.
/// Nothing for a file system without a device (tmpfs) and where the system does not say.
std::optional<uint64_t> device_written_bytes(const std::string& path);

/// Bytes that the files below a directory take on the disk, preallocated space included.
uint64_t directory_bytes(const std::string& path);

/// Takes the files below a directory out of the page cache, as far as nobody has them mapped.
void forget_cached(const std::string& path);

/// Whether the file system of this path keeps everything in memory (tmpfs, ramfs).
bool is_in_memory(const std::string& path);

}  // namespace millrace::node
