// SPDX-License-Identifier: Apache-2.0
// Owns the choice of the segments that are rewritten.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/qmdb/detail/snapshot_impl.hpp"
#include "storage/qmdb/segment_rewriter.hpp"

namespace millrace::storage::qmdb::detail {

struct PlannedRewrites {
    std::vector<RewritePlan> plans;
    uint64_t next_segment = 0;  ///< where the next look goes on; 0 for the first one
};

/// Looks at segments from `from` on, at most so many that the look is short, and plans the
/// rewriting of those whose files become smaller by `gain_percent`. Of each it drops what is dead
/// in the state of the snapshot, in chunks that are full there; the segment with the snapshot's
/// last block and those behind it stay as they are. Ends early when the disk could not read
/// something.
PlannedRewrites plan_rewrites(const SnapshotImpl::Parts& state, uint64_t height, uint64_t from,
                              unsigned gain_percent);

}  // namespace millrace::storage::qmdb::detail
