// SPDX-License-Identifier: Apache-2.0
// Owns the JSON form of a report.
#include <cmath>
#include <cstdio>

#include "kernels/bench/report.hpp"
#include "kernels/gpu_check/json.hpp"

namespace millrace::kernel_bench {

namespace {

using gpu_check::json_array;
using gpu_check::json_string;
using gpu_check::JsonObject;

/// JSON has no infinity and nothing that is not a number.
std::string number(double value) {
    return std::isfinite(value) ? gpu_check::json_number(value) : "null";
}

std::string flag(bool value) { return value ? "true" : "false"; }

/// On one line: a report has many.
std::string inline_array(const std::vector<std::string>& elements) {
    std::string out = "[";
    for (size_t i = 0; i < elements.size(); ++i) { out += (i == 0 ? "" : ", ") + elements[i]; }
    return out + "]";
}

void add_known(JsonObject& object, const char* key, const std::string& text) {
    object.add(key, text.empty() ? "null" : json_string(text));
}

std::string context_of(const Report& report) {
    const Environment& e = report.environment;
    JsonObject o;
    add_known(o, "date", e.date);
    add_known(o, "millrace", e.version);
    add_known(o, "cpu", e.cpu);
    add_known(o, "cpu_flags", e.cpu_flags);
    o.add("core_ghz", number(e.core_ghz)).add("nominal_mhz", number(e.nominal_mhz));
    o.add("cores", std::to_string(e.cores)).add("cores_allowed", std::to_string(e.cores_allowed));
    o.add("memory_mib", std::to_string(e.memory_mib));
    add_known(o, "os", e.os);
    add_known(o, "kernel", e.kernel);
    add_known(o, "compiler", e.compiler);
    add_known(o, "build_type", e.build_type);
    add_known(o, "march", e.architecture_flag);
    add_known(o, "load_average_before", e.load_before);
    add_known(o, "load_average_after", e.load_after);
    add_known(o, "gpu", e.gpu);
    add_known(o, "gpu_driver", e.gpu_driver);
    add_known(o, "gpu_absent", e.gpu_absent);
    o.add("seed", std::to_string(report.seed));
    o.add("seconds_per_row", number(report.seconds_per_row));
    o.add("interrupted", flag(report.interrupted));
    std::vector<std::string> peaks;
    for (const MeasuredPeak& peak : report.peaks) {
        peaks.push_back(JsonObject()
                            .add("unit", json_string(to_string(peak.unit)))
                            .add("threads", std::to_string(peak.threads))
                            .add("per_second", number(peak.per_second))
                            .text());
    }
    o.add("measured_peaks", inline_array(peaks));
    for (const auto& [key, value] : e.extra) { o.add(key, json_string(value)); }
    return o.text();
}

std::string peaks_of(const Row& row) {
    std::vector<std::string> peaks;
    for (const PeakShare& peak : row.peaks) {
        peaks.push_back(JsonObject()
                            .add("bound", json_string(peak.name))
                            .add("items_per_second", number(peak.rate))
                            .add("percent", number(100 * peak.fraction))
                            .text());
    }
    return inline_array(peaks);
}

std::string optional_number(const std::optional<double>& value) {
    return value ? number(*value) : "null";
}

void add_times(JsonObject& o, const Row& row) {
    const Summary& t = row.end_to_end_ns;
    o.add("run_type", json_string("aggregate")).add("aggregate_name", json_string("median"));
    o.add("iterations", std::to_string(t.samples * row.calls_per_sample));
    o.add("samples", std::to_string(t.samples));
    o.add("real_time", number(t.median)).add("cpu_time", number(row.cpu_ns_per_batch));
    o.add("time_unit", json_string("ns"));
    o.add("real_time_min", number(t.min)).add("real_time_p99", optional_number(t.p99));
    o.add("real_time_max", number(t.max)).add("spread_percent", number(100 * t.spread));
    o.add("items_per_second", number(row.items_per_second()));
    o.add("bytes_per_second", number(row.bytes_per_second()));
    o.add("ns_per_item", number(row.ns_per_item()));
    o.add("cpu_us_per_item", number(row.cpu_us_per_item()));
    if (!row.on_device) {
        o.add("kernel_only", json_string("same"));
    } else if (row.kernel_ns) {
        o.add("kernel_only", JsonObject()
                                 .add("real_time", number(row.kernel_ns->median))
                                 .add("real_time_min", number(row.kernel_ns->min))
                                 .add("real_time_p99", optional_number(row.kernel_ns->p99))
                                 .add("samples", std::to_string(row.kernel_ns->samples))
                                 .text());
    } else {
        o.add("kernel_only", "null").add("no_kernel_time", json_string(row.no_kernel_time));
    }
    if (!row.peaks.empty()) { o.add("peaks", peaks_of(row)); }
}

std::string row_of(const Row& row) {
    JsonObject o;
    o.add("name", json_string(row.name()));
    o.add("state", json_string(to_string(row.state)));
    if (!row.reason.empty()) { o.add("reason", json_string(row.reason)); }
    o.add("family", json_string(row.family)).add("kernel", json_string(row.kernel));
    o.add("shape", json_string(row.shape)).add("item", json_string(row.item));
    o.add("backend", json_string(row.backend));
    add_known(o, "target", row.target);
    o.add("threads", std::to_string(row.threads));
    o.add("batch", row.batch == 0 ? "null" : std::to_string(row.batch));
    if (row.state == RowState::measured) { add_times(o, row); }
    return o.text();
}

std::string count_or_null(const std::optional<size_t>& value) {
    return value ? std::to_string(*value) : "null";
}

std::string crossover_of(const CaseCrossover& c) {
    JsonObject o;
    o.add("family", json_string(c.family)).add("kernel", json_string(c.kernel));
    o.add("shape", json_string(c.shape));
    o.add("batch", count_or_null(c.crossover.first));
    o.add("last_batch_lost", count_or_null(c.crossover.last_lost));
    o.add("last_batch_won", count_or_null(c.crossover.last));
    o.add("interpolated",
          c.crossover.interpolated ? number(*c.crossover.interpolated) : std::string("null"));
    add_known(o, "reason", c.crossover.reason);
    return o.text();
}

}  // namespace

std::string to_json(const Report& report) {
    std::vector<std::string> rows;
    for (const Row& row : report.rows) { rows.push_back(row_of(row)); }
    std::vector<std::string> crossovers;
    for (const CaseCrossover& c : report.crossovers) { crossovers.push_back(crossover_of(c)); }
    return "{\n  \"context\": " + context_of(report) + ",\n  \"benchmarks\": " + json_array(rows) +
           ",\n  \"crossovers\": " + json_array(crossovers) + "\n}\n";
}

}  // namespace millrace::kernel_bench
