// SPDX-License-Identifier: Apache-2.0
// Owns the oracle of MODEXP: OpenSSL's powers and prices as unbounded integers.
#include <gmp.h>
#include <openssl/bn.h>

#include <memory>

#include "tests/evm/precompiles/oracles/oracles.hpp"

namespace millrace::evm::oracles {

namespace {

/// An integer without bounds, as much of one as the prices need.
class Natural {
public:
    explicit Natural(uint64_t v = 0) { mpz_init_set_ui(v_, v); }
    explicit Natural(const Bytes& big_endian) {
        mpz_init(v_);
        mpz_import(v_, big_endian.size(), 1, 1, 1, 0, big_endian.data());
    }
    Natural(const Natural& o) { mpz_init_set(v_, o.v_); }
    Natural& operator=(const Natural& o) {
        mpz_set(v_, o.v_);
        return *this;
    }
    ~Natural() { mpz_clear(v_); }

    Natural operator+(const Natural& o) const { return with(mpz_add, o); }
    Natural operator-(const Natural& o) const { return with(mpz_sub, o); }
    Natural operator*(const Natural& o) const { return with(mpz_mul, o); }
    Natural operator/(const Natural& o) const { return with(mpz_fdiv_q, o); }
    bool operator<(const Natural& o) const { return mpz_cmp(v_, o.v_) < 0; }
    bool is_zero() const { return mpz_sgn(v_) == 0; }
    size_t bit_length() const { return is_zero() ? 0 : mpz_sizeinbase(v_, 2); }
    /// The largest value when it does not fit.
    uint64_t saturated() const {
        return mpz_sizeinbase(v_, 2) <= 64 ? mpz_get_ui(v_) : ~uint64_t{0};
    }

private:
    Natural with(void (*f)(mpz_ptr, mpz_srcptr, mpz_srcptr), const Natural& o) const {
        Natural r;
        f(r.v_, v_, o.v_);
        return r;
    }
    mpz_t v_;
};

Natural n(uint64_t v) { return Natural{v}; }

Natural larger(const Natural& a, const Natural& b) { return a < b ? b : a; }

/// EIP-198, EIP-2565 and EIP-7883 as their texts write them. `head` holds the first 32 bytes of the
/// exponent, or all of a shorter one.
Natural price_of(const Natural& base_length, const Natural& exponent_length,
                 const Natural& modulus_length, const Natural& head, Revision revision) {
    const Natural longest = larger(base_length, modulus_length);
    const Natural words = (longest + n(7)) / n(8);
    const uint64_t per_byte = revision >= Revision::osaka ? 16 : 8;
    const uint64_t head_bits = head.is_zero() ? 0 : head.bit_length() - 1;
    const Natural counted = n(32) < exponent_length
                                ? n(per_byte) * (exponent_length - n(32)) + n(head_bits)
                                : n(head_bits);
    const Natural iterations = larger(counted, n(1));
    if (revision >= Revision::osaka) {
        const Natural complexity = n(32) < longest ? n(2) * words * words : n(16);
        return larger(complexity * iterations, n(500));
    }
    if (revision >= Revision::berlin) { return larger(words * words * iterations / n(3), n(200)); }
    Natural complexity = longest * longest;
    if (n(1024) < longest) {
        complexity = longest * longest / n(16) + n(480) * longest - n(199680);
    } else if (n(64) < longest) {
        complexity = longest * longest / n(4) + n(96) * longest - n(3072);
    }
    return complexity * iterations / n(20);
}

struct Release {
    void operator()(BN_CTX* p) const noexcept { BN_CTX_free(p); }
    void operator()(BIGNUM* p) const noexcept { BN_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

Bytes power(const Bytes& base, const Bytes& exponent, const Bytes& modulus) {
    const auto read = [](const Bytes& v) {
        return Owned<BIGNUM>(BN_bin2bn(v.data(), static_cast<int>(v.size()), nullptr));
    };
    const Owned<BIGNUM> m = read(modulus);
    Bytes r(modulus.size());
    // OpenSSL refuses a zero modulus and asks for one above one.
    if (BN_is_zero(m.get()) == 1 || BN_is_one(m.get()) == 1) { return r; }
    const Owned<BN_CTX> scratch(BN_CTX_new());
    const Owned<BIGNUM> result(BN_new());
    BN_mod_exp(result.get(), read(base).get(), read(exponent).get(), m.get(), scratch.get());
    BN_bn2binpad(result.get(), r.data(), static_cast<int>(r.size()));
    return r;
}

/// Mostly small, sometimes around the places where a rule changes, seldom far too large.
Bytes draw_length(Choices& choices) {
    switch (choices.below(10)) {
        case 0: return word(shl(U256{1}, choices.below(256)) + U256{choices.below(3)} - U256{1});
        case 1: return word(U256{1020 + choices.below(8)});
        case 2: return word(U256{30 + choices.below(5)});
        case 3: return word(U256{62 + choices.below(5)});
        case 4: return word(U256{choices.below(300)});
        default: return word(U256{choices.below(50)});
    }
}

Bytes draw_operand(Choices& choices, size_t size) {
    Bytes r = draw_bytes(choices, size);
    if (size == 0) { return r; }
    switch (choices.below(6)) {
        case 0: std::fill(r.begin(), r.end(), uint8_t{0xff}); break;
        case 1:
            std::fill(r.begin(), r.end(), uint8_t{0});
            r[choices.below(size)] = static_cast<uint8_t>(1u << choices.below(8));
            break;
        case 2:
            std::fill(r.begin(), r.begin() + static_cast<ptrdiff_t>(choices.below(size + 1)),
                      uint8_t{0});
            break;
        case 3:
            std::fill(r.begin() + static_cast<ptrdiff_t>(choices.below(size + 1)), r.end(),
                      uint8_t{0});
            break;
        default: break;
    }
    return r;
}

}  // namespace

void modexp(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::byzantium);
    const Bytes base_length = draw_length(choices);
    const Bytes exponent_length = draw_length(choices);
    const Bytes modulus_length = draw_length(choices);
    const auto drawn_size = [](const Bytes& length) {
        return static_cast<size_t>(std::min<uint64_t>(Natural{length}.saturated(), 1100));
    };
    Bytes input = join(base_length, exponent_length, modulus_length,
                       draw_operand(choices, drawn_size(base_length)),
                       draw_operand(choices, drawn_size(exponent_length)),
                       draw_operand(choices, drawn_size(modulus_length)));
    if (choices.one_in(6)) { input.resize(choices.below(input.size() + 1)); }
    if (choices.one_in(8)) { input.resize(input.size() + choices.below(40), 0xee); }

    // What the contract sees, after cutting.
    const Natural base_size{part(input, 0, 32)};
    const Natural exponent_size{part(input, 32, 32)};
    const Natural modulus_size{part(input, 64, 32)};
    const bool too_long =
        revision >= Revision::osaka &&
        (n(1024) < base_size || n(1024) < exponent_size || n(1024) < modulus_size);
    // Beyond its end the input is zeros, so positions may be cut to just behind it.
    const auto cut = [&input](const Natural& v) {
        return std::min<uint64_t>(v.saturated(), input.size());
    };
    const size_t exponent_at = 96 + cut(base_size);
    const size_t head_bytes = std::min<uint64_t>(exponent_size.saturated(), 32);
    const Natural price = price_of(base_size, exponent_size, modulus_size,
                                   Natural{part(input, exponent_at, head_bytes)}, revision);
    // Small enough for every power that can be bought to be quick.
    constexpr uint64_t gas = 1'000'000;
    Answer expected;
    if (!too_long && !(n(gas) < price)) {
        // The price bounds base and modulus here, but not an exponent without either.
        const size_t modulus_at = exponent_at + cut(exponent_size);
        const Bytes base = part(input, 96, base_size.saturated());
        const Bytes exponent = part(input, exponent_at, cut(exponent_size));
        Bytes modulus = part(input, modulus_at, modulus_size.saturated());
        // An exponent that the input cuts off is followed by nothing, so the modulus is zero.
        expected = {true, price.saturated(), power(base, exponent, modulus)};
    }
    findings.compare(0x05, input, revision, expected, gas);
}

}  // namespace millrace::evm::oracles
