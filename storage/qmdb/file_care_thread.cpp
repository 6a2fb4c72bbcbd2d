// SPDX-License-Identifier: Apache-2.0
// Owns the order in which files are rewritten and checked.
#include "storage/qmdb/detail/file_care_thread.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "host/base/thread.hpp"
#include "storage/qmdb/segment_name.hpp"

namespace millrace::storage::qmdb {

FileCareFigures::FileCareFigures(metrics::Registry& registry)
    : rewritten(registry.counter("millrace_state_files_rewritten_total",
                                 "Sealed files of the state engine that were rewritten")),
      bytes_before(registry.counter("millrace_state_rewrite_read_bytes_total",
                                    "Bytes of the files before they were rewritten")),
      bytes_after(registry.counter("millrace_state_rewrite_written_bytes_total",
                                   "Bytes of the files after they were rewritten")),
      put_off(registry.counter("millrace_state_rewrites_put_off_total",
                               "Rewritings of state files given up for want of room or time")),
      scrubbed_bytes(registry.counter("millrace_state_scrubbed_bytes_total",
                                      "Bytes of sealed state files read to be checked")),
      scrub_passes(registry.counter("millrace_state_scrub_passes_total",
                                    "Checks of all sealed state files")),
      scrub_last_pass(registry.gauge("millrace_state_scrub_last_pass_timestamp_seconds",
                                     "When the last check of all sealed state files ended")),
      errors(registry.counter("millrace_state_file_errors_total",
                              "Damage found in state files beside the commits, and failures of "
                              "the disk")) {}

namespace detail {

using std::chrono::microseconds;

FileCareThread::FileCareThread(FileSystem& fs, std::string directory, kernels::NodeHash hash,
                               kernels::Backend backend, bool map, const FileCareOptions& options)
    : fs_(fs),
      directory_(std::move(directory)),
      options_(options),
      figures_(options.figures ? options.figures : std::make_shared<FileCareFigures>(unread_)) {
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
    figures_->errors.add();
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
        figures_->rewritten.add();
        figures_->bytes_before.add(result->bytes_before);
        figures_->bytes_after.add(result->bytes_after);
        done_.rewritten = std::move(*result);
        return;
    }
    switch (result.error().code) {
        case ErrorCode::limit:
        case ErrorCode::unavailable:
        case ErrorCode::not_found: figures_->put_off.add(); return;
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
                figures_->scrub_last_pass.set(
                    std::chrono::duration_cast<std::chrono::seconds>(now).count());
                figures_->scrub_passes.add();
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
    figures_->scrubbed_bytes.add(*bytes);
    return microseconds{*bytes * 1'000'000 / options_.scrub_bytes_per_s};
}

}  // namespace detail
}  // namespace millrace::storage::qmdb
