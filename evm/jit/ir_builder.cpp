// SPDX-License-Identifier: Apache-2.0
// Owns the symbolic run of the stack that turns bytecode into blocks of values.
#include "evm/jit/ir_builder.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "evm/core/message.hpp"
#include "evm/core/native.hpp"
#include "evm/jit/detail/fold.hpp"

namespace millrace::evm::jit {
namespace {

constexpr int32_t stack_limit = 1024;
/// A relative block ends before what it needs and adds could exceed the stack for every start.
constexpr int32_t relative_reach_max = 900;

bool is_push(uint8_t op) { return op >= 0x5f && op <= 0x7f; }
bool is_dup(uint8_t op) { return op >= 0x80 && op <= 0x8f; }
bool is_swap(uint8_t op) { return op >= 0x90 && op <= 0x9f; }

/// What makes two arrivals at one position the same block.
struct Key {
    uint32_t position = 0;
    bool relative = false;
    int32_t height = 0;
    size_t window = 0;
    /// Return addresses among the window's items: (index, destination).
    std::vector<std::pair<uint32_t, uint32_t>> destinations;

    auto operator<=>(const Key&) const = default;
};

/// The stack at a point of a block.
struct Stack {
    std::vector<ValueId> window;  ///< lowest first
    int32_t low = 0;              ///< height of window[0]

    int32_t height() const { return low + static_cast<int32_t>(window.size()); }
};

class Builder {
public:
    Builder(const AnalyzedCode& code, Revision revision, const IrLimits& limits)
        : code_(code), limits_(limits) {
        program_.revision = revision;
        for (size_t op = 0; op < traits_.size(); ++op) {
            traits_[op] = instruction_traits(revision, static_cast<uint8_t>(op));
        }
    }

    Program build() {
        scan_pushes();
        find_or_add(Key{});
        while (!pending_.empty()) {
            const BlockId id = pending_.front();
            pending_.pop_front();
            if (instructions_built_ < limits_.instructions_max) {
                build_block(id);
            } else {
                cut_block(id);
            }
        }
        for (const Block& b : program_.blocks) {
            for (const Edge& e : b.edges) {
                if (e.to != none) { ++program_.blocks[e.to].predecessors; }
            }
            program_.instruction_count += b.instructions.size();
        }
        return std::move(program_);
    }

private:
    // --- Values ---
    ValueId add_value(Value v) {
        program_.values.push_back(v);
        return static_cast<ValueId>(program_.values.size() - 1);
    }

    ValueId constant(const U256& c, bool is_pushed_destination = false) {
        auto& known = constants_[is_pushed_destination ? 1 : 0];
        const auto [at, added] = known.try_emplace(c, none);
        if (added) {
            Value v;
            v.is_pushed_destination = is_pushed_destination;
            v.bits = static_cast<uint16_t>(bit_length(c));
            v.index = static_cast<uint32_t>(program_.constants.size());
            program_.constants.push_back(c);
            at->second = add_value(v);
        }
        return at->second;
    }

    Block& block() { return program_.blocks[current_]; }

    ValueId new_result() {
        Value v;
        v.kind = Value::Kind::result;
        v.index = static_cast<uint32_t>(block().instructions.size());
        return add_value(v);
    }

    // --- The stack ---
    /// Makes the topmost `count` items values.
    void reach(size_t count) {
        if (stack_.window.size() >= count) { return; }
        const size_t missing = count - stack_.window.size();
        std::vector<ValueId> loaded(missing);
        // The lowest comes last, as it would when popped.
        for (size_t i = missing; i-- > 0;) {
            Instruction load;
            load.kind = Instruction::Kind::load_item;
            load.position = position_;
            load.height = stack_.low - static_cast<int32_t>(missing - i);
            load.result = new_result();
            block().instructions.push_back(load);
            loaded_from_.emplace(load.result, load.height);
            loaded[i] = load.result;
        }
        stack_.window.insert(stack_.window.begin(), loaded.begin(), loaded.end());
        stack_.low -= static_cast<int32_t>(missing);
    }

    ValueId pop() {
        reach(1);
        const ValueId v = stack_.window.back();
        stack_.window.pop_back();
        return v;
    }
    void push(ValueId v) { stack_.window.push_back(v); }

    // --- Instructions ---
    void charge(uint32_t gas) {
        if (gas == 0) { return; }
        if (charge_ == none) {
            charge_ = static_cast<uint32_t>(block().instructions.size());
            Instruction c;
            c.kind = Instruction::Kind::charge;
            c.position = position_;
            block().instructions.push_back(c);
        }
        block().instructions[charge_].amount += gas;
    }

    Instruction& emit(Instruction::Kind kind, Opcode opcode, const std::vector<ValueId>& arguments,
                      bool has_result) {
        Instruction i;
        i.kind = kind;
        i.opcode = opcode;
        i.position = position_;
        i.argument_count = static_cast<uint8_t>(arguments.size());
        i.first_argument = static_cast<uint32_t>(program_.arguments.size());
        program_.arguments.insert(program_.arguments.end(), arguments.begin(), arguments.end());
        if (has_result) { i.result = new_result(); }
        block().instructions.push_back(i);
        return block().instructions.back();
    }

    // --- Blocks ---
    BlockId find_or_add(const Key& key) {
        const auto [at, added] = blocks_.try_emplace(key, none);
        if (!added) { return at->second; }
        const auto id = static_cast<BlockId>(program_.blocks.size());
        at->second = id;
        Block& b = program_.blocks.emplace_back();
        b.position = key.position;
        b.relative = key.relative;
        b.height = key.relative ? 0 : key.height;
        b.parameters.resize(key.window);
        b.parameter_heights.resize(key.window);
        const int32_t low = b.height - static_cast<int32_t>(key.window);
        size_t next = 0;
        for (uint32_t i = 0; i < key.window; ++i) {
            b.parameter_heights[i] = low + static_cast<int32_t>(i);
            if (next < key.destinations.size() && key.destinations[next].first == i) {
                // Known, so there is nothing to hand over: the edge's argument is this constant.
                b.parameters[i] = constant(U256{key.destinations[next].second}, true);
                ++next;
                continue;
            }
            Value v;
            v.kind = Value::Kind::parameter;
            v.index = i;
            b.parameters[i] = add_value(v);
        }
        ++copies_[{key.position, key.relative}];
        pending_.push_back(id);
        return id;
    }

    bool may_add_block() const {
        return program_.blocks.size() < limits_.blocks_max &&
               instructions_built_ < limits_.instructions_max;
    }

    /// The block without knowledge of the stack: the last resort that bounds the copies.
    BlockId generic_block(uint32_t position) {
        Key key;
        key.position = position;
        key.relative = true;
        const auto known = blocks_.find(key);
        if (known != blocks_.end()) { return known->second; }
        if (may_add_block()) { return find_or_add(key); }
        // The interpreter takes over there.
        ++program_.cut_edges;
        const BlockId id = find_or_add(key);
        pending_.pop_back();
        Block& b = program_.blocks[id];
        b.end = Block::End::interpret;
        b.end_position = position;
        b.edges.resize(1);
        return id;
    }

    bool in_recursion() const {
        std::set<uint64_t> seen;
        for (const ValueId v : stack_.window) {
            if (program_.values[v].is_pushed_destination &&
                !seen.insert(program_.constant(v).low64()).second) {
                return true;
            }
        }
        return false;
    }

    /// Which block an arrival at `position` with the present stack leads to, and what it hands
    /// over.
    Edge edge_to(uint32_t position) {
        Edge edge;
        edge.height = stack_.height();
        Key key;
        key.position = position;
        key.relative = block().relative;
        key.height = key.relative ? 0 : stack_.height();
        key.window = std::min(stack_.window.size(), limits_.window_max);
        const size_t first = stack_.window.size() - key.window;
        for (size_t i = 0; i < key.window; ++i) {
            const ValueId v = stack_.window[first + i];
            if (program_.values[v].is_pushed_destination) {
                key.destinations.emplace_back(static_cast<uint32_t>(i),
                                              program_.constant(v).low64());
            }
        }
        const bool known = blocks_.contains(key);
        const auto copies = copies_.find({position, key.relative});
        const bool too_many =
            copies != copies_.end() &&
            copies->second >= (key.relative ? limits_.relative_copies_max : limits_.copies_max);
        if (!known && (too_many || in_recursion() || !may_add_block())) {
            edge.to = generic_block(position);
            spill(edge, stack_.window.size());
            return edge;
        }
        edge.to = find_or_add(key);
        spill(edge, first);
        edge.arguments.assign(stack_.window.begin() + static_cast<ptrdiff_t>(first),
                              stack_.window.end());
        return edge;
    }

    /// Writes the lowest `count` items of the window to their places, but those that are there.
    void spill(Edge& edge, size_t count) const {
        for (size_t i = 0; i < count; ++i) {
            const int32_t height = stack_.low + static_cast<int32_t>(i);
            const auto from = loaded_from_.find(stack_.window[i]);
            if (from != loaded_from_.end() && from->second == height) { continue; }
            edge.spills.push_back({height, stack_.window[i]});
        }
    }

    Edge spilled_edge() const {
        Edge edge;
        edge.height = stack_.height();
        spill(edge, stack_.window.size());
        return edge;
    }

    void note_dynamic_jump(ValueId target) {
        const Value& v = program_.values[target];
        const bool handed_over = v.kind == Value::Kind::parameter || loaded_from_.contains(target);
        if (!dynamic_) {
            dynamic_ = true;
            for (const uint32_t d : pushed_destinations_) { add_dynamic_entry(d); }
        }
        if (!handed_over && !computed_) {
            computed_ = true;
            for (uint32_t at = 0; at < code_.size(); ++at) {
                if (code_.is_jump_destination(at)) { add_dynamic_entry(at); }
            }
        }
    }

    void add_dynamic_entry(uint32_t position) {
        if (program_.dynamic_entries.size() >= limits_.dynamic_entries_max || !may_add_block() ||
            !entered_.insert(position).second) {
            return;
        }
        program_.dynamic_entries.push_back({position, generic_block(position)});
    }

    void end(Block::End how) {
        block().end = how;
        block().end_position = position_;
    }
    void end_by_interpreter() {
        end(Block::End::interpret);
        Edge edge = spilled_edge();
        block().edges = {std::move(edge)};
    }
    void end_by_failure(Status status) {
        end(Block::End::fail);
        block().status = static_cast<uint8_t>(status);
    }
    void end_by_jump(uint32_t to) {
        Edge edge = edge_to(to);
        end(Block::End::jump);
        block().edges = {std::move(edge)};
    }

    /// Whether another way leads, or may lead, to the JUMPDEST here.
    bool may_be_entered(uint32_t position) const {
        return computed_ || pushed_destinations_.contains(position) || scanned_[position];
    }

    void scan_pushes() {
        scanned_.assign(code_.size() + 1, false);
        const uint8_t* p = code_.padded();
        for (size_t i = 0; i < code_.size(); ++i) {
            if (!is_push(p[i])) { continue; }
            const size_t n = p[i] - 0x5fu;
            if (n <= 4) {
                uint64_t v = 0;
                for (size_t k = 0; k < n; ++k) { v = v << 8 | p[i + 1 + k]; }
                if (code_.is_jump_destination(v)) {
                    scanned_[v] = true;
                    const auto next = static_cast<Opcode>(p[i + 1 + n]);
                    if (next == Opcode::jump || next == Opcode::jumpi) { ++jumps_by_width_[n]; }
                }
            }
            i += n;
        }
        const auto most = std::max_element(jumps_by_width_.begin(), jumps_by_width_.end());
        destination_width_ = static_cast<size_t>(most - jumps_by_width_.begin());
    }

    /// Leaves a block that was asked for to the interpreter.
    void cut_block(BlockId id) {
        start_block(id);
        end_by_interpreter();
        ++program_.cut_edges;
    }

    void start_block(BlockId id);
    void build_block(BlockId id);
    /// True when the block goes on behind the instruction.
    bool build_instruction();
    bool build_jump(bool conditional);
    void build_push(uint8_t op);

    const AnalyzedCode& code_;
    IrLimits limits_;
    Program program_;
    std::array<InstructionTraits, 256> traits_;
    std::map<Key, BlockId> blocks_;
    std::map<std::pair<uint32_t, bool>, size_t> copies_;
    std::deque<BlockId> pending_;
    std::unordered_map<U256, ValueId> constants_[2];
    std::set<uint32_t> pushed_destinations_;
    std::set<uint32_t> entered_;
    std::vector<bool> scanned_;
    /// Compilers write all destinations with one width, which tells them from other small numbers.
    std::array<size_t, 5> jumps_by_width_{};
    size_t destination_width_ = 0;
    bool dynamic_ = false;
    bool computed_ = false;
    size_t instructions_built_ = 0;

    // Of the block in the making.
    BlockId current_ = none;
    Stack stack_;
    uint32_t position_ = 0;
    uint32_t charge_ = none;
    int32_t need_ = 0;
    int32_t peak_ = 0;
    std::unordered_map<ValueId, int32_t> loaded_from_;
    std::map<Opcode, ValueId> environment_;
};

void Builder::start_block(BlockId id) {
    current_ = id;
    stack_.window = block().parameters;
    stack_.low = block().height - static_cast<int32_t>(stack_.window.size());
    position_ = block().position;
    charge_ = none;
    need_ = peak_ = 0;
    loaded_from_.clear();
    environment_.clear();
}

void Builder::build_block(BlockId id) {
    start_block(id);
    if (block().relative) {
        Instruction check;
        check.kind = Instruction::Kind::check_stack;
        check.position = position_;
        check.first_argument = static_cast<uint32_t>(program_.arguments.size());
        check.argument_count = static_cast<uint8_t>(stack_.window.size());
        program_.arguments.insert(program_.arguments.end(), stack_.window.begin(),
                                  stack_.window.end());
        block().instructions.push_back(check);
    }
    const uint32_t start = position_;
    while (true) {
        const auto op = static_cast<Opcode>(code_.padded()[position_]);
        if (position_ != start) {
            if (op == Opcode::jumpdest && may_be_entered(position_)) {
                end_by_jump(position_);
                break;
            }
            if (block().instructions.size() >= limits_.block_instructions_max ||
                (block().relative && need_ + peak_ > relative_reach_max)) {
                end_by_jump(position_);
                break;
            }
        }
        if (!build_instruction()) { break; }
    }
    instructions_built_ += block().instructions.size();
    if (block().relative) {
        Instruction& check = block().instructions.front();
        check.need = static_cast<uint16_t>(need_);
        check.room = static_cast<uint16_t>(peak_);
    }
}

void Builder::build_push(uint8_t op) {
    const size_t n = op - 0x5fu;
    const U256 value = load_be(ByteView{code_.padded() + position_ + 1, n});
    const bool is_destination =
        n == destination_width_ && value.fits_u64() && code_.is_jump_destination(value.low64());
    if (is_destination) {
        const auto destination = static_cast<uint32_t>(value.low64());
        if (pushed_destinations_.insert(destination).second && dynamic_) {
            add_dynamic_entry(destination);
        }
    }
    push(constant(value, is_destination));
    position_ += static_cast<uint32_t>(n) + 1;
}

bool Builder::build_jump(bool conditional) {
    charge(conditional ? 10 : 8);
    const ValueId target = pop();
    const ValueId condition = conditional ? pop() : none;
    if (conditional && program_.is_constant(condition) && program_.constant(condition).is_zero()) {
        end_by_jump(position_ + 1);
        return false;
    }
    const bool always = !conditional || program_.is_constant(condition);
    if (program_.is_constant(target)) {
        const U256& to = program_.constant(target);
        const bool valid = to.fits_u64() && code_.is_jump_destination(to.low64());
        if (always) {
            if (valid) {
                end_by_jump(static_cast<uint32_t>(to.low64()));
            } else {
                end_by_failure(Status::bad_jump_destination);
            }
            return false;
        }
        Edge taken;
        if (valid) {
            taken = edge_to(static_cast<uint32_t>(to.low64()));
        } else {
            // Nothing is handed over: the block only fails.
            Block failing;
            failing.position = position_;
            failing.relative = block().relative;
            failing.height = block().relative ? 0 : stack_.height();
            failing.end = Block::End::fail;
            failing.status = static_cast<uint8_t>(Status::bad_jump_destination);
            taken.to = static_cast<BlockId>(program_.blocks.size());
            taken.height = stack_.height();
            program_.blocks.push_back(std::move(failing));
        }
        Edge otherwise = edge_to(position_ + 1);
        end(Block::End::branch);
        block().condition = condition;
        block().edges = {std::move(taken), std::move(otherwise)};
        return false;
    }
    note_dynamic_jump(target);
    Edge out = spilled_edge();
    if (always) {
        end(Block::End::dynamic);
        block().edges = {std::move(out)};
    } else {
        Edge otherwise = edge_to(position_ + 1);
        end(Block::End::branch_dynamic);
        block().condition = condition;
        block().edges = {std::move(out), std::move(otherwise)};
    }
    block().target = target;
    return false;
}

bool Builder::build_instruction() {
    const uint8_t op = code_.padded()[position_];
    const auto opcode = static_cast<Opcode>(op);
    const InstructionTraits& t = traits_[op];
    if (!t.is_defined) {
        end_by_failure(Status::undefined_instruction);
        return false;
    }
    const int32_t height = stack_.height();
    if (block().relative) {
        need_ = std::max(need_, static_cast<int32_t>(t.takes) - height);
        peak_ = std::max(peak_, height - t.takes + t.gives);
    } else if (height < t.takes || height - t.takes + t.gives > stack_limit) {
        end_by_interpreter();
        return false;
    }
    if (opcode == Opcode::stop) {
        end(Block::End::stop);
        return false;
    }
    if (opcode == Opcode::invalid) {
        end_by_failure(Status::invalid_instruction);
        return false;
    }
    if (opcode == Opcode::jump || opcode == Opcode::jumpi) {
        return build_jump(opcode == Opcode::jumpi);
    }
    if (!t.has_fixed_price && opcode != Opcode::gas) {
        std::vector<ValueId> arguments(t.takes);
        for (ValueId& a : arguments) { a = pop(); }
        charge_ = none;
        Instruction& step = emit(Instruction::Kind::step, opcode, arguments, t.gives != 0);
        step.height = height;
        if (t.gives != 0) { push(step.result); }
        // It writes its operands there, and a callee has its stack above them.
        std::erase_if(loaded_from_,
                      [from = height - t.takes](const auto& item) { return item.second >= from; });
        if (opcode == Opcode::return_ || opcode == Opcode::revert ||
            opcode == Opcode::selfdestruct) {
            end(Block::End::ended);
            return false;
        }
        // A call may change what the environment shows.
        environment_.erase(Opcode::returndatasize);
        ++position_;
        return true;
    }
    charge(opcode == Opcode::gas ? 2 : t.gas);
    if (is_push(op)) {
        build_push(op);
        return true;
    }
    if (is_dup(op)) {
        const size_t n = op - 0x7fu;
        reach(n);
        push(stack_.window[stack_.window.size() - n]);
    } else if (is_swap(op)) {
        const size_t n = op - 0x8fu;
        reach(n + 1);
        std::swap(stack_.window.back(), stack_.window[stack_.window.size() - 1 - n]);
    } else if (opcode == Opcode::pop) {
        pop();
    } else if (opcode == Opcode::pc) {
        push(constant(U256{position_}));
    } else if (opcode == Opcode::codesize) {
        push(constant(U256{code_.size()}));
    } else if (opcode == Opcode::gas) {
        push(emit(Instruction::Kind::evm, opcode, {}, true).result);
        charge_ = none;
    } else if (opcode != Opcode::jumpdest) {
        std::vector<ValueId> arguments(t.takes);
        for (ValueId& a : arguments) { a = pop(); }
        const bool is_environment = t.takes == 0 && opcode != Opcode::msize;
        const auto seen = environment_.find(opcode);
        if (is_environment && seen != environment_.end()) {
            push(seen->second);
        } else {
            std::vector<const U256*> known(arguments.size());
            bool all_known = !arguments.empty();
            for (size_t i = 0; i < arguments.size(); ++i) {
                all_known = all_known && program_.is_constant(arguments[i]);
                known[i] = all_known ? &program_.constant(arguments[i]) : nullptr;
            }
            U256 folded;
            if (all_known && fold(opcode, known, folded)) {
                push(constant(folded));
            } else {
                Instruction& i = emit(Instruction::Kind::evm, opcode, arguments, t.gives != 0);
                if (t.gives != 0) {
                    push(i.result);
                    if (is_environment) { environment_.emplace(opcode, i.result); }
                }
            }
        }
    }
    ++position_;
    return true;
}

}  // namespace

Program build_program(const AnalyzedCode& code, Revision revision, const IrLimits& limits) {
    return Builder{code, revision, limits}.build();
}

}  // namespace millrace::evm::jit
