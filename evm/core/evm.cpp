// SPDX-License-Identifier: Apache-2.0
// Owns how messages run: value transfer, precompiles, code, contract creation and its failures.
#include "evm/core/evm.hpp"

#include "evm/core/frame.hpp"
#include "evm/core/gas.hpp"
#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm {
namespace {
constexpr size_t memory_reservation = size_t{16} << 30;
// Nested frames can hold 183 MiB for a gigagas, the largest limit of a genesis file: results must
// not depend on the address space that a machine gives.
constexpr size_t memory_reservation_min = size_t{256} << 20;
constexpr size_t memory_kept = size_t{64} << 20;
// Every depth can have a full stack, plus one item for the base of each.
constexpr size_t stack_reservation =
    (Workspace::depth_limit + 2) * (Workspace::stack_limit + 1) * sizeof(U256);
}  // namespace

std::string_view to_string(Status status) noexcept {
    switch (status) {
        case Status::success: return "success";
        case Status::revert: return "execution reverted";
        case Status::out_of_gas: return "out of gas";
        case Status::undefined_instruction: return "undefined opcode";
        case Status::invalid_instruction: return "invalid opcode";
        case Status::stack_underflow: return "stack underflow";
        case Status::stack_overflow: return "stack overflow";
        case Status::bad_jump_destination: return "invalid jump destination";
        case Status::static_mode_violation: return "write protection";
        case Status::return_data_out_of_bounds: return "return data out of bounds";
        case Status::call_depth_exceeded: return "max call depth exceeded";
        case Status::insufficient_balance: return "insufficient balance for transfer";
        case Status::nonce_overflow: return "nonce overflow";
        case Status::address_collision: return "contract address collision";
        case Status::code_size_exceeded: return "max code size exceeded";
        case Status::initcode_size_exceeded: return "max initcode size exceeded";
        case Status::code_starts_with_ef: return "invalid code: must not begin with 0xef";
        case Status::precompile_failure: return "precompile failed";
    }
    return "unknown";
}

Workspace::Workspace()
    : stack(stack_reservation, stack_reservation),
      memory(memory_reservation, memory_reservation_min),
      return_data(depth_limit + 1) {}

void Workspace::trim() noexcept {
    if (memory_used_max > memory_kept) { memory.release_from(memory_kept); }
    memory_used_max = 0;
    // The deeper ones were not touched: a transaction has few frames, and there are 1,025 buffers.
    for (size_t depth = 0; depth <= depth_max; ++depth) {
        Bytes& b = return_data[depth];
        if (b.capacity() > (size_t{1} << 20)) { b = {}; }
    }
    depth_max = 0;
}

Address create_address(const Address& sender, uint64_t nonce) {
    Bytes payload;
    rlp::append_fixed(payload, sender);
    rlp::append_u64(payload, nonce);
    return Address::from(kernels::keccak256(rlp::list(payload)).view().subspan(12));
}

Address create2_address(const Address& sender, const U256& salt, ByteView init_code) {
    uint8_t buf[85];
    buf[0] = 0xff;
    std::memcpy(buf + 1, sender.data(), 20);
    store_be(salt, buf + 21);
    const Hash256 code_hash = kernels::keccak256(init_code);
    std::memcpy(buf + 53, code_hash.data(), 32);
    return Address::from(kernels::keccak256({buf, sizeof buf}).view().subspan(12));
}

CallOutcome Evm::run(const Message& message) {
    if (message.depth == 0) {
        stack_top = reinterpret_cast<U256*>(workspace_.stack.data());
        memory_top = workspace_.memory.data();
    }
    const bool creation = message.kind == CallKind::create || message.kind == CallKind::create2;
    return creation ? run_create(message) : run_call(message);
}

Bytes& Evm::return_data_of(const Message& message) noexcept {
    const auto depth = static_cast<size_t>(message.depth);
    workspace_.depth_max = std::max(workspace_.depth_max, depth);
    return workspace_.return_data[depth];
}

CallOutcome Evm::run_code(const Message& message, const AnalyzedCode& code) {
    if (code.size() == 0) { return {Status::success, message.gas, {}}; }
    Frame frame;
    frame.stack_base = stack_top;
    frame.memory = memory_top;
    frame.memory_limit =
        static_cast<uint64_t>(workspace_.memory.data() + workspace_.memory.size() - memory_top);
    frame.code = &code;
    frame.message = &message;
    frame.evm = this;
    frame.state = &workspace_.state;
    frame.self = &workspace_.state.account(message.recipient);
    frame.return_data = &return_data_of(message);
    frame.return_data->clear();
    frame.revision = rules_.revision;
    const Status status = execute(frame, message.gas);
    const auto used =
        static_cast<size_t>(frame.memory + frame.memory_size - workspace_.memory.data());
    workspace_.memory_used_max = std::max(workspace_.memory_used_max, used);
    return {status, frame.gas_left, {frame.memory + frame.output_offset, frame.output_size}};
}

CallOutcome Evm::run_call(const Message& message) {
    TxState& s = state();
    const TxState::Checkpoint checkpoint = s.checkpoint();
    if (message.transfers_value) {
        TxAccount& recipient = s.account(message.recipient);
        if (message.kind == CallKind::call || message.kind == CallKind::staticcall) {
            s.touch(recipient);
        }
        if (!message.value.is_zero() && message.sender != message.recipient) {
            s.debit(s.account(message.sender), message.value);
            s.credit(recipient, message.value);
        }
    }
    CallOutcome r;
    if (!message.delegated && precompiles_.contains(message.code_address, rules_.revision)) {
        PrecompileOutcome p = precompiles_.run(message.code_address, message.input,
                                               static_cast<uint64_t>(message.gas), rules_.revision);
        if (p.success) {
            Bytes& buffer = return_data_of(message);
            buffer = std::move(p.output);
            r = {Status::success, message.gas - static_cast<int64_t>(p.gas_used), buffer};
        } else {
            r = {Status::precompile_failure, 0, {}};
        }
    } else {
        r = run_code(message, s.code(s.account(message.code_address)));
    }
    if (r.status != Status::success) { s.revert_to(checkpoint); }
    return r;
}

CallOutcome Evm::run_create(const Message& message) {
    TxState& s = state();
    TxAccount& created = s.account(message.recipient);
    if (rules_.at_least(Revision::berlin)) { s.warm_account(created); }
    if (s.has_collision(created)) { return {Status::address_collision, 0, {}}; }

    const TxState::Checkpoint checkpoint = s.checkpoint();
    s.mark_created(created);
    if (rules_.at_least(Revision::spurious_dragon)) { s.set_nonce(created, 1); }
    if (!message.value.is_zero()) {
        s.debit(s.account(message.sender), message.value);
        s.credit(created, message.value);
    }
    const AnalyzedCodePtr init_code = workspace_.codes.analyze(message.input);
    Message m = message;
    m.input = {};
    CallOutcome r = run_code(m, *init_code);
    if (r.status == Status::success) {
        const int64_t deposit = static_cast<int64_t>(r.output.size()) * gas::code_deposit_per_byte;
        if (rules_.at_least(Revision::london) && !r.output.empty() && r.output[0] == 0xef) {
            r = {Status::code_starts_with_ef, 0, {}};
        } else if (r.output.size() > rules_.code_size_max) {
            r = {Status::code_size_exceeded, 0, {}};
        } else if (r.gas_left >= deposit) {
            r.gas_left -= deposit;
            s.set_code(created, r.output);
            r.output = {};
        } else if (rules_.at_least(Revision::homestead)) {
            r = {Status::out_of_gas, 0, {}};
        } else {
            r.output = {};  // Frontier keeps the account, without code, and the gas
        }
    }
    if (r.status != Status::success) { s.revert_to(checkpoint); }
    return r;
}

}  // namespace millrace::evm
