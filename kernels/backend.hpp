// SPDX-License-Identifier: Apache-2.0
// Owns the names of the back ends that a kernel can have and how one reports whether it is usable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::kernels {

/// The ways to run one data-parallel job. All give byte-equal results.
enum class Backend : uint8_t {
    scalar,  ///< portable code, always present
    simd,    ///< vector code, chosen for the CPU at run time
    cuda,    ///< an NVIDIA device, when compiled in and when one answers
};

constexpr std::string_view to_string(Backend backend) noexcept {
    switch (backend) {
        case Backend::scalar: return "scalar";
        case Backend::simd: return "simd";
        case Backend::cuda: return "cuda";
    }
    return "unknown";
}

/// What the start-up line says of one back end of one kernel.
struct BackendStatus {
    std::string_view kernel;  ///< "keccak", "secp256k1"; a literal
    Backend backend = Backend::scalar;
    bool available = false;
    std::string target;  ///< what it runs on, e.g. "AVX3" or the device's name; empty when absent
    std::string reason;  ///< why it is absent, or a remark; empty when there is nothing to say
};

}  // namespace millrace::kernels
