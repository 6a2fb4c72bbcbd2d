// SPDX-License-Identifier: Apache-2.0
// Owns the check of a sealed segment of the entry log, piece by piece.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/io/file_system.hpp"

namespace millrace::storage::qmdb {

/// Reads a segment that is not written any more, of either form, from the medium and checks all
/// checksums in it, and that nothing but zeros follows the last frame, without more memory than a
/// piece takes. What pads headers and frames with zeros is not looked at, as at a start. One
/// thread.
class SegmentScrub {
public:
    static constexpr size_t piece_bytes = size_t{1} << 20;

    /// `ErrorCode::not_found` when the segment is not there; else errors as step().
    static Result<std::unique_ptr<SegmentScrub>> open(FileSystem& fs, const std::string& path,
                                                      uint64_t number);
    ~SegmentScrub();

    /// Reads and checks the next piece; returns its length, 0 when all of the segment is checked.
    /// `ErrorCode::corrupt` names the file, the offset and what is there; `ErrorCode::io` when the
    /// disk cannot read it.
    Result<size_t> step();

private:
    class State;
    explicit SegmentScrub(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace millrace::storage::qmdb
