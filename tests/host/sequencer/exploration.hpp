// SPDX-License-Identifier: Apache-2.0
// Owns the exploration of every schedule of a few threads over shared words.
#pragma once

#include <ucontext.h>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "tests/host/sequencer/memory_model.hpp"

namespace millrace::sequencer::test {

/// Runs a few functions as threads that take turns, again and again, until every order of their
/// steps and every value that a load may see have been tried. A step is one access to a SharedWord;
/// the functions may depend on nothing else that others change.
///
/// The memory is that of the operational models of release and acquire (Kang and others, "A
/// promising semantics for relaxed-memory concurrency", 2017, without promises): a word is the list
/// of all values stored into it, and a thread may read any that is not older than what it knows of;
/// reading with acquire what was stored with release gives it what the other knew. It is weaker
/// than the hardware that we run on. Two things are not tried: a store that becomes older than one
/// that was made before it, which needs two threads that store into a word without a lock, and the
/// single order of seq_cst, which counts as acquire and release.
///
/// Of two ways to the same state only one is followed. A state is what each thread has seen, with
/// what has been stored into each word by whom, both as hashes of 64 bits. Of several stores of the
/// same value a load sees the oldest: it gives away least, so whatever can follow the others can
/// follow it. A word counts as a constant, of which no access is a step, until a thread changes its
/// value; then all begins anew.
///
/// Schedules are given up in their middle: a function must not own anything when it takes a step.
class Exploration {
public:
    struct Report {
        std::string wrong;       ///< empty when nothing was
        std::string schedule;    ///< the steps that led there
        uint64_t schedules = 0;  ///< that came to their end
        uint64_t states = 0;     ///< with more than one way on
        uint64_t steps = 0;
    };
    using Thread = std::function<void()>;

    Exploration();
    ~Exploration();
    Exploration(const Exploration&) = delete;
    Exploration& operator=(const Exploration&) = delete;

    /// `begin` comes before each schedule; `end` after each that came to its end, and says what is
    /// wrong. Stops at the first that is.
    Report explore(const std::vector<Thread>& threads, const std::function<void()>& begin,
                   const std::function<std::string()>& end);

private:
    friend class sequencer::SharedWord;
    friend class sequencer::Backoff;

    static constexpr size_t locations_max = 48;
    static constexpr size_t stack_bytes = 64 * 1024;
    static constexpr size_t steps_max = 4096;  ///< of a schedule

    /// For each location the oldest of its values that may still be read.
    using View = std::array<uint8_t, locations_max>;
    struct Message {
        uint64_t value = 0;
        View view{};  ///< what its writer knew, where it told
    };
    struct Location {
        std::vector<Message> messages;
        uint64_t history = 0;
        bool constant = true;  ///< as far as has been seen
    };
    enum class Kind : uint8_t { load, store, add, set_bits, exchange, choice };
    struct Operation {
        Kind kind = Kind::choice;
        uint32_t location = 0;
        uint64_t value = 0;
        uint64_t expected = 0;
        bool acquires = false;
        bool releases = false;
    };
    struct Place {
        uint32_t location = 0;
        uint8_t time = 0;
    };
    struct Fiber {
        ucontext_t context{};
        std::unique_ptr<std::byte[]> stack;
        const Thread* body = nullptr;
        bool finished = false;
        Operation pending;
        uint64_t result = 0;
        View view{};
        uint64_t history = 0;
        bool loop_begins = false;  ///< the next load is the first of a round of a loop
        Place first_load;
        bool waits = false;  ///< until there is something newer than `first_load`
    };
    struct Decision {
        uint32_t chosen = 0;
        uint32_t count = 0;
    };
    struct Step {
        uint8_t thread = 0;
        Operation operation;
        uint64_t result = 0;
    };

    static Exploration* current_;

    uint32_t locate(const SharedWord& word);
    uint64_t at_rest(const SharedWord& word);
    bool in_thread() const noexcept { return running_ != nullptr; }
    uint64_t step(const Operation& operation);
    bool changes_nothing(const Operation& operation);
    Fiber* decide();
    uint32_t option_count(const Fiber& f) const;
    bool is_first_of_its_value(const Location& l, uint32_t oldest, uint32_t time) const;
    uint32_t oldest_visible(const Fiber& f) const;
    void perform(Fiber& f, uint32_t option);
    void leave(ucontext_t& from, Fiber* to);
    void begin_schedule();
    bool next_schedule();
    uint64_t state() const;
    std::string schedule_text() const;
    static void run_fiber();

    const uint64_t id_;
    std::vector<Location> locations_;
    std::vector<uint64_t> initial_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    ucontext_t main_{};
    Fiber* running_ = nullptr;
    bool starting_ = false;
    bool complete_ = false;  ///< all threads have come to their end
    bool again_ = false;     ///< a word is no constant, as was believed
    std::string wrong_;

    std::vector<Decision> path_;
    size_t depth_ = 0;
    std::vector<Step> schedule_;
    std::unordered_set<uint64_t> seen_;
    Report report_;
};

}  // namespace millrace::sequencer::test
