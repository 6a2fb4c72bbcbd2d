// SPDX-License-Identifier: Apache-2.0
// Owns the interpreter (tier T0): instruction tables per revision and the entry into tail-called
// code.
#include "evm/core/detail/ops_arithmetic.hpp"
#include "evm/core/detail/ops_call.hpp"
#include "evm/core/detail/ops_environment.hpp"
#include "evm/core/detail/ops_flow.hpp"
#include "evm/core/detail/run_traits.hpp"
#include "evm/core/native.hpp"

#include <array>
#include <utility>

namespace millrace::evm {
namespace {

using namespace detail;  // NOLINT: the instructions of this translation unit

template <bool checked, size_t... n>
constexpr void set_push(Dispatch& d, std::index_sequence<n...>) {
    ((d.op[0x60 + n] = op_push<static_cast<int>(n) + 1, checked>), ...);
}
template <bool checked, size_t... n>
constexpr void set_dup_swap(Dispatch& d, std::index_sequence<n...>) {
    ((d.op[0x80 + n] = op_dup<static_cast<int>(n) + 1, checked>), ...);
    ((d.op[0x90 + n] = op_swap<static_cast<int>(n) + 1, checked>), ...);
}
template <bool checked, size_t... n>
constexpr void set_log(Dispatch& d, std::index_sequence<n...>) {
    ((d.op[0xa0 + n] = op_log<static_cast<int>(n), checked>), ...);
}

template <bool checked>
constexpr Dispatch make_dispatch(Revision r) {
    Dispatch d{};
    auto set = [&](Opcode op, Instruction i) { d.op[static_cast<uint8_t>(op)] = i; };
    for (auto& i : d.op) { i = op_undefined<checked>; }
    set(Opcode::stop, op_stop<checked>);
    set(Opcode::add, op_add<checked>);
    set(Opcode::mul, op_mul<checked>);
    set(Opcode::sub, op_sub<checked>);
    set(Opcode::div, op_div<checked>);
    set(Opcode::sdiv, op_sdiv<checked>);
    set(Opcode::mod, op_mod<checked>);
    set(Opcode::smod, op_smod<checked>);
    set(Opcode::addmod, op_addmod<checked>);
    set(Opcode::mulmod, op_mulmod<checked>);
    set(Opcode::exp, op_exp<checked>);
    set(Opcode::signextend, op_signextend<checked>);
    set(Opcode::lt, op_lt<checked>);
    set(Opcode::gt, op_gt<checked>);
    set(Opcode::slt, op_slt<checked>);
    set(Opcode::sgt, op_sgt<checked>);
    set(Opcode::eq, op_eq<checked>);
    set(Opcode::iszero, op_iszero<checked>);
    set(Opcode::and_, op_and<checked>);
    set(Opcode::or_, op_or<checked>);
    set(Opcode::xor_, op_xor<checked>);
    set(Opcode::not_, op_not<checked>);
    set(Opcode::byte, op_byte<checked>);
    set(Opcode::keccak256, op_keccak256<checked>);
    set(Opcode::address, op_address<checked>);
    set(Opcode::balance, op_balance<checked>);
    set(Opcode::origin, op_origin<checked>);
    set(Opcode::caller, op_caller<checked>);
    set(Opcode::callvalue, op_callvalue<checked>);
    set(Opcode::calldataload, op_calldataload<checked>);
    set(Opcode::calldatasize, op_calldatasize<checked>);
    set(Opcode::calldatacopy, op_calldatacopy<checked>);
    set(Opcode::codesize, op_codesize<checked>);
    set(Opcode::codecopy, op_codecopy<checked>);
    set(Opcode::gasprice, op_gasprice<checked>);
    set(Opcode::extcodesize, op_extcodesize<checked>);
    set(Opcode::extcodecopy, op_extcodecopy<checked>);
    set(Opcode::blockhash, op_blockhash<checked>);
    set(Opcode::coinbase, op_coinbase<checked>);
    set(Opcode::timestamp, op_timestamp<checked>);
    set(Opcode::number, op_number<checked>);
    set(Opcode::prevrandao, op_prevrandao<checked>);
    set(Opcode::gaslimit, op_gaslimit<checked>);
    set(Opcode::pop, op_pop<checked>);
    set(Opcode::mload, op_mload<checked>);
    set(Opcode::mstore, op_mstore<checked>);
    set(Opcode::mstore8, op_mstore8<checked>);
    set(Opcode::sload, op_sload<checked>);
    set(Opcode::sstore, op_sstore<checked>);
    set(Opcode::jump, op_jump<checked>);
    set(Opcode::jumpi, op_jumpi<checked>);
    set(Opcode::pc, op_pc<checked>);
    set(Opcode::msize, op_msize<checked>);
    set(Opcode::gas, op_gas<checked>);
    set(Opcode::jumpdest, op_jumpdest<checked>);
    set_push<checked>(d, std::make_index_sequence<32>{});
    set_dup_swap<checked>(d, std::make_index_sequence<16>{});
    set_log<checked>(d, std::make_index_sequence<5>{});
    set(Opcode::create, op_create<CallKind::create, checked>);
    set(Opcode::call, op_call<CallKind::call, checked>);
    set(Opcode::callcode, op_call<CallKind::callcode, checked>);
    set(Opcode::return_, op_return<Status::success, checked>);
    set(Opcode::invalid, op_invalid<checked>);
    set(Opcode::selfdestruct, op_selfdestruct<checked>);
    if (r >= Revision::homestead) {
        set(Opcode::delegatecall, op_call<CallKind::delegatecall, checked>);
    }
    if (r >= Revision::byzantium) {
        set(Opcode::returndatasize, op_returndatasize<checked>);
        set(Opcode::returndatacopy, op_returndatacopy<checked>);
        set(Opcode::staticcall, op_call<CallKind::staticcall, checked>);
        set(Opcode::revert, op_return<Status::revert, checked>);
    }
    if (r >= Revision::constantinople) {
        set(Opcode::shl, op_shl<checked>);
        set(Opcode::shr, op_shr<checked>);
        set(Opcode::sar, op_sar<checked>);
        set(Opcode::extcodehash, op_extcodehash<checked>);
        set(Opcode::create2, op_create<CallKind::create2, checked>);
    }
    if (r >= Revision::istanbul) {
        set(Opcode::chainid, op_chainid<checked>);
        set(Opcode::selfbalance, op_selfbalance<checked>);
    }
    if (r >= Revision::london) { set(Opcode::basefee, op_basefee<checked>); }
    if (r >= Revision::shanghai) { set(Opcode::push0, op_push0<checked>); }
    if (r >= Revision::cancun) {
        set(Opcode::blobhash, op_blobhash<checked>);
        set(Opcode::blobbasefee, op_blobbasefee<checked>);
        set(Opcode::tload, op_tload<checked>);
        set(Opcode::tstore, op_tstore<checked>);
        set(Opcode::mcopy, op_mcopy<checked>);
    }
    if (r >= Revision::osaka) { set(Opcode::clz, op_clz<checked>); }
    return d;
}

template <bool checked, size_t... r>
constexpr std::array<Dispatch, revision_count> make_tables(std::index_sequence<r...>) {
    return {make_dispatch<checked>(static_cast<Revision>(r))...};
}
constexpr std::array<Dispatch, revision_count> checked_tables =
    make_tables<true>(std::make_index_sequence<revision_count>{});
constexpr std::array<Dispatch, revision_count> fast_tables =
    make_tables<false>(std::make_index_sequence<revision_count>{});

/// Stands in every place of the tracing table: reports, then runs the real, checked instruction,
/// which comes back here through frame->dispatch.
MILLRACE_PRESERVE_NONE Status op_trace(const uint8_t* pc, U256* sp, int64_t gas, Frame* f,
                                       const Dispatch* table) {
    f->evm->tracer()->on_instruction(*f, static_cast<uint64_t>(pc - f->code_begin), *pc, gas,
                                     {f->stack_base + 1, static_cast<size_t>(sp - f->stack_base)});
    [[clang::musttail]] return checked_tables[static_cast<size_t>(f->revision)].op[*pc](pc, sp, gas,
                                                                                        f, table);
}

constexpr Dispatch make_tracing_table() {
    Dispatch d{};
    for (auto& i : d.op) { i = op_trace; }
    return d;
}
constexpr Dispatch tracing_table = make_tracing_table();

/// Not a status of a frame: the single instruction that was asked for has been run.
constexpr auto stepped = static_cast<Status>(0xff);

/// Stands in every place of the table that single instructions continue with.
MILLRACE_PRESERVE_NONE Status op_stepped([[maybe_unused]] const uint8_t* pc,
                                         [[maybe_unused]] U256* sp, int64_t gas, Frame* f,
                                         [[maybe_unused]] const Dispatch* table) {
    f->gas_left = gas;
    return stepped;
}

constexpr Dispatch make_stepping_table() {
    Dispatch d{};
    for (auto& i : d.op) { i = op_stepped; }
    return d;
}
constexpr Dispatch stepping_table = make_stepping_table();

/// A call costs a hundred gas at least, a jump about ten.
constexpr uint32_t uses_of_a_call = 8;

}  // namespace

namespace detail {

int64_t unexecuted_gas(const Frame& f, const uint8_t* pc) noexcept {
    return unexecuted_gas(f.code->padded() + (pc - f.code_begin));
}

bool become_fast(Frame& f) {
    if (!f.code->note_uses(f.jumps_noted)) {
        f.jumps_noted = f.jumps_until_note = f.code->jumps_until_note();
        return false;
    }
    f.runs = f.code->make_runs();
    f.dispatch = &fast_tables[static_cast<size_t>(f.revision)];
    return true;
}

int64_t grow_memory_slow(Frame* f, int64_t gas, uint64_t end) noexcept {
    const uint64_t new_words = gas::words(end);
    gas -= gas::memory(new_words) - gas::memory(f->memory_size / 32);
    const uint64_t new_size = new_words * 32;
    if (gas < 0) { return gas; }
    // Beyond the reserved range only a limit of more than 10^13 gas could go.
    if (new_size > f->memory_limit) { return -1; }
    std::memset(f->memory + f->memory_size, 0, new_size - f->memory_size);
    f->memory_size = new_size;
    return gas;
}

}  // namespace detail

namespace {

/// What a frame that has failed leaves to its caller.
void forfeit(Frame& frame, Status status) noexcept {
    if (status != Status::success && status != Status::revert) {
        frame.gas_left = 0;
        frame.output_size = 0;
    }
}

}  // namespace

InstructionTraits instruction_traits(Revision revision, uint8_t opcode) noexcept {
    InstructionTraits out;
    out.is_defined = checked_tables[static_cast<size_t>(revision)].op[opcode] != op_undefined<true>;
    if (!out.is_defined) { return out; }
    const RunTraits& t = run_traits[opcode];
    const auto op = static_cast<Opcode>(opcode);
    if (t.kind != RunKind::apart) {
        out.takes = t.takes;
        out.gives = t.gives;
        out.gas = t.gas;
        // These read state, or may fail for another reason than gas.
        out.has_fixed_price = op != Opcode::selfbalance && op != Opcode::blockhash &&
                              op != Opcode::tload && op != Opcode::tstore;
        return out;
    }
    const auto effect = [&out](int takes, int gives) {
        out.takes = static_cast<uint8_t>(takes);
        out.gives = static_cast<uint8_t>(gives);
    };
    switch (op) {
        case Opcode::exp: effect(2, 1); break;
        case Opcode::balance:
        case Opcode::extcodesize:
        case Opcode::extcodehash:
        case Opcode::sload: effect(1, 1); break;
        case Opcode::calldatacopy:
        case Opcode::codecopy:
        case Opcode::returndatacopy:
        case Opcode::mcopy: effect(3, 0); break;
        case Opcode::extcodecopy: effect(4, 0); break;
        case Opcode::sstore:
        case Opcode::return_:
        case Opcode::revert: effect(2, 0); break;
        case Opcode::gas: effect(0, 1); break;
        case Opcode::create: effect(3, 1); break;
        case Opcode::create2: effect(4, 1); break;
        case Opcode::call:
        case Opcode::callcode: effect(7, 1); break;
        case Opcode::delegatecall:
        case Opcode::staticcall: effect(6, 1); break;
        case Opcode::selfdestruct: effect(1, 0); break;
        default: effect(opcode - 0xa0 + 2, 0); break;  // LOG0 to LOG4
    }
    return out;
}

void begin_native(Frame& frame) noexcept {
    frame.checked = frame.dispatch = &stepping_table;
    frame.code_begin = frame.code->padded();
}

int64_t step_instruction(Frame& frame, uint64_t position, U256* sp, int64_t gas) {
    const uint8_t* pc = frame.code_begin + position;
    const Dispatch& table = checked_tables[static_cast<size_t>(frame.revision)];
    const Status status = table.op[*pc](pc, sp, gas, &frame, &stepping_table);
    return status == stepped ? frame.gas_left : ~static_cast<int64_t>(status);
}

int64_t grow_memory(Frame& frame, int64_t gas, uint64_t end) noexcept {
    if (end > detail::memory_size_max) { return -1; }
    return end > frame.memory_size ? detail::grow_memory_slow(&frame, gas, end) : gas;
}

// A frame that leaves is about to fail, or has met code that was not compiled.
Status resume(Frame& frame, const NativeOutcome& left) {
    frame.checked = &checked_tables[static_cast<size_t>(frame.revision)];
    frame.dispatch = frame.checked;
    frame.runs = frame.code->runs();
    // With run checks at hand the next jump finds them.
    frame.jumps_until_note = frame.jumps_noted =
        frame.runs != nullptr ? 1 : frame.code->jumps_until_note();
    const uint8_t* pc = frame.code_begin + left.position;
    return frame.dispatch->op[*pc](pc, left.sp, left.gas, &frame, frame.dispatch);
}

Status interpret(Frame& frame, int64_t gas) {
    const bool traced = frame.evm->tracer() != nullptr;
    const auto revision = static_cast<size_t>(frame.revision);
    frame.checked = traced ? &tracing_table : &checked_tables[revision];
    frame.dispatch = traced ? &tracing_table : &fast_tables[revision];
    frame.code_begin = frame.code->padded();
    frame.runs = frame.code->runs();
    const uint8_t* pc = frame.code_begin;
    if (!traced && frame.runs == nullptr) {
        if (frame.code->note_uses(uses_of_a_call)) {
            frame.runs = frame.code->make_runs();
        } else {
            frame.dispatch = frame.checked;
            frame.jumps_noted = frame.jumps_until_note = frame.code->jumps_until_note();
        }
    }
    if (frame.dispatch != frame.checked) {
        const RunCheck& first = frame.runs[0];
        if (first.need_bytes != 0 || gas < first.gas) {
            frame.dispatch = frame.checked;
        } else {
            gas -= first.gas;
        }
    }
    const Status status =
        frame.dispatch->op[*pc](pc, frame.stack_base, gas, &frame, frame.dispatch);
    if (traced) { frame.evm->tracer()->on_frame_end(frame, status, frame.gas_left); }
    forfeit(frame, status);
    return status;
}

Status execute(Frame& frame, int64_t gas) {
    NativeTier* tier = frame.evm->workspace().native_tier;
    if (tier == nullptr || frame.evm->tracer() != nullptr) { return interpret(frame, gas); }
    const NativeOutcome native = tier->execute(frame, gas);
    Status status = native.status;
    switch (native.kind) {
        case NativeOutcome::Kind::ended: break;
        case NativeOutcome::Kind::declined:
            status = interpret(frame, gas);
            tier->note(frame, gas - frame.gas_left);
            break;
        case NativeOutcome::Kind::interpreted: status = resume(frame, native); break;
    }
    forfeit(frame, status);
    return status;
}

}  // namespace millrace::evm
