// SPDX-License-Identifier: Apache-2.0
// Owns a file system whose changes stay in memory over one that is only read.
#pragma once

#include <memory>

#include "storage/io/file_system.hpp"

namespace millrace::storage {

/// Shows the files of `base`, which outlives it, and keeps in memory whatever is written, cut,
/// renamed or removed: with it everything that opens a data directory can be run on one that must
/// not be touched. Memory grows with what is written, in blocks of 4 KiB; room that is only
/// preallocated takes none. Locks are not taken from `base`. Thread-safe as the interface demands.
std::unique_ptr<FileSystem> make_overlay_file_system(FileSystem& base);

}  // namespace millrace::storage
