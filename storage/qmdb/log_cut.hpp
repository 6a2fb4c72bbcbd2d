// SPDX-License-Identifier: Apache-2.0
// Owns the record of the last cut of the entry log, by which blocks were taken back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "storage/io/file_system.hpp"

namespace millrace::storage::qmdb {

inline constexpr uint32_t cut_magic = 0x3143514d;  // "MQC1"
inline constexpr uint16_t cut_version = 1;

/// The whole file `entries.cut`, little-endian. It is replaced as a whole, so after a crash it is
/// the one before or the one after. There is none before the first cut.
///
/// The log ends at `end` as soon as this record is durable with pending = 1: a start then removes
/// what lies behind, whatever of it is left, before it reads the log. When that is durable too, the
/// record is replaced by the same with pending = 0. From then on a frame behind `sequence` with a
/// lower generation than this one is damage: it was taken back and the disk brought it back.
struct CutRecord {
    uint32_t magic = cut_magic;
    uint16_t version = cut_version;
    uint16_t pending = 0;
    uint32_t header_crc = 0;  ///< CRC-32C of this record with this field zero
    uint32_t reserved = 0;
    uint64_t log_id = 0;
    uint64_t generation = 0;  ///< of the frames that follow; above that of every frame before
    uint64_t sequence = 0;    ///< of the last frame that stayed
    uint64_t end = 0;         ///< segment number times segment size plus offset behind that frame
};
static_assert(sizeof(CutRecord) == 48 && std::is_trivially_copyable_v<CutRecord>);

/// Nothing unless it is a record and nothing else.
std::optional<CutRecord> decode_cut_record(ByteView data) noexcept;
/// Nothing when there is no such file. `ErrorCode::corrupt` when it is damaged.
Result<std::optional<CutRecord>> read_cut_record(FileSystem& fs, const std::string& path);
/// Replaces the file durably. Errors as replace_file.
Result<void> write_cut_record(FileSystem& fs, const std::string& path, CutRecord record);

}  // namespace millrace::storage::qmdb
