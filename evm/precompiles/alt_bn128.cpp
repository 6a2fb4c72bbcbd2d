// SPDX-License-Identifier: Apache-2.0
// Owns the precompiles over bn254: ADD 0x06, MUL 0x07, PAIRING 0x08 (EIP-196, 197, 1108).
#include <optional>
#include <vector>

#include "evm/precompiles/bn254.hpp"
#include "evm/precompiles/detail/contracts.hpp"

namespace millrace::evm::contracts {

namespace {

constexpr size_t g1_bytes = 64;
constexpr size_t pair_bytes = 192;

std::optional<bn254::Fp> read_field(const uint8_t* p) noexcept {
    const U256 v = load_be(p);
    if (v >= bn254::field_modulus) { return std::nullopt; }
    return bn254::Fp::from_integer(v);
}

/// The imaginary coordinate comes first (EIP-197).
std::optional<bn254::Fp2> read_field2(const uint8_t* p) noexcept {
    const std::optional<bn254::Fp> c1 = read_field(p);
    const std::optional<bn254::Fp> c0 = read_field(p + 32);
    if (!c0 || !c1) { return std::nullopt; }
    return bn254::Fp2{*c0, *c1};
}

/// Fails when a coordinate is not reduced or the point is not on the curve; (0, 0) is infinity.
std::optional<bn254::G1Point> read_g1(const uint8_t* p) noexcept {
    const std::optional<bn254::Fp> x = read_field(p);
    const std::optional<bn254::Fp> y = read_field(p + 32);
    if (!x || !y) { return std::nullopt; }
    const bn254::G1Point point{*x, *y, x->is_zero() && y->is_zero()};
    if (!bn254::is_on_curve(point)) { return std::nullopt; }
    return point;
}

/// As read_g1; fails also when the point is outside the group.
std::optional<bn254::G2Point> read_g2(const uint8_t* p) noexcept {
    const std::optional<bn254::Fp2> x = read_field2(p);
    const std::optional<bn254::Fp2> y = read_field2(p + 64);
    if (!x || !y) { return std::nullopt; }
    const bn254::G2Point point{*x, *y, x->is_zero() && y->is_zero()};
    if (!bn254::is_on_curve(point) || !bn254::is_in_group(point)) { return std::nullopt; }
    return point;
}

Bytes write_g1(const bn254::G1Point& point) {
    Bytes output(g1_bytes);
    store_be(point.x.to_integer(), output.data());
    store_be(point.y.to_integer(), output.data() + 32);
    return output;
}

}  // namespace

PrecompileOutcome bn254_add(ByteView input, uint64_t gas, Revision revision) noexcept {
    const uint64_t price = revision >= Revision::istanbul ? 150 : 500;
    if (gas < price) { return failure(); }
    const FixedBytes<2 * g1_bytes> data = padded<2 * g1_bytes>(input);
    const std::optional<bn254::G1Point> a = read_g1(data.data());
    const std::optional<bn254::G1Point> b = read_g1(data.data() + g1_bytes);
    if (!a || !b) { return failure(); }
    return success(price, write_g1(bn254::add(*a, *b)));
}

PrecompileOutcome bn254_multiply(ByteView input, uint64_t gas, Revision revision) noexcept {
    const uint64_t price = revision >= Revision::istanbul ? 6000 : 40000;
    if (gas < price) { return failure(); }
    const FixedBytes<g1_bytes + 32> data = padded<g1_bytes + 32>(input);
    const std::optional<bn254::G1Point> point = read_g1(data.data());
    if (!point) { return failure(); }
    return success(price, write_g1(bn254::multiply(*point, load_be(data.data() + g1_bytes))));
}

PrecompileOutcome bn254_pairing(ByteView input, uint64_t gas, Revision revision) noexcept {
    const bool cheap = revision >= Revision::istanbul;
    const uint64_t count = input.size() / pair_bytes;
    const uint64_t price = (cheap ? 45000 : 100000) + (cheap ? 34000 : 80000) * count;
    if (input.size() % pair_bytes != 0 || gas < price) { return failure(); }
    std::vector<bn254::PairingInput> pairs;
    pairs.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        const uint8_t* at = input.data() + i * pair_bytes;
        const std::optional<bn254::G1Point> p = read_g1(at);
        if (!p) { return failure(); }
        const std::optional<bn254::G2Point> q = read_g2(at + g1_bytes);
        if (!q) { return failure(); }
        pairs.push_back({*p, *q});
    }
    return success(price, truth_word(bn254::pairing_product_is_one(pairs)));
}

}  // namespace millrace::evm::contracts
