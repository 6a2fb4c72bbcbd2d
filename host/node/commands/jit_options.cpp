// SPDX-License-Identifier: Apache-2.0
// Owns --jit and what belongs to it.
#include "host/node/commands/jit_options.hpp"

#include "host/base/hex.hpp"

namespace millrace::node {

void add_jit_options(CLI::App& command, JitArguments& a) {
    command
        .add_option("--jit", a.mode,
                    "Compiled code: off; on: what has used much gas, in the background; eager: "
                    "everything before it runs")
        ->check(CLI::IsMember({"off", "on", "eager"}))
        ->capture_default_str();
    command
        .add_option("--jit.shadow-runs", a.shadow_runs,
                    "Runs of a contract's compiled code that the interpreter repeats and compares")
        ->capture_default_str();
    command.add_option("--jit.cache", a.cache_directory,
                       "Directory that keeps compiled contracts between runs");
}

Result<std::unique_ptr<evm::jit::JitEngine>> make_jit(const JitArguments& a) {
    if (a.mode == "off") { return nullptr; }
    evm::jit::JitOptions options;
    options.mode = a.mode == "eager" ? evm::jit::JitMode::eager : evm::jit::JitMode::on;
    options.shadow_runs = a.shadow_runs;
    options.cache_directory = a.cache_directory;
    return evm::jit::JitEngine::create(std::move(options));
}

std::string jit_summary(const evm::jit::JitEngine& engine) {
    const evm::jit::JitStatistics s = engine.statistics();
    std::string out;
    for (const evm::jit::JitDifference& d : engine.differences()) {
        out += "jit: DIFFERENCE in contract " + to_hex(d.code_hash) + " at " +
               std::string(to_string(d.revision)) + ": " + d.what + "; code " + to_hex(d.code) +
               ", input " + to_hex(d.input) + ", gas " + std::to_string(d.gas) + "\n";
    }
    for (const evm::jit::JitContract& c : engine.contracts()) {
        if (c.refused.empty()) { continue; }
        out += "jit: refused " + to_hex(c.code_hash) + " of " + std::to_string(c.code_bytes) +
               " bytes: " + c.refused + "\n";
    }
    out += "jit: " + std::to_string(s.compiled) + " contracts compiled in " +
           std::to_string(s.compile_us / 1000) + " ms, " + std::to_string(s.refused_by_compiler) +
           " refused, " + std::to_string(s.refused_by_shadow) + " differ; frames: " +
           std::to_string(s.native_frames) + " compiled, " + std::to_string(s.shadow_frames) +
           " both ways, " + std::to_string(s.left_frames) + " finished by the interpreter\n";
    return out;
}

}  // namespace millrace::node
