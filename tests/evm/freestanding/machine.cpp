// SPDX-License-Identifier: Apache-2.0
// Owns the adapter under the freestanding program: memory, two system calls, and what libc++ and
// the compiler expect from libraries that do not exist for this machine.
#include "tests/evm/freestanding/machine.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "host/base/reserved_memory.hpp"

namespace {

// --- System calls, in the way of RISC-V Linux, which the user-mode emulator answers ---

constexpr long call_write = 64;
constexpr long call_exit = 93;

long system_call(long number, long a, long b, long c) {
    register long a0 asm("a0") = a;
    register long a1 asm("a1") = b;
    register long a2 asm("a2") = c;
    register long a7 asm("a7") = number;
    asm volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    return a0;
}

void write_all(int stream, const char* data, size_t size) {
    while (size > 0) {
        const long n =
            system_call(call_write, stream, reinterpret_cast<long>(data), static_cast<long>(size));
        if (n <= 0) { _Exit(70); }
        data += n;
        size -= static_cast<size_t>(n);
    }
}

// --- Memory: a heap that is only given out, and one range for each of a workspace's two ---

alignas(4096) constinit char heap[size_t{1} << 30];
constinit size_t heap_used = 0;
alignas(4096) constinit uint8_t ranges[size_t{512} << 20];
constinit size_t ranges_used = 0;

}  // namespace

// Blocks are kept by size class when freed: a scenario allocates much and leaves little.
namespace {

struct FreeBlock {
    FreeBlock* next;
};
constexpr size_t class_count = 48;
constinit FreeBlock* free_blocks[class_count] = {};

size_t class_of(size_t bytes) {
    return bytes <= 16 ? 4 : 64 - static_cast<size_t>(__builtin_clzl(bytes - 1));
}

}  // namespace

extern "C" {

void _Exit(int code) {
    for (;;) { system_call(call_exit, code, 0, 0); }
}
void abort() { _Exit(134); }

void* malloc(size_t bytes) {
    constexpr size_t header = 16;  // the class, and the alignment of what follows
    const size_t c = class_of(bytes + header);
    if (FreeBlock* block = free_blocks[c]; block != nullptr) {
        free_blocks[c] = block->next;
        return block;
    }
    const size_t whole = size_t{1} << c;
    if (whole > sizeof heap - heap_used) { return nullptr; }
    char* const p = heap + heap_used;
    heap_used += whole;
    *reinterpret_cast<size_t*>(p) = c;
    return p + header;
}
void free(void* p) {
    if (p == nullptr) { return; }
    const size_t c = *reinterpret_cast<size_t*>(static_cast<char*>(p) - 16);
    auto* const block = static_cast<FreeBlock*>(p);
    block->next = free_blocks[c];
    free_blocks[c] = block;
}

// One hart and no interrupts: plain accesses are atomic.
uint64_t __atomic_load_8(const volatile void* p, int) {
    return *static_cast<const volatile uint64_t*>(p);
}
void __atomic_store_8(volatile void* p, uint64_t v, int) {
    *static_cast<volatile uint64_t*>(p) = v;
}
uint32_t __atomic_load_4(const volatile void* p, int) {
    return *static_cast<const volatile uint32_t*>(p);
}
void __atomic_store_4(volatile void* p, uint32_t v, int) {
    *static_cast<volatile uint32_t*>(p) = v;
}
bool __atomic_compare_exchange_8(volatile void* p, void* expected, uint64_t desired, bool, int,
                                 int) {
    auto* const at = static_cast<volatile uint64_t*>(p);
    auto* const want = static_cast<uint64_t*>(expected);
    if (*at == *want) {
        *at = desired;
        return true;
    }
    *want = *at;
    return false;
}

int main(int argument_count, char** arguments) {
    if (argument_count != 3) { return 64; }
    return millrace::evm::freestanding::run_guest(std::strtoull(arguments[1], nullptr, 10),
                                                  std::strtoull(arguments[2], nullptr, 10));
}

[[noreturn]] void start_with_stack(const long* stack) {
    _Exit(main(static_cast<int>(stack[0]),
               const_cast<char**>(reinterpret_cast<char* const*>(stack + 1))));
}
// The kernel's stack pointer points at the argument count; 1,024 nested calls need a larger stack.
alignas(16) char program_stack[size_t{64} << 20];
[[gnu::naked, noreturn]] void _start() {
    asm volatile(".option push\n.option norelax\nlla gp, __global_pointer$\n.option pop\n"
                 "mv a0, sp\n"
                 "lla sp, program_stack\n"
                 "li t0, 64 << 20\n"
                 "add sp, sp, t0\n"
                 "tail start_with_stack\n");
}

}  // extern "C"

void* operator new(size_t bytes) {
    if (void* p = std::malloc(bytes); p != nullptr) { return p; }
    std::abort();
}
void* operator new[](size_t bytes) { return operator new(bytes); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }

// --- What of libc++ is not in its headers ---

template class std::basic_string<char>;
template std::string std::operator+(const char*, const std::string&);

namespace std {
inline namespace __1 {

[[noreturn]] void __libcpp_verbose_abort(const char* format, ...) {
    write_all(2, format, strlen(format));
    abort();
}

/// Bucket counts of the unordered containers.
size_t __next_prime(size_t n) {
    const auto is_prime = [](size_t v) {
        for (size_t d = 2; d * d <= v; ++d) {
            if (v % d == 0) { return false; }
        }
        return v >= 2;
    };
    if (n == 0) { return 0; }
    while (!is_prime(n)) { ++n; }
    return n;
}

string to_string(unsigned long v) {
    char digits[20];
    char* p = digits + sizeof digits;
    do {
        *--p = static_cast<char>('0' + v % 10);
        v /= 10;
    } while (v != 0);
    return {p, digits + sizeof digits};
}

// Counts begin at 0 for one owner.
__shared_count::~__shared_count() {}
__shared_weak_count::~__shared_weak_count() {}
void __shared_weak_count::__release_weak() noexcept {
    if (--__shared_weak_owners_ == -1) { __on_zero_shared_weak(); }
}
const void* __shared_weak_count::__get_deleter(const type_info&) const noexcept { return nullptr; }

}  // namespace __1
}  // namespace std

// --- What the project keeps outside its freestanding part ---

namespace millrace {

void assertion_failed(const char* condition, const char* why, const char*, int) noexcept {
    const std::string text = std::string("assertion failed: ") + condition + " (" + why + ")\n";
    write_all(2, text.data(), text.size());
    _Exit(70);
}

ReservedMemory::ReservedMemory(size_t bytes, size_t bytes_min) {
    const size_t share = (sizeof ranges) / 2;  // a workspace asks twice
    const size_t n = bytes < share ? bytes : share;
    MILLRACE_ASSERT(n >= bytes_min && n <= sizeof ranges - ranges_used,
                    "one workspace's memory is there");
    data_ = ranges + ranges_used;
    size_ = n;
    ranges_used += n;
}
ReservedMemory::~ReservedMemory() = default;
void ReservedMemory::release_from(size_t offset) noexcept {
    __builtin_memset(data_ + offset, 0, size_ - offset);
}

namespace evm::freestanding {
void write_line(std::string_view line) {
    write_all(1, line.data(), line.size());
    write_all(1, "\n", 1);
}
}  // namespace evm::freestanding

}  // namespace millrace
