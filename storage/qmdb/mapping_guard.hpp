// SPDX-License-Identifier: Apache-2.0
// Owns what happens when the disk cannot give a page of a mapped file.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace millrace::storage::qmdb {

/// A range of memory that is a mapped file. Where a page of it cannot be read (the disk fails, or
/// the file was cut) the kernel raises SIGBUS; then the page becomes one of zeros, which no
/// checksum accepts, and failed() says so. Other SIGBUS go where they went before. Any thread.
///
/// The handler of the process is installed with the first range. Reading by system calls instead
/// would cost more than half of an update (README).
class MappingGuard {
public:
    /// Nothing is guarded before guard().
    MappingGuard() = default;
    ~MappingGuard() { release(); }
    MappingGuard(const MappingGuard&) = delete;
    MappingGuard& operator=(const MappingGuard&) = delete;

    /// False when the handler cannot be installed or 4,096 ranges are guarded already.
    bool guard(const void* at, size_t bytes) noexcept;
    /// Before the range is unmapped.
    void release() noexcept;
    bool failed() const noexcept;

    /// In memory that a signal handler reads.
    struct Range {
        std::atomic<uintptr_t> begin = 0;  ///< 0 when it is free
        std::atomic<uintptr_t> end = 0;
        std::atomic<bool> failed = false;
        std::atomic<bool> taken = false;
    };

private:
    Range* range_ = nullptr;
};

}  // namespace millrace::storage::qmdb
