// SPDX-License-Identifier: Apache-2.0
// Owns how many operations a hash takes at least, and what an H200 can do of them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "kernels/bench/workload.hpp"

namespace millrace::kernel_bench {

enum class HashKind : uint8_t { keccak256, sha256, blake3 };

/// Bounds of hashing messages of one length by a contender; none where no unit of it is named by
/// its target, and none on a device other than the one that the limits were derived for.
std::vector<Ceiling> hash_ceilings(HashKind hash, size_t message_bytes, const Contender& contender);

/// The bound of a bus of PCIe Gen5 x16 on items whose input goes to an H200.
std::vector<Ceiling> bus_ceilings(size_t bytes_in, const Contender& contender);

/// Whether the limits derived for an H200 hold for the contender.
bool runs_on_h200(const Contender& contender);

}  // namespace millrace::kernel_bench
