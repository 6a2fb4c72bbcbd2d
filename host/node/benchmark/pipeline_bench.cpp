// SPDX-License-Identifier: Apache-2.0
// Owns a run of the pipeline's measurement from its options to its files.
#include "host/node/benchmark/pipeline_bench.hpp"
#include "evm/jit/engine.hpp"
#include "host/node/benchmark/output_files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>
#include <memory>

#include "host/base/log.hpp"
#include "host/node/benchmark/pipeline_profile.hpp"
#include "host/node/benchmark/pipeline_report.hpp"
#include "host/node/benchmark/pipeline_stages.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/temporary_directory.hpp"
#include "kernels/bench/selection.hpp"

namespace millrace::node {
namespace {

/// Groups of rows that can be asked for.
constexpr std::string_view stage_names[] = {"execute", "path", "node"};

/// The options, understood.
struct Plan {
    std::vector<std::string> profiles;
    bool all_profiles = false;  ///< those without their data are skipped
    std::vector<std::string> stages;
    std::vector<uint32_t> workers;
    std::vector<std::string> recover;

    bool has_stage(std::string_view name) const {
        return std::ranges::find(stages, name) != stages.end();
    }
    std::unique_ptr<evm::jit::JitEngine> jit;  ///< outlives the stages
};

Result<std::vector<uint32_t>> parse_workers(std::string_view text) {
    std::vector<uint32_t> out;
    for (size_t at = 0; at <= text.size();) {
        const size_t comma = std::min(text.find(',', at), text.size());
        const std::string_view item = text.substr(at, comma - at);
        uint32_t value = 0;
        const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
        if (error != std::errc{} || end != item.data() + item.size() ||
            value > pipeline_workers_max) {
            return fail(ErrorCode::invalid_input, "--workers '" + std::string(text) +
                                                      "' is not a list of numbers from 0 to " +
                                                      std::to_string(pipeline_workers_max) +
                                                      ", such as 0,1,2");
        }
        if (std::ranges::find(out, value) == out.end()) { out.push_back(value); }
        at = comma + 1;
    }
    return out;
}

Result<Plan> make_plan(const PipelineBenchArguments& a) {
    Plan plan;
    std::vector<std::string> profiles;
    for (const PipelineProfileKind& k : pipeline_profile_kinds()) { profiles.emplace_back(k.name); }
    profiles.emplace_back(pipeline_mainnet_profile);
    plan.all_profiles = a.profiles == "all";
    plan.profiles = profiles;
    if (!plan.all_profiles) {
        MILLRACE_TRY(plan.profiles, kernel_bench::parse_names(a.profiles, profiles, "profile"));
    }
    plan.stages = {std::begin(stage_names), std::end(stage_names)};
    if (a.stages != "all") {
        MILLRACE_TRY(plan.stages, kernel_bench::parse_names(a.stages, plan.stages, "stage"));
    }
    MILLRACE_TRY(plan.workers, parse_workers(a.workers));
    if (a.transactions < 2 || a.transactions > pipeline_transactions_max) {
        return fail(ErrorCode::invalid_input, "--transactions is not a number from 2 to " +
                                                  std::to_string(pipeline_transactions_max));
    }
    if (a.repeat < 1 || a.repeat > pipeline_repeat_max) {
        return fail(ErrorCode::invalid_input,
                    "--repeat is not a number from 1 to " + std::to_string(pipeline_repeat_max));
    }
    MILLRACE_TRY(plan.recover,
                 kernel_bench::parse_names(a.recover, {"on", "off"}, "value of --recover"));
    if (a.jit != "on" && a.jit != "off") {
        return fail(ErrorCode::invalid_input, "--jit is '" + a.jit + "', not on or off");
    }
    if (a.jit == "on") {
        evm::jit::JitOptions jit;
        jit.mode = evm::jit::JitMode::eager;
        jit.shadow_runs = 0;
        MILLRACE_TRY(plan.jit, evm::jit::JitEngine::create(std::move(jit)));
    }
    return plan;
}

/// What is measured of one profile. `ErrorCode::not_found` where the profile's data is not there.
Result<std::vector<PipelineStage>> stages_of(const Plan& plan, const std::string& name,
                                             const PipelineBenchArguments& a,
                                             const std::string& scratch) {
    if (name == pipeline_mainnet_profile) {
        if (a.blocks.empty()) {
            return fail(ErrorCode::not_found,
                        "give a folder of block files, as `millrace evm block` takes it, with "
                        "--blocks");
        }
        return mainnet_stages(a.blocks, plan.workers);
    }
    MILLRACE_TRY(auto made, make_pipeline_profile(name, a.transactions, a.artifacts));
    made.native_tier = plan.jit.get();
    const auto profile = std::make_shared<const PipelineProfile>(std::move(made));
    std::vector<PipelineStage> stages;
    const auto add = [&stages](std::vector<PipelineStage> more) {
        std::ranges::move(more, std::back_inserter(stages));
    };
    if (plan.has_stage("path")) {
        MILLRACE_TRY(auto path, path_stages(profile, scratch));
        add(std::move(path));
    }
    if (plan.has_stage("execute")) { add(execution_stages(profile, plan.workers)); }
    if (plan.has_stage("node")) {
        for (const std::string& recover : plan.recover) {
            add(node_stages(profile, plan.workers, recover == "on", scratch));
        }
    }
    return stages;
}

/// Checks and times some stages, their runs in turns so that the noise of the machine is shared.
class Rounds {
public:
    Rounds(PipelineReport& report, const std::atomic<bool>& stop, std::FILE* progress)
        : report_(report), stop_(stop), progress_(progress) {}

    void measure(const std::string& profile, const std::vector<PipelineStage>& stages) {
        const size_t first = report_.rows.size();
        for (const PipelineStage& s : stages) {
            PipelineRow& row = report_.rows.emplace_back();
            row.profile = profile;
            row.stage = s.name;
            row.workers = s.workers;
            row.transactions = s.transactions;
            row.reason = "interrupted";
            if (stopped()) { continue; }
            say(row, "check");
            if (!s.check) { continue; }
            if (const auto r = s.check(); !r) { set_failed(row, r.error()); }
        }
        for (size_t round = 0; round < report_.repeat; ++round) {
            for (size_t i = 0; i < stages.size() && !stopped(); ++i) {
                PipelineRow& row = report_.rows[first + i];
                if (row.state == PipelineRow::State::failed) { continue; }
                auto sample = stages[i].run();
                if (!sample) {
                    set_failed(row, sample.error());
                    continue;
                }
                row.samples.push_back(std::move(*sample));
                row.state = PipelineRow::State::measured;
                row.reason.clear();
            }
        }
        if (stopped()) { report_.interrupted = true; }
        for (size_t i = first; i < report_.rows.size(); ++i) {
            for (const uint32_t workers : {0u, 1u}) { compare(report_.rows[i], first, workers); }
        }
    }

private:
    bool stopped() const noexcept { return stop_.load(std::memory_order_relaxed); }
    /// Says how fast execution was beside that with `workers`, round by round: what slows the
    /// machine down for a while slows both.
    void compare(PipelineRow& row, size_t first, uint32_t workers) const {
        const auto base = std::find_if(
            report_.rows.begin() + static_cast<ptrdiff_t>(first), report_.rows.end(),
            [&](const PipelineRow& r) { return r.stage == row.stage && r.workers == workers; });
        if (row.stage != "execute" || base == report_.rows.end() || row.workers <= workers ||
            base->samples.size() != row.samples.size()) {
            return;
        }
        for (size_t i = 0; i < row.samples.size(); ++i) {
            row.samples[i].figures.emplace_back("speed_against_" + std::to_string(workers),
                                                base->samples[i].wall_us / row.samples[i].wall_us);
        }
    }
    void say(const PipelineRow& row, const char* what) {
        std::fprintf(progress_, "%s %s\n", what, row.name().c_str());
        std::fflush(progress_);
    }
    void set_failed(PipelineRow& row, const Error& e) {
        row.state = PipelineRow::State::failed;
        row.reason = e.message;
        row.samples.clear();
        std::fprintf(progress_, "%s FAILED: %s\n", row.name().c_str(), e.message.c_str());
    }

    PipelineReport& report_;
    const std::atomic<bool>& stop_;
    std::FILE* progress_;
};

}  // namespace

int run_pipeline_bench(const PipelineBenchArguments& a, const std::atomic<bool>& stop,
                       std::FILE* out, std::FILE* progress) {
    const Result<Plan> plan = make_plan(a);
    if (!plan) {
        std::fprintf(progress, "millrace: %s\n", plan.error().message.c_str());
        return exit_usage;
    }
    if (!files_open(std::array{a.json, a.markdown}, progress)) { return exit_unexpected; }

    TemporaryDirectory directory;
    const auto scratch = directory.create("millrace-bench", a.scratch);
    if (!scratch) {
        std::fprintf(progress, "millrace: %s; give a folder with --scratch\n",
                     scratch.error().message.c_str());
        return exit_unexpected;
    }
    // A line for each block would drown the rest.
    log::configure({log::Level::warn, log::Format::terminal});

    PipelineReport report;
    report.repeat = a.repeat;
    report.environment = kernel_bench::read_environment();
    Rounds rounds{report, stop, progress};
    for (const std::string& name : plan->profiles) {
        if (stop.load(std::memory_order_relaxed)) {
            report.interrupted = true;
            break;
        }
        const auto stages = stages_of(*plan, name, a, *scratch);
        if (!stages) {
            const bool no_data = stages.error().code == ErrorCode::not_found;
            if (!plan->all_profiles || !no_data) {
                std::fprintf(progress, "millrace: %s\n", stages.error().message.c_str());
                return no_data ? exit_usage : exit_unexpected;
            }
            PipelineRow& row = report.rows.emplace_back();
            row.profile = name;
            row.stage = "all";
            row.reason = stages.error().message;
            continue;
        }
        rounds.measure(name, *stages);
    }
    report.environment.load_after = kernel_bench::load_average();

    const std::string markdown = to_markdown(report);
    bool written = std::fwrite(markdown.data(), 1, markdown.size(), out) == markdown.size() &&
                   std::fflush(out) == 0;
    if (!written) { refuse_file("the result", progress); }
    // Each is tried, whatever becomes of the other.
    written = write_text(a.json, to_json(report), progress) && written;
    written = write_text(a.markdown, markdown, progress) && written;

    const size_t failed = report.count(PipelineRow::State::failed);
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
