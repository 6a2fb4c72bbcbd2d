// SPDX-License-Identifier: Apache-2.0
// Owns the meaning of the intermediate form, instruction by instruction.
#include "tests/evm/jit/ir_machine.hpp"

#include <cstring>

#include "evm/jit/detail/fold.hpp"
#include "evm/jit/runtime.hpp"
#include "host/base/error.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm::jit {
namespace {

constexpr uint64_t memory_offset_max = uint64_t{1} << 35;
constexpr size_t programs_max = 256;
constexpr size_t violations_max = 16;

template <typename F>
F* runtime_function(const char* name) {
    for (const RuntimeSymbol& s : runtime_symbols()) {
        if (std::string_view(s.name) == name) { return reinterpret_cast<F*>(s.address); }
    }
    MILLRACE_ASSERT(false, "the runtime has this function");
    return nullptr;
}

}  // namespace

/// One frame. Heights become addresses as lowering does it: from the stack's base, or in relative
/// blocks from the top at their start.
class IrRun {
public:
    IrRun(IrMachine& machine, const Program& program, Frame& frame, int64_t gas)
        : machine_(machine),
          p_(program),
          f_(frame),
          gas_(gas),
          values_(program.values.size()),
          is_set_(program.values.size(), false) {}

    NativeOutcome run() {
        begin_native(f_);
        next_ = 0;
        while (!done_) {
            block_ = next_;
            ++machine_.blocks_entered_;
            const Block& b = p_.blocks[block_];
            base_ = b.relative ? sp_ : f_.stack_base;
            for (const Instruction& i : b.instructions) {
                execute(b, i);
                if (done_) { return out_; }
            }
            end(b);
        }
        return out_;
    }

private:
    void violated(const std::string& what) {
        machine_.violated("block " + std::to_string(block_) + ": " + what);
    }

    // --- Values ---
    U256 get(ValueId v) {
        if (p_.is_constant(v)) { return p_.constant(v); }
        if (!is_set_[v]) { violated("v" + std::to_string(v) + " is used before it is there"); }
        return values_[v];
    }
    void set(ValueId v, const U256& x) {
        if (v == none) { return; }
        if (bit_length(x) > p_.values[v].bits) {
            violated("v" + std::to_string(v) + " takes " + std::to_string(bit_length(x)) +
                     " bits, not " + std::to_string(p_.values[v].bits));
        }
        values_[v] = x;
        is_set_[v] = true;
    }
    U256 argument(const Instruction& i, size_t k) {
        return get(p_.arguments[i.first_argument + k]);
    }

    // --- The EVM's stack ---
    U256* item(int32_t height) const { return base_ + height + 1; }
    U256* top(int32_t height) const { return item(height - 1); }
    void spill(const Edge& e) {
        for (const Spill& s : e.spills) { *item(s.height) = get(s.value); }
    }

    // --- Ends ---
    void ended(Status status) {
        done_ = true;
        out_.kind = NativeOutcome::Kind::ended;
        out_.status = status;
    }
    void leave(uint64_t position, U256* sp) {
        done_ = true;
        ++machine_.left_frames_;
        out_.kind = NativeOutcome::Kind::interpreted;
        out_.position = position;
        out_.sp = sp;
        out_.gas = gas_;
    }

    void go(const Edge& e) {
        spill(e);
        const Block& to = p_.blocks[e.to];
        if (e.arguments.size() != to.parameters.size()) { violated("arguments of an edge"); }
        std::vector<U256> handed(e.arguments.size());
        for (size_t k = 0; k < handed.size(); ++k) { handed[k] = get(e.arguments[k]); }
        for (size_t k = 0; k < handed.size(); ++k) {
            if (p_.values[to.parameters[k]].kind == Value::Kind::parameter) {
                set(to.parameters[k], handed[k]);
            } else if (p_.constant(to.parameters[k]) != handed[k]) {
                violated("a parameter that is known gets another value");
            }
        }
        sp_ = top(e.height);
        if (!to.relative && p_.blocks[block_].relative) { violated("a height out of nothing"); }
        if (!to.relative && e.height != to.height) { violated("the height of an edge"); }
        next_ = e.to;
    }

    void go_dynamic(const Block& b) {
        spill(b.edges[0]);
        sp_ = top(b.edges[0].height);
        const uint64_t target = get(b.target).saturate64();
        for (const DynamicEntry& d : p_.dynamic_entries) {
            if (d.position != target) { continue; }
            next_ = d.block;
            if (!p_.blocks[next_].relative || !p_.blocks[next_].parameters.empty()) {
                violated("a dynamic entry that expects something");
            }
            return;
        }
        if (f_.code->is_jump_destination(target)) { return leave(target, sp_); }
        ended(Status::bad_jump_destination);
    }

    void end(const Block& b) {
        switch (b.end) {
            case Block::End::jump: return go(b.edges[0]);
            case Block::End::branch: return go(b.edges[get(b.condition).is_zero() ? 1 : 0]);
            case Block::End::dynamic: return go_dynamic(b);
            case Block::End::branch_dynamic:
                if (get(b.condition).is_zero()) { return go(b.edges[1]); }
                return go_dynamic(b);
            case Block::End::stop:
                f_.gas_left = gas_;
                f_.output_size = 0;
                return ended(Status::success);
            case Block::End::ended:
                violated("the last step has not ended the frame");
                return ended(Status::success);
            case Block::End::fail: return ended(static_cast<Status>(b.status));
            case Block::End::interpret:
                spill(b.edges[0]);
                return leave(b.end_position, top(b.edges[0].height));
        }
    }

    // --- Instructions ---
    void execute(const Block& b, const Instruction& i) {
        switch (i.kind) {
            case Instruction::Kind::charge:
                gas_ -= i.amount;
                if (gas_ < 0) { ended(Status::out_of_gas); }
                return;
            case Instruction::Kind::load_item: return set(i.result, *item(i.height));
            case Instruction::Kind::check_stack: return check(b, i);
            case Instruction::Kind::step: return step(i);
            case Instruction::Kind::evm: return evaluate(i);
        }
    }

    void check(const Block& b, const Instruction& i) {
        constexpr ptrdiff_t limit = 1024;
        const ptrdiff_t height = base_ - f_.stack_base;
        if (height >= i.need && height + i.room <= limit) { return; }
        for (size_t k = 0; k < i.argument_count; ++k) {
            *item(static_cast<int32_t>(k) - i.argument_count) = argument(i, k);
        }
        leave(b.position, top(0));
    }

    void step(const Instruction& i) {
        for (size_t k = 0; k < i.argument_count; ++k) {
            *item(i.height - 1 - static_cast<int32_t>(k)) = argument(i, k);
        }
        const int64_t left = step_instruction(f_, i.position, top(i.height), gas_);
        if (left < 0) { return ended(static_cast<Status>(~left)); }
        gas_ = left;
        if (i.result != none) { set(i.result, *item(i.height - i.argument_count)); }
    }

    /// Address of an access after the memory has grown for it; null when the gas does not suffice.
    uint8_t* memory_place(const Instruction& i, uint64_t bytes) {
        const U256 offset = argument(i, 0);
        if (!offset.fits_u64() || offset.low64() > memory_offset_max) {
            if (i.in_bounds) { violated("an offset out of this world is in bounds"); }
            ended(Status::out_of_gas);
            return nullptr;
        }
        const uint64_t at = offset.low64();
        if (!i.in_bounds) {
            if (i.reach < bytes) { violated("memory grows for less than the access"); }
            const int64_t left = grow_memory(f_, gas_, at + i.reach);
            if (left < 0) {
                ended(Status::out_of_gas);
                return nullptr;
            }
            gas_ = left;
        }
        if (at + bytes > f_.memory_size) {
            violated("an access at " + std::to_string(at) + " is beyond the memory's " +
                     std::to_string(f_.memory_size) + " bytes");
            ended(Status::out_of_gas);
            return nullptr;
        }
        return f_.memory + at;
    }

    void evaluate(const Instruction& i) {
        switch (i.opcode) {
            case Opcode::mload:
                if (const uint8_t* place = memory_place(i, 32)) { set(i.result, load_be(place)); }
                return;
            case Opcode::mstore:
                if (uint8_t* place = memory_place(i, 32)) { store_be(argument(i, 1), place); }
                return;
            case Opcode::mstore8:
                if (uint8_t* place = memory_place(i, 1)) {
                    *place = static_cast<uint8_t>(argument(i, 1).low64());
                }
                return;
            case Opcode::keccak256: return hash(i);
            case Opcode::calldataload: {
                static const auto load =
                    runtime_function<void(Frame*, uint64_t, U256*)>("mr_calldataload");
                U256 v;
                load(&f_, argument(i, 0).saturate64(), &v);
                return set(i.result, v);
            }
            case Opcode::blobhash: {
                static const auto load =
                    runtime_function<void(Frame*, uint64_t, U256*)>("mr_blobhash");
                U256 v;
                load(&f_, argument(i, 0).saturate64(), &v);
                return set(i.result, v);
            }
            case Opcode::calldatasize: return set(i.result, U256{f_.message->input.size()});
            case Opcode::msize: return set(i.result, U256{f_.memory_size});
            case Opcode::gas: return set(i.result, U256{static_cast<uint64_t>(gas_)});
            default: return compute(i);
        }
    }

    void hash(const Instruction& i) {
        static const auto keccak =
            runtime_function<int64_t(Frame*, int64_t, uint64_t, uint64_t, U256*)>("mr_keccak");
        U256 v;
        const int64_t left =
            keccak(&f_, gas_, argument(i, 0).saturate64(), argument(i, 1).saturate64(), &v);
        if (left < 0) { return ended(Status::out_of_gas); }
        gas_ = left;
        set(i.result, v);
    }

    void compute(const Instruction& i) {
        U256 x[3];
        std::vector<const U256*> operands;
        for (size_t k = 0; k < i.argument_count; ++k) {
            x[k] = argument(i, k);
            operands.push_back(&x[k]);
        }
        U256 v;
        if (!operands.empty() && fold(i.opcode, operands, v)) { return set(i.result, v); }
        static const auto environment =
            runtime_function<void(Frame*, uint64_t, U256*)>("mr_environment");
        environment(&f_, static_cast<uint64_t>(i.opcode), &v);
        set(i.result, v);
    }

    IrMachine& machine_;
    const Program& p_;
    Frame& f_;
    int64_t gas_;
    std::vector<U256> values_;
    std::vector<bool> is_set_;
    BlockId block_ = 0;
    BlockId next_ = 0;
    U256* base_ = nullptr;
    U256* sp_ = nullptr;
    bool done_ = false;
    NativeOutcome out_;
};

IrMachine::IrMachine()
    : IrMachine([](ByteView code, Revision r) { return analyze_contract(code, r); }) {}

std::shared_ptr<const Program> IrMachine::program_of(const Frame& frame) {
    const ByteView code = frame.code->bytes();
    if (code.size() > code_bytes_max) { return nullptr; }
    if (programs_.size() > programs_max) { programs_.clear(); }
    auto& program = programs_[{kernels::keccak256(code), frame.revision}];
    if (program == nullptr) {
        program = std::make_shared<const Program>(compiler_(code, frame.revision));
    }
    return program;
}

void IrMachine::violated(std::string what) {
    if (violations_.size() < violations_max) { violations_.push_back(std::move(what)); }
}

NativeOutcome IrMachine::execute(Frame& frame, int64_t gas) {
    const std::shared_ptr<const Program> program = program_of(frame);
    if (program == nullptr) { return {}; }
    ++frames_;
    return IrRun{*this, *program, frame, gas}.run();
}

}  // namespace millrace::evm::jit
