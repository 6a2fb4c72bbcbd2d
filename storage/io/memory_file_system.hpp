// SPDX-License-Identifier: Apache-2.0
// Owns a file system in memory, for what needs no disk.
#pragma once

#include <memory>

#include "storage/io/file_system.hpp"

namespace millrace::storage {

/// Files that live as long as the object. Everything is durable at once, and nothing survives the
/// process. Its files have no descriptor: a log over it needs make_pwrite_log_writer().
std::unique_ptr<FileSystem> make_memory_file_system();

}  // namespace millrace::storage
