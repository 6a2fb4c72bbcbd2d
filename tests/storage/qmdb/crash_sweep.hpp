// SPDX-License-Identifier: Apache-2.0
// Owns going through every operation at which the disk can fail, with several seeds.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace millrace::storage::qmdb {

/// Seeds of a sweep: `short_set`, or as many as MILLRACE_CRASH_SEEDS says.
inline uint64_t crash_seed_count(uint64_t short_set) {
    const char* const given = std::getenv("MILLRACE_CRASH_SEEDS");
    return given == nullptr ? short_set : std::strtoull(given, nullptr, 10);
}

/// The first thing that is wrong, with its operation and seed, or nothing. `crash_at(at, seed,
/// reached)` lets operation `at` fail, says what is wrong then, and clears `reached` when there was
/// no such operation any more.
template <class CrashAt>
std::string first_wrong_of(uint64_t seeds, const CrashAt& crash_at) {
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        bool reached = true;
        for (uint64_t at = 1; reached; ++at) {
            const std::string wrong = crash_at(at, 1000 * seed + at, reached);
            if (!wrong.empty()) {
                return wrong + " (operation " + std::to_string(at) + ", seed " +
                       std::to_string(seed) + ")";
            }
        }
    }
    return {};
}

}  // namespace millrace::storage::qmdb
