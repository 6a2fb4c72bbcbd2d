// SPDX-License-Identifier: Apache-2.0
// Owns the parallel run over fixture files and how its result is shown.
#include "host/node/conformance/runner.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <tuple>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "host/node/json.hpp"

namespace millrace::node {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;

struct FixtureFile {
    std::string path;
    uintmax_t bytes = 0;
};

Result<std::vector<FixtureFile>> find_fixture_files(const std::string& path) {
    std::vector<FixtureFile> files;
    std::error_code ec;
    if (std::filesystem::is_directory(path, ec)) {
        using Walk = std::filesystem::recursive_directory_iterator;
        for (Walk it(path, ec), end; !ec && it != end; it.increment(ec)) {
            const bool hidden = it->path().filename().native().starts_with('.');
            std::error_code ignored;
            if (hidden && it->is_directory(ignored)) { it.disable_recursion_pending(); }
            if (hidden || it->path().extension() != ".json") { continue; }
            if (it->is_regular_file(ignored)) {
                files.push_back({it->path().string(), it->file_size(ignored)});
            }
        }
    } else if (std::filesystem::exists(path, ec)) {
        std::error_code unknown_size;
        const auto bytes = std::filesystem::file_size(path, unknown_size);
        files.push_back({path, unknown_size ? 0 : bytes});
    }
    if (ec) { return fail(ErrorCode::io, "cannot read " + path + ": " + ec.message()); }
    if (files.empty()) {
        return fail(ErrorCode::not_found, "no fixture files (*.json) at " + path);
    }
    // The big ones first, so that no thread is left with one at the end.
    std::sort(files.begin(), files.end(), [](const FixtureFile& a, const FixtureFile& b) {
        return a.bytes != b.bytes ? a.bytes > b.bytes : a.path < b.path;
    });
    return files;
}

/// Counters that the threads raise and the progress line reads. Relaxed everywhere: they are only
/// shown; results travel with the joined threads.
struct Counters {
    std::atomic<size_t> next{0};
    std::atomic<uint64_t> files{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<uint64_t> passed{0};
    std::atomic<uint64_t> failed{0};
};

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A bar on a terminal; elsewhere a line every 8 seconds.
class ProgressLine {
public:
    ProgressLine(const Counters& counters, size_t file_count, uint64_t total_bytes) noexcept
        : counters_(counters),
          file_count_(file_count),
          total_bytes_(total_bytes),
          terminal_(::isatty(STDERR_FILENO) == 1),
          start_(Clock::now()),
          last_(start_) {}

    void tick() {
        const auto now = Clock::now();
        const auto interval = terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(8);
        if (now - last_ < interval) { return; }
        last_ = now;
        print();
    }
    void finish() {
        if (terminal_) { std::fprintf(stderr, "\r\033[K"); }
    }

private:
    void print() const {
        const uint64_t files = counters_.files.load(std::memory_order_relaxed);
        // Files differ in size a thousandfold, so the bar counts bytes.
        const uint64_t bytes = counters_.bytes.load(std::memory_order_relaxed);
        const auto percent = static_cast<int>(100 * bytes / std::max<uint64_t>(total_bytes_, 1));
        std::string bar;
        if (terminal_) {
            const auto filled = static_cast<size_t>(percent) * 30 / 100;
            bar = "\r[" + std::string(filled, '#') + std::string(30 - filled, '.') + "] ";
        }
        std::fprintf(
            stderr, "%s%3d %%  %llu of %zu files, %llu passed, %llu failed, %.0f s%s", bar.c_str(),
            percent, static_cast<unsigned long long>(files), file_count_,
            static_cast<unsigned long long>(counters_.passed.load(std::memory_order_relaxed)),
            static_cast<unsigned long long>(counters_.failed.load(std::memory_order_relaxed)),
            seconds_since(start_), terminal_ ? "" : "\n");
        std::fflush(stderr);
    }

    const Counters& counters_;
    size_t file_count_;
    uint64_t total_bytes_;
    bool terminal_;
    Clock::time_point start_;
    Clock::time_point last_;
};

void run_file(const std::string& path, const RunnerOptions& options, const TestRunner& run,
              evm::Workspace& workspace, CaseSink& sink) {
    sink.begin(path, "");
    const auto document = read_json_file(path);
    if (!document) { return sink.fail("", {document.error().message, "", ""}); }
    const auto* tests = document->if_object();
    if (tests == nullptr) {
        return sink.fail("", {"not a fixture: expected an object of tests", "", ""});
    }
    if (tests->empty()) { return sink.fail("", {"the file holds no test", "", ""}); }
    for (const auto& [key, test] : *tests) {
        const std::string_view name(key.data(), key.size());
        if (!options.filter.empty() && name.find(options.filter) == std::string_view::npos) {
            continue;
        }
        sink.begin(path, name);
        if (!test.is_object()) {
            sink.fail("", {"not a fixture: expected an object", "", ""});
            continue;
        }
        run(name, test, workspace, sink);
    }
}

/// Text from a file without what a terminal would obey.
std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f) {
            out += c;
            continue;
        }
        char escaped[5];
        std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
        out += escaped;
    }
    return out;
}

void merge(ConformanceReport& total, const ConformanceReport& part) {
    total.passed += part.passed;
    total.failures.insert(total.failures.end(), part.failures.begin(), part.failures.end());
    for (const auto& [fork, n] : part.forks) {
        total.forks[fork].passed += n.passed;
        total.forks[fork].failed += n.failed;
    }
    for (const auto& [name, n] : part.unknown_reasons) { total.unknown_reasons[name] += n; }
}

}  // namespace

void CaseSink::pass(const std::string& fork) {
    ++report_.passed;
    ++report_.forks[fork].passed;
}

void CaseSink::fail(const std::string& fork, CaseDifference d) {
    report_.failures.push_back(
        {file_, test_, fork, std::move(d.reason), std::move(d.expected), std::move(d.got)});
    ++report_.forks[fork.empty() ? "unknown" : fork].failed;
}

Result<ConformanceReport> run_fixtures(const std::string& path, const RunnerOptions& options,
                                       const TestRunner& run) {
    MILLRACE_TRY(const std::vector<FixtureFile> files, find_fixture_files(path));
    const auto start = Clock::now();
    const unsigned cpus = std::max(1u, std::thread::hardware_concurrency());
    const unsigned wanted = options.trace               ? 1
                            : options.thread_count != 0 ? options.thread_count
                                                        : cpus;
    const auto thread_count = static_cast<unsigned>(std::min<size_t>(wanted, files.size()));

    Counters counters;
    std::vector<CaseSink> sinks(thread_count);
    std::mutex mutex;  // guards running
    std::condition_variable done;
    unsigned running = thread_count;
    auto work = [&](unsigned i) {
        // Tens of gigabytes of address space are reserved, not used; one workspace per thread.
        const auto workspace = std::make_unique<evm::Workspace>();
        if (options.uses_until_fast) {
            workspace->codes.set_uses_until_fast(*options.uses_until_fast);
        }
        workspace->native_tier = options.native_tier;
        CaseSink& sink = sinks[i];
        for (size_t n = counters.next.fetch_add(1, std::memory_order_relaxed); n < files.size();
             n = counters.next.fetch_add(1, std::memory_order_relaxed)) {
            const uint64_t passed = sink.report().passed;
            const uint64_t failed = sink.report().failures.size();
            run_file(files[n].path, options, run, *workspace, sink);
            counters.files.fetch_add(1, std::memory_order_relaxed);
            counters.bytes.fetch_add(files[n].bytes, std::memory_order_relaxed);
            counters.passed.fetch_add(sink.report().passed - passed, std::memory_order_relaxed);
            counters.failed.fetch_add(sink.report().failures.size() - failed,
                                      std::memory_order_relaxed);
        }
        {
            const std::lock_guard lock(mutex);
            --running;
        }
        done.notify_one();
    };
    {
        std::vector<std::jthread> threads;
        for (unsigned i = 0; i < thread_count; ++i) { threads.emplace_back(work, i); }
        uint64_t total_bytes = 0;
        for (const FixtureFile& f : files) { total_bytes += f.bytes; }
        ProgressLine progress(counters, files.size(), total_bytes);
        std::unique_lock lock(mutex);
        while (!done.wait_for(lock, std::chrono::milliseconds(100), [&] { return running == 0; })) {
            if (options.progress) { progress.tick(); }
        }
        if (options.progress) { progress.finish(); }
    }
    ConformanceReport total;
    for (const CaseSink& s : sinks) { merge(total, s.report()); }
    std::sort(total.failures.begin(), total.failures.end(),
              [](const CaseFailure& a, const CaseFailure& b) {
                  return std::tie(a.file, a.test, a.fork, a.reason) <
                         std::tie(b.file, b.test, b.fork, b.reason);
              });
    total.files = files.size();
    total.threads = thread_count;
    total.seconds = seconds_since(start);
    return total;
}

std::string summary_text(const ConformanceReport& r, std::string_view what) {
    std::string out;
    for (const CaseFailure& f : r.failures) {
        out += "FAIL ";
        if (!f.test.empty()) { out += printable(f.test) + " "; }
        if (!f.fork.empty()) { out += "[" + printable(f.fork) + "] "; }
        out += "in " + printable(f.file) + ": " + printable(f.reason);
        if (!f.expected.empty() || !f.got.empty()) {
            out += "\n     expected " + printable(f.expected);
            out += "\n     got      " + printable(f.got);
        }
        out += "\n";
    }
    char line[256];
    if (!r.forks.empty()) {
        std::snprintf(line, sizeof line, "%-30s %10s %10s\n", "fork", "passed", "failed");
        out += line;
    }
    for (const auto& [fork, n] : r.forks) {
        std::snprintf(line, sizeof line, "%-30s %10llu %10llu\n", printable(fork).c_str(),
                      static_cast<unsigned long long>(n.passed),
                      static_cast<unsigned long long>(n.failed));
        out += line;
    }
    for (const auto& [name, n] : r.unknown_reasons) {
        out += "not compared: the expected reason '" + printable(name) + "' is unknown here (" +
               std::to_string(n) + " cases were refused for some reason)\n";
    }
    const double percent =
        r.total() == 0 ? 0 : 100.0 * static_cast<double>(r.passed) / static_cast<double>(r.total());
    std::snprintf(line, sizeof line, "%llu of %llu %s passed (%.2f %%), %zu failed; %.1f s\n",
                  static_cast<unsigned long long>(r.passed),
                  static_cast<unsigned long long>(r.total()), std::string(what).c_str(), percent,
                  r.failures.size(), r.seconds);
    return out + line;
}

std::string report_json(const ConformanceReport& r, std::string_view command,
                        const std::string& path) {
    json::object forks;
    for (const auto& [fork, n] : r.forks) {
        forks[fork] = json::object{{"passed", n.passed}, {"failed", n.failed}};
    }
    json::array failures;
    for (const CaseFailure& f : r.failures) {
        json::object o{{"file", f.file}, {"test", f.test}, {"fork", f.fork}, {"reason", f.reason}};
        if (!f.expected.empty() || !f.got.empty()) {
            o["expected"] = f.expected;
            o["got"] = f.got;
        }
        failures.push_back(std::move(o));
    }
    json::object unknown;
    for (const auto& [name, n] : r.unknown_reasons) { unknown[name] = n; }
    const json::object document{{"command", command},
                                {"path", path},
                                {"files", r.files},
                                {"threads", r.threads},
                                {"seconds", r.seconds},
                                {"total", r.total()},
                                {"passed", r.passed},
                                {"failed", r.failures.size()},
                                {"forks", std::move(forks)},
                                {"unknown_reasons", std::move(unknown)},
                                {"failures", std::move(failures)}};
    return json::serialize(document) + "\n";
}

}  // namespace millrace::node
