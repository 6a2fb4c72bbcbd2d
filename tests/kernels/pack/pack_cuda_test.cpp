// SPDX-License-Identifier: Apache-2.0
// Owns the tests of packing on a CUDA device; without one they skip with the back end's reason.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "kernels/pack/pack.hpp"
#include "tests/kernels/pack/naive_pack.hpp"

namespace millrace::kernels {
namespace {

using test::PackBatch;

class PackCuda : public testing::Test {
protected:
    void SetUp() override {
        const BackendStatus status = pack_backend_status(Backend::cuda);
        if (!status.available) { GTEST_SKIP() << "no CUDA: " << status.reason; }
    }
};

template <class Output>
struct Both {
    Output scalar;
    Output cuda;

    explicit Both(const Output& start) : scalar(start), cuda(start) {}
    /// Runs call(back end, output) on both: equal verdicts, and equal outputs where it succeeds.
    template <class Call>
    bool agree(const char* what, const Call& call) {
        const Result<void> expected = call(Backend::scalar, scalar);
        const Result<void> got = call(Backend::cuda, cuda);
        EXPECT_EQ(expected.has_value(), got.has_value())
            << what << ": " << (got.has_value() ? "accepted" : got.error().message);
        if (expected.has_value() && got.has_value()) { EXPECT_EQ(scalar, cuda) << what; }
        return expected.has_value() && !testing::Test::HasFailure();
    }
};

/// Every call on the batch, by the device and by the scalar back end.
template <class T>
void expect_agreement(const PackBatch<T>& batch, WidthRule rule = WidthRule::any) {
    const size_t blocks = batch.counts.size();
    size_t bytes = 0;
    for (size_t b = 0; b < blocks; ++b) { bytes += packed_bytes(batch.counts[b], batch.widths[b]); }
    Both<Bytes> packed{Bytes(bytes)};
    Both<std::vector<T>> values{std::vector<T>(batch.values.size())};
    if (packed.agree("pack", [&](Backend backend, Bytes& out) {
            return pack_blocks<T>(backend, batch.values, batch.counts, batch.widths, out);
        })) {
        values.agree("unpack", [&](Backend backend, std::vector<T>& out) {
            return unpack_blocks<T>(backend, packed.scalar, batch.counts, batch.widths, rule, out);
        });
    }
    for (const ValueCode code :
         {ValueCode::offset, ValueCode::delta, ValueCode::zigzag_delta, ValueCode::gap}) {
        values.agree("encode", [&](Backend backend, std::vector<T>& out) {
            return encode_blocks<T>(backend, code, batch.values, batch.counts, batch.bases, out);
        });
        values.agree("decode", [&](Backend backend, std::vector<T>& out) {
            return decode_blocks<T>(backend, code, batch.values, batch.counts, batch.bases, out);
        });
    }
    Both<std::vector<uint8_t>> widths{std::vector<uint8_t>(blocks)};
    widths.agree("widths", [&](Backend backend, std::vector<uint8_t>& out) {
        return block_widths<T>(backend, batch.values, batch.counts, out);
    });
    Both<std::vector<T>> minima{std::vector<T>(blocks)};
    minima.agree("minima", [&](Backend backend, std::vector<T>& out) {
        return block_minima<T>(backend, batch.values, batch.counts, out);
    });
    Both<std::vector<WidthHistogram>> histograms{std::vector<WidthHistogram>(blocks)};
    histograms.agree("width histograms", [&](Backend backend, std::vector<WidthHistogram>& out) {
        return width_histograms<T>(backend, batch.values, batch.counts, out);
    });
}

template <class T>
void expect_every_width() {
    for (unsigned width = 0; width <= pack_width_max<T>; ++width) {
        SCOPED_TRACE("width " + std::to_string(width));
        std::mt19937_64 random(width);
        expect_agreement<T>(test::ragged_batch<T>(random, width));
        expect_agreement<T>(test::ragged_batch<T>(random, width), WidthRule::least);
    }
}

TEST_F(PackCuda, EveryWidthAndCountAgrees) {
    expect_every_width<uint32_t>();
    expect_every_width<uint64_t>();
}

TEST_F(PackCuda, RefusalsAgree) {
    std::mt19937_64 random(1);
    PackBatch<uint32_t> batch = test::ragged_batch<uint32_t>(random, 13);
    batch.values[batch.values.size() / 2] |= 1u << 13;
    expect_agreement<uint32_t>(batch);
}

TEST_F(PackCuda, MoreThanOneLaunchAgrees) {
    std::mt19937_64 random(2);
    PackBatch<uint64_t> large;
    for (int b = 0; b < 6; ++b) {
        large.add_random(random, pack_block_values_max - static_cast<size_t>(b), 37);
    }
    expect_agreement<uint64_t>(large);
    PackBatch<uint32_t> many;
    for (int b = 0; b < 40'000; ++b) {
        many.add_random(random, random() % 40, static_cast<unsigned>(random() % 33));
    }
    expect_agreement<uint32_t>(many);
}

TEST_F(PackCuda, ByteHistogramsAgree) {
    std::mt19937_64 random(3);
    std::vector<uint32_t> counts;
    Bytes bytes;
    for (int b = 0; b < 20'000; ++b) {
        counts.push_back(b == 7 ? 1'000'000 : static_cast<uint32_t>(random() % 90));
        for (uint32_t i = 0; i < counts.back(); ++i) {
            bytes.push_back(static_cast<uint8_t>(random() % 7 * 31));
        }
    }
    Both<std::vector<ByteHistogram>> histograms{std::vector<ByteHistogram>(counts.size())};
    histograms.agree("byte histograms", [&](Backend backend, std::vector<ByteHistogram>& out) {
        return byte_histograms(backend, bytes, counts, out);
    });
}

TEST_F(PackCuda, ManyThreadsTakeTurns) {
    std::vector<std::jthread> threads;
    for (uint64_t seed = 0; seed < 4; ++seed) {
        threads.emplace_back([seed] {
            std::mt19937_64 random(seed);
            for (unsigned i = 0; i < 10; ++i) {
                expect_agreement<uint32_t>(test::ragged_batch<uint32_t>(random, i * 3));
            }
        });
    }
}

}  // namespace
}  // namespace millrace::kernels
