// SPDX-License-Identifier: Apache-2.0
// Owns the source of decisions of the generators: a seed, or the bytes of a fuzzer.
#pragma once

#include <cstdint>

#include "host/base/types.hpp"

namespace millrace::evm::differential {

/// Decisions come from the given bytes while there are any and from a generator of fixed seed
/// afterwards, so that a mutation of one byte keeps the other decisions.
class Choices {
public:
    explicit Choices(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
    explicit Choices(ByteView bytes) : state_(1), bytes_(bytes) {}

    uint64_t next() {
        if (bytes_.empty()) { return scramble(); }
        return take(8);
    }
    /// 0 to count - 1; `count` is not 0.
    uint64_t below(uint64_t count) {
        const size_t size = count <= 0x100 ? 1 : count <= 0x10000 ? 2 : 8;
        return (bytes_.empty() ? scramble() : take(size)) % count;
    }
    uint64_t between(uint64_t first, uint64_t last) { return first + below(last - first + 1); }
    bool one_in(uint64_t count) { return below(count) == 0; }
    template <class List>
    const auto& any_of(const List& list) {
        return list[below(std::size(list))];
    }

private:
    uint64_t take(size_t size) {
        uint64_t v = 0;
        for (size_t i = 0; i < size && !bytes_.empty(); ++i) {
            v = v << 8 | bytes_[0];
            bytes_ = bytes_.subspan(1);
        }
        return v;
    }
    uint64_t scramble() {
        state_ += 0x9e3779b97f4a7c15ull;
        uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }

    uint64_t state_;
    ByteView bytes_;
};

}  // namespace millrace::evm::differential
