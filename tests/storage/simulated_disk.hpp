// SPDX-License-Identifier: Apache-2.0
// Owns a disk that forgets: a file system in memory with a volatile cache, crashes and faults, for
// the crash tests of everything that stores.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "storage/io/file_system.hpp"

namespace millrace::storage {

enum class DiskFault : uint8_t {
    none,
    crash,         ///< power fails during the operation
    write_error,   ///< EIO, nothing happens
    short_write,   ///< half of the data is written, then EIO
    no_space,      ///< ENOSPC, nothing happens
    sync_failure,  ///< the sync fails, and what it should have kept may be lost although a later
                   ///< sync succeeds
};

/// What is written lies in a cache until it is synced. A crash keeps an arbitrary subset, chosen by
/// a seed, of the unsynced 512-byte sectors, of the changes of file sizes, and of the created,
/// renamed and removed names. Directories themselves are durable at once. Thread-safe.
class SimulatedDisk final : public FileSystem {
public:
    static constexpr uint64_t sector_bytes = 512;

    SimulatedDisk();
    ~SimulatedDisk() override;

    /// Arms `fault` for the `at`-th changing operation from now (1 is the next). After a crash
    /// everything fails until restart().
    void arm(DiskFault fault, uint64_t at);
    /// Changing operations so far: writes, syncs, size changes, creations, renames, removals.
    uint64_t operation_count() const;
    bool crashed() const;
    /// Power comes back; `seed` decides what of the unsynced survived. Crashes first when the power
    /// did not fail yet. Files opened before are dead, locks are free.
    void restart(uint64_t seed);
    /// Bytes that may still be allocated.
    void set_free_bytes(uint64_t bytes);
    /// Damage on the medium.
    void flip_bit(const std::string& path, uint64_t offset, unsigned bit);
    void zero_sector(const std::string& path, uint64_t offset);
    /// Reads of this file fail with EIO.
    void fail_reads(const std::string& path);
    /// Current content, without counting as an operation.
    Bytes content(const std::string& path) const;
    /// An independent disk with the same content and cache.
    std::unique_ptr<SimulatedDisk> clone() const;

    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    Result<bool> exists(const std::string& path) override;
    Result<void> create_directory(const std::string& path) override;
    Result<void> sync_directory(const std::string& path) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    Result<std::vector<std::string>> list(const std::string& path) override;
    Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                           std::string_view owner) override;
    Result<uint64_t> free_bytes(const std::string& path) override;

private:
    class OpenFile;
    class Lock;

    struct Inode {
        Bytes durable;
        Bytes current;
        std::set<uint64_t> dirty;  ///< sectors that a sync would make durable
        std::set<uint64_t> lost;   ///< sectors that a failed sync gave up
    };
    using InodePtr = std::shared_ptr<Inode>;
    using Names = std::map<std::string, InodePtr>;
    struct NameChange {
        std::string directory;
        std::string removed;  ///< name that goes, or empty
        std::string added;    ///< name that comes, or empty
        InodePtr inode;
    };

    DiskFault step();
    std::unexpected<Error> dead() const;
    static std::unexpected<Error> fault_error(DiskFault fault, const std::string& path);
    static void apply(Names& names, const NameChange& change);
    void note(NameChange change);
    static void mark(Inode& inode, uint64_t offset, uint64_t bytes);
    uint64_t used_bytes() const;
    Result<void> write(Inode& inode, const std::string& path, uint64_t offset, ByteView data);
    Result<void> resize(Inode& inode, const std::string& path, uint64_t bytes);
    Result<void> sync(Inode& inode, const std::string& path);
    void lose_cache(std::mt19937_64& random);

    mutable std::mutex mutex_;  ///< guards everything below
    Names names_;
    Names durable_names_;
    std::vector<NameChange> name_changes_;
    std::set<std::string> directories_;
    std::set<std::string> locked_;
    std::set<std::string> unreadable_;
    uint64_t operations_ = 0;
    uint64_t fault_at_ = 0;
    DiskFault fault_ = DiskFault::none;
    bool crashed_ = false;
    uint64_t life_ = 1;  ///< rises with each restart; files of earlier lives are dead
    uint64_t capacity_bytes_ = ~uint64_t{0};
};

}  // namespace millrace::storage
