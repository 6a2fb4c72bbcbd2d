// SPDX-License-Identifier: Apache-2.0
// Owns the device that makes a group of log frames durable with one flush, by io_uring or by plain
// system calls.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "storage/io/file_system.hpp"

namespace millrace::storage {

/// Writes groups. One owning thread.
class LogWriter {
public:
    virtual ~LogWriter() = default;

    /// Page-aligned staging memory. Data inside it takes the quickest way to the disk (registered
    /// with the kernel where that is possible); the content is the caller's.
    virtual std::span<uint8_t> buffer() noexcept = 0;
    /// Writes `data` at `offset` and, when `sync`, makes it durable before returning: this data,
    /// not what was written before without `sync`. Errors as in File: `limit` for a full disk, else
    /// `io`. After an error nothing is known to be durable.
    virtual Result<void> write(File& file, uint64_t offset, ByteView data, bool sync) = 0;
    /// "io_uring" or "pwrite".
    virtual std::string_view kind() const noexcept = 0;
    /// One sentence for the start-up log: what is used, and why when it is the fall-back.
    virtual const std::string& reason() const noexcept = 0;
};

inline constexpr size_t log_writer_buffer_bytes_default = size_t{4} << 20;

/// Plain write_at() and sync_data(); works on every File. `reason` is what reason() will say.
std::unique_ptr<LogWriter>
make_pwrite_log_writer(std::string reason, size_t buffer_bytes = log_writer_buffer_bytes_default);

/// io_uring with a registered buffer: one direct synchronous write, or a write with a linked
/// fdatasync. `ErrorCode::unavailable` when the
/// kernel refuses it or it was not built in. Files without a descriptor are refused.
Result<std::unique_ptr<LogWriter>>
make_uring_log_writer(size_t buffer_bytes = log_writer_buffer_bytes_default);

/// io_uring, or pwrite with the reason why not.
std::unique_ptr<LogWriter> make_log_writer(size_t buffer_bytes = log_writer_buffer_bytes_default);

}  // namespace millrace::storage
