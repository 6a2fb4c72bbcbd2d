// SPDX-License-Identifier: Apache-2.0
// Owns reading what the system says of itself.
#include "kernels/bench/environment.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernels/bench/peaks.hpp"
#include "kernels/gpu_check/device.hpp"

namespace millrace::kernel_bench {

namespace {

/// What the kernels choose their code by.
constexpr std::string_view flags_that_matter[] = {
    "ssse3",    "sse4_1",     "avx",      "avx2",     "bmi2",      "adx",
    "sha_ni",   "avx512f",    "avx512bw", "avx512dq", "avx512vl",  "avx512ifma",
    "avx512cd", "avx512vbmi", "gfni",     "vaes",     "vpclmulqdq"};

/// The value of the first line "key : value" or "key=value" of a file of the system.
std::string value_in(const char* path, std::string_view key) {
    std::ifstream in(path);
    std::string line;
    while (std::getline(in, line)) {
        if (!line.starts_with(key)) { continue; }
        const size_t colon = line.find_first_of(":=", key.size());
        if (colon == std::string::npos || line.find_first_not_of(" \t", key.size()) != colon) {
            continue;
        }
        const size_t first = line.find_first_not_of(" \t\"", colon + 1);
        if (first == std::string::npos) { return {}; }
        return line.substr(first, line.find_last_not_of(" \t\"") - first + 1);
    }
    return {};
}

std::string known_flags(const std::string& all) {
    std::string out;
    std::istringstream words(all);
    for (std::string word; words >> word;) {
        if (std::ranges::find(flags_that_matter, word) != std::end(flags_that_matter)) {
            out += (out.empty() ? "" : " ") + word;
        }
    }
    return out;
}

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

std::string cuda_version(int number) {
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

void read_device(Environment& e) {
    const gpu_check::DeviceInfo device = gpu_check::find_device();
    if (!device.available) {
        e.gpu_absent = device.reason;
        return;
    }
    char text[160];
    std::snprintf(text, sizeof text, "%s (sm_%d, %d multiprocessors, %.2f GHz, %zu MiB)",
                  device.name.c_str(), device.architecture, device.multiprocessors,
                  device.clock_hz * 1e-9, device.memory_bytes >> 20);
    e.gpu = text;
    e.gpu_driver = "driver for CUDA " + cuda_version(device.driver) + ", run time " +
                   cuda_version(device.runtime);
}

}  // namespace

std::string load_average() {
    double loads[3] = {};
    if (getloadavg(loads, 3) != 3) { return "unknown"; }
    char text[64];
    std::snprintf(text, sizeof text, "%.2f %.2f %.2f", loads[0], loads[1], loads[2]);
    return text;
}

size_t allowed_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
        return static_cast<size_t>(CPU_COUNT(&set));
    }
    return std::max(1u, std::thread::hardware_concurrency());
}

Environment read_environment() {
    Environment e;
    e.load_before = load_average();
    e.date = utc_now();
    e.version = MILLRACE_VERSION;
    e.cpu = value_in("/proc/cpuinfo", "model name");
    const std::string family = value_in("/proc/cpuinfo", "cpu family");
    if (!family.empty()) {
        e.cpu += " (family " + family + ", model " + value_in("/proc/cpuinfo", "model") + ")";
    }
    e.cpu_flags = known_flags(value_in("/proc/cpuinfo", "flags"));
    e.nominal_mhz = std::atof(value_in("/proc/cpuinfo", "cpu MHz").c_str());
    e.core_ghz = measure_core_hz() * 1e-9;
    e.cores = static_cast<size_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
    e.cores_allowed = allowed_cores();
    e.memory_mib =
        static_cast<size_t>(std::atoll(value_in("/proc/meminfo", "MemTotal").c_str())) >> 10;
    e.os = value_in("/etc/os-release", "PRETTY_NAME");
    utsname u{};
    if (uname(&u) == 0) { e.kernel = std::string(u.sysname) + " " + u.release + " " + u.machine; }
#if defined(__clang__)
    e.compiler = "clang " __clang_version__;
#else
    e.compiler = "gcc " __VERSION__;
#endif
    e.build_type = MILLRACE_BUILD_TYPE;
    e.architecture_flag = MILLRACE_ARCH_FLAG;
    read_device(e);
    return e;
}

}  // namespace millrace::kernel_bench
