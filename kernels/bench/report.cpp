// SPDX-License-Identifier: Apache-2.0
// Owns what is computed from rows: rates, names, crossovers.
#include "kernels/bench/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

namespace millrace::kernel_bench {

double Row::items_per_second() const {
    return end_to_end_ns.median > 0 ? static_cast<double>(batch) * 1e9 / end_to_end_ns.median : 0;
}

double Row::ns_per_item() const {
    return batch == 0 ? 0 : end_to_end_ns.median / static_cast<double>(batch);
}

double Row::cpu_us_per_item() const {
    return batch == 0 ? 0 : cpu_ns_per_batch * 1e-3 / static_cast<double>(batch);
}

double Row::shown_rate() const { return rate_in_bytes ? bytes_per_second() : items_per_second(); }

std::string Row::shown_rate_text() const {
    const std::string number = with_prefix(shown_rate());
    const char* const gap = number.find(' ') == std::string::npos ? " " : "";
    return rate_in_bytes ? number + gap + "B/s" : number + gap + "/s";
}

std::string Row::name() const {
    std::string text = family + "/" + kernel + "/" + shape + "/" + backend;
    if (batch != 0) {
        text += "/threads:" + std::to_string(threads) + "/batch:" + std::to_string(batch);
    }
    return text;
}

size_t Report::count(RowState state) const {
    return static_cast<size_t>(
        std::ranges::count_if(rows, [&](const Row& row) { return row.state == state; }));
}

std::vector<CaseCrossover> find_crossovers(const std::vector<Row>& rows) {
    struct Case {
        CaseCrossover found;
        std::map<size_t, RatesAtBatch> rates;
        std::string absent;
        bool has_device = false;
        bool has_cpu = false;
    };
    std::vector<Case> cases;
    for (const Row& row : rows) {
        const auto is_its = [&](const Case& c) {
            return c.found.family == row.family && c.found.kernel == row.kernel &&
                   c.found.shape == row.shape;
        };
        auto c = std::find_if(cases.begin(), cases.end(), is_its);
        if (c == cases.end()) {
            c = cases.insert(cases.end(), Case{.found = {row.family, row.kernel, row.shape, {}}});
        }
        (row.on_device ? c->has_device : c->has_cpu) = true;
        if (row.state != RowState::measured) {
            if (row.on_device && c->absent.empty()) { c->absent = row.reason; }
            continue;
        }
        RatesAtBatch& rates = c->rates[row.batch];
        rates.batch = row.batch;
        std::optional<double>& rate = row.on_device ? rates.device : rates.cpu;
        rate = std::max(rate.value_or(0), row.items_per_second());
    }
    std::vector<CaseCrossover> crossovers;
    for (Case& c : cases) {
        // A copy to a device has no rival on the CPU.
        if (!c.has_device || !c.has_cpu) { continue; }
        std::vector<RatesAtBatch> rates;
        for (const auto& [batch, at] : c.rates) { rates.push_back(at); }
        c.found.crossover = find_crossover(rates, c.absent);
        crossovers.push_back(std::move(c.found));
    }
    return crossovers;
}

std::string with_prefix(double value) {
    static constexpr const char* prefixes[] = {"n", "u", "m", "", "k", "M", "G", "T"};
    size_t prefix = 3;
    while (value >= 999.5 && prefix + 1 < std::size(prefixes)) {
        value /= 1000;
        ++prefix;
    }
    while (value > 0 && value < 0.9995 && prefix > 0) {
        value *= 1000;
        --prefix;
    }
    char text[32];
    const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    std::snprintf(text, sizeof text, "%.*f%s%s", decimals, value, *prefixes[prefix] ? " " : "",
                  prefixes[prefix]);
    return text;
}

std::string batch_text(size_t batch) {
    if (batch != 0 && batch % (size_t{1} << 20) == 0) { return std::to_string(batch >> 20) + "M"; }
    if (batch != 0 && batch % (size_t{1} << 10) == 0) { return std::to_string(batch >> 10) + "K"; }
    return std::to_string(batch);
}

std::string series_text(const Row& row) {
    return row.on_device ? row.backend : row.backend + ", " + cores_text(row.threads);
}

std::string cores_text(size_t threads) {
    return std::to_string(threads) + (threads == 1 ? " core" : " cores");
}

}  // namespace millrace::kernel_bench
