// SPDX-License-Identifier: Apache-2.0
// Owns the order of a run's steps.
#include "host/load/load.hpp"

#include <cmath>
#include <thread>

#include <unistd.h>

namespace millrace::load {

namespace {

constexpr uint64_t closed_loop_count = 200'000;
/// On each connection, so that more is under way than a node's ingress takes.
constexpr uint32_t overload_pipeline = 64;
/// What a node takes of one sender beyond a nonce that it has refused; ours takes 64.
constexpr uint32_t nonces_ahead_max = 48;
/// Of the receipts, how many are looked at.
constexpr size_t receipts_checked = 1'000;

/// Lines of progress: written over on a terminal, one under the other elsewhere.
class ProgressLine {
public:
    explicit ProgressLine(std::FILE* file) : file_(file), terminal_(isatty(fileno(file)) != 0) {}
    ~ProgressLine() { end(); }

    void show(const std::string& text) {
        std::fprintf(file_, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
        std::fflush(file_);
        shown_ = true;
    }
    void end() {
        if (terminal_ && shown_) { std::fputs("\r\033[K", file_); }
        shown_ = false;
    }

private:
    std::FILE* file_;
    bool terminal_;
    bool shown_ = false;
};

Result<SendMode> mode_from_text(const std::string& text) {
    if (text == "raw") { return SendMode::raw; }
    if (text == "batch") { return SendMode::batch; }
    if (text == "sync") { return SendMode::sync; }
    return fail(ErrorCode::invalid_input, "--send '" + text + "' is none of raw, batch and sync");
}

Result<ArrivalKind> arrivals_from_text(const std::string& text) {
    if (text == "poisson") { return ArrivalKind::poisson; }
    if (text == "fixed") { return ArrivalKind::fixed; }
    return fail(ErrorCode::invalid_input, "--arrivals '" + text + "' is neither poisson nor fixed");
}

Result<void> check_range(const char* flag, double value, double least, double most) {
    if (value >= least && value <= most) { return {}; }
    char text[160];
    std::snprintf(text, sizeof text, "%s is a number from %g to %g, not %g", flag, least, most,
                  value);
    return fail(ErrorCode::invalid_input, text);
}

std::string progress_text(const std::string& what, const Progress& p) {
    const Measurement& m = *p.so_far;
    const LatencyHistogram& latency = m.all.receipt.count() != 0    ? m.all.receipt
                                      : m.all.included.count() != 0 ? m.all.included
                                                                    : m.all.acknowledged;
    char text[240];
    std::snprintf(
        text, sizeof text,
        "%s %.0f s: sent %llu, included %llu (%.0f/s), refused %llu, rejected %llu, p50 "
        "%.1f ms, p99 %.1f ms",
        what.c_str(), p.elapsed_s, static_cast<unsigned long long>(m.sent),
        static_cast<unsigned long long>(m.included), static_cast<double>(m.included) / p.elapsed_s,
        static_cast<unsigned long long>(m.refused), static_cast<unsigned long long>(m.rejected),
        static_cast<double>(latency.quantile_us(0.5)) * 1e-3,
        static_cast<double>(latency.quantile_us(0.99)) * 1e-3);
    return text;
}

/// The run's parts that last.
struct Runner {
    const LoadOptions& options;
    const std::atomic<bool>& stop;
    ProgressLine& line;
    Endpoint endpoint;
    EventLoop& loop;
    Chain& chain;

    Result<PhaseResult> phase(const std::string& name, double per_second);
};

/// Arrivals of a Poisson process vary; six deviations more are signed than are expected.
uint64_t count_of(const LoadOptions& options, double per_second) {
    // With --overload, --count is that of the closed loop.
    uint64_t count = options.overload != 0 && per_second > 0 ? 0 : options.count;
    if (count == 0 && per_second > 0) {
        const double expected = per_second * options.seconds;
        count = static_cast<uint64_t>(std::ceil(expected + 6 * std::sqrt(expected) + 1));
    } else if (count == 0) {
        count = closed_loop_count;
    }
    return std::max<uint64_t>(count, options.connections);
}

/// As many requests as bring no sender too far ahead of a refused nonce.
uint32_t overload_pipeline_of(const LoadOptions& options) {
    const uint32_t senders = options.accounts / options.connections;
    const uint32_t batch = options.send == "batch" ? options.batch : 1;
    return std::clamp(nonces_ahead_max * senders / batch, 1u, overload_pipeline);
}

Result<PhaseResult> Runner::phase(const std::string& name, double per_second) {
    PhaseResult out;
    out.name = "load/" + options.profile + "/" + options.send + "/" + name;
    out.offered_per_s = per_second;
    const uint64_t count = count_of(options, per_second);
    MILLRACE_CHECK(chain.fund(count / options.accounts + 2));

    WorkloadOptions workload_options;
    MILLRACE_TRY(workload_options.mode, mode_from_text(options.send));
    workload_options.lane_count = options.connections;
    workload_options.count = count;
    workload_options.priority_fraction = options.priority_fraction;
    workload_options.sync_timeout_ms = options.sync_timeout_ms;
    workload_options.threads = options.sign_threads != 0
                                   ? options.sign_threads
                                   : std::max(1u, std::thread::hardware_concurrency());
    int64_t shown_ns = 0;
    MILLRACE_TRY(
        const Workload workload, Workload::sign(chain, workload_options, [&](uint64_t done) {
            if (steady_ns() - shown_ns > 1'000'000'000) {
                shown_ns = steady_ns();
                line.show("signing " + std::to_string(done) + " of " + std::to_string(count));
            }
            return !stop.load(std::memory_order_relaxed);
        }));

    DriveOptions drive_options;
    drive_options.mode = workload_options.mode;
    drive_options.open_loop = per_second > 0;
    drive_options.per_second = per_second;
    MILLRACE_TRY(drive_options.arrivals, arrivals_from_text(options.arrivals));
    drive_options.seconds = options.seconds;
    drive_options.batch = options.batch;
    const bool overloads = options.overload != 0 && per_second > 0;
    drive_options.pipeline =
        options.pipeline != 0 ? options.pipeline : (overloads ? overload_pipeline_of(options) : 1);
    drive_options.in_flight_max = options.in_flight;
    drive_options.drain_s = options.drain_s;
    drive_options.poll_ms = options.poll_ms;
    drive_options.seed = options.seed;
    MILLRACE_TRY(drive_options.track, track_from_text(options.track));
    // A sync send learns of inclusion by itself; the feed would only cost.
    if (drive_options.mode == SendMode::sync && drive_options.track == Track::automatic) {
        drive_options.track = Track::none;
    }
    if (options.pid != 0) { drive_options.node_pid = options.pid; }
    Included included;
    MILLRACE_TRY(out.measurement,
                 drive(
                     loop, endpoint, workload, drive_options, stop,
                     [&](const Progress& p) { line.show(progress_text(name, p)); }, included));

    const bool tracked = drive_options.track != Track::none || drive_options.mode == SendMode::sync;
    if (!tracked) { return out; }
    line.show("checking the chain");
    IncludedCounts counts(chain.senders().size());
    std::vector<Hash256> sample;
    const uint64_t step = std::max<uint64_t>(1, out.measurement.included / receipts_checked);
    uint64_t seen = 0;
    for (uint32_t number = 0; number < workload.count(); ++number) {
        if (!included[number]) { continue; }
        ++counts[workload.sender(number)];
        if (seen++ % step == 0) { sample.push_back(workload.hash(number)); }
    }
    MILLRACE_TRY(out.verification, chain.verify(
                                       counts,
                                       [&](uint32_t sender, uint64_t nth) {
                                           const uint32_t number = workload.number_of(sender, nth);
                                           return number != Workload::absent && included[number];
                                       },
                                       sample));
    return out;
}

}  // namespace

Result<void> check_options(const LoadOptions& o) {
    MILLRACE_TRY(const Endpoint endpoint, parse_endpoint(o.url));
    if (!endpoint.is_loopback() && !o.allow_remote) {
        return fail(ErrorCode::invalid_input,
                    endpoint.url() + " is not on this machine: load can take a node down; "
                                     "--allow-remote says that its owner agrees");
    }
    MILLRACE_CHECK(profile_from_text(o.profile));
    MILLRACE_TRY(const SendMode mode, mode_from_text(o.send));
    MILLRACE_CHECK(arrivals_from_text(o.arrivals));
    MILLRACE_CHECK(track_from_text(o.track));
    MILLRACE_CHECK(check_range("--rate", o.rate, 0, 1e7));
    MILLRACE_CHECK(check_range("--seconds", o.seconds, 0.1, 3600));
    MILLRACE_CHECK(check_range("--count", static_cast<double>(o.count), 0, transactions_max));
    MILLRACE_CHECK(check_range("--connections", o.connections, 1, 1000));
    MILLRACE_CHECK(check_range("--batch", o.batch, 1, 1000));
    MILLRACE_CHECK(check_range("--pipeline", o.pipeline, 0, 1000));
    if (o.pipeline > 1 && !endpoint.websocket && o.overload == 0) {
        return fail(ErrorCode::invalid_input,
                    "--pipeline needs a ws:// endpoint: over HTTP a node answers the requests of a "
                    "connection one after the other");
    }
    if (o.priority_fraction > 0 && o.connections < 2) {
        return fail(ErrorCode::invalid_input,
                    "transactions with priority have a connection of their own: --connections is "
                    "at least 2");
    }
    MILLRACE_CHECK(check_range("--accounts", o.accounts, 1, 100'000));
    MILLRACE_CHECK(check_range("--recipients", o.recipients, 1, 100'000));
    MILLRACE_CHECK(check_range("--pairs", o.pairs, 1, 256));
    MILLRACE_CHECK(check_range("--priority-fraction", o.priority_fraction, 0, 1));
    MILLRACE_CHECK(check_range("--drain", o.drain_s, 0, 3600));
    MILLRACE_CHECK(check_range("--poll-ms", static_cast<double>(o.poll_ms), 1, 10'000));
    if (o.overload != 0) {
        MILLRACE_CHECK(check_range("--overload", o.overload, 0.1, 100));
        if (o.rate != 0) {
            return fail(ErrorCode::invalid_input,
                        "--overload finds its rate by itself; leave out --rate");
        }
        if (mode == SendMode::sync || o.track == "none") {
            return fail(ErrorCode::invalid_input,
                        "--overload needs --send raw or batch, and tracking");
        }
    }
    if (o.connections > o.accounts) {
        return fail(ErrorCode::invalid_input,
                    "each connection sends for accounts of its own: --accounts is at least "
                    "--connections");
    }
    for (const std::string& entry : o.context) {
        if (entry.find('=') == std::string::npos || entry.starts_with('=')) {
            return fail(ErrorCode::invalid_input, "--context '" + entry + "' is not KEY=VALUE");
        }
    }
    return {};
}

Result<LoadResult> run_load(const LoadOptions& options, const std::atomic<bool>& stop,
                            std::FILE* progress) {
    MILLRACE_CHECK(check_options(options));
    MILLRACE_TRY(Endpoint endpoint, parse_endpoint(options.url));
    if (options.overload != 0) { endpoint.websocket = true; }
    ProgressLine line(progress);
    EventLoop loop;
    MILLRACE_TRY(RpcClient client, RpcClient::open(loop, endpoint));

    ChainOptions chain_options;
    chain_options.funding_key = options.funding_key;
    MILLRACE_TRY(chain_options.shape.profile, profile_from_text(options.profile));
    chain_options.shape.seed = options.seed;
    chain_options.shape.recipient_count = options.recipients;
    chain_options.shape.pair_count = options.pairs;
    chain_options.sender_count = options.accounts;
    chain_options.artifacts = options.artifacts;
    chain_options.max_fee_gwei = options.max_fee_gwei;
    MILLRACE_TRY(Chain chain, Chain::open(client, chain_options,
                                          [&line](const std::string& text) { line.show(text); }));
    LoadResult result;
    result.options = options;
    result.client_version = chain.client_version();
    result.chain_id = chain.chain_id();
    MILLRACE_CHECK(chain.deploy());

    Runner runner{options, stop, line, endpoint, loop, chain};
    MILLRACE_TRY(auto first, runner.phase(options.rate > 0 ? "open" : "closed", options.rate));
    result.phases.push_back(std::move(first));
    if (options.overload != 0 && !stop.load(std::memory_order_relaxed)) {
        const double capacity = result.phases.front().measurement.included_per_s;
        if (!(capacity > 0)) {
            return fail(ErrorCode::unavailable,
                        "nothing was included, so there is no capacity to overload");
        }
        MILLRACE_TRY(auto second, runner.phase("overload", capacity * options.overload));
        result.phases.push_back(std::move(second));
    }
    result.interrupted = stop.load(std::memory_order_relaxed);
    return result;
}

bool succeeded(const LoadResult& result) {
    for (const PhaseResult& phase : result.phases) {
        const Measurement& m = phase.measurement;
        const bool tracked = m.track != Track::none || m.all.receipt.count() != 0;
        if (!phase.verification.faults.empty() || m.rejected != 0 || m.reverted != 0 ||
            m.accepted == 0 || (tracked && m.included != m.accepted)) {
            return false;
        }
    }
    return true;
}

}  // namespace millrace::load
