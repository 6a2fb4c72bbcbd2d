// SPDX-License-Identifier: Apache-2.0
// Owns the known answers that go with each batch of a device.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "host/base/types.hpp"
#include "kernels/secp256k1/detail/gpu/known_answers.hpp"

namespace millrace::kernels::detail {

/// Known answers of a batch: half at its front, half at its end. Of each half one job is valid and
/// one is not; which ones changes from batch to batch.
inline constexpr size_t recover_canaries = 4;
std::array<const gpu::KnownAnswer*, recover_canaries> canaries_of(uint64_t epoch) noexcept;

/// Messages around a batch of messages: they hold the epoch, so that the digests of another batch
/// are wrong.
inline constexpr size_t keccak_canaries = 2;
class KeccakCanaries {
public:
    explicit KeccakCanaries(uint64_t epoch) noexcept;
    ByteView front() const noexcept { return front_; }
    /// Longer than a block of the hash.
    ByteView back() const noexcept { return back_; }

private:
    std::array<uint8_t, 8> front_;
    std::array<uint8_t, 150> back_;
};

}  // namespace millrace::kernels::detail
