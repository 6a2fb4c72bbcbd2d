// SPDX-License-Identifier: Apache-2.0
// Owns the device of a build without CUDA: it says so.
#include "kernels/offload/detail/absent_device.hpp"

namespace millrace::kernels::detail {

std::unique_ptr<Device> make_cuda_device() {
    return std::make_unique<AbsentDevice>("built without CUDA");
}

}  // namespace millrace::kernels::detail
