// SPDX-License-Identifier: Apache-2.0
// Owns plain entries to the vector field, for tests that any CPU may start.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::test {

/// Eight elements by limbs of 52 bits.
struct alignas(64) FieldLanes {
    uint64_t limb[5][8];
};

/// What an operation computes modulo p, of operands a, b, c and d.
enum class FieldFormula : uint8_t {
    a_b,           ///< a b
    two_a_b,       ///< 2 a b
    a_b_minus_c,   ///< a b - c
    a_b_plus_c_d,  ///< a b + c d
    a_b_plus_8_c_c,
    a_a,
    three_a_a,
    a_a_minus_b_minus_2_c,
    a_a_minus_2_b,
    a_a_minus_8_b,
    a_minus_4_b,
    a_minus_b,
    a_plus_7,
    negate_odd_lanes,  ///< -a in lanes 1, 3, 5 and 7
    a_normalized,      ///< a in [0, p)
    root,              ///< a^((p + 1) / 4)
};

/// One operation, at the largest magnitudes that it takes.
struct FieldOperation {
    const char* name;
    FieldFormula formula;
    size_t operands;
    unsigned magnitude[4];  ///< of each operand: limb 4 is at most magnitude * (2^48 + 2^12)
    bool masked[4];         ///< whether the operand's limbs 0 to 3 must be below 2^52
    unsigned result_magnitude;
    bool result_masked;
    void (*run)(const FieldLanes* operands, FieldLanes* result);
};

/// All operations; only a CPU with AVX-512 IFMA may run them.
const FieldOperation* field_operations(size_t* count);

}  // namespace millrace::test
