// SPDX-License-Identifier: Apache-2.0
// Owns the translation of a program into LLVM's form: values become integers of the width that they
// need, blocks get the gas left and, where the stack's height is not known, its top as arguments.
#include "evm/jit/detail/lowering.hpp"

#include <algorithm>
#include <cstddef>
#include <map>

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>

#include "evm/core/native.hpp"
#include "evm/jit/codegen.hpp"
#include "evm/jit/runtime.hpp"

namespace millrace::evm::jit {
namespace {

using llvm::BasicBlock;
using llvm::PHINode;
using llvm::Type;
using LValue = llvm::Value*;

constexpr uint64_t memory_offset_max = uint64_t{1} << 35;
constexpr int64_t word_bytes = 32;
/// Weights of a branch that is hardly ever taken.
constexpr uint32_t likely_weight = 2'000;

llvm::APInt to_apint(const U256& v, unsigned bits = 256) {
    return llvm::APInt(256, llvm::ArrayRef<uint64_t>(v.w, 4)).zextOrTrunc(bits);
}

class Lowering {
public:
    Lowering(const Program& program, llvm::Module& module)
        : p_(program), module_(module), context_(module.getContext()), b_(context_) {}

    void run() {
        declare();
        make_entry();
        make_blocks();
        for (const BlockId id : reverse_postorder()) { lower_block(id); }
        make_dispatcher();
        for (auto& [phi, incoming] : incoming_) {
            for (const auto& [value, from] : incoming) { phi->addIncoming(value, from); }
        }
    }

private:
    // --- Types and constants ---
    Type* integer(unsigned bits) { return Type::getIntNTy(context_, bits); }
    Type* type_for(unsigned bits) { return integer(bits <= 64 ? 64 : bits <= 128 ? 128 : 256); }
    unsigned bits_of(ValueId v) const { return p_.values[v].bits; }
    LValue i64(uint64_t v) { return b_.getInt64(v); }

    void declare() {
        Type* word = integer(64);
        Type* pointer = llvm::PointerType::get(context_, 0);
        Type* nothing = Type::getVoidTy(context_);
        const auto function = [&](const char* name, Type* result,
                                  std::initializer_list<Type*> parameters) {
            functions_[name] = module_.getOrInsertFunction(
                name, llvm::FunctionType::get(result, llvm::ArrayRef<Type*>(parameters), false));
            auto* f = llvm::cast<llvm::Function>(functions_[name].getCallee());
            f->setDoesNotThrow();
        };
        function("mr_step", word, {pointer, word, pointer, word});
        function("mr_grow", word, {pointer, word, word});
        for (const char* name : {"mr_div", "mr_mod", "mr_sdiv", "mr_smod", "mr_signextend"}) {
            function(name, nothing, {pointer, pointer, pointer});
        }
        function("mr_addmod", nothing, {pointer, pointer, pointer, pointer});
        function("mr_mulmod", nothing, {pointer, pointer, pointer, pointer, pointer});
        function("mr_mulmod_sparse", nothing, {pointer, pointer, pointer, pointer, word});
        function("mr_keccak", word, {pointer, word, word, word, pointer});
        function("mr_calldataload", nothing, {pointer, word, pointer});
        function("mr_environment", nothing, {pointer, word, pointer});
        function("mr_blobhash", nothing, {pointer, word, pointer});
        function("mr_is_destination", word, {pointer, word});
        // What only touches its operands may be moved and joined.
        for (const char* name : {"mr_div", "mr_mod", "mr_sdiv", "mr_smod", "mr_signextend",
                                 "mr_addmod", "mr_mulmod_sparse"}) {
            auto* f = llvm::cast<llvm::Function>(functions_[name].getCallee());
            f->setMemoryEffects(llvm::MemoryEffects::argMemOnly());
            f->setWillReturn();
        }

        function_ =
            llvm::Function::Create(llvm::FunctionType::get(word, {pointer, word}, false),
                                   llvm::Function::ExternalLinkage, contract_symbol, module_);
        function_->setDoesNotThrow();
        // No vector copies of words: they would wait for the limbs that were just stored.
        function_->addFnAttr(llvm::Attribute::NoImplicitFloat);
        function_->addFnAttr("frame-pointer", "none");
        frame_ = function_->getArg(0);
        frame_->setName("frame");
        function_->getArg(1)->setName("gas");

        llvm::MDBuilder md(context_);
        llvm::MDNode* root = md.createTBAARoot("millrace");
        const auto tag = [&](const char* name) {
            llvm::MDNode* t = md.createTBAAScalarTypeNode(name, root);
            return md.createTBAAStructTagNode(t, t, 0);
        };
        frame_tag_ = tag("frame");
        memory_tag_ = tag("memory");
        stack_tag_ = tag("stack");
        unlikely_ = md.createBranchWeights(1, likely_weight);
    }

    LValue tagged(llvm::LoadInst* load, llvm::MDNode* tag) {
        load->setMetadata(llvm::LLVMContext::MD_tbaa, tag);
        return load;
    }
    void tagged(llvm::StoreInst* store, llvm::MDNode* tag) {
        store->setMetadata(llvm::LLVMContext::MD_tbaa, tag);
    }

    LValue at(LValue base, uint64_t bytes) {
        return bytes == 0 ? base : b_.CreateInBoundsGEP(b_.getInt8Ty(), base, i64(bytes));
    }
    LValue frame_field(Type* type, uint64_t offset) {
        return tagged(b_.CreateAlignedLoad(type, at(frame_, offset), llvm::Align(8)), frame_tag_);
    }
    void set_frame_field(LValue v, uint64_t offset) {
        tagged(b_.CreateAlignedStore(v, at(frame_, offset), llvm::Align(8)), frame_tag_);
    }

    void make_entry() {
        entry_ = BasicBlock::Create(context_, "entry", function_);
        b_.SetInsertPoint(entry_);
        Type* pointer = b_.getPtrTy();
        for (LValue& s : scratch_) { s = b_.CreateAlloca(integer(256)); }
        memory_ = frame_field(pointer, offsetof(Frame, memory));
        stack_base_ = frame_field(pointer, offsetof(Frame, stack_base));
        message_ = frame_field(pointer, offsetof(Frame, message));
        // ByteView is a pointer and a size.
        static_assert(sizeof(ByteView) == 16);
        input_ = tagged(b_.CreateLoad(pointer, at(message_, offsetof(Message, input))), frame_tag_);
        input_size_ = tagged(b_.CreateLoad(integer(64), at(message_, offsetof(Message, input) + 8)),
                             frame_tag_);
        // Offsets below this are those of whole words.
        input_words_end_ = b_.CreateSelect(b_.CreateICmpUGE(input_size_, i64(32)),
                                           b_.CreateSub(input_size_, i64(31)), i64(0));
    }

    struct Lowered {
        BasicBlock* first = nullptr;
        PHINode* gas = nullptr;
        PHINode* base = nullptr;  ///< of relative blocks: the EVM's stack top at the start
    };

    void make_blocks() {
        values_.resize(p_.values.size(), nullptr);
        blocks_.resize(p_.blocks.size());
        for (BlockId id = 0; id < p_.blocks.size(); ++id) {
            const Block& block = p_.blocks[id];
            Lowered& l = blocks_[id];
            l.first = BasicBlock::Create(context_, "b" + std::to_string(id), function_);
            b_.SetInsertPoint(l.first);
            l.gas = b_.CreatePHI(integer(64), 2);
            if (block.relative) { l.base = b_.CreatePHI(b_.getPtrTy(), 2); }
            for (const ValueId v : block.parameters) {
                if (p_.values[v].kind == Value::Kind::parameter) {
                    values_[v] = b_.CreatePHI(type_for(bits_of(v)), 2);
                }
            }
        }
        b_.SetInsertPoint(entry_);
        b_.CreateBr(blocks_[0].first);
        add_incoming(blocks_[0].gas, function_->getArg(1), entry_);

        dispatcher_ = BasicBlock::Create(context_, "dispatch", function_);
        b_.SetInsertPoint(dispatcher_);
        dispatch_target_ = b_.CreatePHI(integer(64), 2);
        dispatch_base_ = b_.CreatePHI(b_.getPtrTy(), 2);
        dispatch_gas_ = b_.CreatePHI(integer(64), 2);

        out_of_gas_ = BasicBlock::Create(context_, "out_of_gas", function_);
        b_.SetInsertPoint(out_of_gas_);
        b_.CreateRet(i64(static_cast<uint64_t>(Status::out_of_gas)));
    }

    /// A value's block comes before the blocks that use it. Blocks that nothing leads to are left
    /// out and get an end.
    std::vector<BlockId> reverse_postorder() {
        std::vector<BlockId> order;
        std::vector<uint8_t> seen(p_.blocks.size(), 0);
        std::vector<std::pair<BlockId, size_t>> path;
        const auto visit = [&](BlockId start) {
            if (seen[start] != 0) { return; }
            seen[start] = 1;
            path.emplace_back(start, 0);
            while (!path.empty()) {
                auto& [id, next] = path.back();
                const auto& edges = p_.blocks[id].edges;
                if (next == edges.size()) {
                    order.push_back(id);
                    path.pop_back();
                    continue;
                }
                const BlockId to = edges[next++].to;
                if (to != none && seen[to] == 0) {
                    seen[to] = 1;
                    path.emplace_back(to, 0);
                }
            }
        };
        // What the dispatcher leads to takes its values from the EVM's stack.
        for (const DynamicEntry& d : p_.dynamic_entries) { visit(d.block); }
        visit(0);
        std::reverse(order.begin(), order.end());
        for (BlockId id = 0; id < p_.blocks.size(); ++id) {
            if (seen[id] == 0) {
                b_.SetInsertPoint(blocks_[id].first);
                b_.CreateUnreachable();
            }
        }
        return order;
    }

    void add_incoming(PHINode* phi, LValue v, BasicBlock* from) {
        incoming_[phi].emplace_back(v, from);
    }

    // --- Values ---
    /// The value as an integer of this type, which is wide enough for it, or its low part.
    LValue get(ValueId v, Type* type) {
        if (p_.is_constant(v)) {
            return llvm::ConstantInt::get(context_,
                                          to_apint(p_.constant(v), type->getIntegerBitWidth()));
        }
        return b_.CreateZExtOrTrunc(values_[v], type);
    }
    LValue get64(ValueId v) { return get(v, integer(64)); }
    LValue get256(ValueId v) { return get(v, integer(256)); }

    /// As a 64-bit number; what does not fit becomes the largest one.
    LValue saturated(ValueId v) {
        if (p_.is_constant(v)) { return i64(p_.constant(v).saturate64()); }
        if (bits_of(v) <= 64) { return get64(v); }
        LValue wide = values_[v];
        LValue fits = b_.CreateICmpULE(
            wide, llvm::ConstantInt::get(context_, llvm::APInt(64, ~0ull).zext(
                                                       wide->getType()->getIntegerBitWidth())));
        return b_.CreateSelect(fits, b_.CreateTrunc(wide, integer(64)), i64(~0ull));
    }

    LValue truth(ValueId v) {
        if (p_.is_constant(v)) { return b_.getInt1(!p_.constant(v).is_zero()); }
        LValue x = values_[v];
        if (x->getType()->isIntegerTy(1)) { return x; }
        return b_.CreateICmpNE(x, llvm::ConstantInt::get(x->getType(), 0));
    }

    void set(ValueId v, LValue x) {
        Type* type = type_for(bits_of(v));
        // A narrower one is widened where it is used.
        if (x->getType()->getIntegerBitWidth() > type->getIntegerBitWidth()) {
            x = b_.CreateTrunc(x, type);
        }
        values_[v] = x;
    }

    LValue in_scratch(size_t slot, ValueId v) {
        b_.CreateStore(get256(v), scratch_[slot]);
        return scratch_[slot];
    }
    LValue from_scratch(size_t slot) { return b_.CreateLoad(integer(256), scratch_[slot]); }

    // --- Places ---
    LValue base_of(const Block& block, BlockId id) {
        return block.relative ? static_cast<LValue>(blocks_[id].base) : stack_base_;
    }
    /// Address of the item at `height`: the stack's base is one below the first.
    LValue item(int32_t height) {
        return b_.CreateInBoundsGEP(b_.getInt8Ty(), base_,
                                    b_.getInt64(static_cast<uint64_t>((height + 1) * word_bytes)));
    }
    /// What the interpreter calls sp when the stack has this height.
    LValue top(int32_t height) { return item(height - 1); }

    void store_item(int32_t height, ValueId v) {
        tagged(b_.CreateAlignedStore(get256(v), item(height), llvm::Align(8)), stack_tag_);
    }
    LValue load_item(int32_t height) {
        return tagged(b_.CreateAlignedLoad(integer(256), item(height), llvm::Align(8)), stack_tag_);
    }

    // --- Control ---
    BasicBlock* new_block(const char* name) {
        return BasicBlock::Create(context_, name, function_);
    }

    /// Goes to `elsewhere` when the condition holds, which is seldom, and goes on behind.
    void leave_if(LValue condition, BasicBlock* elsewhere) {
        BasicBlock* next = new_block("");
        b_.CreateCondBr(condition, elsewhere, next, unlikely_);
        b_.SetInsertPoint(next);
    }

    LValue call(const char* name, std::initializer_list<LValue> arguments) {
        return b_.CreateCall(functions_[name], llvm::ArrayRef<LValue>(arguments));
    }

    void leave_to_interpreter(LValue position, LValue sp, LValue gas) {
        set_frame_field(position, offsetof(Frame, resume_position));
        set_frame_field(sp, offsetof(Frame, resume_sp));
        set_frame_field(gas, offsetof(Frame, gas_left));
        b_.CreateRet(i64(static_cast<uint64_t>(goes_on_interpreted)));
    }

    void lower_block(BlockId id);
    void lower_instruction(const Instruction& i);
    void lower_evm(const Instruction& i);
    void lower_step(const Instruction& i);
    void lower_check(const Block& block, const Instruction& i);
    void lower_end(const Block& block);
    void lower_edge(const Edge& edge);
    void lower_dynamic(const Block& block);
    LValue memory_place(const Instruction& i);
    LValue shifted(const Instruction& i);
    LValue compared(const Instruction& i);
    const llvm::APInt* large_modulus(ValueId v);
    LValue added_modulo(const Instruction& i, const llvm::APInt& modulus);
    void make_dispatcher();

    const Program& p_;
    llvm::Module& module_;
    llvm::LLVMContext& context_;
    llvm::IRBuilder<> b_;
    std::map<std::string, llvm::FunctionCallee> functions_;
    llvm::Function* function_ = nullptr;
    llvm::MDNode* frame_tag_ = nullptr;
    llvm::MDNode* memory_tag_ = nullptr;
    llvm::MDNode* stack_tag_ = nullptr;
    llvm::MDNode* unlikely_ = nullptr;

    BasicBlock* entry_ = nullptr;
    BasicBlock* out_of_gas_ = nullptr;
    BasicBlock* dispatcher_ = nullptr;
    PHINode* dispatch_target_ = nullptr;
    PHINode* dispatch_base_ = nullptr;
    PHINode* dispatch_gas_ = nullptr;
    llvm::Argument* frame_ = nullptr;
    LValue memory_ = nullptr;
    LValue stack_base_ = nullptr;
    LValue message_ = nullptr;
    LValue input_ = nullptr;
    LValue input_size_ = nullptr;
    LValue input_words_end_ = nullptr;
    LValue scratch_[4] = {};

    std::vector<LValue> values_;
    /// Values that are below a constant: a remainder need not be taken again.
    std::map<ValueId, ValueId> below_;
    llvm::APInt modulus_;
    std::vector<Lowered> blocks_;
    std::map<PHINode*, std::vector<std::pair<LValue, BasicBlock*>>> incoming_;

    // Of the block in the making.
    LValue gas_ = nullptr;
    LValue base_ = nullptr;
};

void Lowering::lower_block(BlockId id) {
    const Block& block = p_.blocks[id];
    b_.SetInsertPoint(blocks_[id].first);
    gas_ = blocks_[id].gas;
    base_ = base_of(block, id);
    for (const Instruction& i : block.instructions) {
        if (i.kind == Instruction::Kind::check_stack) {
            lower_check(block, i);
        } else {
            lower_instruction(i);
        }
    }
    lower_end(block);
}

void Lowering::lower_check(const Block& block, const Instruction& i) {
    // One comparison for both sides, as the interpreter does it.
    constexpr uint64_t limit = 1024;
    LValue height = b_.CreatePtrDiff(b_.getInt8Ty(), base_, stack_base_);
    const uint64_t reach = uint64_t{i.need} + i.room;
    BasicBlock* failing = new_block("stack_check_failed");
    if (reach > limit) {
        b_.CreateBr(failing);
        b_.SetInsertPoint(failing);
    } else {
        LValue above = b_.CreateSub(height, i64(uint64_t{i.need} * word_bytes));
        BasicBlock* next = new_block("");
        b_.CreateCondBr(b_.CreateICmpUGT(above, i64((limit - reach) * word_bytes)), failing, next,
                        unlikely_);
        b_.SetInsertPoint(failing);
        for (size_t k = 0; k < i.argument_count; ++k) {
            store_item(static_cast<int32_t>(k) - i.argument_count,
                       p_.arguments[i.first_argument + k]);
        }
        leave_to_interpreter(i64(block.position), top(0), gas_);
        b_.SetInsertPoint(next);
        return;
    }
    for (size_t k = 0; k < i.argument_count; ++k) {
        store_item(static_cast<int32_t>(k) - i.argument_count, p_.arguments[i.first_argument + k]);
    }
    leave_to_interpreter(i64(block.position), top(0), gas_);
    b_.SetInsertPoint(new_block("unreachable"));
}

void Lowering::lower_instruction(const Instruction& i) {
    switch (i.kind) {
        case Instruction::Kind::charge: {
            // Not a comparison: LLVM would join the subtractions and then look, for each one, at
            // all comparisons of the same gas before it, which takes quadratic time.
            LValue taken = b_.CreateIntrinsic(llvm::Intrinsic::usub_with_overflow, {integer(64)},
                                              {gas_, i64(i.amount)});
            gas_ = b_.CreateExtractValue(taken, 0);
            leave_if(b_.CreateExtractValue(taken, 1), out_of_gas_);
            return;
        }
        case Instruction::Kind::load_item: set(i.result, load_item(i.height)); return;
        case Instruction::Kind::step: lower_step(i); return;
        case Instruction::Kind::evm: lower_evm(i); return;
        case Instruction::Kind::check_stack: return;  // lower_block
    }
}

void Lowering::lower_step(const Instruction& i) {
    for (size_t k = 0; k < i.argument_count; ++k) {
        store_item(i.height - 1 - static_cast<int32_t>(k), p_.arguments[i.first_argument + k]);
    }
    LValue left = call("mr_step", {frame_, i64(i.position), top(i.height), gas_});
    const bool always_ends = i.opcode == Opcode::return_ || i.opcode == Opcode::revert ||
                             i.opcode == Opcode::selfdestruct;
    if (always_ends) {
        b_.CreateRet(b_.CreateNot(left));
        return;
    }
    BasicBlock* ended = new_block("ended");
    BasicBlock* next = new_block("");
    b_.CreateCondBr(b_.CreateICmpSLT(left, i64(0)), ended, next, unlikely_);
    b_.SetInsertPoint(ended);
    b_.CreateRet(b_.CreateNot(left));
    b_.SetInsertPoint(next);
    gas_ = left;
    if (i.result != none) { set(i.result, load_item(i.height - i.argument_count)); }
}

LValue Lowering::memory_place(const Instruction& i) {
    const ValueId offset = p_.arguments[i.first_argument];
    if (p_.is_constant(offset) &&
        (!p_.constant(offset).fits_u64() || p_.constant(offset).low64() > memory_offset_max)) {
        // No gas could pay for it.
        b_.CreateBr(out_of_gas_);
        b_.SetInsertPoint(new_block("unreachable"));
        return memory_;
    }
    LValue low = get64(offset);
    if (!i.in_bounds) {
        LValue have = frame_field(integer(64), offsetof(Frame, memory_size));
        LValue end = b_.CreateAdd(low, i64(i.reach));
        LValue too_far = b_.CreateICmpUGT(end, have);
        LValue too_large = nullptr;
        // Below this the end does not wrap around.
        constexpr unsigned safe_bits = 63;
        if (!p_.is_constant(offset) && bits_of(offset) > safe_bits) {
            LValue wide = values_[offset];
            too_large =
                b_.CreateICmpUGT(wide, llvm::ConstantInt::get(wide->getType(), memory_offset_max));
            too_far = b_.CreateOr(too_far, too_large);
        }
        BasicBlock* growing = new_block("grow");
        BasicBlock* next = new_block("");
        BasicBlock* from = b_.GetInsertBlock();
        b_.CreateCondBr(too_far, growing, next, unlikely_);
        b_.SetInsertPoint(growing);
        LValue wanted = too_large == nullptr ? end : b_.CreateSelect(too_large, i64(~0ull), end);
        LValue left = call("mr_grow", {frame_, gas_, wanted});
        b_.CreateCondBr(b_.CreateICmpSLT(left, i64(0)), out_of_gas_, next, unlikely_);
        b_.SetInsertPoint(next);
        PHINode* gas = b_.CreatePHI(integer(64), 2);
        gas->addIncoming(gas_, from);
        gas->addIncoming(left, growing);
        gas_ = gas;
    }
    return b_.CreateInBoundsGEP(b_.getInt8Ty(), memory_, low);
}

/// Of a modulus with its highest bit set every word is below twice: one subtraction reduces it.
const llvm::APInt* Lowering::large_modulus(ValueId v) {
    if (!p_.is_constant(v) || bits_of(v) != 256) { return nullptr; }
    modulus_ = to_apint(p_.constant(v));
    return &modulus_;
}

LValue Lowering::added_modulo(const Instruction& i, const llvm::APInt& modulus) {
    LValue m = llvm::ConstantInt::get(context_, modulus);
    const ValueId modulus_id = p_.arguments[i.first_argument + 2];
    const auto reduced = [&](ValueId v) {
        LValue x = get256(v);
        const auto known = below_.find(v);
        if (bits_of(v) < 256 || (known != below_.end() && known->second == modulus_id)) {
            return x;
        }
        return b_.CreateSelect(b_.CreateICmpUGE(x, m), b_.CreateSub(x, m), x);
    };
    LValue x = reduced(p_.arguments[i.first_argument]);
    LValue y = reduced(p_.arguments[i.first_argument + 1]);
    // x + y - m, or x + y when that is negative; both are below m, so nothing else is needed.
    LValue gap = b_.CreateSub(m, y);
    LValue above = b_.CreateICmpUGE(x, gap);
    below_[i.result] = modulus_id;
    return b_.CreateSelect(above, b_.CreateSub(x, gap), b_.CreateAdd(x, y));
}

LValue Lowering::compared(const Instruction& i) {
    const ValueId a = p_.arguments[i.first_argument];
    const ValueId b = p_.arguments[i.first_argument + 1];
    const unsigned bits = std::max(bits_of(a), bits_of(b));
    Type* type = type_for(bits);
    LValue x = get(a, type);
    LValue y = get(b, type);
    const bool negative_possible = bits == 256;
    switch (i.opcode) {
        case Opcode::lt: return b_.CreateICmpULT(x, y);
        case Opcode::gt: return b_.CreateICmpUGT(x, y);
        case Opcode::slt:
            return negative_possible ? b_.CreateICmpSLT(x, y) : b_.CreateICmpULT(x, y);
        case Opcode::sgt:
            return negative_possible ? b_.CreateICmpSGT(x, y) : b_.CreateICmpUGT(x, y);
        default: return b_.CreateICmpEQ(x, y);
    }
}

LValue Lowering::shifted(const Instruction& i) {
    const ValueId by = p_.arguments[i.first_argument];
    const ValueId what = p_.arguments[i.first_argument + 1];
    Type* type = type_for(i.opcode == Opcode::shl ? bits_of(i.result) : bits_of(what));
    if (i.opcode == Opcode::sar) { type = integer(256); }
    const unsigned width = type->getIntegerBitWidth();
    LValue x = get(what, type);
    if (p_.is_constant(by)) {
        const uint64_t n = p_.constant(by).saturate64();
        if (i.opcode == Opcode::sar) { return b_.CreateAShr(x, std::min<uint64_t>(n, width - 1)); }
        if (n >= width) { return llvm::ConstantInt::get(type, 0); }
        return i.opcode == Opcode::shl ? b_.CreateShl(x, n) : b_.CreateLShr(x, n);
    }
    LValue n = saturated(by);
    LValue large = b_.CreateICmpUGE(n, i64(width));
    LValue amount = b_.CreateZExtOrTrunc(b_.CreateAnd(n, i64(width - 1)), type);
    if (i.opcode == Opcode::sar) {
        LValue most = b_.CreateSelect(large, llvm::ConstantInt::get(type, width - 1), amount);
        return b_.CreateAShr(x, most);
    }
    LValue r = i.opcode == Opcode::shl ? b_.CreateShl(x, amount) : b_.CreateLShr(x, amount);
    return b_.CreateSelect(large, llvm::ConstantInt::get(type, 0), r);
}

void Lowering::lower_evm(const Instruction& i) {
    const auto argument = [&](size_t k) { return p_.arguments[i.first_argument + k]; };
    Type* type = i.result == none ? nullptr : type_for(bits_of(i.result));
    const auto both = [&](auto&& make) {
        set(i.result, make(get(argument(0), type), get(argument(1), type)));
    };
    const auto by_call = [&](const char* name) {
        call(name, {scratch_[3], in_scratch(0, argument(0)), in_scratch(1, argument(1))});
        set(i.result, from_scratch(3));
    };
    switch (i.opcode) {
        case Opcode::add: both([&](LValue x, LValue y) { return b_.CreateAdd(x, y); }); return;
        case Opcode::sub: both([&](LValue x, LValue y) { return b_.CreateSub(x, y); }); return;
        case Opcode::mul: both([&](LValue x, LValue y) { return b_.CreateMul(x, y); }); return;
        case Opcode::and_: both([&](LValue x, LValue y) { return b_.CreateAnd(x, y); }); return;
        case Opcode::or_: both([&](LValue x, LValue y) { return b_.CreateOr(x, y); }); return;
        case Opcode::xor_: both([&](LValue x, LValue y) { return b_.CreateXor(x, y); }); return;
        case Opcode::not_: set(i.result, b_.CreateNot(get256(argument(0)))); return;
        case Opcode::lt:
        case Opcode::gt:
        case Opcode::slt:
        case Opcode::sgt:
        case Opcode::eq: set(i.result, compared(i)); return;
        case Opcode::iszero: set(i.result, b_.CreateNot(truth(argument(0)))); return;
        case Opcode::shl:
        case Opcode::shr:
        case Opcode::sar: set(i.result, shifted(i)); return;
        case Opcode::byte: {
            LValue n = saturated(argument(0));
            LValue large = b_.CreateICmpUGE(n, i64(32));
            LValue bits = b_.CreateShl(b_.CreateSub(i64(31), b_.CreateAnd(n, i64(31))), i64(3));
            LValue moved = b_.CreateLShr(get256(argument(1)), b_.CreateZExt(bits, integer(256)));
            LValue byte = b_.CreateAnd(b_.CreateTrunc(moved, integer(64)), i64(0xff));
            set(i.result, b_.CreateSelect(large, i64(0), byte));
            return;
        }
        case Opcode::signextend:
            if (p_.is_constant(argument(0))) {
                const uint64_t n = p_.constant(argument(0)).saturate64();
                if (n >= 31) {
                    set(i.result, get256(argument(1)));
                } else {
                    LValue low = get(argument(1), integer(static_cast<unsigned>(8 * (n + 1))));
                    set(i.result, b_.CreateSExt(low, integer(256)));
                }
                return;
            }
            by_call("mr_signextend");
            return;
        case Opcode::clz: {
            LValue n = b_.CreateIntrinsic(llvm::Intrinsic::ctlz, {integer(256)},
                                          {get256(argument(0)), b_.getFalse()});
            set(i.result, n);
            return;
        }
        case Opcode::div:
        case Opcode::mod: {
            const bool quotient = i.opcode == Opcode::div;
            const unsigned bits = std::max(bits_of(argument(0)), bits_of(argument(1)));
            if (bits <= 64) {
                LValue x = get64(argument(0));
                LValue y = get64(argument(1));
                LValue zero = b_.CreateICmpEQ(y, i64(0));
                LValue safe = b_.CreateSelect(zero, i64(1), y);
                LValue r = quotient ? b_.CreateUDiv(x, safe) : b_.CreateURem(x, safe);
                set(i.result, b_.CreateSelect(zero, i64(0), r));
                return;
            }
            if (p_.is_constant(argument(1))) {
                const llvm::APInt m = to_apint(p_.constant(argument(1)));
                if (m.isPowerOf2()) {
                    LValue x = get256(argument(0));
                    set(i.result, quotient
                                      ? b_.CreateLShr(x, m.logBase2())
                                      : b_.CreateAnd(x, llvm::ConstantInt::get(context_, m - 1)));
                    return;
                }
            }
            by_call(quotient ? "mr_div" : "mr_mod");
            return;
        }
        case Opcode::sdiv: by_call("mr_sdiv"); return;
        case Opcode::smod: by_call("mr_smod"); return;
        case Opcode::addmod:
            if (const llvm::APInt* m = large_modulus(argument(2))) {
                set(i.result, added_modulo(i, *m));
                return;
            }
            call("mr_addmod", {scratch_[3], in_scratch(0, argument(0)), in_scratch(1, argument(1)),
                               in_scratch(2, argument(2))});
            set(i.result, from_scratch(3));
            return;
        case Opcode::mulmod:
            if (p_.is_constant(argument(2))) {
                const llvm::APInt m = to_apint(p_.constant(argument(2)));
                constexpr unsigned modulus_bits_min = 255;
                const llvm::APInt rest = m.getActiveBits() < modulus_bits_min
                                             ? llvm::APInt::getMaxValue(256)
                                             : (-m).urem(m);
                if (rest.getActiveBits() <= 64) {
                    call("mr_mulmod_sparse",
                         {scratch_[3], in_scratch(0, argument(0)), in_scratch(1, argument(1)),
                          in_scratch(2, argument(2)), i64(rest.getZExtValue())});
                    set(i.result, from_scratch(3));
                    below_[i.result] = argument(2);
                    return;
                }
            }
            call("mr_mulmod", {frame_, scratch_[3], in_scratch(0, argument(0)),
                               in_scratch(1, argument(1)), in_scratch(2, argument(2))});
            set(i.result, from_scratch(3));
            return;
        case Opcode::keccak256: {
            LValue left = call("mr_keccak", {frame_, gas_, saturated(argument(0)),
                                             saturated(argument(1)), scratch_[3]});
            leave_if(b_.CreateICmpSLT(left, i64(0)), out_of_gas_);
            gas_ = left;
            if (i.result != none) { set(i.result, from_scratch(3)); }
            return;
        }
        case Opcode::mload: {
            LValue place = memory_place(i);
            LValue word =
                tagged(b_.CreateAlignedLoad(integer(256), place, llvm::Align(1)), memory_tag_);
            if (i.result != none) {
                set(i.result, b_.CreateUnaryIntrinsic(llvm::Intrinsic::bswap, word));
            }
            return;
        }
        case Opcode::mstore: {
            LValue place = memory_place(i);
            LValue word = b_.CreateUnaryIntrinsic(llvm::Intrinsic::bswap, get256(argument(1)));
            tagged(b_.CreateAlignedStore(word, place, llvm::Align(1)), memory_tag_);
            return;
        }
        case Opcode::mstore8: {
            LValue place = memory_place(i);
            tagged(b_.CreateStore(get(argument(1), integer(8)), place), memory_tag_);
            return;
        }
        case Opcode::calldataload: {
            LValue offset = saturated(argument(0));
            LValue whole = b_.CreateICmpULT(offset, input_words_end_);
            BasicBlock* direct = new_block("");
            BasicBlock* padded = new_block("padded");
            BasicBlock* next = new_block("");
            b_.CreateCondBr(b_.CreateNot(whole), padded, direct, unlikely_);
            b_.SetInsertPoint(direct);
            LValue place = b_.CreateInBoundsGEP(b_.getInt8Ty(), input_, offset);
            LValue word = b_.CreateUnaryIntrinsic(
                llvm::Intrinsic::bswap, b_.CreateAlignedLoad(integer(256), place, llvm::Align(1)));
            b_.CreateBr(next);
            b_.SetInsertPoint(padded);
            call("mr_calldataload", {frame_, offset, scratch_[3]});
            LValue rest = from_scratch(3);
            b_.CreateBr(next);
            b_.SetInsertPoint(next);
            PHINode* r = b_.CreatePHI(integer(256), 2);
            r->addIncoming(word, direct);
            r->addIncoming(rest, padded);
            set(i.result, r);
            return;
        }
        case Opcode::calldatasize: set(i.result, input_size_); return;
        case Opcode::msize:
            set(i.result, frame_field(integer(64), offsetof(Frame, memory_size)));
            return;
        case Opcode::gas: set(i.result, gas_); return;
        case Opcode::callvalue:
            set(i.result,
                tagged(b_.CreateAlignedLoad(integer(256), at(message_, offsetof(Message, value)),
                                            llvm::Align(8)),
                       frame_tag_));
            return;
        case Opcode::caller:
        case Opcode::address: {
            const uint64_t offset = i.opcode == Opcode::caller ? offsetof(Message, sender)
                                                               : offsetof(Message, recipient);
            LValue bytes =
                tagged(b_.CreateAlignedLoad(integer(160), at(message_, offset), llvm::Align(1)),
                       frame_tag_);
            LValue word = b_.CreateUnaryIntrinsic(llvm::Intrinsic::bswap, bytes);
            set(i.result, b_.CreateZExt(word, integer(256)));
            return;
        }
        case Opcode::blobhash:
            call("mr_blobhash", {frame_, saturated(argument(0)), scratch_[3]});
            set(i.result, from_scratch(3));
            return;
        default:
            call("mr_environment", {frame_, i64(static_cast<uint64_t>(i.opcode)), scratch_[3]});
            set(i.result, from_scratch(3));
            return;
    }
}

void Lowering::lower_edge(const Edge& edge) {
    for (const Spill& s : edge.spills) { store_item(s.height, s.value); }
    const Block& to = p_.blocks[edge.to];
    const Lowered& l = blocks_[edge.to];
    std::vector<LValue> arguments(edge.arguments.size(), nullptr);
    for (size_t k = 0; k < edge.arguments.size(); ++k) {
        const ValueId v = to.parameters[k];
        if (p_.values[v].kind == Value::Kind::parameter) {
            arguments[k] = get(edge.arguments[k], values_[v]->getType());
        }
    }
    LValue sp = to.relative ? top(edge.height) : nullptr;
    BasicBlock* from = b_.GetInsertBlock();
    b_.CreateBr(l.first);
    add_incoming(l.gas, gas_, from);
    if (to.relative) { add_incoming(l.base, sp, from); }
    for (size_t k = 0; k < arguments.size(); ++k) {
        if (arguments[k] != nullptr) {
            add_incoming(llvm::cast<PHINode>(values_[to.parameters[k]]), arguments[k], from);
        }
    }
}

void Lowering::lower_dynamic(const Block& block) {
    const Edge& out = block.edges[0];
    for (const Spill& s : out.spills) { store_item(s.height, s.value); }
    LValue target = saturated(block.target);
    LValue sp = top(out.height);
    BasicBlock* from = b_.GetInsertBlock();
    b_.CreateBr(dispatcher_);
    dispatch_target_->addIncoming(target, from);
    dispatch_base_->addIncoming(sp, from);
    dispatch_gas_->addIncoming(gas_, from);
}

void Lowering::lower_end(const Block& block) {
    switch (block.end) {
        case Block::End::jump: lower_edge(block.edges[0]); return;
        case Block::End::dynamic: lower_dynamic(block); return;
        case Block::End::branch:
        case Block::End::branch_dynamic: {
            BasicBlock* taken = new_block("");
            BasicBlock* otherwise = new_block("");
            b_.CreateCondBr(truth(block.condition), taken, otherwise);
            b_.SetInsertPoint(taken);
            if (block.end == Block::End::branch) {
                lower_edge(block.edges[0]);
            } else {
                lower_dynamic(block);
            }
            b_.SetInsertPoint(otherwise);
            lower_edge(block.edges[1]);
            return;
        }
        case Block::End::stop:
            set_frame_field(gas_, offsetof(Frame, gas_left));
            set_frame_field(i64(0), offsetof(Frame, output_size));
            b_.CreateRet(i64(static_cast<uint64_t>(Status::success)));
            return;
        case Block::End::ended: return;  // by lower_step
        case Block::End::fail: b_.CreateRet(i64(block.status)); return;
        case Block::End::interpret: {
            const Edge& out = block.edges[0];
            for (const Spill& s : out.spills) { store_item(s.height, s.value); }
            leave_to_interpreter(i64(block.end_position), top(out.height), gas_);
            return;
        }
    }
}

void Lowering::make_dispatcher() {
    b_.SetInsertPoint(dispatcher_);
    if (dispatch_target_->getNumIncomingValues() == 0) {
        for (PHINode* phi : {dispatch_target_, dispatch_base_, dispatch_gas_}) {
            phi->eraseFromParent();
        }
        dispatcher_->eraseFromParent();
        return;
    }
    BasicBlock* other = new_block("not_compiled");
    llvm::SwitchInst* choice =
        b_.CreateSwitch(dispatch_target_, other, static_cast<unsigned>(p_.dynamic_entries.size()));
    for (const DynamicEntry& d : p_.dynamic_entries) {
        const Lowered& l = blocks_[d.block];
        choice->addCase(b_.getInt64(d.position), l.first);
        add_incoming(l.gas, dispatch_gas_, dispatcher_);
        add_incoming(l.base, dispatch_base_, dispatcher_);
    }
    b_.SetInsertPoint(other);
    LValue valid = call("mr_is_destination", {frame_, dispatch_target_});
    BasicBlock* leaving = new_block("");
    BasicBlock* failing = new_block("");
    b_.CreateCondBr(b_.CreateICmpNE(valid, i64(0)), leaving, failing);
    b_.SetInsertPoint(leaving);
    leave_to_interpreter(dispatch_target_, dispatch_base_, dispatch_gas_);
    b_.SetInsertPoint(failing);
    b_.CreateRet(i64(static_cast<uint64_t>(Status::bad_jump_destination)));
}

}  // namespace

void lower_program(const Program& program, llvm::Module& module) {
    Lowering{program, module}.run();
}

}  // namespace millrace::evm::jit
