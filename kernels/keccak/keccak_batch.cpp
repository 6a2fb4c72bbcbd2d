// SPDX-License-Identifier: Apache-2.0
// Owns the choice of the back end for a batch of Keccak-256 messages.
#include "kernels/keccak/keccak_batch.hpp"

#include <string>

#include "kernels/batch/detail/hash_batch.hpp"
#include "kernels/keccak/detail/backends.hpp"
#include "kernels/keccak/detail/one_message.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::kernels {

namespace {

constexpr detail::HashBatchKernel kernel{
    .name = "keccak",
    .one = keccak256,
    .blocks_of = [](size_t bytes) { return bytes / keccak256_rate_bytes + 1; },
    .simd = detail::keccak256_simd,
    .cuda_probe = detail::keccak256_cuda_probe,
    .cuda = detail::keccak256_cuda,
    .scalar_target = [] { return std::string(detail::keccak256_path().name); },
    .simd_target = detail::keccak256_simd_target,
};

}  // namespace

Result<void> keccak256_batch(Backend backend, std::span<const ByteView> messages,
                             std::span<Hash256> digests) {
    return detail::hash_batch(kernel, backend, messages, digests);
}

Result<void> keccak256_batch(Backend backend, ByteView messages, size_t message_bytes,
                             std::span<Hash256> digests) {
    return detail::hash_batch(kernel, backend, messages, message_bytes, digests);
}

BackendStatus keccak_backend_status(Backend backend) {
    return detail::hash_backend_status(kernel, backend);
}

}  // namespace millrace::kernels
