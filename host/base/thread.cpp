// SPDX-License-Identifier: Apache-2.0
// Owns the system calls that name and bind a thread.
#include "host/base/thread.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace millrace {

void set_thread_name(std::string_view name) noexcept {
    constexpr size_t name_bytes_max = 15;
    char text[name_bytes_max + 1] = {};
    const size_t n = std::min(name.size(), name_bytes_max);
    if (n != 0) { std::memcpy(text, name.data(), n); }
    // The one documented failure for the calling thread is a name that is too long.
    const int rc = pthread_setname_np(pthread_self(), text);
    static_cast<void>(rc);
}

Result<void> pin_thread_to_cpu(unsigned cpu) {
    if (cpu >= CPU_SETSIZE) {
        return fail(ErrorCode::unavailable, "cannot bind a thread to cpu " + std::to_string(cpu) +
                                                ": the highest number is " +
                                                std::to_string(CPU_SETSIZE - 1));
    }
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    const int rc = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    if (rc != 0) {
        return fail(ErrorCode::unavailable, "cannot bind a thread to cpu " + std::to_string(cpu) +
                                                " (errno " + std::to_string(rc) +
                                                "): choose one of the process's own processors");
    }
    return {};
}

void lower_thread_priority() noexcept {
    // On Linux both go by threads. The numbers of ioprio_set are in no header of the C library.
    constexpr int nice_background = 10;
    constexpr int who_thread = 1;
    constexpr int best_effort_lowest = 2 << 13 | 7;
    const auto thread = static_cast<id_t>(syscall(SYS_gettid));
    const int nice_rc = setpriority(PRIO_PROCESS, thread, nice_background);
    const long io_rc = syscall(SYS_ioprio_set, who_thread, thread, best_effort_lowest);
    static_cast<void>(nice_rc);
    static_cast<void>(io_rc);
}

}  // namespace millrace
