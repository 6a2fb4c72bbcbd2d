// SPDX-License-Identifier: Apache-2.0
// Owns the engine's view of an accelerator, so that tests can supply one that fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/batch/detail/packed.hpp"
#include "kernels/secp256k1/detail/gpu/slot.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// The kernels that the engine batches.
enum class Kernel : uint8_t { secp256k1, keccak };
inline constexpr size_t kernel_count = 2;

constexpr std::string_view to_string(Kernel kernel) noexcept {
    return kernel == Kernel::secp256k1 ? "secp256k1" : "keccak";
}

/// What tells one device and driver from another, for measurements that are kept.
struct DeviceIdentity {
    std::string uuid;
    std::string driver;
};

/// A batch that ended. Nothing in it is trusted.
struct Completion {
    uint32_t slot = 0;
    uint64_t epoch = 0;       ///< as submitted, and brought back by the device
    size_t result_count = 0;  ///< results that the device says it wrote
    std::string fault;        ///< what failed; empty when nothing did
};

/// Where the messages of a batch are packed: pinned memory of the device's.
struct KeccakStaging {
    std::span<uint64_t> words;
    std::span<PackedExtent> extents;
};

/// A device with room for slot_count() batches in flight. Texts say what failed; empty ones
/// nothing. One thread at a time calls it, except that the results of a batch that ended may be
/// read from another while its slot is not submitted again. Nothing blocks longer than a submission
/// takes. A device that failed may answer everything with errors; its destructor must not wait for
/// batches in flight.
class Device {
public:
    virtual ~Device() = default;

    virtual BackendStatus status(Kernel kernel) const = 0;
    virtual DeviceIdentity identity() const = 0;
    virtual uint32_t slot_count() const = 0;
    /// Most jobs, or messages, of one batch.
    virtual size_t batch_jobs_max(Kernel kernel) const = 0;

    /// Memory that the device reads without the processor's help, zeroed, for as long as the device
    /// lives; lies on the calling thread's memory node. Empty when there is none left.
    virtual std::span<std::byte> pinned_memory(size_t bytes) = 0;
    /// The slot's own pinned memory: batch_jobs_max() inputs. The device may read it until the
    /// batch of that slot has ended.
    virtual std::span<gpu::RecoverSlot> recover_staging(uint32_t slot) = 0;
    virtual KeccakStaging keccak_staging(uint32_t slot) = 0;

    /// Starts a batch of the runs' inputs, in order. The runs stay unchanged until the batch
    /// has ended, and lie in pinned memory unless there was none; there are at most runs_max.
    virtual std::string submit_recover(uint32_t slot, uint64_t epoch,
                                       std::span<const std::span<const gpu::RecoverSlot>> runs) = 0;
    /// Starts a batch of the first messages that were packed into the slot's staging.
    virtual std::string submit_keccak(uint32_t slot, uint64_t epoch, size_t message_count,
                                      size_t word_count) = 0;
    /// Appends the batches that ended since the last call. A failure is the device's, not a
    /// batch's.
    virtual std::string poll(std::vector<Completion>& completions) = 0;

    /// Room for the results of a slot; the first `result_count` of its completion were written.
    virtual std::span<const gpu::RecoverOutput> recover_results(uint32_t slot) const = 0;
    virtual std::span<const Hash256> keccak_results(uint32_t slot) const = 0;

    static constexpr size_t runs_max = 64;
};

/// The CUDA device of the process, opened; in a build or on a machine without one, a device whose
/// status says why.
std::unique_ptr<Device> make_cuda_device();

}  // namespace millrace::kernels::detail
