// SPDX-License-Identifier: Apache-2.0
// Owns reading of entries by serial number, from the log or from the frame that is being built.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "storage/proof/entry.hpp"
#include "storage/qmdb/block_frame.hpp"
#include "storage/qmdb/entry_directory.hpp"
#include "storage/qmdb/entry_log.hpp"

namespace millrace::storage::qmdb::detail {

/// Memory for what is read without a mapping, until release().
class ReadArena {
public:
    std::span<uint8_t> take(size_t bytes);
    void release() noexcept;

private:
    static constexpr size_t block_bytes = size_t{256} << 10;
    std::vector<std::unique_ptr<uint8_t[]>> blocks_;
    size_t block_ = 0;  ///< the one in use
    size_t used_ = 0;   ///< of it
};

/// Every entry is checked by its checksum, serial number and shard before it is given out.
class EntryReader {
public:
    /// `frame` may be null.
    EntryReader(const LogReader& log, const EntryDirectory& directory,
                const BlockFrameBuilder* frame)
        : log_(log), directory_(directory), frame_(frame) {}

    /// The entry with this serial number. Views of committed entries live until release(), views of
    /// entries of the frame being built until something is added to it. Errors as EntryLog::read,
    /// `ErrorCode::corrupt` when the entry is damaged.
    Result<StateEntry> read(unsigned shard, uint64_t serial);
    /// The encoding of an entry, which is what its leaf hashes; checked as in read(). Nothing for
    /// one that was dropped from a rewritten segment.
    Result<std::optional<ByteView>> encoded(unsigned shard, uint64_t serial);
    /// What a rewritten segment has of the chunk of this entry, which was dropped from it. Views in
    /// it live until the next call.
    Result<ChunkBlock> rewritten_chunk(unsigned shard, uint64_t serial);
    void release() noexcept {
        arena_.release();
        buffer_.forget();
        last_serial_ = none;
    }

    /// Ends the life of views, but the block that was read last stays at hand.
    void release_memory() noexcept {
        arena_.release();
        last_serial_ = none;
    }

    // The stages of a read as hints.
    void prefetch_place(unsigned shard, uint64_t serial) const noexcept;
    void prefetch_entry(unsigned shard, uint64_t serial) const noexcept;

private:
    bool in_frame(unsigned shard, uint64_t serial) const noexcept {
        return frame_ != nullptr && frame_->has(shard, serial);
    }
    Result<std::optional<ByteView>> record(unsigned shard, uint64_t serial);
    Result<std::optional<ByteView>> rewritten_record(const SegmentFile& file, unsigned shard,
                                                     uint64_t serial);

    const LogReader& log_;
    const EntryDirectory& directory_;
    const BlockFrameBuilder* frame_;
    ReadArena arena_;
    BlockBuffer buffer_;

    // A look-up ends with reading the entry to compare its key, and then it is read for its value.
    static constexpr uint64_t none = ~uint64_t{0};
    unsigned last_shard_ = 0;
    uint64_t last_serial_ = none;  ///< of last_, a committed entry
    StateEntry last_;
};

}  // namespace millrace::storage::qmdb::detail
