// SPDX-License-Identifier: Apache-2.0
// Owns the reading of the system's accounts of threads.
#include "host/node/benchmark/thread_times.hpp"

#include <filesystem>
#include <fstream>

namespace millrace::node {

std::map<std::string, double> thread_times_ns() {
    std::map<std::string, double> times;
    std::error_code ec;
    for (std::filesystem::directory_iterator it("/proc/self/task", ec), end; !ec && it != end;
         it.increment(ec)) {
        // A thread that ends meanwhile has no files any more.
        std::string name;
        double ns = 0;
        if (!std::getline(std::ifstream(it->path() / "comm"), name)) { continue; }
        if (!(std::ifstream(it->path() / "schedstat") >> ns)) { continue; }
        const size_t last = name.find_last_not_of("0123456789");
        name.resize(last == std::string::npos ? 0 : last + 1);
        if (name.ends_with('-')) { name.pop_back(); }
        times[name] += ns;
    }
    return times;
}

}  // namespace millrace::node
