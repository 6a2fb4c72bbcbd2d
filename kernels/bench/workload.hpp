// SPDX-License-Identifier: Apache-2.0
// Owns what a family of kernels brings to the measurement: its cases, who competes in them, the
// work of one batch and its right answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/error.hpp"
#include "kernels/backend.hpp"
#include "kernels/bench/peaks.hpp"

namespace millrace::kernel_bench {

/// A rate that an item cannot exceed, from a stated count of operations.
struct Ceiling {
    std::string name;  ///< what is counted and where the figure is from
    /// Measured on this machine, with as many threads; nothing for a figure of `rate`.
    std::optional<CpuUnit> unit;
    double units_per_item = 0;
    double rate = 0;  ///< items a second, where the limit is derived and not measured
    /// Whether it bounds the work on the device alone, without copies.
    bool kernel_only = false;
};

/// One way to do the job: a back end, or a peer that is measured beside them.
struct Contender {
    size_t id = 0;        ///< by which its workloads know it
    std::string backend;  ///< as --backends names it
    bool on_device = false;
    bool available = true;
    std::string target;  ///< what it runs on
    std::string reason;  ///< why it is absent
    std::vector<Ceiling> ceilings;
    /// Why the time on the device alone is not known; empty when it is measured, and for CPUs.
    std::string no_kernel_time;
};

/// A contender that is one of our back ends; its id is the back end's value.
Contender contender_of(const kernels::BackendStatus& status);

/// One batch of one case. Made for one thread; only run() is called by several.
class Workload {
public:
    virtual ~Workload() = default;
    /// Destroys the answer, so that one contender's cannot pass for another's.
    virtual void forget() = 0;
    /// Makes what run() needs with that many parts; called before it, and not timed.
    virtual void prepare_parts(size_t parts);
    /// Does part `part` of `parts` by the contender of that id. Parts run at the same time.
    virtual Result<void> run(size_t id, size_t part, size_t parts) = 0;
    /// Compares the whole answer with the oracle's: an empty text, or the first difference.
    virtual std::string compare() = 0;
    /// Runs the batch once by a contender on a device, and gives the time by the device's own clock
    /// in microseconds, without copies. It writes the answer as run() does.
    virtual Result<double> kernel_us(size_t id);
};

/// A kernel with one shape of its input: one line of the crossover table and one plot.
struct KernelCase {
    std::string kernel;  ///< "keccak256"
    std::string shape;   ///< "64 B", "all leaves"
    std::string item;    ///< what the batch counts: "hash", "signature"
    size_t bytes_per_item = 0;
    bool rate_in_bytes = false;  ///< for people, bytes a second say more than items
    bool one_thread = false;     ///< a batch is one thread's: there are no rows of several threads
    std::vector<Contender> contenders;
    /// Memory that a batch takes with its oracle's answer; larger than the limit is not run.
    std::function<size_t(size_t batch)> memory_bytes;
    /// Input from the seed, and the oracle's answer to it.
    std::function<std::unique_ptr<Workload>(size_t batch, uint64_t seed)> prepare;
};

struct FamilyOptions {
    std::vector<size_t> message_bytes = {64, 136, 1024};
};

/// Kernels that are measured together. Asking for the cases probes the back ends.
struct Family {
    std::string name;  ///< as the command line names it
    std::string summary;
    std::function<std::vector<KernelCase>(const FamilyOptions&)> cases;
    std::vector<std::string> backends;  ///< that its cases may have
};

/// The first and the end of a part of [0, count).
struct Slice {
    size_t first;
    size_t end;
    size_t count() const { return end - first; }
};
constexpr Slice slice_of(size_t count, size_t part, size_t parts) {
    return {count * part / parts, count * (part + 1) / parts};
}

}  // namespace millrace::kernel_bench
