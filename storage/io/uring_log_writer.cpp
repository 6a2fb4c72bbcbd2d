// SPDX-License-Identifier: Apache-2.0
// Owns the log writer over io_uring: one submission writes a group and makes it durable.
#include "storage/io/log_writer.hpp"

#if defined(MILLRACE_HAVE_URING)

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "storage/detail/page_buffer.hpp"
#include "storage/detail/system_error.hpp"

namespace millrace::storage {
namespace {

using detail::system_failure;

class UringLogWriter final : public LogWriter {
public:
    explicit UringLogWriter(size_t buffer_bytes) : buffer_(buffer_bytes) {}
    ~UringLogWriter() override {
        if (ring_ready_) { io_uring_queue_exit(&ring_); }
        close_direct();
    }

    Result<void> start() {
        if (const int r = io_uring_queue_init(entries, &ring_, 0); r < 0) {
            return fail(ErrorCode::unavailable,
                        "io_uring_setup was refused (" + std::generic_category().message(-r) +
                            "; often a container's system call filter or the sysctl "
                            "kernel.io_uring_disabled)");
        }
        ring_ready_ = true;
        if (io_uring_probe* probe = io_uring_get_probe_ring(&ring_); probe != nullptr) {
            const bool supported = io_uring_opcode_supported(probe, IORING_OP_WRITE) != 0 &&
                                   io_uring_opcode_supported(probe, IORING_OP_FSYNC) != 0;
            io_uring_free_probe(probe);
            if (!supported) {
                return fail(ErrorCode::unavailable, "the kernel's io_uring lacks write or fsync");
            }
        }
        const iovec area{buffer_.span().data(), buffer_.span().size()};
        const int r = io_uring_register_buffers(&ring_, &area, 1);
        registered_ = r == 0;
        reason_ = "log is written by io_uring (direct and synchronous where the file system "
                  "allows it, else with a linked flush); ";
        reason_ += registered_
                       ? "registered buffer of " + std::to_string(area.iov_len >> 10) + " KiB"
                       : "buffer not registered (" + std::generic_category().message(-r) +
                             "; raise the limit of locked memory)";
        return {};
    }

    std::span<uint8_t> buffer() noexcept override { return buffer_.span(); }

    Result<void> write(File& file, uint64_t offset, ByteView data, bool sync) override {
        if (file.descriptor() < 0) {
            return fail(ErrorCode::internal, "io_uring needs a file of the operating system, " +
                                                 file.path() + " is none");
        }
        if (sync && fits_direct(offset, data) && open_direct(file)) {
            MILLRACE_TRY(const bool done, write_direct(file, offset, data));
            if (done) { return {}; }
        }
        do {
            const size_t n = std::min(data.size(), batch_bytes);
            const bool last = n == data.size();
            MILLRACE_CHECK(submit(file, offset, data.first(n), sync && last));
            offset += n;
            data = data.subspan(n);
        } while (!data.empty());
        return {};
    }

    std::string_view kind() const noexcept override { return "io_uring"; }
    const std::string& reason() const noexcept override { return reason_; }

private:
    static constexpr unsigned entries = 8;
    static constexpr size_t chunk_bytes = size_t{1} << 20;
    static constexpr size_t batch_bytes = (entries - 1) * chunk_bytes;
    static constexpr uint64_t sync_tag = ~uint64_t{0};

    static constexpr uint64_t block_bytes = 4096;

    bool fits_direct(uint64_t offset, ByteView data) noexcept {
        return !data.empty() && in_buffer(data) && offset % block_bytes == 0 &&
               data.size() % block_bytes == 0 &&
               reinterpret_cast<uintptr_t>(data.data()) % block_bytes == 0;
    }

    void close_direct() noexcept {
        if (direct_fd_ >= 0) { ::close(direct_fd_); }
        direct_fd_ = -1;
    }

    /// A second descriptor of the same file for direct writes, kept until another file comes. While
    /// it is open its inode cannot be given to another file, so the comparison is safe. False where
    /// the file system has no direct writes.
    bool open_direct(const File& file) {
        struct stat st;
        if (::fstat(file.descriptor(), &st) != 0) { return false; }
        if (direct_known_ && st.st_dev == direct_device_ && st.st_ino == direct_inode_) {
            return direct_fd_ >= 0;
        }
        close_direct();
        const std::string path = "/proc/self/fd/" + std::to_string(file.descriptor());
        direct_fd_ = ::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
        direct_known_ = direct_fd_ >= 0;
        direct_device_ = st.st_dev;
        direct_inode_ = st.st_ino;
        return direct_known_;
    }

    /// One write past the page cache that is durable when it completes: one device command where
    /// the space was written before, instead of a write and a flush through a kernel worker. False
    /// when it has to be done the other way.
    Result<bool> write_direct(File& file, uint64_t offset, ByteView data) {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        MILLRACE_ASSERT(sqe != nullptr, "the ring is empty between groups");
        const auto bytes = static_cast<unsigned>(data.size());
        if (registered_) {
            io_uring_prep_write_fixed(sqe, direct_fd_, data.data(), bytes, offset, 0);
        } else {
            io_uring_prep_write(sqe, direct_fd_, data.data(), bytes, offset);
        }
        sqe->rw_flags = RWF_DSYNC;
        sqe->user_data = 0;
        MILLRACE_CHECK(enter(1, file));
        size_t length[entries] = {data.size()};
        int write_error = 0;
        bool broken = false;
        int sync_result = 0;
        MILLRACE_CHECK(collect(1, length, file, write_error, broken, sync_result));
        if (write_error == EINVAL || write_error == EOPNOTSUPP) {
            // The device wants another alignment: give the path up for this file.
            close_direct();
            direct_known_ = true;
            return false;
        }
        if (write_error != 0) { return system_failure(write_error, "cannot write", file.path()); }
        return !broken;
    }

    bool in_buffer(ByteView data) noexcept {
        const auto area = buffer_.span();
        return data.data() >= area.data() && data.data() + data.size() <= area.data() + area.size();
    }

    /// One chain: writes in order, then the flush. A write that comes out short breaks the chain,
    /// and the kernel cancels what follows; the rest is then done by plain calls.
    Result<void> submit(File& file, uint64_t offset, ByteView data, bool sync) {
        const int fd = file.descriptor();
        const bool fixed = registered_ && in_buffer(data);
        unsigned count = 0;
        size_t length[entries] = {};
        for (size_t at = 0; at < data.size(); at += chunk_bytes) {
            const size_t n = std::min(chunk_bytes, data.size() - at);
            io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
            MILLRACE_ASSERT(sqe != nullptr, "the ring is empty between groups");
            if (fixed) {
                io_uring_prep_write_fixed(sqe, fd, data.data() + at, static_cast<unsigned>(n),
                                          offset + at, 0);
            } else {
                io_uring_prep_write(sqe, fd, data.data() + at, static_cast<unsigned>(n),
                                    offset + at);
            }
            const bool more = sync || at + n < data.size();
            sqe->flags |= more ? IOSQE_IO_LINK : 0;
            sqe->user_data = count;
            length[count++] = n;
        }
        if (sync) {
            io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
            MILLRACE_ASSERT(sqe != nullptr, "the ring is empty between groups");
            io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
            sqe->user_data = sync_tag;
            ++count;
        }
        if (count == 0) { return {}; }
        MILLRACE_CHECK(enter(count, file));
        int write_error = 0;
        bool broken = false;
        int sync_result = 0;
        MILLRACE_CHECK(collect(count, length, file, write_error, broken, sync_result));
        if (write_error != 0) { return system_failure(write_error, "cannot write", file.path()); }
        if (broken) {
            MILLRACE_CHECK(file.write_at(offset, data));
            return sync ? file.sync_data() : Result<void>{};
        }
        if (sync_result < 0) {
            return fail(ErrorCode::io, "cannot flush " + file.path() + ": " +
                                           std::generic_category().message(-sync_result));
        }
        return {};
    }

    Result<void> enter(unsigned count, const File& file) {
        unsigned submitted = 0;
        while (submitted < count) {
            const int r = io_uring_submit_and_wait(&ring_, count - submitted);
            if (r == -EINTR || r == -EAGAIN) { continue; }
            if (r < 0) {
                return fail(ErrorCode::io, "io_uring_enter for " + file.path() + ": " +
                                               std::generic_category().message(-r));
            }
            submitted += static_cast<unsigned>(r);
        }
        return {};
    }

    Result<void> collect(unsigned count, const size_t (&length)[entries], const File& file,
                         int& write_error, bool& broken, int& sync_result) {
        for (unsigned i = 0; i < count; ++i) {
            io_uring_cqe* cqe = nullptr;
            int r;
            do { r = io_uring_wait_cqe(&ring_, &cqe); } while (r == -EINTR);
            if (r < 0) {
                return fail(ErrorCode::io, "waiting for io_uring on " + file.path() + ": " +
                                               std::generic_category().message(-r));
            }
            if (cqe->user_data == sync_tag) {
                sync_result = cqe->res;
            } else if (cqe->res < 0 && cqe->res != -ECANCELED) {
                write_error = -cqe->res;
            } else if (cqe->res != static_cast<int>(length[cqe->user_data])) {
                broken = true;
            }
            io_uring_cqe_seen(&ring_, cqe);
        }
        return {};
    }

    detail::PageBuffer buffer_;
    io_uring ring_{};
    bool ring_ready_ = false;
    bool registered_ = false;
    int direct_fd_ = -1;
    bool direct_known_ = false;  ///< the two numbers below name the file of direct_fd_
    dev_t direct_device_ = 0;
    ino_t direct_inode_ = 0;
    std::string reason_;
};

}  // namespace

Result<std::unique_ptr<LogWriter>> make_uring_log_writer(size_t buffer_bytes) {
    auto writer = std::make_unique<UringLogWriter>(buffer_bytes);
    MILLRACE_CHECK(writer->start());
    return writer;
}

}  // namespace millrace::storage

#else

namespace millrace::storage {

Result<std::unique_ptr<LogWriter>> make_uring_log_writer(size_t) {
    return fail(ErrorCode::unavailable, "this program was built without io_uring");
}

}  // namespace millrace::storage

#endif
