// SPDX-License-Identifier: Apache-2.0
// Owns packing, codes and histograms one value at a time: the reference of the other back ends.
#include <bit>
#include <cstring>

#include "kernels/pack/detail/backends.hpp"
#include "kernels/pack/pack.hpp"

namespace millrace::kernels::detail {

namespace {

static_assert(std::endian::native == std::endian::little, "words are stored as they lie");

template <class T>
T any_of(const T* values, size_t count) {
    T any = 0;
    for (size_t i = 0; i < count; ++i) { any |= values[i]; }
    return any;
}

template <class T>
T minimum_of(const T* values, size_t count) {
    T minimum = count == 0 ? T{0} : values[0];
    for (size_t i = 1; i < count; ++i) { minimum = values[i] < minimum ? values[i] : minimum; }
    return minimum;
}

template <class T>
T pack_block(const T* values, size_t count, unsigned width, uint8_t* packed) {
    if (width == 0) { return any_of(values, count); }
    const T mask = width_mask<T>(width);
    T any = 0;
    uint64_t word = 0;
    unsigned filled = 0;  // bits of the word, fewer than 64
    for (size_t i = 0; i < count; ++i) {
        any |= values[i];
        const uint64_t value = values[i] & mask;
        word |= value << filled;
        filled += width;
        if (filled >= 64) {
            std::memcpy(packed, &word, 8);
            packed += 8;
            filled -= 64;
            word = filled == 0 ? 0 : value >> (width - filled);
        }
    }
    if (filled != 0) { std::memcpy(packed, &word, (filled + 7) / 8); }
    return any;
}

template <class T>
T unpack_block(const uint8_t* packed, size_t count, unsigned width, T* values) {
    if (width == 0) {
        for (size_t i = 0; i < count; ++i) { values[i] = 0; }
        return 0;
    }
    const size_t bytes = packed_bytes(count, width);
    const T mask = width_mask<T>(width);
    T any = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t first = i * width / 8;
        const unsigned shift = static_cast<unsigned>(i * width % 8);
        uint64_t word = 0;
        if (first + 8 <= bytes) {
            std::memcpy(&word, packed + first, 8);
        } else {
            std::memcpy(&word, packed + first, bytes - first);
        }
        word >>= shift;
        if (shift + width > 64) { word |= uint64_t{packed[first + 8]} << (64 - shift); }
        values[i] = static_cast<T>(word) & mask;
        any |= values[i];
    }
    return any;
}

template <class T>
bool encode_block(CodeKind code, const T* values, size_t count, T base, T* coded) {
    bool ascends = true;
    T previous = base;
    for (size_t i = 0; i < count; ++i) {
        const bool first = i == 0;
        ascends = ascends && gap_ascends(values[i], previous, first);
        coded[i] = encode_value(code, values[i], previous, first);
        if (code != CodeKind::offset) { previous = values[i]; }
    }
    return ascends || code != CodeKind::gap;
}

template <class T>
bool decode_block(CodeKind code, const T* coded, size_t count, T base, T* values) {
    bool fits = true;
    T sum = decode_start(code, base);
    for (size_t i = 0; i < count; ++i) {
        const T step = decode_step(code, coded[i]);
        values[i] = sum + step;
        fits = fits && gap_fits(values[i], coded[i], i == 0);
        if (code != CodeKind::offset) { sum = values[i]; }
    }
    return fits || code != CodeKind::gap;
}

template <class T>
void widths_of(const T* values, size_t count, uint32_t* histogram) {
    for (size_t i = 0; i < count; ++i) { ++histogram[value_width(values[i])]; }
}

}  // namespace

template <class T>
const PackBlockKernel<T>& pack_scalar() {
    static constexpr PackBlockKernel<T> kernel{
        .any = any_of<T>,
        .minimum = minimum_of<T>,
        .pack = pack_block<T>,
        .unpack = unpack_block<T>,
        .encode = encode_block<T>,
        .decode = decode_block<T>,
        .widths = widths_of<T>,
    };
    return kernel;
}

template const PackBlockKernel<uint32_t>& pack_scalar();
template const PackBlockKernel<uint64_t>& pack_scalar();

void byte_histogram_scalar(const uint8_t* bytes, size_t count, uint32_t* histogram) {
    for (size_t i = 0; i < count; ++i) { ++histogram[bytes[i]]; }
}

}  // namespace millrace::kernels::detail
