// SPDX-License-Identifier: Apache-2.0
// Owns the record of the machine and the build that a result comes from.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace millrace::kernel_bench {

struct Environment {
    std::string date;  ///< UTC, ISO 8601
    std::string version;
    std::string cpu;
    std::string cpu_flags;     ///< those that the kernels look for, of those that the CPU has
    double core_ghz = 0;       ///< measured, one core with a chain of additions
    double nominal_mhz = 0;    ///< as the system says; 0 when it does not
    size_t cores = 0;          ///< logical, of the machine
    size_t cores_allowed = 0;  ///< that this process may use
    size_t memory_mib = 0;
    std::string os;
    std::string kernel;
    std::string compiler;
    std::string build_type;
    std::string architecture_flag;  ///< -march of the build
    std::string load_before;        ///< load averages of 1, 5 and 15 minutes
    std::string load_after;
    std::string gpu;         ///< name, memory and clock; empty without one
    std::string gpu_driver;  ///< CUDA versions of the driver and of the run time
    std::string gpu_absent;  ///< why there is none
    std::vector<std::pair<std::string, std::string>> extra;  ///< --context
};

/// Reads all of it; `load_after` stays empty. Asks the CUDA driver.
Environment read_environment();

/// The load averages as the system writes them, e.g. "0.52 0.40 0.31".
std::string load_average();

/// CPU cores that this process may use, at least 1.
size_t allowed_cores();

}  // namespace millrace::kernel_bench
