// SPDX-License-Identifier: Apache-2.0
// Owns the tier of compiled code: which contracts are compiled, when, and how far they are trusted.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "evm/core/native.hpp"
#include "evm/jit/compile.hpp"
#include "host/base/metrics.hpp"

namespace millrace::evm::jit {

enum class JitMode : uint8_t {
    off,
    on,     ///< code that has used much gas is compiled by a thread of its own
    eager,  ///< all code is compiled before it runs, in the thread that runs it; for tests
};

struct JitOptions {
    JitMode mode = JitMode::on;
    /// Gas that the interpreter spends on a code, for each of its bytes, before it is compiled:
    /// about what compiled code needs to win back the time of compiling it (60 us a byte, 0.25 ns a
    /// gas).
    uint64_t gas_per_byte = 250'000;
    /// Runs of a contract's compiled code that the interpreter repeats and compares before it is
    /// trusted; 0 trusts at once.
    uint32_t shadow_runs = 16;
    size_t queue_max = 256;  ///< contracts waiting for the compiler
    size_t machine_code_bytes_max = size_t{256} << 20;
    /// Contracts that are remembered as refused.
    size_t refused_max = 65'536;
    CompileLimits limits;
    /// Compiles in place of compile_contract: in another process, or a test's double.
    std::function<Result<CompiledObject>(ByteView code, Revision revision)> compiler;
    /// Keeps objects on disk between runs (object_cache.hpp); empty for none.
    std::filesystem::path cache_directory;
    size_t cache_bytes_max = size_t{1} << 30;
    /// Where its counters appear, as millrace_jit_*; must outlive it. Null for none.
    metrics::Registry* metrics = nullptr;
};

/// Counts since the start.
struct JitStatistics {
    uint64_t compiled = 0;
    uint64_t refused_by_compiler = 0;
    uint64_t refused_for_room = 0;   ///< machine_code_bytes_max
    uint64_t refused_by_shadow = 0;  ///< another result than the interpreter's: a bug
    uint64_t dropped_requests = 0;   ///< queue_max; asked again later
    uint64_t cache_hits = 0;
    uint64_t cache_misses = 0;
    uint64_t compile_us = 0;
    uint64_t machine_code_bytes = 0;  ///< in memory now
    uint64_t contracts = 0;           ///< in memory now
    uint64_t native_frames = 0;
    uint64_t shadow_frames = 0;
    uint64_t left_frames = 0;  ///< begun native and ended by the interpreter
    uint64_t queue_depth = 0;
};

/// What became of one contract.
struct JitContract {
    Hash256 code_hash;
    Revision revision = latest_revision;
    size_t code_bytes = 0;
    size_t machine_code_bytes = 0;
    uint32_t stack_bytes = 0;
    uint64_t compile_us = 0;
    bool optimized = false;
    bool from_cache = false;
    bool trusted = false;
    std::string refused;  ///< why; empty when it was compiled
};

/// A difference between compiled code and the interpreter.
struct JitDifference {
    Hash256 code_hash;
    Revision revision = latest_revision;
    Bytes code;
    Bytes input;
    int64_t gas = 0;
    std::string what;
};

/// Shared by all workers. Contracts that it has attached keep what they need, so it may be
/// destroyed before them, but not while a frame runs.
class JitEngine final : public NativeTier {
public:
    /// Fails when this build or machine cannot run compiled code, with the reason.
    static Result<std::unique_ptr<JitEngine>> create(JitOptions options);
    ~JitEngine() override;
    JitEngine(const JitEngine&) = delete;
    JitEngine& operator=(const JitEngine&) = delete;

    NativeOutcome execute(Frame& frame, int64_t gas) override;
    void note(const Frame& frame, int64_t gas) noexcept override;

    /// Compiles now, in this thread, or takes it from the cache; what is refused is remembered.
    JitContract warm(ByteView code, Revision revision);
    /// Returns when nothing waits for the compiler; for tests and benchmarks.
    void drain();

    JitStatistics statistics() const;
    std::vector<JitContract> contracts() const;
    std::vector<JitDifference> differences() const;

private:
    class Impl;
    explicit JitEngine(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

}  // namespace millrace::evm::jit
