// SPDX-License-Identifier: Apache-2.0
// Owns the file interface over the system calls of the operating system.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "storage/detail/system_error.hpp"
#include "storage/io/file_system.hpp"

namespace millrace::storage {

std::unexpected<Error> detail::system_failure(int error, std::string_view what,
                                              const std::string& path) {
    ErrorCode code = ErrorCode::io;
    std::string remedy;
    switch (error) {
        case ENOENT:
        case ENOTDIR: code = ErrorCode::not_found; break;
        case ENOSPC:
        case EDQUOT:
            code = ErrorCode::limit;
            remedy = "; free disk space and it will be tried again";
            break;
        case EACCES:
        case EPERM:
        case EROFS: remedy = "; check owner, permissions and mount options"; break;
        case EMFILE:
        case ENFILE: remedy = "; raise the limit of open files"; break;
        default: break;
    }
    return fail(code, std::string{what} + " " + path + ": " +
                          std::generic_category().message(error) + remedy);
}

namespace {

using detail::system_failure;

constexpr size_t uncached_alignment_bytes = 4096;

class Descriptor {
public:
    explicit Descriptor(int fd) noexcept : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) { ::close(fd_); }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const noexcept { return fd_; }

private:
    int fd_;
};

int open_retrying(const std::string& path, int flags) {
    int fd;
    do { fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644); } while (fd < 0 && errno == EINTR);
    return fd;
}

class PosixFile final : public File {
public:
    PosixFile(std::string path, int fd, bool uncached = false)
        : File(std::move(path)), fd_(fd), uncached_(uncached) {}

    Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) const override {
        size_t done = 0;
        while (done < into.size()) {
            const ssize_t n = ::pread(fd_.get(), into.data() + done, into.size() - done,
                                      static_cast<off_t>(offset + done));
            if (n < 0 && errno == EINTR) { continue; }
            if (n < 0) { return system_failure(errno, "cannot read", path()); }
            if (n == 0) { break; }
            done += static_cast<size_t>(n);
            // The end of the file; reads from other offsets are refused.
            if (uncached_ && done % uncached_alignment_bytes != 0) { break; }
        }
        return done;
    }

    Result<void> write_at(uint64_t offset, ByteView data) override {
        size_t done = 0;
        while (done < data.size()) {
            const ssize_t n = ::pwrite(fd_.get(), data.data() + done, data.size() - done,
                                       static_cast<off_t>(offset + done));
            if (n < 0 && errno == EINTR) { continue; }
            if (n < 0) { return system_failure(errno, "cannot write", path()); }
            if (n == 0) { return system_failure(EIO, "cannot write", path()); }
            done += static_cast<size_t>(n);
        }
        return {};
    }

    Result<void> sync_data() override {
        // Not repeated on failure: the kernel may have dropped the pages and would then report
        // success for data that is gone.
        if (::fdatasync(fd_.get()) != 0) {
            return fail(ErrorCode::io,
                        "cannot flush " + path() + ": " + std::generic_category().message(errno));
        }
        return {};
    }

    Result<uint64_t> size() const override {
        struct stat st;
        if (::fstat(fd_.get(), &st) != 0) { return system_failure(errno, "cannot stat", path()); }
        return static_cast<uint64_t>(st.st_size);
    }

    Result<void> truncate(uint64_t size) override {
        int r;
        do {
            r = ::ftruncate(fd_.get(), static_cast<off_t>(size));
        } while (r != 0 && errno == EINTR);
        if (r != 0) { return system_failure(errno, "cannot resize", path()); }
        return {};
    }

    Result<void> preallocate(uint64_t bytes) override {
        int r;
        do {
            r = ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(bytes));
        } while (r != 0 && errno == EINTR);
        if (r == 0) { return {}; }
        if (errno != EOPNOTSUPP && errno != ENOSYS) {
            return system_failure(errno, "cannot reserve space for", path());
        }
        // File systems without fallocate: zeros have to be written to get the space.
        MILLRACE_TRY(uint64_t at, size());
        const Bytes zeros(size_t{1} << 20);
        while (at < bytes) {
            const size_t n = static_cast<size_t>(std::min<uint64_t>(zeros.size(), bytes - at));
            MILLRACE_CHECK(write_at(at, ByteView{zeros}.first(n)));
            at += n;
        }
        return {};
    }

    int descriptor() const noexcept override { return fd_.get(); }

private:
    Descriptor fd_;
    bool uncached_;
};

class PosixLock final : public FileLock {
public:
    explicit PosixLock(int fd) : fd_(fd) {}

private:
    Descriptor fd_;
};

class PosixFileSystem final : public FileSystem {
public:
    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
        int flags = 0;
        switch (mode) {
            case OpenMode::read: flags = O_RDONLY; break;
            case OpenMode::read_write: flags = O_RDWR; break;
            case OpenMode::create: flags = O_RDWR | O_CREAT; break;
            case OpenMode::create_new: flags = O_RDWR | O_CREAT | O_EXCL; break;
            case OpenMode::create_or_wipe: flags = O_RDWR | O_CREAT | O_TRUNC; break;
        }
        const int fd = open_retrying(path, flags);
        if (fd < 0) { return system_failure(errno, "cannot open", path); }
        return std::make_unique<PosixFile>(path, fd);
    }

    Result<std::unique_ptr<File>> open_uncached(const std::string& path) override {
        const int fd = open_retrying(path, O_RDONLY | O_DIRECT);
        if (fd >= 0) { return std::make_unique<PosixFile>(path, fd, true); }
        // Not every file system can.
        if (errno == EINVAL) { return open(path, OpenMode::read); }
        return system_failure(errno, "cannot open", path);
    }

    Result<bool> exists(const std::string& path) override {
        struct stat st;
        if (::stat(path.c_str(), &st) == 0) { return true; }
        if (errno == ENOENT || errno == ENOTDIR) { return false; }
        return system_failure(errno, "cannot stat", path);
    }

    Result<void> create_directory(const std::string& path) override {
        if (::mkdir(path.c_str(), 0755) == 0) { return sync_directory(parent_path(path)); }
        if (errno == ENOENT) {
            const std::string parent = parent_path(path);
            if (parent == path || parent == ".") {
                return system_failure(ENOENT, "cannot create directory", path);
            }
            MILLRACE_CHECK(create_directory(parent));
            if (::mkdir(path.c_str(), 0755) == 0) { return sync_directory(parent); }
        }
        if (errno == EEXIST) {
            struct stat st;
            if (::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) { return {}; }
            errno = EEXIST;
        }
        return system_failure(errno, "cannot create directory", path);
    }

    Result<void> sync_directory(const std::string& path) override {
        const Descriptor fd{open_retrying(path, O_RDONLY | O_DIRECTORY)};
        if (fd.get() < 0) { return system_failure(errno, "cannot open directory", path); }
        if (::fsync(fd.get()) != 0) {
            return fail(ErrorCode::io, "cannot flush directory " + path + ": " +
                                           std::generic_category().message(errno));
        }
        return {};
    }

    Result<void> rename(const std::string& from, const std::string& to) override {
        if (::rename(from.c_str(), to.c_str()) != 0) {
            return system_failure(errno, "cannot rename to " + to + " the file", from);
        }
        return {};
    }

    Result<void> remove(const std::string& path) override {
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
            return system_failure(errno, "cannot remove", path);
        }
        return {};
    }

    Result<std::vector<std::string>> list(const std::string& path) override {
        DIR* dir = ::opendir(path.c_str());
        if (dir == nullptr) { return system_failure(errno, "cannot list", path); }
        std::vector<std::string> names;
        errno = 0;
        while (const dirent* entry = ::readdir(dir)) {
            const std::string_view name = entry->d_name;
            if (name != "." && name != "..") { names.emplace_back(name); }
            errno = 0;
        }
        const int error = errno;
        ::closedir(dir);
        if (error != 0) { return system_failure(error, "cannot list", path); }
        std::sort(names.begin(), names.end());
        return names;
    }

    Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                           std::string_view owner) override {
        const int fd = open_retrying(path, O_RDWR | O_CREAT);
        if (fd < 0) { return system_failure(errno, "cannot open", path); }
        auto lock = std::make_unique<PosixLock>(fd);
        int r;
        do { r = ::flock(fd, LOCK_EX | LOCK_NB); } while (r != 0 && errno == EINTR);
        if (r != 0 && errno == EWOULDBLOCK) {
            char text[128] = {};
            const ssize_t n = ::pread(fd, text, sizeof text - 1, 0);
            std::string holder =
                n > 0 ? " (" + std::string{text, static_cast<size_t>(n)} + ")" : "";
            return fail(ErrorCode::conflict, path + " is locked by another process" + holder);
        }
        if (r != 0) { return system_failure(errno, "cannot lock", path); }
        // The text only helps people; the lock itself is what counts.
        if (::ftruncate(fd, 0) != 0 ||
            ::pwrite(fd, owner.data(), owner.size(), 0) != static_cast<ssize_t>(owner.size())) {
            return system_failure(errno, "cannot write", path);
        }
        return lock;
    }

    Result<uint64_t> free_bytes(const std::string& path) override {
        struct statvfs st;
        if (::statvfs(path.c_str(), &st) != 0) {
            return system_failure(errno, "cannot stat", path);
        }
        return static_cast<uint64_t>(st.f_bavail) * st.f_frsize;
    }
};

}  // namespace

std::unique_ptr<FileSystem> make_posix_file_system() { return std::make_unique<PosixFileSystem>(); }

}  // namespace millrace::storage
