// SPDX-License-Identifier: Apache-2.0
// Owns the choice of the known answers for a batch.
#include "kernels/offload/detail/canary.hpp"

#include <cstring>

namespace millrace::kernels::detail {

namespace {

constexpr size_t count_with(gpu::Verdict verdict) {
    size_t count = 0;
    for (const gpu::KnownAnswer& answer : gpu::known_answers) {
        count += answer.verdict == verdict ? 1 : 0;
    }
    return count;
}

template <gpu::Verdict verdict>
constexpr auto answers_with = [] {
    std::array<const gpu::KnownAnswer*, count_with(verdict)> answers{};
    size_t count = 0;
    for (const gpu::KnownAnswer& answer : gpu::known_answers) {
        if (answer.verdict == verdict) { answers[count++] = &answer; }
    }
    return answers;
}();

}  // namespace

std::array<const gpu::KnownAnswer*, recover_canaries> canaries_of(uint64_t epoch) noexcept {
    const auto& valid = answers_with<gpu::verdict_valid>;
    const auto& invalid = answers_with<gpu::verdict_invalid>;
    return {valid[epoch % valid.size()], invalid[epoch % invalid.size()],
            invalid[(epoch + 1) % invalid.size()], valid[(epoch + 1) % valid.size()]};
}

KeccakCanaries::KeccakCanaries(uint64_t epoch) noexcept {
    std::memcpy(front_.data(), &epoch, sizeof epoch);
    back_.fill(0x5a);
    std::memcpy(back_.data(), &epoch, sizeof epoch);
}

}  // namespace millrace::kernels::detail
