// SPDX-License-Identifier: Apache-2.0
// Owns a run of the stores' measurement from its options to its files.
#include "host/node/benchmark/state_bench.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <optional>

#include <unistd.h>

#include "host/base/log.hpp"
#include "host/node/benchmark/disk_counters.hpp"
#include "host/node/benchmark/output_files.hpp"
#include "host/node/benchmark/state_proof_sizes.hpp"
#include "host/node/benchmark/state_report.hpp"
#include "host/node/benchmark/state_run.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/temporary_directory.hpp"
#include "kernels/bench/selection.hpp"

namespace millrace::node {
namespace {

using namespace state_bench;  // NOLINT: the parts of this command

constexpr const char* memory_directory = "/dev/shm";

/// The options, understood.
struct Plan {
    std::vector<const StoreKind*> kinds;
    std::vector<uint64_t> keys;
    RunOptions run;
};

Result<uint64_t> checked(const char* option, uint64_t value, uint64_t min, uint64_t max) {
    if (value >= min && value <= max) { return value; }
    return fail(ErrorCode::invalid_input, std::string{option} + " is not a number from " +
                                              std::to_string(min) + " to " + std::to_string(max) +
                                              ": " + std::to_string(value));
}

/// Whole numbers separated by commas, each once, in their order.
Result<std::vector<uint64_t>> parse_numbers(const char* option, std::string_view text, uint64_t min,
                                            uint64_t max) {
    std::vector<uint64_t> out;
    for (size_t at = 0; at <= text.size();) {
        const size_t comma = std::min(text.find(',', at), text.size());
        const std::string_view item = text.substr(at, comma - at);
        uint64_t value = 0;
        const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
        if (error != std::errc{} || end != item.data() + item.size() || value < min ||
            value > max) {
            return fail(ErrorCode::invalid_input,
                        std::string{option} + " '" + std::string(text) +
                            "' is not a list of whole numbers from " + std::to_string(min) +
                            " to " + std::to_string(max) + ", such as " + std::to_string(min) +
                            "," + std::to_string(max));
        }
        if (std::ranges::find(out, value) == out.end()) { out.push_back(value); }
        at = comma + 1;
    }
    return out;
}

Result<Plan> make_plan(const StateBenchArguments& a, const std::vector<StoreKind>& kinds) {
    Plan plan;
    std::vector<std::string> known;
    for (const StoreKind& kind : kinds) { known.push_back(kind.name); }
    MILLRACE_TRY(const auto names, kernel_bench::parse_names(a.stores, known, "store"));
    for (const StoreKind& kind : kinds) {
        if (std::ranges::find(names, kind.name) != names.end()) { plan.kinds.push_back(&kind); }
    }
    plan.run.groups = measure_groups();
    if (a.measures != "all") {
        MILLRACE_TRY(plan.run.groups,
                     kernel_bench::parse_names(a.measures, measure_groups(), "measure"));
    }
    MILLRACE_TRY(plan.keys, parse_numbers("--keys", a.keys, state_keys_min, state_keys_max));
    MILLRACE_TRY(plan.run.batches, parse_numbers("--batch", a.batches, 1, state_batch_max));
    const uint64_t fewest = *std::ranges::min_element(plan.keys);
    const uint64_t largest = *std::ranges::max_element(plan.run.batches);
    if (largest > fewest / 2) {
        return fail(ErrorCode::invalid_input,
                    "--batch " + std::to_string(largest) + " is more than half of --keys " +
                        std::to_string(fewest) + ", so a batch could not have different keys");
    }
    MILLRACE_TRY(plan.run.load_batch, checked("--load-batch", a.load_batch, 1, state_batch_max));
    MILLRACE_TRY(plan.run.writes, checked("--writes", a.writes, 1, state_writes_max));
    MILLRACE_TRY(plan.run.mini_blocks,
                 checked("--mini-blocks", a.mini_blocks, 0, state_mini_blocks_max));
    MILLRACE_TRY(plan.run.reads, checked("--reads", a.reads, 1, state_reads_max));
    plan.run.seed = a.seed;
    return plan;
}

/// Whether the files of the run fit, with a word on what to do where they do not.
Result<void> check_room(const Plan& plan, const std::string& directory) {
    RunOptions largest = plan.run;
    largest.keys = *std::ranges::max_element(plan.keys);
    const uint64_t needed = disk_bytes_needed(largest);
    std::error_code ec;
    const auto space = std::filesystem::space(directory, ec);
    if (ec) {
        return fail(ErrorCode::io,
                    "cannot tell the free room of " + directory + ": " + ec.message());
    }
    if (space.available >= needed) { return {}; }
    return fail(ErrorCode::limit, directory + " has " + std::to_string(space.available >> 20) +
                                      " MiB of room, but this run may need " +
                                      std::to_string(needed >> 20) +
                                      " MiB; choose another --dir, fewer --keys or --writes");
}

/// Shows how far the run is: one line that is written over on a terminal, else a line for each
/// measure that begins.
class Progress {
public:
    explicit Progress(std::FILE* file) : file_(file), terminal_(isatty(fileno(file)) != 0) {}

    void begin(const std::string& store, uint64_t keys) {
        prefix_ = store + ", " + std::to_string(keys) + " keys: ";
        shown_.clear();
    }
    void show(std::string_view measure, uint64_t done, uint64_t total) {
        const std::string percent =
            std::to_string(done * 100 / std::max<uint64_t>(total, 1)) + " %";
        std::string line = prefix_ + std::string(measure);
        if (terminal_) { line += " " + percent; }
        if (line == shown_) { return; }
        shown_ = line;
        std::fprintf(file_, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
        std::fflush(file_);
    }
    void end() {
        if (terminal_) { std::fprintf(file_, "\r\033[K"); }
    }

private:
    std::FILE* file_;
    bool terminal_;
    std::string prefix_;
    std::string shown_;
};

/// Sizes of proofs in a state of a thousand million keys (state_proof_sizes.hpp says how).
std::vector<Row> computed_proofs() {
    constexpr uint64_t state_keys = 1'000'000'000;
    struct Question {
        const char* name;
        uint64_t asked;
        uint64_t recent_writes;
        uint64_t target;
    };
    std::vector<Row> rows;
    for (const Question& q :
         {Question{"one key", 1, 0, 1'200}, Question{"at random", 10'000, 0, 620},
          Question{"of the last 1,000,000 writes", 10'000, 1'000'000, 280}}) {
        for (const LogShape shape : {LogShape::loaded, LogShape::worn}) {
            for (const unsigned value_bytes : {32u, 66u}) {
                const uint64_t bytes =
                    proof_bytes({state_keys, q.asked, value_bytes, shape, q.recent_writes});
                Row& row = rows.emplace_back();
                row.store = std::string{q.name} + ", " +
                            (shape == LogShape::loaded ? "loaded" : "worn") + " log, values of " +
                            std::to_string(value_bytes) + " bytes";
                row.keys = state_keys;
                row.measure = measure::proof_computed;
                row.batch = q.asked;
                row.state = Row::State::measured;
                row.figures = {
                    {"bytes_per_key", static_cast<double>(bytes) / static_cast<double>(q.asked)},
                    {"target_bytes_per_key", static_cast<double>(q.target)}};
            }
        }
    }
    return rows;
}

void add_shards_row(Report& report, const std::string& store, uint64_t keys) {
    Row& row = report.rows.emplace_back();
    row.store = store;
    row.keys = keys;
    row.measure = measure::shards;
    row.reason = "the engine has one thread for all shards";
}

/// All stores with all numbers of keys, and what is computed.
Result<void> measure_stores(Plan& plan, const std::string& directory, Report& report,
                            std::FILE* progress) {
    Progress shown{progress};
    plan.run.progress = [&](std::string_view measure, uint64_t done, uint64_t total) {
        shown.show(measure, done, total);
    };
    const auto stopped = [&] { return plan.run.stop->load(std::memory_order_relaxed); };
    for (const uint64_t keys : plan.keys) {
        for (const StoreKind* const kind : plan.kinds) {
            if (stopped()) { break; }
            TemporaryDirectory files;
            MILLRACE_TRY(plan.run.directory, files.create("millrace-bench", directory));
            plan.run.keys = keys;
            shown.begin(kind->name, keys);
            const std::vector<Row> rows = run_store(*kind, plan.run);
            shown.end();
            report.rows.insert(report.rows.end(), rows.begin(), rows.end());
            if (kind->is_ours && kind == plan.kinds.front()) {
                add_shards_row(report, kind->name, keys);
            }
            if (const Row& last = rows.back(); last.state == Row::State::failed) {
                std::fprintf(progress, "%s FAILED: %s\n", last.name().c_str(), last.reason.c_str());
            }
        }
    }
    report.interrupted = stopped();
    const bool has_ours = std::ranges::any_of(plan.kinds, &StoreKind::is_ours);
    const bool has_proofs = std::ranges::find(plan.run.groups, "proof") != plan.run.groups.end();
    if (has_ours && has_proofs && !stopped()) {
        for (Row& row : computed_proofs()) { report.rows.push_back(std::move(row)); }
    }
    return {};
}

}  // namespace

int run_state_bench(const StateBenchArguments& a, const std::vector<StoreKind>& kinds,
                    const std::atomic<bool>& stop, std::FILE* out, std::FILE* progress) {
    const auto refuse = [progress](const Error& e, int code) {
        std::fprintf(progress, "millrace: %s\n", e.message.c_str());
        return code;
    };
    Result<Plan> plan = make_plan(a, kinds);
    if (!plan) { return refuse(plan.error(), exit_usage); }
    plan->run.stop = &stop;
    if (!files_open(std::array{a.json, a.markdown}, progress)) { return exit_unexpected; }

    std::error_code ec;
    const std::string directory = !a.directory.empty() ? a.directory
                                  : a.in_memory        ? std::string{memory_directory}
                                                : std::filesystem::temp_directory_path(ec).string();
    if (!std::filesystem::is_directory(directory, ec)) {
        return refuse({ErrorCode::io, "--dir '" + directory + "' is not a directory"},
                      exit_unexpected);
    }
    if (a.in_memory && !is_in_memory(directory)) {
        return refuse({ErrorCode::io, "--memory: " + directory +
                                          " is not a file system in memory (tmpfs); give one with "
                                          "--dir"},
                      exit_unexpected);
    }
    if (auto r = check_room(*plan, directory); !r) { return refuse(r.error(), exit_unexpected); }
    // A line for each start of an engine would drown the rest.
    log::configure({log::Level::warn, log::Format::terminal});

    Report report;
    report.environment = kernel_bench::read_environment();
    report.load_batch = plan->run.load_batch;
    report.seed = a.seed;
    report.in_memory = is_in_memory(directory);
    if (auto r = measure_stores(*plan, directory, report, progress); !r) {
        return refuse(r.error(), exit_unexpected);
    }
    report.environment.load_after = kernel_bench::load_average();

    const std::string markdown = to_markdown(report);
    bool written = std::fwrite(markdown.data(), 1, markdown.size(), out) == markdown.size() &&
                   std::fflush(out) == 0;
    if (!written) { refuse_file("the result", progress); }
    // Each is tried, whatever becomes of the other.
    written = write_text(a.json, to_json(report), progress) && written;
    written = write_text(a.markdown, markdown, progress) && written;

    const size_t failed = report.count(Row::State::failed);
    if (failed != 0) {
        std::fprintf(progress, "millrace: %zu of %zu rows failed\n", failed, report.rows.size());
    }
    if (failed != 0 || !written) { return exit_unexpected; }
    if (report.interrupted) {
        std::fprintf(progress, "millrace: interrupted; the results are partial\n");
        return exit_interrupted;
    }
    return exit_ok;
}

}  // namespace millrace::node
