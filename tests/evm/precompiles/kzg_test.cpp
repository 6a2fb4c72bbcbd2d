// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the precompile KZG point evaluation. Commitments and proofs are made from the
// published trusted setup, which the precompile itself never reads.
#include <blst.h>
#include <openssl/evp.h>

#include <fstream>
#include <vector>

#include "evm/precompiles/detail/bls12_381.hpp"
#include "tests/evm/precompiles/calling.hpp"

namespace millrace::evm {
namespace {

using namespace test;

constexpr unsigned point_evaluation = 0x0a;
constexpr uint64_t price = 50000;
constexpr size_t degree_max = 5;
const U256 order = bls12_381::group_order;
const Bytes verified = join(word(U256{4096}), word(order));

/// [1]G1, [s]G1, [s^2]G1, .. of the setup file: 4096 Lagrange points, 65 points of G2, then these.
std::vector<blst_p1_affine> setup_powers() {
    std::ifstream file(MILLRACE_KZG_SETUP);
    std::string line;
    for (int skipped = 0; skipped < 2 + 4096 + 65; ++skipped) { std::getline(file, line); }
    std::vector<blst_p1_affine> powers;
    while (powers.size() <= degree_max && std::getline(file, line)) {
        blst_p1_affine point;
        if (blst_p1_uncompress(&point, bytes(line).data()) != BLST_SUCCESS) { break; }
        powers.push_back(point);
    }
    return powers;
}

using Polynomial = std::vector<U256>;

U256 evaluate(const Polynomial& p, const U256& z) {
    U256 r;
    for (size_t i = p.size(); i-- > 0;) { r = add_mod(mul_mod(r, z, order), p[i], order); }
    return r;
}

/// (p(X) - p(z)) / (X - z).
Polynomial quotient(const Polynomial& p, const U256& z) {
    Polynomial q(p.size() - 1);
    U256 carry;
    for (size_t i = p.size() - 1; i > 0; --i) {
        carry = add_mod(mul_mod(carry, z, order), p[i], order);
        q[i - 1] = carry;
    }
    return q;
}

Bytes commit(const Polynomial& p) {
    static const std::vector<blst_p1_affine> powers = setup_powers();
    EXPECT_EQ(degree_max + 1, powers.size()) << "trusted setup at " << MILLRACE_KZG_SETUP;
    blst_p1 sum{};
    for (size_t i = 0; i < p.size() && i < powers.size(); ++i) {
        blst_p1 term;
        blst_p1_from_affine(&term, &powers[i]);
        blst_p1_mult(&term, &term, bls12_381::to_scalar(p[i]).b, 255);
        blst_p1_add_or_double(&sum, &sum, &term);
    }
    Bytes r(48);
    blst_p1_compress(r.data(), &sum);
    return r;
}

Bytes versioned_hash(const Bytes& commitment) {
    Bytes digest(32);
    EVP_Digest(commitment.data(), commitment.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
    digest[0] = 1;
    return digest;
}

Bytes input_of(const U256& z, const U256& y, const Bytes& commitment, const Bytes& proof) {
    return join(versioned_hash(commitment), word(z), word(y), commitment, proof);
}

Polynomial random_polynomial(Random& random, size_t degree) {
    Polynomial p(degree + 1);
    for (U256& coefficient : p) { coefficient = random.edgy_u256() % order; }
    return p;
}

TEST(KzgPointEvaluation, AcceptsTrueEvaluations) {
    Random random(4844);
    SCOPED_TRACE(random.text());
    for (size_t degree = 1; degree <= degree_max; ++degree) {
        const Polynomial p = random_polynomial(random, degree);
        for (const U256& z : {U256{}, U256{1}, order - U256{1}, random.u256() % order}) {
            expect_result(point_evaluation,
                          input_of(z, evaluate(p, z), commit(p), commit(quotient(p, z))), verified,
                          price, Revision::cancun);
        }
    }
}

TEST(KzgPointEvaluation, RefusesFalseEvaluations) {
    Random random(4845);
    SCOPED_TRACE(random.text());
    const Polynomial p = random_polynomial(random, degree_max);
    const U256 z = random.u256() % order;
    const U256 y = evaluate(p, z);
    const Bytes commitment = commit(p);
    const Bytes proof = commit(quotient(p, z));
    ASSERT_TRUE(call(point_evaluation, input_of(z, y, commitment, proof)).success);
    const U256 other = add_mod(y, U256{1}, order);
    expect_failure(point_evaluation, input_of(z, other, commitment, proof));
    expect_failure(point_evaluation, input_of(other, y, commitment, proof));
    expect_failure(point_evaluation, input_of(z, y, proof, proof));
    expect_failure(point_evaluation, input_of(z, y, commitment, commitment));
    Bytes infinity(48);
    infinity[0] = 0xc0;
    expect_failure(point_evaluation, input_of(z, y, commitment, infinity));
    expect_failure(point_evaluation, input_of(z, y, infinity, proof));
}

TEST(KzgPointEvaluation, AcceptsConstantsWithAProofAtInfinity) {
    Bytes infinity(48);
    infinity[0] = 0xc0;
    const U256 c{12345};
    expect_result(point_evaluation, input_of(U256{7}, c, commit({c}), infinity), verified, price);
    expect_result(point_evaluation, input_of(U256{7}, U256{}, infinity, infinity), verified, price);
    expect_failure(point_evaluation, input_of(U256{7}, U256{1}, infinity, infinity));
}

TEST(KzgPointEvaluation, RefusesMalformedInput) {
    Bytes infinity(48);
    infinity[0] = 0xc0;
    const Bytes good = input_of(U256{7}, U256{}, infinity, infinity);
    ASSERT_TRUE(call(point_evaluation, good).success);
    expect_failure(point_evaluation, {});
    expect_failure(point_evaluation, Bytes(good.begin(), good.end() - 1));
    expect_failure(point_evaluation, join(good, Bytes{0}));
    // Numbers that are not below the order, although congruent to valid ones.
    expect_failure(point_evaluation, input_of(order, U256{}, infinity, infinity));
    expect_failure(point_evaluation, input_of(U256{7}, order, infinity, infinity));
    expect_failure(point_evaluation, input_of(U256::max(), U256{}, infinity, infinity));
    // Each byte of the versioned hash counts, the version included.
    for (const size_t at : {0, 1, 31}) {
        Bytes bad = good;
        bad[at] ^= 1;
        expect_failure(point_evaluation, bad);
    }
    // Encodings: no compression flag, infinity with a value, x not below the prime, x of no point.
    for (const uint8_t first : {0x00, 0x40, 0xe0, 0xc1, 0x9f}) {
        Bytes bad(48, first == 0x9f ? 0xff : 0x00);
        bad[0] = first;
        expect_failure(point_evaluation, input_of(U256{7}, U256{}, bad, infinity));
        expect_failure(point_evaluation, input_of(U256{7}, U256{}, infinity, bad));
    }
}

TEST(KzgPointEvaluation, RefusesPointsOutsideTheGroup) {
    Bytes infinity(48);
    infinity[0] = 0xc0;
    int found = 0;
    for (uint8_t x = 1; x < 60; ++x) {
        Bytes candidate(48);
        candidate[0] = 0x80;
        candidate[47] = x;
        blst_p1_affine point;
        if (blst_p1_uncompress(&point, candidate.data()) == BLST_SUCCESS &&
            !blst_p1_affine_in_g1(&point)) {
            ++found;
            expect_failure(point_evaluation, input_of(U256{7}, U256{}, candidate, infinity));
            expect_failure(point_evaluation, input_of(U256{7}, U256{}, infinity, candidate));
        }
    }
    EXPECT_GT(found, 5);
}

}  // namespace
}  // namespace millrace::evm
