// SPDX-License-Identifier: Apache-2.0
// Owns the order in which files are rewritten and checked.
#include "storage/qmdb/detail/file_care_thread.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "host/base/thread.hpp"
#include "storage/qmdb/segment_name.hpp"

namespace millrace::storage::qmdb::detail {

using std::chrono::microseconds;

FileCareThread::FileCareThread(FileSystem& fs, std::string directory, kernels::NodeHash hash,
                               kernels::Backend backend, bool map, const FileCareOptions& options)
    : fs_(fs),
      directory_(std::move(directory)),
      options_(options),
      status_(options.status ? options.status : std::make_shared<FileCareStatus>()) {
    rewrite_.hash = hash;
    rewrite_.backend = backend;
    rewrite_.map = map;
    rewrite_.mutant = options.mutant;
    // Relaxed: only a matter of when.
    rewrite_.stopping = [this] { return stopping_.load(std::memory_order_relaxed); };
    if (options_.background) {
        thread_ = std::jthread([this] { run(); });
    }
}

FileCareThread::~FileCareThread() {
    stopping_.store(true, std::memory_order_relaxed);
    wake_.release();
}

void FileCareThread::post(Task task) {
    task_ = std::move(task);
    phase_.store(Phase::posted, std::memory_order_release);
    if (options_.background) {
        wake_.release();
    } else {
        work();
    }
}

FileCareThread::Done FileCareThread::take() {
    Done out = std::exchange(done_, {});
    phase_.store(Phase::idle, std::memory_order_release);
    return out;
}

std::optional<Error> FileCareThread::failure() const {
    if (!failed_.load(std::memory_order_acquire)) { return std::nullopt; }
    return error_;
}

void FileCareThread::fail_with(const Error& error) {
    status_->errors.fetch_add(1, std::memory_order_relaxed);
    if (failed_.load(std::memory_order_relaxed)) { return; }
    error_ = error;
    failed_.store(true, std::memory_order_release);
}

void FileCareThread::run() {
    set_thread_name("state-files");
    lower_thread_priority();
    while (!stopping_.load(std::memory_order_relaxed)) {
        if (phase_.load(std::memory_order_acquire) == Phase::posted) {
            work();
        } else if (options_.scrub_bytes_per_s == 0 || failed_.load(std::memory_order_relaxed)) {
            wake_.acquire();
        } else {
            (void)wake_.try_acquire_for(scrub());
        }
    }
}

void FileCareThread::work() {
    left_.reset();
    std::visit([this](auto& task) { do_task(task); }, task_);
    task_ = {};
    phase_.store(Phase::done, std::memory_order_release);
}

void FileCareThread::do_task(RewriteLook& look) {
    const auto& state = look.snapshot->parts();
    done_.planned =
        plan_rewrites(state, look.snapshot->height(), look.from, options_.rewrite_gain_percent);
}

void FileCareThread::do_task(RewritePlan& plan) {
    auto result = rewrite_segment(fs_, directory_, plan, rewrite_);
    if (result) {
        status_->rewritten_count.fetch_add(1, std::memory_order_relaxed);
        status_->rewritten_bytes_before.fetch_add(result->bytes_before, std::memory_order_relaxed);
        status_->rewritten_bytes_after.fetch_add(result->bytes_after, std::memory_order_relaxed);
        done_.rewritten = std::move(*result);
        return;
    }
    switch (result.error().code) {
        case ErrorCode::limit:
        case ErrorCode::unavailable:
        case ErrorCode::not_found:
            status_->rewrites_put_off.fetch_add(1, std::memory_order_relaxed);
            return;
        default: fail_with(result.error());
    }
}

/// The number of a sealed segment that is there, from scrub_next_ on.
Result<std::optional<uint64_t>> FileCareThread::next_to_scrub() {
    MILLRACE_TRY(const auto names, fs_.list(directory_));
    std::optional<uint64_t> found;
    uint64_t last = 0;
    for (const std::string& name : names) {
        const auto number = segment_number(name);
        if (!number) { continue; }
        last = std::max(last, *number);
        if (*number >= scrub_next_ && (!found || *number < *found)) { found = number; }
    }
    // The last one is being written.
    return found && *found < last ? found : std::nullopt;
}

microseconds FileCareThread::scrub() {
    constexpr microseconds no_wait{0};
    if (scrub_ == nullptr) {
        const auto number = next_to_scrub();
        if (!number) {
            fail_with(number.error());
            return no_wait;
        }
        if (!*number) {
            if (std::exchange(scrubbed_any_, false)) {
                const auto now = std::chrono::system_clock::now().time_since_epoch();
                status_->scrub_last_pass_unix_s.store(
                    std::chrono::duration_cast<std::chrono::seconds>(now).count(),
                    std::memory_order_relaxed);
                status_->scrub_passes.fetch_add(1, std::memory_order_relaxed);
                scrub_next_ = 0;
                return std::chrono::seconds{options_.scrub_pause_s};
            }
            scrub_next_ = 0;
            return std::chrono::seconds{1};
        }
        scrub_next_ = **number + 1;
        auto opened =
            SegmentScrub::open(fs_, join_path(directory_, segment_name(**number)), **number);
        if (!opened) {
            // It was not needed any more.
            if (opened.error().code != ErrorCode::not_found) { fail_with(opened.error()); }
            return no_wait;
        }
        scrub_ = std::move(*opened);
    }
    const auto bytes = scrub_->step();
    if (!bytes) {
        fail_with(bytes.error());
        scrub_.reset();
        return no_wait;
    }
    scrubbed_any_ = true;
    if (*bytes == 0) { scrub_.reset(); }
    status_->scrubbed_bytes.fetch_add(*bytes, std::memory_order_relaxed);
    return microseconds{*bytes * 1'000'000 / options_.scrub_bytes_per_s};
}

}  // namespace millrace::storage::qmdb::detail
