// SPDX-License-Identifier: Apache-2.0
// Owns the precompiles over BLS12-381, 0x0b to 0x11 (EIP-2537).
#include <array>
#include <optional>
#include <vector>

#include "evm/precompiles/detail/bls12_381.hpp"
#include "evm/precompiles/detail/contracts.hpp"

namespace millrace::evm::contracts {

namespace {

namespace bls = bls12_381;

constexpr size_t field_bytes = 64;
constexpr size_t padding_bytes = 16;
constexpr size_t g1_bytes = 128;
constexpr size_t g2_bytes = 256;
constexpr size_t scalar_bytes = 32;

/// The discounts of EIP-2537 in thousandths, for 1 to 128 pairs; the last holds for more.
using Discounts = std::array<uint16_t, 128>;

constexpr Discounts g1_discounts{
    1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677, 673, 669, 665,
    661,  658, 654, 651, 648, 645, 642, 640, 637, 635, 632, 630, 627, 625, 623, 621, 619, 617, 615,
    613,  611, 609, 608, 606, 604, 603, 601, 599, 598, 596, 595, 593, 592, 591, 589, 588, 586, 585,
    584,  582, 581, 580, 579, 577, 576, 575, 574, 573, 572, 570, 569, 568, 567, 566, 565, 564, 563,
    562,  561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 551, 550, 549, 548, 547, 547, 546, 545,
    544,  543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532, 532, 531, 530, 529,
    528,  528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520, 520, 519};

constexpr Discounts g2_discounts{
    1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717, 711, 704, 699,
    693,  688,  683, 679, 674, 670, 666, 663, 659, 655, 652, 649, 646, 643, 640, 637, 634, 632, 629,
    627,  624,  622, 620, 618, 615, 613, 611, 609, 607, 606, 604, 602, 600, 598, 597, 595, 593, 592,
    590,  589,  587, 586, 584, 583, 582, 580, 579, 578, 576, 575, 574, 573, 571, 570, 569, 568, 567,
    566,  565,  563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 552, 551, 550, 549, 548,
    547,  546,  545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537, 537, 536, 535, 535, 534, 533,
    532,  532,  531, 530, 530, 529, 528, 528, 527, 526, 526, 525, 524, 524};

constexpr uint64_t multi_price(uint64_t count, uint64_t price_of_one, const Discounts& discounts) {
    const size_t row = std::min<uint64_t>(count, discounts.size()) - 1;
    return count * price_of_one * discounts[row] / 1000;
}

/// The field's prime, big-endian.
constexpr std::array<uint8_t, 48> field_modulus{
    0x1a, 0x01, 0x11, 0xea, 0x39, 0x7f, 0xe6, 0x9a, 0x4b, 0x1b, 0xa7, 0xb6, 0x43, 0x4b, 0xac, 0xd7,
    0x64, 0x77, 0x4b, 0x84, 0xf3, 0x85, 0x12, 0xbf, 0x67, 0x30, 0xd2, 0xa0, 0xf6, 0xb0, 0xf6, 0x24,
    0x1e, 0xab, 0xff, 0xfe, 0xb1, 0x53, 0xff, 0xff, 0xb9, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xaa, 0xab};

/// Fails unless the 64 bytes are a number below the prime.
bool read_field(blst_fp& out, const uint8_t* p) noexcept {
    if (std::any_of(p, p + padding_bytes, [](uint8_t b) { return b != 0; }) ||
        std::memcmp(p + padding_bytes, field_modulus.data(), field_modulus.size()) >= 0) {
        return false;
    }
    blst_fp_from_bendian(&out, p + padding_bytes);
    return true;
}

bool read_field(blst_fp2& out, const uint8_t* p) noexcept {
    return read_field(out.fp[0], p) && read_field(out.fp[1], p + field_bytes);
}

void write_field(uint8_t* p, const blst_fp& v) noexcept {
    blst_bendian_from_fp(p + padding_bytes, &v);
}

void write_field(uint8_t* p, const blst_fp2& v) noexcept {
    write_field(p, v.fp[0]);
    write_field(p + field_bytes, v.fp[1]);
}

/// The functions of blst for one of the two groups, under common names.
struct G1 {
    using Affine = blst_p1_affine;
    using Point = blst_p1;
    static constexpr size_t bytes = g1_bytes;
    static constexpr uint64_t add_price = 375;
    static constexpr uint64_t multiply_price = 12000;
    static constexpr const Discounts& discounts = g1_discounts;
    static constexpr auto on_curve = blst_p1_affine_on_curve;
    static constexpr auto in_group = blst_p1_affine_in_g1;
    static constexpr auto is_infinity = blst_p1_affine_is_inf;
    static constexpr auto from_affine = blst_p1_from_affine;
    static constexpr auto to_affine = blst_p1_to_affine;
    static constexpr auto add = blst_p1_add_or_double_affine;
    static constexpr auto multiply = blst_p1_mult;
    static constexpr auto multi_multiply = blst_p1s_mult_pippenger;
    static constexpr auto scratch_bytes = blst_p1s_mult_pippenger_scratch_sizeof;
};

struct G2 {
    using Affine = blst_p2_affine;
    using Point = blst_p2;
    static constexpr size_t bytes = g2_bytes;
    static constexpr uint64_t add_price = 600;
    static constexpr uint64_t multiply_price = 22500;
    static constexpr const Discounts& discounts = g2_discounts;
    static constexpr auto on_curve = blst_p2_affine_on_curve;
    static constexpr auto in_group = blst_p2_affine_in_g2;
    static constexpr auto is_infinity = blst_p2_affine_is_inf;
    static constexpr auto from_affine = blst_p2_from_affine;
    static constexpr auto to_affine = blst_p2_to_affine;
    static constexpr auto add = blst_p2_add_or_double_affine;
    static constexpr auto multiply = blst_p2_mult;
    static constexpr auto multi_multiply = blst_p2s_mult_pippenger;
    static constexpr auto scratch_bytes = blst_p2s_mult_pippenger_scratch_sizeof;
};

/// A point of the curve, not necessarily of the group. All zeros are infinity, which is how blst
/// holds infinity too.
template <class Group>
std::optional<typename Group::Affine> read_point(const uint8_t* p) noexcept {
    typename Group::Affine point;
    if (!read_field(point.x, p) || !read_field(point.y, p + Group::bytes / 2)) {
        return std::nullopt;
    }
    if (!Group::is_infinity(&point) && !Group::on_curve(&point)) { return std::nullopt; }
    return point;
}

template <class Group>
std::optional<typename Group::Affine> read_group_point(const uint8_t* p) noexcept {
    const std::optional<typename Group::Affine> point = read_point<Group>(p);
    if (!point || (!Group::is_infinity(&*point) && !Group::in_group(&*point))) {
        return std::nullopt;
    }
    return point;
}

template <class Group>
Bytes write_point(const typename Group::Point& point) {
    Bytes output(Group::bytes);
    typename Group::Affine affine;
    Group::to_affine(&affine, &point);
    if (!Group::is_infinity(&affine)) {
        write_field(output.data(), affine.x);
        write_field(output.data() + Group::bytes / 2, affine.y);
    }
    return output;
}

template <class Group>
PrecompileOutcome add_points(ByteView input, uint64_t gas) noexcept {
    if (gas < Group::add_price || input.size() != 2 * Group::bytes) { return failure(); }
    const auto a = read_point<Group>(input.data());
    const auto b = read_point<Group>(input.data() + Group::bytes);
    if (!a || !b) { return failure(); }
    typename Group::Point sum;
    Group::from_affine(&sum, &*a);
    Group::add(&sum, &sum, &*b);
    return success(Group::add_price, write_point<Group>(sum));
}

/// The sum of scalar * point. blst gives wrong sums when a point at infinity is among the inputs,
/// so neither those nor zero scalars are in `points`.
template <class Group>
typename Group::Point sum_products(const std::vector<typename Group::Affine>& points,
                                   const std::vector<blst_scalar>& scalars) {
    typename Group::Point sum{};
    if (points.size() == 1) {
        typename Group::Point point;
        Group::from_affine(&point, &points[0]);
        Group::multiply(&sum, &point, scalars[0].b, bls::scalar_bits);
    } else if (!points.empty()) {
        std::vector<limb_t> scratch(Group::scratch_bytes(points.size()) / sizeof(limb_t) + 1);
        // A list of one pointer and a null says that the array is contiguous.
        const std::array<const typename Group::Affine*, 2> point_list{points.data(), nullptr};
        const std::array<const byte*, 2> scalar_list{scalars[0].b, nullptr};
        Group::multi_multiply(&sum, point_list.data(), points.size(), scalar_list.data(),
                              bls::scalar_bits, scratch.data());
    }
    return sum;
}

template <class Group>
PrecompileOutcome multi_multiply_points(ByteView input, uint64_t gas) noexcept {
    constexpr size_t item_bytes = Group::bytes + scalar_bytes;
    const size_t count = input.size() / item_bytes;
    if (count == 0 || input.size() % item_bytes != 0) { return failure(); }
    const uint64_t price = multi_price(count, Group::multiply_price, Group::discounts);
    if (gas < price) { return failure(); }
    std::vector<typename Group::Affine> points;
    std::vector<blst_scalar> scalars;
    points.reserve(count);
    scalars.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        const uint8_t* at = input.data() + i * item_bytes;
        const auto point = read_group_point<Group>(at);
        if (!point) { return failure(); }
        // The points have the group's order, so the scalar may be reduced by it.
        const U256 scalar = load_be(at + Group::bytes) % bls::group_order;
        if (!Group::is_infinity(&*point) && !scalar.is_zero()) {
            points.push_back(*point);
            scalars.push_back(bls::to_scalar(scalar));
        }
    }
    return success(price, write_point<Group>(sum_products<Group>(points, scalars)));
}

}  // namespace

PrecompileOutcome bls12_g1_add(ByteView input, uint64_t gas, Revision) noexcept {
    return add_points<G1>(input, gas);
}

PrecompileOutcome bls12_g2_add(ByteView input, uint64_t gas, Revision) noexcept {
    return add_points<G2>(input, gas);
}

PrecompileOutcome bls12_g1_multi_multiply(ByteView input, uint64_t gas, Revision) noexcept {
    return multi_multiply_points<G1>(input, gas);
}

PrecompileOutcome bls12_g2_multi_multiply(ByteView input, uint64_t gas, Revision) noexcept {
    return multi_multiply_points<G2>(input, gas);
}

PrecompileOutcome bls12_pairing(ByteView input, uint64_t gas, Revision) noexcept {
    constexpr size_t pair_bytes = g1_bytes + g2_bytes;
    const size_t count = input.size() / pair_bytes;
    if (count == 0 || input.size() % pair_bytes != 0) { return failure(); }
    const uint64_t price = 37700 + 32600 * static_cast<uint64_t>(count);
    if (gas < price) { return failure(); }
    std::vector<blst_p1_affine> ps;
    std::vector<blst_p2_affine> qs;
    ps.reserve(count);
    qs.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        const uint8_t* at = input.data() + i * pair_bytes;
        const auto p = read_group_point<G1>(at);
        if (!p) { return failure(); }
        const auto q = read_group_point<G2>(at + g1_bytes);
        if (!q) { return failure(); }
        // A pair with infinity contributes the factor one.
        if (!G1::is_infinity(&*p) && !G2::is_infinity(&*q)) {
            ps.push_back(*p);
            qs.push_back(*q);
        }
    }
    if (ps.empty()) { return success(price, truth_word(true)); }
    const std::array<const blst_p1_affine*, 2> p_list{ps.data(), nullptr};
    const std::array<const blst_p2_affine*, 2> q_list{qs.data(), nullptr};
    blst_fp12 loops;
    blst_miller_loop_n(&loops, q_list.data(), p_list.data(), ps.size());
    blst_fp12 product;
    blst_final_exp(&product, &loops);
    return success(price, truth_word(blst_fp12_is_one(&product)));
}

PrecompileOutcome bls12_map_fp_to_g1(ByteView input, uint64_t gas, Revision) noexcept {
    constexpr uint64_t price = 5500;
    blst_fp u;
    if (gas < price || input.size() != field_bytes || !read_field(u, input.data())) {
        return failure();
    }
    blst_p1 point;
    blst_map_to_g1(&point, &u, nullptr);
    return success(price, write_point<G1>(point));
}

PrecompileOutcome bls12_map_fp2_to_g2(ByteView input, uint64_t gas, Revision) noexcept {
    constexpr uint64_t price = 23800;
    blst_fp2 u;
    if (gas < price || input.size() != 2 * field_bytes || !read_field(u, input.data())) {
        return failure();
    }
    blst_p2 point;
    blst_map_to_g2(&point, &u, nullptr);
    return success(price, write_point<G2>(point));
}

}  // namespace millrace::evm::contracts
