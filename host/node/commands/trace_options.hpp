// SPDX-License-Identifier: Apache-2.0
// Owns the options of every subcommand that can write a trace, and the file that takes it.
#pragma once

#include <cstdio>
#include <string>

#include "evm/trace/eip3155.hpp"
#include "host/base/error.hpp"

namespace CLI {
class App;
}

namespace millrace::node {

struct TraceOptions {
    bool enabled = false;
    evm::TraceFields fields;
    std::string path;  ///< empty: standard error; "-": standard output

    /// Whether what is said on standard error would end up among the lines.
    bool on_stderr() const noexcept { return enabled && path.empty(); }
    bool on_stdout() const noexcept { return enabled && path == "-"; }
};

/// --trace, --trace-memory, --trace-return-data and --trace-out; any of them turns tracing on.
void add_trace_options(CLI::App& command, TraceOptions& options);

/// Where the lines go.
class TraceFile {
public:
    static Result<TraceFile> open(const TraceOptions& options);
    TraceFile(TraceFile&& other) noexcept;
    TraceFile& operator=(TraceFile&&) = delete;
    ~TraceFile();

    void write(std::string_view lines);
    /// Flushes; fails when anything could not be written.
    Result<void> finish();

private:
    TraceFile(std::FILE* file, std::string name, bool owned) noexcept
        : file_(file), name_(std::move(name)), owned_(owned) {}

    std::FILE* file_;
    std::string name_;
    bool owned_;
    int error_ = 0;  ///< errno of the first write that failed
};

}  // namespace millrace::node
