// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the one-message Keccak-256, in every implementation that this CPU runs, and of
// the reference that all of them are held against.
#include "kernels/keccak/keccak.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include "host/base/hex.hpp"
#include "kernels/keccak/detail/one_message.hpp"
#include "tests/kernels/keccak/reference_keccak.hpp"

namespace millrace::kernels {
namespace {

using detail::keccak256_path;
using detail::keccak256_paths;
using detail::keccak256_use;
using detail::Keccak256Path;
using test::reference_keccak256;
using test::test_message;

/// Makes the process hash by `path` while it lives.
class Forced {
public:
    explicit Forced(const Keccak256Path& path) : before_(keccak256_path()) { keccak256_use(path); }
    ~Forced() { keccak256_use(before_); }
    Forced(const Forced&) = delete;
    Forced& operator=(const Forced&) = delete;

private:
    const Keccak256Path& before_;
};

/// The last `size` bytes before a page that may not be read.
class GuardedBytes {
public:
    GuardedBytes() : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
        void* const at =
            mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) { return; }
        base_ = static_cast<uint8_t*>(at);
        guarded_ = mprotect(base_ + page_, page_, PROT_NONE) == 0;
    }
    ~GuardedBytes() {
        if (base_ != nullptr) { munmap(base_, 2 * page_); }
    }
    GuardedBytes(const GuardedBytes&) = delete;
    GuardedBytes& operator=(const GuardedBytes&) = delete;

    bool guarded() const { return guarded_; }
    ByteView put(ByteView message) {
        uint8_t* const at = base_ + page_ - message.size();
        std::copy(message.begin(), message.end(), at);
        return {at, message.size()};
    }

private:
    size_t page_;
    uint8_t* base_ = nullptr;
    bool guarded_ = false;
};

std::string hash_text(std::string_view text) { return to_hex(keccak256(as_bytes(text))); }

TEST(ReferenceKeccak, WithTheSha3SuffixIsOpenSslsSha3) {
    for (const size_t size : {0u, 1u, 55u, 135u, 136u, 137u, 271u, 272u, 273u, 1000u}) {
        const Bytes message = test_message(size);
        Hash256 expected;
        unsigned written = 0;
        ASSERT_EQ(1, EVP_Digest(message.data(), message.size(), expected.data(), &written,
                                EVP_sha3_256(), nullptr));
        ASSERT_EQ(32u, written);
        EXPECT_EQ(expected, reference_keccak256(message, 0x06)) << size << " bytes";
    }
}

TEST(Keccak256, GivesThePublishedDigests) {
    EXPECT_EQ("0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470", hash_text(""));
    EXPECT_EQ("0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
              hash_text("abc"));
    EXPECT_EQ("0x1c8aff950685c2ed4bc3174f3472287b56d9517b9c948127319a09a7a36deac8",
              hash_text("hello"));
    EXPECT_EQ("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
              hash_text("Transfer(address,address,uint256)"));
    EXPECT_EQ("0xa9059cbb", hash_text("transfer(address,uint256)").substr(0, 10));
    EXPECT_EQ("0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
              hash_text("\x80"));
}

TEST(Keccak256, OfEmptyIsTheConstant) { EXPECT_EQ(keccak256_of_empty, keccak256({})); }

TEST(Keccak256, AgreesWithTheReferenceOnEveryLengthTo300) {
    for (size_t size = 0; size <= 300; ++size) {
        const Bytes message = test_message(size);
        EXPECT_EQ(reference_keccak256(message), keccak256(message)) << size << " bytes";
    }
}

TEST(Keccak256, AgreesWithTheReferenceOnLongMessages) {
    for (const size_t size : {407u, 408u, 409u, 1359u, 1360u, 1361u, 24576u}) {
        const Bytes message = test_message(size);
        EXPECT_EQ(reference_keccak256(message), keccak256(message)) << size << " bytes";
    }
}

TEST(Keccak256, FixedLengthPathsAgreeAtAnyAlignment) {
    const Bytes bytes = test_message(80);
    for (size_t offset = 0; offset < 16; ++offset) {
        const ByteView view = ByteView(bytes).subspan(offset, 64);
        EXPECT_EQ(reference_keccak256(view.first(32)), keccak256_32(view.data()));
        EXPECT_EQ(reference_keccak256(view), keccak256_64(view.data()));
        EXPECT_EQ(keccak256_64(view.data()), keccak256(view));
    }
}

TEST(Keccak256, TakesMessagesAtTheEndOfTheirBuffer) {
    // The address sanitizer sees a read past the exact allocation.
    for (const size_t size : {1u, 7u, 8u, 9u, 31u, 32u, 33u, 64u, 135u, 136u, 137u}) {
        const Bytes message = test_message(size);
        const auto exact = std::make_unique<uint8_t[]>(size);
        std::copy(message.begin(), message.end(), exact.get());
        EXPECT_EQ(keccak256(message), keccak256({exact.get(), size}));
    }
}

TEST(Keccak256Paths, AreDistinctAndEndWithThePortableOne) {
    std::set<std::string_view> names;
    for (const Keccak256Path* path : keccak256_paths()) { names.insert(path->name); }
    EXPECT_EQ(keccak256_paths().size(), names.size());
    EXPECT_EQ(std::string_view("portable"), keccak256_paths().back()->name);
#if defined(__x86_64__)
    EXPECT_EQ(__builtin_cpu_supports("bmi2") != 0 && __builtin_cpu_supports("bmi") != 0,
              names.contains("BMI2"));
    EXPECT_EQ(__builtin_cpu_supports("avx512vbmi") != 0 && __builtin_cpu_supports("avx512vl") != 0,
              names.contains("AVX-512"));
#endif
}

TEST(Keccak256Paths, TheFirstOneIsInUseUntilAnotherIsForced) {
    EXPECT_EQ(keccak256_paths().front(), &keccak256_path());
    {
        const Forced forced(*keccak256_paths().back());
        EXPECT_EQ(keccak256_paths().back(), &keccak256_path());
    }
    EXPECT_EQ(keccak256_paths().front(), &keccak256_path());
}

TEST(Keccak256Paths, EachAgreesWithTheReferenceOnEveryLengthTo300) {
    for (size_t size = 0; size <= 300; ++size) {
        const Bytes message = test_message(size, 7);
        const Hash256 expected = reference_keccak256(message);
        for (const Keccak256Path* path : keccak256_paths()) {
            Hash256 digest;
            path->of_any(message.data(), size, digest.data());
            EXPECT_EQ(expected, digest) << path->name << ", " << size << " bytes";
            const Forced forced(*path);
            EXPECT_EQ(expected, keccak256(message)) << path->name << ", " << size << " bytes";
        }
    }
}

TEST(Keccak256Paths, EachAgreesWithTheReferenceOnFixedLengthsAndLongMessages) {
    for (const Keccak256Path* path : keccak256_paths()) {
        const Forced forced(*path);
        for (uint64_t seed = 0; seed < 50; ++seed) {
            const Bytes message = test_message(64, seed);
            const ByteView view(message);
            EXPECT_EQ(reference_keccak256(view.first(32)), keccak256_32(view.data())) << path->name;
            EXPECT_EQ(reference_keccak256(view), keccak256_64(view.data())) << path->name;
        }
        for (const size_t size : {407u, 408u, 409u, 1359u, 1360u, 1361u, 24576u}) {
            const Bytes message = test_message(size);
            EXPECT_EQ(reference_keccak256(message), keccak256(message))
                << path->name << ", " << size << " bytes";
        }
    }
}

TEST(Keccak256Paths, ChainsOfDigestsEndEqual) {
    // Digests are fed back, so that one wrong bit of any of 20,000 permutations shows.
    std::vector<Hash256> ends;
    for (const Keccak256Path* path : keccak256_paths()) {
        const Forced forced(*path);
        uint8_t block[64] = {};
        for (size_t i = 0; i < 10'000; ++i) {
            const Hash256 low = keccak256_64(block);
            const Hash256 high = keccak256_32(low.data());
            std::memcpy(block + 32 * (i % 2), high.data(), high.size());
        }
        ends.push_back(keccak256_64(block));
    }
    for (const Hash256& end : ends) { EXPECT_EQ(ends.back(), end); }
}

TEST(Keccak256Paths, EachReadsNothingPastTheMessage) {
    GuardedBytes guarded;
    ASSERT_TRUE(guarded.guarded());
    for (size_t size = 0; size <= 300; ++size) {
        const Bytes message = test_message(size, 11);
        const Hash256 expected = reference_keccak256(message);
        const ByteView view = guarded.put(message);
        for (const Keccak256Path* path : keccak256_paths()) {
            const Forced forced(*path);
            EXPECT_EQ(expected, keccak256(view)) << path->name << ", " << size << " bytes";
        }
    }
}

TEST(Keccak256Paths, EachWritesOnlyTheDigestAtAnyAlignment) {
    const Bytes message = test_message(200, 3);
    for (const Keccak256Path* path : keccak256_paths()) {
        for (const size_t size : {32u, 64u, 200u}) {
            const Hash256 expected = reference_keccak256(ByteView(message).first(size));
            for (size_t offset = 1; offset <= 16; ++offset) {
                Bytes out(64, 0xee);
                uint8_t* const at = out.data() + offset;
                if (size == 32) { path->of_32(message.data(), at); }
                if (size == 64) { path->of_64(message.data(), at); }
                if (size == 200) { path->of_any(message.data(), size, at); }
                EXPECT_TRUE(std::equal(at, at + 32, expected.begin())) << path->name;
                const auto untouched = [](uint8_t byte) { return byte == 0xee; };
                EXPECT_TRUE(std::all_of(out.data(), at, untouched)) << path->name;
                EXPECT_TRUE(std::all_of(at + 32, out.data() + out.size(), untouched)) << path->name;
            }
        }
    }
}

TEST(Keccak256Paths, CanBeForcedWhileOtherThreadsHash) {
    const Bytes message = test_message(100, 5);
    const Hash256 expected = reference_keccak256(message);
    std::vector<size_t> wrong(2);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < wrong.size(); ++i) {
        threads.emplace_back([&, i] {
            for (size_t n = 0; n < 5'000; ++n) { wrong[i] += keccak256(message) != expected; }
        });
    }
    for (size_t n = 0; n < 500; ++n) {
        keccak256_use(*keccak256_paths()[n % keccak256_paths().size()]);
    }
    for (std::thread& thread : threads) { thread.join(); }
    keccak256_use(*keccak256_paths().front());
    EXPECT_EQ(std::vector<size_t>(2), wrong);
}

}  // namespace
}  // namespace millrace::kernels
