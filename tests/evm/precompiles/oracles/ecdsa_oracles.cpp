// SPDX-License-Identifier: Apache-2.0
// Owns the oracles of ECRECOVER and P256VERIFY.

// The check of a signature over a digest without a provider is called deprecated; as an oracle it
// is the shortest way that shares nothing with the contract's own arithmetic.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>

#include <memory>

#include "host/base/hex.hpp"
#include "kernels/secp256k1/recover.hpp"
#include "tests/evm/precompiles/oracles/oracles.hpp"
#include "tests/evm/precompiles/oracles/prime_curve.hpp"

namespace millrace::evm::oracles {

namespace {

struct Release {
    void operator()(BN_CTX* p) const noexcept { BN_CTX_free(p); }
    void operator()(BIGNUM* p) const noexcept { BN_free(p); }
    void operator()(EC_KEY* p) const noexcept { EC_KEY_free(p); }
    void operator()(EC_POINT* p) const noexcept { EC_POINT_free(p); }
    void operator()(ECDSA_SIG* p) const noexcept { ECDSA_SIG_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

Owned<BIGNUM> number(const U256& v) {
    return Owned<BIGNUM>(BN_bin2bn(word(v).data(), 32, nullptr));
}

/// v^-1 modulo a prime that does not divide it.
U256 inverse(const U256& v, const U256& modulus) {
    const Owned<BN_CTX> scratch(BN_CTX_new());
    const Owned<BIGNUM> r(
        BN_mod_inverse(nullptr, number(v).get(), number(modulus).get(), scratch.get()));
    Bytes bytes(32);
    BN_bn2binpad(r.get(), bytes.data(), 32);
    return load_be(bytes.data());
}

const PrimeCurve& secp256k1() {
    static const PrimeCurve curve{
        *from_hex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"), 7,
        kernels::secp256k1_order};
    return curve;
}

/// The key that made the signature (SEC 1, 4.1.6): r^-1 (s R - z G). All zeros when there is none.
Bytes recovered_key(const U256& digest, const U256& r, const U256& s, bool odd) {
    static const Bytes generator =
        *from_hex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
                  "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8");
    const PrimeCurve& curve = secp256k1();
    const U256& order = curve.order();
    if (r.is_zero() || r >= order || s.is_zero() || s >= order) { return Bytes(64); }
    const std::optional<Bytes> nonce = curve.point_at(word(r), odd);
    if (!nonce) { return Bytes(64); }
    const U256 r_inverse = inverse(r, order);
    const U256 minus_z = (order - digest % order) % order;
    return curve.add(curve.multiply(*nonce, mul_mod(s, r_inverse, order)),
                     curve.multiply(generator, mul_mod(minus_z, r_inverse, order)));
}

}  // namespace

void ecrecover(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::frontier);
    const U256& order = kernels::secp256k1_order;
    U256 digest = draw_u256(choices, order);
    U256 r = draw_u256(choices, order);
    U256 s = draw_u256(choices, order);
    U256 v{27 + choices.below(2)};
    std::optional<Address> signer;
    if (!choices.one_in(3)) {
        const Hash256 key = Hash256::from(word(draw_u256(choices, order)));
        if (const auto signature = kernels::sign(Hash256::from(word(digest)), key)) {
            signer = kernels::address_of_secret_key(key);
            // The mirrored signature has the same signer.
            const bool mirrored = choices.one_in(2);
            r = signature->r;
            s = mirrored ? order - signature->s : signature->s;
            v = U256{27u + (signature->y_parity ^ (mirrored ? 1u : 0u))};
        }
    } else if (choices.one_in(3)) {
        // s R = z G: the key is infinity. Here R = G.
        r = load_be(
            from_hex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")->data());
        v = U256{27};
        if (choices.one_in(2)) { digest = s; }
    }
    bool changed = choices.one_in(12);
    if (changed) { v = draw_u256(choices, U256{27}); }
    Bytes input = join(word(digest), word(v), word(r), word(s));
    changed |= spoil(choices, input);
    const Bytes seen = part(input, 0, 128);
    const U256 seen_v = load_be(seen.data() + 32);
    Answer expected{true, 3000, {}};
    if (seen_v == U256{27} || seen_v == U256{28}) {
        const Bytes key = recovered_key(load_be(seen.data()), load_be(seen.data() + 64),
                                        load_be(seen.data() + 96), seen_v == U256{28});
        if (key != Bytes(64)) {
            kernels::PublicKey public_key{};
            std::copy(key.begin(), key.end(), public_key.begin());
            expected.output = join(Bytes(12), kernels::address_of_public_key(public_key));
        }
    }
    findings.require(changed || !signer || expected.output == join(Bytes(12), *signer),
                     "the oracle finds another signer than the one who signed");
    findings.compare(0x01, input, revision, expected);
}

namespace {

constexpr U256 p256_order{0xffffffff00000000, 0xffffffffffffffff, 0xbce6faada7179e84,
                          0xf3b9cac2fc632551};
constexpr U256 p256_prime{0xffffffff00000001, 0x0000000000000000, 0x00000000ffffffff,
                          0xffffffffffffffff};

/// OpenSSL's own verdict. It also refuses r and s out of range and keys that are no points.
bool p256_verdict(const Bytes& input) {
    const Owned<EC_KEY> key(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
    const U256 x = load_be(input.data() + 96);
    const U256 y = load_be(input.data() + 128);
    if (x >= p256_prime || y >= p256_prime ||
        EC_KEY_set_public_key_affine_coordinates(key.get(), number(x).get(), number(y).get()) !=
            1) {
        return false;
    }
    const Owned<ECDSA_SIG> signature(ECDSA_SIG_new());
    ECDSA_SIG_set0(signature.get(), number(load_be(input.data() + 32)).release(),
                   number(load_be(input.data() + 64)).release());
    return ECDSA_do_verify(input.data(), 32, signature.get(), key.get()) == 1;
}

/// digest, r, s and public key of a signature with this key and nonce.
std::optional<Bytes> p256_signature(const U256& digest, const U256& secret, const U256& nonce) {
    const Owned<EC_KEY> key(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
    const EC_GROUP* group = EC_KEY_get0_group(key.get());
    const Owned<BN_CTX> scratch(BN_CTX_new());
    const auto multiple_of_generator = [&](const U256& scalar, Bytes& point) {
        const Owned<EC_POINT> p(EC_POINT_new(group));
        const Owned<BIGNUM> x(BN_new());
        const Owned<BIGNUM> y(BN_new());
        point.resize(64);
        return EC_POINT_mul(group, p.get(), number(scalar).get(), nullptr, nullptr,
                            scratch.get()) == 1 &&
               EC_POINT_get_affine_coordinates(group, p.get(), x.get(), y.get(), scratch.get()) ==
                   1 &&
               BN_bn2binpad(x.get(), point.data(), 32) == 32 &&
               BN_bn2binpad(y.get(), point.data() + 32, 32) == 32;
    };
    Bytes public_key;
    Bytes nonce_point;
    if (secret.is_zero() || nonce.is_zero() || !multiple_of_generator(secret, public_key) ||
        !multiple_of_generator(nonce, nonce_point)) {
        return std::nullopt;
    }
    const U256 r = load_be(nonce_point.data()) % p256_order;
    const U256 s = mul_mod(inverse(nonce, p256_order),
                           add_mod(digest % p256_order, mul_mod(r, secret, p256_order), p256_order),
                           p256_order);
    if (r.is_zero() || s.is_zero()) { return std::nullopt; }
    return join(word(digest), word(r), word(s), public_key);
}

}  // namespace

void p256_verify(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::osaka);
    const U256 digest = draw_u256(choices, p256_order);
    const U256 secret = draw_u256(choices, p256_order) % p256_order;
    const U256 nonce = draw_u256(choices, p256_order) % p256_order;
    const std::optional<Bytes> made = p256_signature(digest, secret, nonce);
    Bytes input = made.value_or(Bytes(160));
    if (made && choices.one_in(3)) {
        // The mirrored s is a signature too.
        const Bytes mirrored = word(p256_order - load_be(input.data() + 64));
        std::copy(mirrored.begin(), mirrored.end(), input.begin() + 64);
    }
    bool changed = !made;
    if (choices.one_in(4)) {
        const size_t at = 32 * choices.below(5);
        const Bytes other = word(draw_u256(choices, choices.one_in(2) ? p256_order : p256_prime));
        std::copy(other.begin(), other.end(), input.begin() + static_cast<ptrdiff_t>(at));
        changed = true;
    }
    changed |= spoil(choices, input);
    const bool valid = input.size() == 160 && p256_verdict(input);
    findings.require(changed || valid, "OpenSSL refuses a signature made by its own arithmetic");
    findings.compare(0x100, input, revision, {true, 6900, valid ? word(U256{1}) : Bytes{}});
}

}  // namespace millrace::evm::oracles
