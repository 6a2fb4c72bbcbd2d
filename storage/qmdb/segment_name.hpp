// SPDX-License-Identifier: Apache-2.0
// Owns the names of the files of the entry log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::storage::qmdb {

/// The segment that is being made, before it gets its own name.
inline constexpr std::string_view spare_name = "entries.spare";
/// The segment that is being rewritten, before it replaces the one that it was.
inline constexpr std::string_view rewrite_name = "entries.rewrite";
/// Where blocks were taken back last (CutRecord).
inline constexpr std::string_view cut_name = "entries.cut";

std::string segment_name(uint64_t number);
/// The number of a segment's name, or nothing when it is none.
std::optional<uint64_t> segment_number(std::string_view name);

}  // namespace millrace::storage::qmdb
