// SPDX-License-Identifier: Apache-2.0
// Owns the tests of packing: every back end and vector target against the definitions.
#include "kernels/pack/pack.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "tests/kernels/batch/batch_checks.hpp"
#include "tests/kernels/pack/naive_pack.hpp"

namespace millrace::kernels {
namespace {

using test::naive_encode;
using test::PackBatch;
using test::random_value;

constexpr ValueCode codes[] = {ValueCode::offset, ValueCode::delta, ValueCode::zigzag_delta,
                               ValueCode::gap};

/// Runs the body with the scalar back end and with each vector target that this CPU has.
void on_cpu(const std::function<void(Backend)>& body) {
    body(Backend::scalar);
    const test::HashUnderTest status_only{nullptr, nullptr, pack_backend_status, {}};
    test::expect_usual_targets(test::on_every_target(status_only, [&] { body(Backend::simd); }));
}

template <class T>
void expect_packs(Backend backend, const PackBatch<T>& batch) {
    const Bytes expected = batch.packed();
    Bytes packed(expected.size(), 0xee);
    const auto done = pack_blocks<T>(backend, batch.values, batch.counts, batch.widths, packed);
    ASSERT_TRUE(done.has_value()) << done.error().message;
    ASSERT_EQ(expected, packed);
    std::vector<T> values(batch.values.size(), T{0} - 1);
    const auto undone =
        unpack_blocks<T>(backend, packed, batch.counts, batch.widths, WidthRule::any, values);
    ASSERT_TRUE(undone.has_value()) << undone.error().message;
    ASSERT_EQ(batch.values, values);
}

template <class T>
void expect_packs_every_width(Backend backend) {
    for (unsigned width = 0; width <= pack_width_max<T>; ++width) {
        SCOPED_TRACE("width " + std::to_string(width) + " on " +
                     pack_backend_status(backend).target);
        std::mt19937_64 random(width);
        expect_packs<T>(backend, test::ragged_batch<T>(random, width));
        // Each count alone, in memory of exactly its size, so that access beyond it is found.
        for (const uint32_t count : test::ragged_counts) {
            PackBatch<T> batch;
            batch.add_random(random, count, width);
            expect_packs<T>(backend, batch);
        }
        if (testing::Test::HasFatalFailure()) { return; }
    }
}

TEST(Pack, EveryWidthAndCountIsPackedAsDefined) {
    on_cpu([](Backend backend) {
        expect_packs_every_width<uint32_t>(backend);
        expect_packs_every_width<uint64_t>(backend);
    });
}

TEST(Pack, TheFormIsThatOfTheDocumentation) {
    const std::vector<uint32_t> values{1, 2, 3, 4, 5, 6, 7, 0, 5};
    const Bytes expected{0xd1, 0x58, 0x1f, 0x05};
    on_cpu([&](Backend backend) {
        Bytes packed(4);
        ASSERT_TRUE(pack_blocks<uint32_t>(backend, values, std::vector<uint32_t>{9},
                                          std::vector<uint8_t>{3}, packed)
                        .has_value());
        EXPECT_EQ(expected, packed);
    });
}

TEST(Pack, TheFormDoesNotDependOnTheTypeOfTheValues) {
    on_cpu([](Backend backend) {
        for (unsigned width = 0; width <= 32; ++width) {
            std::mt19937_64 random(width);
            const PackBatch<uint32_t> batch = test::ragged_batch<uint32_t>(random, width);
            const Bytes packed = batch.packed();
            std::vector<uint64_t> values(batch.values.size());
            ASSERT_TRUE(unpack_blocks<uint64_t>(backend, packed, batch.counts, batch.widths,
                                                WidthRule::any, values)
                            .has_value());
            ASSERT_TRUE(std::ranges::equal(batch.values, values)) << width;
        }
    });
}

template <class T>
void expect_every_misfit_refused(Backend backend) {
    std::mt19937_64 random(1);
    for (unsigned width = 0; width <= pack_width_max<T>; ++width) {
        for (const uint32_t count : {1u, 8u, 9u, 33u, 70u}) {
            PackBatch<T> batch;
            batch.add_random(random, 5, width);
            batch.add_random(random, count, width);
            batch.add_random(random, 3, width);
            Bytes packed = batch.packed();
            std::vector<T> values(batch.values.size());
            const auto unpack = [&](const Bytes& bytes, std::span<const uint8_t> widths) {
                return unpack_blocks<T>(backend, bytes, batch.counts, widths, WidthRule::any,
                                        values);
            };
            ASSERT_TRUE(unpack(packed, batch.widths).has_value());
            // Each bit after the last value of the middle block.
            const size_t end = packed_bytes(5, width) + packed_bytes(count, width);
            for (size_t bit = count * width % 8; bit != 0 && bit < 8; ++bit) {
                Bytes wrong = packed;
                wrong[end - 1] |= static_cast<uint8_t>(1u << bit);
                const auto done = unpack(wrong, batch.widths);
                ASSERT_FALSE(done.has_value()) << width << " " << count << " " << bit;
                EXPECT_EQ(ErrorCode::invalid_input, done.error().code);
            }
            // One byte short and one long.
            Bytes wrong = packed;
            wrong.push_back(0);
            EXPECT_FALSE(unpack(wrong, batch.widths).has_value());
            if (!packed.empty()) {
                wrong.resize(packed.size() - 1);
                EXPECT_FALSE(unpack(wrong, batch.widths).has_value());
            }
            // A value of one bit more, at each place.
            for (size_t i = 0; i < count && width < pack_width_max<T>; ++i) {
                PackBatch<T> wide = batch;
                wide.values[5 + i] |= T{1} << width;
                const auto done =
                    pack_blocks<T>(backend, wide.values, wide.counts, wide.widths, packed);
                ASSERT_FALSE(done.has_value()) << width << " " << i;
                EXPECT_EQ(ErrorCode::invalid_input, done.error().code);
            }
        }
    }
}

TEST(Pack, RefusesWhatItWouldNotWriteAndWhatDoesNotFit) {
    on_cpu([](Backend backend) {
        expect_every_misfit_refused<uint32_t>(backend);
        expect_every_misfit_refused<uint64_t>(backend);
    });
}

template <class T>
void expect_width_rule(Backend backend) {
    for (unsigned width = 0; width < pack_width_max<T>; ++width) {
        for (const uint32_t count : {0u, 1u, 9u, 40u}) {
            PackBatch<T> batch;
            std::vector<T> block(count);
            if (count != 0 && width != 0) { block[count / 2] = T{1} << (width - 1); }
            batch.add(block, count == 0 ? 0 : width);
            std::vector<T> values(count);
            const auto unpack = [&] {
                return unpack_blocks<T>(backend, batch.packed(), batch.counts, batch.widths,
                                        WidthRule::least, values);
            };
            EXPECT_TRUE(unpack().has_value()) << width << " " << count;
            ++batch.widths[0];
            EXPECT_FALSE(unpack().has_value()) << width << " " << count;
            EXPECT_TRUE(unpack_blocks<T>(backend, batch.packed(), batch.counts, batch.widths,
                                         WidthRule::any, values)
                            .has_value());
        }
    }
}

TEST(Pack, TheLeastWidthIsTheOnlyOneUnderItsRule) {
    on_cpu([](Backend backend) {
        expect_width_rule<uint32_t>(backend);
        expect_width_rule<uint64_t>(backend);
    });
}

template <class T>
void expect_transforms(Backend backend, const PackBatch<T>& batch) {
    for (const ValueCode code : codes) {
        SCOPED_TRACE("code " + std::to_string(static_cast<int>(code)));
        std::vector<T> expected;
        bool takes = true;
        for (size_t b = 0; b < batch.counts.size(); ++b) {
            const auto coded = naive_encode<T>(code, batch.block(b), batch.bases[b]);
            takes = takes && coded.has_value();
            if (takes) { expected.insert(expected.end(), coded->begin(), coded->end()); }
        }
        std::vector<T> coded(batch.values.size());
        const auto done =
            encode_blocks<T>(backend, code, batch.values, batch.counts, batch.bases, coded);
        ASSERT_EQ(takes, done.has_value());
        if (!takes) {
            EXPECT_EQ(ErrorCode::invalid_input, done.error().code);
            continue;
        }
        ASSERT_EQ(expected, coded);
        std::vector<T> values(coded.size());
        const auto undone =
            decode_blocks<T>(backend, code, coded, batch.counts, batch.bases, values);
        ASSERT_TRUE(undone.has_value()) << undone.error().message;
        ASSERT_EQ(batch.values, values);
    }
}

/// Ascending blocks that begin at or above their base and end at the last integer at the furthest.
template <class T>
PackBatch<T> ascending_batch(std::mt19937_64& random) {
    PackBatch<T> batch;
    for (const uint32_t count : test::ragged_counts) {
        std::vector<T> block(count);
        T at = random_value<T>(random, pack_width_max<T> - 1);
        const T base = at - random_value<T>(random, 8) % (at + 1);
        for (T& value : block) {
            value = at;
            at += 1 + random_value<T>(random, static_cast<unsigned>(random() % 16));
        }
        if (count != 0 && random() % 2 == 0) { block.back() = T{0} - 1; }
        batch.add(block, 0, base);
    }
    return batch;
}

template <class T>
void expect_codes(Backend backend) {
    for (const unsigned width : {0u, 1u, 7u, 13u, 31u, pack_width_max<T> - 1, pack_width_max<T>}) {
        std::mt19937_64 random(width);
        expect_transforms<T>(backend, test::ragged_batch<T>(random, width));
        expect_transforms<T>(backend, ascending_batch<T>(random));
    }
}

TEST(PackCodes, AgreeWithExactIntegersAndInvert) {
    on_cpu([](Backend backend) {
        expect_codes<uint32_t>(backend);
        expect_codes<uint64_t>(backend);
    });
}

template <class T>
void expect_gaps_bounded(Backend backend) {
    for (const uint32_t count : {1u, 2u, 8u, 9u, 17u, 40u}) {
        const std::vector<uint32_t> counts{count};
        for (uint32_t place = 0; place < count; ++place) {
            std::vector<T> values(count);
            std::vector<T> coded(count);
            for (uint32_t i = 0; i < count; ++i) { values[i] = 10 + 3 * i; }
            const std::vector<T> base{10};
            ASSERT_TRUE(encode_blocks<T>(backend, ValueCode::gap, values, counts, base, coded));
            // A value that repeats the one before, or is below it or below the base.
            for (const T wrong : {T(values[place] - 3), T(values[place] - 4)}) {
                std::vector<T> other = values;
                other[place] = wrong;
                EXPECT_FALSE(encode_blocks<T>(backend, ValueCode::gap, other, counts, base, coded))
                    << place;
            }
            ASSERT_TRUE(encode_blocks<T>(backend, ValueCode::gap, values, counts, base, coded));
            // A gap up to the last integer, which later values can only leave, and all beyond it.
            const T before = place == 0 ? T{10} : T(values[place - 1] + 1);
            const T last = T{0} - 1 - before;
            for (const T gap : {last, T(last + 1), T(last + 2), T(T{0} - 1)}) {
                std::vector<T> other = coded;
                other[place] = gap;
                const auto done =
                    decode_blocks<T>(backend, ValueCode::gap, other, counts, base, values);
                EXPECT_EQ(gap == last && place + 1 == count, done.has_value())
                    << place << " of " << count;
            }
            for (uint32_t i = 0; i < count; ++i) { values[i] = 10 + 3 * i; }
        }
    }
}

TEST(PackCodes, GapsNeitherRepeatNorDescendNorWrap) {
    on_cpu([](Backend backend) {
        expect_gaps_bounded<uint32_t>(backend);
        expect_gaps_bounded<uint64_t>(backend);
    });
}

TEST(PackCodes, NoBasesMeansZeros) {
    on_cpu([](Backend backend) {
        const std::vector<uint64_t> values{5, 9, 2, 3};
        const std::vector<uint32_t> counts{2, 2};
        std::vector<uint64_t> coded(4);
        ASSERT_TRUE(encode_blocks<uint64_t>(backend, ValueCode::delta, values, counts, {}, coded));
        EXPECT_EQ((std::vector<uint64_t>{5, 4, 2, 1}), coded);
        ASSERT_TRUE(encode_blocks<uint64_t>(backend, ValueCode::offset, values, counts, {}, coded));
        EXPECT_EQ(values, coded);
    });
}

template <class T>
void expect_summaries(Backend backend, const PackBatch<T>& batch) {
    const size_t blocks = batch.counts.size();
    std::vector<uint8_t> widths(blocks, 0xee);
    std::vector<T> minima(blocks, T{77});
    std::vector<WidthHistogram> histograms(blocks, WidthHistogram{1, 2, 3});
    ASSERT_TRUE(block_widths<T>(backend, batch.values, batch.counts, widths));
    ASSERT_TRUE(block_minima<T>(backend, batch.values, batch.counts, minima));
    ASSERT_TRUE(width_histograms<T>(backend, batch.values, batch.counts, histograms));
    for (size_t b = 0; b < blocks; ++b) {
        WidthHistogram histogram{};
        unsigned widest = 0;
        T least = batch.counts[b] == 0 ? T{0} : T(T{0} - 1);
        for (const T value : batch.block(b)) {
            const unsigned width = test::naive_width(value);
            ++histogram[width];
            widest = std::max(widest, width);
            least = std::min(least, value);
        }
        ASSERT_EQ(widest, widths[b]) << b;
        ASSERT_EQ(least, minima[b]) << b;
        ASSERT_EQ(histogram, histograms[b]) << b;
    }
}

template <class T>
void expect_every_summary(Backend backend) {
    for (unsigned width = 0; width <= pack_width_max<T>; ++width) {
        std::mt19937_64 random(width);
        PackBatch<T> batch = test::ragged_batch<T>(random, width);
        // Numbers of all widths up to this one.
        for (T& value : batch.values) { value >>= random() % pack_width_max<T>; }
        expect_summaries<T>(backend, batch);
    }
}

TEST(PackSummaries, WidthsMinimaAndWidthHistogramsAreExact) {
    on_cpu([](Backend backend) {
        expect_every_summary<uint32_t>(backend);
        expect_every_summary<uint64_t>(backend);
    });
}

TEST(PackSummaries, TheExtremeValueIsSeenAtEachPlace) {
    on_cpu([](Backend backend) {
        for (const uint32_t count : {1u, 7u, 8u, 9u, 33u, 70u}) {
            for (uint32_t place = 0; place < count; ++place) {
                PackBatch<uint64_t> batch;
                std::vector<uint64_t> block(count, 0x7000);
                block[place] = place % 2 == 0 ? uint64_t{1} << 63 : 1;
                batch.add(block, 0);
                expect_summaries<uint64_t>(backend, batch);
            }
        }
    });
}

void expect_byte_histograms(Backend backend, std::mt19937_64& random, unsigned symbols) {
    Bytes bytes;
    std::vector<uint32_t> counts;
    std::vector<ByteHistogram> expected;
    for (const uint32_t count : {0u, 1u, 7u, 8u, 9u, 31u, 511u, 512u, 513u, 519u, 5000u, 70000u}) {
        counts.push_back(count);
        expected.emplace_back();
        for (uint32_t i = 0; i < count; ++i) {
            bytes.push_back(static_cast<uint8_t>(256 - symbols + random() % symbols));
            ++expected.back()[bytes.back()];
        }
    }
    std::vector<ByteHistogram> histograms(counts.size(), ByteHistogram{4, 5});
    ASSERT_TRUE(byte_histograms(backend, bytes, counts, histograms));
    ASSERT_EQ(expected, histograms);
}

TEST(PackSummaries, ByteHistogramsAreExact) {
    on_cpu([](Backend backend) {
        std::mt19937_64 random(5);
        for (const unsigned symbols : {1u, 3u, 256u}) {
            expect_byte_histograms(backend, random, symbols);
        }
    });
}

TEST(PackSummaries, VarintBytesFollowFromTheWidths) {
    WidthHistogram histogram{};
    uint64_t bytes = 0;
    for (unsigned width = 0; width <= 64; ++width) {
        histogram[width] = width + 1;
        uint64_t value = width == 0 ? 0 : uint64_t{1} << (width - 1);
        uint64_t length = 1;
        for (; value >= 0x80; value >>= 7) { ++length; }
        bytes += length * (width + 1);
    }
    EXPECT_EQ(bytes, varint_bytes(histogram));
}

TEST(Pack, SizesThatDoNotFitTogetherAreRefused) {
    const std::vector<uint32_t> values(10);
    const std::vector<uint32_t> counts{4, 6};
    const std::vector<uint8_t> widths{3, 3};
    std::vector<uint32_t> out(10);
    Bytes packed(5);
    std::vector<ByteHistogram> histograms(1);
    const auto code_of = [](const Result<void>& done) {
        return done.has_value() ? std::string("none") : std::string(to_string(done.error().code));
    };
    const std::string invalid(to_string(ErrorCode::invalid_input));
    for (const Backend backend : {Backend::scalar, Backend::simd, Backend::cuda}) {
        using V = std::vector<uint32_t>;
        using W = std::vector<uint8_t>;
        EXPECT_EQ(invalid,
                  code_of(pack_blocks<uint32_t>(backend, values, V{4, 5}, widths, packed)));
        EXPECT_EQ(invalid, code_of(pack_blocks<uint32_t>(backend, values, counts, W{3}, packed)));
        EXPECT_EQ(invalid,
                  code_of(pack_blocks<uint32_t>(backend, values, counts, W{33, 3}, packed)));
        EXPECT_EQ(invalid,
                  code_of(pack_blocks<uint32_t>(backend, values, counts, W{3, 5}, packed)));
        EXPECT_EQ(invalid, code_of(unpack_blocks<uint32_t>(backend, packed, counts, W{3, 33},
                                                           WidthRule::any, out)));
        EXPECT_EQ(invalid, code_of(unpack_blocks<uint32_t>(backend, packed, V{4, 7}, widths,
                                                           WidthRule::any, out)));
        EXPECT_EQ(invalid, code_of(encode_blocks<uint32_t>(backend, ValueCode::delta, values,
                                                           counts, V{1}, out)));
        EXPECT_EQ(invalid, code_of(decode_blocks<uint32_t>(backend, ValueCode::delta, values,
                                                           counts, {}, std::span(out).first(9))));
        EXPECT_EQ(invalid, code_of(byte_histograms(backend, packed, V{2, 3}, histograms)));
        const std::vector<uint32_t> many(pack_block_values_max + 1);
        std::vector<uint8_t> one(1);
        EXPECT_EQ(to_string(ErrorCode::limit),
                  code_of(block_widths<uint32_t>(backend, many,
                                                 V{static_cast<uint32_t>(many.size())}, one)));
    }
    std::vector<uint8_t> one(1);
    const std::vector<uint32_t> most(pack_block_values_max, 3);
    EXPECT_TRUE(block_widths<uint32_t>(Backend::simd, most,
                                       std::vector<uint32_t>{pack_block_values_max}, one));
    EXPECT_EQ(2, one[0]);
}

template <class T>
void expect_any_batch(uint64_t seed) {
    std::mt19937_64 random(seed);
    PackBatch<T> batch;
    const size_t blocks = random() % 12;
    for (size_t b = 0; b < blocks; ++b) {
        batch.add_random(random, random() % 300,
                         static_cast<unsigned>(random() % (pack_width_max<T> + 1)));
    }
    for (const Backend backend : {Backend::scalar, Backend::simd}) {
        expect_packs<T>(backend, batch);
        expect_transforms<T>(backend, batch);
        expect_transforms<T>(backend, ascending_batch<T>(random));
        expect_summaries<T>(backend, batch);
    }
}

RC_GTEST_PROP(Pack, AnyBatchAgreesWithTheDefinitions, ()) {
    const uint64_t seed = *rc::gen::arbitrary<uint64_t>();
    expect_any_batch<uint32_t>(seed);
    expect_any_batch<uint64_t>(seed);
    RC_ASSERT(!testing::Test::HasFailure());
}

TEST(Pack, CudaIsEitherUsableOrSaysWhyNot) {
    const BackendStatus cuda = pack_backend_status(Backend::cuda);
    EXPECT_EQ("pack", cuda.kernel);
    std::mt19937_64 random(9);
    const PackBatch<uint32_t> batch = test::ragged_batch<uint32_t>(random, 11);
    if (cuda.available) {
        expect_packs<uint32_t>(Backend::cuda, batch);
        return;
    }
    EXPECT_FALSE(cuda.reason.empty());
    Bytes packed(batch.packed().size());
    const auto done =
        pack_blocks<uint32_t>(Backend::cuda, batch.values, batch.counts, batch.widths, packed);
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(ErrorCode::unavailable, done.error().code);
    EXPECT_NE(std::string::npos, done.error().message.find(cuda.reason));
}

}  // namespace
}  // namespace millrace::kernels
