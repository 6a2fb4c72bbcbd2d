// SPDX-License-Identifier: Apache-2.0
// Owns the tests of batched recovery: every back end gives what libsecp256k1 gives, for random
// jobs, ragged batches, refused values, and points chosen against the lanes' formulas.
#include "kernels/secp256k1/recover_batch.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "host/base/hex.hpp"
#include "kernels/secp256k1/detail/generator_tables.hpp"
#include "kernels/secp256k1/detail/lane_input.hpp"
#include "kernels/secp256k1/detail/recover_words.hpp"
#include "kernels/secp256k1/detail/recover_x8.hpp"
#include "kernels/secp256k1/detail/scalar.hpp"
#include "tests/kernels/secp256k1/reference_recover.hpp"

namespace millrace::kernels {
namespace {

using test::field_prime;
using test::inverse;

const U256 n = secp256k1_order;
const U256 lambda =
    u256_from_hex("0x5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72").value();

Hash256 random_hash(std::mt19937_64& random) {
    return to_hash(U256{random(), random(), random(), random()});
}
U256 random_scalar(std::mt19937_64& random) { return to_u256(random_hash(random)) % n; }

U256 add_n(const U256& a, const U256& b) { return add_mod(a, b, n); }
U256 sub_n(const U256& a, const U256& b) { return add_mod(a, n - b % n, n); }
U256 mul_n(const U256& a, const U256& b) { return mul_mod(a, b, n); }

RecoverJob signed_job(std::mt19937_64& random) {
    const Hash256 digest = random_hash(random);
    const RecoverableSignature s = sign(digest, random_hash(random)).value();
    return {digest, s.r, s.s, s.y_parity};
}

/// The job whose key is u1 G + u2 (k G); r is not above n for any k that a test finds.
RecoverJob job_of(const U256& u1, const U256& u2, const U256& k) {
    const PublicKey point = public_key_of_secret_key(to_hash(k)).value();
    const U256 r = load_be(point.data());
    return {.digest = to_hash(mul_n(sub_n(U256{}, u1), r)),
            .r = r,
            .s = mul_n(u2, r),
            .y_parity = static_cast<uint8_t>(point[63] & 1)};
}

std::vector<Backend> backends() {
    std::vector<Backend> out;
    for (const Backend backend : {Backend::simd, Backend::cuda, Backend::scalar}) {
        if (recover_backend_status(backend).available) { out.push_back(backend); }
    }
    return out;
}

std::string describe(const RecoverJob& job) {
    return "z " + to_hex(job.digest.view()) + ", r " + to_hex_quantity(job.r) + ", s " +
           to_hex_quantity(job.s) + ", parity " + std::to_string(job.y_parity);
}

/// The back ends agree with the single recovery, which is libsecp256k1's, on keys and addresses.
/// The outputs come filled, so that a result that was not written shows.
void expect_agreement(std::span<const RecoverJob> jobs,
                      const std::vector<Backend>& on = backends()) {
    std::vector<std::optional<PublicKey>> expected(jobs.size());
    for (size_t i = 0; i < jobs.size(); ++i) { expected[i] = recover_public_key(jobs[i]); }
    for (const Backend backend : on) {
        PublicKey filler;
        filler.fill(0xee);
        std::vector<std::optional<PublicKey>> keys(jobs.size(), filler);
        std::vector<std::optional<Address>> addresses(jobs.size(), Address{});
        ASSERT_TRUE(recover_public_keys(backend, jobs, keys).has_value());
        ASSERT_TRUE(recover_addresses(backend, jobs, addresses).has_value());
        for (size_t i = 0; i < jobs.size(); ++i) {
            ASSERT_EQ(expected[i], keys[i]) << to_string(backend) << ", job " << i << " of "
                                            << jobs.size() << ": " << describe(jobs[i]);
            const std::optional<Address> address =
                expected[i] ? std::optional(address_of_public_key(*expected[i])) : std::nullopt;
            ASSERT_EQ(address, addresses[i]) << to_string(backend) << ", job " << i;
        }
    }
}

TEST(RecoverBatch, GivesKnownAddresses) {
    const RecoverJob precompile{
        .digest =
            hash_literal("0x18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c"),
        .r = u256_from_hex("0x73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f")
                 .value(),
        .s = u256_from_hex("0xeeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549")
                 .value(),
        .y_parity = 1};
    const RecoverJob eip155{
        .digest =
            hash_literal("0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"),
        .r = u256_from_hex("0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276")
                 .value(),
        .s = u256_from_hex("0x67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83")
                 .value(),
        .y_parity = 0};
    for (const Backend backend : backends()) {
        const std::array<RecoverJob, 3> jobs{precompile, eip155, precompile};
        std::array<std::optional<Address>, 3> addresses;
        ASSERT_TRUE(recover_addresses(backend, jobs, addresses).has_value());
        EXPECT_EQ(address_literal("0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"), addresses[0]);
        EXPECT_EQ(address_literal("0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"), addresses[1]);
        EXPECT_EQ(addresses[0], addresses[2]);
    }
}

TEST(RecoverBatch, AgreesForEverySize) {
    std::mt19937_64 random(20260401);
    std::vector<RecoverJob> jobs;
    for (size_t i = 0; i < 1000; ++i) {
        jobs.push_back(signed_job(random));
        // Refusals of every kind in every lane.
        if (random() % 5 == 0) { jobs.back().r = to_u256(random_hash(random)); }
        if (random() % 7 == 0) { jobs.back().s = random() % 2 == 0 ? U256{} : n; }
        if (random() % 11 == 0) { jobs.back().y_parity = static_cast<uint8_t>(random() % 6); }
    }
    for (const size_t count :
         {0u,   1u,   2u,   3u,   7u,   8u,   9u,   15u,  16u,  17u,  23u,  24u,
          25u,  31u,  32u,  33u,  63u,  64u,  65u,  100u, 127u, 128u, 129u, 255u,
          256u, 257u, 258u, 263u, 264u, 511u, 512u, 513u, 999u, 1000u}) {
        expect_agreement(std::span(jobs).last(count));
        if (HasFatalFailure()) { FAIL() << count << " jobs"; }
    }
}

/// MILLRACE_RECOVER_JOBS sets the number: a million takes about two minutes.
TEST(RecoverBatch, AgreesOnManyRandomJobs) {
    const char* wanted = std::getenv("MILLRACE_RECOVER_JOBS");  // NOLINT: no other thread
    const size_t total = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 100'000;
    constexpr uint64_t seed = 20260402;
    std::mt19937_64 random(seed);
    std::vector<RecoverJob> jobs;
    for (size_t done = 0; done < total; done += jobs.size()) {
        jobs.clear();
        while (jobs.size() < 1000) {
            // Random r and s: the key belongs to nobody, and half of all r have no point.
            RecoverJob job{random_hash(random), to_u256(random_hash(random)),
                           to_u256(random_hash(random)), static_cast<uint8_t>(random() % 2)};
            switch (random() % 32) {
                case 0: job.digest = {}; break;
                case 1: job.digest = to_hash(n + U256{random() % 3} - U256{1}); break;
                case 2: job.digest = to_hash(U256::max() - U256{random() % 3}); break;
                case 3: job.s = U256{random() % 5}; break;
                case 4: job.s = n + U256{2} - U256{random() % 5}; break;
                case 5: job.r = U256{random() % 50}; break;
                case 6: job.r = n + U256{2} - U256{random() % 50}; break;
                case 7: job.r = job.s; break;
                case 8: job.digest = to_hash(job.s); break;
                default: break;
            }
            jobs.push_back(job);
        }
        std::vector<Backend> on = backends();
        // The portable one, which is last, is slow: unless asked for more, it gets every fifth job.
        if (wanted == nullptr && on.size() > 1 && done % 5000 != 0) { on.pop_back(); }
        expect_agreement(jobs, on);
        if (HasFatalFailure()) { FAIL() << "seed " << seed << ", after " << done << " jobs"; }
    }
}

TEST(RecoverBatch, RefusesWhatTheSingleRecoveryRefuses) {
    std::mt19937_64 random(20260403);
    const RecoverJob good = signed_job(random);
    const U256 limits[] = {U256{},
                           U256{1},
                           U256{2},
                           n - U256{1},
                           n,
                           n + U256{1},
                           field_prime - n - U256{1},
                           field_prime - n,
                           field_prime - n + U256{1},
                           field_prime - U256{1},
                           field_prime,
                           field_prime + U256{1},
                           U256::max()};
    std::vector<RecoverJob> jobs;
    for (const U256& limit : limits) {
        // r below p - n could also stand for r + n with the recovery ids 2 and 3; Ethereum has
        // none.
        for (const uint8_t parity : {0, 1, 2, 3, 4, 27, 28, 255}) {
            jobs.push_back({good.digest, limit, good.s, parity});
            jobs.push_back({good.digest, good.r, limit, parity});
            jobs.push_back({good.digest, limit, limit, parity});
            jobs.push_back({to_hash(limit), good.r, good.s, parity});
        }
    }
    expect_agreement(jobs);
    // A good one in each lane among bad ones.
    for (size_t lane = 0; lane < 16; ++lane) {
        std::vector<RecoverJob> mixed(16, RecoverJob{good.digest, U256{}, good.s, 0});
        mixed[lane] = good;
        expect_agreement(mixed);
        for (RecoverJob& job : mixed) { job.r = U256{5}; }  // 5 has no point.
        mixed[lane] = good;
        expect_agreement(mixed);
    }
}

TEST(RecoverBatch, AgreesOnSmallAndExtremeMultiples) {
    std::vector<U256> scalars;
    for (uint64_t i = 0; i <= 33; ++i) {
        scalars.push_back(U256{i});
        scalars.push_back(n - U256{i});
    }
    for (const unsigned bit :
         {5u, 13u, 60u, 64u, 65u, 125u, 126u, 127u, 128u, 129u, 130u, 131u, 255u}) {
        for (uint64_t i = 0; i < 3; ++i) {
            scalars.push_back((shl(U256{1}, bit) + U256{i} - U256{1}) % n);
            scalars.push_back(n - scalars.back());
        }
    }
    for (uint64_t i = 1; i < 4; ++i) {
        scalars.push_back(mul_n(lambda, U256{i}));
        scalars.push_back(mul_n(mul_n(lambda, lambda), U256{i}));
        scalars.push_back(n - scalars.back());
        scalars.push_back(add_n(lambda, U256{i}));
    }
    scalars.push_back(shr(n, 1));
    scalars.push_back(shr(n, 1) + U256{1});
    std::mt19937_64 random(20260404);
    std::vector<RecoverJob> jobs;
    // u1 = j u2 and R = k G, among them results at infinity and u1 G = u2 R.
    for (size_t i = 0; i < scalars.size(); ++i) {
        for (size_t j = 0; j < 12; ++j) {
            const U256 u1 = scalars[i] % n;
            U256 u2 = scalars[random() % scalars.size()] % n;
            U256 k = scalars[random() % scalars.size()] % n;
            if (u2.is_zero()) { u2 = U256{1}; }
            if (k.is_zero()) { k = U256{1}; }
            jobs.push_back(job_of(u1, u2, k));
            // u1 G = -u2 R: infinity, and the other parity gives twice u1 G.
            if (!u1.is_zero()) {
                jobs.push_back(job_of(sub_n(U256{}, mul_n(u2, k)), u2, k));
                jobs.push_back(jobs.back());
                jobs.back().y_parity ^= 1;
            }
        }
    }
    expect_agreement(jobs);
}

/// A point of the chain as (g + r k) G, when R = k G.
struct Linear {
    U256 g;
    U256 r;
};
Linear twice(const Linear& a) { return {add_n(a.g, a.g), add_n(a.r, a.r)}; }
Linear plus(const Linear& a, const Linear& b) { return {add_n(a.g, b.g), add_n(a.r, b.r)}; }

U256 digit(const uint64_t* words, size_t window, unsigned bits, size_t per_word) {
    const uint64_t value =
        words[window / per_word] >> (bits * (window % per_word)) & ((uint64_t{1} << bits) - 1);
    return sub_n(U256{2 * value}, U256{(uint64_t{1} << bits) - 1});
}

/// What the chain of recover_x8 adds, in order: pairs of the sum before and the point added.
std::vector<std::pair<Linear, Linear>> additions(const U256& u1, const U256& u2) {
    const detail::SplitScalar parts = detail::split_scalar(u2);
    uint64_t first[3];
    uint64_t second[3];
    uint64_t generator[5];
    detail::recode_half(parts.first, first);
    detail::recode_half(parts.second, second);
    detail::recode_scalar(u1, generator);
    const auto of_first = [&](size_t w) {
        return Linear{{},
                      digit(first, w, detail::point_window_bits, detail::point_windows_per_word)};
    };
    const auto of_second = [&](size_t w) {
        return Linear{{},
                      mul_n(lambda, digit(second, w, detail::point_window_bits,
                                          detail::point_windows_per_word))};
    };
    const auto of_generator = [&](size_t w, const U256& base) {
        return Linear{mul_n(base, digit(generator, w, detail::generator_window_bits,
                                        detail::generator_windows_per_word)),
                      {}};
    };
    std::vector<std::pair<Linear, Linear>> out;
    Linear sum = of_first(detail::point_windows - 1);
    const auto add = [&](const Linear& point) {
        out.emplace_back(sum, point);
        sum = plus(sum, point);
    };
    add(of_second(detail::point_windows - 1));
    constexpr size_t half = detail::generator_windows / 2;
    for (size_t bit = detail::point_window_bits * (detail::point_windows - 1); bit-- > 0;) {
        sum = twice(sum);
        if (bit % detail::point_window_bits == 0) {
            add(of_first(bit / detail::point_window_bits));
            add(of_second(bit / detail::point_window_bits));
        }
        if (bit % detail::generator_window_bits == 0) {
            add(of_generator(bit / detail::generator_window_bits, U256{1}));
            add(of_generator(half + bit / detail::generator_window_bits, shl(U256{1}, 130)));
        }
    }
    EXPECT_EQ(u1, sum.g);
    EXPECT_EQ(u2, sum.r);
    return out;
}

/// Which of at most eight jobs the chain leaves to an exact implementation, one bit each.
uint8_t exceptional_lanes(std::span<const RecoverJob> jobs) {
    std::array<detail::LaneInput, 1> in;
    std::array<detail::LaneOutput, 1> out;
    detail::fill_lanes(jobs, in.data());
    const auto exceptional = [&] {
        const unsigned lanes = (1u << jobs.size()) - 1;
        return static_cast<uint8_t>(~(out[0].recovered | out[0].no_point) & lanes);
    };
    detail::recover_words(in.data(), jobs.size(), detail::generator_tables(), out.data());
    const uint8_t by_words = exceptional();
#if defined(__x86_64__)
    if (recover_backend_status(Backend::simd).available) {
        detail::recover_x8(
            in.data(), 1, detail::generator_tables(),
            [](const uint64_t* a, uint64_t* r) noexcept {
                const U256 v = inverse(U256{a[3], a[2], a[1], a[0]}, field_prime);
                std::copy_n(v.w, 4, r);
            },
            out.data());
        EXPECT_EQ(by_words, exceptional());
    }
#endif
    return by_words;
}

TEST(RecoverChain, EveryAdditionOfTheChainMayMeetAnEqualOrOppositePoint) {
    std::mt19937_64 random(20260405);
    size_t met = 0;
    for (int round = 0; round < 4; ++round) {
        const U256 u1 = round == 0 ? U256{1} : random_scalar(random);
        const U256 u2 = random_scalar(random);
        for (const auto& [before, added] : additions(u1, u2)) {
            // before.g + before.r k = +-(added.g + added.r k)
            for (const bool opposite : {false, true}) {
                const U256 g = opposite ? add_n(before.g, added.g) : sub_n(before.g, added.g);
                const U256 r = opposite ? add_n(before.r, added.r) : sub_n(before.r, added.r);
                if (g.is_zero() || r.is_zero()) { continue; }  // No R does it.
                const U256 k = mul_n(sub_n(U256{}, g), inverse(r, n));
                std::vector<RecoverJob> jobs{job_of(u1, u2, k)};
                ASSERT_EQ(0x01, exceptional_lanes(jobs)) << "the chain is not as simulated";
                while (jobs.size() < 8) { jobs.push_back(signed_job(random)); }
                ASSERT_EQ(0x01, exceptional_lanes(jobs)) << "another lane was hit";
                std::swap(jobs[0], jobs[random() % 8]);
                expect_agreement(jobs);
                ++met;
            }
        }
        if (HasFatalFailure()) { FAIL() << "round " << round; }
    }
    EXPECT_GT(met, 4u * 2 * 40);
}

TEST(RecoverChain, OrdinaryJobsAreNeverExceptional) {
    std::mt19937_64 random(20260406);
    for (int round = 0; round < 200; ++round) {
        std::vector<RecoverJob> jobs;
        while (jobs.size() < 8) { jobs.push_back(signed_job(random)); }
        if (round % 2 == 0) { jobs[random() % 8].digest = {}; }  // u1 = 0 is not exceptional.
        ASSERT_EQ(0, exceptional_lanes(jobs));
    }
}

TEST(RecoverBatch, FirstUseFromManyThreadsAgrees) {
    std::mt19937_64 random(20260407);
    std::vector<RecoverJob> jobs;
    while (jobs.size() < 24) { jobs.push_back(signed_job(random)); }
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i) {
        threads.emplace_back([&jobs] { expect_agreement(jobs); });
    }
}

TEST(RecoverBatch, RefusesDifferingCountsAndAbsentBackEnds) {
    std::mt19937_64 random(20260408);
    const std::vector<RecoverJob> jobs(3, signed_job(random));
    std::vector<std::optional<Address>> two(2, Address{});
    for (const Backend backend : {Backend::scalar, Backend::simd, Backend::cuda}) {
        const Result<void> result = recover_addresses(backend, jobs, two);
        ASSERT_FALSE(result.has_value());
        EXPECT_EQ(ErrorCode::invalid_input, result.error().code);
        std::vector<std::optional<Address>> three(3, Address{});
        const bool available = recover_backend_status(backend).available;
        const Result<void> equal = recover_addresses(backend, jobs, three);
        EXPECT_EQ(available, equal.has_value());
        if (!available) {
            EXPECT_EQ(ErrorCode::unavailable, equal.error().code);
            EXPECT_EQ(Address{}, three[0]);
        }
    }
    EXPECT_FALSE(recover_backend_status(Backend::cuda).available);
    EXPECT_TRUE(recover_backend_status(fastest_recover_backend()).available);
}

}  // namespace
}  // namespace millrace::kernels
