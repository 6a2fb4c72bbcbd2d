// SPDX-License-Identifier: Apache-2.0
// Owns a run of the kernels' measurement from its options to its files.
#include "host/node/benchmark/kernel_bench.hpp"
#include "host/node/benchmark/output_files.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <unistd.h>

#include "host/node/commands/commands.hpp"
#include "kernels/bench/registry.hpp"
#include "kernels/bench/runner.hpp"

namespace millrace::node {
namespace {

namespace bench = kernel_bench;

constexpr double seconds_usual = 0.2;
constexpr double seconds_quick = 0.01;
constexpr std::string_view batches_quick = "1,64,4K";
constexpr std::string_view sizes_usual = "64,136,1024";
constexpr std::string_view sizes_quick = "64";

/// The options, understood.
struct Plan {
    std::vector<const bench::Family*> families;
    bench::RunOptions run;
    std::vector<std::pair<std::string, std::string>> context;
};

Result<std::vector<std::pair<std::string, std::string>>>
parse_context(const std::vector<std::string>& entries) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const std::string& entry : entries) {
        const size_t equals = entry.find('=');
        if (equals == 0 || equals == std::string::npos) {
            return fail(ErrorCode::invalid_input, "--context '" + entry + "' is not KEY=VALUE");
        }
        pairs.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
    }
    return pairs;
}

Result<Plan> make_plan(const KernelBenchArguments& a, const std::vector<bench::Family>& families) {
    Plan plan;
    MILLRACE_TRY(const auto names,
                 bench::select_names(a.families, bench::family_names(families), "kernel family"));
    for (const bench::Family& family : families) {
        for (const std::string& name : names) {
            if (family.name == name) { plan.families.push_back(&family); }
        }
    }
    const std::string batches = a.batches.value_or("sweep");
    const std::string_view sweep = a.quick ? batches_quick : bench::batch_sweep;
    MILLRACE_TRY(plan.run.batches, bench::parse_batches(batches == "sweep" ? sweep : batches));
    MILLRACE_TRY(plan.run.family.message_bytes,
                 bench::parse_message_sizes(
                     a.sizes.value_or(std::string(a.quick ? sizes_quick : sizes_usual))));
    MILLRACE_TRY(plan.run.threads, bench::parse_threads(a.threads, bench::allowed_cores()));
    plan.run.backends = bench::backend_names(families);
    if (a.backends) {
        MILLRACE_TRY(plan.run.backends,
                     bench::parse_names(*a.backends, plan.run.backends, "back end"));
    }
    plan.run.seconds = a.seconds.value_or(a.quick ? seconds_quick : seconds_usual);
    if (!(plan.run.seconds >= bench::seconds_min && plan.run.seconds <= bench::seconds_max)) {
        return fail(ErrorCode::invalid_input, "--seconds is not a number from 0.001 to 60");
    }
    if (a.quick) { plan.run.peak_seconds = 0.02; }
    plan.run.seed = a.seed;
    MILLRACE_TRY(plan.context, parse_context(a.context));
    return plan;
}

/// Shows how far the run is: one line that is written over on a terminal, else a line for each
/// failed row and each tenth of the rows.
class Progress {
public:
    explicit Progress(std::FILE* file) : file_(file), terminal_(isatty(fileno(file)) != 0) {}

    void show(const bench::Row& row, size_t done, size_t total) {
        if (row.state == bench::RowState::failed) {
            std::fprintf(file_, "%s%s FAILED: %s\n", terminal_ ? "\r\033[K" : "",
                         row.name().c_str(), row.reason.c_str());
        }
        const size_t tenth = done * 10 / total;
        if (terminal_) {
            std::fprintf(file_, "\r\033[K[%zu/%zu] %s", done, total, row.name().c_str());
            if (done == total) { std::fprintf(file_, "\r\033[K"); }
        } else if (tenth != tenths_) {
            std::fprintf(file_, "[%zu/%zu] %s\n", done, total, row.name().c_str());
        }
        tenths_ = tenth;
        std::fflush(file_);
    }

private:
    std::FILE* file_;
    bool terminal_;
    size_t tenths_ = 0;
};

}  // namespace

int run_kernel_bench(const KernelBenchArguments& arguments,
                     const std::vector<bench::Family>& families, const std::atomic<bool>& stop,
                     std::FILE* out, std::FILE* progress) {
    Result<Plan> plan = make_plan(arguments, families);
    if (!plan) {
        std::fprintf(progress, "millrace: %s\n", plan.error().message.c_str());
        return exit_usage;
    }
    if (!files_open(std::array{arguments.json, arguments.csv, arguments.markdown, arguments.svg},
                    progress)) {
        return exit_unexpected;
    }
    Progress shown(progress);
    plan->run.stop = &stop;
    plan->run.progress = [&](const bench::Row& row, size_t done, size_t total) {
        shown.show(row, done, total);
    };
    bench::Environment environment = bench::read_environment();
    environment.extra = plan->context;
    bench::Report report = bench::run_families(plan->families, plan->run);
    environment.load_after = bench::load_average();
    report.environment = std::move(environment);

    const std::string markdown = to_markdown(report);
    bool written = std::fwrite(markdown.data(), 1, markdown.size(), out) == markdown.size() &&
                   std::fflush(out) == 0;
    if (!written) { refuse_file("the result", progress); }
    // Each is tried, whatever becomes of the others.
    written = write_text(arguments.json, to_json(report), progress) && written;
    written = write_text(arguments.csv, to_csv(report), progress) && written;
    written = write_text(arguments.markdown, markdown, progress) && written;
    written = write_text(arguments.svg, to_svg(report), progress) && written;

    const size_t failed = report.count(bench::RowState::failed);
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
