// SPDX-License-Identifier: Apache-2.0
// Owns the log writer over plain system calls and the choice between it and io_uring.
#include "storage/io/log_writer.hpp"

#include "storage/detail/page_buffer.hpp"

namespace millrace::storage {
namespace {

class PwriteLogWriter final : public LogWriter {
public:
    PwriteLogWriter(std::string reason, size_t buffer_bytes)
        : buffer_(buffer_bytes), reason_(std::move(reason)) {}

    std::span<uint8_t> buffer() noexcept override { return buffer_.span(); }

    Result<void> write(File& file, uint64_t offset, ByteView data, bool sync) override {
        MILLRACE_CHECK(file.write_at(offset, data));
        if (sync) { MILLRACE_CHECK(file.sync_data()); }
        return {};
    }

    std::string_view kind() const noexcept override { return "pwrite"; }
    const std::string& reason() const noexcept override { return reason_; }

private:
    detail::PageBuffer buffer_;
    std::string reason_;
};

}  // namespace

std::unique_ptr<LogWriter> make_pwrite_log_writer(std::string reason, size_t buffer_bytes) {
    return std::make_unique<PwriteLogWriter>(std::move(reason), buffer_bytes);
}

std::unique_ptr<LogWriter> make_log_writer(size_t buffer_bytes) {
    auto uring = make_uring_log_writer(buffer_bytes);
    if (uring) { return *std::move(uring); }
    return make_pwrite_log_writer(
        "log is written by pwrite and fdatasync: " + uring.error().message, buffer_bytes);
}

}  // namespace millrace::storage
