// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of the state transition on a bare RV64IM machine with the one on the host.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "host/base/hex.hpp"
#include "tests/evm/freestanding/scenario_digest.hpp"

#ifndef MILLRACE_QEMU_RISCV64
#define MILLRACE_QEMU_RISCV64 ""
#endif
#ifndef MILLRACE_GUEST
#define MILLRACE_GUEST ""
#endif

namespace millrace::evm::freestanding {
namespace {

constexpr uint64_t first_seed = 1;

struct Program {
    int status = -1;
    std::vector<std::string> lines;
};

Program run(const std::string& command) {
    Program out;
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) { return out; }
    std::array<char, 256> line{};
    while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
        out.lines.emplace_back(line.data());
        if (!out.lines.back().empty() && out.lines.back().back() == '\n') {
            out.lines.back().pop_back();
        }
    }
    out.status = pclose(pipe);
    return out;
}

uint64_t scenario_count() {
    const char* wanted = std::getenv("MILLRACE_FREESTANDING_SCENARIOS");
    return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 3'000;
}

TEST(Freestanding, StateTransitionGivesTheSameOnABareRiscVMachine) {
    const std::string guest = MILLRACE_GUEST;
    if (guest.empty()) {
        GTEST_SKIP() << "not built: needs libc++-19-dev, picolibc-riscv64-unknown-elf and lld-19";
    }
    const std::string emulator = MILLRACE_QEMU_RISCV64;
    if (emulator.empty()) { GTEST_SKIP() << "built, not run: needs qemu-user (qemu-riscv64)"; }
    const uint64_t count = scenario_count();
    const Program got = run("'" + emulator + "' '" + guest + "' " + std::to_string(first_seed) +
                            " " + std::to_string(count));
    EXPECT_EQ(got.status, 0);
    ASSERT_EQ(got.lines.size(), count);
    Workspace workspace;
    for (uint64_t i = 0; i < count; ++i) {
        const uint64_t seed = first_seed + i;
        ASSERT_EQ(got.lines[i], to_hex(scenario_digest(seed, workspace))) << "scenario " << seed;
    }
}

}  // namespace
}  // namespace millrace::evm::freestanding
