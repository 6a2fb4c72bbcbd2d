// SPDX-License-Identifier: Apache-2.0
// Owns the jobs on which back ends of recovery are compared: random, signed, and chosen by an
// attacker who knows the device's algorithm.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/secp256k1/recover.hpp"

namespace millrace::test {

/// Uniform digests, r and s: about half have no point.
std::vector<kernels::RecoverJob> random_jobs(size_t count, uint64_t seed);

/// Signatures by random keys, every third with a high s.
std::vector<kernels::RecoverJob> signed_jobs(size_t count, uint64_t seed);

/// Borders of r, s, z and parity in all combinations; points that are small multiples of the
/// generator with factors that make additions meet equal or opposite points, the key at infinity
/// among them; and factors at the edges of the endomorphism's split.
std::vector<kernels::RecoverJob> adversarial_jobs();

}  // namespace millrace::test
