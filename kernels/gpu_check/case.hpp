// SPDX-License-Identifier: Apache-2.0
// Owns what one kernel brings to the check of a device: the list in cases() is all there is to
// extend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

// C++20 only: the check builds on machines without our own compiler.
namespace millrace::gpu_check {

/// How much a run compares.
struct Effort {
    size_t compared_items = 100'000;  ///< random items compared with the host, for each case
    uint32_t threads = 1;             ///< of the host
    uint64_t seed = 1;                ///< of the random items
};

/// What a check did: an empty fault means that everything agreed.
struct Outcome {
    size_t compared = 0;
    std::string fault;
};

/// Runs work that is on the device already once, and gives the time by the device's own clock.
using KernelRun = std::function<std::string(double& microseconds)>;
/// Runs work from host memory to host memory once.
using EndToEndRun = std::function<std::string()>;

/// Does the same work on the host once, on all the threads that prepare was told of.
using HostRun = std::function<std::string()>;

/// Work of one batch size. Its memory is given back when the functions are destroyed. A case
/// leaves out what it does not have.
struct Workload {
    KernelRun kernel;
    EndToEndRun end_to_end;
    HostRun host;
};

/// One kernel. Texts are empty, or say what failed.
class Case {
public:
    virtual ~Case() = default;
    virtual const char* name() const = 0;
    /// Without comparisons a case only adds rows to the sweep, of code that another one compares.
    virtual bool compares() const { return true; }
    /// Runs the device's code on the host against stored answers, in about a second.
    virtual Outcome check_on_host() = 0;
    /// Compares the device with stored answers and with the device's code on the host.
    virtual Outcome check_on_device(const Effort& effort) = 0;
    /// Batch sizes of the sweep, ascending.
    virtual std::span<const uint32_t> batches() const = 0;
    virtual std::string prepare(uint32_t batch, uint32_t threads, Workload& workload) = 0;
    /// Operations of one item in the pipe that bounds it, at 64 for each clock and multiprocessor;
    /// 0 when unknown.
    virtual double bounding_operations() const { return 0; }
    /// How many of them a multiprocessor does in a clock.
    virtual double operations_per_clock() const { return 64; }
    /// Items per second that the kernel shall reach on an H200; 0 when there is no such target.
    virtual double target_per_second() const { return 0; }
};

/// Every case, in the order in which they run.
std::span<Case* const> cases();

/// Sizes from 1 to 2^20 around which a device's behaviour changes.
inline constexpr uint32_t usual_batches[] = {1,    16,    64,    256,   1024,   4096,
                                             8192, 16384, 32768, 65536, 262144, 1048576};

/// Calls work(first, end) for parts of [0, count) on that many threads and waits for them.
void in_parallel(size_t count, uint32_t threads, const std::function<void(size_t, size_t)>& work);

}  // namespace millrace::gpu_check
