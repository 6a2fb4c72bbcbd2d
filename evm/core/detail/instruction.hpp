// SPDX-License-Identifier: Apache-2.0
// Owns the frame of every instruction: its signature, the stack and gas checks, memory growth.
#pragma once

#include "evm/core/frame.hpp"
#include "evm/core/gas.hpp"
#include "evm/core/opcodes.hpp"

// Every instruction exists twice. The checked one looks at stack and gas itself. The fast one runs
// within a run whose check has paid for it (code.hpp, RunCheck); only instructions that stand apart
// from runs check themselves in both.
#define MILLRACE_INSTRUCTION_T(parameters, name)                       \
    template <parameters, bool checked>                                \
    [[maybe_unused]] MILLRACE_PRESERVE_NONE static Status name(        \
        [[maybe_unused]] const uint8_t* pc, [[maybe_unused]] U256* sp, \
        [[maybe_unused]] int64_t gas, [[maybe_unused]] Frame* f,       \
        [[maybe_unused]] const Dispatch* table)
#define MILLRACE_INSTRUCTION(name)                                     \
    template <bool checked>                                            \
    [[maybe_unused]] MILLRACE_PRESERVE_NONE static Status name(        \
        [[maybe_unused]] const uint8_t* pc, [[maybe_unused]] U256* sp, \
        [[maybe_unused]] int64_t gas, [[maybe_unused]] Frame* f,       \
        [[maybe_unused]] const Dispatch* table)

// Continues with the instruction `advance` bytes further on, within the run.
#define MILLRACE_NEXT(advance)                                                      \
    do {                                                                            \
        const uint8_t* next_pc = pc + (advance);                                    \
        [[clang::musttail]] return table->op[*next_pc](next_pc, sp, gas, f, table); \
    } while (false)

// Continues at `target` in a new run whose check is runs[check]. When that fails the frame goes on
// at `resume` by the checked table. The table comes from the frame, so that it need not be kept
// over calls.
#define MILLRACE_NEXT_RUN(target, check, resume)                                          \
    do {                                                                                  \
        const uint8_t* run_pc = (target);                                                 \
        const Dispatch* run_table = f->dispatch;                                          \
        if constexpr (!checked) {                                                         \
            const RunCheck run = f->runs[check];                                          \
            const auto height =                                                           \
                static_cast<uint64_t>(reinterpret_cast<const uint8_t*>(sp) -              \
                                      reinterpret_cast<const uint8_t*>(f->stack_base));   \
            if (height - run.need_bytes > run.room_bytes || gas < run.gas) [[unlikely]] { \
                run_pc = (resume);                                                        \
                run_table = f->dispatch = f->checked;                                     \
            } else {                                                                      \
                gas -= run.gas;                                                           \
            }                                                                             \
        }                                                                                 \
        [[clang::musttail]] return run_table->op[*run_pc](run_pc, sp, gas, f, run_table); \
    } while (false)

// Continues after an instruction that stands apart.
#define MILLRACE_NEXT_APART() MILLRACE_NEXT_RUN(pc + 1, pc + 1 - f->code_begin, pc + 1)

// Ends the frame with an error. What the instruction had been charged by then stays readable for
// tracers: a negative rest when it asked for more gas than there was. Only the checked table keeps
// it, the one that tracing runs on.
#define MILLRACE_FAIL(status)                         \
    do {                                              \
        if constexpr (checked) { f->gas_left = gas; } \
        return (status);                              \
    } while (false)

#define MILLRACE_CHECK_STACK(takes, gives)                                            \
    do {                                                                              \
        if constexpr ((takes) > 0) {                                                  \
            if (sp - f->stack_base < (takes)) [[unlikely]] {                          \
                MILLRACE_FAIL(Status::stack_underflow);                               \
            }                                                                         \
        }                                                                             \
        if constexpr ((gives) > (takes)) {                                            \
            if (sp - f->stack_base > static_cast<ptrdiff_t>(Workspace::stack_limit) - \
                                         ((gives) - (takes))) [[unlikely]] {          \
                MILLRACE_FAIL(Status::stack_overflow);                                \
            }                                                                         \
        }                                                                             \
    } while (false)

// An instruction of a run: takes `takes` items, leaves `gives`, costs `cost`. The order (underflow,
// overflow, gas) is the order in which errors are reported. The numbers are those of
// run_traits.hpp.
#define MILLRACE_ENTER(takes, gives, cost)                                               \
    do {                                                                                 \
        if constexpr (checked) {                                                         \
            MILLRACE_CHECK_STACK(takes, gives);                                          \
            if ((gas -= (cost)) < 0) [[unlikely]] { MILLRACE_FAIL(Status::out_of_gas); } \
        }                                                                                \
    } while (false)

// An instruction that stands apart from runs.
#define MILLRACE_ENTER_APART(takes, gives, cost)                                     \
    do {                                                                             \
        MILLRACE_CHECK_STACK(takes, gives);                                          \
        if ((gas -= (cost)) < 0) [[unlikely]] { MILLRACE_FAIL(Status::out_of_gas); } \
    } while (false)

#define MILLRACE_CHARGE(cost)                                                        \
    do {                                                                             \
        if ((gas -= (cost)) < 0) [[unlikely]] { MILLRACE_FAIL(Status::out_of_gas); } \
    } while (false)

// Within a run more gas has been taken than the rules have by now, so running out is no verdict:
// the rest of the run is given back and the instruction, which has changed nothing, is run again
// with exact gas. `shortfall` is the negative rest.
#define MILLRACE_OUT_OF_GAS_IN_RUN(gas_at_entry, shortfall)                                     \
    do {                                                                                        \
        if constexpr (checked) {                                                                \
            gas = (shortfall);                                                                  \
            MILLRACE_FAIL(Status::out_of_gas);                                                  \
        } else {                                                                                \
            const int64_t exact_gas = (gas_at_entry) + unexecuted_gas(*f, pc);                  \
            const Dispatch* exact_table = f->dispatch = f->checked;                             \
            [[clang::musttail]] return exact_table->op[*pc](pc, sp, exact_gas, f, exact_table); \
        }                                                                                       \
    } while (false)

namespace millrace::evm::detail {

/// Prepaid gas of the instructions from `pc` to the end of its run.
int64_t unexecuted_gas(const Frame& f, const uint8_t* pc) noexcept;

/// Counts the jumps that the frame has taken without run checks. True when the code has got run
/// checks by now: the frame's table is the fast one from here on.
bool become_fast(Frame& f);

/// Limb by limb: a wide load right after limb stores waits for all of them to reach the cache, and
/// the compiler would make this one if it saw through.
[[gnu::always_inline]] inline void copy_word(U256* to, const U256* from) noexcept {
    uint64_t a = from->w[0];
    uint64_t b = from->w[1];
    uint64_t c = from->w[2];
    uint64_t d = from->w[3];
    asm("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
    to->w[0] = a;
    to->w[1] = b;
    to->w[2] = c;
    to->w[3] = d;
}

/// Makes memory [0, end) addressable and gives what is left of `gas`. A negative rest says that it
/// does not suffice and by how much, -1 when no amount would; nothing has changed then.
int64_t grow_memory_slow(Frame* f, int64_t gas, uint64_t end) noexcept;

/// No gas could pay for more; the square of as many words still fits the gas type.
inline constexpr uint64_t memory_size_max = uint64_t{1} << 35;

inline int64_t grow_memory(Frame* f, int64_t gas, const U256& offset, uint64_t size) noexcept {
    if (!offset.fits_u64() || offset.low64() > memory_size_max) [[unlikely]] { return -1; }
    const uint64_t end = offset.low64() + size;
    if (end > f->memory_size) [[unlikely]] { return grow_memory_slow(f, gas, end); }
    return gas;
}

/// As above for a size from the stack; size zero never grows memory.
inline int64_t grow_memory(Frame* f, int64_t gas, const U256& offset, const U256& size) noexcept {
    if (size.is_zero()) { return gas; }
    if (!size.fits_u64() || size.low64() > memory_size_max) [[unlikely]] { return -1; }
    return grow_memory(f, gas, offset, size.low64());
}

inline int64_t copy_cost(const U256& size, int64_t per_word) noexcept {
    // A size that memory growth has accepted, or zero.
    return static_cast<int64_t>(gas::words(size.low64())) * per_word;
}

/// Copies `size` bytes from `from` starting at `offset`; what lies beyond its end reads as zero.
inline void copy_padded(uint8_t* to, ByteView from, const U256& offset, uint64_t size) noexcept {
    uint64_t n = 0;
    if (offset.fits_u64() && offset.low64() < from.size()) {
        n = std::min<uint64_t>(size, from.size() - offset.low64());
        std::memcpy(to, from.data() + offset.low64(), n);
    }
    std::memset(to + n, 0, size - n);
}

/// EIP-2929 surcharge of touching an account, on top of the warm cost; zero before Berlin.
inline int64_t account_access_cost(Frame* f, TxAccount& a, int64_t flat_before_berlin) {
    if (f->revision < Revision::berlin) { return flat_before_berlin; }
    return f->state->warm_account(a) ? gas::cold_account : gas::warm;
}

}  // namespace millrace::evm::detail
