// SPDX-License-Identifier: Apache-2.0
// Owns the check of everything that a data directory holds.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/base/error.hpp"
#include "host/sequencer/genesis.hpp"
#include "storage/datadir.hpp"
#include "storage/io/file_system.hpp"

namespace millrace::node {

/// A part of the directory, and what there is of it.
struct DatabasePart {
    std::string name;  ///< "log", "checkpoints", "blocks", "roots" or "state"
    std::vector<std::pair<std::string, std::string>> figures;  ///< names and values, for people
};

struct DatabaseReport {
    storage::DataDirIdentity identity;
    std::vector<DatabasePart> parts;
    /// One message for each damage: file, offset where it is known, and what was seen.
    std::vector<std::string> damages;
    /// What is no damage but worth knowing, such as records that were never acknowledged.
    std::vector<std::string> notes;
};

struct VerifyOptions {
    /// The state before the log where there is no checkpoint; null when it is not known.
    const sequencer::Genesis* genesis = nullptr;
    /// A state engine's folder that is checked as well; empty for `state` in the directory, if that
    /// is there.
    std::string state_directory;
    /// False leaves out what takes long: roots, blocks and entries are not computed again.
    bool deep = true;
};

/// Reads and checks all of it; changes nothing. Fails as DataDir::open_existing when there is
/// nothing to check or a node has it open; damage is in the report.
Result<DatabaseReport> verify_database(storage::FileSystem& fs, const std::string& path,
                                       const VerifyOptions& options);

}  // namespace millrace::node
