// SPDX-License-Identifier: Apache-2.0
// Owns mapping and reading of a segment.
#include "storage/qmdb/segment_file.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/mman.h>

#include "storage/detail/system_error.hpp"
#include "storage/qmdb/rewritten_segment.hpp"

namespace millrace::storage::qmdb {

Result<SegmentFile> SegmentFile::open(std::unique_ptr<File> file, uint64_t bytes, bool map,
                                      ReadOrder order) {
    if (!map || file->descriptor() < 0) {
        return SegmentFile{std::move(file), bytes, nullptr, nullptr};
    }
    void* const at = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file->descriptor(), 0);
    if (at == MAP_FAILED) { return detail::system_failure(errno, "cannot map", file->path()); }
    // Entries are read one at a time from anywhere.
    const int advice = order == ReadOrder::random ? MADV_RANDOM : MADV_SEQUENTIAL;
    if (madvise(at, bytes, advice) != 0) {
        const int error = errno;
        munmap(at, bytes);
        return detail::system_failure(error, "cannot map", file->path());
    }
    auto guard = std::make_unique<MappingGuard>();
    if (!guard->guard(at, bytes)) {
        munmap(at, bytes);
        return SegmentFile{std::move(file), bytes, nullptr, nullptr};
    }
    return SegmentFile{std::move(file), bytes, static_cast<const uint8_t*>(at), std::move(guard)};
}

void SegmentFile::expect(Order order) const noexcept {
    if (map_ == nullptr) { return; }
    madvise(const_cast<uint8_t*>(map_), bytes_,
            order == Order::random ? MADV_RANDOM : MADV_SEQUENTIAL);
}

SegmentFile::SegmentFile(std::unique_ptr<File> file, uint64_t bytes, const uint8_t* map,
                         std::unique_ptr<MappingGuard> guard) noexcept
    : file_(std::move(file)), guard_(std::move(guard)), map_(map), bytes_(bytes) {}

void SegmentFile::set_rewritten(std::unique_ptr<const RewrittenSegment> rewritten) noexcept {
    rewritten_ = std::move(rewritten);
}

SegmentFile::SegmentFile(SegmentFile&& other) noexcept
    : file_(std::move(other.file_)),
      guard_(std::move(other.guard_)),
      map_(std::exchange(other.map_, nullptr)),
      bytes_(other.bytes_),
      rewritten_(std::move(other.rewritten_)) {}

SegmentFile& SegmentFile::operator=(SegmentFile&& other) noexcept {
    if (this != &other) {
        unmap();
        file_ = std::move(other.file_);
        guard_ = std::move(other.guard_);
        map_ = std::exchange(other.map_, nullptr);
        bytes_ = other.bytes_;
        rewritten_ = std::move(other.rewritten_);
    }
    return *this;
}

SegmentFile::~SegmentFile() { unmap(); }

void SegmentFile::unmap() noexcept {
    guard_.reset();
    if (map_ != nullptr) { munmap(const_cast<uint8_t*>(map_), bytes_); }
    map_ = nullptr;
}

Result<ByteView> SegmentFile::read(uint64_t offset, size_t bytes,
                                   std::span<uint8_t> scratch) const {
    const size_t n = std::min<uint64_t>(bytes, offset < bytes_ ? bytes_ - offset : 0);
    if (map_ != nullptr) { return ByteView{map_ + offset, n}; }
    MILLRACE_ASSERT(scratch.size() >= n, "the caller has room for what it reads");
    MILLRACE_TRY(const size_t got, file_->read_at(offset, scratch.first(n)));
    return ByteView{scratch.first(got)};
}

}  // namespace millrace::storage::qmdb
