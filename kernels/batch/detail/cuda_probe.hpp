// SPDX-License-Identifier: Apache-2.0
// Owns the answer to whether a kernel can use a CUDA device.
#pragma once

#include <string>

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

struct CudaProbe {
    bool available = false;
    std::string target;  ///< the device's name
    std::string reason;  ///< why there is none
};

}  // namespace millrace::kernels::detail
