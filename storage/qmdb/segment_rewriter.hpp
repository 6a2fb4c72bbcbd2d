// SPDX-License-Identifier: Apache-2.0
// Owns rewriting of a sealed segment of the entry log into its second form.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/tree/node_hash.hpp"
#include "storage/io/file_system.hpp"
#include "storage/qmdb/rewritten_segment.hpp"

namespace millrace::storage::qmdb {

/// Deliberate faults that the tests must catch; never set outside tests.
enum class RewriteMutant : uint8_t { none, drop_live, rename_before_sync };

/// Which segment is rewritten, and what of it.
struct RewritePlan {
    struct Shard {
        uint64_t first_chunk = 0;
        /// By chunk, from first_chunk on: entries to keep. All bits set for chunks that were not
        /// full in the state at the horizon.
        std::vector<ActiveBits> keep;
    };
    uint64_t number = 0;
    /// The states before the block with this height are given up.
    uint64_t horizon_height = 0;
    std::array<Shard, shard_count> shards;

    bool keeps(unsigned shard, uint64_t serial) const noexcept {
        const Shard& s = shards[shard];
        const uint64_t i = serial / chunk_entries - s.first_chunk;
        return i >= s.keep.size() || is_active(s.keep[i], serial);
    }
};

struct RewriteOptions {
    kernels::NodeHash hash = kernels::NodeHash::keccak256;
    kernels::Backend backend = kernels::Backend::simd;
    bool map = true;
    RewriteMutant mutant = RewriteMutant::none;
    /// Asked now and then: whether to give up.
    std::function<bool()> stopping;
};

struct RewriteResult {
    std::shared_ptr<const SegmentFile> file;  ///< the new one, under the segment's name
    uint64_t bytes_before = 0;
    uint64_t bytes_after = 0;
};

/// Rewrites a segment of either form that nobody writes or removes meanwhile: reads and checks all
/// of it (the roots of its chunks too), writes the new form beside it, reads that and compares it
/// with the old one, and only when it is durable gives it the segment's name, durably. After a
/// crash at any place the segment is the old one or the new one.
///
/// `ErrorCode::not_found` when there is no such segment, `unavailable` when it was told to stop or
/// the segment is of no use to be rewritten, `limit` for a full disk: nothing has changed then.
/// `corrupt` and `io` mean what they mean everywhere; the segment is one of the two then.
Result<RewriteResult> rewrite_segment(FileSystem& fs, const std::string& directory,
                                      const RewritePlan& plan, const RewriteOptions& options);

}  // namespace millrace::storage::qmdb
