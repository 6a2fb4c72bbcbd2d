// SPDX-License-Identifier: Apache-2.0
// Owns ADDMOD and MULMOD by constants, for which compiled code has ways of its own.
#include <gtest/gtest.h>

#include <vector>

#include "evm/jit/engine.hpp"
#include "tests/evm/jit/outcome.hpp"

namespace millrace::evm::jit {
namespace {

/// Stores (a op b) mod m and ((a op b) mod m op b) mod m; a and b come from the call data.
Bytes program(Opcode op, const U256& m) {
    Bytes code;
    const auto put = [&code](std::initializer_list<int> bytes) {
        for (const int b : bytes) { code.push_back(static_cast<uint8_t>(b)); }
    };
    const auto push = [&](const U256& v) {
        put({0x7f});
        const Hash256 bytes = to_hash(v);
        code.insert(code.end(), bytes.begin(), bytes.end());
    };
    push(m);
    put({0x60, 0x20, 0x35, 0x60, 0x00, 0x35, static_cast<int>(op)});
    put({0x80, 0x60, 0x00, 0x52});
    push(m);
    put({0x90, 0x60, 0x20, 0x35, 0x90, static_cast<int>(op)});
    put({0x60, 0x20, 0x52, 0x60, 0x40, 0x60, 0x00, 0xf3});
    return code;
}

TEST(JitConstantModulus, AgreesAtTheEdgesOfEveryModulus) {
    JitOptions options;
    options.mode = JitMode::eager;
    options.shadow_runs = 0;
    auto engine = JitEngine::create(std::move(options));
    if (!engine) { GTEST_SKIP() << engine.error().message; }
    const U256 top = U256::max();
    const U256 half{uint64_t{1} << 63, 0, 0, 0};
    const U256 quarter{uint64_t{1} << 62, 0, 0, 0};
    const U256 secp256k1 = top - U256{0x1000003d0};
    std::vector<U256> moduli = {U256{},
                                U256{1},
                                U256{2},
                                U256{1'000'003},
                                U256{0, 0, 1, 0},
                                quarter - U256{1},
                                quarter,
                                quarter + U256{1},
                                top / U256{3},
                                (top - U256{~uint64_t{0}}) / U256{3},
                                half - U256{19},
                                half - U256{1},
                                half,
                                half + U256{1},
                                half + U256{0, 0, 0, ~uint64_t{0}},
                                secp256k1,
                                top - U256{~uint64_t{0} - 2},
                                top - U256{~uint64_t{0} - 1},
                                top - U256{~uint64_t{0}},
                                top - U256{0, 0, 1, 0},
                                top - U256{1},
                                top};
    std::vector<U256> words = {
        U256{},         U256{1},       U256{2}, U256{~uint64_t{0}}, half - U256{1}, half,
        half + U256{1}, top - U256{1}, top};
    Choices choices{7};
    for (const U256& m : moduli) {
        std::vector<U256> operands = words;
        for (const U256& near : {m, m - U256{1}, m + U256{1}, m + m, m + m - U256{1}}) {
            operands.push_back(near);
        }
        for (int i = 0; i < 6; ++i) {
            operands.push_back(
                U256{choices.next(), choices.next(), choices.next(), choices.next()});
        }
        for (const Opcode op : {Opcode::addmod, Opcode::mulmod}) {
            const Bytes code = program(op, m);
            const auto reduce = [&](const U256& a, const U256& b) {
                return op == Opcode::addmod ? add_mod(a, b, m) : mul_mod(a, b, m);
            };
            for (const U256& a : operands) {
                for (const U256& b : operands) {
                    Bytes input(64);
                    store_be(a, input.data());
                    store_be(b, input.data() + 32);
                    const Outcome got = run(call_of(code, input, 100'000), engine->get());
                    ASSERT_EQ(got.output.size(), 64u);
                    const U256 once = reduce(a, b);
                    EXPECT_EQ(load_be(got.output.data()), once);
                    EXPECT_EQ(load_be(got.output.data() + 32), reduce(once, b));
                }
            }
        }
    }
    EXPECT_GT((*engine)->statistics().native_frames, 1'000u);
}

}  // namespace
}  // namespace millrace::evm::jit
