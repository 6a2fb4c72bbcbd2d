// SPDX-License-Identifier: Apache-2.0
// Owns the shared words of the commit protocol as an exploration sees them: every access is a step,
// and a load may give any value that the memory model of C++ allows. Included before everything
// else (by the compiler's flag), it takes the place of host/sequencer/executor/shared_word.hpp.
#pragma once

#define MILLRACE_MODEL_OF_SHARED_WORDS

#include <atomic>
#include <cstdint>

namespace millrace::sequencer {

namespace test {
class Exploration;
}

/// As std::atomic<uint64_t>, in as far as the protocol uses it. Outside of the threads of an
/// exploration it is a plain word.
class SharedWord {
public:
    SharedWord(uint64_t value = 0) noexcept : value_(value) {}
    SharedWord(const SharedWord&) = delete;
    SharedWord& operator=(const SharedWord&) = delete;

    uint64_t load(std::memory_order order) const noexcept;
    void store(uint64_t value, std::memory_order order) noexcept;
    uint64_t fetch_add(uint64_t value, std::memory_order order) noexcept;
    uint64_t fetch_or(uint64_t bits, std::memory_order order) noexcept;
    /// Never fails without a reason.
    bool compare_exchange_weak(uint64_t& expected, uint64_t desired, std::memory_order success,
                               std::memory_order failure) noexcept;

private:
    friend class test::Exploration;
    uint64_t value_;                    ///< before any step
    mutable uint64_t exploration_ = 0;  ///< that `location_` belongs to
    mutable uint32_t location_ = 0;
};

/// A loop that would do the same again waits until it would not.
class Backoff {
public:
    Backoff() noexcept;
    void wait() noexcept;
    /// None, or more than anybody has patience for: both are tried.
    unsigned rounds() const noexcept;
};

}  // namespace millrace::sequencer
