// SPDX-License-Identifier: Apache-2.0
// Owns the words in which damage to the entry log is reported.
#pragma once

#include <string>

#include "host/base/error.hpp"

namespace millrace::storage::qmdb::detail {

inline std::unexpected<Error> unreadable_log(const std::string& path) {
    return fail(ErrorCode::io, "the disk cannot read " + path +
                                   "; check it, then restore the data directory from a backup or "
                                   "a replica if what it holds is lost");
}

inline std::unexpected<Error> damaged_log(const std::string& path, uint64_t offset,
                                          const std::string& what) {
    return fail(ErrorCode::corrupt,
                "the entry log is damaged in " + path + " at offset " + std::to_string(offset) +
                    ": " + what +
                    ". Acknowledged data is behind this place, so nothing was changed. Check the "
                    "disk, then restore the data directory from a backup or a replica");
}

}  // namespace millrace::storage::qmdb::detail
