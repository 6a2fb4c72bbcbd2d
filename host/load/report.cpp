// SPDX-License-Identifier: Apache-2.0
// Owns the forms of a result: a table and JSON.
#include <cstdarg>

#include "host/load/load.hpp"
#include "kernels/bench/environment.hpp"
#include "net/rpc/json_writer.hpp"

namespace millrace::load {

namespace {

using net::JsonWriter;

[[gnu::format(printf, 2, 3)]] void append_line(std::string& out, const char* format, ...) {
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    out += text;
    out += '\n';
}

unsigned long long whole(uint64_t v) { return v; }
double ms(uint64_t us) { return static_cast<double>(us) * 1e-3; }
double mib(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

double us_each(double seconds, uint64_t count) {
    return count == 0 ? 0 : seconds * 1e6 / static_cast<double>(count);
}

void append_latency(std::string& out, const char* name, const LatencyHistogram& h) {
    if (h.count() == 0) { return; }
    append_line(out, "  %-28s p50 %8.2f  p90 %8.2f  p99 %8.2f  p99.9 %8.2f  max %8.2f ms", name,
                ms(h.quantile_us(0.5)), ms(h.quantile_us(0.9)), ms(h.quantile_us(0.99)),
                ms(h.quantile_us(0.999)), ms(h.max_us()));
}

void append_latencies(std::string& out, const std::string& prefix, const Latencies& l,
                      Track track) {
    append_latency(out, (prefix + "to acknowledgement").c_str(), l.acknowledged);
    append_latency(out,
                   (prefix + (track == Track::mini_blocks ? "to mini-block" : "to block")).c_str(),
                   l.included);
    append_latency(out, (prefix + "to receipt").c_str(), l.receipt);
}

void append_phase(std::string& out, const PhaseResult& phase) {
    const Measurement& m = phase.measurement;
    append_line(out, "%s", phase.name.c_str());
    if (phase.offered_per_s > 0) {
        append_line(out,
                    "  offered                      %.0f/s; %llu arrivals, sent in %.1f s (%.0f/s)",
                    phase.offered_per_s, whole(m.offered), m.sending_s,
                    m.sending_s > 0 ? static_cast<double>(m.sent) / m.sending_s : 0);
    }
    append_line(out,
                "  included                     %.0f/s (%llu of %llu accepted; %.0f/s over "
                "the whole %.1f s)",
                m.included_per_s, whole(m.included), whole(m.accepted), m.included_per_s_whole,
                m.whole_s);
    append_line(out,
                "  sends                        %llu, refused for now %llu (with priority %llu), "
                "rejected %llu%s",
                whole(m.sent), whole(m.refused), whole(m.priority_refused), whole(m.rejected),
                m.ran_out ? "; all signed transactions were sent" : "");
    for (const std::string& reason : m.reasons) {
        append_line(out, "    rejected: %s", reason.c_str());
    }
    if (m.reverted != 0) { append_line(out, "    reverted: %llu", whole(m.reverted)); }
    append_latencies(out, "", m.all, m.track);
    append_latencies(out, "priority ", m.priority, m.track);
    if (const LatencyHistogram& h = m.priority.mini_blocks; h.count() != 0) {
        append_line(out,
                    "  priority, in mini-blocks     p50 %8llu  p90 %8llu  p99 %8llu  p99.9 %8llu  "
                    "max %8llu",
                    whole(h.quantile_us(0.5)), whole(h.quantile_us(0.9)),
                    whole(h.quantile_us(0.99)), whole(h.quantile_us(0.999)), whole(h.max_us()));
    }
    append_latency(out, "sent late by", m.send_lag);
    append_line(out, "  CPU per transaction          generator %.1f us%s",
                us_each(m.generator_cpu_s, m.accepted), m.node ? "" : " (node: give --pid)");
    if (m.node) {
        append_line(out, "                               node %.1f us",
                    us_each(m.node->cpu_s, m.accepted));
        append_line(out, "  memory of the node           %.0f MiB before, at most %.0f MiB",
                    mib(m.node->rss_start_bytes), mib(m.node->rss_max_bytes));
    }
    const Verification& v = phase.verification;
    append_line(out, "  checked on the chain         %llu nonces, %llu balances, %llu receipts%s",
                whole(v.nonces), whole(v.balances), whole(v.receipts),
                v.faults.empty() ? ": right" : ":");
    for (const std::string& fault : v.faults) { append_line(out, "    WRONG: %s", fault.c_str()); }
}

void write_latency(JsonWriter& w, std::string_view name, const LatencyHistogram& h) {
    w.key(name);
    w.begin_object();
    w.field_number("count", h.count());
    w.key("mean_us"), w.number(h.mean_us());
    w.field_number("min_us", h.min_us());
    w.field_number("p50_us", h.quantile_us(0.5));
    w.field_number("p90_us", h.quantile_us(0.9));
    w.field_number("p99_us", h.quantile_us(0.99));
    w.field_number("p999_us", h.quantile_us(0.999));
    w.field_number("max_us", h.max_us());
    w.end_object();
}

void write_mini_blocks(JsonWriter& w, const LatencyHistogram& h) {
    w.key("priority_mini_blocks");
    w.begin_object();
    w.field_number("count", h.count());
    w.field_number("p50", h.quantile_us(0.5));
    w.field_number("p90", h.quantile_us(0.9));
    w.field_number("p99", h.quantile_us(0.99));
    w.field_number("p999", h.quantile_us(0.999));
    w.field_number("max", h.max_us());
    w.end_object();
}

void write_latencies(JsonWriter& w, std::string_view name, const Latencies& l) {
    w.key(name);
    w.begin_object();
    write_latency(w, "acknowledgement", l.acknowledged);
    write_latency(w, "included", l.included);
    write_latency(w, "receipt", l.receipt);
    w.end_object();
}

void write_phase(JsonWriter& w, const PhaseResult& phase) {
    const Measurement& m = phase.measurement;
    const auto real = [&w](std::string_view name, double v) { w.key(name), w.number(v); };
    w.begin_object();
    w.field_text("name", phase.name);
    w.field_text("run_type", "iteration");
    w.field_number("iterations", m.included);
    real("real_time", us_each(m.whole_s, m.included));
    real("cpu_time", us_each(m.generator_cpu_s, m.accepted));
    w.field_text("time_unit", "us");
    real("items_per_second", m.included_per_s);
    real("included_per_second_whole", m.included_per_s_whole);
    if (phase.offered_per_s > 0) { real("offered_per_second", phase.offered_per_s); }
    w.field_number("offered", m.offered);
    w.field_number("sent", m.sent);
    w.field_number("accepted", m.accepted);
    w.field_number("refused", m.refused);
    w.field_number("priority_refused", m.priority_refused);
    w.field_number("rejected", m.rejected);
    w.field_number("included", m.included);
    w.field_number("reverted", m.reverted);
    w.field_boolean("ran_out", m.ran_out);
    real("sending_s", m.sending_s);
    real("whole_s", m.whole_s);
    w.field_text("track", to_string(m.track));
    write_latencies(w, "latency", m.all);
    write_latencies(w, "priority_latency", m.priority);
    write_mini_blocks(w, m.priority.mini_blocks);
    write_latency(w, "send_lag", m.send_lag);
    w.key("included_by_second");
    w.begin_array();
    for (const uint64_t count : m.included_by_second) { w.number(count); }
    w.end_array();
    real("generator_cpu_us_per_transaction", us_each(m.generator_cpu_s, m.accepted));
    if (m.node) {
        real("node_cpu_us_per_transaction", us_each(m.node->cpu_s, m.accepted));
        w.field_number("node_rss_start_bytes", m.node->rss_start_bytes);
        w.field_number("node_rss_max_bytes", m.node->rss_max_bytes);
    }
    w.key("reasons");
    w.begin_array();
    for (const std::string& reason : m.reasons) { w.text(reason); }
    w.end_array();
    const Verification& v = phase.verification;
    w.key("verification");
    w.begin_object();
    w.field_number("nonces", v.nonces);
    w.field_number("balances", v.balances);
    w.field_number("receipts", v.receipts);
    w.key("faults");
    w.begin_array();
    for (const std::string& fault : v.faults) { w.text(fault); }
    w.end_array();
    w.end_object();
    w.end_object();
}

void write_options(JsonWriter& w, const LoadOptions& o) {
    const auto real = [&w](std::string_view name, double v) { w.key(name), w.number(v); };
    w.key("options");
    w.begin_object();
    w.field_text("profile", o.profile);
    w.field_text("send", o.send);
    w.field_text("arrivals", o.arrivals);
    w.field_text("track", o.track);
    real("rate", o.rate);
    real("seconds", o.seconds);
    w.field_number("count", o.count);
    w.field_number("connections", o.connections);
    w.field_number("batch", o.batch);
    w.field_number("pipeline", o.pipeline);
    w.field_number("accounts", o.accounts);
    w.field_number("recipients", o.recipients);
    w.field_number("pairs", o.pairs);
    w.field_number("in_flight", o.in_flight);
    real("priority_fraction", o.priority_fraction);
    real("overload", o.overload);
    w.field_number("seed", o.seed);
    w.end_object();
}

}  // namespace

std::string report_text(const LoadResult& result) {
    std::string out;
    append_line(out, "%s at %s, chain %llu%s", result.client_version.c_str(),
                result.options.url.c_str(), whole(result.chain_id),
                result.interrupted ? " (interrupted)" : "");
    for (const PhaseResult& phase : result.phases) { append_phase(out, phase); }
    if (result.phases.size() == 2) {
        const double peak = result.phases[0].measurement.included_per_s;
        const double under = result.phases[1].measurement.included_per_s;
        append_line(out, "  included under overload      %.0f %% of the closed loop's rate",
                    peak > 0 ? 100 * under / peak : 0);
    }
    return out;
}

std::string report_json(const LoadResult& result) {
    const kernel_bench::Environment e = kernel_bench::read_environment();
    JsonWriter w;
    w.begin_object();
    w.key("context");
    w.begin_object();
    w.field_text("date", e.date);
    w.field_text("millrace", e.version);
    w.field_text("cpu", e.cpu);
    w.field_number("cores_allowed", e.cores_allowed);
    w.field_number("memory_mib", e.memory_mib);
    w.field_text("os", e.os);
    w.field_text("kernel", e.kernel);
    w.field_text("compiler", e.compiler);
    w.field_text("build_type", e.build_type);
    w.field_text("march", e.architecture_flag);
    w.field_text("load_average_after", e.load_before);
    w.field_text("client_version", result.client_version);
    w.field_text("endpoint", result.options.url);
    w.field_number("chain_id", result.chain_id);
    w.field_boolean("interrupted", result.interrupted);
    for (const std::string& entry : result.options.context) {
        const size_t equals = entry.find('=');
        w.field_text(entry.substr(0, equals), entry.substr(equals + 1));
    }
    write_options(w, result.options);
    w.end_object();
    w.key("benchmarks");
    w.begin_array();
    for (const PhaseResult& phase : result.phases) { write_phase(w, phase); }
    w.end_array();
    w.end_object();
    return w.take() + "\n";
}

}  // namespace millrace::load
