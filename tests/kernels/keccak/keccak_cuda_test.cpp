// SPDX-License-Identifier: Apache-2.0
// Owns the tests of Keccak on a CUDA device; without one they skip with the back end's reason.
#include "kernels/keccak/keccak_batch.hpp"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "kernels/keccak/keccak.hpp"

namespace millrace::kernels {
namespace {

class KeccakCuda : public testing::Test {
protected:
    void SetUp() override {
        const BackendStatus status = keccak_backend_status(Backend::cuda);
        if (!status.available) { GTEST_SKIP() << "no CUDA: " << status.reason; }
    }

    static void expect_agreement(const std::vector<Bytes>& messages) {
        const std::vector<ByteView> views(messages.begin(), messages.end());
        std::vector<Hash256> digests(views.size());
        const Result<void> hashed = keccak256_batch(Backend::cuda, views, digests);
        ASSERT_TRUE(hashed.has_value()) << hashed.error().message;
        for (size_t i = 0; i < views.size(); ++i) {
            ASSERT_EQ(keccak256(views[i]), digests[i])
                << "message " << i << ", " << views[i].size() << " bytes";
        }
    }

    static std::vector<Bytes> random_messages(std::mt19937_64& random, size_t count, size_t max) {
        std::vector<Bytes> messages(count);
        for (Bytes& message : messages) {
            message.resize(random() % (max + 1));
            for (uint8_t& byte : message) { byte = static_cast<uint8_t>(random()); }
        }
        return messages;
    }
};

TEST_F(KeccakCuda, EveryLengthTo300Agrees) {
    std::vector<Bytes> messages;
    for (size_t size = 0; size <= 300; ++size) { messages.emplace_back(size, uint8_t(size * 31)); }
    expect_agreement(messages);
}

TEST_F(KeccakCuda, RaggedCountsAgree) {
    std::mt19937_64 random(1);
    for (const size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 32u, 33u, 127u, 128u, 129u, 1000u}) {
        expect_agreement(random_messages(random, count, 300));
    }
}

TEST_F(KeccakCuda, MoreThanOneLaunchAgrees) {
    std::mt19937_64 random(2);
    expect_agreement(random_messages(random, 600'000, 80));    // more messages than a launch takes
    expect_agreement(random_messages(random, 3'000, 60'000));  // more bytes than a launch takes
}

TEST_F(KeccakCuda, AMessageTooLongForStagingAgrees) {
    std::mt19937_64 random(3);
    std::vector<Bytes> messages = random_messages(random, 10, 100);
    messages.emplace_back(33u << 20, uint8_t{7});
    messages.emplace_back(64, uint8_t{9});
    expect_agreement(messages);
}

TEST_F(KeccakCuda, ManyThreadsTakeTurns) {
    std::vector<std::jthread> threads;
    for (uint64_t seed = 0; seed < 4; ++seed) {
        threads.emplace_back([seed] {
            std::mt19937_64 random(seed);
            for (int i = 0; i < 10; ++i) { expect_agreement(random_messages(random, 500, 200)); }
        });
    }
}

}  // namespace
}  // namespace millrace::kernels
