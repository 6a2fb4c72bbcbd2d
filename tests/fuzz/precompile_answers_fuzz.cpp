// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target that compares every precompile with its oracle on made inputs.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/evm/precompiles/oracles/oracles.hpp"

namespace {

using namespace millrace;
using namespace millrace::evm;

/// The precompile that MILLRACE_FUZZ_PART names, or all of them.
size_t chosen_part() {
    const char* name = std::getenv("MILLRACE_FUZZ_PART");
    if (name == nullptr || *name == '\0') { return oracles::all_oracles.size(); }
    for (size_t i = 0; i < oracles::all_oracles.size(); ++i) {
        if (oracles::all_oracles[i].name == name) { return i; }
    }
    std::fprintf(stderr, "MILLRACE_FUZZ_PART=%s is none of:", name);
    for (const auto& oracle : oracles::all_oracles) {
        std::fprintf(stderr, " %.*s", static_cast<int>(oracle.name.size()), oracle.name.data());
    }
    std::fputc('\n', stderr);
    std::exit(2);
}

}  // namespace

/// Input: the number of the oracle, then the bytes that it decides by.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const size_t part = chosen_part();
    if (size == 0) { return -1; }
    const size_t index = data[0] % oracles::all_oracles.size();
    // -1 keeps what belongs to other parts out of the corpus.
    if (part != oracles::all_oracles.size() && part != index) { return -1; }
    oracles::Choices choices{ByteView{data + 1, size - 1}};
    oracles::Findings findings;
    oracles::all_oracles[index].run(choices, findings);
    if (!findings.first().empty()) {
        std::fprintf(stderr, "%s\n", findings.first().c_str());
        std::abort();
    }
    return 0;
}
