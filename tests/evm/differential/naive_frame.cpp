// SPDX-License-Identifier: Apache-2.0
// Owns how a naive frame runs: steps, stack, gas, memory, failure.
#include "tests/evm/differential/naive_frame.hpp"
#include "tests/evm/differential/naive_words.hpp"

namespace millrace::evm::differential {

namespace {

/// How a frame ends when it fails.
struct Failure {
    Status status;
};

}  // namespace

NaiveFrame::NaiveFrame(NaiveEvm& evm, const NaiveMessage& message, const Bytes& code)
    : evm_(evm), state_(evm.state()), message_(message), code_(code), gas_(message.gas) {
    for (size_t i = 0; i < code.size(); ++i) {
        if (code[i] == 0x5b) { jump_destinations_.insert(i); }
        if (code[i] >= 0x60 && code[i] <= 0x7f && !evm.has_fault(Fault::jump_into_push_data)) {
            i += code[i] - 0x5fu;
        }
    }
}

NaiveResult NaiveFrame::run() {
    try {
        while (!ended_) { step(); }
        return {status_, gas_, output_};
    } catch (const Failure& failure) {
        settle_cost();
        return {failure.status, 0, {}};
    }
}

void NaiveFrame::settle_cost() {
    if (!cost_settled_ && evm_.on_cost) { evm_.on_cost(cost_); }
    cost_settled_ = true;
}

void NaiveFrame::step() {
    const uint8_t opcode = pc_ < code_.size() ? code_[pc_] : 0;
    if (evm_.on_step) {
        evm_.on_step({message_.depth, pc_, opcode, gas_, stack_, memory_.size(), state_.refund});
    }
    cost_ = 0;
    cost_settled_ = false;
    const NaiveInstruction& i = naive_instructions()[opcode];
    if (!i.defined || !evm_.at_least(i.since)) { fail(Status::undefined_instruction); }
    if (evm_.has_fault(Fault::underflow_after_gas) && gas_ < i.gas) { fail(Status::out_of_gas); }
    if (stack_.size() < i.takes) { fail(Status::stack_underflow); }
    const size_t limit = evm_.has_fault(Fault::stack_limit) ? 1025 : 1024;
    if (stack_.size() - i.takes + i.gives > limit) { fail(Status::stack_overflow); }
    charge(i.gas);
    size_t next = pc_ + 1;
    if (opcode >= 0x60 && opcode <= 0x7f) { next += opcode - 0x5fu; }
    next_ = next;
    perform(opcode);
    settle_cost();
    pc_ = next_;
}

void NaiveFrame::perform(uint8_t opcode) {
    if (opcode <= 0x0b) { return arithmetic(opcode); }
    if (opcode <= 0x1e) { return comparison_or_bits(opcode); }
    if (opcode <= 0x3f) { return environment(opcode); }
    if (opcode <= 0x4a) { return block_information(opcode); }
    if (opcode <= 0x5f) { return memory_storage_flow(opcode); }
    if (opcode <= 0x7f) { return push_immediate(opcode - 0x5fu); }
    if (opcode <= 0x8f) { return push(Word{stack_[stack_.size() - (opcode - 0x7fu)]}); }
    if (opcode <= 0x9f) {
        return std::swap(stack_.back(), stack_[stack_.size() - 1 - (opcode - 0x8fu)]);
    }
    if (opcode <= 0xa4) { return log(opcode - 0xa0u); }
    system(opcode);
}

void NaiveFrame::charge(const Word& amount) {
    cost_ += amount;
    if (gas_ < amount) { fail(Status::out_of_gas); }
    gas_ -= amount;
}

Word NaiveFrame::pop() {
    Word w = stack_.back();
    stack_.pop_back();
    return w;
}

void NaiveFrame::end(Status status) {
    ended_ = true;
    status_ = status;
}

Word NaiveFrame::memory_price(const Word& words) const {
    return 3 * words + words * words / (evm_.has_fault(Fault::memory_divisor) ? 513 : 512);
}

void NaiveFrame::expand(const Word& offset, const Word& size) {
    if (size == 0) { return; }
    const Word bytes = offset + size;
    const Word words = ceil_div(bytes, 32);
    const Word had = memory_.size() / 32;
    if (bytes > highest_byte_) { highest_byte_ = bytes; }
    if (words <= had) { return; }
    charge(memory_price(words) - memory_price(had));
    memory_.resize(words.get_ui() * 32);
}

void NaiveFrame::charge_per_word(unsigned price, const Word& size) {
    charge(price * (evm_.has_fault(Fault::copy_gas_floor) ? Word{size / 32} : ceil_div(size, 32)));
}

Bytes NaiveFrame::read_memory(const Word& offset, const Word& size) const {
    if (size == 0) { return {}; }
    const auto begin = memory_.begin() + static_cast<ptrdiff_t>(offset.get_ui());
    return Bytes(begin, begin + static_cast<ptrdiff_t>(size.get_ui()));
}

void NaiveFrame::write_memory(const Word& offset, const Bytes& data) {
    for (size_t i = 0; i < data.size(); ++i) { memory_[offset.get_ui() + i] = data[i]; }
}

Bytes NaiveFrame::padded(const Bytes& data, const Word& offset, const Word& size) {
    Bytes out(size.get_ui());
    for (size_t i = 0; i < out.size(); ++i) {
        const Word at = offset + static_cast<unsigned long>(i);
        out[i] = at < data.size() ? data[at.get_ui()] : 0;
    }
    return out;
}

Word NaiveFrame::balance_of(const Address& a) const {
    return exists(a) ? state_.accounts.at(a).balance : Word{};
}

Bytes NaiveFrame::code_of(const Address& a) const {
    return exists(a) ? state_.accounts.at(a).code : Bytes{};
}

void NaiveFrame::charge_account_access(const Address& a, unsigned before_berlin) {
    if (!at_least(Revision::berlin)) { return charge(before_berlin); }
    charge(evm_.warm(a) ? 2600 : 100);
}

void NaiveFrame::require_not_static() const {
    if (message_.is_static) { fail(Status::static_mode_violation); }
}

void NaiveFrame::fail(Status status) { throw Failure{status}; }

}  // namespace millrace::evm::differential
