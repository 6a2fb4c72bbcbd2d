// SPDX-License-Identifier: Apache-2.0
// Owns what the runners of test fixtures share: finding files, working through them in parallel,
// progress, and the report.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "evm/core/evm.hpp"
#include "evm/trace/eip3155.hpp"
#include "host/base/error.hpp"

namespace millrace::node {

struct RunnerOptions {
    unsigned thread_count = 0;  ///< 0: one per CPU
    std::string filter;         ///< runs only tests whose name holds this text
    std::string fork;           ///< runs only this fork or network when not empty
    /// Takes the lines of EIP-3155 traces, one trace after another; one thread then does it all.
    evm::Eip3155Tracer::Write trace;
    evm::TraceFields trace_fields;
    /// Uses after which code gets run checks (evm/core/code.hpp); by its size when absent.
    std::optional<uint32_t> uses_until_fast;
    /// Compiled code to run with (evm/jit); null for the interpreter. Not while tracing.
    evm::NativeTier* native_tier = nullptr;
    bool progress = false;  ///< shows progress on standard error
};

struct CaseFailure {
    std::string file;
    std::string test;  ///< empty when the whole file is at fault
    std::string fork;  ///< empty when unknown
    std::string reason;
    /// The two values that differ, when there are two.
    std::string expected;
    std::string got;
};

/// What one case came to, without its place: nothing means that it passed.
struct CaseDifference {
    std::string reason;
    std::string expected;
    std::string got;
};

struct ForkCount {
    uint64_t passed = 0;
    uint64_t failed = 0;
};

/// The same for every number of threads, but for `seconds` and `threads`.
struct ConformanceReport {
    uint64_t passed = 0;
    std::vector<CaseFailure> failures;  ///< sorted by file, test and fork
    std::map<std::string, ForkCount> forks;
    /// Names of expected reasons that this runner does not know and could not compare.
    std::map<std::string, uint64_t> unknown_reasons;
    uint64_t files = 0;
    unsigned threads = 0;
    double seconds = 0;

    uint64_t total() const noexcept { return passed + failures.size(); }
};

/// Where a runner puts the outcome of its cases; one per thread.
class CaseSink {
public:
    void begin(std::string_view file, std::string_view test) {
        file_ = file;
        test_ = test;
    }
    void pass(const std::string& fork);
    void fail(const std::string& fork, CaseDifference difference);
    void unknown_reason(const std::string& name) { ++report_.unknown_reasons[name]; }
    const ConformanceReport& report() const noexcept { return report_; }

private:
    std::string file_;
    std::string test_;
    ConformanceReport report_;
};

/// Runs the cases of one test, the value of one member of a fixture file.
using TestRunner = std::function<void(std::string_view name, const boost::json::value& test,
                                      evm::Workspace& workspace, CaseSink& sink)>;

/// Runs the fixture file, or every *.json below the directory (hidden folders left out), at `path`.
/// Fails when nothing can be read there; a malformed fixture is a failed case of its own.
Result<ConformanceReport> run_fixtures(const std::string& path, const RunnerOptions& options,
                                       const TestRunner& run);

/// Text for people: failures, one line per fork, the sum.
std::string summary_text(const ConformanceReport& report, std::string_view what);
/// The report as JSON, for programs.
std::string report_json(const ConformanceReport& report, std::string_view command,
                        const std::string& path);

}  // namespace millrace::node
