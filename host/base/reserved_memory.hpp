// SPDX-License-Identifier: Apache-2.0
// Owns large ranges of address space whose pages are only backed when touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "host/base/error.hpp"

namespace millrace {

/// A reserved, zero-initialised, page-aligned range that never moves. Move-only.
class ReservedMemory {
public:
    ReservedMemory() = default;
    /// Reserves `bytes`, or less (halving down to `bytes_min`) where the system's limit on address
    /// space is small; asserts when not even that can be had.
    ReservedMemory(size_t bytes, size_t bytes_min);
    ~ReservedMemory();
    ReservedMemory(ReservedMemory&& o) noexcept
        : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
    ReservedMemory& operator=(ReservedMemory&& o) noexcept {
        std::swap(data_, o.data_);
        std::swap(size_, o.size_);
        return *this;
    }

    uint8_t* data() const noexcept { return data_; }
    size_t size() const noexcept { return size_; }
    /// Gives pages from `offset` on back to the system; they read as zero afterwards.
    void release_from(size_t offset) noexcept;

private:
    uint8_t* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace millrace
