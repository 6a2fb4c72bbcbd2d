// SPDX-License-Identifier: Apache-2.0
// Owns the tiers: counting, the queue to the compiler, running compiled code and comparing it with
// the interpreter.
#include "evm/jit/engine.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "evm/jit/loader.hpp"
#include "evm/jit/object_cache.hpp"
#include "host/base/hex.hpp"
#include "host/base/log.hpp"
#include "host/base/thread.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm::jit {
namespace {

using Clock = std::chrono::steady_clock;

/// What a frame of compiled code must leave of the machine's stack: the interpreter and the
/// runtime's functions of this frame and of deeper ones, which only run compiled while there is
/// more.
constexpr size_t native_stack_reserve = size_t{4} << 20;
/// A contract whose frames are larger is left to the interpreter.
constexpr uint32_t native_frame_bytes_max = 256 << 10;
constexpr size_t differences_max = 64;

/// Lowest address down to which this thread may use compiled code.
const char* native_stack_floor() noexcept {
    thread_local const char* floor = [] {
        pthread_attr_t attributes;
        const char* lowest = nullptr;
        if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
            void* begin = nullptr;
            size_t bytes = 0;
            if (pthread_attr_getstack(&attributes, &begin, &bytes) == 0) {
                // The interpreter alone may need a megabyte and more for the deepest calls.
                if (bytes >= native_stack_reserve) {
                    lowest =
                        static_cast<const char*>(begin) + std::min(native_stack_reserve, bytes / 2);
                }
            }
            pthread_attr_destroy(&attributes);
        }
        return lowest;
    }();
    return floor;
}

/// Set while a frame is being run both ways: frames below it are not compared again.
thread_local bool in_shadow = false;

std::string_view name_of(Status status) noexcept { return to_string(status); }

}  // namespace

/// Compiled code of one contract at one revision; shared by everything that may enter it.
struct Compiled {
    std::unique_ptr<LoadedCode> code;
    JitContract facts;
    std::atomic<int32_t> shadow_left{0};
    std::atomic<bool> refused{false};
    std::atomic<uint64_t>* bytes_in_use = nullptr;
    size_t counted_bytes = 0;  ///< in it

    ~Compiled() {
        if (bytes_in_use != nullptr) {
            bytes_in_use->fetch_sub(counted_bytes, std::memory_order_relaxed);
        }
    }
};

class JitEngine::Impl : public std::enable_shared_from_this<JitEngine::Impl> {
public:
    explicit Impl(JitOptions options)
        : options_(std::move(options)),
          own_metrics_(options_.metrics == nullptr ? std::make_unique<metrics::Registry>()
                                                   : nullptr),
          counters_(options_.metrics == nullptr ? *own_metrics_ : *options_.metrics) {}

    /// The compiled code of one AnalyzedCode, for each revision.
    class Slots {
    public:
        const Compiled* at(Revision r) const noexcept {
            return entries_[static_cast<size_t>(r)].load(std::memory_order_acquire);
        }
        /// Takes effect once for each revision; keeps the code alive.
        void set(Revision r, std::shared_ptr<const Compiled> c) {
            const std::lock_guard lock(mutex_);
            if (at(r) != nullptr) { return; }
            entries_[static_cast<size_t>(r)].store(c.get(), std::memory_order_release);
            kept_.push_back(std::move(c));
        }
        /// True for the first who asks for this revision.
        bool claim(Revision r) noexcept {
            const uint32_t bit = uint32_t{1} << static_cast<uint32_t>(r);
            return (claimed_.fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
        }
        void unclaim(Revision r) noexcept {
            claimed_.fetch_and(~(uint32_t{1} << static_cast<uint32_t>(r)),
                               std::memory_order_relaxed);
        }

    private:
        std::mutex mutex_;  // guards kept_
        std::vector<std::shared_ptr<const Compiled>> kept_;
        std::array<std::atomic<const Compiled*>, revision_count> entries_{};
        std::atomic<uint32_t> claimed_{0};
    };

    /// What is attached to an AnalyzedCode. The compiler's queue may keep the slots longer.
    class Record final : public NativeCode {
    public:
        explicit Record(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
        void release() const noexcept override { delete this; }
        const std::shared_ptr<Slots>& slots() const noexcept { return slots_; }

    private:
        std::shared_ptr<Impl> impl_;  // what the code was loaded by
        std::shared_ptr<Slots> slots_ = std::make_shared<Slots>();
    };

    Result<void> start();
    void stop();
    NativeOutcome execute(Frame& frame, int64_t gas);
    void note(const Frame& frame, int64_t gas) noexcept;
    std::shared_ptr<const Compiled> get(ByteView code, Revision revision);
    void drain();
    JitContract facts_of(const Compiled& c) const {
        const std::lock_guard lock(mutex_);
        return c.facts;
    }
    JitStatistics statistics() const;
    std::vector<JitContract> contracts() const;
    std::vector<JitDifference> differences() const;

private:
    struct Key {
        Hash256 hash;
        Revision revision;
        auto operator<=>(const Key&) const = default;
    };
    struct Request {
        Bytes code;
        Revision revision;
        std::shared_ptr<Slots> slots;
    };
    struct Entry {
        std::shared_ptr<Compiled> compiled;
        uint64_t used = 0;
    };

    const Record* record_of(const AnalyzedCode& code);
    std::shared_ptr<Compiled> compile(const Key& key, ByteView code);
    Result<CompiledObject> make_object(const Key& key, ByteView code, bool& from_cache);
    void make_room(size_t bytes);
    void run_thread();
    NativeOutcome run(const Compiled& c, Frame& frame, int64_t gas);
    NativeOutcome run_shadowed(const Compiled& c, Frame& frame, int64_t gas);
    void report(const Compiled& c, const Frame& frame, int64_t gas, std::string what);

    JitOptions options_;
    std::unique_ptr<Loader> loader_;
    std::unique_ptr<ObjectCache> cache_;
    std::atomic<uint64_t> bytes_in_use_{0};  // contracts of the table count in it to their end

    mutable std::mutex mutex_;  // guards what follows, down to differences_
    std::condition_variable changed_;
    std::map<Key, Entry> table_;
    uint64_t turn_ = 0;
    size_t refused_count_ = 0;  ///< of the table, those that the compiler refused
    std::deque<Request> queue_;
    bool busy_ = false;
    bool stopping_ = false;
    std::vector<JitDifference> differences_;
    std::mutex compiling_;  // one compilation at a time
    std::thread thread_;

    std::unique_ptr<metrics::Registry> own_metrics_;
    struct Counters {
        explicit Counters(metrics::Registry& r)
            : compiled(r.counter("millrace_jit_compiled_total",
                                 "Contracts compiled, or loaded from the cache")),
              refused_by_compiler(r.counter("millrace_jit_refused_total",
                                            "Contracts that stay in the interpreter",
                                            "reason=\"compiler\"")),
              refused_for_room(r.counter("millrace_jit_refused_total",
                                         "Contracts that stay in the interpreter",
                                         "reason=\"room\"")),
              refused_by_shadow(r.counter("millrace_jit_refused_total",
                                          "Contracts that stay in the interpreter",
                                          "reason=\"difference\"")),
              dropped_requests(r.counter("millrace_jit_dropped_requests_total",
                                         "Contracts turned away from a full compiler's queue")),
              cache_hits(
                  r.counter("millrace_jit_cache_hits_total", "Compiled contracts found on disk")),
              cache_misses(r.counter("millrace_jit_cache_misses_total",
                                     "Compiled contracts not found on disk")),
              compile_us(r.counter("millrace_jit_compile_microseconds_total",
                                   "Time spent on compiling and loading")),
              native_frames(
                  r.counter("millrace_jit_frames_total",
                            "Frames that ran compiled, by whether the interpreter repeated them",
                            "repeated=\"no\"")),
              shadow_frames(
                  r.counter("millrace_jit_frames_total",
                            "Frames that ran compiled, by whether the interpreter repeated them",
                            "repeated=\"yes\"")),
              left_frames(r.counter("millrace_jit_left_frames_total",
                                    "Frames begun compiled that the interpreter went on with")),
              machine_code_bytes(
                  r.gauge("millrace_jit_machine_code_bytes", "Machine code in memory")) {}
        metrics::Counter& compiled;
        metrics::Counter& refused_by_compiler;
        metrics::Counter& refused_for_room;
        metrics::Counter& refused_by_shadow;
        metrics::Counter& dropped_requests;
        metrics::Counter& cache_hits;
        metrics::Counter& cache_misses;
        metrics::Counter& compile_us;
        metrics::Counter& native_frames;
        metrics::Counter& shadow_frames;
        metrics::Counter& left_frames;
        metrics::Gauge& machine_code_bytes;
    };
    Counters counters_;
};

Result<void> JitEngine::Impl::start() {
    if (!has_codegen()) {
        return fail(ErrorCode::unavailable,
                    "this build has no compiler for contracts: it was made without LLVM 19");
    }
    MILLRACE_TRY(loader_, Loader::create());
    if (!options_.cache_directory.empty()) {
        MILLRACE_TRY(cache_, ObjectCache::open(options_.cache_directory, options_.cache_bytes_max));
    }
    if (options_.mode == JitMode::on) {
        thread_ = std::thread([this] { run_thread(); });
    }
    return {};
}

void JitEngine::Impl::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        queue_.clear();
    }
    changed_.notify_all();
    if (thread_.joinable()) { thread_.join(); }
}

const JitEngine::Impl::Record* JitEngine::Impl::record_of(const AnalyzedCode& code) {
    if (const NativeCode* there = code.native()) { return static_cast<const Record*>(there); }
    auto made = std::make_unique<Record>(shared_from_this());
    if (code.attach_native(made.get())) { return made.release(); }
    return static_cast<const Record*>(code.native());
}

NativeOutcome JitEngine::Impl::execute(Frame& frame, int64_t gas) {
    const auto* record = static_cast<const Record*>(frame.code->native());
    if (record == nullptr) {
        if (options_.mode != JitMode::eager) { return {}; }
        record = record_of(*frame.code);
    }
    Slots& slots = *record->slots();
    const Compiled* c = slots.at(frame.revision);
    if (c == nullptr) {
        if (options_.mode != JitMode::eager) { return {}; }
        slots.set(frame.revision, get(frame.code->bytes(), frame.revision));
        c = slots.at(frame.revision);
    }
    if (c->code == nullptr || c->refused.load(std::memory_order_relaxed)) { return {}; }
    const auto* here = static_cast<const char*>(__builtin_frame_address(0));
    const char* floor = native_stack_floor();
    if (floor == nullptr || here < floor + c->facts.stack_bytes) { return {}; }
    if (c->shadow_left.load(std::memory_order_relaxed) > 0) {
        if (in_shadow) { return {}; }
        return run_shadowed(*c, frame, gas);
    }
    counters_.native_frames.add();
    return run(*c, frame, gas);
}

// Compiled code has no mark of its type in front of it, where UBSan would look for one.
#if defined(__clang__)
__attribute__((no_sanitize("function")))
#endif
NativeOutcome
JitEngine::Impl::run(const Compiled& c, Frame& frame, int64_t gas) {
    begin_native(frame);
    const int64_t end = c.code->entry(&frame, gas);
    NativeOutcome out;
    if (end == goes_on_interpreted) {
        counters_.left_frames.add();
        out.kind = NativeOutcome::Kind::interpreted;
        out.position = frame.resume_position;
        out.sp = frame.resume_sp;
        out.gas = frame.gas_left;
        return out;
    }
    out.kind = NativeOutcome::Kind::ended;
    out.status = static_cast<Status>(end);
    return out;
}

NativeOutcome JitEngine::Impl::run_shadowed(const Compiled& c, Frame& frame, int64_t gas) {
    counters_.shadow_frames.add();
    in_shadow = true;
    TxState& state = *frame.state;
    const TxState::Checkpoint checkpoint = state.checkpoint();
    struct Seen {
        Status status;
        int64_t gas_left;
        Bytes output;
        uint64_t state;
        bool operator==(const Seen&) const = default;
    };
    const auto look = [&](Status status) {
        const bool forfeits = status != Status::success && status != Status::revert;
        const uint8_t* from = frame.memory + frame.output_offset;
        return Seen{status, forfeits ? 0 : frame.gas_left,
                    forfeits ? Bytes{} : Bytes(from, from + frame.output_size),
                    state.fingerprint()};
    };
    const auto start_again = [&] {
        state.revert_to(checkpoint);
        frame.memory_size = 0;
        frame.return_data->clear();
        frame.output_offset = frame.output_size = 0;
    };
    const auto run_both = [&] {
        const NativeOutcome native = run(c, frame, gas);
        const Status first =
            native.kind == NativeOutcome::Kind::interpreted ? resume(frame, native) : native.status;
        Seen compiled = look(first);
        start_again();
        const Status second = interpret(frame, gas);
        return std::pair{std::move(compiled), look(second)};
    };
    auto [first, second] = run_both();
    if (first != second) {
        // The state below may have moved between the two runs: the executor will find out, and does
        // not keep what this transaction did. A fault of the code shows itself again.
        start_again();
        std::tie(first, second) = run_both();
    }
    in_shadow = false;
    auto& mutable_c = const_cast<Compiled&>(c);
    if (first == second) {
        mutable_c.shadow_left.fetch_sub(1, std::memory_order_relaxed);
    } else {
        std::string what =
            "compiled code ended with " + std::string(name_of(first.status)) + ", gas left " +
            std::to_string(first.gas_left) + ", " + std::to_string(first.output.size()) +
            " bytes of output; the interpreter with " + std::string(name_of(second.status)) +
            ", gas left " + std::to_string(second.gas_left) + ", " +
            std::to_string(second.output.size()) + " bytes";
        if (first.state != second.state) { what += "; the changes of state differ"; }
        if (!mutable_c.refused.exchange(true)) { report(c, frame, gas, std::move(what)); }
    }
    NativeOutcome out;
    out.kind = NativeOutcome::Kind::ended;
    out.status = second.status;
    return out;
}

void JitEngine::Impl::report(const Compiled& c, const Frame& frame, int64_t gas, std::string what) {
    counters_.refused_by_shadow.add();
    JitDifference d;
    d.code_hash = c.facts.code_hash;
    d.revision = frame.revision;
    const ByteView code = frame.code->bytes();
    d.code.assign(code.begin(), code.end());
    d.input.assign(frame.message->input.begin(), frame.message->input.end());
    d.gas = gas;
    d.what = std::move(what);
    log::write(log::Level::error,
               "compiled code and the interpreter disagree: the contract stays in the interpreter; "
               "please report this",
               {{"code_hash", to_hex(d.code_hash)},
                {"revision", to_string(d.revision)},
                {"difference", d.what},
                {"input", to_hex(d.input)},
                {"gas", d.gas}});
    if (cache_ != nullptr) { cache_->forbid(c.facts.code_hash, frame.revision, d.what); }
    const std::lock_guard lock(mutex_);
    const auto at = table_.find(Key{c.facts.code_hash, frame.revision});
    if (at != table_.end()) { at->second.compiled->facts.refused = d.what; }
    if (differences_.size() < differences_max) { differences_.push_back(std::move(d)); }
}

void JitEngine::Impl::note(const Frame& frame, int64_t gas) noexcept {
    if (options_.mode != JitMode::on) { return; }
    // Init code runs once.
    const CallKind kind = frame.message->kind;
    if (kind == CallKind::create || kind == CallKind::create2) { return; }
    const uint64_t spent = frame.code->note_gas(gas);
    if (spent < std::max(options_.gas_min, options_.gas_per_byte * frame.code->size())) { return; }
    const std::shared_ptr<Slots>& slots = record_of(*frame.code)->slots();
    if (slots->at(frame.revision) != nullptr || !slots->claim(frame.revision)) { return; }
    // Nobody waits here for anybody: who does not get the lock asks again with the next frame.
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || stopping_ || queue_.size() >= options_.queue_max) {
        if (lock.owns_lock()) { counters_.dropped_requests.add(); }
        slots->unclaim(frame.revision);
        return;
    }
    const ByteView code = frame.code->bytes();
    queue_.push_back({Bytes(code.begin(), code.end()), frame.revision, slots});
    changed_.notify_all();
}

void JitEngine::Impl::run_thread() {
    set_thread_name("mr-jit");
    // Execution comes first where there are few processors.
    constexpr int background = 10;
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), background);
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (stopping_) { return; }
        const Request request = std::move(queue_.front());
        queue_.pop_front();
        busy_ = true;
        lock.unlock();
        request.slots->set(request.revision, get(request.code, request.revision));
        lock.lock();
        busy_ = false;
        changed_.notify_all();
    }
}

void JitEngine::Impl::drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || (queue_.empty() && !busy_); });
}

/// Forgets contracts that nobody can enter any more, the longest unused first, until `bytes` fit.
void JitEngine::Impl::make_room(size_t bytes) {
    const std::lock_guard lock(mutex_);
    std::vector<std::pair<uint64_t, Key>> idle;
    for (const auto& [key, entry] : table_) {
        if (entry.compiled->code != nullptr && entry.compiled.use_count() == 1 &&
            !entry.compiled->refused.load(std::memory_order_relaxed)) {
            idle.emplace_back(entry.used, key);
        }
    }
    std::sort(idle.begin(), idle.end());
    for (const auto& [used, key] : idle) {
        if (bytes_in_use_.load(std::memory_order_relaxed) + bytes <=
            options_.machine_code_bytes_max) {
            return;
        }
        table_.erase(key);
    }
}

Result<CompiledObject> JitEngine::Impl::make_object(const Key& key, ByteView code,
                                                    bool& from_cache) {
    if (cache_ != nullptr) {
        auto found = cache_->find(key.hash, key.revision);
        if (found) {
            counters_.cache_hits.add();
            from_cache = true;
            return found;
        }
        // A refusal that is remembered is final; anything else means that there is none.
        if (found.error().code == ErrorCode::conflict) { return found; }
        counters_.cache_misses.add();
    }
    auto object = options_.compiler ? options_.compiler(code, key.revision)
                                    : compile_contract(code, key.revision, options_.limits);
    if (object && cache_ != nullptr) { cache_->add(key.hash, key.revision, *object); }
    return object;
}

std::shared_ptr<Compiled> JitEngine::Impl::compile(const Key& key, ByteView code) {
    auto c = std::make_shared<Compiled>();
    c->facts.code_hash = key.hash;
    c->facts.revision = key.revision;
    c->facts.code_bytes = code.size();
    const auto begin = Clock::now();
    auto object = make_object(key, code, c->facts.from_cache);
    c->facts.compile_us = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
    counters_.compile_us.add(c->facts.compile_us);
    if (!object) {
        c->facts.refused = object.error().message;
        counters_.refused_by_compiler.add();
        return c;
    }
    c->facts.stack_bytes = object->stack_bytes;
    c->facts.optimized = object->optimized;
    if (object->stack_bytes > native_frame_bytes_max) {
        c->facts.refused = "its frames would take " + std::to_string(object->stack_bytes) +
                           " bytes of the stack, the limit is " +
                           std::to_string(native_frame_bytes_max);
        counters_.refused_by_compiler.add();
        return c;
    }
    const size_t bytes = std::max<size_t>(object->text_bytes, contract_bytes_min);
    make_room(bytes);
    if (bytes_in_use_.load(std::memory_order_relaxed) + bytes > options_.machine_code_bytes_max) {
        c->facts.refused = "no room for its machine code";
        counters_.refused_for_room.add();
        return c;
    }
    auto loaded = loader_->load(object->object);
    if (!loaded) {
        c->facts.refused = loaded.error().message;
        counters_.refused_by_compiler.add();
        return c;
    }
    c->code = std::move(*loaded);
    c->facts.machine_code_bytes = object->text_bytes;
    c->bytes_in_use = &bytes_in_use_;
    c->counted_bytes = bytes;
    bytes_in_use_.fetch_add(bytes, std::memory_order_relaxed);
    counters_.machine_code_bytes.set(
        static_cast<int64_t>(bytes_in_use_.load(std::memory_order_relaxed)));
    c->shadow_left.store(static_cast<int32_t>(options_.shadow_runs), std::memory_order_relaxed);
    counters_.compiled.add();
    return c;
}

std::shared_ptr<const Compiled> JitEngine::Impl::get(ByteView code, Revision revision) {
    const Key key{kernels::keccak256(code), revision};
    {
        const std::lock_guard lock(mutex_);
        const auto at = table_.find(key);
        if (at != table_.end()) {
            at->second.used = ++turn_;
            return at->second.compiled;
        }
    }
    const std::lock_guard one(compiling_);
    {
        const std::lock_guard lock(mutex_);
        const auto at = table_.find(key);
        if (at != table_.end()) { return at->second.compiled; }
    }
    std::shared_ptr<Compiled> c = compile(key, code);
    const std::lock_guard lock(mutex_);
    if (!c->facts.refused.empty() && ++refused_count_ > options_.refused_max) {
        // The longest unused of them is forgotten.
        auto oldest = table_.end();
        for (auto at = table_.begin(); at != table_.end(); ++at) {
            if (at->second.compiled->code == nullptr &&
                (oldest == table_.end() || at->second.used < oldest->second.used)) {
                oldest = at;
            }
        }
        if (oldest != table_.end()) { table_.erase(oldest); }
        --refused_count_;
    }
    table_[key] = {c, ++turn_};
    return c;
}

JitStatistics JitEngine::Impl::statistics() const {
    JitStatistics s;
    s.compiled = counters_.compiled.value();
    s.refused_by_compiler = counters_.refused_by_compiler.value();
    s.refused_for_room = counters_.refused_for_room.value();
    s.refused_by_shadow = counters_.refused_by_shadow.value();
    s.dropped_requests = counters_.dropped_requests.value();
    s.cache_hits = counters_.cache_hits.value();
    s.cache_misses = counters_.cache_misses.value();
    s.compile_us = counters_.compile_us.value();
    s.machine_code_bytes = bytes_in_use_.load(std::memory_order_relaxed);
    s.native_frames = counters_.native_frames.value();
    s.shadow_frames = counters_.shadow_frames.value();
    s.left_frames = counters_.left_frames.value();
    const std::lock_guard lock(mutex_);
    s.queue_depth = queue_.size();
    for (const auto& [key, entry] : table_) {
        if (entry.compiled->code != nullptr) { ++s.contracts; }
    }
    return s;
}

std::vector<JitContract> JitEngine::Impl::contracts() const {
    const std::lock_guard lock(mutex_);
    std::vector<JitContract> out;
    for (const auto& [key, entry] : table_) {
        JitContract c = entry.compiled->facts;
        c.trusted = entry.compiled->code != nullptr && c.refused.empty() &&
                    entry.compiled->shadow_left.load(std::memory_order_relaxed) <= 0;
        out.push_back(std::move(c));
    }
    return out;
}

std::vector<JitDifference> JitEngine::Impl::differences() const {
    const std::lock_guard lock(mutex_);
    return differences_;
}

JitEngine::JitEngine(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
JitEngine::~JitEngine() { impl_->stop(); }

Result<std::unique_ptr<JitEngine>> JitEngine::create(JitOptions options) {
    auto impl = std::make_shared<Impl>(std::move(options));
    MILLRACE_CHECK(impl->start());
    return std::unique_ptr<JitEngine>(new JitEngine(std::move(impl)));
}

NativeOutcome JitEngine::execute(Frame& frame, int64_t gas) { return impl_->execute(frame, gas); }
void JitEngine::note(const Frame& frame, int64_t gas) noexcept { impl_->note(frame, gas); }

JitContract JitEngine::warm(ByteView code, Revision revision) {
    return impl_->facts_of(*impl_->get(code, revision));
}

void JitEngine::drain() { impl_->drain(); }
JitStatistics JitEngine::statistics() const { return impl_->statistics(); }
std::vector<JitContract> JitEngine::contracts() const { return impl_->contracts(); }
std::vector<JitDifference> JitEngine::differences() const { return impl_->differences(); }

}  // namespace millrace::evm::jit
