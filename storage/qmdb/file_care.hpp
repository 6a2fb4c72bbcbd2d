// SPDX-License-Identifier: Apache-2.0
// Owns the settings and figures of what is done to the files of a log beside its commits: rewriting
// of sealed segments, and checking them.
#pragma once

#include <cstdint>
#include <memory>

#include "host/base/metrics.hpp"
#include "storage/qmdb/segment_rewriter.hpp"

namespace millrace::storage::qmdb {

/// What is told, by the names that operators see. References as those of the registry.
struct FileCareFigures {
    explicit FileCareFigures(metrics::Registry& registry);

    metrics::Counter& rewritten;     ///< segments, each as often as it was rewritten
    metrics::Counter& bytes_before;  ///< of the files that were replaced
    metrics::Counter& bytes_after;   ///< of the files that replaced them
    metrics::Counter& put_off;       ///< rewritings: the disk was full, or the node ended
    metrics::Counter& scrubbed_bytes;
    metrics::Counter& scrub_passes;   ///< of all sealed segments
    metrics::Gauge& scrub_last_pass;  ///< when the last one ended, in seconds of Unix time
    metrics::Counter& errors;         ///< damage, and what the disk could not do
};

struct FileCareOptions {
    /// Whether sealed segments are rewritten without what ended before the history window.
    bool rewrite = false;
    /// How much of its file a rewriting has to save, by estimate: the lower, the less space is
    /// taken and the more is written.
    unsigned rewrite_gain_percent = 65;
    /// Sealed segments are read so fast to be checked; 0 never.
    uint64_t scrub_bytes_per_s = 0;
    /// So long after the end of a pass the next one begins.
    uint64_t scrub_pause_s = uint64_t{24} * 3600;
    /// Work is done on a thread of its own, `state-files`, else within Engine::commit() and without
    /// scrubbing: that is for tests that have to know when.
    bool background = true;
    RewriteMutant mutant = RewriteMutant::none;
    /// Shared with whoever reads them; may be null.
    std::shared_ptr<FileCareFigures> figures;
};

}  // namespace millrace::storage::qmdb
