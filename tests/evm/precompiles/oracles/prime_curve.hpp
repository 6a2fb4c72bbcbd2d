// SPDX-License-Identifier: Apache-2.0
// Owns curves y^2 = x^3 + b over prime fields by OpenSSL's general arithmetic.
#pragma once

#include <openssl/ec.h>

#include <memory>
#include <optional>

#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm::oracles {

/// Points are x and y, big-endian, each as long as the prime; all zeros are infinity. Not safe from
/// two threads at once. `order` is the prime order of the points that the test makes.
class PrimeCurve {
public:
    PrimeCurve(const Bytes& prime, uint64_t b, const U256& order);

    size_t field_bytes() const noexcept { return field_bytes_; }
    const U256& order() const noexcept { return order_; }
    /// Whether the number is below the prime.
    bool is_reduced(const Bytes& coordinate) const;
    /// Reduced coordinates that satisfy the equation, or infinity.
    bool is_point(const Bytes& point) const;
    /// The point with this x and an even or odd y, when there is one.
    std::optional<Bytes> point_at(const Bytes& x, bool odd) const;
    Bytes add(const Bytes& a, const Bytes& b) const;
    Bytes multiply(const Bytes& point, const U256& scalar) const;
    Bytes negate(const Bytes& point) const;

private:
    struct Release {
        void operator()(BN_CTX* p) const noexcept { BN_CTX_free(p); }
        void operator()(BIGNUM* p) const noexcept { BN_free(p); }
        void operator()(EC_POINT* p) const noexcept { EC_POINT_free(p); }
        void operator()(EC_GROUP* p) const noexcept { EC_GROUP_free(p); }
    };
    template <class T>
    using Owned = std::unique_ptr<T, Release>;

    static Owned<BIGNUM> number(const Bytes& big_endian);
    Owned<EC_POINT> read(const Bytes& point) const;
    Bytes write(const EC_POINT* point) const;

    size_t field_bytes_;
    U256 order_;
    Owned<BN_CTX> scratch_;
    Owned<BIGNUM> prime_;
    Owned<BIGNUM> b_;
    Owned<EC_GROUP> group_;
};

}  // namespace millrace::evm::oracles
