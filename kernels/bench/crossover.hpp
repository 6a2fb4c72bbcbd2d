// SPDX-License-Identifier: Apache-2.0
// Owns the batch size from which a device is faster than the CPU.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace millrace::kernel_bench {

/// Rates end to end at one batch size; nothing where there was no row.
struct RatesAtBatch {
    size_t batch = 0;
    std::optional<double> device;
    std::optional<double> cpu;  ///< the best of all CPU back ends and thread counts
};

/// Where the device wins. The batch sizes are those of the sweep: the true crossover lies between
/// `last_lost` and `first`.
struct Crossover {
    std::optional<size_t> first;      ///< the smallest batch from which the device is ahead
    std::optional<size_t> last;       ///< the end of that run of batches
    std::optional<size_t> last_lost;  ///< the batch before `first`, when one was measured
    bool to_the_end = false;          ///< `last` is the largest batch that was compared
    /// Where the two rates, straight lines between the batches on logarithmic axes, meet.
    std::optional<double> interpolated;
    std::string reason;  ///< why there is none
};

/// `rates` ascends in batch. A win counts when the device is ahead at the next batch as well, or
/// when there is no next one: a single win among losses is taken for noise. `absent` says why there
/// is no device row at all, for the reason.
Crossover find_crossover(const std::vector<RatesAtBatch>& rates, const std::string& absent);

/// One line for people: "from 4096 (between 1024 and 4096)", or why not.
std::string describe(const Crossover& crossover);

}  // namespace millrace::kernel_bench
