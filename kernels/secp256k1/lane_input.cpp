// SPDX-License-Identifier: Apache-2.0
// Owns the scalar work before the lanes: one inversion for a chunk of jobs, splitting and recoding.
#include "kernels/secp256k1/detail/lane_input.hpp"

#include <algorithm>
#include <array>

#include "kernels/secp256k1/detail/scalar.hpp"

namespace millrace::kernels::detail {

namespace {

bool in_group_order(const U256& v) noexcept { return !v.is_zero() && v < secp256k1_order; }

void set_x(LaneInput& in, size_t lane, const U256& r) noexcept {
    constexpr uint64_t mask = (uint64_t{1} << 52) - 1;
    in.x[0][lane] = r.w[0] & mask;
    in.x[1][lane] = (r.w[0] >> 52 | r.w[1] << 12) & mask;
    in.x[2][lane] = (r.w[1] >> 40 | r.w[2] << 24) & mask;
    in.x[3][lane] = (r.w[2] >> 28 | r.w[3] << 36) & mask;
    in.x[4][lane] = r.w[3] >> 16;
}

}  // namespace

bool values_valid(const RecoverJob& job) noexcept {
    return job.y_parity <= 1 && in_group_order(job.r) && in_group_order(job.s);
}

void fill_lanes(std::span<const RecoverJob> jobs, LaneInput* in) noexcept {
    const size_t vectors = (jobs.size() + lanes_x8 - 1) / lanes_x8;
    std::fill_n(in, vectors, LaneInput{});
    // One inversion modulo n for all (Montgomery's trick). A job out of range is passed over, so
    // that its r, perhaps zero, cannot poison the others.
    std::array<U256, chunk_jobs> prefix;
    U256 product{1};
    for (size_t i = 0; i < jobs.size(); ++i) {
        prefix[i] = product;
        if (values_valid(jobs[i])) { product = mul_mod_order(product, jobs[i].r); }
    }
    U256 rest = inverse_mod_order(product);
    for (size_t i = jobs.size(); i-- > 0;) {
        const RecoverJob& job = jobs[i];
        if (!values_valid(job)) { continue; }
        const U256 r_inverse = mul_mod_order(rest, prefix[i]);
        rest = mul_mod_order(rest, job.r);
        const U256 z_over_r = mul_mod_order(to_u256(job.digest), r_inverse);
        const U256 u1 = z_over_r.is_zero() ? z_over_r : secp256k1_order - z_over_r;
        const U256 u2 = mul_mod_order(job.s, r_inverse);

        LaneInput& vector = in[i / lanes_x8];
        const size_t lane = i % lanes_x8;
        set_x(vector, lane, job.r);
        vector.y_parity[lane] = job.y_parity;
        const SplitScalar parts = split_scalar(u2);
        uint64_t words[5];
        recode_half(parts.first, words);
        for (size_t w = 0; w < 3; ++w) { vector.first[w][lane] = words[w]; }
        recode_half(parts.second, words);
        for (size_t w = 0; w < 3; ++w) { vector.second[w][lane] = words[w]; }
        recode_scalar(u1, words);
        for (size_t w = 0; w < 5; ++w) { vector.generator[w][lane] = words[w]; }
    }
}

}  // namespace millrace::kernels::detail
