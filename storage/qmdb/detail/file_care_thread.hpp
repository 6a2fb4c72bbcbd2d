// SPDX-License-Identifier: Apache-2.0
// Owns the thread beside the engine that rewrites and checks the files of its log.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "storage/qmdb/detail/rewrite_planner.hpp"
#include "storage/qmdb/detail/snapshot_impl.hpp"
#include "storage/qmdb/file_care.hpp"
#include "storage/qmdb/segment_scrub.hpp"

namespace millrace::storage::qmdb::detail {

/// In which state segments to be rewritten are looked for, and from which one on.
struct RewriteLook {
    std::shared_ptr<const SnapshotImpl> snapshot;
    uint64_t from = 0;
};

/// Does one thing at a time for the engine: post(), and when idle() again, take(). In between it
/// checks sealed segments. Nothing here makes the engine's thread wait but the end.
class FileCareThread {
public:
    FileCareThread(FileSystem& fs, std::string directory, kernels::NodeHash hash,
                   kernels::Backend backend, bool map, const FileCareOptions& options);
    /// Gives up what is being done.
    ~FileCareThread();

    /// Choose segments to be rewritten, or rewrite one.
    using Task = std::variant<RewriteLook, RewritePlan>;
    struct Done {
        std::optional<PlannedRewrites> planned;
        std::optional<RewriteResult> rewritten;
    };

    // The engine's thread.
    bool idle() const noexcept { return phase_.load(std::memory_order_acquire) == Phase::idle; }
    bool done() const noexcept { return phase_.load(std::memory_order_acquire) == Phase::done; }
    /// When idle().
    void post(Task task);
    /// When done(). A rewriting that was given up has neither.
    Done take();
    /// Lets go of a file here: freeing the mapping of one takes milliseconds. When idle().
    void leave(std::shared_ptr<const SegmentFile> file) { left_ = std::move(file); }
    /// The damage that was found, or what the disk could not do; final.
    std::optional<Error> failure() const;

private:
    enum class Phase : uint8_t { idle, posted, done };

    void run();
    void work();
    void do_task(RewriteLook& look);
    void do_task(RewritePlan& plan);
    void fail_with(const Error& error);
    /// Checks a piece; returns how long to wait before the next one.
    std::chrono::microseconds scrub();
    Result<std::optional<uint64_t>> next_to_scrub();

    FileSystem& fs_;
    const std::string directory_;
    const FileCareOptions options_;
    metrics::Registry unread_;  ///< where nobody gave figures
    const std::shared_ptr<FileCareFigures> figures_;
    RewriteOptions rewrite_;

    // Passed to and fro: what is posted or done was written before the phase (release, acquire).
    std::atomic<Phase> phase_ = Phase::idle;
    Task task_;
    Done done_;
    std::shared_ptr<const SegmentFile> left_;

    std::atomic<bool> failed_ = false;
    Error error_;  ///< written before failed_ is set
    std::atomic<bool> stopping_ = false;
    std::counting_semaphore<> wake_{0};

    // The own thread.
    std::unique_ptr<SegmentScrub> scrub_;
    uint64_t scrub_next_ = 0;  ///< number of the next segment at least
    bool scrubbed_any_ = false;
    std::jthread thread_;
};

}  // namespace millrace::storage::qmdb::detail
