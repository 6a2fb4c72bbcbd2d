// SPDX-License-Identifier: Apache-2.0
// Owns the blocks of memory that lie over the files of another file system.
#include "storage/io/overlay_file_system.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

namespace millrace::storage {
namespace {

constexpr uint64_t block_bytes = 4096;
using Block = std::array<uint8_t, block_bytes>;

/// What a path names: a file of the base, as far as it is still to be seen, and blocks over it.
struct Content {
    std::mutex mutex;  ///< guards everything below
    std::unique_ptr<File> base;
    uint64_t base_bytes = 0;  ///< that are seen of the base; what follows reads as zeros
    uint64_t bytes = 0;
    std::map<uint64_t, Block> blocks;

    /// The mutex is held.
    Result<void> load(uint64_t index, Block& out) const {
        if (const auto it = blocks.find(index); it != blocks.end()) {
            out = it->second;
            return {};
        }
        out.fill(0);
        const uint64_t at = index * block_bytes;
        if (at >= base_bytes) { return {}; }
        const auto count = static_cast<size_t>(std::min(block_bytes, base_bytes - at));
        MILLRACE_TRY(const size_t got, base->read_at(at, std::span{out}.first(count)));
        std::fill(out.begin() + static_cast<ptrdiff_t>(got), out.end(), uint8_t{0});
        return {};
    }
    void cut(uint64_t size) {
        bytes = size;
        base_bytes = std::min(base_bytes, size);
        blocks.erase(blocks.lower_bound((size + block_bytes - 1) / block_bytes), blocks.end());
        const auto last = blocks.find(size / block_bytes);
        if (last != blocks.end()) {
            std::fill(last->second.begin() + static_cast<ptrdiff_t>(size % block_bytes),
                      last->second.end(), uint8_t{0});
        }
    }
};

class OverlayFile final : public File {
public:
    OverlayFile(std::string path, std::shared_ptr<Content> content, bool writable)
        : File(std::move(path)), content_(std::move(content)), writable_(writable) {}

    Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) const override {
        const std::lock_guard lock{content_->mutex};
        if (offset >= content_->bytes) { return size_t{0}; }
        const auto count =
            static_cast<size_t>(std::min<uint64_t>(into.size(), content_->bytes - offset));
        MILLRACE_CHECK(each_block(
            offset, count, [&](uint64_t index, size_t in, size_t at, size_t part) -> Result<void> {
                Block block;
                MILLRACE_CHECK(content_->load(index, block));
                std::memcpy(into.data() + at, block.data() + in, part);
                return {};
            }));
        return count;
    }
    Result<void> write_at(uint64_t offset, ByteView data) override {
        if (!writable_) { return fail(ErrorCode::io, path() + " is open for reading only"); }
        const std::lock_guard lock{content_->mutex};
        MILLRACE_CHECK(
            each_block(offset, data.size(),
                       [&](uint64_t index, size_t in, size_t at, size_t part) -> Result<void> {
                           Block block;
                           MILLRACE_CHECK(content_->load(index, block));
                           std::memcpy(block.data() + in, data.data() + at, part);
                           content_->blocks[index] = block;
                           return {};
                       }));
        content_->bytes = std::max(content_->bytes, offset + data.size());
        return {};
    }
    Result<void> sync_data() override { return {}; }
    Result<uint64_t> size() const override {
        const std::lock_guard lock{content_->mutex};
        return content_->bytes;
    }
    Result<void> truncate(uint64_t size) override {
        const std::lock_guard lock{content_->mutex};
        content_->cut(size);
        return {};
    }
    Result<void> preallocate(uint64_t size) override {
        const std::lock_guard lock{content_->mutex};
        content_->bytes = std::max(content_->bytes, size);
        return {};
    }

private:
    /// Calls visit(block, offset in it, offset in the whole, length) for each part of a range.
    template <class Visit>
    static Result<void> each_block(uint64_t offset, size_t count, Visit visit) {
        for (size_t at = 0; at < count;) {
            const uint64_t index = (offset + at) / block_bytes;
            const auto in = static_cast<size_t>((offset + at) % block_bytes);
            const size_t part = std::min(count - at, static_cast<size_t>(block_bytes) - in);
            MILLRACE_CHECK(visit(index, in, at, part));
            at += part;
        }
        return {};
    }

    std::shared_ptr<Content> content_;
    bool writable_;
};

class NoLock final : public FileLock {};

class OverlayFileSystem final : public FileSystem {
public:
    explicit OverlayFileSystem(FileSystem& base) : base_(base) {}

    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
        const std::lock_guard lock{mutex_};
        MILLRACE_TRY(auto content, find(path));
        if (content == nullptr) {
            if (mode == OpenMode::read || mode == OpenMode::read_write) {
                return fail(ErrorCode::not_found, path + " does not exist");
            }
            content = std::make_shared<Content>();
            files_[path] = content;
            removed_.erase(path);
        } else if (mode == OpenMode::create_new) {
            return fail(ErrorCode::io, path + " exists already");
        }
        if (mode == OpenMode::create_or_wipe) {
            const std::lock_guard inner{content->mutex};
            content->cut(0);
        }
        return std::make_unique<OverlayFile>(path, content, mode != OpenMode::read);
    }
    Result<bool> exists(const std::string& path) override {
        const std::lock_guard lock{mutex_};
        if (files_.contains(path) || directories_.contains(path)) { return true; }
        if (removed_.contains(path)) { return false; }
        return base_.exists(path);
    }
    Result<void> create_directory(const std::string& path) override {
        const std::lock_guard lock{mutex_};
        directories_.insert(path);
        return {};
    }
    Result<void> sync_directory(const std::string&) override { return {}; }
    Result<void> rename(const std::string& from, const std::string& to) override {
        const std::lock_guard lock{mutex_};
        MILLRACE_TRY(auto content, find(from));
        if (content == nullptr) { return fail(ErrorCode::not_found, from + " does not exist"); }
        files_.erase(from);
        removed_.insert(from);
        files_[to] = std::move(content);
        removed_.erase(to);
        return {};
    }
    Result<void> remove(const std::string& path) override {
        const std::lock_guard lock{mutex_};
        files_.erase(path);
        removed_.insert(path);
        return {};
    }
    Result<std::vector<std::string>> list(const std::string& path) override {
        const std::lock_guard lock{mutex_};
        std::set<std::string> names;
        MILLRACE_TRY(const bool there, base_.exists(path));
        if (there) {
            MILLRACE_TRY(const auto below, base_.list(path));
            for (const std::string& name : below) {
                if (!removed_.contains(join_path(path, name))) { names.insert(name); }
            }
        } else if (!directories_.contains(path)) {
            return fail(ErrorCode::not_found, path + " does not exist");
        }
        for (const auto& [file, content] : files_) {
            if (parent_path(file) == path) { names.insert(file.substr(path.size() + 1)); }
        }
        return std::vector<std::string>{names.begin(), names.end()};
    }
    Result<std::unique_ptr<FileLock>> lock(const std::string&, std::string_view) override {
        return std::make_unique<NoLock>();
    }
    Result<uint64_t> free_bytes(const std::string& path) override { return base_.free_bytes(path); }

private:
    /// Null when there is no such file. The mutex is held.
    Result<std::shared_ptr<Content>> find(const std::string& path) {
        if (const auto it = files_.find(path); it != files_.end()) { return it->second; }
        if (removed_.contains(path)) { return std::shared_ptr<Content>{}; }
        auto file = base_.open(path, OpenMode::read);
        if (!file && file.error().code == ErrorCode::not_found) {
            return std::shared_ptr<Content>{};
        }
        if (!file) { return std::unexpected(file.error()); }
        auto content = std::make_shared<Content>();
        MILLRACE_TRY(content->base_bytes, (*file)->size());
        content->bytes = content->base_bytes;
        content->base = *std::move(file);
        files_[path] = content;
        return content;
    }

    FileSystem& base_;
    std::mutex mutex_;  ///< guards everything below
    std::map<std::string, std::shared_ptr<Content>> files_;
    std::set<std::string> removed_;
    std::set<std::string> directories_;
};

}  // namespace

std::unique_ptr<FileSystem> make_overlay_file_system(FileSystem& base) {
    return std::make_unique<OverlayFileSystem>(base);
}

}  // namespace millrace::storage
