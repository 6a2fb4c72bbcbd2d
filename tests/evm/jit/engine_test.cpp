// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the tiers: trust, limits, what is remembered, and threads.
#include "evm/jit/engine.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "evm/core/code.hpp"
#include "tests/evm/jit/outcome.hpp"
#include "tests/evm/jit/structured_program.hpp"
#include "tests/evm/jit/temporary_directory.hpp"

namespace millrace::evm::jit {
namespace {

constexpr uint64_t plenty = 1'000'000;

/// MSTORE(0, CALLDATALOAD(0) <operation> 3) and returns the word; `mark` makes it another code.
Bytes computing(uint8_t operation, uint8_t mark = 0) {
    return {0x60, mark, 0x50, 0x60, 0x03, 0x60, 0x00, 0x35, operation,
            0x60, 0x00, 0x52, 0x60, 0x20, 0x60, 0x00, 0xf3};
}
constexpr uint8_t add = 0x01;
constexpr uint8_t sub = 0x03;

JitOptions eager() {
    JitOptions options;
    options.mode = JitMode::eager;
    options.shadow_runs = 0;
    return options;
}

std::unique_ptr<JitEngine> make(JitOptions options) {
    auto engine = JitEngine::create(std::move(options));
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
}

void expect_same(const Scenario& scenario, NativeTier& tier) {
    EXPECT_EQ(difference(run(scenario, nullptr), run(scenario, &tier)), "");
}

/// The same outcome by the same reads, whatever code was at hand and however often they were asked.
std::string difference_but_repeated_reads(Outcome a, Outcome b) {
    for (Outcome* o : {&a, &b}) {
        std::erase_if(o->questions, [](const std::string& q) { return q.starts_with("code 0x"); });
        std::sort(o->questions.begin(), o->questions.end());
        o->questions.erase(std::unique(o->questions.begin(), o->questions.end()),
                           o->questions.end());
    }
    return difference(a, b);
}

/// Compiles SUB where the code says ADD.
Result<CompiledObject> wrong_compiler(ByteView code, Revision revision) {
    Bytes other(code.begin(), code.end());
    for (uint8_t& b : other) { b = b == add ? sub : b; }
    return compile_contract(other, revision);
}

TEST(JitEngine, AWrongCompilerIsFoundByTheShadowAndChangesNothing) {
    const TemporaryDirectory directory;
    const Scenario scenario = call_of(computing(add), Bytes(32, 7), plenty);
    JitOptions options = eager();
    options.shadow_runs = 2;
    options.compiler = wrong_compiler;
    options.cache_directory = directory.path();
    {
        const auto engine = make(options);
        for (int i = 0; i < 4; ++i) { expect_same(scenario, *engine); }
        const JitStatistics s = engine->statistics();
        EXPECT_EQ(s.compiled, 1u);
        EXPECT_EQ(s.refused_by_shadow, 1u);
        EXPECT_EQ(s.shadow_frames, 1u);
        EXPECT_EQ(s.native_frames, 0u);
        const std::vector<JitDifference> differences = engine->differences();
        ASSERT_EQ(differences.size(), 1u);
        EXPECT_EQ(differences[0].code, computing(add));
        EXPECT_EQ(differences[0].input, Bytes(32, 7));
        EXPECT_EQ(differences[0].gas, int64_t{plenty});
        EXPECT_FALSE(differences[0].what.empty());
        ASSERT_EQ(engine->contracts().size(), 1u);
        EXPECT_FALSE(engine->contracts()[0].trusted);
        EXPECT_EQ(engine->contracts()[0].refused, differences[0].what);
    }
    // For good: the next start does not even compile it.
    unsigned compilations = 0;
    options.compiler = [&](ByteView code, Revision revision) {
        ++compilations;
        return compile_contract(code, revision);
    };
    const auto engine = make(options);
    expect_same(scenario, *engine);
    EXPECT_EQ(compilations, 0u);
    EXPECT_EQ(engine->statistics().refused_by_compiler, 1u);
}

TEST(JitEngine, TheShadowTrustsWhatAgreesOftenEnough) {
    JitOptions options = eager();
    options.shadow_runs = 3;
    const auto engine = make(options);
    const Scenario scenario = call_of(computing(add), Bytes(32, 7), plenty);
    for (int i = 0; i < 5; ++i) { expect_same(scenario, *engine); }
    EXPECT_EQ(engine->statistics().shadow_frames, 3u);
    EXPECT_EQ(engine->statistics().native_frames, 2u);
    EXPECT_EQ(engine->statistics().refused_by_shadow, 0u);
    EXPECT_TRUE(engine->contracts().at(0).trusted);
}

/// What a trusted wrong compiler does is seen from outside: the comparison above is one.
TEST(JitEngine, AWrongCompilerThatIsTrustedIsWrong) {
    JitOptions options = eager();
    options.compiler = wrong_compiler;
    const auto engine = make(options);
    const Scenario scenario = call_of(computing(add), Bytes(32, 7), plenty);
    EXPECT_NE(difference(run(scenario, nullptr), run(scenario, engine.get())), "");
}

/// Effects of the run that is repeated must be gone, and the reads of state the same.
TEST(JitEngine, ShadowRunsOfGeneratedWorldsAgree) {
    JitOptions options = eager();
    options.shadow_runs = 1'000'000;
    const auto engine = make(options);
    for (uint64_t seed = 300; seed < 340; ++seed) {
        Choices choices{seed};
        const Scenario scenario = structured_scenario(choices);
        EXPECT_EQ(
            difference_but_repeated_reads(run(scenario, nullptr), run(scenario, engine.get())), "")
            << "seed " << seed;
    }
    EXPECT_EQ(engine->statistics().refused_by_shadow, 0u);
    EXPECT_GT(engine->statistics().shadow_frames, 20u);
}

TEST(JitEngine, ARefusalIsRememberedWithItsReason) {
    unsigned compilations = 0;
    JitOptions options = eager();
    options.compiler = [&](ByteView, Revision) -> Result<CompiledObject> {
        ++compilations;
        return fail(ErrorCode::limit, "too hard");
    };
    const auto engine = make(options);
    const Scenario scenario = call_of(computing(add), Bytes(32, 7), plenty);
    for (int i = 0; i < 3; ++i) { expect_same(scenario, *engine); }
    EXPECT_EQ(compilations, 1u);
    EXPECT_EQ(engine->statistics().refused_by_compiler, 1u);
    EXPECT_EQ(engine->statistics().native_frames, 0u);
    ASSERT_EQ(engine->contracts().size(), 1u);
    EXPECT_EQ(engine->contracts()[0].refused, "too hard");
    EXPECT_FALSE(engine->contracts()[0].trusted);
}

TEST(JitEngine, AnObjectThatIsNoneIsRefused) {
    JitOptions options = eager();
    options.compiler = [](ByteView, Revision) -> Result<CompiledObject> {
        return CompiledObject{Bytes(500, 0x5a), 100, 100};
    };
    const auto engine = make(options);
    expect_same(call_of(computing(add), Bytes(32, 7), plenty), *engine);
    EXPECT_EQ(engine->statistics().refused_by_compiler, 1u);
    EXPECT_EQ(engine->statistics().machine_code_bytes, 0u);
}

TEST(JitEngine, MachineCodeStaysWithinItsLimit) {
    JitOptions options = eager();
    const size_t one = contract_bytes_min;  // more than its machine code takes
    options.machine_code_bytes_max = 2 * one + one / 2;
    const auto engine = make(options);
    for (uint8_t mark = 0; mark < 6; ++mark) {
        expect_same(call_of(computing(add, mark), Bytes(32, 7), plenty), *engine);
        EXPECT_LE(engine->statistics().machine_code_bytes, options.machine_code_bytes_max);
    }
    // Nobody holds the earlier ones any more: they made room.
    EXPECT_EQ(engine->statistics().compiled, 6u);
    EXPECT_EQ(engine->statistics().contracts, 2u);
    EXPECT_EQ(engine->statistics().refused_for_room, 0u);
}

/// What several threads, or several blocks, share.
class Shared final : public SharedCode {
public:
    AnalyzedCodePtr find(const Hash256& hash) override {
        const std::lock_guard lock(mutex_);
        const auto at = codes_.find(hash);
        return at == codes_.end() ? nullptr : at->second;
    }
    AnalyzedCodePtr add(const Hash256& hash, AnalyzedCodePtr code) override {
        const std::lock_guard lock(mutex_);
        return codes_.try_emplace(hash, std::move(code)).first->second;
    }
    void clear() {
        const std::lock_guard lock(mutex_);
        codes_.clear();
    }

private:
    std::mutex mutex_;  // guards codes_
    std::map<Hash256, AnalyzedCodePtr> codes_;
};

TEST(JitEngine, CodeThatIsInUseDoesNotMakeRoom) {
    JitOptions options = eager();
    const size_t one = contract_bytes_min;  // more than its machine code takes
    options.machine_code_bytes_max = one + one / 2;
    const auto engine = make(options);
    Shared shared;
    for (uint8_t mark = 0; mark < 3; ++mark) {
        const Scenario scenario = call_of(computing(add, mark), Bytes(32, 7), plenty);
        EXPECT_EQ(difference_but_repeated_reads(run(scenario, nullptr),
                                                run(scenario, engine.get(), &shared)),
                  "");
    }
    EXPECT_EQ(engine->statistics().compiled, 1u);
    EXPECT_EQ(engine->statistics().refused_for_room, 2u);
}

TEST(JitEngine, CodeMayOutliveTheEngine) {
    Shared shared;
    const Scenario scenario = call_of(computing(add), Bytes(32, 7), plenty);
    {
        const auto engine = make(eager());
        EXPECT_EQ(difference_but_repeated_reads(run(scenario, nullptr),
                                                run(scenario, engine.get(), &shared)),
                  "");
        EXPECT_EQ(engine->statistics().native_frames, 1u);
    }
    EXPECT_EQ(
        difference_but_repeated_reads(run(scenario, nullptr), run(scenario, nullptr, &shared)), "");
    shared.clear();
}

/// A compiler that waits until it is told to go on.
struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    unsigned entered = 0;

    Result<CompiledObject> compile(ByteView code, Revision revision) {
        {
            std::unique_lock lock(mutex);
            ++entered;
            changed.notify_all();
            changed.wait(lock, [this] { return open; });
        }
        return compile_contract(code, revision);
    }
    void wait_for_entry() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return entered > 0; });
    }
    void let_go() {
        const std::lock_guard lock(mutex);
        open = true;
        changed.notify_all();
    }
};

TEST(JitEngine, ExecutionGoesOnWhileTheCompilerIsBusyAndTheQueueIsBounded) {
    Gate gate;
    JitOptions options;
    options.gas_per_byte = 0;
    options.gas_min = 0;
    options.shadow_runs = 0;
    options.queue_max = 2;
    options.compiler = [&](ByteView code, Revision r) { return gate.compile(code, r); };
    const auto engine = make(options);
    Shared shared;
    const auto call = [&](uint8_t mark) {
        const Scenario scenario = call_of(computing(add, mark), Bytes(32, 7), plenty);
        EXPECT_EQ(difference_but_repeated_reads(run(scenario, nullptr),
                                                run(scenario, engine.get(), &shared)),
                  "");
    };
    call(0);
    gate.wait_for_entry();
    for (uint8_t mark = 1; mark < 5; ++mark) { call(mark); }
    EXPECT_EQ(engine->statistics().queue_depth, 2u);
    EXPECT_EQ(engine->statistics().dropped_requests, 2u);
    EXPECT_EQ(engine->statistics().native_frames, 0u);
    gate.let_go();
    engine->drain();
    EXPECT_EQ(engine->statistics().compiled, 3u);
    // What was dropped is asked for again.
    for (uint8_t mark = 0; mark < 5; ++mark) {
        call(mark);
        engine->drain();
    }
    EXPECT_EQ(engine->statistics().compiled, 5u);
    EXPECT_EQ(engine->statistics().native_frames, 3u);
}

TEST(JitEngine, IsDestroyedWhileItsQueueIsFull) {
    Gate gate;
    JitOptions options;
    options.gas_per_byte = 0;
    options.gas_min = 0;
    options.compiler = [&](ByteView code, Revision r) { return gate.compile(code, r); };
    auto engine = make(options);
    Shared shared;
    for (uint8_t mark = 0; mark < 5; ++mark) {
        run(call_of(computing(add, mark), Bytes(32, 7), plenty), engine.get(), &shared);
    }
    gate.wait_for_entry();
    gate.let_go();
    engine.reset();
    shared.clear();
}

/// Four threads run the same worlds with shared code while it is compiled, compared and refused.
TEST(JitEngine, ThreadsShareTheEngine) {
    constexpr unsigned threads = 4;
    constexpr uint64_t worlds = 12;
    constexpr unsigned rounds = 4;
    JitOptions options;
    options.gas_per_byte = 0;
    options.gas_min = 0;
    options.shadow_runs = 2;
    options.queue_max = 3;
    options.machine_code_bytes_max = 60'000;
    options.compiler = [](ByteView code, Revision revision) {
        return code.size() % 5 == 0 ? wrong_compiler(code, revision)
                                    : compile_contract(code, revision);
    };
    const auto engine = make(options);
    std::vector<Scenario> scenarios;
    std::vector<Outcome> expected;
    for (uint64_t seed = 1; seed <= worlds; ++seed) {
        Choices choices{seed};
        scenarios.push_back(structured_scenario(choices));
        expected.push_back(run(scenarios.back(), nullptr));
    }
    Shared shared;
    std::atomic<unsigned> differences{0};
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < threads; ++t) {
        workers.emplace_back([&, t] {
            for (unsigned i = 0; i < rounds * worlds; ++i) {
                const size_t n = (i * (t + 1) + t) % worlds;
                const Outcome o = run(scenarios[n], engine.get(), &shared);
                if (!difference_but_repeated_reads(expected[n], o).empty()) {
                    differences.fetch_add(1);
                }
                if (i % 16 == 5) { shared.clear(); }
                if (i % 8 == 3) {
                    engine->contracts();
                    engine->statistics();
                }
            }
        });
    }
    for (std::thread& w : workers) { w.join(); }
    // A wrong compiler's result is only seen while it is compared, and never given out.
    EXPECT_EQ(differences.load(), 0u);
    engine->drain();
    EXPECT_GT(engine->statistics().compiled, 0u);
}

/// 1,024 frames of compiled code, or of the interpreter where the machine's stack gets short.
TEST(JitEngine, CallsToTheLimitOfDepth) {
    // Calls itself with all gas and the depth in storage: SSTORE(0, SLOAD(0) + 1).
    const Bytes code = {0x60, 0x00, 0x54, 0x60, 0x01, 0x01, 0x60, 0x00, 0x55, 0x60,
                        0x00, 0x60, 0x00, 0x60, 0x00, 0x60, 0x00, 0x60, 0x00, 0x30,
                        0x5a, 0xf1, 0x60, 0x00, 0x52, 0x60, 0x20, 0x60, 0x00, 0xf3};
    const auto engine = make(eager());
    const Scenario scenario = call_of(code, {}, 100'000'000'000'000);
    const Outcome outcome = run(scenario, nullptr);
    EXPECT_NE(outcome.changes.find("0401"), std::string::npos) << outcome.changes;
    EXPECT_EQ(difference(outcome, run(scenario, engine.get())), "");
    EXPECT_GT(engine->statistics().native_frames, 100u);
    // Of a small stack half is left to the interpreter.
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, size_t{2} << 20);
    struct Work {
        const Scenario& scenario;
        const Outcome& outcome;
        JitEngine& engine;
    } work{scenario, outcome, *engine};
    pthread_t thread{};
    ASSERT_EQ(pthread_create(
                  &thread, &attributes,
                  [](void* p) -> void* {
                      Work& w = *static_cast<Work*>(p);
                      EXPECT_EQ(difference(w.outcome, run(w.scenario, &w.engine)), "");
                      return nullptr;
                  },
                  &work),
              0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
}

/// Code that uses no stack of the machine's is not refused for it.
TEST(JitEngine, CodeWithoutAFrameIsCompiled) {
    const Bytes code = {0x5b, 0x5b, 0x00};
    const auto engine = make(eager());
    expect_same(call_of(code, {}, plenty), *engine);
    EXPECT_EQ(engine->statistics().compiled, 1u) << engine->contracts().at(0).refused;
}

}  // namespace
}  // namespace millrace::evm::jit
