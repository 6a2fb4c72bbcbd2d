// SPDX-License-Identifier: Apache-2.0
// Owns the calls of OpenSSL behind PrimeCurve.
#include "tests/evm/precompiles/oracles/prime_curve.hpp"

#include <openssl/bn.h>

#include <algorithm>

#include "host/base/error.hpp"

namespace millrace::evm::oracles {

namespace {

Bytes big_endian(const U256& v) {
    Bytes r(32);
    store_be(v, r.data());
    return r;
}

}  // namespace

PrimeCurve::Owned<BIGNUM> PrimeCurve::number(const Bytes& big_endian) {
    return Owned<BIGNUM>(
        BN_bin2bn(big_endian.data(), static_cast<int>(big_endian.size()), nullptr));
}

PrimeCurve::PrimeCurve(const Bytes& prime, uint64_t b, const U256& order)
    : field_bytes_(prime.size()),
      order_(order),
      scratch_(BN_CTX_new()),
      prime_(number(prime)),
      b_(number(big_endian(U256{b}))) {
    const Owned<BIGNUM> zero(BN_new());
    group_.reset(EC_GROUP_new_curve_GFp(prime_.get(), zero.get(), b_.get(), scratch_.get()));
    MILLRACE_ASSERT(group_ != nullptr, "OpenSSL takes any curve over a prime field");
}

bool PrimeCurve::is_reduced(const Bytes& coordinate) const {
    return BN_cmp(number(coordinate).get(), prime_.get()) < 0;
}

PrimeCurve::Owned<EC_POINT> PrimeCurve::read(const Bytes& point) const {
    Owned<EC_POINT> r(EC_POINT_new(group_.get()));
    if (std::all_of(point.begin(), point.end(), [](uint8_t v) { return v == 0; })) {
        EC_POINT_set_to_infinity(group_.get(), r.get());
        return r;
    }
    const ptrdiff_t half = static_cast<ptrdiff_t>(field_bytes_);
    const Bytes x(point.begin(), point.begin() + half);
    const Bytes y(point.begin() + half, point.end());
    // Fails where the point is not on the curve.
    if (EC_POINT_set_affine_coordinates(group_.get(), r.get(), number(x).get(), number(y).get(),
                                        scratch_.get()) != 1) {
        r.reset();
    }
    return r;
}

Bytes PrimeCurve::write(const EC_POINT* point) const {
    Bytes r(2 * field_bytes_);
    if (EC_POINT_is_at_infinity(group_.get(), point) == 1) { return r; }
    const Owned<BIGNUM> x(BN_new());
    const Owned<BIGNUM> y(BN_new());
    const int size = static_cast<int>(field_bytes_);
    const bool done = EC_POINT_get_affine_coordinates(group_.get(), point, x.get(), y.get(),
                                                      scratch_.get()) == 1 &&
                      BN_bn2binpad(x.get(), r.data(), size) == size &&
                      BN_bn2binpad(y.get(), r.data() + field_bytes_, size) == size;
    MILLRACE_ASSERT(done, "a finite point has coordinates");
    return r;
}

bool PrimeCurve::is_point(const Bytes& point) const {
    const ptrdiff_t half = static_cast<ptrdiff_t>(field_bytes_);
    return is_reduced(Bytes(point.begin(), point.begin() + half)) &&
           is_reduced(Bytes(point.begin() + half, point.end())) && read(point) != nullptr;
}

std::optional<Bytes> PrimeCurve::point_at(const Bytes& x, bool odd) const {
    const Owned<EC_POINT> point(EC_POINT_new(group_.get()));
    if (!is_reduced(x) ||
        EC_POINT_set_compressed_coordinates(group_.get(), point.get(), number(x).get(), odd ? 1 : 0,
                                            scratch_.get()) != 1) {
        return std::nullopt;
    }
    return write(point.get());
}

Bytes PrimeCurve::add(const Bytes& a, const Bytes& b) const {
    const Owned<EC_POINT> sum(EC_POINT_new(group_.get()));
    const bool done =
        EC_POINT_add(group_.get(), sum.get(), read(a).get(), read(b).get(), scratch_.get()) == 1;
    MILLRACE_ASSERT(done, "points of the curve have a sum");
    return write(sum.get());
}

Bytes PrimeCurve::multiply(const Bytes& point, const U256& scalar) const {
    const Owned<EC_POINT> product(EC_POINT_new(group_.get()));
    const bool done = EC_POINT_mul(group_.get(), product.get(), nullptr, read(point).get(),
                                   number(big_endian(scalar)).get(), scratch_.get()) == 1;
    MILLRACE_ASSERT(done, "a point of the curve has multiples");
    return write(product.get());
}

Bytes PrimeCurve::negate(const Bytes& point) const {
    const Owned<EC_POINT> r = read(point);
    const bool done = EC_POINT_invert(group_.get(), r.get(), scratch_.get()) == 1;
    MILLRACE_ASSERT(done, "a point of the curve has an inverse");
    return write(r.get());
}

}  // namespace millrace::evm::oracles
