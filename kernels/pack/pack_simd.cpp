// SPDX-License-Identifier: Apache-2.0
// Owns packing, codes and histograms over vectors, on every Highway target.

// Vectors without a compile-time size cannot be kept in arrays; those CPUs get NEON or emulation.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pack/pack_simd.cpp"  // NOLINT: Highway names it
#include <hwy/foreach_target.h>

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "kernels/pack/detail/backends.hpp"
#include "kernels/pack/detail/shuffle_table.hpp"
#include "kernels/pack/pack.hpp"

HWY_BEFORE_NAMESPACE();
namespace millrace::kernels::detail::pack_vectors::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// At most 32 bytes: eight values are one, two or four vectors, and on CPUs whose 512-bit units are
/// two of 256 nothing is lost.
template <class T>
using Tag = hn::CappedTag<T, 32 / sizeof(T)>;
template <class T>
using V = hn::Vec<Tag<T>>;
template <class T>
constexpr size_t lanes = hn::MaxLanes(Tag<T>());
template <class T>
constexpr size_t block_lanes = 16 / sizeof(T);

template <class T>
HWY_INLINE T or_of_lanes(V<T> v) {
    HWY_ALIGN_MAX T values[lanes<T>];
    hn::Store(v, Tag<T>(), values);
    T any = 0;
    for (const T value : values) { any |= value; }
    return any;
}

template <class T>
T any_of(const T* HWY_RESTRICT values, size_t count) {
    const Tag<T> d;
    V<T> any = hn::Zero(d);
    V<T> other = hn::Zero(d);
    size_t i = 0;
    for (; i + 2 * lanes<T> <= count; i += 2 * lanes<T>) {
        any = hn::Or(any, hn::LoadU(d, values + i));
        other = hn::Or(other, hn::LoadU(d, values + i + lanes<T>));
    }
    return or_of_lanes<T>(hn::Or(any, other)) | pack_scalar<T>().any(values + i, count - i);
}

template <class T>
T minimum_of(const T* HWY_RESTRICT values, size_t count) {
    const Tag<T> d;
    if (count < lanes<T>) { return pack_scalar<T>().minimum(values, count); }
    // The last vector overlaps the one before, so that every value is in one.
    V<T> minimum = hn::LoadU(d, values + count - lanes<T>);
    for (size_t i = 0; i + lanes<T> <= count; i += lanes<T>) {
        minimum = hn::Min(minimum, hn::LoadU(d, values + i));
    }
    HWY_ALIGN_MAX T least[lanes<T>];
    hn::Store(minimum, d, least);
    return pack_scalar<T>().minimum(least, lanes<T>);
}

// --- Packing, eight values to `width` bytes at a time. ---

/// Packs by byte shuffles: every value is shifted to its bit of a byte, and its bytes are moved to
/// their places.
template <class T>
class ShufflePacker {
public:
    explicit ShufflePacker(unsigned width)
        : table_(shuffle_tables<T>[width]),
          mask_(hn::Set(Tag<T>(), width_mask<T>(width))),
          any_(hn::Zero(Tag<T>())) {
        for (size_t v = 0; v < vectors; ++v) {
            even_[v] = hn::Load(bytes, table_.even + v * lanes<T> * sizeof(T));
            odd_[v] = hn::Load(bytes, table_.odd + v * lanes<T> * sizeof(T));
            shift_[v] = hn::Load(Tag<T>(), table_.shift + v * lanes<T>);
        }
    }

    /// Bytes that are written for eight values; those after the packed ones become zero.
    size_t room() const { return table_.offset[ShuffleTable<T>::vectors - 1] + 16u; }
    T any() const { return or_of_lanes<T>(any_); }

    HWY_INLINE void pack(const T* HWY_RESTRICT values, uint8_t* HWY_RESTRICT packed) {
        const Tag<T> d;
        auto before = hn::Zero(block);
        for (size_t v = 0; v < vectors; ++v) {
            const V<T> value = hn::LoadU(d, values + v * lanes<T>);
            any_ = hn::Or(any_, value);
            const auto placed = hn::BitCast(bytes, hn::Shl(hn::And(value, mask_), shift_[v]));
            const auto moved = hn::Or(hn::TableLookupBytesOr0(placed, even_[v]),
                                      hn::TableLookupBytesOr0(placed, odd_[v]));
            if constexpr (blocks == 1) {
                before = store(v, moved, before, packed);
            } else {
                before = store(2 * v, hn::LowerHalf(block, moved), before, packed);
                before = store(2 * v + 1, hn::UpperHalf(block, moved), before, packed);
            }
        }
    }

private:
    static constexpr size_t vectors = 8 / lanes<T>;
    static constexpr size_t blocks = lanes<T> / block_lanes<T>;
    static constexpr hn::Repartition<uint8_t, Tag<T>> bytes{};
    static constexpr hn::Full128<uint8_t> block{};
    using Bytes = hn::Vec<hn::Repartition<uint8_t, Tag<T>>>;
    using Block = hn::Vec<hn::Full128<uint8_t>>;

    HWY_INLINE Block store(size_t number, Block own, Block before, uint8_t* HWY_RESTRICT packed) {
        const Block shared = hn::Load(block, table_.shared[number]);
        own = hn::Or(own, hn::TableLookupBytesOr0(before, shared));
        hn::StoreU(own, block, packed + table_.offset[number]);
        return own;
    }

    const ShuffleTable<T>& table_;
    V<T> mask_;
    V<T> any_;
    Bytes even_[vectors];
    Bytes odd_[vectors];
    V<T> shift_[vectors];
};

using Wide = unsigned __int128;

/// Packs by joining neighbours to pairs, and pairs by shifts of double words: widths below 32 that
/// shuffles do not take.
template <class T>
class PairPacker {
public:
    explicit PairPacker(unsigned width)
        : width_(width), mask_(width_mask<T>(width)), any_(hn::Zero(Tag<T>())) {}

    /// As of ShufflePacker.
    size_t room() const { return 32; }
    T any() const { return or_of_lanes<T>(any_); }

    HWY_INLINE void pack(const T* HWY_RESTRICT values, uint8_t* HWY_RESTRICT packed) {
        HWY_ALIGN_MAX uint64_t pairs[4];
        join(values, pairs);
        if (width_ <= 8) {
            const uint64_t low = pairs[0] | pairs[1] << (2 * width_);
            const uint64_t high = pairs[2] | pairs[3] << (2 * width_);
            const uint64_t all = low | high << (4 * width_);
            std::memcpy(packed, &all, 8);
            return;
        }
        const Wide low = pairs[0] | Wide{pairs[1]} << (2 * width_);
        const Wide high = pairs[2] | Wide{pairs[3]} << (2 * width_);
        // The upper four values begin in the middle of a byte if the width is odd.
        const unsigned upper_byte = width_ / 2;
        const Wide upper = high << (4 * width_ % 8) | low >> (8 * upper_byte);
        std::memcpy(packed, &low, 16);
        std::memcpy(packed + upper_byte, &upper, 16);
    }

private:
    HWY_INLINE void join(const uint32_t* HWY_RESTRICT values, uint64_t* HWY_RESTRICT pairs) {
        const Tag<uint32_t> d;
        const Tag<uint64_t> d64;
        const auto mask = hn::Set(d, mask_);
        const auto low = hn::Set(d64, uint64_t{UINT32_MAX});
        for (size_t i = 0; i < 8; i += lanes<uint32_t>) {
            const auto v = hn::LoadU(d, values + i);
            any_ = hn::Or(any_, v);
            const auto cut = hn::BitCast(d64, hn::And(v, mask));
            const auto odd = hn::ShiftLeftSame(hn::ShiftRight<32>(cut), static_cast<int>(width_));
            hn::Store(hn::Or(hn::And(cut, low), odd), d64, pairs + i / 2);
        }
    }
    HWY_INLINE void join(const uint64_t* HWY_RESTRICT values, uint64_t* HWY_RESTRICT pairs) {
        for (size_t i = 0; i < 8; i += lanes<uint64_t>) {
            any_ = hn::Or(any_, hn::LoadU(Tag<uint64_t>(), values + i));
        }
        for (size_t j = 0; j < 4; ++j) {
            pairs[j] = (values[2 * j] & mask_) | (values[2 * j + 1] & mask_) << width_;
        }
    }

    unsigned width_;
    T mask_;
    V<T> any_;
};

template <class Packer, class T>
HWY_INLINE T pack_groups(const T* HWY_RESTRICT values, size_t count, unsigned width,
                         uint8_t* HWY_RESTRICT packed) {
    Packer packer(width);
    uint8_t* const end = packed + packed_bytes(count, width);
    const ptrdiff_t room = static_cast<ptrdiff_t>(packer.room());
    for (; count >= 8 && end - packed >= room; count -= 8) {
        packer.pack(values, packed);
        values += 8;
        packed += width;
    }
    for (; count >= 8; count -= 8) {
        uint8_t last[8 * sizeof(T) + 16];
        packer.pack(values, last);
        std::memcpy(packed, last, width);
        values += 8;
        packed += width;
    }
    return packer.any() | pack_scalar<T>().pack(values, count, width, packed);
}

template <class T>
T pack_block(const T* HWY_RESTRICT values, size_t count, unsigned width,
             uint8_t* HWY_RESTRICT packed) {
    if (width == pack_width_max<T>) {
        if (count != 0) { std::memcpy(packed, values, count * sizeof(T)); }
        return any_of(values, count);
    }
    if (width >= shuffle_pack_min && width <= shuffle_pack_max<T>) {
        return pack_groups<ShufflePacker<T>>(values, count, width, packed);
    }
    if (width != 0 && width < 32) {
        return pack_groups<PairPacker<T>>(values, count, width, packed);
    }
    return pack_scalar<T>().pack(values, count, width, packed);
}

// --- Unpacking by byte shuffles. ---

template <class T>
struct Unpacker {
    static constexpr size_t vectors = 8 / lanes<T>;
    static constexpr size_t blocks = lanes<T> / block_lanes<T>;

    explicit Unpacker(unsigned width)
        : table(shuffle_tables<T>[width]), mask(hn::Set(Tag<T>(), width_mask<T>(width))) {
        const hn::Repartition<uint8_t, Tag<T>> bytes;
        for (size_t v = 0; v < vectors; ++v) {
            index[v] = hn::Load(bytes, table.index + v * lanes<T> * sizeof(T));
            beyond[v] = hn::Load(bytes, table.beyond + v * lanes<T> * sizeof(T));
            shift[v] = hn::Load(Tag<T>(), table.shift + v * lanes<T>);
            // A ninth byte at the top of its lane stands where bit 8 * sizeof(T) - 8 is.
            lift[v] = hn::Sub(hn::Set(Tag<T>(), 8), shift[v]);
        }
    }

    /// Bytes that are read for eight values.
    size_t reach() const { return table.offset[ShuffleTable<T>::vectors - 1] + 16u; }

    template <bool with_beyond>
    HWY_INLINE V<T> values(const uint8_t* packed, size_t v) const {
        const hn::Repartition<uint8_t, Tag<T>> d8;
        hn::Vec<decltype(d8)> bytes;
        if constexpr (blocks == 2) {
            const hn::Half<decltype(d8)> half;
            bytes = hn::Combine(d8, hn::LoadU(half, packed + table.offset[2 * v + 1]),
                                hn::LoadU(half, packed + table.offset[2 * v]));
        } else {
            static_assert(blocks == 1);
            bytes = hn::LoadU(d8, packed + table.offset[v]);
        }
        const Tag<T> d;
        V<T> value = hn::Shr(hn::BitCast(d, hn::TableLookupBytesOr0(bytes, index[v])), shift[v]);
        if constexpr (with_beyond) {
            value = hn::Or(
                value, hn::Shl(hn::BitCast(d, hn::TableLookupBytesOr0(bytes, beyond[v])), lift[v]));
        }
        return hn::And(value, mask);
    }

    const ShuffleTable<T>& table;
    V<T> mask;
    hn::Vec<hn::Repartition<uint8_t, Tag<T>>> index[vectors];
    hn::Vec<hn::Repartition<uint8_t, Tag<T>>> beyond[vectors];
    V<T> shift[vectors];
    V<T> lift[vectors];
};

template <class T, bool with_beyond>
HWY_INLINE T unpack_groups(const uint8_t* HWY_RESTRICT packed, size_t count, unsigned width,
                           T* HWY_RESTRICT values) {
    const Tag<T> d;
    const Unpacker<T> unpacker(width);
    V<T> any = hn::Zero(d);
    const auto group = [&](const uint8_t* from, T* to) HWY_ATTR {
        for (size_t v = 0; v < Unpacker<T>::vectors; ++v) {
            const V<T> value = unpacker.template values<with_beyond>(from, v);
            any = hn::Or(any, value);
            hn::StoreU(value, d, to + v * lanes<T>);
        }
    };
    const uint8_t* const end = packed + packed_bytes(count, width);
    const ptrdiff_t reach = static_cast<ptrdiff_t>(unpacker.reach());
    for (; count >= 8 && end - packed >= reach; count -= 8) {
        group(packed, values);
        packed += width;
        values += 8;
    }
    if (count == 0) { return or_of_lanes<T>(any); }
    // What is left, less than a group reaches over, is read from a copy with room behind it.
    constexpr size_t reach_max = 8 * sizeof(T) + 16;
    uint8_t copy[2 * reach_max] = {};
    std::memcpy(copy, packed, static_cast<size_t>(end - packed));
    const uint8_t* from = copy;
    for (; count >= 8; count -= 8) {
        group(from, values);
        from += width;
        values += 8;
    }
    if (count != 0) {
        HWY_ALIGN_MAX T last[8];
        group(from, last);
        std::memcpy(values, last, count * sizeof(T));
    }
    return or_of_lanes<T>(any);
}

template <class T>
T unpack_block(const uint8_t* HWY_RESTRICT packed, size_t count, unsigned width,
               T* HWY_RESTRICT values) {
    if (width == pack_width_max<T>) {
        if (count != 0) { std::memcpy(values, packed, count * sizeof(T)); }
        return any_of(values, count);
    }
    if (width == 0 || width > shuffle_unpack_max<T>) {
        return pack_scalar<T>().unpack(packed, count, width, values);
    }
    if (width > shuffle_pack_max<T>) {
        return unpack_groups<T, true>(packed, count, width, values);
    }
    return unpack_groups<T, false>(packed, count, width, values);
}

// --- Codes. ---

/// As zigzag() and unzigzag() of one value.
template <class T>
HWY_INLINE V<T> zigzag_lanes(V<T> difference) {
    const hn::RebindToSigned<Tag<T>> s;
    const auto sign = hn::BroadcastSignBit(hn::BitCast(s, difference));
    return hn::Xor(hn::Add(difference, difference), hn::BitCast(Tag<T>(), sign));
}
template <class T>
HWY_INLINE V<T> unzigzag_lanes(V<T> coded) {
    const Tag<T> d;
    const V<T> odd = hn::And(coded, hn::Set(d, 1));
    return hn::Xor(hn::ShiftRight<1>(coded), hn::Sub(hn::Zero(d), odd));
}

template <class T>
HWY_INLINE bool all_true(hn::Mask<Tag<T>> mask) {
    return hn::AllTrue(Tag<T>(), mask);
}

template <class T, CodeKind code>
HWY_INLINE bool encode_as(const T* HWY_RESTRICT values, size_t count, T base,
                          T* HWY_RESTRICT coded) {
    if (count == 0) { return true; }
    bool takes = code != CodeKind::gap || gap_ascends(values[0], base, true);
    coded[0] = encode_value(code, values[0], base, true);
    const Tag<T> d;
    const V<T> bases = hn::Set(d, base);
    auto ascends = hn::Eq(bases, bases);
    size_t i = 1;
    for (; i + lanes<T> <= count; i += lanes<T>) {
        const V<T> value = hn::LoadU(d, values + i);
        V<T> previous = bases;
        if constexpr (code != CodeKind::offset) { previous = hn::LoadU(d, values + i - 1); }
        V<T> c = hn::Sub(value, previous);
        if constexpr (code == CodeKind::zigzag_delta) { c = zigzag_lanes<T>(c); }
        if constexpr (code == CodeKind::gap) {
            c = hn::Sub(c, hn::Set(d, 1));
            ascends = hn::And(ascends, hn::Gt(value, previous));
        }
        hn::StoreU(c, d, coded + i);
    }
    takes = takes && all_true<T>(ascends);
    for (; i < count; ++i) {
        const T previous = code == CodeKind::offset ? base : values[i - 1];
        takes = takes && (code != CodeKind::gap || gap_ascends(values[i], previous, false));
        coded[i] = encode_value(code, values[i], previous, false);
    }
    return takes;
}

/// One lane in all lanes.
template <class T, size_t lane>
HWY_INLINE V<T> one_lane(V<T> v) {
    const Tag<T> d;
    using Index = hwy::MakeSigned<T>;
    const auto indices = hn::Set(hn::RebindToSigned<Tag<T>>(), static_cast<Index>(lane));
    return hn::TableLookupLanes(v, hn::IndicesFromVec(d, indices));
}

/// Sums of the lanes up to each lane.
template <class T>
HWY_INLINE V<T> prefix_sums(V<T> v) {
    const Tag<T> d;
    v = hn::Add(v, hn::ShiftLeftLanes<1>(d, v));
    if constexpr (block_lanes<T> == 4) { v = hn::Add(v, hn::ShiftLeftLanes<2>(d, v)); }
    if constexpr (lanes<T> == 2 * block_lanes<T>) {
        const V<T> lower = one_lane<T, block_lanes<T> - 1>(v);
        v = hn::Add(v, hn::ConcatUpperLower(d, lower, hn::Zero(d)));
    }
    return v;
}

template <class T, CodeKind code>
HWY_INLINE bool decode_as(const T* HWY_RESTRICT coded, size_t count, T base,
                          T* HWY_RESTRICT values) {
    if (count == 0) { return true; }
    const Tag<T> d;
    const V<T> bases = hn::Set(d, base);
    auto fits = hn::Eq(bases, bases);
    values[0] = base + (code == CodeKind::gap ? coded[0] : decode_step(code, coded[0]));
    bool takes = gap_fits(values[0], coded[0], true);
    T sum = code == CodeKind::offset ? base : values[0];
    V<T> sums = hn::Set(d, sum);
    size_t i = 1;
    for (; i + lanes<T> <= count; i += lanes<T>) {
        const V<T> c = hn::LoadU(d, coded + i);
        V<T> step = c;
        if constexpr (code == CodeKind::zigzag_delta) { step = unzigzag_lanes<T>(c); }
        if constexpr (code == CodeKind::gap) { step = hn::Add(c, hn::Set(d, 1)); }
        V<T> value;
        if constexpr (code == CodeKind::offset) {
            value = hn::Add(bases, step);
        } else {
            const V<T> within = prefix_sums<T>(step);
            value = hn::Add(sums, within);
            sums = hn::Add(sums, one_lane<T, lanes<T> - 1>(within));
        }
        if constexpr (code == CodeKind::gap) { fits = hn::And(fits, hn::Gt(value, c)); }
        hn::StoreU(value, d, values + i);
    }
    takes = takes && all_true<T>(fits);
    if (code != CodeKind::offset) { sum = values[i - 1]; }
    for (; i < count; ++i) {
        values[i] = sum + decode_step(code, coded[i]);
        takes = takes && gap_fits(values[i], coded[i], false);
        if (code != CodeKind::offset) { sum = values[i]; }
    }
    return takes || code != CodeKind::gap;
}

template <class T>
bool encode_block(CodeKind code, const T* values, size_t count, T base, T* coded) {
    switch (code) {
        case CodeKind::offset: return encode_as<T, CodeKind::offset>(values, count, base, coded);
        case CodeKind::delta: return encode_as<T, CodeKind::delta>(values, count, base, coded);
        case CodeKind::zigzag_delta:
            return encode_as<T, CodeKind::zigzag_delta>(values, count, base, coded);
        case CodeKind::gap: return encode_as<T, CodeKind::gap>(values, count, base, coded);
    }
    return false;
}

template <class T>
bool decode_block(CodeKind code, const T* coded, size_t count, T base, T* values) {
    switch (code) {
        case CodeKind::offset: return decode_as<T, CodeKind::offset>(coded, count, base, values);
        case CodeKind::delta: return decode_as<T, CodeKind::delta>(coded, count, base, values);
        case CodeKind::zigzag_delta:
            return decode_as<T, CodeKind::zigzag_delta>(coded, count, base, values);
        case CodeKind::gap: return decode_as<T, CodeKind::gap>(coded, count, base, values);
    }
    return false;
}

// --- Histograms. Neighbours that are equal would wait for each other's counter, so four sets of
// counters take turns; a short block does not pay for adding them up. ---

constexpr size_t turns = 4;
constexpr size_t turns_values_min = 512;

template <class T>
void widths_of(const T* HWY_RESTRICT values, size_t count, uint32_t* HWY_RESTRICT histogram) {
    constexpr size_t counters = 65;
    if (count < turns_values_min) { return pack_scalar<T>().widths(values, count, histogram); }
    uint32_t sets[turns][counters] = {};
    size_t i = 0;
    for (; i + turns <= count; i += turns) {
        for (size_t t = 0; t < turns; ++t) { ++sets[t][value_width(values[i + t])]; }
    }
    for (; i < count; ++i) { ++sets[0][value_width(values[i])]; }
    for (size_t k = 0; k < counters; ++k) {
        histogram[k] += sets[0][k] + sets[1][k] + sets[2][k] + sets[3][k];
    }
}

void byte_histogram(const uint8_t* HWY_RESTRICT bytes, size_t count,
                    uint32_t* HWY_RESTRICT histogram) {
    constexpr size_t counters = 256;
    if (count < turns_values_min) { return byte_histogram_scalar(bytes, count, histogram); }
    uint32_t sets[turns][counters] = {};
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t word;
        std::memcpy(&word, bytes + i, 8);
        for (size_t k = 0; k < 8; ++k) { ++sets[k % turns][word >> (8 * k) & 0xff]; }
    }
    for (; i < count; ++i) { ++sets[0][bytes[i]]; }
    for (size_t k = 0; k < counters; ++k) {
        histogram[k] += sets[0][k] + sets[1][k] + sets[2][k] + sets[3][k];
    }
}

template <class T>
const PackBlockKernel<T>& kernel() {
    static constexpr PackBlockKernel<T> table{
        .any = any_of<T>,
        .minimum = minimum_of<T>,
        .pack = pack_block<T>,
        .unpack = unpack_block<T>,
        .encode = encode_block<T>,
        .decode = decode_block<T>,
        .widths = widths_of<T>,
    };
    return table;
}

const PackBlockKernel<uint32_t>& kernel32() { return kernel<uint32_t>(); }
const PackBlockKernel<uint64_t>& kernel64() { return kernel<uint64_t>(); }
const char* target_name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace millrace::kernels::detail::pack_vectors::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace millrace::kernels::detail {

// The dispatch macros take plain names only.
namespace pack_vectors {

HWY_EXPORT(kernel32);
HWY_EXPORT(kernel64);
HWY_EXPORT(byte_histogram);
HWY_EXPORT(target_name);

static const PackBlockKernel<uint32_t>& chosen32() { return HWY_DYNAMIC_DISPATCH(kernel32)(); }
static const PackBlockKernel<uint64_t>& chosen64() { return HWY_DYNAMIC_DISPATCH(kernel64)(); }
static void count_bytes(const uint8_t* bytes, size_t count, uint32_t* histogram) {
    HWY_DYNAMIC_DISPATCH(byte_histogram)(bytes, count, histogram);
}
static std::string target() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

}  // namespace pack_vectors

template <>
const PackBlockKernel<uint32_t>& pack_simd() {
    return pack_vectors::chosen32();
}
template <>
const PackBlockKernel<uint64_t>& pack_simd() {
    return pack_vectors::chosen64();
}

void byte_histogram_simd(const uint8_t* bytes, size_t count, uint32_t* histogram) {
    pack_vectors::count_bytes(bytes, count, histogram);
}

std::string pack_simd_target() { return pack_vectors::target(); }

}  // namespace millrace::kernels::detail
#endif
