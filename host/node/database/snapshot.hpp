// SPDX-License-Identifier: Apache-2.0
// Owns copies of a data directory that can be checked, and the way back from them.
#pragma once

#include <cstdint>
#include <string>

#include "host/base/error.hpp"
#include "storage/io/file_system.hpp"

namespace millrace::node {

// A snapshot is a folder with the files of a data directory under their names, and a text file
// SNAPSHOT:
//   millrace snapshot 1
//   SIZE DIGEST PATH        for each file, in the order of the paths
//   crc32c = 0x..           of all lines before
// DIGEST is the Keccak-256 of the Keccak-256 digests of the file's pieces of 1 MiB, one after the
// other. Paths are relative. SNAPSHOT is written last: a folder without it is no snapshot.

struct SnapshotReport {
    uint64_t files = 0;
    uint64_t bytes = 0;
};

/// Copies the data directory `from`, which no node has open, to `to`, which is missing or empty.
/// The directory is not checked before (verify_database does). `ErrorCode::not_found` and
/// `conflict` as DataDir::open_existing, `invalid_input` when `to` has content, `limit` for a full
/// disk; what was copied then is no snapshot.
Result<SnapshotReport> make_snapshot(storage::FileSystem& fs, const std::string& from,
                                     const std::string& to);

/// Makes the data directory `to`, which is missing or empty, out of a snapshot. Every file is
/// compared with SNAPSHOT while it is copied; FORMAT comes last, so that what was interrupted is
/// never taken for a data directory. `ErrorCode::corrupt` names the file that is damaged, missing
/// or too much.
Result<SnapshotReport> restore_snapshot(storage::FileSystem& fs, const std::string& from,
                                        const std::string& to);

}  // namespace millrace::node
