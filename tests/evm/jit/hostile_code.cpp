// SPDX-License-Identifier: Apache-2.0
// Owns the list of compile bombs.
#include "tests/evm/jit/hostile_code.hpp"

#include <functional>

#include "evm/core/opcodes.hpp"
#include "tests/evm/differential/choices.hpp"

namespace millrace::evm::jit {
namespace {

using differential::Choices;

constexpr uint8_t jumpdest = 0x5b;
/// The end takes so many items, whatever the middle has left.
constexpr unsigned shown_words = 80;

void push2(Bytes& code, size_t v) {
    code.push_back(0x61);
    code.push_back(static_cast<uint8_t>(v >> 8));
    code.push_back(static_cast<uint8_t>(v));
}
void append(Bytes& code, std::initializer_list<int> bytes) {
    for (const int b : bytes) { code.push_back(static_cast<uint8_t>(b)); }
}
/// Words that nobody knows, as many as the stack needs.
void unknown_words(Bytes& code, unsigned count) {
    for (unsigned i = 0; i < count; ++i) { append(code, {0x60, int(i), 0x35}); }
}

/// The same piece until the room is used; one byte is left for an end.
Bytes repeated(size_t bytes, unsigned words, std::initializer_list<int> piece) {
    Bytes code;
    unknown_words(code, words + shown_words);
    while (code.size() + piece.size() < bytes) { append(code, piece); }
    return code;
}

Bytes random_stack_operations(size_t bytes) {
    Bytes code;
    Choices choices{7};
    unknown_words(code, 17 + shown_words);
    int depth = 17;
    while (code.size() + 1 < bytes) {
        const uint64_t pick = choices.below(4);
        if (pick == 0 && depth < 900) {
            code.push_back(static_cast<uint8_t>(0x80 + choices.below(16)));
            ++depth;
        } else if (pick == 1) {
            code.push_back(static_cast<uint8_t>(0x90 + choices.below(16)));
        } else if (depth > 18) {
            code.push_back(static_cast<uint8_t>(pick == 2 ? 0x01 : 0x18));
            --depth;
        }
    }
    return code;
}

/// Branches that skip a few instructions; `carried` words that each side changes.
Bytes branches(size_t bytes, unsigned carried, std::initializer_list<int> skipped) {
    Bytes code;
    unknown_words(code, carried + shown_words);
    while (code.size() + 8 + skipped.size() < bytes) {
        append(code, {0x36});
        push2(code, code.size() + 4 + skipped.size());
        append(code, {0x57});
        append(code, skipped);
        code.push_back(jumpdest);
    }
    return code;
}

/// Every piece may jump back to the first: one block with as many ways in as there are pieces.
Bytes many_ways_into_one(size_t bytes, unsigned carried) {
    Bytes code;
    unknown_words(code, carried + shown_words);
    const size_t first = code.size();
    code.push_back(jumpdest);
    while (code.size() + 16 < bytes) {
        append(code, {0x90 + int(code.size() % 16), 0x01, 0x36, 0x81, 0x35});
        push2(code, first);
        append(code, {0x57, jumpdest});
    }
    return code;
}

/// A jump to what the input says, and as many destinations as fit.
Bytes jump_table(size_t bytes, std::initializer_list<int> piece) {
    Bytes code;
    append(code, {0x36, 0x35, 0x56});
    while (code.size() + piece.size() + 8 < bytes) {
        code.push_back(jumpdest);
        append(code, piece);
        append(code, {0x36, 0x35, 0x56});
    }
    return code;
}

/// Functions that call the next one twice: 2^n ways to the last.
Bytes nested_calls(unsigned functions, unsigned calls) {
    Bytes code;
    const unsigned length = 2 + calls * 8 + 2;
    // 0: PUSH2 end PUSH2 f0 JUMP JUMPDEST STOP
    push2(code, 7);
    push2(code, 9);
    append(code, {0x56, jumpdest, 0x00});
    for (unsigned f = 0; f < functions; ++f) {
        const size_t next = 9 + size_t{f + 1} * length;
        const size_t start = code.size();
        append(code, {jumpdest, 0x5a});
        for (unsigned c = 0; c < calls && f + 1 < functions; ++c) {
            push2(code, code.size() + 7);
            push2(code, next);
            append(code, {0x56, jumpdest});
        }
        while (code.size() < start + length - 2) { code.push_back(jumpdest); }
        append(code, {0x50, 0x56});
    }
    return code;
}

/// One function called from everywhere, each time with one more item on the stack.
Bytes calls_at_all_heights(size_t bytes) {
    Bytes code;
    const size_t body = 60;
    push2(code, body + 20);
    code.push_back(0x56);
    code.resize(body, jumpdest);
    code.push_back(jumpdest);
    for (int i = 0; i < 8; ++i) { append(code, {0x5a, 0x01}); }
    append(code, {0x90, 0x56});
    code.resize(body + 20, jumpdest);
    code.push_back(jumpdest);
    for (int n = 0; code.size() + 16 < bytes && n < 1'000; ++n) {
        push2(code, code.size() + 8);
        append(code, {0x36});
        push2(code, body);
        append(code, {0x56, jumpdest});
    }
    return code;
}

/// A function that calls itself, with a return address more each time.
Bytes recursion() {
    Bytes code;
    push2(code, 7);
    push2(code, 9);
    append(code, {0x56, jumpdest, 0x00});
    append(code, {jumpdest, 0x5a, 0x15});
    push2(code, 28);
    append(code, {0x57});
    push2(code, 27);
    push2(code, 9);
    append(code, {0x56, jumpdest, jumpdest, jumpdest, jumpdest, jumpdest});
    code.resize(27, jumpdest);
    append(code, {jumpdest, jumpdest, 0x56});
    return code;
}

}  // namespace

std::vector<HostileCode> hostile_codes(size_t bytes) {
    std::vector<HostileCode> out;
    // What is computed is shown at the end, or it would be left out.
    constexpr size_t end_bytes = 80;
    bytes -= end_bytes;
    const auto add = [&out](const char* name, Bytes code) {
        code.insert(code.end(), end_bytes - 2, uint8_t{0x18});
        append(code, {0x5f, 0x52});
        out.push_back({name, std::move(code)});
    };
    add("JUMPDEST", Bytes(bytes, jumpdest));
    add("random stack operations", random_stack_operations(bytes));
    add("ADD", repeated(bytes, 16, {0x8f, 0x01}));
    add("MUL of unknown words", repeated(bytes, 2, {0x81, 0x02}));
    add("DIV", repeated(bytes, 2, {0x81, 0x04}));
    add("MULMOD", repeated(bytes, 2, {0x81, 0x82, 0x09}));
    add("SHL by unknown words", repeated(bytes, 2, {0x81, 0x1b}));
    add("SAR by unknown words", repeated(bytes, 2, {0x81, 0x1d}));
    add("BYTE at unknown places", repeated(bytes, 2, {0x81, 0x1a}));
    add("SIGNEXTEND", repeated(bytes, 2, {0x81, 0x0b}));
    add("MLOAD anywhere", repeated(bytes, 2, {0x51}));
    add("MSTORE anywhere", repeated(bytes, 2, {0x80, 0x35, 0x81, 0x52}));
    add("CALLDATALOAD anywhere", repeated(bytes, 1, {0x35}));
    add("KECCAK256", repeated(bytes, 2, {0x81, 0x20}));
    add("SLOAD", repeated(bytes, 1, {0x54}));
    add("GAS", repeated(bytes, 1, {0x5a, 0x01}));
    add("CALLER and ADDRESS", repeated(bytes, 1, {0x33, 0x01, 0x30, 0x01}));
    add("CLZ", repeated(bytes, 1, {0x1e}));
    add("branches", branches(bytes, 2, {}));
    add("branches around ADD", branches(bytes, 2, {0x81, 0x01}));
    add("branches with 16 words", branches(bytes, 17, {0x9f, 0x01, 0x81}));
    add("branches with 64 words", branches(bytes, 64, {0x9f, 0x8f, 0x01}));
    add("branches around MUL", branches(bytes, 16, {0x8f, 0x02, 0x9f}));
    add("ways into one block, 16 words", many_ways_into_one(bytes, 16));
    add("ways into one block, 64 words", many_ways_into_one(bytes, 64));
    add("jump table", jump_table(bytes, {}));
    add("jump table with stack traffic", jump_table(bytes, {0x9f, 0x8f, 0x01}));
    add("jump table with MUL", jump_table(bytes, {0x02, 0x80, 0x81}));
    add("calls nested 12 deep, 2 each", nested_calls(12, 2));
    add("calls nested 100 deep, 2 each", nested_calls(100, 2));
    add("calls nested 40 deep, 8 each", nested_calls(40, 8));
    add("calls at all heights", calls_at_all_heights(bytes));
    add("recursion", recursion());
    return out;
}

}  // namespace millrace::evm::jit
