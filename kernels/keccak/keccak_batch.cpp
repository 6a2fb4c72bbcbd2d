// SPDX-License-Identifier: Apache-2.0
// Owns the choice of the back end for a batch of Keccak-256 messages.
#include "kernels/keccak/keccak_batch.hpp"

#include <string>

#include "kernels/keccak/detail/backends.hpp"
#include "kernels/keccak/detail/one_message.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::kernels {

Result<void> keccak256_batch(Backend backend, std::span<const ByteView> messages,
                             std::span<Hash256> digests) {
    if (messages.size() != digests.size()) {
        return fail(ErrorCode::invalid_input,
                    "keccak256_batch got " + std::to_string(messages.size()) + " messages and " +
                        std::to_string(digests.size()) + " digests; the counts must be equal");
    }
    switch (backend) {
        case Backend::scalar:
            for (size_t i = 0; i < messages.size(); ++i) { digests[i] = keccak256(messages[i]); }
            return {};
        case Backend::simd: detail::keccak256_simd(messages, digests); return {};
        case Backend::cuda: {
            const detail::CudaProbe& probe = detail::keccak256_cuda_probe();
            if (!probe.available) {
                return fail(ErrorCode::unavailable, "CUDA back end: " + probe.reason);
            }
            if (std::string fault = detail::keccak256_cuda(messages, digests); !fault.empty()) {
                return fail(ErrorCode::internal, "CUDA back end: " + fault);
            }
            return {};
        }
    }
    return fail(ErrorCode::invalid_input, "no such back end");
}

BackendStatus keccak_backend_status(Backend backend) {
    BackendStatus status{.kernel = "keccak", .backend = backend};
    switch (backend) {
        case Backend::scalar:
            status.available = true;
            status.target = detail::keccak256_path().name;
            break;
        case Backend::simd:
            status.available = true;
            status.target = detail::keccak256_simd_target();
            break;
        case Backend::cuda: {
            const detail::CudaProbe& probe = detail::keccak256_cuda_probe();
            status.available = probe.available;
            status.target = probe.target;
            status.reason = probe.reason;
            break;
        }
    }
    return status;
}

}  // namespace millrace::kernels
