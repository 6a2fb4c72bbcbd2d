// SPDX-License-Identifier: Apache-2.0
// Owns the offload engine: batched kernels over a pool of workers and, when present, a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/clock.hpp"
#include "host/base/error.hpp"
#include "host/base/metrics.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::kernels {

namespace detail {
class Device;
}

/// off never touches the driver; automatic uses a device that answers; on refuses to start without.
enum class CudaPolicy : uint8_t { off, automatic, on };

struct OffloadOptions {
    /// Threads of the pool; 0 means one for each CPU that the process may use.
    uint32_t worker_count = 0;
    /// Jobs that may wait for a worker in the asynchronous queue; beyond it submissions are
    /// refused.
    size_t queue_jobs_max = 65536;
    /// Most jobs that a worker takes from the queue, or from a blocking call, in one step.
    size_t batch_jobs_max = 64;
    /// Longest a submitted job should wait for a worker; one that waits longer is counted as late.
    /// For a quarter of it the work of blocking calls goes first. On an idle CPU a job starts at
    /// once; where many arrive it waits up to a fifth of this for the others of its vector.
    uint32_t deadline_us = 500;
    CudaPolicy cuda = CudaPolicy::automatic;
    /// The back end of recovery; none means the fastest one here.
    std::optional<Backend> recover_backend;
    /// Smallest batches worth a trip to the device; none means the sizes at which it overtakes the
    /// CPU, as measured at the start.
    std::optional<size_t> device_recover_jobs_min;
    std::optional<size_t> device_keccak_jobs_min;
    /// Whether the start measures the CPU and the device, in less than 300 ms; otherwise typical
    /// costs are assumed. Without a device nothing is measured.
    bool measure_costs = true;
    /// Keeps what was measured until device, driver, CPU or program change; empty keeps nothing.
    std::string cost_file;
    /// Whether the CPU takes from the tail of blocking calls and throughput submissions while the
    /// device works on their front; otherwise it leaves them to the device.
    bool steal = true;
    /// Least time that a batch of the device is given before it is redone on the CPU.
    uint32_t device_timeout_us = 50'000;
    /// Least time that a call of the device's driver is given to return; it is given at most half
    /// as much again. Then the device is quarantined, and its batches are redone on the CPU. Long,
    /// for a thread in a call may wait for a core, and the device does not come back.
    uint32_t device_call_timeout_us = 2'000'000;
    /// One of this many device results is recomputed on the CPU; 1 recomputes all, since a sample
    /// misses single wrong results. At least the first and the last of each batch are, and every
    /// verdict that a signature is invalid.
    size_t recheck_one_in = 256;
    /// Outlives the engine; null keeps the figures private.
    metrics::Registry* metrics = nullptr;
    /// Outlives the engine; null means the system's clock.
    const Clock* clock = nullptr;
};

/// How soon a submission is needed.
enum class Urgency : uint8_t {
    express,     ///< before all that waits, up to three quarters of each step; never on a device
    latency,     ///< within the deadline: a transaction at admission
    throughput,  ///< when the rest is done, in the largest batches: blocks of a replay or catch-up
};

/// CPU time that one back end took for one item so far, on the host.
struct BackendCost {
    std::string_view kernel;  ///< as in BackendStatus
    Backend backend = Backend::scalar;
    double cpu_us_per_item = 0;  ///< 0 before the first item
};

/// Runs kernels in batches. All functions may be called from any number of threads, callbacks
/// included. Results do not depend on worker count, batch size, back end or device faults: a device
/// that fails, hangs or gives one wrong result is quarantined, and its batches are redone on the
/// CPU.
class OffloadEngine {
public:
    /// Starts the workers. Fails with `config` on a zero limit, and with `unavailable` when
    /// the policy is `on` and no device answers, or the back end of recovery cannot be used.
    static Result<std::unique_ptr<OffloadEngine>> create(const OffloadOptions& options);
    /// As create, with a device of the caller's instead of the CUDA one (tests).
    static Result<std::unique_ptr<OffloadEngine>>
    create_with_device(const OffloadOptions& options, std::unique_ptr<detail::Device> device);

    /// Shuts down. No call may be in progress on another thread.
    ~OffloadEngine();
    OffloadEngine(const OffloadEngine&) = delete;
    OffloadEngine& operator=(const OffloadEngine&) = delete;

    /// Writes the sender of jobs[i], or nothing where recovery fails, to senders[i]. The spans have
    /// equal lengths. Blocks; the calling thread works along with the pool.
    void recover_senders(std::span<const RecoverJob> jobs,
                         std::span<std::optional<Address>> senders);

    /// Writes the Keccak-256 of messages[i] to digests[i]. As recover_senders.
    void keccak256(std::span<const ByteView> messages, std::span<Hash256> digests);

    using RecoverDone = std::function<void(std::vector<std::optional<Address>>)>;
    /// Queues jobs; `done` gets the senders in order, once, on a worker, and must not throw.
    /// Submissions may finish out of order. Fails at once, without calling `done`, with `limit`
    /// when the queue cannot take all jobs and `unavailable` after shutdown began. Never waits for
    /// another thread. On a machine with several memory nodes each has its share of the queue,
    /// which bounds a single submission.
    Result<void> submit_recover(std::vector<RecoverJob> jobs, RecoverDone done,
                                Urgency urgency = Urgency::latency);

    /// Stops intake, ends or gives up what a device has, runs every queued job and its callback,
    /// joins the workers. Idempotent, any thread but a worker's. Blocking calls still work
    /// afterwards, on the calling thread alone. Waits for a device no longer than for its batches'
    /// deadlines and one call of its driver that does not return: the thread that is in that call
    /// is left behind, and so is the memory that the call may use, until it returns.
    void shutdown();

    /// Jobs that wait for a worker now.
    size_t queue_depth_jobs() const noexcept;
    /// Workers that were started.
    size_t worker_count() const noexcept;
    /// Every back end of every kernel, for the start-up line; quarantine shows here.
    std::vector<BackendStatus> backends() const;
    /// CPU time by kernel and back end, of those that this engine uses.
    std::vector<BackendCost> costs() const;

private:
    struct Impl;
    explicit OffloadEngine(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;  ///< shared with the device's thread, which may outlive the engine
};

}  // namespace millrace::kernels
