// SPDX-License-Identifier: Apache-2.0
// Owns the turns of the threads, the memory between them, and the search through the schedules.
#include "tests/host/sequencer/exploration.hpp"

#include <algorithm>
#include <limits>

#include "host/base/error.hpp"

namespace millrace::sequencer {

using test::Exploration;

namespace test {
namespace {

uint64_t mix(uint64_t a, uint64_t b) noexcept {
    uint64_t x = a ^ (b + 0x9e3779b97f4a7c15 + (a << 6) + (a >> 2));
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

bool acquires(std::memory_order order) noexcept {
    return order != std::memory_order_relaxed && order != std::memory_order_release;
}
bool releases(std::memory_order order) noexcept {
    return order != std::memory_order_relaxed && order != std::memory_order_acquire;
}

uint64_t next_id() noexcept {
    static uint64_t last = 0;
    return ++last;
}

}  // namespace

Exploration* Exploration::current_ = nullptr;

Exploration::Exploration() : id_(next_id()) {
    MILLRACE_ASSERT(current_ == nullptr, "one exploration at a time");
    current_ = this;
}

Exploration::~Exploration() { current_ = nullptr; }

Exploration::Report Exploration::explore(const std::vector<Thread>& threads,
                                         const std::function<void()>& begin,
                                         const std::function<std::string()>& end) {
    for (const Thread& body : threads) {
        auto f = std::make_unique<Fiber>();
        f->stack = std::make_unique<std::byte[]>(stack_bytes);
        f->body = &body;
        fibers_.push_back(std::move(f));
    }
    do {
        for (bool again = true; again; again = again_) {
            begin();
            begin_schedule();
            if (again_) {
                path_.clear();
                seen_.clear();
                report_ = {};
            }
        }
        if (wrong_.empty() && complete_) {
            ++report_.schedules;
            wrong_ = end();
        }
        if (!wrong_.empty()) {
            report_.wrong = wrong_;
            report_.schedule = schedule_text();
            break;
        }
    } while (next_schedule());
    report_.states = seen_.size();
    return report_;
}

// --- Turns ---

void Exploration::run_fiber() {
    Exploration& e = *current_;
    Fiber& self = *e.running_;
    (*self.body)();
    self.finished = true;
    e.leave(self.context, e.starting_ ? nullptr : e.decide());
}

/// From the thread (or, with main_, the search) to another thread, or with null back to the search.
void Exploration::leave(ucontext_t& from, Fiber* to) {
    running_ = to;
    swapcontext(&from, to != nullptr ? &to->context : &main_);
}

void Exploration::begin_schedule() {
    for (size_t i = 0; i < locations_.size(); ++i) {
        Location& l = locations_[i];
        l.messages.resize(1);
        l.messages[0] = {initial_[i], {}};
        l.history = 0;
    }
    depth_ = 0;
    schedule_.clear();
    complete_ = false;
    again_ = false;
    // Each thread comes to its first step.
    starting_ = true;
    for (size_t i = 0; i < fibers_.size() && !again_; ++i) {
        Fiber& f = *fibers_[i];
        f.finished = false;
        f.view = {};
        f.history = i + 1;
        f.loop_begins = f.waits = false;
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.get();
        f.context.uc_stack.ss_size = stack_bytes;
        f.context.uc_link = nullptr;
        makecontext(&f.context, &Exploration::run_fiber, 0);
        leave(main_, &f);
    }
    starting_ = false;
    if (again_) { return; }
    if (Fiber* first = decide()) { leave(main_, first); }
}

/// Whether it is an access to a constant, which is no step.
bool Exploration::changes_nothing(const Operation& operation) {
    if (operation.kind == Kind::choice) { return false; }
    Location& l = locations_[operation.location];
    if (!l.constant) { return false; }
    const uint64_t value = l.messages[0].value;
    if (operation.kind == Kind::load ||
        (operation.kind == Kind::store && operation.value == value)) {
        return true;
    }
    l.constant = false;
    again_ = true;
    leave(running_->context, nullptr);
    return false;
}

uint64_t Exploration::step(const Operation& operation) {
    Fiber& self = *running_;
    if (changes_nothing(operation)) { return locations_[operation.location].messages[0].value; }
    self.pending = operation;
    Fiber* next = starting_ ? nullptr : decide();
    if (next != &self) { leave(self.context, next); }
    return self.result;
}

uint32_t Exploration::option_count(const Fiber& f) const {
    if (f.finished) { return 0; }
    if (f.pending.kind == Kind::choice) { return 2; }
    if (f.pending.kind != Kind::load) { return 1; }
    const Location& l = locations_[f.pending.location];
    const uint32_t oldest = oldest_visible(f);
    uint32_t count = 0;
    for (uint32_t time = oldest; time < l.messages.size(); ++time) {
        count += is_first_of_its_value(l, oldest, time) ? 1 : 0;
    }
    return count;
}

uint32_t Exploration::oldest_visible(const Fiber& f) const {
    return f.waits ? f.first_load.time + 1u : f.view[f.pending.location];
}

bool Exploration::is_first_of_its_value(const Location& l, uint32_t oldest, uint32_t time) const {
    for (uint32_t earlier = oldest; earlier < time; ++earlier) {
        if (l.messages[earlier].value == l.messages[time].value) { return false; }
    }
    return true;
}

/// Takes one step of one thread, and says which; null when the schedule is at its end, or leads
/// where another one led before.
Exploration::Fiber* Exploration::decide() {
    uint32_t options = 0;
    bool finished = true;
    for (const auto& f : fibers_) {
        options += option_count(*f);
        finished = finished && f->finished;
    }
    if (options == 0) {
        complete_ = finished;
        if (!finished) { wrong_ = "threads wait for each other"; }
        return nullptr;
    }
    if (schedule_.size() == steps_max) {
        wrong_ = "there is no end";
        return nullptr;
    }
    uint32_t chosen = 0;
    if (options > 1) {
        if (depth_ == path_.size()) {
            if (!seen_.insert(state()).second) { return nullptr; }
            path_.push_back({0, options});
        }
        const Decision& d = path_[depth_++];
        MILLRACE_ASSERT(d.count == options, "threads depend on their steps only");
        chosen = d.chosen;
    }
    // Whoever has the turn goes on first: it takes no switch.
    Fiber* next = running_;
    if (next != nullptr) {
        const uint32_t n = option_count(*next);
        if (chosen < n) {
            perform(*next, chosen);
            return next;
        }
        chosen -= n;
    }
    for (const auto& f : fibers_) {
        if (f.get() == running_) { continue; }
        const uint32_t n = option_count(*f);
        if (chosen < n) {
            perform(*f, chosen);
            return f.get();
        }
        chosen -= n;
    }
    MILLRACE_ASSERT(false, "the decision is one of the options");
    return nullptr;
}

bool Exploration::next_schedule() {
    while (!path_.empty() && path_.back().chosen + 1 == path_.back().count) { path_.pop_back(); }
    if (path_.empty()) { return false; }
    ++path_.back().chosen;
    return true;
}

/// The thread that has the turn is part of it only in so far as the options are counted from it.
uint64_t Exploration::state() const {
    uint64_t h = 0;
    for (const auto& f : fibers_) { h = mix(h, f->history + (f->finished ? 1 : 0)); }
    for (size_t i = 0; i < locations_.size(); ++i) {
        if (locations_[i].messages.size() > 1) { h = mix(mix(h, i), locations_[i].history); }
    }
    return h;
}

// --- Memory ---

uint32_t Exploration::locate(const SharedWord& word) {
    if (word.exploration_ != id_) {
        MILLRACE_ASSERT(locations_.size() < locations_max, "a model has few words");
        word.exploration_ = id_;
        word.location_ = static_cast<uint32_t>(locations_.size());
        initial_.push_back(word.value_);
        locations_.push_back({{Message{word.value_, {}}}, 0, true});
    }
    return word.location_;
}

uint64_t Exploration::at_rest(const SharedWord& word) {
    return word.exploration_ == id_ ? locations_[word.location_].messages.back().value
                                    : word.value_;
}

void Exploration::perform(Fiber& f, uint32_t option) {
    const Operation& op = f.pending;
    ++report_.steps;
    if (op.kind == Kind::choice) {
        f.result = option;
        f.history = mix(f.history, option);
        schedule_.push_back({static_cast<uint8_t>(0), op, option});
    } else {
        Location& l = locations_[op.location];
        const auto last = static_cast<uint8_t>(l.messages.size() - 1);
        // All but loads act on the newest value.
        uint8_t time = last;
        if (op.kind == Kind::load) {
            const uint32_t oldest = oldest_visible(f);
            for (;; --time) {
                if (is_first_of_its_value(l, oldest, time) && option-- == 0) { break; }
            }
        }
        const Message read = l.messages[time];
        f.result = read.value;
        f.waits = false;
        const bool reads = op.kind != Kind::store;
        const bool writes =
            op.kind != Kind::load && (op.kind != Kind::exchange || read.value == op.expected);
        if (reads) {
            f.view[op.location] = std::max(f.view[op.location], time);
            if (op.acquires && (op.kind != Kind::exchange || writes)) {
                for (size_t i = 0; i < locations_max; ++i) {
                    f.view[i] = std::max(f.view[i], read.view[i]);
                }
            }
            if (f.loop_begins) {
                f.first_load = {op.location, time};
                f.loop_begins = false;
            }
        }
        f.history = mix(mix(f.history, static_cast<uint64_t>(op.kind)), op.location << 8 | time);
        if (writes) {
            MILLRACE_ASSERT(last < std::numeric_limits<uint8_t>::max(), "a schedule is short");
            Message m;
            m.value = op.kind == Kind::add        ? read.value + op.value
                      : op.kind == Kind::set_bits ? (read.value | op.value)
                                                  : op.value;
            f.view[op.location] = last + 1;
            if (op.releases) { m.view = f.view; }
            // What changes a value passes on what was known to whoever stored it before.
            if (reads) {
                for (size_t i = 0; i < locations_max; ++i) {
                    m.view[i] = std::max(m.view[i], read.view[i]);
                }
            }
            m.view[op.location] = last + 1;
            l.messages.push_back(m);
            l.history = mix(l.history, f.history);
        }
        schedule_.push_back({0, op, f.result});
    }
    for (size_t i = 0; i < fibers_.size(); ++i) {
        if (fibers_[i].get() == &f) { schedule_.back().thread = static_cast<uint8_t>(i); }
    }
}

std::string Exploration::schedule_text() const {
    std::string out;
    for (const Step& s : schedule_) {
        out += "thread " + std::to_string(s.thread);
        const auto word = " word " + std::to_string(s.operation.location);
        const auto value = std::to_string(s.operation.value);
        const auto was = " (it was " + std::to_string(s.result) + ")";
        switch (s.operation.kind) {
            case Kind::load: out += " reads " + std::to_string(s.result) + " from" + word; break;
            case Kind::store: out += " stores " + value + " into" + word; break;
            case Kind::add: out += " adds " + value + " to" + word + was; break;
            case Kind::set_bits: out += " sets bits " + value + " of" + word + was; break;
            case Kind::exchange:
                out += " exchanges " + std::to_string(s.operation.expected) + " for " + value +
                       " in" + word + was;
                break;
            case Kind::choice: out += s.result == 0 ? " goes on waiting" : " gives up"; break;
        }
        out += '\n';
    }
    return out;
}

}  // namespace test

uint64_t SharedWord::load(std::memory_order order) const noexcept {
    Exploration* e = Exploration::current_;
    if (e == nullptr) { return value_; }
    if (!e->in_thread()) { return e->at_rest(*this); }
    return e->step({Exploration::Kind::load, e->locate(*this), 0, 0, test::acquires(order), false});
}

void SharedWord::store(uint64_t value, std::memory_order order) noexcept {
    Exploration* e = Exploration::current_;
    if (e == nullptr || !e->in_thread()) {
        MILLRACE_ASSERT(e == nullptr || exploration_ != e->id_,
                        "what threads share is set before they begin");
        value_ = value;
        return;
    }
    e->step({Exploration::Kind::store, e->locate(*this), value, 0, false, test::releases(order)});
}

uint64_t SharedWord::fetch_add(uint64_t value, std::memory_order order) noexcept {
    Exploration* e = Exploration::current_;
    MILLRACE_ASSERT(e != nullptr && e->in_thread(), "only threads of an exploration count");
    return e->step({Exploration::Kind::add, e->locate(*this), value, 0, test::acquires(order),
                    test::releases(order)});
}

uint64_t SharedWord::fetch_or(uint64_t bits, std::memory_order order) noexcept {
    Exploration* e = Exploration::current_;
    MILLRACE_ASSERT(e != nullptr && e->in_thread(), "only threads of an exploration lock");
    return e->step({Exploration::Kind::set_bits, e->locate(*this), bits, 0, test::acquires(order),
                    test::releases(order)});
}

bool SharedWord::compare_exchange_weak(uint64_t& expected, uint64_t desired,
                                       std::memory_order success, std::memory_order) noexcept {
    Exploration* e = Exploration::current_;
    MILLRACE_ASSERT(e != nullptr && e->in_thread(), "only threads of an exploration lock");
    const uint64_t was = e->step({Exploration::Kind::exchange, e->locate(*this), desired, expected,
                                  test::acquires(success), test::releases(success)});
    const bool exchanged = was == expected;
    expected = was;
    return exchanged;
}

Backoff::Backoff() noexcept {
    Exploration* e = Exploration::current_;
    if (e != nullptr && e->in_thread()) { e->running_->loop_begins = true; }
}

void Backoff::wait() noexcept {
    Exploration* e = Exploration::current_;
    MILLRACE_ASSERT(e != nullptr && e->in_thread(), "nothing is locked when nobody runs");
    Exploration::Fiber& f = *e->running_;
    f.loop_begins = true;
    // The round began with a value that may still be read: with another one it may end otherwise.
    f.waits = f.view[f.first_load.location] == f.first_load.time;
}

unsigned Backoff::rounds() const noexcept {
    Exploration* e = Exploration::current_;
    MILLRACE_ASSERT(e != nullptr && e->in_thread(), "nothing is locked when nobody runs");
    return e->step({}) == 0 ? 0 : std::numeric_limits<unsigned>::max();
}

}  // namespace millrace::sequencer
