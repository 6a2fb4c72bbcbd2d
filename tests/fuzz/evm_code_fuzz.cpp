// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of code analysis: jump destinations, padding, EIP-7702 designators.
#include <cstddef>
#include <cstdint>
#include <set>

#include "evm/core/code.hpp"
#include "host/base/error.hpp"
#include "tests/evm/differential/generator.hpp"

using namespace millrace;

namespace {

/// Yellow paper 9.4.3, read as it is written: N steps over the immediates of PUSH1 to PUSH32.
std::set<size_t> jump_destinations(const Bytes& code) {
    std::set<size_t> valid;
    for (size_t i = 0; i < code.size();) {
        const unsigned op = code[i];
        if (op == 0x5b) { valid.insert(i); }
        i += op >= 0x60 && op <= 0x7f ? op - 0x60 + 2 : 1;
    }
    return valid;
}

void check(const Bytes& code) {
    const evm::AnalyzedCode analyzed{code};
    MILLRACE_ASSERT(analyzed.size() == code.size(), "analysis keeps the size");
    MILLRACE_ASSERT(
        std::equal(code.begin(), code.end(), analyzed.bytes().begin(), analyzed.bytes().end()),
        "analysis keeps the bytes");
    const std::set<size_t> valid = jump_destinations(code);
    for (size_t i = 0; i < code.size() + 300; ++i) {
        MILLRACE_ASSERT(analyzed.is_jump_destination(i) == valid.contains(i),
                        "jump destinations agree");
    }
    for (const uint64_t far : {uint64_t{1} << 32, uint64_t{1} << 63, ~uint64_t{0}}) {
        MILLRACE_ASSERT(!analyzed.is_jump_destination(far),
                        "nothing beyond the end is a destination");
    }
    const bool designates =
        code.size() == 23 && code[0] == 0xef && code[1] == 0x01 && code[2] == 0x00;
    MILLRACE_ASSERT(analyzed.delegation().has_value() == designates, "designators are recognised");
    if (designates) {
        MILLRACE_ASSERT(evm::delegation_designator(*analyzed.delegation()) == code,
                        "a designator encodes back");
    }
}

}  // namespace

/// The first byte says whether the rest is code or the generator's decisions.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) { return 0; }
    const ByteView rest{data + 1, size - 1};
    if (data[0] % 4 != 0) {
        check(Bytes(rest.begin(), rest.end()));
    } else {
        evm::differential::Choices choices{rest};
        check(evm::differential::generate_code(choices, evm::latest_revision));
    }
    return 0;
}
