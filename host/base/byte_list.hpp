// SPDX-License-Identifier: Apache-2.0
// Owns a list of byte strings in one piece of memory.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"

namespace millrace {

/// Byte strings one behind the other: two allocations for a whole block of them. At most 4 GiB less
/// one byte in all. Views are valid until the list changes.
class ByteList {
public:
    ByteList() = default;
    ByteList(std::initializer_list<ByteView> items) {
        for (const ByteView item : items) { push_back(item); }
    }

    size_t size() const noexcept { return ends_.size(); }
    bool empty() const noexcept { return ends_.empty(); }
    ByteView operator[](size_t i) const noexcept {
        const size_t begin = i == 0 ? 0 : ends_[i - 1];
        return {bytes_.data() + begin, ends_[i] - begin};
    }
    /// Of all items together.
    size_t bytes() const noexcept { return bytes_.size(); }
    void reserve(size_t items, size_t bytes) {
        ends_.reserve(items);
        bytes_.reserve(bytes);
    }
    void push_back(ByteView item) {
        append([&](Bytes& out) { out.insert(out.end(), item.begin(), item.end()); });
    }
    /// Adds the item that `fill(out)` appends to `out`.
    template <class Fill>
    void append(Fill&& fill) {
        fill(bytes_);
        MILLRACE_ASSERT(bytes_.size() <= UINT32_MAX, "a list stays below 4 GiB");
        ends_.push_back(static_cast<uint32_t>(bytes_.size()));
    }
    /// Views of all items.
    std::vector<ByteView> views() const {
        std::vector<ByteView> out;
        out.reserve(size());
        for (size_t i = 0; i < size(); ++i) { out.push_back((*this)[i]); }
        return out;
    }
    bool operator==(const ByteList&) const = default;

private:
    Bytes bytes_;
    std::vector<uint32_t> ends_;
};

}  // namespace millrace
