// SPDX-License-Identifier: Apache-2.0
// Owns plain entries to the vector field; compiled for AVX-512 IFMA like the kernel itself.
#include "tests/kernels/secp256k1/field_x8_entry.hpp"

#include "kernels/secp256k1/detail/field_x8.hpp"

namespace millrace::test {

namespace {

using namespace kernels::detail;  // NOLINT: an entry for all of it

template <unsigned magnitude, bool is_masked>
Field<1, magnitude, is_masked> get(const FieldLanes& lanes_in) {
    Field<1, magnitude, is_masked> r;
    for (size_t i = 0; i < field_limbs; ++i) { r.limb[0][i] = _mm512_load_si512(lanes_in.limb[i]); }
    return r;
}
template <unsigned magnitude>
Field<1, magnitude> get_masked(const FieldLanes& l) {
    return get<magnitude, true>(l);
}
template <unsigned magnitude>
Factor<1, magnitude> get_factor(const FieldLanes& l) {
    return get<magnitude, false>(l);
}
template <unsigned magnitude, bool is_masked>
void put(const Field<1, magnitude, is_masked>& r, FieldLanes* out) {
    for (size_t i = 0; i < field_limbs; ++i) { _mm512_store_si512(out->limb[i], r.limb[0][i]); }
}

const FieldOperation all[] = {
    {"mul",
     FieldFormula::a_b,
     2,
     {15, 15},
     {},
     1,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(mul(get_factor<15>(o[0]), get_factor<15>(o[1])), r);
     }},
    {"mul_twice",
     FieldFormula::two_a_b,
     2,
     {15, 15},
     {},
     1,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(mul_twice(get_factor<15>(o[0]), get_factor<15>(o[1])), r);
     }},
    {"mul_minus",
     FieldFormula::a_b_minus_c,
     3,
     {15, 15, 15},
     {false, false, true},
     2,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(mul_minus(get_factor<15>(o[0]), get_factor<15>(o[1]), get_masked<15>(o[2])), r);
     }},
    {"mul_plus_mul",
     FieldFormula::a_b_plus_c_d,
     4,
     {11, 11, 11, 11},
     {},
     1,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(mul_plus_mul(get_factor<11>(o[0]), get_factor<11>(o[1]), get_factor<11>(o[2]),
                          get_factor<11>(o[3])),
             r);
     }},
    {"mul_plus_8_squares",
     FieldFormula::a_b_plus_8_c_c,
     3,
     {10, 5, 5},
     {},
     1,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(mul_plus_8_squares(get_factor<10>(o[0]), get_factor<5>(o[1]), get_factor<5>(o[2])), r);
     }},
    {"square",
     FieldFormula::a_a,
     1,
     {15},
     {},
     1,
     false,
     [](const FieldLanes* o, FieldLanes* r) { put(square(get_factor<15>(o[0])), r); }},
    {"square_thrice",
     FieldFormula::three_a_a,
     1,
     {15},
     {},
     1,
     false,
     [](const FieldLanes* o, FieldLanes* r) { put(square_thrice(get_factor<15>(o[0])), r); }},
    {"square_minus<1>",
     FieldFormula::a_a_minus_b_minus_2_c,
     3,
     {15, 5, 5},
     {false, true, true},
     2,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(square_minus<1>(get_factor<15>(o[0]), get_masked<5>(o[1]), get_masked<5>(o[2])), r);
     }},
    {"square_minus<0>",
     FieldFormula::a_a_minus_2_b,
     2,
     {15, 7},
     {false, true},
     2,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         const auto b = get_masked<7>(o[1]);
         put(square_minus<0>(get_factor<15>(o[0]), b, b), r);
     }},
    {"square_minus_8",
     FieldFormula::a_a_minus_8_b,
     2,
     {15, 1},
     {false, true},
     2,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(square_minus_8(get_factor<15>(o[0]), get_masked<1>(o[1])), r);
     }},
    {"sub_scaled<2>",
     FieldFormula::a_minus_4_b,
     2,
     {2, 3},
     {true, true},
     15,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(sub_scaled<2>(get_masked<2>(o[0]), get_masked<3>(o[1])), r);
     }},
    {"sub",
     FieldFormula::a_minus_b,
     2,
     {7, 7},
     {true, true},
     15,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(sub(get_masked<7>(o[0]), get_masked<7>(o[1])), r);
     }},
    {"add_small",
     FieldFormula::a_plus_7,
     1,
     {14},
     {true},
     15,
     false,
     [](const FieldLanes* o, FieldLanes* r) { put(add_small(get_masked<14>(o[0]), 7), r); }},
    {"negate_where",
     FieldFormula::negate_odd_lanes,
     1,
     {14},
     {true},
     15,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(negate_where(Mask<1>{{0xaa}}, get_masked<14>(o[0])), r);
     }},
    {"masked",
     FieldFormula::a_b,
     2,
     {15, 15},
     {},
     1,
     true,
     [](const FieldLanes* o, FieldLanes* r) {
         put(masked(mul(get_factor<15>(o[0]), get_factor<15>(o[1]))), r);
     }},
    {"normalize",
     FieldFormula::a_normalized,
     1,
     {15},
     {},
     1,
     true,
     [](const FieldLanes* o, FieldLanes* r) { put(normalize(get_factor<15>(o[0])), r); }},
    {"square_root_candidate",
     FieldFormula::root,
     1,
     {1},
     {},
     1,
     false,
     [](const FieldLanes* o, FieldLanes* r) {
         put(square_root_candidate<1>(get_factor<1>(o[0])), r);
     }},
};

}  // namespace

const FieldOperation* field_operations(size_t* count) {
    *count = sizeof all / sizeof all[0];
    return all;
}

}  // namespace millrace::test
