// SPDX-License-Identifier: Apache-2.0
// Owns the CSV form of a report.
#include <cstdio>

#include "kernels/bench/report.hpp"

namespace millrace::kernel_bench {

namespace {

std::string number(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
}

/// Quoted when it has to be (RFC 4180).
std::string field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) { return text; }
    std::string out = "\"";
    for (const char c : text) { out += c == '"' ? "\"\"" : std::string(1, c); }
    return out + "\"";
}

constexpr const char* header =
    "family,kernel,shape,item,backend,target,threads,batch,state,reason,samples,calls_per_sample,"
    "median_ns,min_ns,p99_ns,max_ns,spread_percent,cpu_ns_per_batch,items_per_second,"
    "bytes_per_second,ns_per_item,cpu_us_per_item,kernel_only_median_ns,bound,bound_per_second,"
    "percent_of_bound\r\n";

std::string times_of(const Row& row) {
    const Summary& t = row.end_to_end_ns;
    std::string out = std::to_string(t.samples) + "," + std::to_string(row.calls_per_sample);
    const double kernel = row.on_device ? (row.kernel_ns ? row.kernel_ns->median : 0) : t.median;
    out += "," + number(t.median) + "," + number(t.min) + "," + (t.p99 ? number(*t.p99) : "");
    for (const double value : {t.max, 100 * t.spread, row.cpu_ns_per_batch, row.items_per_second(),
                               row.bytes_per_second(), row.ns_per_item(), row.cpu_us_per_item()}) {
        out += "," + number(value);
    }
    out += kernel > 0 ? "," + number(kernel) : ",";
    if (row.peaks.empty()) { return out + ",,,"; }
    const PeakShare& peak = row.peaks.front();
    return out + "," + field(peak.name) + "," + number(peak.rate) + "," +
           number(100 * peak.fraction);
}

}  // namespace

std::string to_csv(const Report& report) {
    std::string out = header;
    for (const Row& row : report.rows) {
        for (const std::string& text :
             {row.family, row.kernel, row.shape, row.item, row.backend, row.target}) {
            out += field(text) + ",";
        }
        out += std::to_string(row.threads) + ",";
        out += (row.batch == 0 ? "" : std::to_string(row.batch)) + ",";
        out += std::string(to_string(row.state)) + "," + field(row.reason) + ",";
        out += row.state == RowState::measured ? times_of(row) : std::string(15, ',');
        out += "\r\n";
    }
    return out;
}

}  // namespace millrace::kernel_bench
