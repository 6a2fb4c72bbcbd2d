// SPDX-License-Identifier: Apache-2.0
// Owns the frame of the naive implementation: one switch over opcodes, one vector for the stack,
// one for memory.
#pragma once

#include <array>
#include <map>
#include <set>
#include <vector>

#include "tests/evm/differential/naive_evm.hpp"

namespace millrace::evm::differential {

/// How many items an instruction takes and leaves, what it costs whatever happens, and since when
/// it exists.
struct NaiveInstruction {
    bool defined = false;
    unsigned takes = 0;
    unsigned gives = 0;
    unsigned gas = 0;
    Revision since = Revision::frontier;
};
/// By opcode, every fork's.
const std::array<NaiveInstruction, 256>& naive_instructions();

/// A running frame. Its instructions are in naive_frame_*.cpp.
class NaiveFrame {
public:
    NaiveFrame(NaiveEvm& evm, const NaiveMessage& message, const Bytes& code);

    NaiveResult run();

private:
    void step();
    void perform(uint8_t opcode);
    /// The running instruction has been charged in full, or has failed.
    void settle_cost();

    // --- Stack, gas, memory ---

    [[noreturn]] static void fail(Status status);
    void charge(const Word& amount);
    Word pop();
    void push(const Word& w) { stack_.push_back(w); }
    void end(Status status);
    Word memory_price(const Word& words) const;
    void expand(const Word& offset, const Word& size);
    void charge_per_word(unsigned price, const Word& size);
    /// Memory that expand() has made.
    Bytes read_memory(const Word& offset, const Word& size) const;
    void write_memory(const Word& offset, const Bytes& data);
    /// `size` bytes of `data` from `offset`, zeros beyond its end.
    static Bytes padded(const Bytes& data, const Word& offset, const Word& size);

    // --- State ---

    Revision revision() const { return evm_.context().revision; }
    bool at_least(Revision r) const { return evm_.at_least(r); }
    bool exists(const Address& a) const { return state_.accounts.contains(a); }
    bool is_dead(const Address& a) const { return !exists(a) || state_.accounts.at(a).is_empty(); }
    Word balance_of(const Address& a) const;
    Bytes code_of(const Address& a) const;
    void charge_account_access(const Address& a, unsigned before_berlin);
    void require_not_static() const;

    // --- 0x01 to 0x0b ---

    void arithmetic(uint8_t opcode);
    Word sign_extended(const Word& index, const Word& x) const;

    // --- 0x10 to 0x1e ---

    void comparison_or_bits(uint8_t opcode);
    Word shifted_arithmetically(const Word& count, const Word& x) const;

    // --- 0x20 to 0x3f ---

    void environment(uint8_t opcode);
    void copy_to_memory(const Bytes& from);
    void external_code_copy();
    void return_data_copy();

    // --- 0x40 to 0x4a ---

    void block_information(uint8_t opcode);

    // --- 0x50 to 0x7f ---

    void memory_storage_flow(uint8_t opcode);
    void jump(const Word& target);
    void push_immediate(unsigned size);

    static Word slot_of(const std::map<Address, NaiveAccount>& accounts, const Address& a,
                        const Word& key);
    /// EIP-2929; true when the slot was cold.
    bool warm_slot(const Word& key);
    void load_storage();
    void store_storage();

    /// EIP-1283, EIP-2200, EIP-2929 and EIP-3529 in the words of EIP-2200.
    void charge_net_metered(const Word& original, const Word& current, const Word& value);

    // --- 0xa0 to 0xff ---

    void log(unsigned topics);
    void system(uint8_t opcode);
    Word all_but_one_64th() const;
    void call(CallKind kind);
    void create(CallKind kind);
    void self_destruct();

    NaiveEvm& evm_;
    NaiveState& state_;
    const NaiveMessage& message_;
    const Bytes& code_;
    std::set<size_t> jump_destinations_;
    std::vector<Word> stack_;
    Bytes memory_;
    Word highest_byte_;
    Word gas_;
    Word cost_;  ///< of the running instruction
    bool cost_settled_ = true;
    Bytes return_data_;
    size_t pc_ = 0;
    size_t next_ = 0;
    bool ended_ = false;
    Status status_ = Status::success;
    Bytes output_;
};

}  // namespace millrace::evm::differential
