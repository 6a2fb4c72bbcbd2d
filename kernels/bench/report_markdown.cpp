// SPDX-License-Identifier: Apache-2.0
// Owns the Markdown form of a report, which is also what the program prints.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "kernels/bench/report.hpp"

namespace millrace::kernel_bench {

namespace {

/// On one line, with no bar that ends it.
std::string cell(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '|') { out += '\\'; }
        out += c == '\n' || c == '\r' ? ' ' : c;
    }
    return out;
}

std::string line(const std::vector<std::string>& cells) {
    std::string out = "|";
    for (const std::string& text : cells) { out += " " + cell(text) + " |"; }
    return out + "\n";
}

/// The line below the header; the first `left` columns are texts, the others numbers.
std::string rule(size_t columns, size_t left) {
    std::string out = "|";
    for (size_t i = 0; i < columns; ++i) { out += i < left ? "---|" : "---:|"; }
    return out + "\n";
}

std::string percent(double fraction) {
    char text[32];
    std::snprintf(text, sizeof text, fraction < 0.0995 ? "%.1f %%" : "%.0f %%", 100 * fraction);
    return text;
}

std::string time_text(double ns) { return with_prefix(ns * 1e-9) + (ns > 999e6 ? " s" : "s"); }

void add_environment(const Report& report, std::string& out) {
    const Environment& e = report.environment;
    char clock[48];
    std::snprintf(clock, sizeof clock, "%.2f GHz measured", e.core_ghz);
    std::vector<std::pair<std::string, std::string>> facts = {
        {"CPU", e.cpu + ", " + std::to_string(e.cores_allowed) + " of " + std::to_string(e.cores) +
                    " cores, " + clock},
        {"flags", e.cpu_flags},
        {"memory", std::to_string(e.memory_mib) + " MiB"},
        {"GPU", e.gpu.empty() ? "none: " + e.gpu_absent : e.gpu + ", " + e.gpu_driver},
        {"system", e.os + ", " + e.kernel},
        {"build", "millrace " + e.version + ", " + e.compiler + ", " + e.build_type +
                      ", -march=" + e.architecture_flag},
        {"load average", e.load_before + " before, " + e.load_after + " after"},
        {"date", e.date},
        {"run", with_prefix(report.seconds_per_row) + "s a row, seed " +
                    std::to_string(report.seed) +
                    (report.interrupted ? ", interrupted: the results are partial" : "")}};
    facts.insert(facts.end(), e.extra.begin(), e.extra.end());
    for (const auto& [key, value] : facts) { out += "- " + key + ": " + value + "\n"; }
}

/// The rows of one kernel and shape that were measured.
struct CaseRows {
    const Row* first;
    std::vector<const Row*> rows;
};

std::vector<CaseRows> measured_cases(const Report& report) {
    std::vector<CaseRows> cases;
    for (const Row& row : report.rows) {
        if (row.state != RowState::measured) { continue; }
        const auto is_its = [&](const CaseRows& c) {
            return c.first->family == row.family && c.first->kernel == row.kernel &&
                   c.first->shape == row.shape;
        };
        auto c = std::find_if(cases.begin(), cases.end(), is_its);
        if (c == cases.end()) { c = cases.insert(cases.end(), CaseRows{&row, {}}); }
        c->rows.push_back(&row);
    }
    return cases;
}

std::vector<std::string> series_of(const CaseRows& c) {
    std::vector<std::string> series;
    for (const Row* row : c.rows) {
        if (std::ranges::find(series, series_text(*row)) == series.end()) {
            series.push_back(series_text(*row));
        }
    }
    return series;
}

void add_rates(const CaseRows& c, std::string& out) {
    const std::vector<std::string> series = series_of(c);
    out += "### " + c.first->kernel + ", " + c.first->shape + "\n\n";
    std::vector<std::string> head = {"batch"};
    head.insert(head.end(), series.begin(), series.end());
    out += line(head) + rule(head.size(), 0);
    std::map<size_t, std::map<std::string, const Row*>> at;
    for (const Row* row : c.rows) { at[row->batch][series_text(*row)] = row; }
    for (const auto& [batch, rows] : at) {
        std::vector<std::string> cells = {batch_text(batch)};
        for (const std::string& name : series) {
            const auto found = rows.find(name);
            cells.push_back(found == rows.end() ? "-" : found->second->shown_rate_text());
        }
        out += line(cells);
    }
    out += "\n";
}

std::string kernel_only_text(const Row& row) {
    if (!row.on_device) { return "same"; }
    return row.kernel_ns ? time_text(row.kernel_ns->median) : "not measured";
}

void add_largest(const std::vector<CaseRows>& cases, std::string& out) {
    const std::vector<std::string> head = {"kernel",      "shape",       "back end",    "target",
                                           "batch",       "median",      "min",         "p99",
                                           "spread",      "rate",        "bytes",       "ns each",
                                           "CPU us each", "kernel only", "of its bound"};
    out += "## Largest batches in full\n\nTimes are of one batch, from the caller's memory to the "
           "caller's memory. On a CPU the time of the kernel alone is the same.\n\n";
    out += line(head) + rule(head.size(), 4);
    for (const CaseRows& c : cases) {
        for (const std::string& name : series_of(c)) {
            const Row* row = nullptr;
            for (const Row* candidate : c.rows) {
                if (series_text(*candidate) == name &&
                    (row == nullptr || candidate->batch > row->batch)) {
                    row = candidate;
                }
            }
            const Summary& t = row->end_to_end_ns;
            char each[32];
            char cpu[32];
            std::snprintf(each, sizeof each, "%.4g", row->ns_per_item());
            std::snprintf(cpu, sizeof cpu, "%.3g", row->cpu_us_per_item());
            std::string bytes = with_prefix(row->bytes_per_second());
            bytes += bytes.find(' ') == std::string::npos ? " B/s" : "B/s";
            out += line({row->kernel, row->shape, name, row->target, batch_text(row->batch),
                         time_text(t.median), time_text(t.min), t.p99 ? time_text(*t.p99) : "-",
                         percent(t.spread), row->shown_rate_text(), bytes, each, cpu,
                         kernel_only_text(*row),
                         row->peaks.empty() ? "-"
                                            : percent(row->peaks.front().fraction) + " of " +
                                                  row->peaks.front().name});
        }
    }
    out += "\n";
}

void add_crossovers(const Report& report, std::string& out) {
    out += "## Crossover\n\nThe smallest batch at which the device beats the CPU at its best, end "
           "to end.\n\n";
    if (report.crossovers.empty()) {
        out += "None: no case was run with a device and the CPU.\n\n";
        return;
    }
    out += line({"kernel", "shape", "crossover"}) + rule(3, 3);
    for (const CaseCrossover& c : report.crossovers) {
        out += line({c.kernel, c.shape, describe(c.crossover)});
    }
    out += "\n";
}

void add_peaks(const Report& report, std::string& out) {
    if (report.peaks.empty()) { return; }
    out += "## Measured peaks of the CPU\n\n" + line({"unit", "cores", "rate"}) + rule(3, 1);
    for (const MeasuredPeak& peak : report.peaks) {
        out += line({std::string(to_string(peak.unit)), std::to_string(peak.threads),
                     with_prefix(peak.per_second) + "/s"});
    }
    out += "\n";
}

/// Rows of one state by their reason; equal reasons of one back end and kernel share a line.
void add_reasons(const Report& report, RowState state, const char* title, std::string& out) {
    struct Group {
        std::vector<std::string> batches;
        size_t rows = 0;
    };
    std::vector<std::pair<std::vector<std::string>, Group>> groups;
    for (const Row& row : report.rows) {
        if (row.state != state) { continue; }
        const std::vector<std::string> key = {
            row.kernel, row.shape, row.batch == 0 ? row.backend : series_text(row), row.reason};
        auto group = std::ranges::find_if(groups, [&](const auto& g) { return g.first == key; });
        if (group == groups.end()) { group = groups.insert(groups.end(), {key, {}}); }
        ++group->second.rows;
        group->second.batches.push_back(row.batch == 0 ? "all" : batch_text(row.batch));
    }
    if (groups.empty()) { return; }
    out += std::string("## ") + title + "\n\n";
    out += line({"kernel", "shape", "back end", "batches", "reason"}) + rule(5, 5);
    for (const auto& [key, group] : groups) {
        std::string batches;
        for (const std::string& batch : group.batches) {
            batches += (batches.empty() ? "" : ", ") + batch;
        }
        out += line({key[0], key[1], key[2], batches, key[3]});
    }
    out += "\n";
}

}  // namespace

std::string to_markdown(const Report& report) {
    std::string out = "# Kernels\n\n";
    add_environment(report, out);
    const std::vector<CaseRows> cases = measured_cases(report);
    out += "\n" + std::to_string(report.count(RowState::measured)) + " rows measured, " +
           std::to_string(report.count(RowState::skipped)) + " skipped, " +
           std::to_string(report.count(RowState::failed)) +
           " failed. Each measured answer was compared with the oracle's as a whole, before and "
           "after it was timed.\n\n";
    add_reasons(report, RowState::failed, "Failed", out);
    if (!cases.empty()) {
        out += "## Rates end to end, by batch\n\n";
        for (const CaseRows& c : cases) { add_rates(c, out); }
        add_largest(cases, out);
    }
    add_crossovers(report, out);
    add_peaks(report, out);
    add_reasons(report, RowState::skipped, "Not run", out);
    out.pop_back();  // no empty line at the end
    return out;
}

}  // namespace millrace::kernel_bench
