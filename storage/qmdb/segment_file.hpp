// SPDX-License-Identifier: Apache-2.0
// Owns random reads of one segment of the entry log, mapped into memory where that is possible.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "storage/io/file_system.hpp"
#include "storage/qmdb/mapping_guard.hpp"

namespace millrace::storage::qmdb {

class RewrittenSegment;

/// How a segment is going to be read.
enum class ReadOrder : uint8_t { random, sequential };

/// Any thread may read beside the one that writes through file(). What is mapped is read without a
/// system call; where the disk cannot give a page, it reads as zeros there and failed() says so.
class SegmentFile {
public:
    /// Maps the file when `map` and when it is one of the operating system. `bytes` is its size.
    static Result<SegmentFile> open(std::unique_ptr<File> file, uint64_t bytes, bool map,
                                    ReadOrder order = ReadOrder::random);

    SegmentFile(SegmentFile&& other) noexcept;
    SegmentFile& operator=(SegmentFile&& other) noexcept;
    ~SegmentFile();

    /// The bytes from `offset` on, fewer at the end of the file. The view points into the mapping,
    /// or else to `scratch`, which has room for them.
    Result<ByteView> read(uint64_t offset, size_t bytes, std::span<uint8_t> scratch) const;
    /// Has the cache line fetched that a later read begins with; does nothing without a mapping.
    void prefetch(uint64_t offset) const noexcept {
        if (map_ != nullptr) { __builtin_prefetch(map_ + offset); }
    }
    /// How reads are going to come, as a hint; at random after open(). Where that is expected of a
    /// mapping, each page is read from the disk on its own.
    enum class Order : uint8_t { random, ascending };
    void expect(Order order) const noexcept;
    bool mapped() const noexcept { return map_ != nullptr; }
    /// Whether something of the mapping could not be read: zeros in it mean nothing then. To be
    /// asked after what was read failed a check, and before zeros are believed.
    bool failed() const noexcept { return guard_ != nullptr && guard_->failed(); }
    uint64_t bytes() const noexcept { return bytes_; }
    File& file() const noexcept { return *file_; }
    /// How to read it when it was rewritten, null when it has frames.
    const RewrittenSegment* rewritten() const noexcept { return rewritten_.get(); }
    void set_rewritten(std::unique_ptr<const RewrittenSegment> rewritten) noexcept;

private:
    SegmentFile(std::unique_ptr<File> file, uint64_t bytes, const uint8_t* map,
                std::unique_ptr<MappingGuard> guard) noexcept;
    void unmap() noexcept;

    std::unique_ptr<File> file_;
    std::unique_ptr<MappingGuard> guard_;  ///< of map_
    const uint8_t* map_;
    uint64_t bytes_;
    std::unique_ptr<const RewrittenSegment> rewritten_;
};

}  // namespace millrace::storage::qmdb
