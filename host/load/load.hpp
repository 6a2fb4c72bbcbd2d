// SPDX-License-Identifier: Apache-2.0
// Owns a whole run of the load generator: prepare, sign, measure, check, report.
#pragma once

#include <atomic>
#include <cstdio>
#include <string>

#include "host/load/driver.hpp"

namespace millrace::load {

struct LoadOptions {
    std::string url = "http://127.0.0.1:8545";
    bool allow_remote = false;
    Hash256 funding_key;
    std::string profile = "transfer";
    std::string send = "batch";
    std::string arrivals = "poisson";
    std::string track = "auto";
    /// Transactions a second of an open loop; 0: closed loop.
    double rate = 0;
    double seconds = 10;
    /// Signed ahead; 0: what an open loop needs, 200,000 for a closed one.
    uint64_t count = 0;
    uint32_t connections = 16;
    uint32_t batch = 100;
    /// Requests under way on a connection; 0: 1, and in the overload 64, or as many as keep a
    /// sender within 48 nonces. More than 1 needs WebSocket.
    uint32_t pipeline = 0;
    uint32_t accounts = 1000;
    uint32_t recipients = 1000;
    uint32_t pairs = 8;
    uint64_t in_flight = 50'000;
    double priority_fraction = 0;
    /// Times the capacity that a closed loop has shown first, both over WebSocket; 0: no overload.
    double overload = 0;
    uint64_t max_fee_gwei = 0;
    uint64_t seed = 1;
    uint32_t sync_timeout_ms = 0;
    double drain_s = 15;
    uint64_t poll_ms = 20;
    unsigned sign_threads = 0;  ///< 0: one for each core
    std::string artifacts = "tests/e2e/node_modules";
    int64_t pid = 0;   ///< of the node, on this machine; 0: its CPU time and memory are not read
    std::string json;  ///< file; empty: none
    std::vector<std::string> context;  ///< KEY=VALUE
};

/// One measured part of a run.
struct PhaseResult {
    std::string name;          ///< e.g. "load/transfer/batch/closed"
    double offered_per_s = 0;  ///< open loop
    Measurement measurement;
    Verification verification;
};

struct LoadResult {
    LoadOptions options;
    std::string client_version;
    uint64_t chain_id = 0;
    std::vector<PhaseResult> phases;
    bool interrupted = false;
};

/// Checks the options; `invalid_input` names the flag.
Result<void> check_options(const LoadOptions& options);

/// Runs it. Lines of progress go to `progress`. Ends by itself; `stop` (any thread) ends it early,
/// with what was measured until then.
Result<LoadResult> run_load(const LoadOptions& options, const std::atomic<bool>& stop,
                            std::FILE* progress);

/// Whether the chain is as the run says, nothing was rejected and everything accepted was included.
bool succeeded(const LoadResult& result);

/// A table for people.
std::string report_text(const LoadResult& result);
/// google-benchmark's shape: "context" and "benchmarks".
std::string report_json(const LoadResult& result);

}  // namespace millrace::load
