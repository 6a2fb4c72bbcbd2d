// SPDX-License-Identifier: Apache-2.0
// Owns the CUDA entries of a build without CUDA: they say so.
#include "kernels/secp256k1/detail/recover_device.hpp"

namespace millrace::kernels::detail {

const RecoverProbe& recover_device_probe() {
    static const RecoverProbe probe{
        .available = false, .target = {}, .reason = "built without CUDA"};
    return probe;
}

std::string recover_on_device(std::span<const RecoverJob> /*jobs*/,
                              std::span<gpu::RecoverOutput> /*outputs*/) {
    return recover_device_probe().reason;
}

}  // namespace millrace::kernels::detail
