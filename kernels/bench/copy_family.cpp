// SPDX-License-Identifier: Apache-2.0
// Owns the measurement of copies: within the host's memory, and between it and a device's.
#include <algorithm>
#include <cstring>
#include <random>

#include "host/base/types.hpp"
#include "kernels/bench/ceilings.hpp"
#include "kernels/bench/device/device_copy.hpp"
#include "kernels/bench/registry.hpp"
#include "kernels/gpu_check/device.hpp"

namespace millrace::kernel_bench {

namespace {

/// A batch counts lines of a cache: 1 M of them are 64 MiB.
constexpr size_t line_bytes = 64;
constexpr const char* host_backend = "memcpy";
constexpr const char* device_backend = "cuda";

Bytes random_bytes(size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    Bytes bytes(count);
    for (size_t i = 0; i < count; i += 8) {
        const uint64_t word = random();
        std::memcpy(bytes.data() + i, &word, std::min<size_t>(8, count - i));
    }
    return bytes;
}

std::string difference(ByteView got, ByteView want) {
    const auto [g, w] = std::ranges::mismatch(got, want);
    if (g == got.end()) { return {}; }
    return "byte " + std::to_string(g - got.begin()) + " of " + std::to_string(got.size()) +
           " is " + std::to_string(*g) + ", not " + std::to_string(*w);
}

class HostCopyWorkload final : public Workload {
public:
    HostCopyWorkload(size_t lines, uint64_t seed)
        : lines_(lines), from_(random_bytes(lines * line_bytes, seed)), to_(from_.size()) {}

    void forget() override { std::ranges::fill(to_, uint8_t{0}); }
    Result<void> run(size_t /*id*/, size_t part, size_t parts) override {
        const Slice slice = slice_of(lines_, part, parts);
        std::memcpy(to_.data() + slice.first * line_bytes, from_.data() + slice.first * line_bytes,
                    slice.count() * line_bytes);
        // The compiler must not see that nobody reads the copy.
        __asm__ volatile("" : : "r"(to_.data()) : "memory");
        return {};
    }
    std::string compare() override { return difference(to_, from_); }

private:
    size_t lines_;
    Bytes from_;
    Bytes to_;
};

class DeviceCopyWorkload final : public Workload {
public:
    DeviceCopyWorkload(size_t lines, CopyDirection direction, bool pinned, uint64_t seed)
        : direction_(direction), pattern_(random_bytes(lines * line_bytes, seed)) {
        note(copy_.open(pattern_.size(), pinned));
        if (fault_.empty()) {
            std::ranges::copy(pattern_, copy_.host());
            note(copy_.copy(CopyDirection::host_to_device));
        }
    }

    void forget() override {
        if (!fault_.empty()) { return; }
        std::fill_n(copy_.host(), pattern_.size(), uint8_t{0});
        if (direction_ == CopyDirection::host_to_device) {
            note(copy_.copy(CopyDirection::host_to_device));
            std::ranges::copy(pattern_, copy_.host());
        }
    }

    Result<void> run(size_t /*id*/, size_t /*part*/, size_t /*parts*/) override {
        if (fault_.empty()) { note(copy_.copy(direction_)); }
        if (!fault_.empty()) { return fail(ErrorCode::internal, "CUDA copy: " + fault_); }
        return {};
    }

    Result<double> kernel_us(size_t /*id*/) override {
        double us = 0;
        if (fault_.empty()) { note(copy_.copy(direction_, us)); }
        if (!fault_.empty()) { return fail(ErrorCode::internal, "CUDA copy: " + fault_); }
        return us;
    }

    std::string compare() override {
        if (direction_ == CopyDirection::host_to_device && fault_.empty()) {
            // What the device holds comes back to where it was sent from.
            std::fill_n(copy_.host(), pattern_.size(), uint8_t{0});
            note(copy_.copy(CopyDirection::device_to_host));
        }
        return fault_.empty() ? difference({copy_.host(), pattern_.size()}, pattern_) : fault_;
    }

private:
    void note(std::string fault) {
        if (fault_.empty()) { fault_ = std::move(fault); }
    }

    CopyDirection direction_;
    Bytes pattern_;
    DeviceCopy copy_;
    std::string fault_;  ///< the first one; nothing is tried after it
};

KernelCase host_case() {
    KernelCase c;
    c.kernel = "host to host";
    c.shape = "memcpy";
    c.item = "64 B line";
    c.bytes_per_item = line_bytes;
    c.rate_in_bytes = true;
    Contender copy;
    copy.backend = host_backend;
    copy.target = "the C library's memcpy";
    Ceiling memory;
    memory.name = std::string(to_string(CpuUnit::copied_bytes)) + ", measured";
    memory.unit = CpuUnit::copied_bytes;
    memory.units_per_item = line_bytes;
    copy.ceilings.push_back(memory);
    c.contenders.push_back(std::move(copy));
    c.memory_bytes = [](size_t batch) { return 2 * batch * line_bytes; };
    c.prepare = [](size_t batch, uint64_t seed) {
        return std::make_unique<HostCopyWorkload>(batch, seed);
    };
    return c;
}

KernelCase device_case(const gpu_check::DeviceInfo& device, CopyDirection direction, bool pinned) {
    KernelCase c;
    c.kernel = direction == CopyDirection::host_to_device ? "host to device" : "device to host";
    c.shape = pinned ? "pinned" : "pageable";
    c.item = "64 B line";
    c.bytes_per_item = line_bytes;
    c.rate_in_bytes = true;
    Contender copy;
    copy.backend = device_backend;
    copy.on_device = true;
    copy.available = device.available;
    copy.target = device.name;
    copy.reason = device.reason;
    copy.ceilings = bus_ceilings(line_bytes, copy);
    c.contenders.push_back(std::move(copy));
    c.memory_bytes = [](size_t batch) { return 2 * batch * line_bytes; };
    c.prepare = [direction, pinned](size_t batch, uint64_t seed) {
        return std::make_unique<DeviceCopyWorkload>(batch, direction, pinned, seed);
    };
    return c;
}

}  // namespace

Family copy_family() {
    Family family;
    family.name = "copy";
    family.summary = "copies within the host's memory, and to and from a device";
    family.backends = {host_backend, device_backend};
    family.cases = [](const FamilyOptions&) {
        const gpu_check::DeviceInfo device = gpu_check::find_device();
        std::vector<KernelCase> cases{host_case()};
        for (const CopyDirection direction :
             {CopyDirection::host_to_device, CopyDirection::device_to_host}) {
            for (const bool pinned : {false, true}) {
                cases.push_back(device_case(device, direction, pinned));
            }
        }
        return cases;
    };
    return family;
}

}  // namespace millrace::kernel_bench
