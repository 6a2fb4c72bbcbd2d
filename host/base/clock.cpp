// SPDX-License-Identifier: Apache-2.0
// Owns the reading of the system's clocks.
#include "host/base/clock.hpp"

#include <chrono>

namespace millrace {
namespace {

template <class SomeClock>
int64_t now_us() noexcept {
    const auto now = SomeClock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

}  // namespace

int64_t SystemClock::wall_us() const noexcept { return now_us<std::chrono::system_clock>(); }
int64_t SystemClock::steady_us() const noexcept { return now_us<std::chrono::steady_clock>(); }

}  // namespace millrace
