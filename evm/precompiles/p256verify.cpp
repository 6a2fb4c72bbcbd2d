// SPDX-License-Identifier: Apache-2.0
// Owns the precompile P256VERIFY 0x100: ECDSA over secp256r1 (EIP-7951).
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include <memory>

#include "evm/precompiles/detail/contracts.hpp"
#include "host/base/error.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm::contracts {

namespace {

constexpr uint64_t price = 6900;
constexpr size_t input_bytes = 160;

constexpr U256 curve_prime{0xffffffff00000001, 0x0000000000000000, 0x00000000ffffffff,
                           0xffffffffffffffff};
constexpr U256 curve_order{0xffffffff00000000, 0xffffffffffffffff, 0xbce6faada7179e84,
                           0xf3b9cac2fc632551};

struct Release {
    void operator()(BN_CTX* p) const noexcept { BN_CTX_free(p); }
    void operator()(BIGNUM* p) const noexcept { BN_free(p); }
    void operator()(EC_POINT* p) const noexcept { EC_POINT_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

/// The curve, made once and only read afterwards, which OpenSSL allows from any thread.
const EC_GROUP* curve() noexcept {
    static const EC_GROUP* const group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    MILLRACE_ASSERT(group != nullptr, "OpenSSL knows the curve P-256");
    return group;
}

Owned<BIGNUM> read_number(const uint8_t* p) noexcept {
    Owned<BIGNUM> n(BN_bin2bn(p, 32, nullptr));
    MILLRACE_ASSERT(n != nullptr, "out of memory");
    return n;
}

/// The check itself: with u1 = h/s and u2 = r/s modulo n, the point u1 G + u2 Q is not infinity and
/// its x coordinate is congruent to r modulo n.
bool is_valid(const uint8_t* input) noexcept {
    const U256 r = load_be(input + 32);
    const U256 s = load_be(input + 64);
    const U256 x = load_be(input + 96);
    const U256 y = load_be(input + 128);
    if (r.is_zero() || r >= curve_order || s.is_zero() || s >= curve_order) { return false; }
    // OpenSSL would reduce coordinates; an unreduced one is invalid. (0, 0) stands for infinity,
    // is not on the curve, and so is refused below.
    if (x >= curve_prime || y >= curve_prime) { return false; }
    const EC_GROUP* group = curve();
    const Owned<BN_CTX> scratch(BN_CTX_new());
    const Owned<EC_POINT> key(EC_POINT_new(group));
    const Owned<EC_POINT> sum(EC_POINT_new(group));
    const Owned<BIGNUM> u1(BN_new());
    const Owned<BIGNUM> u2(BN_new());
    const Owned<BIGNUM> found_x(BN_new());
    MILLRACE_ASSERT(scratch && key && sum && u1 && u2 && found_x, "out of memory");
    // OpenSSL refuses a point that is not on the curve, here and nowhere later.
    if (EC_POINT_set_affine_coordinates(group, key.get(), read_number(input + 96).get(),
                                        read_number(input + 128).get(), scratch.get()) != 1) {
        return false;
    }
    const BIGNUM* order = EC_GROUP_get0_order(group);
    const Owned<BIGNUM> s_inverse(
        BN_mod_inverse(nullptr, read_number(input + 64).get(), order, scratch.get()));
    const bool done =
        s_inverse != nullptr &&
        BN_mod_mul(u1.get(), read_number(input).get(), s_inverse.get(), order, scratch.get()) ==
            1 &&
        BN_mod_mul(u2.get(), read_number(input + 32).get(), s_inverse.get(), order,
                   scratch.get()) == 1 &&
        EC_POINT_mul(group, sum.get(), u1.get(), key.get(), u2.get(), scratch.get()) == 1;
    MILLRACE_ASSERT(done, "arithmetic on valid operands does not fail");
    if (EC_POINT_is_at_infinity(group, sum.get()) == 1) { return false; }
    FixedBytes<32> x_bytes;
    const bool read = EC_POINT_get_affine_coordinates(group, sum.get(), found_x.get(), nullptr,
                                                      scratch.get()) == 1 &&
                      BN_bn2binpad(found_x.get(), x_bytes.bytes.data(), 32) == 32;
    MILLRACE_ASSERT(read, "a finite point has coordinates");
    const U256 sum_x = to_u256(x_bytes);
    return (sum_x >= curve_order ? sum_x - curve_order : sum_x) == r;
}

}  // namespace

PrecompileOutcome p256_verify(ByteView input, uint64_t gas, Revision) noexcept {
    if (gas < price) { return failure(); }
    // The contract never fails for what it is given: an invalid input or signature gives no output.
    if (input.size() != input_bytes || !is_valid(input.data())) { return success(price, {}); }
    return success(price, truth_word(true));
}

}  // namespace millrace::evm::contracts
