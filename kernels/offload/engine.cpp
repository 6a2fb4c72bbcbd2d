// SPDX-License-Identifier: Apache-2.0
// Owns the offload engine's pool, its queue, and the fall-back from a failing device to the CPU.
#include "kernels/offload/engine.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "host/base/log.hpp"
#include "host/base/thread.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/offload/detail/device.hpp"
#include "kernels/secp256k1/recover_batch.hpp"

namespace millrace::kernels {

namespace {

/// Messages of one step of a blocking Keccak call: about 30 us of vector work.
constexpr size_t keccak_step_messages = 1024;

/// A callable over an index range that lives elsewhere: a blocking call allocates nothing.
class BodyRef {
public:
    template <class Body>
    explicit BodyRef(Body& body) noexcept
        : body_(&body), call_([](void* self, size_t begin, size_t end) {
              (*static_cast<Body*>(self))(begin, end);
          }) {}
    void operator()(size_t begin, size_t end) const { call_(body_, begin, end); }

private:
    void* body_;
    void (*call_)(void*, size_t, size_t);
};

/// Work of a blocking call. It lives on the caller's stack: the caller leaves only after the last
/// step that a worker took is finished. All members but the body are guarded by Impl::mutex.
struct Loop {
    BodyRef body;
    size_t count = 0;
    size_t step = 1;
    size_t next = 0;               ///< first index that nobody took
    size_t running = 0;            ///< steps being run
    std::condition_variable idle;  ///< running fell to 0 with nothing left to take
};

/// An asynchronous submission. Shared by the queue and by the workers that have parts of it; the
/// worker that finishes the last part calls `done` and lets it go.
struct Submission {
    std::vector<RecoverJob> jobs;
    std::vector<std::optional<Address>> senders;
    OffloadEngine::RecoverDone done;
    int64_t queued_us = 0;
    size_t weight = 0;         ///< the jobs, or 1 when there are none
    size_t next = 0;           ///< first job that nobody took; guarded by Impl::mutex
    std::atomic<size_t> left;  ///< jobs not finished; the last decrement publishes the senders
};

struct Part {
    std::shared_ptr<Submission> submission;
    size_t begin = 0;
    size_t end = 0;
};

/// What a worker took from the queue, and room for its jobs when they come from several
/// submissions; kept by the worker, so that nothing is allocated after a while.
struct Step {
    std::vector<Part> parts;
    std::vector<RecoverJob> jobs;
    std::vector<std::optional<Address>> senders;
};

enum class Fault : uint8_t { device_error, wrong_count, wrong_digest };
constexpr size_t fault_count = 3;

constexpr std::string_view to_string(Fault fault) noexcept {
    constexpr std::array<std::string_view, fault_count> names{"device_error", "wrong_count",
                                                              "wrong_digest"};
    return names[static_cast<size_t>(fault)];
}

/// Counts of one kernel on one back end.
struct BackendFigures {
    metrics::Counter* jobs = nullptr;
    metrics::Counter* batches = nullptr;
    metrics::Histogram* run = nullptr;

    BackendFigures(metrics::Registry& registry, std::string_view kernel, std::string_view backend) {
        const std::string labels =
            "kernel=\"" + std::string(kernel) + "\",backend=\"" + std::string(backend) + "\"";
        jobs = &registry.counter("millrace_offload_jobs_total", "Jobs done, by back end", labels);
        batches = &registry.counter("millrace_offload_batches_total",
                                    "Steps in which they were done; jobs over batches is the size",
                                    labels);
        run = &registry.histogram("millrace_offload_run_seconds", "Time of one step", labels);
    }

    void record(size_t job_count, int64_t us) const noexcept {
        jobs->add(job_count);
        batches->add();
        run->observe_us(static_cast<uint64_t>(std::max<int64_t>(us, 0)));
    }
};

struct Figures {
    metrics::Gauge& depth;
    metrics::Histogram& wait;
    metrics::Counter& refused;
    metrics::Counter& late;
    metrics::Counter& busy;
    metrics::Gauge& quarantined;
    BackendFigures recover;
    BackendFigures keccak_simd;
    BackendFigures keccak_device;
    std::array<metrics::Counter*, fault_count> fall_backs{};

    Figures(metrics::Registry& r, Backend recover_backend)
        : depth(r.gauge("millrace_offload_queue_jobs", "Submitted jobs that wait for a worker")),
          wait(
              r.histogram("millrace_offload_wait_seconds", "Time of a submitted job in the queue")),
          refused(r.counter("millrace_offload_refused_jobs_total", "Jobs refused by a full queue")),
          late(r.counter("millrace_offload_late_jobs_total",
                         "Jobs that waited longer than the deadline")),
          busy(r.counter("millrace_offload_device_busy_jobs_total",
                         "Jobs done on the CPU because the device was busy")),
          quarantined(r.gauge("millrace_offload_device_quarantined",
                              "1 after a device fault; the CPU does all work from then on")),
          recover(r, "secp256k1", to_string(recover_backend)),
          keccak_simd(r, "keccak", "simd"),
          keccak_device(r, "keccak", "cuda") {
        for (size_t i = 0; i < fault_count; ++i) {
            const std::string reason{to_string(static_cast<Fault>(i))};
            fall_backs[i] = &r.counter("millrace_offload_fall_backs_total",
                                       "Device batches redone on the CPU, by reason",
                                       "kernel=\"keccak\",reason=\"" + reason + "\"");
        }
    }
};

Result<void> check(const OffloadOptions& options) {
    const auto positive = [](std::string_view name, size_t value) -> Result<void> {
        if (value != 0) { return {}; }
        return fail(ErrorCode::config,
                    "offload option " + std::string(name) + " is 0; it must be at least 1");
    };
    MILLRACE_CHECK(positive("queue_jobs_max", options.queue_jobs_max));
    MILLRACE_CHECK(positive("batch_jobs_max", options.batch_jobs_max));
    MILLRACE_CHECK(positive("device_keccak_jobs_min", options.device_keccak_jobs_min));
    MILLRACE_CHECK(positive("recheck_one_in", options.recheck_one_in));
    return {};
}

size_t default_worker_count() { return std::max(1u, std::thread::hardware_concurrency()); }

}  // namespace

struct OffloadEngine::Impl {
    Impl(const OffloadOptions& given, std::unique_ptr<detail::KeccakDevice> accelerator)
        : options(given),
          device(std::move(accelerator)),
          own_registry(given.metrics == nullptr ? std::make_unique<metrics::Registry>() : nullptr),
          clock(given.clock != nullptr ? *given.clock : system_clock),
          recover_backend(given.recover_backend.value_or(fastest_recover_backend())),
          figures(own_registry ? *own_registry : *given.metrics, recover_backend) {
        metrics::Registry& registry = own_registry ? *own_registry : *given.metrics;
        const auto limit = [&](std::string_view name, std::string_view help, size_t value) {
            registry.gauge(name, help).set(static_cast<int64_t>(value));
        };
        limit("millrace_offload_queue_jobs_max", "Limit of the queue", options.queue_jobs_max);
        limit("millrace_offload_batch_jobs_max", "Limit of one step", options.batch_jobs_max);
        loops.reserve(64);
        started_workers = options.worker_count != 0 ? options.worker_count : default_worker_count();
        limit("millrace_offload_workers", "Threads of the pool", started_workers);
    }

    void start() {
        for (size_t i = 0; i < started_workers; ++i) {
            workers.emplace_back([this, i] {
                set_thread_name("offload-" + std::to_string(i));
                // The first worker does it, so that neither the start nor the first job waits.
                if (i == 0) { prepare_recovery(recover_backend); }
                work();
            });
        }
    }

    /// The life of a worker: steps of blocking calls first, since somebody waits for them, unless
    /// the oldest submitted job is over its deadline.
    void work() noexcept {
        worker_of = this;
        Step step;
        std::unique_lock lock(mutex);
        while (true) {
            if (!loops.empty() && !front_is_late()) {
                run_step(*loops.front(), lock);
            } else if (!queue.empty()) {
                take(step.parts);
                lock.unlock();
                run_parts(step);
                lock.lock();
            } else if (stopping) {
                return;
            } else {
                wake.wait(lock);
            }
        }
    }

    // The next four are called with the mutex held; run_step lets go of it while it works.

    bool front_is_late() const noexcept {
        return !queue.empty() && clock.steady_us() - queue.front()->queued_us >
                                     static_cast<int64_t>(options.deadline_us);
    }

    /// Takes one step of a loop that has one, and runs it without the lock.
    void run_step(Loop& loop, std::unique_lock<std::mutex>& lock) noexcept {
        const size_t begin = loop.next;
        const size_t end = std::min(loop.count, begin + loop.step);
        loop.next = end;
        ++loop.running;
        // A loop leaves the list with its last step; until then it goes to the back, so that
        // several callers share the workers.
        const auto place = std::find(loops.begin(), loops.end(), &loop);
        loops.erase(place);
        if (end != loop.count) { loops.push_back(&loop); }
        lock.unlock();
        loop.body(begin, end);
        lock.lock();
        // Once the caller can see running == 0 and gets the mutex, the loop may be gone.
        if (--loop.running == 0 && loop.next == loop.count) { loop.idle.notify_one(); }
    }

    /// `jobs`, or one where that is zero, rounded up to full vectors (an empty lane takes as long
    /// as a full one), at most batch_jobs_max.
    size_t in_full_vectors(size_t jobs) const noexcept {
        const size_t lanes = recover_lanes(recover_backend);
        const size_t vectors = (std::max<size_t>(jobs, 1) + lanes - 1) / lanes;
        return std::min<size_t>(vectors * lanes, options.batch_jobs_max);
    }

    /// A fair share of the queue, oldest first.
    void take(std::vector<Part>& parts) {
        size_t room = in_full_vectors((queued_jobs + started_workers - 1) / started_workers);
        // All of a batch are called back at its end. Without lanes a batch saves an eighth of the
        // time, for which nobody should wait for many others.
        constexpr size_t laneless_batch_jobs = 8;
        if (recover_lanes(recover_backend) == 1) { room = std::min(room, laneless_batch_jobs); }
        while (room != 0 && !queue.empty()) {
            Submission& front = *queue.front();
            const size_t n = std::min(room, front.weight - front.next);
            parts.push_back({queue.front(), front.next, front.next + n});
            front.next += n;
            room -= n;
            set_depth(queued_jobs - n);
            if (front.next == front.weight) { queue.pop_front(); }
        }
        // One submission wakes one worker; what that one leaves wakes the next.
        if (!queue.empty()) { wake.notify_one(); }
    }

    void set_depth(size_t jobs) noexcept {
        queued_jobs = jobs;
        depth.store(jobs, std::memory_order_relaxed);  // A figure for observers only.
        figures.depth.set(static_cast<int64_t>(jobs));
    }

    void recover(std::span<const RecoverJob> jobs, std::span<std::optional<Address>> senders) {
        const int64_t start_us = clock.steady_us();
        const Result<void> recovered = recover_addresses(recover_backend, jobs, senders);
        MILLRACE_ASSERT(recovered.has_value(), "create() has checked the back end");
        figures.recover.record(jobs.size(), clock.steady_us() - start_us);
    }

    void run_parts(Step& step) noexcept {
        const int64_t start_us = clock.steady_us();
        size_t job_count = 0;
        for (const Part& part : step.parts) {
            const int64_t waited_us = std::max<int64_t>(start_us - part.submission->queued_us, 0);
            figures.wait.observe_us(static_cast<uint64_t>(waited_us));
            if (waited_us > static_cast<int64_t>(options.deadline_us)) {
                figures.late.add(part.end - part.begin);
            }
            job_count += part.submission->jobs.empty() ? 0 : part.end - part.begin;
        }
        if (job_count != 0) { recover_parts(step); }
        for (Part& part : step.parts) {
            // acq_rel: the last to finish sees the senders that the others wrote.
            const size_t n = part.end - part.begin;
            if (part.submission->left.fetch_sub(n, std::memory_order_acq_rel) == n) {
                part.submission->done(std::move(part.submission->senders));
            }
        }
        step.parts.clear();
    }

    /// Recovers the parts' jobs in one batch: transactions mostly come one by one, and only
    /// together do they fill the lanes of a vector.
    void recover_parts(Step& step) {
        if (step.parts.size() == 1) {
            const Part& part = step.parts.front();
            const size_t n = part.end - part.begin;
            recover(std::span(part.submission->jobs).subspan(part.begin, n),
                    std::span(part.submission->senders).subspan(part.begin, n));
            return;
        }
        step.jobs.clear();
        for (const Part& part : step.parts) {
            if (part.submission->jobs.empty()) { continue; }
            const auto first = part.submission->jobs.begin();
            step.jobs.insert(step.jobs.end(), first + static_cast<ptrdiff_t>(part.begin),
                             first + static_cast<ptrdiff_t>(part.end));
        }
        step.senders.resize(step.jobs.size());
        recover(step.jobs, step.senders);
        auto sender = step.senders.begin();
        for (const Part& part : step.parts) {
            if (part.submission->jobs.empty()) { continue; }
            const auto n = static_cast<ptrdiff_t>(part.end - part.begin);
            std::copy(sender, sender + n,
                      part.submission->senders.begin() + static_cast<ptrdiff_t>(part.begin));
            sender += n;
        }
    }

    /// Runs body over [0, count) on this thread and whichever workers are free.
    template <class Body>
    void run_loop(size_t count, size_t step, Body body) {
        if (count <= step) {
            if (count != 0) { body(0, count); }
            return;
        }
        Loop loop{.body = BodyRef(body), .count = count, .step = step};
        std::unique_lock lock(mutex);
        loops.push_back(&loop);
        wake.notify_all();
        while (loop.next != loop.count) { run_step(loop, lock); }
        loop.idle.wait(lock, [&] { return loop.running == 0; });
    }

    void keccak256_on_cpu(std::span<const ByteView> messages, std::span<Hash256> digests) {
        run_loop(messages.size(), keccak_step_messages, [&](size_t begin, size_t end) {
            const int64_t start_us = clock.steady_us();
            const Result<void> hashed =
                keccak256_batch(Backend::simd, messages.subspan(begin, end - begin),
                                digests.subspan(begin, end - begin));
            MILLRACE_ASSERT(hashed.has_value(), "the vector back end takes every batch");
            figures.keccak_simd.record(end - begin, clock.steady_us() - start_us);
        });
    }

    /// Whether the device hashed the batch and its digests were accepted.
    bool keccak256_on_device(std::span<const ByteView> messages, std::span<Hash256> digests) {
        const std::unique_lock turn(device_mutex, std::try_to_lock);
        if (!turn.owns_lock()) {
            // Waiting would cost more than the CPU does.
            figures.busy.add(messages.size());
            return false;
        }
        if (device_quarantined.load(std::memory_order_relaxed)) { return false; }
        const int64_t start_us = clock.steady_us();
        device_digests.clear();
        const Result<void> hashed = device->keccak256(messages, device_digests);
        if (!hashed) {
            quarantine(Fault::device_error, hashed.error().message);
            return false;
        }
        if (device_digests.size() != messages.size()) {
            quarantine(Fault::wrong_count, "gave " + std::to_string(device_digests.size()) +
                                               " digests for " + std::to_string(messages.size()) +
                                               " messages");
            return false;
        }
        if (const std::optional<size_t> wrong = find_wrong_digest(messages)) {
            quarantine(Fault::wrong_digest, "gave a wrong digest for message " +
                                                std::to_string(*wrong) + " of " +
                                                std::to_string(messages.size()));
            return false;
        }
        std::copy(device_digests.begin(), device_digests.end(), digests.begin());
        figures.keccak_device.record(messages.size(), clock.steady_us() - start_us);
        return true;
    }

    /// Recomputes the first, the last and one of each recheck_one_in digests between, at a place
    /// that moves from batch to batch.
    std::optional<size_t> find_wrong_digest(std::span<const ByteView> messages) {
        const auto wrong = [&](size_t i) {
            return device_digests[i] != kernels::keccak256(messages[i]);
        };
        if (wrong(0)) { return 0; }
        const size_t last = messages.size() - 1;
        if (wrong(last)) { return last; }
        recheck_state = recheck_state * 6364136223846793005u + 1442695040888963407u;
        for (size_t i = (recheck_state >> 33) % options.recheck_one_in; i < last;
             i += options.recheck_one_in) {
            if (wrong(i)) { return i; }
        }
        return {};
    }

    void quarantine(Fault fault, const std::string& what) {
        figures.fall_backs[static_cast<size_t>(fault)]->add();
        figures.quarantined.set(1);
        {
            const std::lock_guard lock(mutex);
            quarantine_reason = "quarantined: " + what;
        }
        device_quarantined.store(true, std::memory_order_relaxed);
        log::warn("offload device quarantined; its batch is redone on the CPU",
                  {{"kernel", "keccak"}, {"reason", to_string(fault)}, {"what", what}});
    }

    const OffloadOptions options;
    const std::unique_ptr<detail::KeccakDevice> device;  ///< null when the policy leaves it out
    const std::unique_ptr<metrics::Registry> own_registry;
    const SystemClock system_clock;
    const Clock& clock;
    const Backend recover_backend;
    Figures figures;
    size_t started_workers = 0;

    std::mutex mutex;  ///< guards the next group
    std::condition_variable wake;
    std::vector<Loop*> loops;  ///< blocking calls with steps to take; the callers own them
    std::deque<std::shared_ptr<Submission>> queue;
    size_t queued_jobs = 0;
    bool stopping = false;
    std::string quarantine_reason;

    std::atomic<size_t> depth{0};  ///< queued_jobs for observers

    std::mutex device_mutex;  ///< guards the device and the next two
    std::vector<Hash256> device_digests;
    uint64_t recheck_state = 1;
    std::atomic<bool> device_quarantined{false};  ///< relaxed: a late reader only tries once more

    std::mutex join_mutex;  ///< guards workers
    std::vector<std::thread> workers;

    static thread_local const Impl* worker_of;
};

thread_local const OffloadEngine::Impl* OffloadEngine::Impl::worker_of = nullptr;

OffloadEngine::OffloadEngine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
    impl_->start();
}

Result<std::unique_ptr<OffloadEngine>> OffloadEngine::create(const OffloadOptions& options) {
    std::unique_ptr<detail::KeccakDevice> device;
    if (options.cuda != CudaPolicy::off) { device = detail::make_cuda_keccak_device(); }
    return create_with_device(options, std::move(device));
}

Result<std::unique_ptr<OffloadEngine>>
OffloadEngine::create_with_device(const OffloadOptions& options,
                                  std::unique_ptr<detail::KeccakDevice> device) {
    MILLRACE_CHECK(check(options));
    if (options.cuda == CudaPolicy::on) {
        const BackendStatus status = device ? device->status() : BackendStatus{};
        if (!status.available) {
            return fail(ErrorCode::unavailable,
                        "the CUDA policy is 'on' but there is no usable device (" + status.reason +
                            "); set it to 'auto' to run on the CPU");
        }
    }
    if (options.recover_backend) {
        const BackendStatus status = recover_backend_status(*options.recover_backend);
        if (!status.available) {
            return fail(ErrorCode::unavailable,
                        "the back end '" + std::string(to_string(*options.recover_backend)) +
                            "' for recovery cannot be used (" + status.reason +
                            "); leave it out to use the fastest one here");
        }
    }
    auto impl = std::make_unique<Impl>(options, std::move(device));
    if (impl->device && !impl->device->status().available) { impl->device_quarantined = true; }
    return std::unique_ptr<OffloadEngine>(new OffloadEngine(std::move(impl)));
}

OffloadEngine::~OffloadEngine() { shutdown(); }

void OffloadEngine::recover_senders(std::span<const RecoverJob> jobs,
                                    std::span<std::optional<Address>> senders) {
    MILLRACE_ASSERT(jobs.size() == senders.size(), "one sender for each job");
    // Small enough steps that the last ones end at about the same time.
    const size_t hands = impl_->started_workers + 1;
    const size_t step = impl_->in_full_vectors(jobs.size() / (4 * hands));
    impl_->run_loop(jobs.size(), step, [&](size_t begin, size_t end) {
        impl_->recover(jobs.subspan(begin, end - begin), senders.subspan(begin, end - begin));
    });
}

void OffloadEngine::keccak256(std::span<const ByteView> messages, std::span<Hash256> digests) {
    MILLRACE_ASSERT(messages.size() == digests.size(), "one digest for each message");
    if (messages.empty()) { return; }
    const bool try_device = impl_->device != nullptr &&
                            messages.size() >= impl_->options.device_keccak_jobs_min &&
                            !impl_->device_quarantined.load(std::memory_order_relaxed);
    if (try_device && impl_->keccak256_on_device(messages, digests)) { return; }
    impl_->keccak256_on_cpu(messages, digests);
}

Result<void> OffloadEngine::submit_recover(std::vector<RecoverJob> jobs, RecoverDone done) {
    MILLRACE_ASSERT(done != nullptr, "a submission needs a callback");
    auto submission = std::make_shared<Submission>();
    submission->weight = std::max<size_t>(jobs.size(), 1);
    submission->left.store(submission->weight, std::memory_order_relaxed);
    submission->senders.resize(jobs.size());
    submission->jobs = std::move(jobs);
    submission->done = std::move(done);
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->stopping) {
            return fail(ErrorCode::unavailable, "the offload engine is shutting down");
        }
        if (submission->weight > impl_->options.queue_jobs_max - impl_->queued_jobs) {
            impl_->figures.refused.add(submission->weight);
            return fail(ErrorCode::limit,
                        "the recovery queue holds " + std::to_string(impl_->queued_jobs) + " of " +
                            std::to_string(impl_->options.queue_jobs_max) +
                            " jobs and cannot take " + std::to_string(submission->weight) +
                            " more; retry later or send less");
        }
        submission->queued_us = impl_->clock.steady_us();
        impl_->set_depth(impl_->queued_jobs + submission->weight);
        impl_->queue.push_back(std::move(submission));
    }
    impl_->wake.notify_one();
    return {};
}

void OffloadEngine::shutdown() {
    MILLRACE_ASSERT(Impl::worker_of != impl_.get(), "a callback must not shut its engine down");
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->wake.notify_all();
    const std::lock_guard lock(impl_->join_mutex);
    for (std::thread& worker : impl_->workers) { worker.join(); }
    impl_->workers.clear();
}

size_t OffloadEngine::queue_depth_jobs() const noexcept {
    return impl_->depth.load(std::memory_order_relaxed);
}

size_t OffloadEngine::worker_count() const noexcept { return impl_->started_workers; }

std::vector<BackendStatus> OffloadEngine::backends() const {
    std::vector<BackendStatus> all;
    all.push_back(keccak_backend_status(Backend::scalar));
    all.push_back(keccak_backend_status(Backend::simd));
    BackendStatus accelerator{
        .kernel = "keccak", .backend = Backend::cuda, .reason = "off by configuration"};
    if (impl_->device) {
        accelerator = impl_->device->status();
        const std::lock_guard lock(impl_->mutex);
        if (!impl_->quarantine_reason.empty()) {
            accelerator.available = false;
            accelerator.reason = impl_->quarantine_reason;
        }
    }
    all.push_back(std::move(accelerator));
    all.push_back(recover_backend_status(Backend::scalar));
    all.push_back(recover_backend_status(Backend::simd));
    return all;
}

}  // namespace millrace::kernels
