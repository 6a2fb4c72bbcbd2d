// SPDX-License-Identifier: Apache-2.0
// Owns files and names in memory.
#include "storage/io/memory_file_system.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <utility>

namespace millrace::storage {
namespace {

struct Content {
    std::shared_mutex mutex;  ///< guards the bytes
    Bytes bytes;
};

class MemoryFile final : public File {
public:
    MemoryFile(std::string path, std::shared_ptr<Content> content)
        : File(std::move(path)), content_(std::move(content)) {}

    Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) const override {
        const std::shared_lock lock{content_->mutex};
        const Bytes& bytes = content_->bytes;
        if (offset >= bytes.size()) { return size_t{0}; }
        const size_t count = std::min<uint64_t>(into.size(), bytes.size() - offset);
        std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset), count, into.begin());
        return count;
    }
    Result<void> write_at(uint64_t offset, ByteView data) override {
        const std::unique_lock lock{content_->mutex};
        Bytes& bytes = content_->bytes;
        if (bytes.size() < offset + data.size()) { bytes.resize(offset + data.size()); }
        std::ranges::copy(data, bytes.begin() + static_cast<ptrdiff_t>(offset));
        return {};
    }
    Result<void> sync_data() override { return {}; }
    Result<uint64_t> size() const override {
        const std::shared_lock lock{content_->mutex};
        return uint64_t{content_->bytes.size()};
    }
    Result<void> truncate(uint64_t size) override {
        const std::unique_lock lock{content_->mutex};
        content_->bytes.resize(size);
        return {};
    }
    Result<void> preallocate(uint64_t size) override {
        const std::unique_lock lock{content_->mutex};
        if (content_->bytes.size() < size) { content_->bytes.resize(size); }
        return {};
    }

private:
    std::shared_ptr<Content> content_;
};

class MemoryFileSystem final : public FileSystem {
public:
    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
        const std::scoped_lock lock{mutex_};
        const auto it = files_.find(path);
        const bool there = it != files_.end();
        if (!there && (mode == OpenMode::read || mode == OpenMode::read_write)) {
            return missing(path);
        }
        if (!there && !directories_.contains(parent_path(path))) { return missing(path); }
        if (there && mode == OpenMode::create_new) {
            return fail(ErrorCode::io, path + " exists already");
        }
        std::shared_ptr<Content>& content = files_[path];
        if (!there || mode == OpenMode::create_or_wipe) { content = std::make_shared<Content>(); }
        return std::make_unique<MemoryFile>(path, content);
    }
    Result<bool> exists(const std::string& path) override {
        const std::scoped_lock lock{mutex_};
        return files_.contains(path) || directories_.contains(path);
    }
    Result<void> create_directory(const std::string& path) override {
        const std::scoped_lock lock{mutex_};
        for (std::string at = path; at != "." && at != "/" && !at.empty(); at = parent_path(at)) {
            directories_.insert(at);
        }
        return {};
    }
    Result<void> sync_directory(const std::string&) override { return {}; }
    Result<void> rename(const std::string& from, const std::string& to) override {
        const std::scoped_lock lock{mutex_};
        const auto it = files_.find(from);
        if (it == files_.end()) { return missing(from); }
        std::shared_ptr<Content> content = std::move(it->second);
        files_.erase(it);
        files_[to] = std::move(content);
        return {};
    }
    Result<void> remove(const std::string& path) override {
        const std::scoped_lock lock{mutex_};
        files_.erase(path);
        return {};
    }
    Result<std::vector<std::string>> list(const std::string& path) override {
        const std::scoped_lock lock{mutex_};
        if (!directories_.contains(path)) { return missing(path); }
        std::set<std::string> names;
        const auto add = [&](const std::string& entry) {
            if (parent_path(entry) == path) { names.insert(entry.substr(path.size() + 1)); }
        };
        for (const auto& [name, content] : files_) { add(name); }
        for (const std::string& name : directories_) { add(name); }
        return std::vector<std::string>{names.begin(), names.end()};
    }
    Result<std::unique_ptr<FileLock>> lock(const std::string& path, std::string_view) override {
        const std::scoped_lock lock{mutex_};
        const std::scoped_lock lock_names{locked_->mutex};
        if (!locked_->paths.insert(path).second) {
            return fail(ErrorCode::conflict, path + " is locked");
        }
        files_.try_emplace(path, std::make_shared<Content>());
        return std::make_unique<Lock>(locked_, path);
    }
    Result<uint64_t> free_bytes(const std::string&) override {
        return std::numeric_limits<uint64_t>::max();
    }

private:
    struct Locked {
        std::mutex mutex;  ///< guards the paths
        std::set<std::string> paths;
    };
    class Lock final : public FileLock {
    public:
        Lock(std::shared_ptr<Locked> locked, std::string path)
            : locked_(std::move(locked)), path_(std::move(path)) {}
        ~Lock() override {
            const std::scoped_lock lock{locked_->mutex};
            locked_->paths.erase(path_);
        }

    private:
        std::shared_ptr<Locked> locked_;
        std::string path_;
    };

    static std::unexpected<Error> missing(const std::string& path) {
        return fail(ErrorCode::not_found, path + " does not exist");
    }

    std::mutex mutex_;  ///< guards everything below
    std::map<std::string, std::shared_ptr<Content>> files_;
    std::set<std::string> directories_;
    std::shared_ptr<Locked> locked_ = std::make_shared<Locked>();
};

}  // namespace

std::unique_ptr<FileSystem> make_memory_file_system() {
    return std::make_unique<MemoryFileSystem>();
}

}  // namespace millrace::storage
