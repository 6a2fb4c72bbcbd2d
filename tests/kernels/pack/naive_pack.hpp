// SPDX-License-Identifier: Apache-2.0
// Owns packing and its codes by their definition, bit by bit and in exact integers.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "host/base/types.hpp"
#include "kernels/pack/pack.hpp"

namespace millrace::test {

/// Appends a packed block.
template <class T>
void naive_pack(std::span<const T> values, unsigned width, Bytes& packed) {
    std::vector<bool> bits;
    for (const T value : values) {
        for (unsigned k = 0; k < width; ++k) { bits.push_back((value >> k & 1) != 0); }
    }
    const size_t start = packed.size();
    packed.resize(start + (bits.size() + 7) / 8);
    for (size_t k = 0; k < bits.size(); ++k) {
        if (bits[k]) { packed[start + k / 8] |= static_cast<uint8_t>(1u << k % 8); }
    }
}

/// The coded form of a block; nothing where the code does not take it.
template <class T>
std::optional<std::vector<T>> naive_encode(kernels::ValueCode code, std::span<const T> values,
                                           T base) {
    using Wide = __int128;
    const Wide modulus = Wide{1} << (8 * sizeof(T));
    std::vector<T> coded;
    for (size_t i = 0; i < values.size(); ++i) {
        const bool from_base = i == 0 || code == kernels::ValueCode::offset;
        Wide difference = Wide{values[i]} - Wide{from_base ? base : values[i - 1]};
        if (code == kernels::ValueCode::gap) {
            if (i != 0) { difference -= 1; }
            if (difference < 0) { return std::nullopt; }
        }
        // The difference of that residue which is nearest to zero.
        difference = (difference % modulus + modulus) % modulus;
        if (code == kernels::ValueCode::zigzag_delta) {
            const Wide nearest = difference >= modulus / 2 ? difference - modulus : difference;
            difference = nearest < 0 ? -2 * nearest - 1 : 2 * nearest;
        }
        coded.push_back(static_cast<T>(difference));
    }
    return coded;
}

inline unsigned naive_width(uint64_t value) {
    unsigned width = 0;
    for (; value != 0; value /= 2) { ++width; }
    return width;
}

template <class T>
T random_value(std::mt19937_64& random, unsigned width) {
    return width == 0 ? T{0} : static_cast<T>(random() >> (64 - width));
}

/// Blocks of one batch.
template <class T>
struct PackBatch {
    std::vector<T> values;
    std::vector<uint32_t> counts;
    std::vector<uint8_t> widths;
    std::vector<T> bases;

    void add(std::span<const T> block, unsigned width, T base = 0) {
        values.insert(values.end(), block.begin(), block.end());
        counts.push_back(static_cast<uint32_t>(block.size()));
        widths.push_back(static_cast<uint8_t>(width));
        bases.push_back(base);
    }
    void add_random(std::mt19937_64& random, size_t count, unsigned width) {
        std::vector<T> block(count);
        for (T& value : block) { value = random_value<T>(random, width); }
        add(block, width, random_value<T>(random, kernels::pack_width_max<T>));
    }
    std::span<const T> block(size_t b) const {
        size_t first = 0;
        for (size_t i = 0; i < b; ++i) { first += counts[i]; }
        return std::span<const T>(values).subspan(first, counts[b]);
    }
    Bytes packed() const {
        Bytes bytes;
        size_t first = 0;
        for (size_t b = 0; b < counts.size(); ++b) {
            naive_pack<T>(std::span<const T>(values).subspan(first, counts[b]), widths[b], bytes);
            first += counts[b];
        }
        return bytes;
    }
};

/// Counts around the lanes, groups and tiles of the back ends.
inline constexpr uint32_t ragged_counts[] = {0,   1,   2,   3,   4,   5,   7,   8,   9,   15,
                                             16,  17,  31,  32,  33,  63,  64,  65,  127, 128,
                                             129, 130, 255, 256, 257, 511, 512, 513, 1025};

/// One block of every count at one width.
template <class T>
PackBatch<T> ragged_batch(std::mt19937_64& random, unsigned width) {
    PackBatch<T> batch;
    for (const uint32_t count : ragged_counts) { batch.add_random(random, count, width); }
    return batch;
}

}  // namespace millrace::test
