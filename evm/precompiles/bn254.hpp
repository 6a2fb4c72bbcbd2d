// SPDX-License-Identifier: Apache-2.0
// Owns the groups and the pairing of bn254 ("alt_bn128" in EIP-196 and EIP-197).
#pragma once

#include <span>

#include "evm/precompiles/detail/bn254_field.hpp"

namespace millrace::evm::bn254 {

/// A point of y^2 = x^3 + 3 over Fp, or infinity when `infinity` is set (then x and y are zero).
/// The group has prime order, so every point of the curve is in it.
struct G1Point {
    Fp x;
    Fp y;
    bool infinity = true;

    constexpr bool operator==(const G1Point&) const noexcept = default;
};

/// A point of y^2 = x^3 + 3 / xi over Fp2, or infinity. The curve is larger than the group.
struct G2Point {
    Fp2 x;
    Fp2 y;
    bool infinity = true;

    constexpr bool operator==(const G2Point&) const noexcept = default;
};

struct PairingInput {
    G1Point p;
    G2Point q;
};

/// The generators of EIP-197.
G1Point g1_generator() noexcept;
G2Point g2_generator() noexcept;

/// Infinity counts as on the curve.
bool is_on_curve(const G1Point& p) noexcept;
bool is_on_curve(const G2Point& q) noexcept;
/// Whether a point of the curve over Fp2 has the order of the group (infinity does).
bool is_in_group(const G2Point& q) noexcept;

G1Point negate(const G1Point& p) noexcept;
G2Point negate(const G2Point& q) noexcept;
G1Point add(const G1Point& a, const G1Point& b) noexcept;
G2Point add(const G2Point& a, const G2Point& b) noexcept;
/// Any 256-bit scalar; it is not reduced by the caller.
G1Point multiply(const G1Point& p, const U256& scalar) noexcept;
G2Point multiply(const G2Point& q, const U256& scalar) noexcept;

/// The product of the Miller loops of the optimal ate pairing over all pairs; pairs with a point at
/// infinity count as one. Points must be in their groups.
Fp12 miller_loop(std::span<const PairingInput> pairs);
/// Raises to 2x(6x^2 + 3x + 1) * (p^12 - 1) / r: a power of the reduced pairing whose exponent is
/// prime to r, so it is one exactly when the pairing is.
Fp12 final_exponentiation(const Fp12& f) noexcept;
/// Whether the product of e(p, q) over all pairs is one. True for no pairs.
bool pairing_product_is_one(std::span<const PairingInput> pairs);

}  // namespace millrace::evm::bn254
