// SPDX-License-Identifier: Apache-2.0
// Owns the results of a run: rows, crossovers, the environment, and the forms they are written in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/bench/crossover.hpp"
#include "kernels/bench/environment.hpp"
#include "kernels/bench/peaks.hpp"
#include "kernels/bench/statistics.hpp"

namespace millrace::kernel_bench {

enum class RowState : uint8_t {
    measured,
    skipped,  ///< not run, or not to its end; the reason says why
    failed,   ///< wrong answer or an error
};
constexpr std::string_view to_string(RowState state) noexcept {
    switch (state) {
        case RowState::measured: return "measured";
        case RowState::skipped: return "skipped";
        case RowState::failed: return "failed";
    }
    return "unknown";
}

/// A rate beside what bounds it.
struct PeakShare {
    std::string name;
    double rate = 0;      ///< items a second
    double fraction = 0;  ///< of that; above 1 where the bound does not hold, e.g. in a cache
};

/// One contender on one batch size.
struct Row {
    std::string family;
    std::string kernel;
    std::string shape;
    std::string item;
    std::string backend;
    std::string target;
    bool on_device = false;
    size_t threads = 1;  ///< of the host
    size_t batch = 0;    ///< items; 0 when the whole back end was skipped
    size_t bytes_per_item = 0;
    bool rate_in_bytes = false;  ///< people are shown bytes a second
    RowState state = RowState::skipped;
    std::string reason;

    // From the caller's memory to the caller's memory, nanoseconds for one batch.
    Summary end_to_end_ns;
    size_t calls_per_sample = 1;
    double cpu_ns_per_batch = 0;  ///< CPU time of the whole process, mean over all samples
    /// On the device alone, by its own clock. Of a CPU it is the same as end to end.
    std::optional<Summary> kernel_ns;
    std::string no_kernel_time;  ///< why a device's row has none
    std::vector<PeakShare> peaks;

    double items_per_second() const;  ///< at the median
    double bytes_per_second() const { return items_per_second() * double(bytes_per_item); }
    double ns_per_item() const;
    double cpu_us_per_item() const;
    /// What people are shown: items or bytes a second, "1.2 M/s" or "3.4 GB/s".
    double shown_rate() const;
    std::string shown_rate_text() const;
    /// "hash/keccak256/64 B/simd/threads:1/batch:1024".
    std::string name() const;
};

/// The crossover of one case.
struct CaseCrossover {
    std::string family;
    std::string kernel;
    std::string shape;
    Crossover crossover;
};

struct MeasuredPeak {
    CpuUnit unit;
    size_t threads;
    double per_second;
};

struct Report {
    Environment environment;
    uint64_t seed = 0;
    double seconds_per_row = 0;
    bool interrupted = false;
    std::vector<MeasuredPeak> peaks;
    std::vector<Row> rows;
    std::vector<CaseCrossover> crossovers;

    size_t count(RowState state) const;
};

/// Computes the crossovers of the report's rows: one for each case that has rows of a device and of
/// the CPU, measured or not, in the order of the rows.
std::vector<CaseCrossover> find_crossovers(const std::vector<Row>& rows);

/// google-benchmark's shape: "context" and "benchmarks", and "crossovers" beside them.
std::string to_json(const Report& report);
/// A header line and one line for each row (RFC 4180); empty fields where nothing was measured.
std::string to_csv(const Report& report);
/// Tables of rates, of the largest batches in full, of crossovers, and of what was not run.
std::string to_markdown(const Report& report);
/// Rate over batch size on logarithmic axes, one panel for each case; no script, no external part,
/// and colours for light and dark pages. Without a measured row it says so.
std::string to_svg(const Report& report);

/// "35.7 k", "1.2 M": three digits and the prefix, without a unit.
std::string with_prefix(double value);
/// "1 core" or "16 cores".
std::string cores_text(size_t threads);
/// "1", "512", "4K", "1M": powers of two as the options take them, others in full.
std::string batch_text(size_t batch);
/// "simd, 16 cores", or "cuda" for a device.
std::string series_text(const Row& row);

}  // namespace millrace::kernel_bench
