// SPDX-License-Identifier: Apache-2.0
// Owns the list of families.
#include "kernels/bench/registry.hpp"

#include <algorithm>

namespace millrace::kernel_bench {

const std::vector<Family>& families() {
    static const std::vector<Family> list = {hash_family(), recover_family(), tree_family(),
                                             pack_family(), copy_family()};
    return list;
}

std::vector<std::string> family_names(const std::vector<Family>& list) {
    std::vector<std::string> names;
    for (const Family& family : list) { names.push_back(family.name); }
    return names;
}

std::vector<std::string> backend_names(const std::vector<Family>& list) {
    std::vector<std::string> names;
    for (const Family& family : list) {
        for (const std::string& backend : family.backends) {
            if (std::ranges::find(names, backend) == names.end()) { names.push_back(backend); }
        }
    }
    return names;
}

}  // namespace millrace::kernel_bench
