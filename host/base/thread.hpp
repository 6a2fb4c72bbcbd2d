// SPDX-License-Identifier: Apache-2.0
// Owns what the system is told about a thread: its name and the processor it runs on.
#pragma once

#include <string_view>

#include "host/base/error.hpp"

namespace millrace {

/// Names the calling thread for debuggers, `top -H` and crash reports. The system keeps 15 bytes;
/// a longer name is cut. Never fails: a name is an aid, not a need.
void set_thread_name(std::string_view name) noexcept;

/// Binds the calling thread to one processor, counted from 0. Fails with `unavailable` when there
/// is no such processor or the process may not use it; the thread then runs on as before.
Result<void> pin_thread_to_cpu(unsigned cpu);

/// Lets the calling thread run, and its disk operations, after those of others where both wait.
/// Never fails: what the system does not grant costs only speed.
void lower_thread_priority() noexcept;

}  // namespace millrace
