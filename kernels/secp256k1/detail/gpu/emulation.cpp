// SPDX-License-Identifier: Apache-2.0
// Owns the loops that stand for the device's kernels, and the memory that stands for its own.
#include "kernels/secp256k1/detail/gpu/emulation.hpp"

#include <vector>

#include "kernels/secp256k1/detail/gpu/generator_table.hpp"

namespace millrace::kernels::gpu {

void recover_emulated(std::span<const RecoverJob> jobs, std::span<RecoverOutput> outputs,
                      uint32_t stride) {
    static const std::vector<Affine> table = make_generator_table();
    const uint32_t count = static_cast<uint32_t>(jobs.size());
    std::vector<RecoverSlot> slots(count);
    for (uint32_t i = 0; i < count; ++i) { write_slot(jobs[i], i, slots[i]); }
    std::vector<uint32_t> numbers(size_t{33} * count);
    std::vector<uint8_t> point_digits(size_t{2 * point_windows} * count);
    std::vector<uint16_t> generator_digits(size_t{generator_windows} * count);
    std::vector<PointTable> tables(count);
    const auto eight_limbs = [&](size_t i) { return numbers.data() + 8 * i * count; };
    const Workspace w{.capacity = count,
                      .x = eight_limbs(0),
                      .y = eight_limbs(1),
                      .z = eight_limbs(2),
                      .prefix = eight_limbs(3),
                      .point_digits = point_digits.data(),
                      .generator_digits = generator_digits.data(),
                      .verdict = eight_limbs(4),
                      .tables = tables.data()};
    for (uint32_t i = 0; i < count; ++i) { prepare(w, slots.data(), i); }
    for (uint32_t i = 0; i < stride; ++i) { make_digits(w, slots.data(), i, stride, count); }
    for (uint32_t i = 0; i < count; ++i) { tabulate(w, i); }
    for (uint32_t i = 0; i < count; ++i) { multiply(w, table.data(), i); }
    for (uint32_t i = 0; i < stride; ++i) {
        finish(w, slots.data(), outputs.data(), kernels::detail::keccak_round_constants, i, stride,
               count);
    }
}

}  // namespace millrace::kernels::gpu
