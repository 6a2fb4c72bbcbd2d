// SPDX-License-Identifier: Apache-2.0
// Owns the interpretation of a script as a schedule of the engine, and the count of its results.
#include "tests/kernels/offload/schedule.hpp"

#include <algorithm>
#include <list>

#include "kernels/offload/detail/device_lane.hpp"
#include "kernels/offload/detail/pool.hpp"
#include "kernels/secp256k1/recover_batch.hpp"
#include "tests/kernels/offload/cases.hpp"
#include "tests/kernels/offload/fake_device.hpp"

namespace millrace::kernels {

namespace {

/// Inputs that all runs draw from, with what libsecp256k1 and the scalar hash say.
struct Inputs {
    std::vector<RecoverJob> jobs;
    std::vector<std::optional<Address>> senders;
    KeccakCase hashes = keccak_case(256, 3);
};

const Inputs& inputs() {
    static const Inputs made = [] {
        Inputs in;
        in.jobs = recover_case(256, 2).jobs;
        for (const RecoverJob& job : in.jobs) { in.senders.push_back(recover_address(job)); }
        return in;
    }();
    return made;
}

class Script {
public:
    explicit Script(std::span<const uint8_t> bytes) : bytes_(bytes) {}
    bool ended() const { return bytes_.empty(); }
    /// A number below `bound`, at most 256; 0 when the script has ended.
    size_t below(size_t bound) {
        if (bytes_.empty()) { return 0; }
        const size_t value = bytes_.front() % bound;
        bytes_ = bytes_.subspan(1);
        return value;
    }

private:
    std::span<const uint8_t> bytes_;
};

/// What became of one submission or call.
struct Expected {
    size_t first = 0;  ///< of the inputs
    size_t count = 0;
    size_t answers = 0;
};

struct OpenCall {
    Expected expected;
    std::vector<std::optional<Address>> senders;
    std::vector<Hash256> digests;
    detail::Call call;
};

class Run {
public:
    explicit Run(std::span<const uint8_t> bytes) : script_(bytes) {
        device_.has_pinned_memory = options_.pinned;
        device_.stuck = [this] { watch_stuck_call(); };
    }

    ScheduleOutcome run() {
        while (!script_.ended() && wrong_.empty()) { act(); }
        close();
        for (const Expected& e : submissions_) {
            if (e.answers != 1) {
                report("a submission of " + std::to_string(e.count) + " was answered " +
                       std::to_string(e.answers) + " times");
            }
        }
        for (const OpenCall& open : calls_) { check_call(open); }
        if (intake_.depth() != 0) { report("jobs are still counted as waiting"); }
        ScheduleOutcome outcome;
        outcome.wrong = wrong_;
        outcome.submissions = submissions_.size();
        outcome.calls = calls_.size();
        outcome.device_batches = device_.batches.load();
        for (const char* kernel : {"secp256k1", "keccak"}) {
            outcome.device_items +=
                registry_
                    .counter("millrace_offload_jobs_total", "",
                             "kernel=\"" + std::string(kernel) + "\",backend=\"cuda\"")
                    .value();
        }
        outcome.quarantined = !lane_.up();
        return outcome;
    }

private:
    /// The first bytes choose the limits.
    struct Options {
        explicit Options(Script& script)
            : queue_jobs_max(1 + script.below(200)),
              workers(1 + script.below(3)),
              slots(static_cast<uint32_t>(1 + script.below(3))),
              device_jobs_max(8 + script.below(60)),
              device_jobs_min(1 + script.below(32)),
              deadline_us(static_cast<int64_t>(1 + 4 * script.below(200))),
              steal(script.below(2) != 0),
              pinned(script.below(2) != 0),
              lanes(script.below(2) != 0 ? 8 : 1),
              batch_jobs_max(1 + script.below(24)) {}
        size_t queue_jobs_max;
        size_t workers;
        uint32_t slots;
        size_t device_jobs_max;
        size_t device_jobs_min;
        int64_t deadline_us;
        bool steal;
        bool pinned;
        size_t lanes;
        size_t batch_jobs_max;
    };

    void report(const std::string& what) {
        if (wrong_.empty()) { wrong_ = what; }
    }

    void act() {
        switch (script_.below(8)) {
            case 0: submit(script_.below(4) == 0 ? Urgency::express : Urgency::latency); break;
            case 1: submit(Urgency::throughput); break;
            case 2:
            case 3: pool_.run_one(states_[script_.below(options_.workers)]); break;
            case 4: step(); break;
            case 5: clock_.advance_us(static_cast<int64_t>(script_.below(256)) * 8); break;
            case 6: call(); break;
            default: device_.paused = script_.below(2) != 0; break;
        }
    }

    void step() {
        if (!lane_.disowned()) { lane_.step(); }
    }

    /// The thread of step() is in a call: that of watch() and the workers go on. The call returns
    /// before the device is given up, or after.
    void watch_stuck_call() {
        constexpr uint32_t looks_max = 3;
        const size_t looks = script_.below(2 * looks_max);
        bool given_up = false;
        for (size_t i = 0; i < looks; ++i) {
            given_up = lane_.watch(looks_max);
            if (script_.below(2) != 0) { pool_.run_one(states_[script_.below(options_.workers)]); }
        }
        // The first look only sees that there is a call.
        if (given_up != (looks > looks_max)) { report("a call was given up at a wrong time"); }
    }

    void submit(Urgency urgency) {
        Expected& expected = submissions_.emplace_back();
        expected.first = script_.below(256);
        expected.count = std::min(script_.below(64), inputs().jobs.size() - expected.first);
        std::vector<RecoverJob> jobs(inputs().jobs.begin() + static_cast<ptrdiff_t>(expected.first),
                                     inputs().jobs.begin() +
                                         static_cast<ptrdiff_t>(expected.first + expected.count));
        const auto done = [this, &expected](std::vector<std::optional<Address>> senders) {
            ++expected.answers;
            check_senders(expected, senders);
        };
        const size_t depth = intake_.depth();
        const Result<void> submitted =
            intake_.submit(std::move(jobs), done, urgency, clock_.steady_us());
        if (submitted) { return; }
        if (submitted.error().code != ErrorCode::limit) { report(submitted.error().message); }
        if (intake_.depth() != depth) { report("a refused submission is counted as waiting"); }
        submissions_.pop_back();
    }

    void check_senders(const Expected& expected, std::span<const std::optional<Address>> senders) {
        const auto right = std::span(inputs().senders).subspan(expected.first, expected.count);
        if (!std::ranges::equal(senders, right)) { report("senders differ from libsecp256k1's"); }
    }

    void call() {
        if (calls_.size() >= 16) { return; }
        OpenCall& open = calls_.emplace_back();
        open.expected.first = script_.below(256);
        open.expected.count =
            std::min(script_.below(200), inputs().jobs.size() - open.expected.first);
        detail::Call& call = open.call;
        call.kernel = script_.below(2) != 0 ? detail::Kernel::keccak : detail::Kernel::secp256k1;
        if (call.kernel == detail::Kernel::secp256k1) {
            open.senders.resize(open.expected.count);
            call.jobs = std::span(inputs().jobs).subspan(open.expected.first, open.expected.count);
            call.senders = open.senders;
        } else {
            open.digests.resize(open.expected.count);
            call.messages =
                std::span(inputs().hashes.views).subspan(open.expected.first, open.expected.count);
            call.digests = open.digests;
        }
        call.end = open.expected.count;
        call.step = 1 + script_.below(40);
        dispatch_.begin(call);
    }

    void check_call(const OpenCall& open) {
        if (!open.call.done()) { return report("a call was not done"); }
        if (open.call.kernel == detail::Kernel::secp256k1) {
            return check_senders(open.expected, open.senders);
        }
        const auto right =
            std::span(inputs().hashes.digests).subspan(open.expected.first, open.expected.count);
        if (!std::ranges::equal(open.digests, right)) { report("digests differ"); }
    }

    /// As OffloadEngine::shutdown(), except that the callers of calls are workers here.
    void close() {
        intake_.close();
        if (intake_.submit({}, [](auto) {}, Urgency::latency, 0).has_value()) {
            report("a closed intake took a submission");
        }
        dispatch_.stop(true);
        dispatch_.device_down();
        lane_.stop();
        // A device that is paused or hangs has to be given up by the clock alone.
        constexpr size_t steps_max = 100'000;
        for (size_t i = 0; i < steps_max; ++i) {
            step();
            if (lane_.idle() || lane_.disowned()) { dispatch_.device_finished(); }
            if (pool_.run_one(states_[i % options_.workers])) { continue; }
            if (dispatch_.finished() && lane_.idle()) { return; }
            clock_.advance_us(1'000);
        }
        report("the engine did not come to its end");
    }

    FakePlan next_plan() {
        FakePlan plan;
        // Mostly none: a device is out of use after the first fault.
        const size_t choice = script_.below(160);
        if (choice < trick_count) { plan.trick = static_cast<Trick>(choice); }
        plan.polls = static_cast<uint32_t>(script_.below(4));
        return plan;
    }

    detail::DispatchLimits dispatch_limits() const {
        return {.workers = options_.workers,
                .lanes = options_.lanes,
                .batch_jobs_max = options_.batch_jobs_max,
                .deadline_us = options_.deadline_us,
                .steal = options_.steal,
                .device_items_min = {options_.device_jobs_min, options_.device_jobs_min}};
    }
    detail::LaneOptions lane_options() const {
        detail::LaneOptions lane;
        lane.timeout_us = 20'000;
        lane.recheck_one_in = 1;
        const detail::LinearCost cost{.fixed_us = 40, .per_item_us = 0.5};
        lane.device_cost = {cost, cost};
        lane.queue = {.deadline_us = options_.deadline_us,
                      .latency_crossover = 2 * options_.device_jobs_min,
                      .cpu_time_crossover = options_.device_jobs_min,
                      .saturation_jobs = options_.device_jobs_max - 1,
                      .batch_jobs_max = options_.device_jobs_max,
                      .device = cost};
        return lane;
    }

    Script script_;
    const Options options_{script_};
    ManualClock clock_{0};
    metrics::Registry registry_;
    detail::Figures figures_{registry_, fastest_recover_backend()};
    detail::CpuKernels cpu_{fastest_recover_backend(), clock_, figures_};
    FakeDevice device_{[this](uint64_t) { return next_plan(); }, options_.slots,
                       options_.device_jobs_max};
    detail::Intake intake_{detail::NumaTopology{{{}, {}}, {}}, options_.queue_jobs_max, 64,
                           &device_};
    detail::Dispatch dispatch_{intake_, dispatch_limits(), true};
    detail::DeviceLane lane_{device_, dispatch_, cpu_, figures_, clock_, lane_options()};
    detail::Pool pool_{dispatch_, &lane_, cpu_, figures_, clock_};
    std::vector<detail::WorkerState> states_{3};
    std::list<Expected> submissions_;
    std::list<OpenCall> calls_;
    std::string wrong_;
};

}  // namespace

ScheduleOutcome run_schedule(std::span<const uint8_t> script) { return Run(script).run(); }

}  // namespace millrace::kernels
