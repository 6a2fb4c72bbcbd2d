// SPDX-License-Identifier: Apache-2.0
#include "host/node/benchmark/evm_worst_cases.hpp"

#include <gtest/gtest.h>

#include <set>

#include "evm/core/opcodes.hpp"

namespace millrace::node {
namespace {

void collect(const Bytes& code, std::set<uint8_t>& opcodes) {
    for (size_t i = 0; i < code.size(); ++i) {
        const uint8_t op = code[i];
        opcodes.insert(op);
        if (op >= 0x60 && op <= 0x7f) { i += op - 0x5fu; }
    }
}

TEST(EvmWorstCases, CoverEveryOpcode) {
    std::set<uint8_t> used;
    for (const EvmWorstCase& c : evm_worst_cases()) {
        collect(c.code, used);
        collect(c.account_code, used);
    }
    for (unsigned op = 0; op < 256; ++op) {
        const auto byte = static_cast<uint8_t>(op);
        if (evm::opcode_name(byte) == "UNDEFINED") { continue; }
        EXPECT_TRUE(used.contains(byte)) << evm::opcode_name(byte);
    }
}

TEST(EvmWorstCases, EveryProgramFitsAndHasANameOfItsOwn) {
    std::set<std::string> names;
    for (const EvmWorstCase& c : evm_worst_cases()) {
        EXPECT_TRUE(names.insert(c.name).second) << c.name;
        EXPECT_LE(c.code.size(), 24'576u) << c.name;
    }
}

TEST(EvmWorstCases, EndAsTheyShouldAndComeSlowestFirst) {
    EvmWorstCaseOptions options;
    options.runs_min = 1;
    options.seconds_min = 0;
    const auto timings = run_evm_worst_cases(options);
    ASSERT_TRUE(timings.has_value()) << timings.error().message;
    EXPECT_EQ(timings->size(), evm_worst_cases().size());
    for (size_t i = 1; i < timings->size(); ++i) {
        EXPECT_LE((*timings)[i - 1].mgas_per_s, (*timings)[i].mgas_per_s);
    }
    EXPECT_GT(median_mgas_per_s(*timings), 0);
}

}  // namespace
}  // namespace millrace::node
