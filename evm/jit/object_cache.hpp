// SPDX-License-Identifier: Apache-2.0
// Owns compiled contracts on disk: one file for each, safe to be shared by processes and to be
// killed in.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "evm/jit/codegen.hpp"

namespace millrace::evm::jit {

/// Files of a directory, named by code hash, revision and a key of everything else that decides
/// what the code looks like (CPU, runtime_version). A file is written under another name, synced
/// and renamed; its SHA-256 is checked when it is read, and a damaged one is deleted. Format,
/// integers little-endian:
///   8 bytes "MRJITO01", u64 key, 32 bytes code hash, u16 revision, u16 optimized (0 or 1), u32
///   stack bytes, u32 text bytes, u32 object bytes, 32 bytes SHA-256 of all before and the object,
///   object.
/// A contract whose code gave another result than the interpreter is forbidden by a file of its
/// own, for this key. Thread-safe.
class ObjectCache {
public:
    /// Makes the directory when it is not there.
    static Result<std::unique_ptr<ObjectCache>> open(std::filesystem::path directory,
                                                     size_t bytes_max);

    /// ErrorCode::not_found when it is not there; ErrorCode::conflict when it is forbidden.
    Result<CompiledObject> find(const Hash256& code_hash, Revision revision);
    /// Keeps it; the oldest go when there is no room. A disk that fails only costs the next
    /// compilation.
    void add(const Hash256& code_hash, Revision revision, const CompiledObject& object);
    void forbid(const Hash256& code_hash, Revision revision, const std::string& why);

    struct Entry {
        std::string name;
        uint64_t bytes = 0;
        bool forbidden = false;
        std::string why;  ///< of one that is forbidden
    };
    std::vector<Entry> entries() const;

private:
    ObjectCache(std::filesystem::path directory, size_t bytes_max);
    std::filesystem::path file_of(const Hash256& code_hash, Revision revision,
                                  const char* suffix) const;
    bool write(const std::filesystem::path& to, ByteView bytes);
    void make_room(size_t bytes);

    std::filesystem::path directory_;
    size_t bytes_max_;
    uint64_t key_;
    std::mutex mutex_;  // guards the writes
    uint64_t counter_ = 0;
};

}  // namespace millrace::evm::jit
