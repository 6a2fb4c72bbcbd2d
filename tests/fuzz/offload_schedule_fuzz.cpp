// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of the offload engine: the input is a schedule of submissions, workers, time
// and faults of a device, and nothing may be lost, repeated or wrong.
#include <cstdint>
#include <cstdio>
#include <span>

#include "host/base/error.hpp"
#include "host/base/log.hpp"
#include "tests/kernels/offload/schedule.hpp"

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
    // A quarantine is what most inputs are about.
    millrace::log::configure({millrace::log::Level::error, millrace::log::Format::terminal});
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    constexpr size_t script_bytes_max = 2048;
    if (size > script_bytes_max) { return 0; }
    const auto outcome = millrace::kernels::run_schedule(std::span(data, size));
    if (!outcome.wrong.empty()) { std::fprintf(stderr, "%s\n", outcome.wrong.c_str()); }
    MILLRACE_ASSERT(outcome.wrong.empty(), "a schedule loses, repeats and falsifies nothing");
    return 0;
}
