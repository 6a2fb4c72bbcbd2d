// SPDX-License-Identifier: Apache-2.0
// Owns the measurement of what recovery of senders adds to the way of a transaction: arrivals at a
// steady rate through the offload engine, each timed from its arrival to its sender.
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench/recover_input.hpp"
#include "kernels/offload/engine.hpp"
#include "kernels/secp256k1/recover_batch.hpp"

namespace {

using namespace millrace;           // NOLINT: a program of its own
using namespace millrace::kernels;  // NOLINT

constexpr const char* usage =
    "usage: recover_latency [--transactions N] [--window-us N] [--rounds N] [--pause-us N]\n"
    "                       [--workers N] [--commit TEXT] [--json FILE]\n"
    "Transactions arrive one by one, evenly over the window, in rounds with a pause between.\n";

constexpr size_t cores = 2;

struct Arguments {
    size_t transactions = 1000;
    int64_t window_us = 10'000;
    size_t rounds = 300;
    int64_t pause_us = 10'000;
    size_t workers = 2;
    std::string commit = "unknown";
    std::string json;
};

int64_t now_ns(clockid_t clock = CLOCK_MONOTONIC) {
    timespec now{};
    if (clock_gettime(clock, &now) != 0) { std::abort(); }
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// Times in microseconds.
struct Distribution {
    double p50 = 0;
    double p99 = 0;
    double p999 = 0;
    double max = 0;
    double mean = 0;
};

Distribution distribution_of(std::vector<int64_t> ns) {
    std::ranges::sort(ns);
    const auto at = [&](double q) {
        const auto place = static_cast<size_t>(q * static_cast<double>(ns.size() - 1));
        return static_cast<double>(ns[place]) / 1e3;
    };
    double sum = 0;
    for (const int64_t n : ns) { sum += static_cast<double>(n); }
    return {at(0.5), at(0.99), at(0.999), at(1), sum / static_cast<double>(ns.size()) / 1e3};
}

struct Outcome {
    Distribution added;      ///< from the moment at which the engine was called
    Distribution scheduled;  ///< from the moment at which the transaction was due
    double late_share = 0;   ///< of transactions that came more than 50 us after they were due
    double round_p99_median = 0;
    double cpu_us_per_signature = 0;     ///< within the kernel
    double worker_us_per_signature = 0;  ///< CPU time of all threads but the generator's
    size_t wrong = 0;
    size_t refused = 0;
};

Outcome measure(const Arguments& a, const RecoverInput& in, OffloadEngine& engine) {
    const size_t n = a.transactions;
    std::vector<int64_t> called(n);
    std::vector<int64_t> due(n);
    std::vector<int64_t> done(n);
    std::vector<std::optional<Address>> senders(n);
    std::vector<int64_t> added;
    std::vector<int64_t> scheduled;
    std::vector<int64_t> round_p99;
    Outcome outcome;
    size_t late = 0;
    const auto workers_ns = [] {
        return now_ns(CLOCK_PROCESS_CPUTIME_ID) - now_ns(CLOCK_THREAD_CPUTIME_ID);
    };
    const int64_t workers_start_ns = workers_ns();
    for (size_t round = 0; round <= a.rounds; ++round) {
        std::atomic<size_t> left{n};
        const int64_t start = now_ns();
        for (size_t i = 0; i < n; ++i) {
            due[i] = start + static_cast<int64_t>(i) * a.window_us * 1000 / static_cast<int64_t>(n);
            // The generator of the load gives way to workers that have nothing to run on.
            while (now_ns() < due[i]) { sched_yield(); }
            called[i] = now_ns();
            const Result<void> submitted = engine.submit_recover({in.jobs[i]}, [&, i](auto got) {
                senders[i] = got[0];
                done[i] = now_ns();
                left.fetch_sub(1, std::memory_order_release);
            });
            if (!submitted) {
                ++outcome.refused;
                left.fetch_sub(1, std::memory_order_relaxed);
            }
        }
        while (left.load(std::memory_order_acquire) != 0) { std::this_thread::yield(); }
        std::this_thread::sleep_for(std::chrono::microseconds(a.pause_us));
        if (round == 0) { continue; }  // warms caches and tables
        std::vector<int64_t> of_round(n);
        for (size_t i = 0; i < n; ++i) {
            outcome.wrong += senders[i] != in.senders[i] ? 1 : 0;
            senders[i].reset();
            of_round[i] = done[i] - called[i];
            added.push_back(of_round[i]);
            scheduled.push_back(done[i] - due[i]);
            late += called[i] - due[i] > 50'000 ? 1 : 0;
        }
        std::ranges::sort(of_round);
        round_p99.push_back(of_round[n * 99 / 100]);
    }
    outcome.worker_us_per_signature = static_cast<double>(workers_ns() - workers_start_ns) / 1e3 /
                                      static_cast<double>(n * (a.rounds + 1));
    outcome.added = distribution_of(added);
    outcome.scheduled = distribution_of(scheduled);
    outcome.late_share = static_cast<double>(late) / static_cast<double>(added.size());
    outcome.round_p99_median = distribution_of(round_p99).p50;
    outcome.cpu_us_per_signature = engine.costs()[0].cpu_us_per_item;
    return outcome;
}

std::string first_line_with(const char* path, const char* word) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with(word)) { return line.substr(line.find(':') + 2); }
    }
    return "unknown";
}

/// How the system schedules this process: with others beside it, it says how much they disturb.
std::string scheduling() {
    sched_param parameters{};
    if (sched_getparam(0, &parameters) != 0) { return "unknown"; }
    const int policy = sched_getscheduler(0);
    if (policy == SCHED_FIFO) {
        return "SCHED_FIFO, priority " + std::to_string(parameters.sched_priority) +
               ": other work on the machine waits";
    }
    return "SCHED_OTHER, nice " + std::to_string(getpriority(PRIO_PROCESS, 0));
}

std::string load_average() {
    double load[3] = {};
    if (getloadavg(load, 3) != 3) { return "[]"; }
    char text[64];
    std::snprintf(text, sizeof text, "[%.2f, %.2f, %.2f]", load[0], load[1], load[2]);
    return text;
}

void append_times(std::string& out, const std::string& name, const Distribution& d,
                  const Outcome& o) {
    const std::pair<const char*, double> parts[] = {
        {"p50", d.p50}, {"p99", d.p99}, {"p999", d.p999}, {"max", d.max}, {"mean", d.mean}};
    for (const auto& [part, us] : parts) {
        char text[400];
        std::snprintf(text, sizeof text,
                      "  {\"name\": \"%s/%s\", \"run_type\": \"aggregate\", "
                      "\"aggregate_name\": \"%s\", \"real_time\": %.1f, \"time_unit\": \"us\", "
                      "\"cpu_us_per_signature\": %.2f, \"worker_cpu_us_per_signature\": %.2f}",
                      name.c_str(), part, part, us, o.cpu_us_per_signature,
                      o.worker_us_per_signature);
        out += out.ends_with("[\n") ? "" : ",\n";
        out += text;
    }
}

bool write_json(const Arguments& a, const std::string& load_before, const Outcome& o) {
    utsname system{};
    if (uname(&system) != 0) { return false; }
    char date[64] = {};
    const time_t now = time(nullptr);
    tm utc{};
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    std::string out = "{\n \"context\": {\n";
    const auto text = [&](const char* key, const std::string& value) {
        out += "  \"" + std::string(key) + "\": \"" + value + "\",\n";
    };
    text("date", date);
    text("commit", a.commit);
    text("cpu", first_line_with("/proc/cpuinfo", "model name"));
    text("kernel", system.release);
    text("compiler", __VERSION__);
    text("backend", recover_backend_status(fastest_recover_backend()).target);
    text("work", std::to_string(a.transactions) + " transactions, one by one over " +
                     std::to_string(a.window_us) + " us, " + std::to_string(a.rounds) +
                     " rounds, " + std::to_string(a.pause_us) + " us between them; " +
                     std::to_string(a.workers) + " workers on " + std::to_string(cores) +
                     " processors, which the generator of the load shares");
    text("scheduling", scheduling());
    text("answers", "each sender is compared with the key that signed");
    text("added", "from the call of submit_recover to the callback with the sender");
    text("scheduled", "the same from when the transaction was due: with delays of the generator");
    out += "  \"load_avg_before\": " + load_before + ",\n";
    out += "  \"load_avg\": " + load_average() + ",\n";
    out += "  \"refused\": " + std::to_string(o.refused) + ",\n";
    char numbers[160];
    std::snprintf(numbers, sizeof numbers,
                  "  \"generator_late_share\": %.5f,\n  \"added_p99_of_a_round_median_us\": %.1f\n",
                  o.late_share, o.round_p99_median);
    out += numbers;
    out += " },\n \"benchmarks\": [\n";
    append_times(out, "recover_latency/added", o.added, o);
    append_times(out, "recover_latency/scheduled", o.scheduled, o);
    out += "\n ]\n}\n";
    std::ofstream file(a.json);
    file << out;
    return file.good();
}

bool parse(int argc, char** argv, Arguments& a) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string key = argv[i];
        const long long number = std::atoll(argv[i + 1]);
        if (key == "--commit") {
            a.commit = argv[i + 1];
        } else if (key == "--json") {
            a.json = argv[i + 1];
        } else if (number < 0 || (number == 0 && key != "--pause-us")) {
            return false;
        } else if (key == "--transactions") {
            a.transactions = static_cast<size_t>(number);
        } else if (key == "--window-us") {
            a.window_us = number;
        } else if (key == "--rounds") {
            a.rounds = static_cast<size_t>(number);
        } else if (key == "--pause-us") {
            a.pause_us = number;
        } else if (key == "--workers") {
            a.workers = static_cast<size_t>(number);
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments a;
    if (!parse(argc, argv, a)) {
        std::fputs(usage, stderr);
        return 2;
    }
    cpu_set_t two;
    CPU_ZERO(&two);
    for (size_t cpu = 0; cpu < cores; ++cpu) { CPU_SET(cpu, &two); }
    if (sched_setaffinity(0, sizeof two, &two) != 0) {
        std::fputs("recover_latency: the process may not use processors 0 and 1\n", stderr);
        return 1;
    }
    const std::string load_before = load_average();
    const RecoverInput in = make_recover_input(a.transactions);
    OffloadOptions options;
    options.worker_count = static_cast<uint32_t>(a.workers);
    options.cuda = CudaPolicy::off;
    const auto engine = OffloadEngine::create(options);
    if (!engine) {
        std::fprintf(stderr, "recover_latency: %s\n", engine.error().message.c_str());
        return 1;
    }
    const Outcome o = measure(a, in, **engine);
    if (o.wrong != 0) {
        std::fprintf(stderr, "recover_latency: %zu senders are wrong\n", o.wrong);
        return 1;
    }
    std::printf("added      p50 %7.1f us  p99 %7.1f us  p99.9 %7.1f us  max %7.1f us\n",
                o.added.p50, o.added.p99, o.added.p999, o.added.max);
    std::printf("scheduled  p50 %7.1f us  p99 %7.1f us  p99.9 %7.1f us  max %7.1f us\n",
                o.scheduled.p50, o.scheduled.p99, o.scheduled.p999, o.scheduled.max);
    std::printf("median of the rounds' p99 %.1f us; %.2f us of CPU for a signature, %.2f with the "
                "engine; %.2f %% came "
                "late; load %s\n",
                o.round_p99_median, o.cpu_us_per_signature, o.worker_us_per_signature,
                100 * o.late_share, load_average().c_str());
    if (!a.json.empty() && !write_json(a, load_before, o)) {
        std::fprintf(stderr, "recover_latency: cannot write %s\n", a.json.c_str());
        return 1;
    }
    return 0;
}
