// SPDX-License-Identifier: Apache-2.0
// Owns millrace_gpu_check: it checks the kernels on the host and on a CUDA device, then times them.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "kernels/gpu_check/case_list.hpp"
#include "kernels/gpu_check/device.hpp"
#include "kernels/gpu_check/fault_drill.hpp"
#include "kernels/gpu_check/json.hpp"

namespace millrace::gpu_check {

std::span<Case* const> cases() {
    static Case* const list[] = {&keccak_case(), &sha256_case(),      &blake3_case(),
                                 &tree_case(),   &sparse_tree_case(), &recover_case(),
                                 &pack_case(),   &unpack_case(),      &witness_case()};
    return list;
}

namespace {

constexpr const char* usage =
    R"(usage: millrace_gpu_check [--out FILE] [--host-only] [--check-only] [--case NAME]
                          [--items N] [--batch-max N] [--seconds S] [--fault-drill] [--soak S]
  --out FILE     write the report there as JSON (default: standard output)
  --host-only    do not touch a device
  --check-only   compare, but do not time
  --case NAME    only this kernel
  --items N      random items compared for each kernel (default 100000)
  --batch-max N  largest batch of the sweep (default 16777216)
  --seconds S    longest time for one point of the sweep (default 1)
  --fault-drill  break the device's context in child processes; the fault must be seen, and the next process must find
                 the device as before
  --soak S       compare random items on two threads for that many seconds, as the last step
Exit status: 0 when all that ran agreed (a missing device is skipped with its reason), 1 when something differed or
failed, 2 on a wrong argument.
)";

struct Options {
    std::string out;
    std::string only;
    bool host_only = false;
    bool check_only = false;
    bool fault_drill = false;
    std::string child;  ///< what a process of the drill does
    Effort effort;
    uint32_t batch_max = 1 << 24;
    double seconds = 1;
    double soak_seconds = 0;
};

std::optional<Options> parse(int count, char** arguments) {
    Options options;
    options.effort.threads = std::max(1u, std::thread::hardware_concurrency());
    for (int i = 1; i < count; ++i) {
        const std::string_view name = arguments[i];
        if (name == "--host-only") {
            options.host_only = true;
            continue;
        }
        if (name == "--check-only") {
            options.check_only = true;
            continue;
        }
        if (name == "--fault-drill") {
            options.fault_drill = true;
            continue;
        }
        if (i + 1 == count) { return {}; }
        const char* const value = arguments[++i];
        char* end = nullptr;
        const double number = std::strtod(value, &end);
        const bool is_count = *end == 0 && end != value && number >= 1 && number <= 1e8;
        if (name == "--out") {
            options.out = value;
        } else if (name == "--case") {
            options.only = value;
        } else if (name == "--child") {
            options.child = value;
        } else if (name == "--items" && is_count) {
            options.effort.compared_items = static_cast<size_t>(number);
        } else if (name == "--batch-max" && is_count) {
            options.batch_max = static_cast<uint32_t>(number);
        } else if (name == "--seconds" && *end == 0 && end != value && number > 0) {
            options.seconds = number;
        } else if (name == "--soak" && *end == 0 && end != value && number > 0) {
            options.soak_seconds = number;
        } else {
            return {};
        }
    }
    const auto is_only = [&](const Case* c) { return options.only == c->name(); };
    if (!options.only.empty() && std::none_of(cases().begin(), cases().end(), is_only)) {
        return {};
    }
    return options;
}

struct Report {
    std::vector<std::string> checks;
    std::vector<std::string> benchmarks;
    std::string pipes = "{}";
    std::string skipped;
    size_t failures = 0;
};

void add_check(Report& report, const std::string& name, const Outcome& outcome) {
    const bool agreed = outcome.fault.empty();
    report.failures += agreed ? 0 : 1;
    std::fprintf(stderr, "  %-28s %s, %zu compared%s%s\n", name.c_str(),
                 agreed ? "agrees" : "FAILED", outcome.compared, agreed ? "" : ": ",
                 outcome.fault.c_str());
    report.checks.push_back(JsonObject()
                                .add("name", json_string(name))
                                .add("ok", agreed ? "true" : "false")
                                .add("compared", std::to_string(outcome.compared))
                                .add("fault", json_string(outcome.fault))
                                .text());
}

/// Percentile of sorted times.
double at_fraction(const std::vector<double>& sorted, double fraction) {
    return sorted[std::min(sorted.size() - 1, static_cast<size_t>(fraction * sorted.size()))];
}

/// Rates that a point is compared with; 0 when there is none.
struct Yardstick {
    double limit_per_s = 0;   ///< of the pipe that bounds the kernel
    double target_per_s = 0;  ///< that the kernel shall reach
};

void add_times(Report& report, const std::string& name, uint32_t batch, const Yardstick& yardstick,
               std::vector<double> times_us) {
    std::sort(times_us.begin(), times_us.end());
    const double median = at_fraction(times_us, 0.5);
    const double rate = batch / (median * 1e-6);
    const std::string full = name + "/" + std::to_string(batch);
    std::fprintf(stderr, "  %-28s %10.1f us  p99 %10.1f us  %9.3f M/s", full.c_str(), median,
                 at_fraction(times_us, 0.99), rate * 1e-6);
    if (yardstick.limit_per_s > 0) {
        std::fprintf(stderr, "  %5.1f %% of the limit", 100 * rate / yardstick.limit_per_s);
    }
    if (yardstick.target_per_s > 0) {
        std::fprintf(stderr, "  %5.1f %% of the target", 100 * rate / yardstick.target_per_s);
    }
    std::fprintf(stderr, "\n");
    report.benchmarks.push_back(JsonObject()
                                    .add("name", json_string(full))
                                    .add("iterations", std::to_string(times_us.size()))
                                    .add("real_time", json_number(median))
                                    .add("min_time", json_number(times_us.front()))
                                    .add("p99_time", json_number(at_fraction(times_us, 0.99)))
                                    .add("time_unit", "\"us\"")
                                    .add("items_per_second", json_number(rate))
                                    .add("limit_per_second", json_number(yardstick.limit_per_s))
                                    .add("target_per_second", json_number(yardstick.target_per_s))
                                    .text());
}

/// Repeats for the given time, at least 5 and at most 2000 times after 2 that warm up. `once` gives
/// the time of a run, and may fail.
template <class Once>
std::string repeat(double seconds, const Once& once, std::vector<double>& times_us) {
    using Seconds = std::chrono::duration<double>;
    const auto begin = std::chrono::steady_clock::now();
    for (int run = -2; run < 2000; ++run) {
        double us = 0;
        if (std::string fault = once(us); !fault.empty()) { return fault; }
        if (run >= 0) { times_us.push_back(us); }
        const double elapsed = Seconds(std::chrono::steady_clock::now() - begin).count();
        if (run >= 4 && elapsed > seconds) { break; }
    }
    return {};
}

/// Times a run by the host's clock.
template <class Run>
std::string repeat_on_host_clock(double seconds, const Run& run, std::vector<double>& times_us) {
    const auto once = [&](double& us) {
        const auto begin = std::chrono::steady_clock::now();
        std::string fault = run();
        us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
                 .count();
        return fault;
    };
    return repeat(seconds, once, times_us);
}

std::string measure_point(Case& c, uint32_t batch, const DeviceInfo& device, const Options& options,
                          Report& report) {
    Workload workload;
    if (std::string fault = c.prepare(batch, options.effort.threads, workload); !fault.empty()) {
        return fault;
    }
    Yardstick yardstick;
    yardstick.target_per_s = c.target_per_second();
    if (c.bounding_operations() != 0) {
        yardstick.limit_per_s = c.operations_per_clock() * device.clock_hz *
                                device.multiprocessors / c.bounding_operations();
    }
    const std::string name = c.name();
    if (workload.kernel) {
        std::vector<double> times_us;
        if (std::string fault = repeat(options.seconds, workload.kernel, times_us);
            !fault.empty()) {
            return fault;
        }
        add_times(report, name + "/kernel", batch, yardstick, std::move(times_us));
    }
    const std::pair<const char*, const std::function<std::string()>*> by_host_clock[] = {
        {"/end_to_end", &workload.end_to_end}, {"/host", &workload.host}};
    for (const auto& [kind, run] : by_host_clock) {
        if (!*run) { continue; }
        std::vector<double> times_us;
        if (std::string fault = repeat_on_host_clock(options.seconds, *run, times_us);
            !fault.empty()) {
            return fault;
        }
        // The device's limits say nothing of the host.
        add_times(report, name + kind, batch, run == &workload.host ? Yardstick{} : yardstick,
                  std::move(times_us));
    }
    return {};
}

/// Compares random items of all cases, other ones each time, on two threads for the given time.
Outcome soak(const Options& options) {
    struct Soaker {
        std::thread thread;
        Outcome outcome;
    };
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(options.soak_seconds);
    Soaker soakers[2];
    for (size_t t = 0; t < std::size(soakers); ++t) {
        soakers[t].thread = std::thread([&options, end, t, &outcome = soakers[t].outcome] {
            Effort effort = options.effort;
            effort.compared_items = std::min<size_t>(effort.compared_items, 20'000);
            effort.threads = std::max(1u, effort.threads / 2);
            for (uint64_t round = t; std::chrono::steady_clock::now() < end; ++round) {
                Case& c = *cases()[round % cases().size()];
                if (!c.compares()) { continue; }
                effort.seed = 1000 + round;
                const Outcome part = c.check_on_device(effort);
                outcome.compared += part.compared;
                if (!part.fault.empty()) {
                    outcome.fault = std::string(c.name()) + " in round " + std::to_string(round) +
                                    ": " + part.fault;
                    return;
                }
            }
        });
    }
    Outcome all;
    for (Soaker& soaker : soakers) {
        soaker.thread.join();
        all.compared += soaker.outcome.compared;
        if (all.fault.empty()) { all.fault = soaker.outcome.fault; }
    }
    return all;
}

/// What the options ask for beyond the comparison.
void strain_device(const Options& options, Report& report) {
    if (options.fault_drill) {
        for (const FaultKind& kind : fault_kinds()) {
            add_check(report, std::string("fault/") + kind.name, drill_fault(kind));
        }
    }
    if (options.soak_seconds > 0) { add_check(report, "soak", soak(options)); }
}

bool is_compared(const Options& options, const Case& c) {
    return c.compares() && (options.only.empty() || options.only == c.name());
}

/// Gives the cases that failed.
std::vector<const Case*> compare_on_device(const Options& options, Report& report) {
    std::vector<const Case*> failed;
    for (Case* const c : cases()) {
        if (!is_compared(options, *c)) { continue; }
        const Outcome outcome = c->check_on_device(options.effort);
        if (!outcome.fault.empty()) { failed.push_back(c); }
        add_check(report, std::string(c->name()) + "/device", outcome);
    }
    return failed;
}

void time_on_device(const Options& options, const DeviceInfo& device,
                    const std::vector<const Case*>& failed, Report& report) {
    std::vector<std::pair<std::string, double>> rates;
    Outcome pipes;
    pipes.fault = measure_pipes(device, rates);
    pipes.compared = rates.size();
    add_check(report, "pipes", pipes);
    JsonObject per_clock;
    for (const auto& [name, rate] : rates) {
        std::fprintf(stderr, "  %-28s %10.1f per clock and multiprocessor\n", name.c_str(), rate);
        per_clock.add(name, json_number(rate));
    }
    report.pipes = per_clock.text();
    for (Case* const c : cases()) {
        if (!options.only.empty() && options.only != c->name()) { continue; }
        // The speed of a kernel that is wrong is of no interest.
        if (std::ranges::find(failed, c) != failed.end()) { continue; }
        for (const uint32_t batch : c->batches()) {
            if (batch > options.batch_max) { break; }
            Outcome point;
            point.fault = measure_point(*c, batch, device, options, report);
            if (!point.fault.empty()) {
                add_check(report, std::string(c->name()) + "/sweep", point);
                break;
            }
        }
    }
}

std::string context(const DeviceInfo& device) {
    char date[40] = "";
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    if (gmtime_r(&now, &utc) != nullptr) {
        std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    return JsonObject()
        .add("date", json_string(date))
        .add("commit", json_string(MILLRACE_COMMIT))
        .add("compiler", json_string(__VERSION__))
        .add("num_cpus", std::to_string(std::thread::hardware_concurrency()))
        .add("device", json_string(device.name))
        .add("architecture", std::to_string(device.architecture))
        .add("multiprocessors", std::to_string(device.multiprocessors))
        .add("clock_hz", json_number(device.clock_hz))
        .add("l2_bytes", std::to_string(device.l2_bytes))
        .add("memory_bytes", std::to_string(device.memory_bytes))
        .add("driver", std::to_string(device.driver))
        .add("runtime", std::to_string(device.runtime))
        .text();
}

bool write(const Options& options, const DeviceInfo& device, const Report& report) {
    const std::string text = "{\n  \"context\": " + context(device) +
                             ",\n  \"skipped\": " + json_string(report.skipped) +
                             ",\n  \"checks\": " + json_array(report.checks) +
                             ",\n  \"operations_per_clock\": " + report.pipes +
                             ",\n  \"benchmarks\": " + json_array(report.benchmarks) + "\n}\n";
    std::FILE* const file = options.out.empty() ? stdout : std::fopen(options.out.c_str(), "w");
    if (file == nullptr) {
        std::fprintf(stderr, "gpu_check: cannot write '%s': %s\n", options.out.c_str(),
                     std::strerror(errno));
        return false;
    }
    const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    const bool flushed = std::fflush(file) == 0;
    if (file != stdout) { std::fclose(file); }
    return written && flushed;
}

int run(const Options& options) {
    Report report;
    std::fprintf(stderr, "on the host:\n");
    for (Case* const c : cases()) {
        if (!is_compared(options, *c)) { continue; }
        add_check(report, std::string(c->name()) + "/host", c->check_on_host());
    }
    DeviceInfo device;
    device.reason = "--host-only";
    if (!options.host_only) { device = find_device(); }
    if (device.available) {
        std::fprintf(stderr, "on %s (sm_%d, %d multiprocessors):\n", device.name.c_str(),
                     device.architecture, device.multiprocessors);
        const std::vector<const Case*> failed = compare_on_device(options, report);
        if (!options.check_only) { time_on_device(options, device, failed, report); }
        strain_device(options, report);
    } else {
        report.skipped = device.reason;
        std::fprintf(stderr, "skipped the device: %s\n", device.reason.c_str());
    }
    const bool written = write(options, device, report);
    return report.failures == 0 && written ? 0 : 1;
}

int run_as_child(const std::string& kind) {
    const std::string fault = run_child(kind);
    if (fault.empty()) { return 0; }
    std::fprintf(stderr, "gpu_check --child %s: %s\n", kind.c_str(), fault.c_str());
    return 1;
}

}  // namespace

}  // namespace millrace::gpu_check

int main(int count, char** arguments) {
    const auto options = millrace::gpu_check::parse(count, arguments);
    if (!options) {
        std::fputs(millrace::gpu_check::usage, stderr);
        return 2;
    }
    if (!options->child.empty()) { return millrace::gpu_check::run_as_child(options->child); }
    return millrace::gpu_check::run(*options);
}
