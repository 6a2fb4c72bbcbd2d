// SPDX-License-Identifier: Apache-2.0
// Owns the checks of staging that the CUDA back end of every hash function must pass.
#pragma once

#include <random>
#include <thread>
#include <vector>

#include "tests/kernels/batch/batch_checks.hpp"

namespace millrace::test {

inline std::vector<Bytes> random_messages(std::mt19937_64& random, size_t count, size_t bytes_max) {
    std::vector<Bytes> messages(count);
    for (Bytes& message : messages) {
        message.assign(random() % (bytes_max + 1), uint8_t(random()));
    }
    return messages;
}

inline void check_many_launches(const HashUnderTest& hash) {
    std::mt19937_64 random(2);
    // More messages than a launch takes, then more bytes.
    expect_reference_digests(hash, kernels::Backend::cuda, random_messages(random, 600'000, 80));
    expect_reference_digests(hash, kernels::Backend::cuda, random_messages(random, 3'000, 60'000));
    expect_reference_digests(hash, kernels::Backend::cuda, random_messages(random, 90'000, 1024));
}

inline void check_too_long_for_staging(const HashUnderTest& hash) {
    std::mt19937_64 random(3);
    std::vector<Bytes> messages = random_messages(random, 10, 100);
    messages.emplace_back(33u << 20, uint8_t{7});
    messages.emplace_back(64, uint8_t{9});
    expect_reference_digests(hash, kernels::Backend::cuda, messages);
}

inline void check_many_threads(const HashUnderTest& hash) {
    std::vector<std::jthread> threads;
    for (uint64_t seed = 0; seed < 4; ++seed) {
        threads.emplace_back([&hash, seed] {
            std::mt19937_64 random(seed);
            for (int i = 0; i < 10; ++i) {
                expect_reference_digests(hash, kernels::Backend::cuda,
                                         random_messages(random, 500, 200));
            }
        });
    }
}

}  // namespace millrace::test
