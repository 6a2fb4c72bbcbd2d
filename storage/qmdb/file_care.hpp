// SPDX-License-Identifier: Apache-2.0
// Owns the settings and figures of what is done to the files of a log beside its commits: rewriting
// of sealed segments, and checking them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "storage/qmdb/segment_rewriter.hpp"

namespace millrace::storage::qmdb {

/// Any thread may read them at any time.
struct FileCareStatus {
    std::atomic<uint64_t> rewritten_count{0};  ///< segments, each as often as it was rewritten
    std::atomic<uint64_t> rewritten_bytes_before{0};
    std::atomic<uint64_t> rewritten_bytes_after{0};
    std::atomic<uint64_t> rewrites_put_off{0};  ///< the disk was full, or the node ended
    std::atomic<uint64_t> scrubbed_bytes{0};
    std::atomic<uint64_t> scrub_passes{0};           ///< of all sealed segments
    std::atomic<int64_t> scrub_last_pass_unix_s{0};  ///< when the last one ended; 0 for none
    std::atomic<uint64_t> errors{0};                 ///< damage, and what the disk could not do
};

struct FileCareOptions {
    /// Whether sealed segments are rewritten without what ended before the history window.
    bool rewrite = false;
    /// How much of its file a rewriting has to save, by estimate: the lower, the less space is
    /// taken and the more is written.
    unsigned rewrite_gain_percent = 60;
    /// Sealed segments are read so fast to be checked; 0 never.
    uint64_t scrub_bytes_per_s = 0;
    /// So long after the end of a pass the next one begins.
    uint64_t scrub_pause_s = uint64_t{24} * 3600;
    /// Work is done on a thread of its own, `state-files`, else within Engine::commit() and without
    /// scrubbing: that is for tests that have to know when.
    bool background = true;
    RewriteMutant mutant = RewriteMutant::none;
    /// What is told there; may be null.
    std::shared_ptr<FileCareStatus> status;
};

}  // namespace millrace::storage::qmdb
