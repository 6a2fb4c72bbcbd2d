// SPDX-License-Identifier: Apache-2.0
// Owns reading and writing the files of compiled contracts.
#include "evm/jit/object_cache.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "evm/jit/runtime.hpp"
#include "host/base/hex.hpp"
#include "kernels/sha256/sha256.hpp"

namespace millrace::evm::jit {
namespace {

namespace fs = std::filesystem;

constexpr char magic[8] = {'M', 'R', 'J', 'I', 'T', 'O', '0', '1'};
constexpr const char* object_suffix = ".mrjit";
constexpr const char* forbidden_suffix = ".refused";
constexpr size_t object_bytes_max = size_t{64} << 20;
constexpr size_t why_bytes_max = 64 << 10;
/// What a file takes of the disk at least.
constexpr uint64_t file_bytes_min = 4'096;

struct Header {
    char magic[8];
    uint64_t key;
    uint8_t code_hash[32];
    uint16_t revision;
    uint16_t optimized;
    uint32_t stack_bytes;
    uint32_t text_bytes;
    uint32_t object_bytes;
    uint8_t sha256[32];
};
static_assert(sizeof(Header) == 96 && std::is_trivially_copyable_v<Header>);
constexpr size_t summed_header_bytes = sizeof(Header) - 32;

uint64_t cache_key() {
    const std::string cpu = codegen_cpu();
    uint64_t hash = runtime_version();
    for (const char c : cpu) { hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3; }
    return hash;
}

/// Nobody else can have written it.
bool is_ours(const struct stat& about) noexcept {
    return about.st_uid == ::geteuid() && (about.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/// The whole of a regular file of ours; nothing when it is not there or is something else.
std::optional<Bytes> read_ours(const fs::path& path, size_t bytes_max) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) { return std::nullopt; }
    struct stat about{};
    std::optional<Bytes> out;
    if (::fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && is_ours(about) &&
        static_cast<uint64_t>(about.st_size) <= bytes_max) {
        out.emplace(static_cast<size_t>(about.st_size));
        size_t done = 0;
        while (done < out->size()) {
            const ssize_t n = ::read(fd, out->data() + done, out->size() - done);
            if (n <= 0) { break; }
            done += static_cast<size_t>(n);
        }
        out->resize(done);
    }
    ::close(fd);
    return out;
}

Hash256 sum_of(const Header& header, ByteView object) {
    Bytes all(summed_header_bytes + object.size());
    std::memcpy(all.data(), &header, summed_header_bytes);
    std::copy(object.begin(), object.end(), all.begin() + summed_header_bytes);
    return kernels::sha256(all);
}

}  // namespace

ObjectCache::ObjectCache(fs::path directory, size_t bytes_max)
    : directory_(std::move(directory)), bytes_max_(bytes_max), key_(cache_key()) {}

Result<std::unique_ptr<ObjectCache>> ObjectCache::open(fs::path directory, size_t bytes_max) {
    std::error_code error;
    if (const fs::path parent = directory.parent_path(); !parent.empty()) {
        fs::create_directories(parent, error);
    }
    struct stat about{};
    if ((::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) ||
        ::stat(directory.c_str(), &about) != 0) {
        return fail(ErrorCode::io, "cannot make the directory of compiled contracts " +
                                       directory.string() + ": " + std::strerror(errno));
    }
    // What is in there is run.
    if (!S_ISDIR(about.st_mode) || !is_ours(about)) {
        return fail(ErrorCode::config,
                    directory.string() +
                        " is not a directory that only this user can write to; compiled contracts "
                        "are not kept in another");
    }
    return std::unique_ptr<ObjectCache>(new ObjectCache(std::move(directory), bytes_max));
}

fs::path ObjectCache::file_of(const Hash256& code_hash, Revision revision,
                              const char* suffix) const {
    char key[17];
    std::snprintf(key, sizeof key, "%016llx", static_cast<unsigned long long>(key_));
    return directory_ / (to_hex(code_hash).substr(2) + "-" +
                         std::to_string(static_cast<unsigned>(revision)) + "-" + key + suffix);
}

Result<CompiledObject> ObjectCache::find(const Hash256& code_hash, Revision revision) {
    if (const auto why = read_ours(file_of(code_hash, revision, forbidden_suffix), why_bytes_max)) {
        const std::string line(why->begin(), why->end());
        return fail(ErrorCode::conflict, "refused for good: " + line.substr(0, line.find('\n')));
    }
    const fs::path path = file_of(code_hash, revision, object_suffix);
    const auto file = read_ours(path, sizeof(Header) + object_bytes_max);
    if (!file) { return fail(ErrorCode::not_found, "not in the cache"); }
    const auto damaged = [&path]() -> Result<CompiledObject> {
        std::error_code ignored;
        fs::remove(path, ignored);
        return fail(ErrorCode::corrupt, path.string() + " is damaged and was deleted");
    };
    if (file->size() < sizeof(Header)) { return damaged(); }
    Header header{};
    std::memcpy(&header, file->data(), sizeof header);
    if (std::memcmp(header.magic, magic, sizeof magic) != 0 || header.key != key_ ||
        header.revision != static_cast<uint16_t>(revision) || header.optimized > 1 ||
        std::memcmp(header.code_hash, code_hash.data(), 32) != 0 ||
        header.object_bytes != file->size() - sizeof(Header)) {
        return damaged();
    }
    CompiledObject out;
    out.object.assign(file->begin() + sizeof(Header), file->end());
    if (sum_of(header, out.object) != Hash256::from({header.sha256, 32})) { return damaged(); }
    out.stack_bytes = header.stack_bytes;
    out.text_bytes = header.text_bytes;
    out.optimized = header.optimized != 0;
    return out;
}

bool ObjectCache::write(const fs::path& to, ByteView bytes) {
    const fs::path temporary =
        directory_ / ("writing-" + std::to_string(getpid()) + "-" + std::to_string(counter_++));
    const int fd = ::open(temporary.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) { return false; }
    bool good = true;
    for (size_t done = 0; good && done < bytes.size();) {
        const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
        good = n > 0;
        if (good) { done += static_cast<size_t>(n); }
    }
    good = good && ::fdatasync(fd) == 0;
    ::close(fd);
    std::error_code error;
    if (good) { fs::rename(temporary, to, error); }
    if (!good || error) {
        fs::remove(temporary, error);
        return false;
    }
    return true;
}

void ObjectCache::make_room(size_t bytes) {
    // Looking at every file takes long where there are many: only when there may be too much.
    bytes_at_most_ += std::max<uint64_t>(bytes, file_bytes_min);
    if (scanned_ && bytes_at_most_ <= bytes_max_) { return; }
    struct File {
        fs::file_time_type time;
        uint64_t bytes;
        fs::path path;
    };
    std::vector<File> files;
    uint64_t total = bytes;
    std::error_code error;
    for (const auto& e : fs::directory_iterator(directory_, error)) {
        std::error_code one;
        const fs::path& path = e.path();
        File f{e.last_write_time(one), e.file_size(one), path};
        // What another process was killed in goes after a day.
        constexpr auto stale = std::chrono::hours(24);
        if (!one && path.filename().string().starts_with("writing-") &&
            fs::file_time_type::clock::now() - f.time > stale) {
            fs::remove(path, one);
            continue;
        }
        if (one || path.extension() != object_suffix) { continue; }
        f.bytes = std::max(f.bytes, file_bytes_min);
        total += f.bytes;
        files.push_back(std::move(f));
    }
    std::sort(files.begin(), files.end(),
              [](const File& a, const File& b) { return a.time < b.time; });
    // An eighth more than needed, so that the next look is not the next time.
    const uint64_t wanted = total > bytes_max_ ? bytes_max_ - bytes_max_ / 8 : bytes_max_;
    for (const File& f : files) {
        if (total <= wanted) { break; }
        if (fs::remove(f.path, error)) { total -= f.bytes; }
    }
    scanned_ = true;
    bytes_at_most_ = total;
}

void ObjectCache::add(const Hash256& code_hash, Revision revision, const CompiledObject& object) {
    if (object.object.size() + sizeof(Header) > bytes_max_) { return; }
    Header header{};
    std::memcpy(header.magic, magic, sizeof magic);
    header.key = key_;
    std::memcpy(header.code_hash, code_hash.data(), 32);
    header.revision = static_cast<uint16_t>(revision);
    header.optimized = object.optimized ? 1 : 0;
    header.stack_bytes = object.stack_bytes;
    header.text_bytes = object.text_bytes;
    header.object_bytes = static_cast<uint32_t>(object.object.size());
    const Hash256 sum = sum_of(header, object.object);
    std::memcpy(header.sha256, sum.data(), 32);
    Bytes file(sizeof header + object.object.size());
    std::memcpy(file.data(), &header, sizeof header);
    std::copy(object.object.begin(), object.object.end(), file.begin() + sizeof header);
    const std::lock_guard lock(mutex_);
    make_room(file.size());
    write(file_of(code_hash, revision, object_suffix), file);
}

void ObjectCache::forbid(const Hash256& code_hash, Revision revision, const std::string& why) {
    const std::string line = why + "\n";
    const std::lock_guard lock(mutex_);
    write(file_of(code_hash, revision, forbidden_suffix),
          {reinterpret_cast<const uint8_t*>(line.data()), line.size()});
    std::error_code ignored;
    fs::remove(file_of(code_hash, revision, object_suffix), ignored);
}

std::vector<ObjectCache::Entry> ObjectCache::entries() const {
    std::vector<Entry> out;
    std::error_code error;
    for (const auto& e : fs::directory_iterator(directory_, error)) {
        Entry entry;
        entry.name = e.path().stem().string();
        std::error_code one;
        entry.bytes = e.file_size(one);
        if (e.path().extension() == forbidden_suffix) {
            entry.forbidden = true;
            std::ifstream in(e.path());
            std::getline(in, entry.why);
        } else if (e.path().extension() != object_suffix) {
            continue;
        }
        out.push_back(std::move(entry));
    }
    std::sort(out.begin(), out.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
    return out;
}

}  // namespace millrace::evm::jit
