// SPDX-License-Identifier: Apache-2.0
// Owns one piece of state with a version that many threads read while one at a time publishes.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "host/sequencer/executor/commit_mutant.hpp"
#include "host/sequencer/executor/shared_word.hpp"

namespace millrace::sequencer {

/// The version of a cell: the commit sequence number of its last change, above a lock bit. A
/// number never falls, so a version that is equal means a value that is equal.
using VersionWord = SharedWord;
inline constexpr uint64_t version_lock = 1;
constexpr uint64_t version_of(uint64_t sequence) noexcept { return sequence << 1; }
constexpr uint64_t sequence_of(uint64_t version) noexcept { return version >> 1; }
constexpr bool is_locked(uint64_t version) noexcept { return (version & version_lock) != 0; }

/// A value of whole 64-bit words under a version: a sequence lock without fences. The words are
/// written with release after the lock bit and read with acquire before the version is looked at
/// again, so a reader that met a word of a new value also meets its lock or its version.
template <class T>
class Cell {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(uint64_t) == 0);
    static constexpr size_t words = sizeof(T) / sizeof(uint64_t);

public:
    /// The value and the version that it has. Any thread; waits while a commit publishes.
    T read(uint64_t& version) const noexcept {
        for (Backoff backoff;; backoff.wait()) {
            const uint64_t before = version_.load(std::memory_order_acquire);
            if (is_locked(before)) { continue; }
            const T v = load();
            if (commit_mutant == CommitMutant::no_second_look ||
                version_.load(std::memory_order_relaxed) == before) {
                version = before;
                return v;
            }
        }
    }
    T value() const noexcept {
        uint64_t version = 0;
        return read(version);
    }
    VersionWord& version_word() noexcept { return version_; }
    const VersionWord& version_word() const noexcept { return version_; }

    /// Before any other thread knows the cell, or while the caller holds the lock.
    void set(const T& v) noexcept {
        uint64_t w[words];
        std::memcpy(w, &v, sizeof v);
        constexpr auto order = commit_mutant == CommitMutant::relaxed_words
                                   ? std::memory_order_relaxed
                                   : std::memory_order_release;
        for (size_t i = 0; i < words; ++i) { value_[i].store(w[i], order); }
    }
    /// The value while the caller holds the lock, or at rest.
    T load() const noexcept {
        uint64_t w[words];
        for (size_t i = 0; i < words; ++i) { w[i] = value_[i].load(std::memory_order_acquire); }
        T v;
        std::memcpy(static_cast<void*>(&v), w, sizeof v);
        return v;
    }

private:
    VersionWord version_{0};
    SharedWord value_[words] = {};
};

}  // namespace millrace::sequencer
