// SPDX-License-Identifier: Apache-2.0
// Owns the choice of the back end for a batch of SHA-256 messages.
#include "kernels/sha256/sha256_batch.hpp"

#include <string>

#include "kernels/batch/detail/hash_batch.hpp"
#include "kernels/sha256/detail/backends.hpp"
#include "kernels/sha256/detail/compress.hpp"
#include "kernels/sha256/detail/one_message.hpp"
#include "kernels/sha256/sha256.hpp"

namespace millrace::kernels {

namespace {

constexpr detail::HashBatchKernel kernel{
    .name = "sha256",
    .one = sha256,
    .blocks_of = detail::sha256_blocks,
    .simd = detail::sha256_simd,
    .cuda_probe = detail::sha256_cuda_probe,
    .cuda = detail::sha256_cuda,
    .scalar_target = [] { return std::string(detail::sha256_path().name); },
    .simd_target = detail::sha256_simd_target,
};

}  // namespace

Result<void> sha256_batch(Backend backend, std::span<const ByteView> messages,
                          std::span<Hash256> digests) {
    return detail::hash_batch(kernel, backend, messages, digests);
}

Result<void> sha256_batch(Backend backend, ByteView messages, size_t message_bytes,
                          std::span<Hash256> digests) {
    return detail::hash_batch(kernel, backend, messages, message_bytes, digests);
}

BackendStatus sha256_backend_status(Backend backend) {
    return detail::hash_backend_status(kernel, backend);
}

}  // namespace millrace::kernels
