// SPDX-License-Identifier: Apache-2.0
#include "host/sequencer/executor/shared_code.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "evm/core/overlay.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::sequencer {
namespace {

Bytes numbered_code(uint64_t number, size_t size = 1'000) {
    Bytes code(size, 0x5b);
    std::memcpy(code.data(), &number, sizeof number);
    return code;
}
Hash256 hash_of(uint64_t number) { return kernels::keccak256(numbered_code(number)); }
evm::AnalyzedCodePtr analysis(uint64_t number) {
    return std::make_shared<const evm::AnalyzedCode>(numbered_code(number));
}

TEST(SharedCodeStore, TheFirstAnalysisIsKept) {
    SharedCodeStore store;
    EXPECT_EQ(store.find(hash_of(1)), nullptr);
    const auto first = analysis(1);
    EXPECT_EQ(store.add(hash_of(1), first), first);
    EXPECT_EQ(store.add(hash_of(1), analysis(1)), first);
    EXPECT_EQ(store.find(hash_of(1)), first);
}

TEST(SharedCodeStore, IsBoundedAndKeepsWhatIsAskedFor) {
    constexpr size_t limit = 1 << 20;
    SharedCodeStore store{limit};
    const auto wanted = store.add(hash_of(0), analysis(0));
    for (uint64_t i = 1; i < 2'000; ++i) {
        store.add(hash_of(i), analysis(i));
        ASSERT_LE(store.bytes(), limit);
        ASSERT_EQ(store.find(hash_of(0)), wanted) << i;
    }
    EXPECT_EQ(store.find(hash_of(1)), nullptr) << "the oldest that nobody asked for is gone";
}

TEST(SharedCodeStore, AReaderDoesNotFillIt) {
    SharedCodeStore store;
    SharedCodeReader reader{store};
    const auto mine = analysis(1);
    EXPECT_EQ(reader.add(hash_of(1), mine), mine);
    EXPECT_EQ(store.find(hash_of(1)), nullptr);
    store.add(hash_of(2), analysis(2));
    EXPECT_EQ(reader.find(hash_of(2)), store.find(hash_of(2)));

    // Reading is no use either: code that only readers ask for goes first.
    constexpr size_t limit = 1 << 20;
    SharedCodeStore small{limit};
    SharedCodeReader small_reader{small};
    small.add(hash_of(0), analysis(0));
    for (uint64_t i = 1; i < 2'000; ++i) {
        small.add(hash_of(i), analysis(i));
        small_reader.find(hash_of(0));
    }
    EXPECT_EQ(small.peek(hash_of(0)), nullptr);
}

TEST(SharedCodeStore, WorkersShareOneAnalysisAndItsRunChecks) {
    SharedCodeStore store;
    constexpr uint64_t code_count = 64;
    std::vector<std::vector<const evm::RunCheck*>> seen(4);
    {
        std::vector<std::jthread> workers;
        for (auto& mine : seen) {
            workers.emplace_back([&] {
                evm::StateOverlay state;
                evm::CodeCache cache;
                cache.share(&store);
                for (uint64_t i = 0; i < code_count; ++i) {
                    Address a;
                    a[19] = static_cast<uint8_t>(i);
                    state.set_code(a, numbered_code(i));
                    mine.push_back(cache.get(hash_of(i), state)->make_runs());
                }
            });
        }
    }
    for (const auto& mine : seen) { EXPECT_EQ(mine, seen[0]); }
}

}  // namespace
}  // namespace millrace::sequencer
