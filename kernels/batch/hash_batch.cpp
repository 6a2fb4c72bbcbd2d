// SPDX-License-Identifier: Apache-2.0
// Owns the checks and the choice of the back end for batches of any hash function.
#include "kernels/batch/detail/hash_batch.hpp"

#include <vector>

namespace millrace::kernels::detail {

namespace {

Result<void> on_cuda(const HashBatchKernel& kernel, std::span<const ByteView> messages,
                     std::span<Hash256> digests) {
    const CudaProbe& probe = kernel.cuda_probe();
    if (!probe.available) { return fail(ErrorCode::unavailable, "CUDA back end: " + probe.reason); }
    if (std::string fault = kernel.cuda(messages, digests); !fault.empty()) {
        return fail(ErrorCode::internal, "CUDA back end: " + fault);
    }
    return {};
}

}  // namespace

Result<void> hash_batch(const HashBatchKernel& kernel, Backend backend,
                        std::span<const ByteView> messages, std::span<Hash256> digests) {
    if (messages.size() != digests.size()) {
        return fail(ErrorCode::invalid_input,
                    std::string(kernel.name) + "_batch got " + std::to_string(messages.size()) +
                        " messages and " + std::to_string(digests.size()) +
                        " digests; the counts must be equal");
    }
    switch (backend) {
        case Backend::scalar:
            for (size_t i = 0; i < messages.size(); ++i) { digests[i] = kernel.one(messages[i]); }
            return {};
        case Backend::simd:
            for_ordered_lists(messages, digests, kernel.blocks_of, kernel.simd);
            return {};
        case Backend::cuda: return on_cuda(kernel, messages, digests);
    }
    return fail(ErrorCode::invalid_input, "no such back end");
}

Result<void> hash_batch(const HashBatchKernel& kernel, Backend backend, ByteView messages,
                        size_t message_bytes, std::span<Hash256> digests) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(message_bytes, digests.size(), &bytes) || bytes != messages.size()) {
        return fail(ErrorCode::invalid_input,
                    std::string(kernel.name) + "_batch got " + std::to_string(messages.size()) +
                        " bytes for " + std::to_string(digests.size()) + " messages of " +
                        std::to_string(message_bytes) + "; the product must be equal");
    }
    const auto message = [&](size_t i) {
        return messages.subspan(i * message_bytes, message_bytes);
    };
    switch (backend) {
        case Backend::scalar:
            for (size_t i = 0; i < digests.size(); ++i) { digests[i] = kernel.one(message(i)); }
            return {};
        case Backend::simd:
            for_equal_lists(messages.data(), message_bytes, digests, kernel.simd);
            return {};
        case Backend::cuda: {
            std::vector<ByteView> views(digests.size());
            for (size_t i = 0; i < views.size(); ++i) { views[i] = message(i); }
            return on_cuda(kernel, views, digests);
        }
    }
    return fail(ErrorCode::invalid_input, "no such back end");
}

BackendStatus hash_backend_status(const HashBatchKernel& kernel, Backend backend) {
    BackendStatus status{.kernel = kernel.name, .backend = backend};
    switch (backend) {
        case Backend::scalar:
            status.available = true;
            status.target = kernel.scalar_target();
            break;
        case Backend::simd:
            status.available = true;
            status.target = kernel.simd_target();
            break;
        case Backend::cuda: {
            const CudaProbe& probe = kernel.cuda_probe();
            status.available = probe.available;
            status.target = probe.target;
            status.reason = probe.reason;
            break;
        }
    }
    return status;
}

}  // namespace millrace::kernels::detail
