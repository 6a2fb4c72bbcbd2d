// SPDX-License-Identifier: Apache-2.0
// Owns the handler of SIGBUS and the ranges that it knows.
#include "storage/qmdb/mapping_guard.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace millrace::storage::qmdb {
namespace {

constexpr size_t ranges_max = 4096;
/// Never destroyed: a handler may run until the process ends.
constinit std::array<MappingGuard::Range, ranges_max> ranges;
/// Ranges from here on were never used.
constinit std::atomic<size_t> ranges_end = 0;
struct sigaction previous;
size_t page_bytes = 4096;

/// Only what a signal handler may do: atomics and a system call.
bool replace_page(uintptr_t at) noexcept {
    const size_t end = ranges_end.load(std::memory_order_acquire);
    for (size_t i = 0; i < end; ++i) {
        MappingGuard::Range& range = ranges[i];
        // `begin` is published last and withdrawn first.
        const uintptr_t begin = range.begin.load(std::memory_order_acquire);
        if (begin == 0 || at < begin || at >= range.end.load(std::memory_order_relaxed)) {
            continue;
        }
        range.failed.store(true, std::memory_order_seq_cst);
        // The bare system call: sanitizers take the one of the library for a write to memory that
        // other threads may be reading.
        const uintptr_t page = at & ~(page_bytes - 1);
        return syscall(SYS_mmap, page, page_bytes, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == static_cast<long>(page);
    }
    return false;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
    const int error = errno;
    if (replace_page(reinterpret_cast<uintptr_t>(info->si_addr))) {
        errno = error;
        return;
    }
    if ((previous.sa_flags & SA_SIGINFO) != 0) {
        previous.sa_sigaction(signal, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signal);
    } else {
        // The instruction is run again and ends the process as it would have without us.
        ::signal(SIGBUS, SIG_DFL);
    }
}

bool install() noexcept {
    if (const long bytes = sysconf(_SC_PAGESIZE); bytes > 0) {
        page_bytes = static_cast<size_t>(bytes);
    }
    struct sigaction action;
    std::memset(&action, 0, sizeof action);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    return sigemptyset(&action.sa_mask) == 0 && sigaction(SIGBUS, nullptr, &previous) == 0 &&
           sigaction(SIGBUS, &action, nullptr) == 0;
}

}  // namespace

bool MappingGuard::guard(const void* at, size_t bytes) noexcept {
    static const bool installed = install();
    if (!installed) { return false; }
    release();
    for (size_t i = 0; i < ranges_max; ++i) {
        Range& range = ranges[i];
        if (range.taken.exchange(true, std::memory_order_acquire)) { continue; }
        size_t end = ranges_end.load(std::memory_order_relaxed);
        while (end <= i && !ranges_end.compare_exchange_weak(end, i + 1)) {}
        range.failed.store(false, std::memory_order_relaxed);
        range.end.store(reinterpret_cast<uintptr_t>(at) + bytes, std::memory_order_relaxed);
        range.begin.store(reinterpret_cast<uintptr_t>(at), std::memory_order_release);
        range_ = &range;
        return true;
    }
    return false;
}

void MappingGuard::release() noexcept {
    if (range_ == nullptr) { return; }
    range_->begin.store(0, std::memory_order_release);
    range_->taken.store(false, std::memory_order_release);
    range_ = nullptr;
}

bool MappingGuard::failed() const noexcept {
    return range_ != nullptr && range_->failed.load(std::memory_order_seq_cst);
}

}  // namespace millrace::storage::qmdb
