// SPDX-License-Identifier: Apache-2.0
// Owns the CPU time of this process by its threads' names.
#pragma once

#include <map>
#include <string>

namespace millrace::node {

/// CPU time in nanoseconds of the threads that live now, added up by name; a number at a name's end
/// is left out ("mr-exec-0" and "mr-exec-1" are one). The system counts it at each change of
/// thread, so what a running thread has done since the last one is missing. Empty where the system
/// does not tell.
std::map<std::string, double> thread_times_ns();

}  // namespace millrace::node
