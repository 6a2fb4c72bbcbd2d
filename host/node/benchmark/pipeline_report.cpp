// SPDX-License-Identifier: Apache-2.0
// Owns the JSON and the Markdown of the pipeline's measurement.
#include "host/node/benchmark/pipeline_report.hpp"

#include <algorithm>
#include <cstdio>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace millrace::node {
namespace {

namespace json = boost::json;
using State = PipelineRow::State;

std::string_view to_string(State s) noexcept {
    switch (s) {
        case State::measured: return "measured";
        case State::skipped: return "skipped";
        case State::failed: return "failed";
    }
    return "unknown";
}

template <class F>
kernel_bench::Summary summary_of(const PipelineRow& row, F value) {
    std::vector<double> values;
    const double n = static_cast<double>(std::max<size_t>(row.transactions, 1));
    for (const PipelineSample& s : row.samples) { values.push_back(value(s) / n); }
    return kernel_bench::summarize(std::move(values));
}

json::object context_of(const PipelineReport& report) {
    const kernel_bench::Environment& e = report.environment;
    json::object o{{"date", e.date},
                   {"millrace", e.version},
                   {"cpu", e.cpu},
                   {"cpu_flags", e.cpu_flags},
                   {"core_ghz", e.core_ghz},
                   {"cores", e.cores},
                   {"cores_allowed", e.cores_allowed},
                   {"memory_mib", e.memory_mib},
                   {"os", e.os},
                   {"kernel", e.kernel},
                   {"compiler", e.compiler},
                   {"build_type", e.build_type},
                   {"march", e.architecture_flag},
                   {"load_average_before", e.load_before},
                   {"load_average_after", e.load_after},
                   {"gpu", e.gpu},
                   {"repeat", report.repeat},
                   {"interrupted", report.interrupted}};
    for (const auto& [key, value] : e.extra) { o[key] = value; }
    return o;
}

json::object to_object(const PipelineRow& row) {
    json::object o{{"name", row.name()},
                   {"profile", row.profile},
                   {"stage", row.stage},
                   {"workers", row.workers},
                   {"state", to_string(row.state)}};
    if (!row.reason.empty()) { o["reason"] = row.reason; }
    if (row.state != State::measured) { return o; }
    const kernel_bench::Summary wall = row.wall_us();
    const kernel_bench::Summary cpu = row.cpu_us();
    o["run_type"] = "aggregate";
    o["aggregate_name"] = "median";
    o["iterations"] = row.samples.size();
    o["transactions"] = row.transactions;
    o["time_unit"] = "us";
    o["real_time"] = wall.median;
    o["real_time_min"] = wall.min;
    o["real_time_max"] = wall.max;
    o["real_time_spread"] = wall.spread;
    o["cpu_time"] = cpu.median;
    o["cpu_time_min"] = cpu.min;
    o["cpu_time_max"] = cpu.max;
    o["cpu_time_spread"] = cpu.spread;
    o["transactions_per_second"] = row.transactions_per_second();
    for (const auto& [key, value] : row.figures()) { o[key] = value; }
    return o;
}

std::string cell(const char* format, double value) {
    char text[32];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

std::string figures_text(const PipelineRow& row) {
    std::string out;
    for (const auto& [key, value] : row.figures()) {
        if (value == 0) { continue; }
        out += (out.empty() ? "" : ", ") + key + " " + cell(value < 100 ? "%.2f" : "%.0f", value);
    }
    return out;
}

}  // namespace

kernel_bench::Summary PipelineRow::wall_us() const {
    return summary_of(*this, [](const PipelineSample& s) { return s.wall_us; });
}

kernel_bench::Summary PipelineRow::cpu_us() const {
    return summary_of(*this, [](const PipelineSample& s) { return s.cpu_us; });
}

double PipelineRow::transactions_per_second() const {
    const double us = wall_us().median;
    return us > 0 ? 1e6 / us : 0;
}

std::vector<std::pair<std::string, double>> PipelineRow::figures() const {
    std::vector<std::pair<std::string, double>> out;
    if (samples.empty()) { return out; }
    for (size_t i = 0; i < samples.front().figures.size(); ++i) {
        std::vector<double> values;
        for (const PipelineSample& s : samples) { values.push_back(s.figures[i].second); }
        out.emplace_back(samples.front().figures[i].first,
                         kernel_bench::summarize(std::move(values)).median);
    }
    return out;
}

std::string PipelineRow::name() const {
    return "pipeline/" + profile + "/" + stage + "/workers:" + std::to_string(workers);
}

size_t PipelineReport::count(State state) const noexcept {
    return static_cast<size_t>(std::ranges::count(rows, state, &PipelineRow::state));
}

std::string to_json(const PipelineReport& report) {
    json::array rows;
    for (const PipelineRow& row : report.rows) { rows.push_back(to_object(row)); }
    return json::serialize(
               json::object{{"context", context_of(report)}, {"benchmarks", std::move(rows)}}) +
           "\n";
}

std::string to_markdown(const PipelineReport& report) {
    const kernel_bench::Environment& e = report.environment;
    std::string out = "# The node's pipeline in process\n\n" + e.cpu + ", " +
                      std::to_string(e.cores_allowed) + " of " + std::to_string(e.cores) +
                      " logical cores; " + e.compiler + ", " + e.build_type + ", " +
                      e.architecture_flag + ". Load " + e.load_before + " before, " + e.load_after +
                      " after.\nMedians of " + std::to_string(report.repeat) +
                      " runs, of one transaction; the spread is the distance of the quartiles "
                      "over the median.\n";
    std::string profile;
    for (const PipelineRow& row : report.rows) {
        if (row.profile != profile) {
            profile = row.profile;
            out += "\n## " + profile +
                   "\n\n| stage | workers | transactions/s | us | spread | CPU "
                   "us | spread | |\n|---|--:|--:|--:|--:|--:|--:|---|\n";
        }
        out += "| " + row.stage + " | " + std::to_string(row.workers) + " | ";
        if (row.state != State::measured) {
            out += "| | | | | " + std::string(to_string(row.state)) + ": " + row.reason + " |\n";
            continue;
        }
        const kernel_bench::Summary wall = row.wall_us();
        const kernel_bench::Summary cpu = row.cpu_us();
        out += cell("%.0f", row.transactions_per_second()) + " | " + cell("%.3f", wall.median) +
               " | " + cell("%.2f", wall.spread) + " | " + cell("%.3f", cpu.median) + " | " +
               cell("%.2f", cpu.spread) + " | " + figures_text(row) + " |\n";
    }
    if (report.interrupted) { out += "\nInterrupted: the rows are partial.\n"; }
    return out;
}

}  // namespace millrace::node
