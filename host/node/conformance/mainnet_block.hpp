// SPDX-License-Identifier: Apache-2.0
// Owns the execution of single blocks of Ethereum's main network from files that hold all they
// need.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evm/core/block_transition.hpp"
#include "host/base/error.hpp"

namespace millrace::node {

/// Everything that a block runs with.
struct MainnetBlock {
    evm::Revision revision = evm::Revision::frontier;
    uint64_t chain_id = 1;
    evm::Block block;
    evm::StateOverlay pre;
    std::vector<evm::RecoveredSigners> signers;
};

/// The block files (*.json, *.json.zst) at `path`, a file or a directory, whose names hold
/// `filter`, by name. `ErrorCode::not_found` when there is none.
Result<std::vector<std::string>> find_block_files(const std::string& path,
                                                  const std::string& filter);
/// Reads a block file and recovers the senders. Fails when the block is not the one that its header
/// hash names.
Result<MainnetBlock> read_mainnet_block(const std::string& path);

struct MainnetBlockOptions {
    unsigned repeat = 1;    ///< executions of each block; the fastest and the median are reported
    std::string filter;     ///< only files whose name holds this text
    /// Compiled code to run with (evm/jit); null for the interpreter.
    evm::NativeTier* native_tier = nullptr;
    bool progress = false;  ///< shows progress on standard error
    bool receipts = false;  ///< keeps the gas used up to each transaction in the report
};

struct MainnetBlockResult {
    std::string file;
    std::string fork;
    uint64_t number = 0;
    uint64_t transactions = 0;
    uint64_t gas_used = 0;
    bool receipts_root_checked = false;  ///< from Byzantium on
    /// Time of execution alone: no decoding, no signature recovery, no roots.
    double seconds_median = 0;
    double seconds_min = 0;
    std::string failure;  ///< empty: everything agrees
    std::vector<uint64_t> cumulative_gas_used;
};

/// Executes the block file (*.json or *.json.zst), or every one in the directory, at `path`:
/// header hash, body, gas used, logs bloom and, from Byzantium on, the receipts root must agree.
/// A malformed file is a failure of its own. Ordered by block number.
Result<std::vector<MainnetBlockResult>> run_mainnet_blocks(const std::string& path,
                                                           const MainnetBlockOptions& options);

/// A line per block and the sum.
std::string mainnet_text(const std::vector<MainnetBlockResult>& results);
std::string mainnet_json(const std::vector<MainnetBlockResult>& results, const std::string& path,
                         const MainnetBlockOptions& options);

}  // namespace millrace::node
