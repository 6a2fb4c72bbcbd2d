// SPDX-License-Identifier: Apache-2.0
// Owns how traces are asked for on the command line and written out.
#include "host/node/commands/trace_options.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include <CLI/CLI.hpp>

namespace millrace::node {

void add_trace_options(CLI::App& command, TraceOptions& options) {
    constexpr const char* group = "Trace (EIP-3155)";
    command
        .add_flag("--trace", options.enabled,
                  "Write one JSON object for each instruction to standard error, then a summary")
        ->group(group);
    auto turn_on = [&options](bool& field) {
        return [&options, &field](int64_t count) { field = options.enabled = count > 0; };
    };
    command
        .add_flag_function("--trace-memory", turn_on(options.fields.memory),
                           "With the memory before each instruction")
        ->group(group);
    command
        .add_flag_function("--trace-return-data", turn_on(options.fields.return_data),
                           "With what the last call returned")
        ->group(group);
    command
        .add_option_function<std::string>(
            "--trace-out",
            [&options](const std::string& path) {
                options.path = path;
                options.enabled = true;
            },
            "Write the trace to this file; - for standard output")
        ->type_name("FILE")
        ->group(group);
}

Result<TraceFile> TraceFile::open(const TraceOptions& options) {
    if (options.on_stderr()) { return TraceFile{stderr, "standard error", false}; }
    if (options.on_stdout()) { return TraceFile{stdout, "standard output", false}; }
    std::FILE* file = std::fopen(options.path.c_str(), "wb");
    if (file == nullptr) {
        return fail(ErrorCode::io,
                    "--trace-out: cannot write " + options.path + ": " + std::strerror(errno));
    }
    return TraceFile{file, options.path, true};
}

TraceFile::TraceFile(TraceFile&& other) noexcept
    : file_(std::exchange(other.file_, nullptr)),
      name_(std::move(other.name_)),
      owned_(other.owned_),
      error_(other.error_) {}

TraceFile::~TraceFile() {
    if (file_ != nullptr && owned_) { std::fclose(file_); }
}

void TraceFile::write(std::string_view lines) {
    if (error_ == 0 && std::fwrite(lines.data(), 1, lines.size(), file_) != lines.size()) {
        error_ = errno;
    }
}

Result<void> TraceFile::finish() {
    if (std::fflush(file_) != 0 && error_ == 0) { error_ = errno; }
    if (owned_ && std::fclose(std::exchange(file_, nullptr)) != 0 && error_ == 0) {
        error_ = errno;
    }
    if (error_ != 0) {
        return fail(ErrorCode::io,
                    "cannot write the trace to " + name_ + ": " + std::strerror(error_));
    }
    return {};
}

}  // namespace millrace::node
