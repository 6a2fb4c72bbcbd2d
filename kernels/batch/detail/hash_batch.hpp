// SPDX-License-Identifier: Apache-2.0
// Owns what the batch calls of all hash functions share: checks and the choice of the back end.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/batch/detail/cuda_probe.hpp"
#include "kernels/batch/detail/hash_list.hpp"

namespace millrace::kernels::detail {

/// One hash function and its back ends.
struct HashBatchKernel {
    const char* name;  ///< as the status says it, e.g. "sha256"
    Hash256 (*one)(ByteView message) noexcept;
    size_t (*blocks_of)(size_t bytes);  ///< the work for one message, at least 1
    void (*simd)(const HashList& list);
    const CudaProbe& (*cuda_probe)();
    std::string (*cuda)(std::span<const ByteView> messages, std::span<Hash256> digests);
    std::string (*scalar_target)();
    std::string (*simd_target)();
};

/// The two forms of a batch call, and the status; see sha256_batch.hpp for the contract.
Result<void> hash_batch(const HashBatchKernel& kernel, Backend backend,
                        std::span<const ByteView> messages, std::span<Hash256> digests);
Result<void> hash_batch(const HashBatchKernel& kernel, Backend backend, ByteView messages,
                        size_t message_bytes, std::span<Hash256> digests);
BackendStatus hash_backend_status(const HashBatchKernel& kernel, Backend backend);

}  // namespace millrace::kernels::detail
