// SPDX-License-Identifier: Apache-2.0
// Owns how the host writes a job into the slot that a device reads, and reads the result.
#pragma once

#include "host/base/types.hpp"
#include "kernels/secp256k1/detail/gpu/stages.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::kernels::gpu {

inline void write_slot(const RecoverJob& job, uint32_t tag, RecoverSlot& slot) noexcept {
    static_assert(sizeof slot.r == sizeof job.r.w);
    std::memcpy(slot.digest, job.digest.data(), sizeof slot.digest);
    // Little-endian halves of little-endian limbs.
    std::memcpy(slot.r, job.r.w, sizeof slot.r);
    std::memcpy(slot.s, job.s.w, sizeof slot.s);
    slot.y_parity = job.y_parity;
    slot.tag = tag;
    std::memset(slot.unused, 0, sizeof slot.unused);
}

inline Address address_of(const RecoverOutput& output) noexcept {
    Address address;
    std::memcpy(address.data(), output.address, Address::size_bytes);
    return address;
}

}  // namespace millrace::kernels::gpu
