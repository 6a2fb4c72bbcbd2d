// SPDX-License-Identifier: Apache-2.0
// Owns an array that grows at its end and loses elements at both, and whose copies share memory
// with it although it goes on.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace millrace::storage::qmdb::detail {

/// A copy is never changed by what happens to the original: elements are written once, behind all
/// that any copy has; where elements were taken back the block at the end is made anew. One thread
/// changes and copies the original; a copy may be read on any thread.
template <class T>
class SharedArray {
public:
    size_t size() const noexcept { return end_ - first_; }
    bool empty() const noexcept { return end_ == first_; }
    const T& operator[](size_t i) const noexcept {
        return (*blocks_[(first_ + i) / block_size])[(first_ + i) % block_size];
    }
    const T& front() const noexcept { return (*this)[0]; }
    const T& back() const noexcept { return (*this)[size() - 1]; }

    void push_back(T value) {
        const size_t block = end_ / block_size;
        if (block == blocks_.size()) {
            blocks_.push_back(std::make_shared<Block>());
        } else if (rewrites_) {
            blocks_[block] = std::make_shared<Block>(*blocks_[block]);
        }
        rewrites_ = false;
        (*blocks_[block])[end_ % block_size] = std::move(value);
        ++end_;
    }
    void pop_back() noexcept {
        --end_;
        if ((blocks_.size() - 1) * block_size >= end_) { blocks_.pop_back(); }
        rewrites_ = true;
    }
    void pop_front() noexcept {
        if (++first_ == block_size) {
            blocks_.erase(blocks_.begin());
            first_ -= block_size;
            end_ -= block_size;
        }
    }
    void clear() noexcept { *this = {}; }
    /// How many elements at the start `before` holds for; those follow no other.
    template <class Before>
    size_t partition_point(Before&& before) const {
        size_t low = 0;
        size_t high = size();
        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            if (before((*this)[middle])) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }
    size_t bytes() const noexcept { return blocks_.size() * sizeof(Block); }

private:
    static constexpr size_t block_size = 256;
    using Block = std::array<T, block_size>;

    std::vector<std::shared_ptr<Block>> blocks_;
    size_t first_ = 0;       ///< in the first block
    size_t end_ = 0;         ///< counted from the start of the first block
    bool rewrites_ = false;  ///< elements behind end_ may be those of a copy
};

}  // namespace millrace::storage::qmdb::detail
