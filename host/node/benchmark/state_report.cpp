// SPDX-License-Identifier: Apache-2.0
// Owns the JSON and the Markdown of the measurement of stores.
#include "host/node/benchmark/state_report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace millrace::node::state_bench {
namespace {

namespace json = boost::json;
using State = Row::State;

std::string_view to_string(State s) noexcept {
    switch (s) {
        case State::measured: return "measured";
        case State::skipped: return "skipped";
        case State::failed: return "failed";
    }
    return "unknown";
}

std::string text(const char* format, double value) {
    char out[40];
    std::snprintf(out, sizeof out, format, value);
    return out;
}

/// Three digits or more.
std::string number(double value) {
    const double size = std::fabs(value);
    return text(size >= 100 ? "%.0f" : size >= 10 ? "%.1f" : size >= 1 ? "%.2f" : "%.3f", value);
}

json::object context_of(const Report& report) {
    const kernel_bench::Environment& e = report.environment;
    return {{"date", e.date},
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
            {"load_batch", report.load_batch},
            {"seed", report.seed},
            {"in_memory", report.in_memory},
            {"interrupted", report.interrupted}};
}

json::object to_object(const Row& row) {
    json::object o{{"name", row.name()},     {"store", row.store}, {"keys", row.keys},
                   {"measure", row.measure}, {"batch", row.batch}, {"state", to_string(row.state)}};
    if (!row.reason.empty()) { o["reason"] = row.reason; }
    if (row.state != State::measured) { return o; }
    if (row.items != 0) {
        const auto items = static_cast<double>(row.items);
        o["run_type"] = "iteration";
        o["iterations"] = row.sample_ms.samples;
        o["items"] = row.items;
        o["time_unit"] = "us";
        o["real_time"] = row.wall_s * 1e6 / items;
        o["cpu_time"] = row.cpu_us_per_item();
        o["items_per_second"] = row.items_per_second();
        o["p50_ms"] = row.sample_ms.median;
        if (row.sample_ms.p99) { o["p99_ms"] = *row.sample_ms.p99; }
        o["max_ms"] = row.sample_ms.max;
    }
    for (const auto& [key, value] : row.figures) { o[key] = value; }
    return o;
}

/// What a figure is to be, as the notes of the project have it.
struct Target {
    std::string text;
    /// Whether it is reached by our figure and those of the databases; nothing where that cannot be
    /// said.
    std::function<std::optional<bool>(double ours, std::optional<double> rocksdb,
                                      std::optional<double> lmdb)>
        reached;
};

Target at_most(double limit, const std::string& unit) {
    return {"at most " + number(limit) + " " + unit,
            [limit](double ours, auto, auto) { return std::optional{ours <= limit}; }};
}
Target at_least(double limit, const std::string& what) {
    return {what, [limit](double ours, auto, auto) { return std::optional{ours >= limit}; }};
}
Target times_better(double than_rocksdb, double than_lmdb) {
    return {"at least " + text("%.0f", than_rocksdb) + "x RocksDB and " + text("%.0f", than_lmdb) +
                "x LMDB",
            [=](double ours, std::optional<double> rocksdb,
                std::optional<double> lmdb) -> std::optional<bool> {
                if (!rocksdb || !lmdb) { return std::nullopt; }
                return ours >= than_rocksdb * *rocksdb && ours >= than_lmdb * *lmdb;
            }};
}

constexpr uint64_t million = 1'000'000;

using TargetOf = std::function<std::optional<Target>(uint64_t keys, uint64_t batch)>;
using ValueOf = std::function<std::optional<double>(const Row&)>;

/// A line of the table.
struct Line {
    std::string_view measure;
    std::string label;
    ValueOf value;
    bool more_is_better = false;
    TargetOf target;
};

ValueOf figure(std::string_view name) {
    return [name](const Row& row) { return row.figure(name); };
}
std::optional<double> cpu_us(const Row& row) { return row.cpu_us_per_item(); }
std::optional<double> rate(const Row& row) { return row.items_per_second(); }
std::optional<double> p50_ms(const Row& row) { return row.sample_ms.median; }
std::optional<double> p99_ms(const Row& row) { return row.sample_ms.p99; }
std::optional<double> p50_us(const Row& row) { return row.sample_ms.median * 1e3; }
std::optional<double> p99_us(const Row& row) {
    return row.sample_ms.p99 ? std::optional{*row.sample_ms.p99 * 1e3} : std::nullopt;
}
std::optional<double> wall_s(const Row& row) { return row.wall_s; }
std::optional<double> cpu_s(const Row& row) { return row.cpu_s; }

/// What grows with the keys: the memory of a block at hand follows the largest block.
std::optional<double> kept_bytes(const Row& row) {
    double sum = 0;
    for (const std::string_view part : {"index_bytes_per_key", "tree_bytes_per_key",
                                        "places_bytes_per_key", "blocks_bytes_per_key"}) {
        const auto bytes = row.figure(part);
        if (!bytes) { return std::nullopt; }
        sum += *bytes;
    }
    return sum;
}

std::optional<Target> cpu_target(uint64_t keys, uint64_t) {
    if (keys > 20 * million) { return std::nullopt; }
    return at_most(keys > 5 * million ? 1.3 : 1.0, "us");
}
std::optional<Target> rate_target(uint64_t, uint64_t batch) {
    if (batch == 10'000) { return times_better(8, 12); }
    if (batch == 100'000) { return at_least(1e6, "at least 1 M/s"); }
    return std::nullopt;
}
std::optional<Target> start_target(uint64_t keys, uint64_t) {
    if (keys > 5 * million) { return std::nullopt; }
    return at_most(1, "s");
}
std::optional<Target> rollback_target(uint64_t, uint64_t batch) {
    if (batch != 10'000) { return std::nullopt; }
    return at_most(1, "s");
}
TargetOf always(const Target& target) {
    return [target](uint64_t, uint64_t) { return std::optional{target}; };
}

std::vector<Line> table_lines() {
    std::vector<Line> all;
    for (const auto& [name, title] :
         {std::pair{measure::update, "updates"}, std::pair{measure::skewed, "skewed updates"},
          std::pair{measure::churn, "updates, creates, deletes"},
          std::pair{measure::load, "first creation"}}) {
        const bool plain = name == measure::update;
        const std::string of = std::string{title} + ": ";
        all.push_back({name, of + "CPU us a write", cpu_us, false,
                       plain ? TargetOf{cpu_target} : TargetOf{}});
        all.push_back({name, of + "durable writes a second", rate, true,
                       plain ? TargetOf{rate_target} : TargetOf{}});
        all.push_back({name, of + "a batch, p50 ms", p50_ms, false, {}});
        all.push_back({name, of + "a batch, p99 ms", p99_ms, false, {}});
        all.push_back({name, of + "bytes written for one given (process)",
                       figure("write_amplification_process"), false,
                       plain ? always(at_most(2.2, "bytes")) : TargetOf{}});
        all.push_back({name,
                       of + "bytes written for one given (device)",
                       figure("write_amplification_device"),
                       false,
                       {}});
    }
    all.push_back({measure::mini_block, "1,000 updates each 10 ms: p50 ms", p50_ms, false, {}});
    all.push_back({measure::mini_block, "1,000 updates each 10 ms: p99 ms", p99_ms, false,
                   always(at_most(3, "ms"))});
    for (const auto& [name, title] :
         {std::pair{measure::get, "a read: "},
          std::pair{measure::get_absent, "a read of an absent key: "}}) {
        all.push_back({name, std::string{title} + "p50 us", p50_us, false, {}});
        all.push_back({name, std::string{title} + "p99 us", p99_us, false, {}});
    }
    all.push_back(
        {measure::footprint, "memory, bytes a key", figure("memory_bytes_per_key"), false, {}});
    all.push_back({measure::footprint, "the same without that of a block at hand", kept_bytes,
                   false, always(at_most(10.5, "bytes"))});
    all.push_back({measure::footprint, "disk for a byte of keys and values",
                   figure("space_amplification"), false, always(at_most(2.45, "bytes"))});
    all.push_back({measure::restart, "start: s", wall_s, false, start_target});
    all.push_back({measure::restart, "start: CPU s", cpu_s, false, {}});
    all.push_back({measure::restart_cold, "start, nothing cached: s", wall_s, false, {}});
    all.push_back({measure::restart_cold, "start, nothing cached: CPU s", cpu_s, false, {}});
    all.push_back({measure::rollback, "100 batches taken back: s", wall_s, false, rollback_target});
    all.push_back({measure::rollback, "100 batches taken back: CPU s", cpu_s, false, {}});
    for (const auto& [name, title] :
         {std::pair{measure::proof, "a proof, bytes"},
          std::pair{measure::proof_random, "one proof of keys at random, bytes a key"},
          std::pair{measure::proof_recent, "one proof of keys just written, bytes a key"}}) {
        all.push_back({name, title, figure("bytes_per_key"), false, {}});
    }
    return all;
}

/// The rows of one number of keys.
class Table {
public:
    Table(const Report& report, uint64_t keys) : keys_(keys) {
        for (const Row& row : report.rows) {
            if (row.keys != keys || row.measure == measure::proof_computed) { continue; }
            rows_.push_back(&row);
            if (std::ranges::find(stores_, row.store) == stores_.end()) {
                stores_.push_back(row.store);
            }
        }
        // Ours come first in the list.
        first_ = stores_.front();
    }

    std::string text() const {
        std::string out = "\n## " + std::to_string(keys_) + " keys\n\n| | batch |";
        std::string rule = "|---|--:|";
        for (const std::string& store : stores_) {
            out += " " + store + " |";
            rule += "--:|";
        }
        for (const std::string& peer : peers()) {
            out += " " + first_ + " beside " + peer + " |";
            rule += "--:|";
        }
        out += " target |\n" + rule + "---|\n";
        for (const Line& line : table_lines()) {
            std::set<uint64_t> batches;
            for (const Row* row : rows_) {
                if (row->measure == line.measure && line.value(*row)) {
                    batches.insert(row->batch);
                }
            }
            for (const uint64_t batch : batches) { out += line_text(line, batch); }
        }
        return out;
    }

private:
    std::vector<std::string> peers() const {
        std::vector<std::string> out;
        for (const char* const name : {"rocksdb", "lmdb"}) {
            if (first_ != name && std::ranges::find(stores_, name) != stores_.end()) {
                out.emplace_back(name);
            }
        }
        return out;
    }
    std::optional<double> value(const Line& line, uint64_t batch, const std::string& store) const {
        for (const Row* row : rows_) {
            if (row->store == store && row->measure == line.measure && row->batch == batch &&
                row->state == State::measured) {
                return line.value(*row);
            }
        }
        return std::nullopt;
    }
    std::string line_text(const Line& line, uint64_t batch) const {
        std::string out =
            "| " + line.label + " | " + (batch == 0 ? "" : std::to_string(batch)) + " |";
        for (const std::string& store : stores_) {
            const auto v = value(line, batch, store);
            out += v ? " " + number(*v) + " |" : " |";
        }
        const auto ours = value(line, batch, first_);
        for (const std::string& peer : peers()) {
            const auto theirs = value(line, batch, peer);
            if (!ours || !theirs || *ours <= 0 || *theirs <= 0) {
                out += " |";
                continue;
            }
            out += " " + number(line.more_is_better ? *ours / *theirs : *theirs / *ours) + "x |";
        }
        const auto target = line.target ? line.target(keys_, batch) : std::nullopt;
        if (!target) { return out + " |\n"; }
        out += " " + target->text;
        if (ours) {
            const auto reached =
                target->reached(*ours, value(line, batch, "rocksdb"), value(line, batch, "lmdb"));
            out += !reached ? "" : *reached ? ": reached" : ": missed";
        }
        return out + " |\n";
    }

    uint64_t keys_;
    std::vector<const Row*> rows_;
    std::vector<std::string> stores_;
    std::string first_;
};

std::string computed_text(const Report& report) {
    std::string out;
    for (const Row& row : report.rows) {
        if (row.measure != measure::proof_computed) { continue; }
        if (out.empty()) {
            out = "\n## Proofs, computed for " + std::to_string(row.keys) +
                  " keys\n\n| | keys of a proof | bytes a key | target |\n|---|--:|--:|---|\n";
        }
        const double bytes = row.figure("bytes_per_key").value_or(0);
        const double target = row.figure("target_bytes_per_key").value_or(0);
        out += "| " + row.store + " | " + std::to_string(row.batch) + " | " + number(bytes) +
               " | at most " + number(target) + (bytes <= target ? ": reached" : ": missed") +
               " |\n";
    }
    return out;
}

}  // namespace

size_t Report::count(State state) const noexcept {
    return static_cast<size_t>(std::ranges::count(rows, state, &Row::state));
}

std::string to_json(const Report& report) {
    json::array rows;
    for (const Row& row : report.rows) { rows.push_back(to_object(row)); }
    return json::serialize(
               json::object{{"context", context_of(report)}, {"benchmarks", std::move(rows)}}) +
           "\n";
}

std::string to_markdown(const Report& report) {
    const kernel_bench::Environment& e = report.environment;
    std::string out = "# State stores\n\n" + e.cpu + ", " + std::to_string(e.cores_allowed) +
                      " of " + std::to_string(e.cores) + " logical cores; " + e.compiler + ", " +
                      e.build_type + ", " + e.architecture_flag + ". Load " + e.load_before +
                      " before, " + e.load_after + " after. Files " +
                      (report.in_memory ? "in memory" : "on a disk") +
                      ".\nEvery batch is durable and reads the old values first; the engine's rows "
                      "include the state root. Beside: how many times better.\n";
    std::set<uint64_t> keys;
    for (const Row& row : report.rows) {
        if (row.measure != measure::proof_computed) { keys.insert(row.keys); }
    }
    for (const uint64_t k : keys) { out += Table{report, k}.text(); }
    out += computed_text(report);
    std::string rest;
    for (const Row& row : report.rows) {
        if (row.state == State::measured) { continue; }
        rest +=
            "- " + row.name() + " " + std::string(to_string(row.state)) + ": " + row.reason + "\n";
    }
    if (!rest.empty()) { out += "\n" + rest; }
    if (report.interrupted) { out += "\nInterrupted: the rows are partial.\n"; }
    return out;
}

}  // namespace millrace::node::state_bench
