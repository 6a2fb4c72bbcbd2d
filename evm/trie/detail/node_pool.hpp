// SPDX-License-Identifier: Apache-2.0
// Owns the memory of trie nodes of one kind.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "host/base/error.hpp"

namespace millrace::evm::detail {

/// Nodes of type T by 30-bit index. A node stays at its address until it is released.
template <class T>
class NodePool {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    static constexpr uint32_t count_max = 1u << 30;

    T& operator[](uint32_t index) noexcept { return *at(index); }
    const T& operator[](uint32_t index) const noexcept { return *at(index); }

    /// The index of a node with default values.
    uint32_t allocate() {
        uint32_t index = 0;
        if (!free_.empty()) {
            index = free_.back();
            free_.pop_back();
        } else {
            MILLRACE_ASSERT(used_ < count_max, "a trie holds at most 2^30 nodes of a kind");
            if (used_ % chunk_count == 0) {
                chunks_.push_back(std::make_unique_for_overwrite<Slot[]>(chunk_count));
            }
            index = used_++;
        }
        new (&chunks_[index / chunk_count][index % chunk_count]) T{};
        return index;
    }
    void release(uint32_t index) { free_.push_back(index); }

    size_t live_count() const noexcept { return used_ - free_.size(); }
    size_t memory_bytes() const noexcept {
        return chunks_.size() * chunk_count * sizeof(Slot) + free_.capacity() * sizeof(uint32_t);
    }

private:
    static constexpr uint32_t chunk_count = 1024;
    struct Slot {
        alignas(T) std::byte bytes[sizeof(T)];
    };

    T* at(uint32_t index) const noexcept {
        return std::launder(
            reinterpret_cast<T*>(&chunks_[index / chunk_count][index % chunk_count]));
    }

    std::vector<std::unique_ptr<Slot[]>> chunks_;
    std::vector<uint32_t> free_;
    uint32_t used_ = 0;
};

}  // namespace millrace::evm::detail
