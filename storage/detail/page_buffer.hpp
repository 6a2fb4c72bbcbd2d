// SPDX-License-Identifier: Apache-2.0
// Owns page-aligned zeroed memory, as direct and registered I/O want it.
#pragma once

#include <cstdint>
#include <cstring>
#include <new>
#include <span>

namespace millrace::storage::detail {

class PageBuffer {
public:
    static constexpr std::align_val_t alignment{4096};

    explicit PageBuffer(size_t bytes)
        : data_(static_cast<uint8_t*>(::operator new(bytes, alignment))), bytes_(bytes) {
        std::memset(data_, 0, bytes);
    }
    ~PageBuffer() { ::operator delete(data_, alignment); }
    PageBuffer(const PageBuffer&) = delete;
    PageBuffer& operator=(const PageBuffer&) = delete;

    std::span<uint8_t> span() noexcept { return {data_, bytes_}; }

private:
    uint8_t* data_;
    size_t bytes_;
};

}  // namespace millrace::storage::detail
