// SPDX-License-Identifier: Apache-2.0
// Owns the list of families that can be measured: a new one is a file and a line of registry.cpp.
#pragma once

#include <string>
#include <vector>

#include "kernels/bench/workload.hpp"

namespace millrace::kernel_bench {

Family hash_family();
Family recover_family();
Family tree_family();
Family pack_family();
Family copy_family();

/// All families, in the order in which they run.
const std::vector<Family>& families();

/// Their names, and the names of the back ends that any of these has, each once.
std::vector<std::string> family_names(const std::vector<Family>& list);
std::vector<std::string> backend_names(const std::vector<Family>& list);

}  // namespace millrace::kernel_bench
