// SPDX-License-Identifier: Apache-2.0
// Owns reading and writing the files of compiled contracts.
#include "evm/jit/object_cache.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>

#include <fcntl.h>
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
    fs::create_directories(directory, error);
    if (error) {
        return fail(ErrorCode::io, "cannot make the directory of compiled contracts " +
                                       directory.string() + ": " + error.message());
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
    if (std::ifstream why(file_of(code_hash, revision, forbidden_suffix)); why) {
        std::string line;
        std::getline(why, line);
        return fail(ErrorCode::conflict, "refused for good: " + line);
    }
    const fs::path path = file_of(code_hash, revision, object_suffix);
    std::ifstream in(path, std::ios::binary);
    if (!in) { return fail(ErrorCode::not_found, "not in the cache"); }
    const auto damaged = [&path]() -> Result<CompiledObject> {
        std::error_code ignored;
        fs::remove(path, ignored);
        return fail(ErrorCode::corrupt, path.string() + " is damaged and was deleted");
    };
    Header header{};
    if (!in.read(reinterpret_cast<char*>(&header), sizeof header)) { return damaged(); }
    if (std::memcmp(header.magic, magic, sizeof magic) != 0 || header.key != key_ ||
        header.revision != static_cast<uint16_t>(revision) || header.optimized > 1 ||
        std::memcmp(header.code_hash, code_hash.data(), 32) != 0 ||
        header.object_bytes > object_bytes_max) {
        return damaged();
    }
    CompiledObject out;
    out.object.resize(header.object_bytes);
    if (!in.read(reinterpret_cast<char*>(out.object.data()),
                 static_cast<std::streamsize>(out.object.size())) ||
        in.peek() != std::ifstream::traits_type::eof() ||
        sum_of(header, out.object) != Hash256::from({header.sha256, 32})) {
        return damaged();
    }
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
        total += f.bytes;
        files.push_back(std::move(f));
    }
    std::sort(files.begin(), files.end(),
              [](const File& a, const File& b) { return a.time < b.time; });
    for (const File& f : files) {
        if (total <= bytes_max_) { return; }
        if (fs::remove(f.path, error)) { total -= f.bytes; }
    }
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
