// SPDX-License-Identifier: Apache-2.0
// Owns how the parts of the offload engine are put together, and the calls from outside.
#include "kernels/offload/engine.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "host/base/log.hpp"
#include "host/base/thread.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/offload/detail/calibration.hpp"
#include "kernels/offload/detail/device_lane.hpp"
#include "kernels/offload/detail/pool.hpp"
#include "kernels/secp256k1/recover_batch.hpp"

namespace millrace::kernels {

namespace {

using detail::Costs;
using detail::Kernel;

/// Messages of one step of a blocking Keccak call: about 30 us of vector work.
constexpr size_t keccak_step_messages = 1024;
/// Signatures in flight that keep a large device busy: 128 to each of 132 multiprocessors.
constexpr size_t saturation_jobs = 16'896;
/// How often a call of the driver is looked at until it counts as lost.
constexpr uint32_t call_looks = 4;
/// The start must not take longer than 300 ms for it, and may begin a last batch at this time.
constexpr int64_t measure_budget_us = 200'000;

constexpr size_t index_of(Kernel kernel) { return static_cast<size_t>(kernel); }

Result<void> check(const OffloadOptions& options) {
    const auto positive = [](std::string_view name, size_t value) -> Result<void> {
        if (value != 0) { return {}; }
        return fail(ErrorCode::config,
                    "offload option " + std::string(name) + " is 0; it must be at least 1");
    };
    MILLRACE_CHECK(positive("queue_jobs_max", options.queue_jobs_max));
    MILLRACE_CHECK(positive("batch_jobs_max", options.batch_jobs_max));
    MILLRACE_CHECK(positive("deadline_us", options.deadline_us));
    MILLRACE_CHECK(
        positive("device_recover_jobs_min", options.device_recover_jobs_min.value_or(1)));
    MILLRACE_CHECK(positive("device_keccak_jobs_min", options.device_keccak_jobs_min.value_or(1)));
    MILLRACE_CHECK(positive("device_timeout_us", options.device_timeout_us));
    MILLRACE_CHECK(positive("device_call_timeout_us", options.device_call_timeout_us));
    MILLRACE_CHECK(positive("recheck_one_in", options.recheck_one_in));
    return {};
}

size_t worker_count_of(const OffloadOptions& options) {
    return options.worker_count != 0 ? options.worker_count
                                     : std::max(1u, std::thread::hardware_concurrency());
}

bool answers(const detail::Device& device) {
    return device.status(Kernel::secp256k1).available && device.status(Kernel::keccak).available;
}

/// A device that is used, the costs by which, and why it is not after all.
struct Machine {
    std::unique_ptr<detail::Device> device;
    bool device_up = false;
    std::string device_fault;
    Costs costs;
};

void measure(Machine& machine, const OffloadOptions& options, Backend recover_backend) {
    const std::string key = detail::cost_key(machine.device->identity(), recover_backend);
    if (!options.cost_file.empty()) {
        if (const auto kept = detail::load_costs(options.cost_file, key)) {
            machine.costs = *kept;
            return;
        }
    }
    const Result<Costs> measured =
        detail::measure_costs(*machine.device, recover_backend, measure_budget_us);
    if (!measured) {
        machine.device_up = false;
        machine.device_fault = "quarantined: " + measured.error().message;
        log::warn("offload device not used", {{"reason", measured.error().message}});
        return;
    }
    machine.costs = *measured;
    if (options.cost_file.empty()) { return; }
    if (const auto stored = detail::store_costs(options.cost_file, key, *measured); !stored) {
        log::warn("measured costs not kept", {{"reason", stored.error().message}});
    }
}

Machine make_machine(const OffloadOptions& options, std::unique_ptr<detail::Device> device,
                     Backend recover_backend) {
    Machine machine;
    machine.device = std::move(device);
    machine.device_up = machine.device != nullptr && answers(*machine.device);
    machine.costs = detail::prior_costs(recover_backend);
    if (machine.device_up && options.measure_costs) { measure(machine, options, recover_backend); }
    return machine;
}

detail::DispatchLimits dispatch_limits(const OffloadOptions& options, const Machine& machine,
                                       Backend recover_backend) {
    detail::DispatchLimits limits;
    limits.workers = worker_count_of(options);
    limits.lanes = recover_lanes(recover_backend);
    limits.batch_jobs_max = options.batch_jobs_max;
    limits.deadline_us = options.deadline_us;
    limits.steal = options.steal;
    const auto least = [&](Kernel kernel, const std::optional<size_t>& given) {
        return given.value_or(
            detail::latency_crossover(machine.costs[index_of(kernel)], limits.workers));
    };
    limits.device_items_min = {least(Kernel::secp256k1, options.device_recover_jobs_min),
                               least(Kernel::keccak, options.device_keccak_jobs_min)};
    return limits;
}

detail::LaneOptions lane_options(const OffloadOptions& options, const Machine& machine,
                                 const detail::DispatchLimits& limits) {
    const detail::KernelCost& recover = machine.costs[index_of(Kernel::secp256k1)];
    const size_t most = machine.device->batch_jobs_max(Kernel::secp256k1);
    detail::LaneOptions lane;
    lane.timeout_us = options.device_timeout_us;
    lane.recheck_one_in = options.recheck_one_in;
    lane.device_cost = {recover.device, machine.costs[index_of(Kernel::keccak)].device};
    lane.queue.deadline_us = options.deadline_us;
    lane.queue.latency_crossover = limits.device_items_min[index_of(Kernel::secp256k1)];
    lane.queue.cpu_time_crossover =
        options.device_recover_jobs_min.value_or(detail::cpu_time_crossover(recover));
    lane.queue.saturation_jobs = std::min(saturation_jobs, most);
    lane.queue.batch_jobs_max = most;
    lane.queue.device = recover.device;
    return lane;
}

}  // namespace

struct OffloadEngine::Impl {
    Impl(const OffloadOptions& given, std::unique_ptr<detail::Device> device, Backend backend)
        : options(given),
          machine(make_machine(given, std::move(device), backend)),
          own_registry(given.metrics == nullptr ? std::make_unique<metrics::Registry>() : nullptr),
          clock(given.clock != nullptr ? *given.clock : system_clock),
          figures(registry(), backend),
          cpu(backend, clock, figures),
          limits(dispatch_limits(options, machine, backend)),
          intake(detail::read_numa_topology(), options.queue_jobs_max, running_jobs_max(),
                 used_device()),
          dispatch(intake, limits, machine.device_up),
          lane(machine.device_up ? std::make_unique<detail::DeviceLane>(
                                       *machine.device, dispatch, cpu, figures, clock,
                                       lane_options(options, machine, limits))
                                 : nullptr),
          pool(dispatch, lane.get(), cpu, figures, clock) {
        const auto limit = [&](std::string_view name, std::string_view help, size_t value) {
            registry().gauge(name, help).set(static_cast<int64_t>(value));
        };
        limit("millrace_offload_queue_jobs_max", "Limit of the queue", options.queue_jobs_max);
        limit("millrace_offload_batch_jobs_max", "Limit of one step", options.batch_jobs_max);
        limit("millrace_offload_workers", "Threads of the pool", limits.workers);
        if (!machine.device_fault.empty()) { figures.quarantined.set(1); }
        if (lane == nullptr) { return; }
        log::info("offload device",
                  {{"device", machine.device->status(Kernel::secp256k1).target},
                   {"recover_jobs_min", limits.device_items_min[index_of(Kernel::secp256k1)]},
                   {"keccak_jobs_min", limits.device_items_min[index_of(Kernel::keccak)]},
                   {"memory_nodes", intake.node_count()},
                   {"pinned_rings", intake.pinned()}});
    }

    metrics::Registry& registry() { return own_registry ? *own_registry : *options.metrics; }
    detail::Device* used_device() { return machine.device_up ? machine.device.get() : nullptr; }
    /// Jobs that may have been taken and not be finished.
    size_t running_jobs_max() {
        size_t jobs = limits.workers * limits.batch_jobs_max;
        if (machine.device_up) {
            jobs +=
                machine.device->slot_count() * machine.device->batch_jobs_max(Kernel::secp256k1);
        }
        return jobs;
    }

    static void start(const std::shared_ptr<Impl>& self) {
        self->pool.start(self->limits.workers);
        if (!self->lane) { return; }
        // The thread keeps what a call of the driver may use, should that not return.
        self->lane_thread = std::thread([self] {
            self->drive_lane();
            const std::lock_guard lock(self->lane_mutex);
            self->lane_returned = true;
            self->lane_changed.notify_all();
        });
        self->watch_thread = std::thread([impl = self.get()] { impl->watch_lane(); });
    }

    /// The life of the thread that watches the device's thread.
    void watch_lane() {
        set_thread_name("offload-watch");
        const std::chrono::microseconds between(
            std::max<uint32_t>(options.device_call_timeout_us / call_looks, 1));
        std::unique_lock lock(lane_mutex);
        while (!lane_changed.wait_for(lock, between, [&] { return lane_returned; })) {
            lock.unlock();
            const bool gave_up = lane->watch(call_looks);
            lock.lock();
            if (!gave_up) { continue; }
            lane_given_up = true;
            lane_changed.notify_all();
            return;
        }
    }

    /// Ends the device's thread, or leaves it behind where it is in a call that does not return.
    void end_lane() {
        lane->stop();
        lane_stopping.store(true, std::memory_order_release);
        dispatch.device_work.notify();
        bool returned = false;
        {
            std::unique_lock lock(lane_mutex);
            lane_changed.wait(lock, [&] { return lane_returned || lane_given_up; });
            returned = lane_returned;
        }
        watch_thread.join();
        if (returned) {
            lane_thread.join();
        } else {
            log::warn("a call of the offload device's driver does not return; its thread and the "
                      "memory that it may use are left behind",
                      {{"device", machine.device->status(Kernel::secp256k1).target}});
            lane_thread.detach();
        }
        dispatch.device_finished();
    }

    /// The life of the device's thread.
    void drive_lane() {
        set_thread_name("offload-device");
        constexpr int64_t asleep_us = 1'000'000;
        while (!(lane_stopping.load(std::memory_order_acquire) && lane->idle())) {
            int64_t nap_us = lane->step();
            if (lane->disowned()) { return; }
            if (nap_us < 0) {
                const uint32_t key = dispatch.device_work.prepare();
                nap_us = lane->step();
                if (lane->disowned()) {
                    dispatch.device_work.cancel();
                    return;
                }
                if (nap_us < 0 &&
                    !(lane_stopping.load(std::memory_order_acquire) && lane->idle())) {
                    dispatch.device_work.wait(key, asleep_us);
                    continue;
                }
                dispatch.device_work.cancel();
            }
            if (nap_us > 0) { std::this_thread::sleep_for(std::chrono::microseconds(nap_us)); }
        }
    }

    void run(detail::Call& call) {
        const bool for_device = dispatch.has_device() &&
                                call.untaken() >= limits.device_items_min[index_of(call.kernel)];
        if (call.untaken() <= call.step && !for_device) {
            pool.run_alone(call);
        } else {
            pool.run(call);
        }
    }

    const OffloadOptions options;
    Machine machine;
    const std::unique_ptr<metrics::Registry> own_registry;
    const SystemClock system_clock;
    const Clock& clock;
    detail::Figures figures;
    detail::CpuKernels cpu;
    const detail::DispatchLimits limits;
    detail::Intake intake;
    detail::Dispatch dispatch;
    const std::unique_ptr<detail::DeviceLane> lane;  ///< null when no device is used
    detail::Pool pool;

    std::atomic<bool> lane_stopping{false};
    std::mutex join_mutex;  ///< guards the end of the next two
    std::thread lane_thread;
    std::thread watch_thread;

    std::mutex lane_mutex;  ///< guards the next three
    std::condition_variable lane_changed;
    bool lane_returned = false;  ///< the device's thread makes no call any more
    bool lane_given_up = false;  ///< the device is lost, whether its thread comes back or not
};

OffloadEngine::OffloadEngine(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {
    Impl::start(impl_);
}

Result<std::unique_ptr<OffloadEngine>> OffloadEngine::create(const OffloadOptions& options) {
    std::unique_ptr<detail::Device> device;
    if (options.cuda != CudaPolicy::off) { device = detail::make_cuda_device(); }
    return create_with_device(options, std::move(device));
}

Result<std::unique_ptr<OffloadEngine>>
OffloadEngine::create_with_device(const OffloadOptions& options,
                                  std::unique_ptr<detail::Device> device) {
    MILLRACE_CHECK(check(options));
    const Backend backend = options.recover_backend.value_or(fastest_recover_backend());
    if (const BackendStatus status = recover_backend_status(backend); !status.available) {
        return fail(ErrorCode::unavailable, "the back end '" + std::string(to_string(backend)) +
                                                "' for recovery cannot be used (" + status.reason +
                                                "); leave it out to use the fastest one here");
    }
    auto impl = std::make_shared<Impl>(options, std::move(device), backend);
    if (options.cuda == CudaPolicy::on && !impl->machine.device_up) {
        std::string reason = impl->machine.device_fault;
        if (reason.empty() && impl->machine.device) {
            const BackendStatus recover = impl->machine.device->status(Kernel::secp256k1);
            reason = recover.available ? impl->machine.device->status(Kernel::keccak).reason
                                       : recover.reason;
        }
        return fail(ErrorCode::unavailable,
                    "the CUDA policy is 'on' but there is no usable device (" + reason +
                        "); set it to 'auto' to run on the CPU");
    }
    return std::unique_ptr<OffloadEngine>(new OffloadEngine(std::move(impl)));
}

OffloadEngine::~OffloadEngine() { shutdown(); }

void OffloadEngine::recover_senders(std::span<const RecoverJob> jobs,
                                    std::span<std::optional<Address>> senders) {
    MILLRACE_ASSERT(jobs.size() == senders.size(), "one sender for each job");
    // Small enough steps that the last ones end at about the same time.
    const size_t hands = impl_->limits.workers + 1;
    detail::Call call;
    call.kernel = Kernel::secp256k1;
    call.jobs = jobs;
    call.senders = senders;
    call.end = jobs.size();
    call.step = impl_->dispatch.in_full_vectors(jobs.size() / (4 * hands));
    impl_->run(call);
}

void OffloadEngine::keccak256(std::span<const ByteView> messages, std::span<Hash256> digests) {
    MILLRACE_ASSERT(messages.size() == digests.size(), "one digest for each message");
    detail::Call call;
    call.kernel = Kernel::keccak;
    call.messages = messages;
    call.digests = digests;
    call.end = messages.size();
    call.step = keccak_step_messages;
    impl_->run(call);
}

Result<void> OffloadEngine::submit_recover(std::vector<RecoverJob> jobs, RecoverDone done,
                                           Urgency urgency) {
    MILLRACE_ASSERT(done != nullptr, "a submission needs a callback");
    const size_t weight = std::max<size_t>(jobs.size(), 1);
    const Result<void> submitted =
        impl_->intake.submit(std::move(jobs), std::move(done), urgency, impl_->clock.steady_us());
    if (!submitted) {
        if (submitted.error().code == ErrorCode::limit) { impl_->figures.refused.add(weight); }
        return submitted;
    }
    impl_->pool.notify_submitted(impl_->intake.depth());
    if (impl_->dispatch.has_device()) { impl_->dispatch.device_work.notify(); }
    return {};
}

void OffloadEngine::shutdown() {
    MILLRACE_ASSERT(!impl_->pool.is_worker_here(), "a callback must not shut its engine down");
    impl_->intake.close();
    const std::lock_guard lock(impl_->join_mutex);
    const bool lane_runs = impl_->lane_thread.joinable();
    impl_->dispatch.stop(lane_runs);
    impl_->dispatch.device_down();
    if (lane_runs) { impl_->end_lane(); }
    impl_->pool.join();
}

size_t OffloadEngine::queue_depth_jobs() const noexcept { return impl_->intake.depth(); }

size_t OffloadEngine::worker_count() const noexcept { return impl_->limits.workers; }

std::vector<BackendStatus> OffloadEngine::backends() const {
    const auto on_device = [&](Kernel kernel) {
        BackendStatus status{.kernel = to_string(kernel),
                             .backend = Backend::cuda,
                             .reason = "off by configuration"};
        if (impl_->machine.device == nullptr) { return status; }
        status = impl_->machine.device->status(kernel);
        const std::string fault =
            impl_->lane ? impl_->lane->quarantine_reason() : impl_->machine.device_fault;
        if (!fault.empty()) {
            status.available = false;
            status.reason = fault;
        }
        return status;
    };
    return {keccak_backend_status(Backend::scalar),
            keccak_backend_status(Backend::simd),
            on_device(Kernel::keccak),
            recover_backend_status(Backend::scalar),
            recover_backend_status(Backend::simd),
            on_device(Kernel::secp256k1)};
}

std::vector<BackendCost> OffloadEngine::costs() const {
    const detail::Figures& f = impl_->figures;
    const std::string_view recover = to_string(Kernel::secp256k1);
    const std::string_view keccak = to_string(Kernel::keccak);
    std::vector<BackendCost> all{
        {recover, impl_->cpu.recover_backend(), f.recover_cpu.cpu_us_per_item()},
        {keccak, Backend::simd, f.keccak_cpu.cpu_us_per_item()}};
    if (impl_->lane) {
        all.push_back({recover, Backend::cuda, f.recover_device.cpu_us_per_item()});
        all.push_back({keccak, Backend::cuda, f.keccak_device.cpu_us_per_item()});
    }
    return all;
}

}  // namespace millrace::kernels
