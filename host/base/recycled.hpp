// SPDX-License-Identifier: Apache-2.0
// Owns an allocator for objects that one thread makes and another one drops, again and again.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <new>

namespace millrace {
namespace detail {

/// Blocks of one size and alignment, for the whole process. A dropped block goes onto a shared list
/// by one exchange; a thread without any takes that whole list over, so nothing is ever taken from
/// the middle of it (no ABA). The system gets none back: the pool stays as large as the most that
/// was in use at a time, which is for its users to bound. Any thread.
template <size_t block_bytes, size_t block_alignment>
class BlockPool {
public:
    static void* take() {
        Own& own = own_;
        // Acquire: what was done with the block is over.
        if (own.first == nullptr) {
            own.first = dropped_.exchange(nullptr, std::memory_order_acquire);
        }
        if (own.first == nullptr) {
            return ::operator new(block_bytes, std::align_val_t{block_alignment});
        }
        Block* b = own.first;
        own.first = b->next;
        b->~Block();
        return b;
    }
    static void give(void* memory) noexcept {
        Block* b = ::new (memory) Block;
        push(b, b);
    }

private:
    struct Block {
        Block* next = nullptr;
    };
    static_assert(block_bytes >= sizeof(Block) && block_alignment >= alignof(Block));
    /// Of a thread; goes back when it ends.
    struct Own {
        Block* first = nullptr;
        ~Own() {
            if (first == nullptr) { return; }
            Block* last = first;
            while (last->next != nullptr) { last = last->next; }
            push(first, last);
        }
    };

    static void push(Block* first, Block* last) noexcept {
        last->next = dropped_.load(std::memory_order_relaxed);
        while (!dropped_.compare_exchange_weak(last->next, first, std::memory_order_release,
                                               std::memory_order_relaxed)) {}
    }

    inline static std::atomic<Block*> dropped_{nullptr};
    inline static thread_local Own own_;
};

}  // namespace detail

/// For std::allocate_shared, one object at a time. Where a sanitizer watches the heap the memory
/// comes from there, so that it sees what is used too late.
template <class T>
class RecyclingAllocator {
public:
    using value_type = T;
    RecyclingAllocator() = default;
    template <class U>
    RecyclingAllocator(const RecyclingAllocator<U>&) noexcept {}

    T* allocate(size_t n) {
        if (!recycles || n != 1) { return std::allocator<T>{}.allocate(n); }
        return static_cast<T*>(detail::BlockPool<sizeof(T), alignof(T)>::take());
    }
    void deallocate(T* p, size_t n) noexcept {
        if (!recycles || n != 1) { return std::allocator<T>{}.deallocate(p, n); }
        detail::BlockPool<sizeof(T), alignof(T)>::give(p);
    }
    template <class U>
    bool operator==(const RecyclingAllocator<U>&) const noexcept {
        return true;
    }

private:
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define MILLRACE_HEAP_IS_WATCHED 1
#endif
#endif
#if defined(MILLRACE_HEAP_IS_WATCHED)
    static constexpr bool recycles = false;
#else
    static constexpr bool recycles = true;
#endif
};

}  // namespace millrace
