// SPDX-License-Identifier: Apache-2.0
// Owns a run of the engine's parts on one thread, in an order that bytes decide: submissions,
// workers, the device's thread, time, and what the device does.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace millrace::kernels {

struct ScheduleOutcome {
    std::string wrong;  ///< what was lost, repeated or answered wrongly; empty when nothing was
    uint64_t submissions = 0;
    uint64_t calls = 0;
    uint64_t device_batches = 0;
    uint64_t device_items = 0;  ///< that the device's batches had and were accepted
    bool quarantined = false;
};

/// The same bytes give the same run. When they are used up, the engine is shut down and has to
/// come to its end. Every result is compared with libsecp256k1, or the scalar hash.
ScheduleOutcome run_schedule(std::span<const uint8_t> script);

}  // namespace millrace::kernels
