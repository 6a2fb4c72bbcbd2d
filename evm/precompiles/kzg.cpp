// SPDX-License-Identifier: Apache-2.0
// Owns the precompile KZG point evaluation 0x0a (EIP-4844).

// OpenSSL calls its direct hash functions deprecated; see hashes.cpp.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <array>
#include <optional>

#include "evm/precompiles/detail/bls12_381.hpp"
#include "evm/precompiles/detail/contracts.hpp"
#include "host/base/error.hpp"

namespace millrace::evm::contracts {

namespace {

namespace bls = bls12_381;

constexpr uint64_t price = 50000;
constexpr size_t input_bytes = 192;
constexpr size_t g1_bytes = 48;
constexpr uint8_t kzg_version = 1;
constexpr U256 field_elements_per_blob{4096};
constexpr size_t line_count = 68;

/// [s]G2 of the Ethereum ceremony, compressed: the only point of the trusted setup that the check
/// of one proof needs. A test compares it with the published setup.
constexpr std::array<uint8_t, 96> setup_g2{
    0xb5, 0xbf, 0xd7, 0xdd, 0x8c, 0xde, 0xb1, 0x28, 0x84, 0x3b, 0xc2, 0x87, 0x23, 0x0a, 0xf3, 0x89,
    0x26, 0x18, 0x70, 0x75, 0xcb, 0xfb, 0xef, 0xa8, 0x10, 0x09, 0xa2, 0xce, 0x61, 0x5a, 0xc5, 0x3d,
    0x29, 0x14, 0xe5, 0x87, 0x0c, 0xb4, 0x52, 0xd2, 0xaf, 0xaa, 0xab, 0x24, 0xf3, 0x49, 0x9f, 0x72,
    0x18, 0x5c, 0xbf, 0xee, 0x53, 0x49, 0x27, 0x14, 0x73, 0x44, 0x29, 0xb7, 0xb3, 0x86, 0x08, 0xe2,
    0x39, 0x26, 0xc9, 0x11, 0xcc, 0xec, 0xea, 0xc9, 0xa3, 0x68, 0x51, 0x47, 0x7b, 0xa4, 0xc6, 0x0b,
    0x08, 0x70, 0x41, 0xde, 0x62, 0x10, 0x00, 0xed, 0xc9, 0x8e, 0xda, 0xda, 0x20, 0xc1, 0xde, 0xf2};

using Lines = std::array<blst_fp6, line_count>;

/// What the Miller loop needs of the two fixed points -G2 and [s]G2.
struct FixedLines {
    Lines minus_g2;
    Lines setup;
};

const FixedLines& fixed_lines() noexcept {
    static const FixedLines lines = [] {
        FixedLines r;
        blst_precompute_lines(r.minus_g2.data(), &BLS12_381_NEG_G2);
        blst_p2_affine s_g2;
        const bool good = blst_p2_uncompress(&s_g2, setup_g2.data()) == BLST_SUCCESS;
        MILLRACE_ASSERT(good, "the embedded point of the trusted setup is valid");
        blst_precompute_lines(r.setup.data(), &s_g2);
        return r;
    }();
    return lines;
}

/// A compressed point of the group, infinity allowed.
std::optional<blst_p1_affine> read_g1(const uint8_t* p) noexcept {
    blst_p1_affine point;
    if (blst_p1_uncompress(&point, p) != BLST_SUCCESS) { return std::nullopt; }
    if (!blst_p1_affine_is_inf(&point) && !blst_p1_affine_in_g1(&point)) { return std::nullopt; }
    return point;
}

blst_p1 multiply(const blst_p1_affine& point, const U256& scalar) noexcept {
    blst_p1 from;
    blst_p1_from_affine(&from, &point);
    const blst_scalar s = bls::to_scalar(scalar);
    blst_p1 r;
    blst_p1_mult(&r, &from, s.b, bls::scalar_bits);
    return r;
}

/// Multiplies `f` with the Miller loop of a point and a fixed one; infinity counts as one.
void multiply_miller(blst_fp12& f, const Lines& lines, const blst_p1_affine& p) noexcept {
    if (!blst_p1_affine_is_inf(&p)) {
        blst_fp12 loop;
        blst_miller_loop_lines(&loop, lines.data(), &p);
        blst_fp12_mul(&f, &f, &loop);
    }
}

/// Whether the polynomial behind `commitment` takes the value y at z:
/// e(C - [y]G1, G2) = e(proof, [s - z]G2), rearranged so that both points of G2 are fixed:
/// e(C - [y]G1 + [z]proof, -G2) * e(proof, [s]G2) = 1.
bool is_valid(const blst_p1_affine& commitment, const blst_p1_affine& proof, const U256& z,
              const U256& y) noexcept {
    blst_p1 left = multiply(BLS12_381_NEG_G1, y);
    const blst_p1 shifted = multiply(proof, z);
    blst_p1_add_or_double(&left, &left, &shifted);
    blst_p1_add_or_double_affine(&left, &left, &commitment);
    blst_p1_affine left_affine;
    blst_p1_to_affine(&left_affine, &left);

    const FixedLines& lines = fixed_lines();
    blst_fp12 f = *blst_fp12_one();
    multiply_miller(f, lines.minus_g2, left_affine);
    multiply_miller(f, lines.setup, proof);
    blst_fp12 product;
    blst_final_exp(&product, &f);
    return blst_fp12_is_one(&product);
}

/// Whether the first 32 bytes are the versioned hash of the commitment.
bool is_hash_of(const uint8_t* versioned_hash, const uint8_t* commitment) noexcept {
    Hash256 digest;
    SHA256_CTX state;
    const bool done = SHA256_Init(&state) == 1 &&
                      SHA256_Update(&state, commitment, g1_bytes) == 1 &&
                      SHA256_Final(digest.data(), &state) == 1;
    MILLRACE_ASSERT(done, "SHA-256 over memory does not fail");
    digest[0] = kzg_version;
    return std::memcmp(versioned_hash, digest.data(), digest.size()) == 0;
}

}  // namespace

PrecompileOutcome kzg_point_evaluation(ByteView input, uint64_t gas, Revision) noexcept {
    if (gas < price || input.size() != input_bytes) { return failure(); }
    const U256 z = load_be(input.data() + 32);
    const U256 y = load_be(input.data() + 64);
    const uint8_t* commitment_bytes = input.data() + 96;
    if (!is_hash_of(input.data(), commitment_bytes) || z >= bls::group_order ||
        y >= bls::group_order) {
        return failure();
    }
    const std::optional<blst_p1_affine> commitment = read_g1(commitment_bytes);
    const std::optional<blst_p1_affine> proof = read_g1(commitment_bytes + g1_bytes);
    if (!commitment || !proof || !is_valid(*commitment, *proof, z, y)) { return failure(); }
    Bytes output(64);
    store_be(field_elements_per_blob, output.data());
    store_be(bls::group_order, output.data() + 32);
    return success(price, std::move(output));
}

}  // namespace millrace::evm::contracts
