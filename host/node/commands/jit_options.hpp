// SPDX-License-Identifier: Apache-2.0
// Owns the options of compiled code that several commands share.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "evm/jit/engine.hpp"

namespace millrace::node {

struct JitArguments {
    std::string mode = "off";  ///< off, on or eager
    uint32_t shadow_runs = evm::jit::JitOptions{}.shadow_runs;
    std::string cache_directory;
};

/// Adds --jit, --jit.shadow-runs and --jit.cache.
void add_jit_options(CLI::App& command, JitArguments& arguments);

/// The tier that the arguments ask for: null for `off`; an error when there is no compiler.
Result<std::unique_ptr<evm::jit::JitEngine>> make_jit(const JitArguments& arguments);

/// What it did, as a few lines of text; differences from the interpreter first.
std::string jit_summary(const evm::jit::JitEngine& engine);

}  // namespace millrace::node
