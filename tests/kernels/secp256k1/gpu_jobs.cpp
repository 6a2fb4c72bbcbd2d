// SPDX-License-Identifier: Apache-2.0
// Owns how the jobs of gpu_jobs.hpp are made.
#include "tests/kernels/secp256k1/gpu_jobs.hpp"

#include <optional>
#include <random>

#include "tests/kernels/secp256k1/reference_recover.hpp"

namespace millrace::test {

namespace {

using kernels::PublicKey;
using kernels::RecoverableSignature;
using kernels::RecoverJob;
using kernels::secp256k1_order;

constexpr U256 lambda{0x5363ad4cc05c30e0, 0xa5261c028812645a, 0x122e22ea20816678,
                      0xdf02967c1b23bd72};

Hash256 random_hash(std::mt19937_64& random) {
    return to_hash(U256{random(), random(), random(), random()});
}
U256 mul_n(const U256& a, const U256& b) { return mul_mod(a, b, secp256k1_order); }
U256 add_n(const U256& a, const U256& b) { return add_mod(a, b, secp256k1_order); }
U256 minus_n(const U256& a) { return (secp256k1_order - a % secp256k1_order) % secp256k1_order; }

/// The job whose factors are u1 and u2 of the point k G.
RecoverJob job_of_factors(const U256& k, const U256& u1, const U256& u2) {
    const PublicKey point = kernels::public_key_of_secret_key(to_hash(k)).value();
    const U256 r = load_be(point.data());
    return {.digest = to_hash(mul_n(minus_n(u1), r)),
            .r = r,
            .s = mul_n(u2, r),
            .y_parity = static_cast<uint8_t>(point[63] & 1)};
}

void add_borders(std::vector<RecoverJob>& jobs) {
    const U256 n = secp256k1_order;
    const U256 one{1};
    // x from p - n on could not be r + n; below it could, and is still not taken.
    const U256 gap = field_prime - n;
    const std::vector<U256> rs{
        U256{},      one, U256{2}, U256{5},           gap - one,   gap,         gap + one,  n - one,
        n - U256{2}, n,   n + one, field_prime - one, field_prime, U256::max(), generator_x};
    const std::vector<U256> ss{U256{}, one, n >> 1, n - one, n, n + one, U256::max()};
    const std::vector<U256> zs{U256{}, one, n - one, n, n + one, field_prime, U256::max()};
    for (const U256& r : rs) {
        for (const U256& s : ss) {
            for (const U256& z : zs) {
                for (const uint8_t parity : {0, 1}) {
                    jobs.push_back({.digest = to_hash(z), .r = r, .s = s, .y_parity = parity});
                }
            }
        }
        for (const uint8_t parity : {2, 3, 4, 27, 255}) {
            jobs.push_back({.digest = to_hash(one), .r = r, .s = one, .y_parity = parity});
        }
    }
}

void add_collisions(std::vector<RecoverJob>& jobs) {
    const U256 n = secp256k1_order;
    std::mt19937_64 random(20260301);
    // R = k G, so that u2 R meets the partial sums of u1 G: first at a low digit (8191 and 8193 are
    // -1 and 1 with a carry), then at any higher one, then at the end (u1 = +-u2 k).
    for (uint64_t k = 1; k <= 12; ++k) {
        for (const U256& u2 : {U256{1}, U256{2}, U256{3}, n - U256{1}, n - U256{2}}) {
            const U256 met = mul_n(u2, U256{k});
            for (const U256& u1 : {met, minus_n(met), U256{8191}, U256{8193}, U256{0}, n - U256{1},
                                   add_n(met, U256{8192}), add_n(minus_n(met), U256{8192})}) {
                jobs.push_back(job_of_factors(U256{k}, u1, u2));
            }
        }
    }
    for (int window = 0; window < 20; ++window) {
        for (uint64_t digit = 1; digit <= 5; digit += 2) {
            U256 power{1};
            for (int i = 0; i < 13 * window; ++i) { power = add_n(power, power); }
            const U256 entry = mul_n(U256{digit}, power);
            for (const U256& u1 : {entry, minus_n(entry), add_n(entry, entry)}) {
                jobs.push_back(job_of_factors(entry, u1, U256{1}));
                jobs.push_back(job_of_factors(entry, u1, n - U256{1}));
            }
        }
    }
    for (int i = 0; i < 50; ++i) {
        const U256 k = to_u256(random_hash(random)) % n;
        const U256 u2 = to_u256(random_hash(random)) % n;
        if (k.is_zero() || u2.is_zero()) { continue; }
        jobs.push_back(job_of_factors(k, minus_n(mul_n(u2, k)), u2));  // infinity
        jobs.push_back(job_of_factors(k, mul_n(u2, k), u2));           // twice the point
        jobs.push_back(job_of_factors(k, U256{}, u2));
    }
}

void add_split_extremes(std::vector<RecoverJob>& jobs) {
    // u2 = x + y lambda for small x and y: zero halves, and sums that meet table entries.
    const U256 k{0x123456789abcdef};
    for (uint64_t x = 0; x <= 32; ++x) {
        for (uint64_t y = 0; y <= 64; y += x == 0 ? 1 : 7) {
            const U256 second = mul_n(U256{y}, lambda);
            for (const U256& u2 : {add_n(U256{x}, second), add_n(minus_n(U256{x}), second),
                                   add_n(U256{x}, minus_n(second))}) {
                if (!u2.is_zero()) { jobs.push_back(job_of_factors(k, U256{x + y}, u2)); }
            }
        }
    }
}

}  // namespace

std::vector<RecoverJob> random_jobs(size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<RecoverJob> jobs(count);
    for (RecoverJob& job : jobs) {
        job = {.digest = random_hash(random),
               .r = to_u256(random_hash(random)),
               .s = to_u256(random_hash(random)),
               .y_parity = static_cast<uint8_t>(random() % 2)};
    }
    return jobs;
}

std::vector<RecoverJob> signed_jobs(size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<RecoverJob> jobs;
    while (jobs.size() < count) {
        const Hash256 digest = random_hash(random);
        const std::optional<RecoverableSignature> signature =
            kernels::sign(digest, random_hash(random));
        if (!signature) { continue; }
        RecoverJob job{digest, signature->r, signature->s, signature->y_parity};
        if (jobs.size() % 3 == 0) {
            job.s = secp256k1_order - job.s;
            job.y_parity ^= 1;
        }
        jobs.push_back(job);
    }
    return jobs;
}

std::vector<RecoverJob> adversarial_jobs() {
    std::vector<RecoverJob> jobs;
    add_borders(jobs);
    add_collisions(jobs);
    add_split_extremes(jobs);
    return jobs;
}

}  // namespace millrace::test
