// SPDX-License-Identifier: Apache-2.0
// Owns the interface behind which all file access of the node goes, so that a simulated disk can
// stand in for the real one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"

namespace millrace::storage {

/// Errors of this interface: `ErrorCode::not_found` for a missing file, `ErrorCode::limit` for a
/// full disk (the operation may be repeated once there is room), `ErrorCode::conflict` for a lock
/// held elsewhere, `ErrorCode::io` for everything else. After `io` from a write or a sync the
/// content of the file on the medium is unknown.

enum class OpenMode : uint8_t {
    read,            ///< must exist
    read_write,      ///< must exist
    create,          ///< read and write; created when missing
    create_new,      ///< read and write; must not exist
    create_or_wipe,  ///< read and write; created or emptied
};

/// An open file. Reads may run on any thread; writes belong to one thread at a time. Nothing is
/// durable before sync_data() returned success.
class File {
public:
    virtual ~File() = default;

    /// Reads until `into` is full or the file ends; returns the number of bytes read.
    virtual Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) const = 0;
    /// Writes all of `data`, extending the file where needed. On failure any part may be written.
    virtual Result<void> write_at(uint64_t offset, ByteView data) = 0;
    /// Makes content and size durable (fdatasync). A failure is final: what was written since the
    /// last success may be lost although it can still be read.
    virtual Result<void> sync_data() = 0;
    virtual Result<uint64_t> size() const = 0;
    /// Cuts or extends (with zeros) to `size` bytes.
    virtual Result<void> truncate(uint64_t size) = 0;
    /// Makes the file at least `size` bytes long with disk space behind it; the new part reads as
    /// zeros.
    virtual Result<void> preallocate(uint64_t size) = 0;
    /// The POSIX descriptor, or -1 when the file is not one of the operating system.
    virtual int descriptor() const noexcept { return -1; }
    const std::string& path() const noexcept { return path_; }

protected:
    explicit File(std::string path) : path_(std::move(path)) {}

private:
    std::string path_;
};

/// Holds an exclusive lock until destroyed.
class FileLock {
public:
    virtual ~FileLock() = default;
};

/// A tree of directories and files. Paths are `/`-separated. Thread-safe. Creation, renaming and
/// removal are durable only after sync_directory() of the directory that holds the name.
class FileSystem {
public:
    virtual ~FileSystem() = default;

    virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
    /// A file that exists, to be read from the medium itself and not from the system's cache where
    /// that is possible. Offsets, lengths and the memory of reads are multiples of 4,096; only at
    /// the end of the file is less read.
    virtual Result<std::unique_ptr<File>> open_uncached(const std::string& path) {
        return open(path, OpenMode::read);
    }
    virtual Result<bool> exists(const std::string& path) = 0;
    /// Creates the directory and its missing parents, durably; succeeds when it is there already.
    virtual Result<void> create_directory(const std::string& path) = 0;
    virtual Result<void> sync_directory(const std::string& path) = 0;
    /// Replaces `to` atomically.
    virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
    /// Removes a file; succeeds when it is not there.
    virtual Result<void> remove(const std::string& path) = 0;
    /// Names (not paths) of the entries of a directory, sorted; without "." and "..".
    virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
    /// Takes the lock file, creating it when missing; `ErrorCode::conflict` when another process
    /// (or another holder in this one) has it. `owner` is written into the file for people.
    virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                                   std::string_view owner) = 0;
    virtual Result<uint64_t> free_bytes(const std::string& path) = 0;
};

/// `directory` + "/" + `name`.
std::string join_path(std::string_view directory, std::string_view name);
/// The directory part of a path ("." when there is none).
std::string parent_path(std::string_view path);

/// Reads a whole file of at most `bytes_max` bytes; `ErrorCode::limit` when it is longer.
Result<Bytes> read_file(FileSystem& fs, const std::string& path, uint64_t bytes_max);
/// Replaces `path` by `content` atomically and durably: temporary file, sync, rename, directory
/// sync. After a crash the file is the old one or the new one, never a mixture.
Result<void> replace_file(FileSystem& fs, const std::string& path, ByteView content);

/// The file system of the operating system.
std::unique_ptr<FileSystem> make_posix_file_system();

}  // namespace millrace::storage
