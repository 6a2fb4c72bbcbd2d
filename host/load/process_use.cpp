// SPDX-License-Identifier: Apache-2.0
// Owns the reading of /proc.
#include "host/load/process_use.hpp"

#include <fstream>
#include <sstream>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

namespace millrace::load {

std::optional<ProcessSample> sample_process(int64_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(in, line)) { return std::nullopt; }
    // The name, in parentheses, may contain anything; what follows is fields 3 and up (proc(5)).
    const size_t end = line.rfind(')');
    if (end == std::string::npos) { return std::nullopt; }
    std::istringstream fields(line.substr(end + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field) { fields >> skipped; }
    uint64_t user = 0;
    uint64_t system = 0;
    fields >> user >> system;
    for (int field = 16; field < 24; ++field) { fields >> skipped; }
    uint64_t pages = 0;
    fields >> pages;
    if (!fields) { return std::nullopt; }
    const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    return ProcessSample{static_cast<double>(user + system) / ticks,
                         pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE))};
}

double own_cpu_s() {
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(use.ru_utime) + seconds(use.ru_stime);
}

}  // namespace millrace::load
