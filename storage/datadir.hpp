// SPDX-License-Identifier: Apache-2.0
// Owns the layout and the identity of the data directory.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "storage/io/file_system.hpp"

namespace millrace::storage {

inline constexpr uint64_t datadir_format = 4;

/// What a data directory belongs to; fixed when it is created.
struct DataDirIdentity {
    uint64_t chain_id = 0;
    Hash256 genesis_hash;
    /// Of the rules that hold beside the genesis block (limits, fees, vaults), as the owner digests
    /// them.
    Hash256 rules_digest;
    std::string commitment;  ///< "qmdb-keccak256", "mpt", ..: letters, digits, '-' and '_'
    bool operator==(const DataDirIdentity&) const = default;
};

/// An open, locked data directory. The lock goes when the object does.
class DataDir {
public:
    /// Opens `path`, or makes it when it is missing or empty. Fails with a message that says what
    /// to do: `ErrorCode::conflict` when another process has it, `ErrorCode::config` for another
    /// chain, genesis, rules or commitment, `ErrorCode::unavailable` for a newer or older format,
    /// `ErrorCode::corrupt` for a damaged or missing FORMAT file beside other content.
    static Result<DataDir> open(FileSystem& fs, const std::string& path,
                                const DataDirIdentity& identity);

    /// What the directory at `path` belongs to; nothing when there is none, or no FORMAT file in
    /// it. Takes no lock. Errors of another format and of damage as open().
    static Result<std::optional<DataDirIdentity>> look(FileSystem& fs, const std::string& path);
    /// Opens one that is there, whatever it belongs to. Errors as open(), and
    /// `ErrorCode::not_found` when there is none.
    static Result<DataDir> open_existing(FileSystem& fs, const std::string& path);

    const std::string& path() const noexcept { return path_; }
    bool created() const noexcept { return created_; }
    std::string wal_directory() const { return join_path(path_, "wal"); }
    std::string chain_directory() const { return join_path(path_, "chain"); }
    /// Of the state engine.
    std::string state_directory() const { return join_path(path_, "state"); }
    std::string checkpoint_directory() const { return join_path(path_, "checkpoints"); }
    const DataDirIdentity& identity() const noexcept { return identity_; }

private:
    DataDir(std::string path, DataDirIdentity identity, bool created,
            std::unique_ptr<FileLock> lock)
        : path_(std::move(path)),
          identity_(std::move(identity)),
          created_(created),
          lock_(std::move(lock)) {}

    std::string path_;
    DataDirIdentity identity_;
    bool created_;
    std::unique_ptr<FileLock> lock_;
};

}  // namespace millrace::storage
