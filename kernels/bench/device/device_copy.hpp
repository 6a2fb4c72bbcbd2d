// SPDX-License-Identifier: Apache-2.0
// Owns copies between the memories of host and device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

// C++20 only: nvcc compiles this header too.
namespace millrace::kernel_bench {

enum class CopyDirection : uint8_t { host_to_device, device_to_host };

/// One buffer on the host, pageable or pinned, and one on the device. Texts are empty, or say what
/// failed.
class DeviceCopy {
public:
    DeviceCopy();
    ~DeviceCopy();

    std::string open(size_t bytes, bool pinned);
    uint8_t* host() noexcept;
    /// Copies all of it and waits for the end; the time is the device's own.
    std::string copy(CopyDirection direction, double& microseconds);
    /// As above without asking for the time: what a caller would do.
    std::string copy(CopyDirection direction);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace millrace::kernel_bench
