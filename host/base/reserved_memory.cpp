// SPDX-License-Identifier: Apache-2.0
// Owns the mmap calls behind ReservedMemory.
#include "host/base/reserved_memory.hpp"

#include <sys/mman.h>

namespace millrace {

ReservedMemory::ReservedMemory(size_t bytes, size_t bytes_min) {
    for (size_t n = bytes; n >= bytes_min && n != 0; n /= 2) {
        void* p = mmap(nullptr, n, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p != MAP_FAILED) {
            data_ = static_cast<uint8_t*>(p);
            size_ = n;
            return;
        }
    }
    MILLRACE_ASSERT(false, "address space for execution memory can be reserved (check ulimit -v)");
}

ReservedMemory::~ReservedMemory() {
    if (data_ != nullptr) { munmap(data_, size_); }
}

void ReservedMemory::release_from(size_t offset) noexcept {
    constexpr size_t page = 4096;
    const size_t from = (offset + page - 1) / page * page;
    if (from < size_) { madvise(data_ + from, size_ - from, MADV_DONTNEED); }
}

}  // namespace millrace
