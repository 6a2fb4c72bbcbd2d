// SPDX-License-Identifier: Apache-2.0
// Owns an allocator for objects that one thread makes and another one drops, again and again.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace millrace {
namespace detail {

/// Blocks of one size and alignment, for the whole process. Threads keep a few by themselves and
/// exchange them in batches, so that blocks which one thread drops are there for all others. The
/// system gets none back but when the process ends: the pool stays as large as the most that was in
/// use at a time and two batches for each thread, which is for its users to bound. Any thread.
template <size_t block_bytes, size_t block_alignment>
class BlockPool {
public:
    static constexpr size_t batch_blocks = 64;

    static void* take() {
        Own& own = own_;
        if (own.taken == nullptr) {
            own.taken = std::exchange(own.dropped, nullptr);
            own.dropped_count = 0;
        }
        if (own.taken == nullptr) { own.taken = pop_batch(); }
        if (own.taken == nullptr) {
            return ::operator new(block_bytes, std::align_val_t{block_alignment});
        }
        Block* b = own.taken;
        own.taken = b->next;
        b->~Block();
        return b;
    }
    static void give(void* memory) noexcept {
        Own& own = own_;
        if (own.ended) {
            ::operator delete(memory, std::align_val_t{block_alignment});
            return;
        }
        own.dropped = ::new (memory) Block{own.dropped, nullptr};
        if (++own.dropped_count == batch_blocks) {
            push_batch(std::exchange(own.dropped, nullptr));
            own.dropped_count = 0;
        }
    }

private:
    struct Block {
        Block* next = nullptr;
        Block* next_batch = nullptr;  ///< of the first block of a batch
    };
    static_assert(block_bytes >= sizeof(Block) && block_alignment >= alignof(Block));
    /// Of a thread; goes to the others when it ends.
    struct Own {
        Block* taken = nullptr;
        Block* dropped = nullptr;
        size_t dropped_count = 0;
        bool ended = false;
        ~Own() {
            ended = true;  // statics of the process may be destroyed later on this thread
            if (taken != nullptr) { push_batch(std::exchange(taken, nullptr)); }
            if (dropped != nullptr) { push_batch(std::exchange(dropped, nullptr)); }
        }
    };

    static void push_batch(Block* first) noexcept {
        const std::lock_guard lock{mutex_};
        first->next_batch = batches_;
        batches_ = first;
    }
    static Block* pop_batch() noexcept {
        const std::lock_guard lock{mutex_};
        Block* first = batches_;
        if (first != nullptr) { batches_ = first->next_batch; }
        return first;
    }

    inline static std::mutex mutex_;  // guards batches_ and the links between batches
    inline static Block* batches_ = nullptr;
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
