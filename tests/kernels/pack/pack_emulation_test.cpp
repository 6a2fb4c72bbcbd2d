// SPDX-License-Identifier: Apache-2.0
// Owns the tests of a device's packing code, run on the host, against the scalar back end.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "kernels/pack/detail/emulation.hpp"
#include "kernels/pack/pack.hpp"
#include "tests/kernels/pack/naive_pack.hpp"

namespace millrace::kernels {
namespace {

using detail::CodeKind;
using detail::PackEmulation;
using detail::PackJob;
using test::PackBatch;

template <class T>
void expect_packs(const PackBatch<T>& batch) {
    const Bytes expected = batch.packed();
    Bytes packed(expected.size());
    std::vector<T> any(batch.counts.size());
    const PackJob<T> job{
        .counts = batch.counts, .widths = batch.widths, .values = batch.values, .packed = expected};
    PackEmulation<T>(job).pack(packed, any);
    ASSERT_EQ(expected, packed);
    std::vector<T> values(batch.values.size());
    std::vector<T> any_unpacked(batch.counts.size());
    PackEmulation<T>(job).unpack(values, any_unpacked);
    ASSERT_EQ(batch.values, values);
    std::vector<T> any_of(batch.counts.size());
    std::vector<T> minima(batch.counts.size());
    PackEmulation<T>(job).any(any_of);
    PackEmulation<T>(job).minimum(minima);
    for (size_t b = 0; b < batch.counts.size(); ++b) {
        T expected_any = 0;
        for (const T value : batch.block(b)) { expected_any |= value; }
        ASSERT_EQ(expected_any, any[b]);
        ASSERT_EQ(expected_any, any_unpacked[b]);
        ASSERT_EQ(expected_any, any_of[b]);
        const auto least = std::ranges::min_element(batch.block(b));
        ASSERT_EQ(batch.counts[b] == 0 ? T{0} : *least, minima[b]);
    }
}

template <class T>
void expect_every_width() {
    for (unsigned width = 0; width <= pack_width_max<T>; ++width) {
        SCOPED_TRACE("width " + std::to_string(width));
        std::mt19937_64 random(width);
        expect_packs<T>(test::ragged_batch<T>(random, width));
        PackBatch<T> mixed;
        for (const uint32_t count : test::ragged_counts) {
            mixed.add_random(random, count,
                             static_cast<unsigned>(random() % (pack_width_max<T> + 1)));
        }
        expect_packs<T>(mixed);
    }
}

TEST(PackEmulation, EveryWidthAndCountIsPackedAsDefined) {
    expect_every_width<uint32_t>();
    expect_every_width<uint64_t>();
}

TEST(PackEmulation, BitsAboveTheWidthAreLeftOutAndSeen) {
    const std::vector<uint32_t> values{1, 0xffffffff, 2};
    const std::vector<uint32_t> counts{3};
    const std::vector<uint8_t> widths{5};
    Bytes packed(2);
    std::vector<uint32_t> any(1);
    PackEmulation<uint32_t>({.counts = counts, .widths = widths, .values = values})
        .pack(packed, any);
    EXPECT_EQ((Bytes{0xe1, 0x0b}), packed);
    EXPECT_EQ(0xffffffffu, any[0]);
}

/// The same verdicts and values as the scalar back end, block by block.
template <class T>
void expect_codes(const PackBatch<T>& batch) {
    for (const CodeKind code :
         {CodeKind::offset, CodeKind::delta, CodeKind::zigzag_delta, CodeKind::gap}) {
        const PackJob<T> job{.counts = batch.counts, .values = batch.values, .bases = batch.bases};
        for (const bool encode : {true, false}) {
            std::vector<T> got(batch.values.size());
            std::vector<uint32_t> refused(batch.counts.size());
            if (encode) {
                PackEmulation<T>(job).encode(code, got, refused);
            } else {
                PackEmulation<T>(job).decode(code, got, refused);
            }
            size_t first = 0;
            for (size_t b = 0; b < batch.counts.size(); ++b) {
                const std::vector<uint32_t> count{batch.counts[b]};
                std::vector<T> expected(count[0]);
                const auto transform = encode ? encode_blocks<T> : decode_blocks<T>;
                const auto done =
                    transform(Backend::scalar, static_cast<ValueCode>(code), batch.block(b), count,
                              std::span(batch.bases).subspan(b, 1), expected);
                ASSERT_EQ(done.has_value(), refused[b] == 0) << "block " << b;
                ASSERT_TRUE(std::ranges::equal(expected, std::span(got).subspan(first, count[0])))
                    << "block " << b;
                first += count[0];
            }
        }
    }
}

template <class T>
void expect_all_codes() {
    for (unsigned width = 0; width <= pack_width_max<T>; width += 3) {
        std::mt19937_64 random(width);
        PackBatch<T> batch = test::ragged_batch<T>(random, width);
        expect_codes<T>(batch);
        // Blocks that ascend, some of them from a base below them: gaps accept those.
        size_t first = 0;
        for (size_t b = 0; b < batch.counts.size(); ++b) {
            const auto begin = batch.values.begin() + static_cast<ptrdiff_t>(first);
            std::sort(begin, begin + batch.counts[b]);
            if (b % 2 == 0) { batch.bases[b] = 0; }
            first += batch.counts[b];
        }
        expect_codes<T>(batch);
    }
}

TEST(PackEmulation, EveryCodeAgreesWithTheScalarBackEnd) {
    expect_all_codes<uint32_t>();
    expect_all_codes<uint64_t>();
}

}  // namespace
}  // namespace millrace::kernels
