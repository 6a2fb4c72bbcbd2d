// SPDX-License-Identifier: Apache-2.0
// Owns kernels of one operation each, whose machine code device_code_test.py counts. It is compiled
// for that only and never run.
#include "kernels/secp256k1/detail/gpu/point.hpp"

namespace millrace::kernels::gpu {

namespace {

constexpr int threads = 128;

/// `body` run `copies` times in a row within a loop that is not unrolled. What a kernel with more
/// copies has more than one with fewer is the body itself.
template <int copies, class State, class Body>
__device__ void repeat(const State* from, State* to, int rounds, Body body) {
    State state = from[blockIdx.x * threads + threadIdx.x];
#pragma unroll 1
    for (int i = 0; i < rounds; ++i) {
#pragma unroll
        for (int j = 0; j < copies; ++j) { state = body(state); }
    }
    to[blockIdx.x * threads + threadIdx.x] = state;
}

/// An operand that every round reads anew, as the main loops do.
__device__ const Affine& in_memory(const Affine* operands) {
    asm volatile("" ::: "memory");
    return operands[threadIdx.x];
}

}  // namespace

#define MILLRACE_PROBE(name, State, copies, ...)                                      \
    extern "C" __global__ void __launch_bounds__(threads, 4) probe_##name##_##copies( \
        const State* from, State* to, const Affine* operands, int rounds) {           \
        const Affine operand = operands[threadIdx.x];                                 \
        repeat<copies>(from, to, rounds, [&](const State& a) {                        \
            (void)operand;                                                            \
            return __VA_ARGS__;                                                       \
        });                                                                           \
    }

// Small operations: one more copy, so that loop and operands cancel.
MILLRACE_PROBE(field_mul, Field, 1, mul(a, operand.x))
MILLRACE_PROBE(field_mul, Field, 2, mul(a, operand.x))
MILLRACE_PROBE(field_sqr, Field, 1, sqr(a))
MILLRACE_PROBE(field_sqr, Field, 2, sqr(a))
MILLRACE_PROBE(field_add, Field, 1, add(a, operand.x))
MILLRACE_PROBE(field_add, Field, 2, add(a, operand.x))
MILLRACE_PROBE(field_sub, Field, 1, sub(a, operand.x))
MILLRACE_PROBE(field_sub, Field, 2, sub(a, operand.x))
// Operations that fill the registers: one copy against none, which counts the loop with it.
MILLRACE_PROBE(point_double, Jacobian, 0, a)
MILLRACE_PROBE(point_double, Jacobian, 1, doubled(a))
MILLRACE_PROBE(point_add, Jacobian, 0, a)
MILLRACE_PROBE(point_add, Jacobian, 1, add_affine(a, in_memory(operands)))

}  // namespace millrace::kernels::gpu
