// SPDX-License-Identifier: Apache-2.0
// Owns the CUDA back end as the engine's device.
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/offload/detail/device.hpp"

namespace millrace::kernels::detail {

namespace {

class CudaKeccakDevice final : public KeccakDevice {
public:
    BackendStatus status() const override { return keccak_backend_status(Backend::cuda); }

    Result<void> keccak256(std::span<const ByteView> messages,
                           std::vector<Hash256>& digests) override {
        digests.resize(messages.size());
        return keccak256_batch(Backend::cuda, messages, digests);
    }
};

}  // namespace

std::unique_ptr<KeccakDevice> make_cuda_keccak_device() {
    return std::make_unique<CudaKeccakDevice>();
}

}  // namespace millrace::kernels::detail
