// SPDX-License-Identifier: Apache-2.0
// Owns the choice of the back end for a batch of BLAKE3 messages.
#include "kernels/blake3/blake3_batch.hpp"

#include <string>

#include "kernels/batch/detail/hash_batch.hpp"
#include "kernels/blake3/blake3.hpp"
#include "kernels/blake3/detail/backends.hpp"
#include "kernels/blake3/detail/compress.hpp"

namespace millrace::kernels {

namespace {

constexpr detail::HashBatchKernel kernel{
    .name = "blake3",
    .one = blake3,
    .blocks_of = detail::blake3_blocks,
    .simd = detail::blake3_simd,
    .cuda_probe = detail::blake3_cuda_probe,
    .cuda = detail::blake3_cuda,
    .scalar_target = [] { return std::string("portable"); },
    .simd_target = detail::blake3_simd_target,
};

}  // namespace

Result<void> blake3_batch(Backend backend, std::span<const ByteView> messages,
                          std::span<Hash256> digests) {
    return detail::hash_batch(kernel, backend, messages, digests);
}

Result<void> blake3_batch(Backend backend, ByteView messages, size_t message_bytes,
                          std::span<Hash256> digests) {
    return detail::hash_batch(kernel, backend, messages, message_bytes, digests);
}

BackendStatus blake3_backend_status(Backend backend) {
    return detail::hash_backend_status(kernel, backend);
}

}  // namespace millrace::kernels
