// SPDX-License-Identifier: Apache-2.0
// Owns the naive frame: one switch over opcodes, one vector for the stack, one for memory.
#include "tests/evm/differential/naive_evm.hpp"

#include <array>
#include <optional>

#include "kernels/keccak/keccak.hpp"

namespace millrace::evm::differential {
namespace {

const Word two_256 = Word{1} << 256;
const Word two_255 = Word{1} << 255;
const Word nonce_max = (Word{1} << 64) - 1;
constexpr size_t depth_max = 1024;

/// How a frame ends when it fails.
struct Failure {
    Status status;
};

Word from_bytes(ByteView bytes) {
    Word w;
    mpz_import(w.get_mpz_t(), bytes.size(), 1, 1, 1, 0, bytes.data());
    return w;
}

/// The `size` low bytes, big-endian.
Bytes to_bytes(const Word& w, size_t size) {
    Bytes out(size);
    Word rest = w;
    for (size_t i = size; i-- > 0;) {
        out[i] = static_cast<uint8_t>(Word{rest & 0xff}.get_ui());
        rest >>= 8;
    }
    return out;
}

Address address_from(const Word& w) { return Address::from(to_bytes(w, 20)); }
Word word_from(const Address& a) { return from_bytes(a.view()); }
Word word_from(const Hash256& h) { return from_bytes(h.view()); }

Word wrap(const Word& w) {
    Word r;
    mpz_fdiv_r_2exp(r.get_mpz_t(), w.get_mpz_t(), 256);
    return r;
}
Word as_signed(const Word& w) { return w >= two_255 ? Word{w - two_256} : w; }
Word ceil_div(const Word& a, unsigned long b) { return (a + (b - 1)) / b; }
Word flag(bool b) { return b ? 1 : 0; }

/// How many items an instruction takes and leaves, what it costs whatever happens, and since when
/// it exists.
struct Instruction {
    bool defined = false;
    unsigned takes = 0;
    unsigned gives = 0;
    unsigned gas = 0;
    Revision since = Revision::frontier;
};

std::array<Instruction, 256> make_instructions() {
    std::array<Instruction, 256> t{};
    auto set = [&](unsigned first, unsigned last, unsigned takes, unsigned gives, unsigned gas,
                   Revision since = Revision::frontier) {
        for (unsigned i = first; i <= last; ++i) { t[i] = {true, takes, gives, gas, since}; }
    };
    set(0x00, 0x00, 0, 0, 0);                            // STOP
    set(0x01, 0x01, 2, 1, 3);                            // ADD
    set(0x02, 0x02, 2, 1, 5);                            // MUL
    set(0x03, 0x03, 2, 1, 3);                            // SUB
    set(0x04, 0x07, 2, 1, 5);                            // DIV SDIV MOD SMOD
    set(0x08, 0x09, 3, 1, 8);                            // ADDMOD MULMOD
    set(0x0a, 0x0a, 2, 1, 10);                           // EXP
    set(0x0b, 0x0b, 2, 1, 5);                            // SIGNEXTEND
    set(0x10, 0x14, 2, 1, 3);                            // LT GT SLT SGT EQ
    set(0x15, 0x15, 1, 1, 3);                            // ISZERO
    set(0x16, 0x18, 2, 1, 3);                            // AND OR XOR
    set(0x19, 0x19, 1, 1, 3);                            // NOT
    set(0x1a, 0x1a, 2, 1, 3);                            // BYTE
    set(0x1b, 0x1d, 2, 1, 3, Revision::constantinople);  // SHL SHR SAR
    set(0x1e, 0x1e, 1, 1, 5, Revision::osaka);           // CLZ
    set(0x20, 0x20, 2, 1, 30);                           // KECCAK256
    set(0x30, 0x30, 0, 1, 2);                            // ADDRESS
    set(0x31, 0x31, 1, 1, 0);                            // BALANCE
    set(0x32, 0x34, 0, 1, 2);                            // ORIGIN CALLER CALLVALUE
    set(0x35, 0x35, 1, 1, 3);                            // CALLDATALOAD
    set(0x36, 0x36, 0, 1, 2);                            // CALLDATASIZE
    set(0x37, 0x37, 3, 0, 3);                            // CALLDATACOPY
    set(0x38, 0x38, 0, 1, 2);                            // CODESIZE
    set(0x39, 0x39, 3, 0, 3);                            // CODECOPY
    set(0x3a, 0x3a, 0, 1, 2);                            // GASPRICE
    set(0x3b, 0x3b, 1, 1, 0);                            // EXTCODESIZE
    set(0x3c, 0x3c, 4, 0, 0);                            // EXTCODECOPY
    set(0x3d, 0x3d, 0, 1, 2, Revision::byzantium);       // RETURNDATASIZE
    set(0x3e, 0x3e, 3, 0, 3, Revision::byzantium);       // RETURNDATACOPY
    set(0x3f, 0x3f, 1, 1, 0, Revision::constantinople);  // EXTCODEHASH
    set(0x40, 0x40, 1, 1, 20);                           // BLOCKHASH
    set(0x41, 0x45, 0, 1, 2);                      // COINBASE TIMESTAMP NUMBER PREVRANDAO GASLIMIT
    set(0x46, 0x46, 0, 1, 2, Revision::istanbul);  // CHAINID
    set(0x47, 0x47, 0, 1, 5, Revision::istanbul);  // SELFBALANCE
    set(0x48, 0x48, 0, 1, 2, Revision::london);    // BASEFEE
    set(0x49, 0x49, 1, 1, 3, Revision::cancun);    // BLOBHASH
    set(0x4a, 0x4a, 0, 1, 2, Revision::cancun);    // BLOBBASEFEE
    set(0x50, 0x50, 1, 0, 2);                      // POP
    set(0x51, 0x51, 1, 1, 3);                      // MLOAD
    set(0x52, 0x53, 2, 0, 3);                      // MSTORE MSTORE8
    set(0x54, 0x54, 1, 1, 0);                      // SLOAD
    set(0x55, 0x55, 2, 0, 0);                      // SSTORE
    set(0x56, 0x56, 1, 0, 8);                      // JUMP
    set(0x57, 0x57, 2, 0, 10);                     // JUMPI
    set(0x58, 0x5a, 0, 1, 2);                      // PC MSIZE GAS
    set(0x5b, 0x5b, 0, 0, 1);                      // JUMPDEST
    set(0x5c, 0x5c, 1, 1, 100, Revision::cancun);  // TLOAD
    set(0x5d, 0x5d, 2, 0, 100, Revision::cancun);  // TSTORE
    set(0x5e, 0x5e, 3, 0, 3, Revision::cancun);    // MCOPY
    set(0x5f, 0x5f, 0, 1, 2, Revision::shanghai);  // PUSH0
    set(0x60, 0x7f, 0, 1, 3);                      // PUSH1 to PUSH32
    for (unsigned n = 1; n <= 16; ++n) {
        set(0x7f + n, 0x7f + n, n, n + 1, 3);      // DUPn
        set(0x8f + n, 0x8f + n, n + 1, n + 1, 3);  // SWAPn
    }
    for (unsigned n = 0; n <= 4; ++n) { set(0xa0 + n, 0xa0 + n, n + 2, 0, 375 * (n + 1)); }
    set(0xf0, 0xf0, 3, 1, 32000);                            // CREATE
    set(0xf1, 0xf2, 7, 1, 0);                                // CALL CALLCODE
    set(0xf3, 0xf3, 2, 0, 0);                                // RETURN
    set(0xf4, 0xf4, 6, 1, 0, Revision::homestead);           // DELEGATECALL
    set(0xf5, 0xf5, 4, 1, 32000, Revision::constantinople);  // CREATE2
    set(0xfa, 0xfa, 6, 1, 0, Revision::byzantium);           // STATICCALL
    set(0xfd, 0xfd, 2, 0, 0, Revision::byzantium);           // REVERT
    set(0xfe, 0xfe, 0, 0, 0);                                // INVALID
    set(0xff, 0xff, 1, 0, 0);                                // SELFDESTRUCT
    return t;
}

/// A running frame.
class Frame {
public:
    Frame(NaiveEvm& evm, const NaiveMessage& message, const Bytes& code)
        : evm_(evm), state_(evm.state()), message_(message), code_(code), gas_(message.gas) {
        for (size_t i = 0; i < code.size(); ++i) {
            if (code[i] == 0x5b) { jump_destinations_.insert(i); }
            if (code[i] >= 0x60 && code[i] <= 0x7f && !evm.has_fault(Fault::jump_into_push_data)) {
                i += code[i] - 0x5fu;
            }
        }
    }

    NaiveResult run() {
        try {
            while (!ended_) { step(); }
            return {status_, gas_, output_};
        } catch (const Failure& failure) {
            settle_cost();
            return {failure.status, 0, {}};
        }
    }

private:
    void step() {
        static const std::array<Instruction, 256> instructions = make_instructions();
        const uint8_t opcode = pc_ < code_.size() ? code_[pc_] : 0;
        if (evm_.on_step) {
            evm_.on_step(
                {message_.depth, pc_, opcode, gas_, stack_, memory_.size(), state_.refund});
        }
        cost_ = 0;
        cost_settled_ = false;
        const Instruction& i = instructions[opcode];
        if (!i.defined || !evm_.at_least(i.since)) { fail(Status::undefined_instruction); }
        if (evm_.has_fault(Fault::underflow_after_gas) && gas_ < i.gas) {
            fail(Status::out_of_gas);
        }
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

    /// The running instruction has been charged in full, or has failed.
    void settle_cost() {
        if (!cost_settled_ && evm_.on_cost) { evm_.on_cost(cost_); }
        cost_settled_ = true;
    }

    void perform(uint8_t opcode) {
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

    // --- Stack, gas, memory ---

    [[noreturn]] static void fail(Status status) { throw Failure{status}; }
    void charge(const Word& amount) {
        cost_ += amount;
        if (gas_ < amount) { fail(Status::out_of_gas); }
        gas_ -= amount;
    }
    Word pop() {
        Word w = stack_.back();
        stack_.pop_back();
        return w;
    }
    void push(const Word& w) { stack_.push_back(w); }
    void end(Status status) {
        ended_ = true;
        status_ = status;
    }

    Word memory_price(const Word& words) const {
        return 3 * words + words * words / (evm_.has_fault(Fault::memory_divisor) ? 513 : 512);
    }
    void expand(const Word& offset, const Word& size) {
        if (size == 0) { return; }
        const Word bytes = offset + size;
        const Word words = ceil_div(bytes, 32);
        const Word had = memory_.size() / 32;
        if (bytes > highest_byte_) { highest_byte_ = bytes; }
        if (words <= had) { return; }
        charge(memory_price(words) - memory_price(had));
        memory_.resize(words.get_ui() * 32);
    }
    void charge_per_word(unsigned price, const Word& size) {
        charge(price *
               (evm_.has_fault(Fault::copy_gas_floor) ? Word{size / 32} : ceil_div(size, 32)));
    }
    /// Memory that expand() has made.
    Bytes read_memory(const Word& offset, const Word& size) const {
        if (size == 0) { return {}; }
        const auto begin = memory_.begin() + static_cast<ptrdiff_t>(offset.get_ui());
        return Bytes(begin, begin + static_cast<ptrdiff_t>(size.get_ui()));
    }
    void write_memory(const Word& offset, const Bytes& data) {
        for (size_t i = 0; i < data.size(); ++i) { memory_[offset.get_ui() + i] = data[i]; }
    }
    /// `size` bytes of `data` from `offset`, zeros beyond its end.
    static Bytes padded(const Bytes& data, const Word& offset, const Word& size) {
        Bytes out(size.get_ui());
        for (size_t i = 0; i < out.size(); ++i) {
            const Word at = offset + static_cast<unsigned long>(i);
            out[i] = at < data.size() ? data[at.get_ui()] : 0;
        }
        return out;
    }

    // --- State ---

    Revision revision() const { return evm_.context().revision; }
    bool at_least(Revision r) const { return evm_.at_least(r); }
    bool exists(const Address& a) const { return state_.accounts.contains(a); }
    bool is_dead(const Address& a) const { return !exists(a) || state_.accounts.at(a).is_empty(); }
    Word balance_of(const Address& a) const {
        return exists(a) ? state_.accounts.at(a).balance : Word{};
    }
    Bytes code_of(const Address& a) const {
        return exists(a) ? state_.accounts.at(a).code : Bytes{};
    }
    void charge_account_access(const Address& a, unsigned before_berlin) {
        if (!at_least(Revision::berlin)) { return charge(before_berlin); }
        charge(evm_.warm(a) ? 2600 : 100);
    }
    void require_not_static() const {
        if (message_.is_static) { fail(Status::static_mode_violation); }
    }

    // --- 0x01 to 0x0b ---

    void arithmetic(uint8_t opcode) {
        if (opcode == 0x00) { return end(Status::success); }
        const Word a = pop();
        const Word b = pop();
        Word r;
        switch (opcode) {
            case 0x01: r = a + b; break;
            case 0x02: r = a * b; break;
            case 0x03: r = a - b; break;
            case 0x04: r = b == 0 ? Word{} : Word{a / b}; break;
            case 0x05: r = b == 0 ? Word{} : Word{as_signed(a) / as_signed(b)}; break;
            case 0x06: r = b == 0 ? Word{} : Word{a % b}; break;
            case 0x07: r = b == 0 ? Word{} : Word{as_signed(a) % as_signed(b)}; break;
            case 0x08:
            case 0x09: {
                const Word m = pop();
                Word x = opcode == 0x08 ? Word{a + b} : Word{a * b};
                if (opcode == 0x08 && evm_.has_fault(Fault::add_mod_wraps)) { x = wrap(x); }
                r = m == 0 ? Word{} : Word{x % m};
                break;
            }
            case 0x0a: {
                const size_t bits = b == 0 ? 0 : mpz_sizeinbase(b.get_mpz_t(), 2);
                const size_t bytes = evm_.has_fault(Fault::exponent_gas) ? bits : (bits + 7) / 8;
                charge((at_least(Revision::spurious_dragon) ? 50u : 10u) * Word{bytes});
                mpz_powm(r.get_mpz_t(), a.get_mpz_t(), b.get_mpz_t(), two_256.get_mpz_t());
                break;
            }
            default: r = sign_extended(a, b); break;
        }
        if (opcode == 0x05 && evm_.has_fault(Fault::signed_division_minimum) && r == two_255) {
            r = two_255 - 1;
        }
        if (opcode == 0x07 && evm_.has_fault(Fault::signed_remainder_sign) && as_signed(b) < 0) {
            r = -r;
        }
        push(wrap(r));
    }

    Word sign_extended(const Word& index, const Word& x) const {
        if (index == 31 && evm_.has_fault(Fault::sign_extend_limit)) { return 0; }
        if (index >= 31) { return x; }
        const unsigned long bits = 8 * index.get_ui() + 8;
        Word low;
        mpz_fdiv_r_2exp(low.get_mpz_t(), x.get_mpz_t(), bits);
        return mpz_tstbit(low.get_mpz_t(), bits - 1) != 0 ? Word{low - (Word{1} << bits)} : low;
    }

    // --- 0x10 to 0x1e ---

    void comparison_or_bits(uint8_t opcode) {
        const Word a = pop();
        if (opcode == 0x15) { return push(flag(a == 0)); }
        if (opcode == 0x19) { return push(two_256 - 1 - a); }
        if (opcode == 0x1e) {
            if (a == 0) { return push(evm_.has_fault(Fault::leading_zeros) ? 255 : 256); }
            return push(Word{256 - mpz_sizeinbase(a.get_mpz_t(), 2)});
        }
        const Word b = pop();
        switch (opcode) {
            case 0x10: return push(flag(a < b));
            case 0x11: return push(flag(a > b));
            case 0x12: return push(flag(as_signed(a) < as_signed(b)));
            case 0x13: return push(flag(as_signed(a) > as_signed(b)));
            case 0x14: return push(flag(a == b));
            case 0x16: return push(a & b);
            case 0x17: return push(a | b);
            case 0x18: return push(a ^ b);
            case 0x1a: return push(a < 32 ? Word{(b >> (8 * (31 - a.get_ui()))) & 0xff} : Word{});
            case 0x1b: return push(a < 256 ? wrap(b << a.get_ui()) : Word{});
            case 0x1c: return push(a < 256 ? Word{b >> a.get_ui()} : Word{});
            default: return push(wrap(shifted_arithmetically(a, as_signed(b))));
        }
    }

    Word shifted_arithmetically(const Word& count, const Word& x) const {
        Word r;
        if (count >= 256) {
            r = x < 0 && !evm_.has_fault(Fault::shift_limit) ? -1 : 0;
        } else {
            mpz_fdiv_q_2exp(r.get_mpz_t(), x.get_mpz_t(), count.get_ui());
        }
        return r;
    }

    // --- 0x20 to 0x3f ---

    void environment(uint8_t opcode) {
        switch (opcode) {
            case 0x20: {
                const Word offset = pop();
                const Word size = pop();
                expand(offset, size);
                charge_per_word(6, size);
                return push(word_from(kernels::keccak256(read_memory(offset, size))));
            }
            case 0x30: return push(word_from(message_.recipient));
            case 0x31: {
                const Address a = address_from(pop());
                charge_account_access(a, at_least(Revision::istanbul)            ? 700
                                         : at_least(Revision::tangerine_whistle) ? 400
                                                                                 : 20);
                return push(balance_of(a));
            }
            case 0x32: return push(word_from(evm_.context().origin));
            case 0x33: return push(word_from(message_.sender));
            case 0x34: return push(message_.value);
            case 0x35: {
                const Word offset = pop();
                return push(from_bytes(padded(message_.input, offset, 32)));
            }
            case 0x36: return push(Word{message_.input.size()});
            case 0x37: return copy_to_memory(message_.input);
            case 0x38: return push(Word{code_.size()});
            case 0x39: return copy_to_memory(code_);
            case 0x3a: return push(evm_.context().gas_price);
            case 0x3b: {
                const Address a = address_from(pop());
                charge_account_access(a, at_least(Revision::tangerine_whistle) ? 700 : 20);
                return push(Word{code_of(a).size()});
            }
            case 0x3c: return external_code_copy();
            case 0x3d: return push(Word{return_data_.size()});
            case 0x3e: return return_data_copy();
            default: {
                const Address a = address_from(pop());
                charge_account_access(a, at_least(Revision::istanbul) ? 700 : 400);
                return push(is_dead(a) ? Word{} : word_from(kernels::keccak256(code_of(a))));
            }
        }
    }

    void copy_to_memory(const Bytes& from) {
        const Word to = pop();
        const Word offset = pop();
        const Word size = pop();
        expand(to, size);
        charge_per_word(3, size);
        write_memory(to, padded(from, offset, size));
    }
    void external_code_copy() {
        const Address a = address_from(pop());
        const Word to = pop();
        const Word offset = pop();
        const Word size = pop();
        expand(to, size);
        charge_per_word(3, size);
        charge_account_access(a, at_least(Revision::tangerine_whistle) ? 700 : 20);
        write_memory(to, padded(code_of(a), offset, size));
    }
    void return_data_copy() {
        const Word to = pop();
        const Word offset = pop();
        const Word size = pop();
        expand(to, size);
        const unsigned slack = evm_.has_fault(Fault::return_data_bound) ? 1 : 0;
        if (offset + size > Word{return_data_.size()} + slack) {
            fail(Status::return_data_out_of_bounds);
        }
        charge_per_word(3, size);
        write_memory(to, padded(return_data_, offset, size));
    }

    // --- 0x40 to 0x4a ---

    void block_information(uint8_t opcode) {
        const NaiveContext& c = evm_.context();
        switch (opcode) {
            case 0x40: {
                const Word number = pop();
                const Word current{c.block.number};
                if (number >= current || current - number > 256) { return push(0); }
                const auto it = c.block_hashes.find(number.get_ui());
                return push(it == c.block_hashes.end() ? Word{} : word_from(it->second));
            }
            case 0x41: return push(word_from(c.block.coinbase));
            case 0x42: return push(Word{c.block.timestamp});
            case 0x43: return push(Word{c.block.number});
            case 0x44:
                return push(at_least(Revision::paris) ? word_from(c.block.prev_randao)
                                                      : to_word(c.block.difficulty));
            case 0x45: return push(Word{c.block.gas_limit});
            case 0x46: return push(Word{c.chain_id});
            case 0x47: return push(balance_of(message_.recipient));
            case 0x48: return push(to_word(c.block.base_fee_per_gas));
            case 0x49: {
                const Word index = pop();
                return push(index < c.blob_hashes.size() ? word_from(c.blob_hashes[index.get_ui()])
                                                         : Word{});
            }
            default: return push(to_word(c.block.blob_base_fee));
        }
    }

    // --- 0x50 to 0x7f ---

    void memory_storage_flow(uint8_t opcode) {
        switch (opcode) {
            case 0x50: pop(); return;
            case 0x51: {
                const Word offset = pop();
                expand(offset, 32);
                return push(from_bytes(read_memory(offset, 32)));
            }
            case 0x52:
            case 0x53: {
                const Word offset = pop();
                const Word value = pop();
                const size_t size = opcode == 0x52 ? 32 : 1;
                expand(offset, Word{size});
                return write_memory(offset, to_bytes(value, size));
            }
            case 0x54: return load_storage();
            case 0x55: return store_storage();
            case 0x56: return jump(pop());
            case 0x57: {
                const Word target = pop();
                const Word condition = pop();
                if (condition != 0) { jump(target); }
                return;
            }
            case 0x58: return push(Word{pc_});
            case 0x59:
                return push(evm_.has_fault(Fault::memory_size_bytes) ? highest_byte_
                                                                     : Word{memory_.size()});
            case 0x5a: return push(gas_);
            case 0x5b: return;
            case 0x5c: {
                const auto it = state_.transient.find({message_.recipient, pop()});
                return push(it == state_.transient.end() ? Word{} : it->second);
            }
            case 0x5d: {
                require_not_static();
                const Word key = pop();
                state_.transient[{message_.recipient, key}] = pop();
                return;
            }
            case 0x5e: {
                const Word to = pop();
                const Word from = pop();
                const Word size = pop();
                expand(to > from ? to : from, size);
                charge_per_word(3, size);
                return write_memory(to, read_memory(from, size));
            }
            default: return push(0);
        }
    }

    void jump(const Word& target) {
        if (target >= code_.size() || !jump_destinations_.contains(target.get_ui())) {
            fail(Status::bad_jump_destination);
        }
        next_ = target.get_ui();
    }
    void push_immediate(unsigned size) { push(from_bytes(padded(code_, Word{pc_ + 1}, size))); }

    static Word slot_of(const std::map<Address, NaiveAccount>& accounts, const Address& a,
                        const Word& key) {
        const auto account = accounts.find(a);
        if (account == accounts.end()) { return 0; }
        const auto slot = account->second.storage.find(key);
        return slot == account->second.storage.end() ? Word{} : slot->second;
    }
    /// EIP-2929; true when the slot was cold.
    bool warm_slot(const Word& key) {
        return state_.warm_slots.insert({message_.recipient, key}).second;
    }

    void load_storage() {
        const Word key = pop();
        if (at_least(Revision::berlin)) {
            charge(warm_slot(key) ? 2100 : 100);
        } else {
            charge(at_least(Revision::istanbul)            ? 800
                   : at_least(Revision::tangerine_whistle) ? 200
                                                           : 50);
        }
        push(slot_of(state_.accounts, message_.recipient, key));
    }

    void store_storage() {
        require_not_static();
        const unsigned sentry = evm_.has_fault(Fault::sstore_sentry) ? 2299 : 2300;
        if (at_least(Revision::istanbul) && gas_ <= sentry) { fail(Status::out_of_gas); }
        const Word key = pop();
        const Word value = pop();
        if (at_least(Revision::berlin) && warm_slot(key)) { charge(2100); }
        const Word current = slot_of(state_.accounts, message_.recipient, key);
        if (at_least(Revision::istanbul) || revision() == Revision::constantinople) {
            charge_net_metered(slot_of(evm_.original(), message_.recipient, key), current, value);
        } else {
            charge(current == 0 && value != 0 ? 20000 : 5000);
            if (current != 0 && value == 0) { state_.refund += 15000; }
        }
        auto& storage = state_.accounts[message_.recipient].storage;
        if (value == 0) {
            storage.erase(key);
        } else {
            storage[key] = value;
        }
    }

    /// EIP-1283, EIP-2200, EIP-2929 and EIP-3529 in the words of EIP-2200.
    void charge_net_metered(const Word& original, const Word& current, const Word& value) {
        const bool berlin = at_least(Revision::berlin);
        const int load = berlin ? 100 : at_least(Revision::istanbul) ? 800 : 200;
        const int reset = berlin ? 2900 : 5000;
        int clears = at_least(Revision::london) ? 4800 : 15000;
        if (evm_.has_fault(Fault::clear_refund)) { ++clears; }
        if (current == value) { return charge(load); }
        if (original == current) {
            if (original == 0) { return charge(20000); }
            charge(reset);
            if (value == 0) { state_.refund += clears; }
            return;
        }
        charge(load);
        if (original != 0) {
            if (current == 0) { state_.refund -= clears; }
            if (value == 0) { state_.refund += clears; }
        }
        if (original == value) { state_.refund += (original == 0 ? 20000 : reset) - load; }
    }

    // --- 0xa0 to 0xff ---

    void log(unsigned topics) {
        require_not_static();
        const Word offset = pop();
        const Word size = pop();
        expand(offset, size);
        charge(8 * size);
        Log entry;
        entry.address = message_.recipient;
        entry.data = read_memory(offset, size);
        for (unsigned i = 0; i < topics; ++i) {
            entry.topics.push_back(Hash256::from(to_bytes(pop(), 32)));
        }
        state_.logs.push_back(entry);
    }

    void system(uint8_t opcode) {
        switch (opcode) {
            case 0xf0: return create(CallKind::create);
            case 0xf1: return call(CallKind::call);
            case 0xf2: return call(CallKind::callcode);
            case 0xf4: return call(CallKind::delegatecall);
            case 0xf5: return create(CallKind::create2);
            case 0xfa: return call(CallKind::staticcall);
            case 0xf3:
            case 0xfd: {
                const Word offset = pop();
                const Word size = pop();
                expand(offset, size);
                output_ = read_memory(offset, size);
                return end(opcode == 0xf3 ? Status::success : Status::revert);
            }
            case 0xfe: fail(Status::invalid_instruction);
            default: return self_destruct();
        }
    }

    Word all_but_one_64th() const {
        if (evm_.has_fault(Fault::call_gas_rounding)) { return gas_ * 63 / 64; }
        return gas_ - gas_ / 64;
    }

    void call(CallKind kind) {
        const bool has_value = kind == CallKind::call || kind == CallKind::callcode;
        const Word requested = pop();
        const Address target = address_from(pop());
        const Word value = has_value ? pop() : Word{};
        const Word input_offset = pop();
        const Word input_size = pop();
        const Word output_offset = pop();
        const Word output_size = pop();
        if (kind == CallKind::call && value != 0) { require_not_static(); }

        charge_account_access(target, at_least(Revision::tangerine_whistle) ? 700 : 40);
        expand(input_offset, input_size);
        expand(output_offset, output_size);
        if (value != 0) { charge(9000); }
        NaiveMessage m;
        m.code_address = target;
        if (at_least(Revision::prague)) {
            Address delegate;
            if (naive_delegation(code_of(target), delegate) != nullptr) {
                const bool cold = evm_.warm(delegate);
                charge(cold && !evm_.has_fault(Fault::delegation_gas) ? 2600 : 100);
                m.code_address = delegate;
                m.delegated = true;
            }
        }
        if (kind == CallKind::call) {
            const bool pays = at_least(Revision::spurious_dragon) ? value != 0 && is_dead(target)
                                                                  : !exists(target);
            if (pays) { charge(25000); }
        }

        m.gas = requested;
        if (at_least(Revision::tangerine_whistle) && m.gas > all_but_one_64th()) {
            m.gas = all_but_one_64th();
        }
        if (evm_.has_fault(Fault::call_price)) { settle_cost(); }
        charge(m.gas);
        settle_cost();
        if (value != 0) { m.gas += evm_.has_fault(Fault::stipend) ? 2299 : 2300; }

        m.kind = kind;
        m.is_static = message_.is_static || kind == CallKind::staticcall;
        m.depth = message_.depth + 1;
        const bool keeps_self = kind == CallKind::callcode || kind == CallKind::delegatecall;
        m.recipient = keeps_self ? message_.recipient : target;
        m.sender = kind == CallKind::delegatecall ? message_.sender : message_.recipient;
        m.value = kind == CallKind::delegatecall ? message_.value : value;
        m.input = read_memory(input_offset, input_size);

        return_data_.clear();
        if (message_.depth + 1 > static_cast<int>(depth_max) ||
            value > balance_of(message_.recipient)) {
            gas_ += m.gas;
            return push(0);
        }
        const NaiveResult r = evm_.run(m);
        gas_ += r.gas_left;
        return_data_ = r.output;
        Bytes seen = r.output;
        if (output_size < seen.size()) { seen.resize(output_size.get_ui()); }
        write_memory(output_offset, seen);
        push(flag(r.status == Status::success));
    }

    void create(CallKind kind) {
        require_not_static();
        const Word value = pop();
        const Word offset = pop();
        const Word size = pop();
        const Word salt = kind == CallKind::create2 ? pop() : Word{};
        expand(offset, size);
        if (at_least(Revision::shanghai)) {
            if (size > 49152) { fail(Status::initcode_size_exceeded); }
        }
        Word per_word = at_least(Revision::shanghai) ? 2 : 0;
        if (kind == CallKind::create2) { per_word += 6; }
        charge(per_word * ceil_div(size, 32));
        if (!evm_.has_fault(Fault::creation_price)) { settle_cost(); }

        if (!evm_.has_fault(Fault::return_data_kept)) { return_data_.clear(); }
        NaiveAccount& self = state_.accounts[message_.recipient];
        if (message_.depth + 1 > static_cast<int>(depth_max) || self.nonce == nonce_max ||
            value > self.balance) {
            return push(0);
        }
        NaiveMessage m;
        m.kind = kind;
        m.depth = message_.depth + 1;
        m.sender = message_.recipient;
        m.value = value;
        m.input = read_memory(offset, size);
        m.recipient = kind == CallKind::create2 ? naive_create2_address(m.sender, salt, m.input)
                                                : naive_create_address(m.sender, self.nonce);
        m.gas = at_least(Revision::tangerine_whistle) ? all_but_one_64th() : gas_;
        charge(m.gas);
        self.nonce += 1;
        const NaiveResult r = evm_.run(m);
        if (r.status == Status::address_collision && evm_.has_fault(Fault::create_nonce)) {
            state_.accounts[message_.recipient].nonce -= 1;
        }
        gas_ += r.gas_left;
        if (r.status == Status::success) { return push(word_from(m.recipient)); }
        return_data_ = r.output;
        push(0);
    }

    void self_destruct() {
        require_not_static();
        const Address beneficiary = address_from(pop());
        const Address self = message_.recipient;
        if (at_least(Revision::tangerine_whistle)) { charge(5000); }
        if (at_least(Revision::berlin) && evm_.warm(beneficiary)) { charge(2600); }
        const Word amount = balance_of(self);
        if (at_least(Revision::spurious_dragon)) {
            if (amount != 0 && is_dead(beneficiary)) { charge(25000); }
        } else if (at_least(Revision::tangerine_whistle) && !exists(beneficiary)) {
            charge(25000);
        }
        const bool removes = !at_least(Revision::cancun) || state_.created.contains(self) ||
                             evm_.has_fault(Fault::destroy_existing);
        state_.accounts[self].balance -= amount;
        state_.accounts[beneficiary].balance += amount;
        if (removes) {
            if (beneficiary == self) { state_.accounts[self].balance = 0; }
            if (state_.destroyed.insert(self).second && !at_least(Revision::london)) {
                state_.refund += 24000;
            }
        }
        end(Status::success);
    }

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

}  // namespace

Word to_word(const U256& v) {
    Word w;
    mpz_import(w.get_mpz_t(), 4, -1, 8, 0, 0, v.w);
    return w;
}

U256 to_u256(const Word& v) {
    U256 out;
    Word rest = wrap(v);
    for (uint64_t& limb : out.w) {
        limb = Word{rest & Word{~0ul}}.get_ui();
        rest >>= 64;
    }
    return out;
}

std::string_view to_string(Fault fault) {
    switch (fault) {
        case Fault::none: return "none";
        case Fault::call_gas_rounding: return "call_gas_rounding";
        case Fault::stipend: return "stipend";
        case Fault::clear_refund: return "clear_refund";
        case Fault::sstore_sentry: return "sstore_sentry";
        case Fault::cold_slot_kept: return "cold_slot_kept";
        case Fault::transient_kept: return "transient_kept";
        case Fault::log_kept: return "log_kept";
        case Fault::touch_kept: return "touch_kept";
        case Fault::exponent_gas: return "exponent_gas";
        case Fault::memory_divisor: return "memory_divisor";
        case Fault::memory_size_bytes: return "memory_size_bytes";
        case Fault::copy_gas_floor: return "copy_gas_floor";
        case Fault::jump_into_push_data: return "jump_into_push_data";
        case Fault::return_data_bound: return "return_data_bound";
        case Fault::return_data_kept: return "return_data_kept";
        case Fault::signed_division_minimum: return "signed_division_minimum";
        case Fault::signed_remainder_sign: return "signed_remainder_sign";
        case Fault::sign_extend_limit: return "sign_extend_limit";
        case Fault::add_mod_wraps: return "add_mod_wraps";
        case Fault::shift_limit: return "shift_limit";
        case Fault::leading_zeros: return "leading_zeros";
        case Fault::stack_limit: return "stack_limit";
        case Fault::underflow_after_gas: return "underflow_after_gas";
        case Fault::create_nonce: return "create_nonce";
        case Fault::code_prefix: return "code_prefix";
        case Fault::delegation_gas: return "delegation_gas";
        case Fault::destroy_existing: return "destroy_existing";
        case Fault::access_list_gas: return "access_list_gas";
        case Fault::floor_gas: return "floor_gas";
        case Fault::refund_quotient: return "refund_quotient";
        case Fault::call_price: return "call_price";
        case Fault::creation_price: return "creation_price";
        case Fault::last: break;
    }
    return "unknown";
}

const Address* naive_delegation(const Bytes& code, Address& target) {
    if (code.size() != 23 || code[0] != 0xef || code[1] != 0x01 || code[2] != 0x00) {
        return nullptr;
    }
    target = Address::from(ByteView{code}.subspan(3));
    return &target;
}

Address naive_create_address(const Address& sender, const Word& nonce) {
    // rlp([sender, nonce]): both are short, so every header is one byte.
    Bytes nonce_bytes = to_bytes(nonce, 8);
    while (!nonce_bytes.empty() && nonce_bytes.front() == 0) {
        nonce_bytes.erase(nonce_bytes.begin());
    }
    Bytes payload{0x94};
    payload.insert(payload.end(), sender.begin(), sender.end());
    if (nonce_bytes.size() != 1 || nonce_bytes[0] >= 0x80) {
        payload.push_back(static_cast<uint8_t>(0x80 + nonce_bytes.size()));
    }
    payload.insert(payload.end(), nonce_bytes.begin(), nonce_bytes.end());
    payload.insert(payload.begin(), static_cast<uint8_t>(0xc0 + payload.size()));
    return Address::from(kernels::keccak256(payload).view().subspan(12));
}

Address naive_create2_address(const Address& sender, const Word& salt, const Bytes& init_code) {
    Bytes preimage{0xff};
    preimage.insert(preimage.end(), sender.begin(), sender.end());
    const Bytes salt_bytes = to_bytes(salt, 32);
    preimage.insert(preimage.end(), salt_bytes.begin(), salt_bytes.end());
    const Hash256 code_hash = kernels::keccak256(init_code);
    preimage.insert(preimage.end(), code_hash.begin(), code_hash.end());
    return Address::from(kernels::keccak256(preimage).view().subspan(12));
}

bool NaiveEvm::warm(const Address& a) {
    return state_.warm_accounts.insert(a).second && !is_precompile(a);
}

NaiveResult NaiveEvm::run(const NaiveMessage& message) {
    const bool creates = message.kind == CallKind::create || message.kind == CallKind::create2;
    return creates ? run_create(message) : run_call(message);
}

NaiveResult NaiveEvm::run_code(const NaiveMessage& message, const Bytes& code) {
    if (code.empty()) { return {Status::success, message.gas, {}}; }
    return Frame{*this, message, code}.run();
}

void NaiveEvm::transfer(const Address& from, const Address& to, const Word& value) {
    if (value == 0) { return; }
    state_.accounts[from].balance -= value;
    state_.accounts[to].balance += value;
}

void NaiveEvm::revert_to(const NaiveState& snapshot) {
    NaiveState undone = state_;
    state_ = snapshot;
    if (has_fault(Fault::cold_slot_kept)) { state_.warm_slots = undone.warm_slots; }
    if (has_fault(Fault::transient_kept)) { state_.transient = undone.transient; }
    if (has_fault(Fault::log_kept)) { state_.logs = undone.logs; }
    if (has_fault(Fault::touch_kept)) {
        for (const auto& [address, account] : undone.accounts) { state_.accounts[address]; }
    }
}

NaiveResult NaiveEvm::run_call(const NaiveMessage& message) {
    const NaiveState snapshot = state_;
    if (message.kind == CallKind::call || message.kind == CallKind::staticcall) {
        state_.accounts[message.recipient];  // Touched: it exists from now on (before EIP-161).
        transfer(message.sender, message.recipient, message.value);
    }
    NaiveResult r;
    if (!message.delegated && is_precompile(message.code_address)) {
        const PrecompileOutcome p = context_.precompiles->run(
            message.code_address, message.input, message.gas.get_ui(), context_.revision);
        if (p.success) {
            r = {Status::success, message.gas - Word{p.gas_used}, p.output};
        } else {
            r = {Status::precompile_failure, 0, {}};
        }
    } else {
        const auto account = state_.accounts.find(message.code_address);
        // A copy: the account may change while its code runs.
        const Bytes code = account == state_.accounts.end() ? Bytes{} : account->second.code;
        r = run_code(message, code);
    }
    if (r.status != Status::success) { revert_to(snapshot); }
    return r;
}

NaiveResult NaiveEvm::run_create(const NaiveMessage& message) {
    if (at_least(Revision::berlin)) { warm(message.recipient); }
    if (const auto it = state_.accounts.find(message.recipient); it != state_.accounts.end()) {
        const NaiveAccount& a = it->second;
        if (a.nonce != 0 || !a.code.empty() || !a.storage.empty()) {
            return {Status::address_collision, 0, {}};
        }
    }
    const NaiveState snapshot = state_;
    state_.created.insert(message.recipient);
    state_.accounts[message.recipient].nonce = at_least(Revision::spurious_dragon) ? 1 : 0;
    transfer(message.sender, message.recipient, message.value);

    NaiveMessage m = message;
    m.input.clear();
    NaiveResult r = run_code(m, message.input);
    if (r.status == Status::success) {
        const Word price = 200 * Word{r.output.size()};
        const bool checks_prefix = at_least(Revision::london) && !has_fault(Fault::code_prefix);
        if (checks_prefix && !r.output.empty() && r.output[0] == 0xef) {
            r = {Status::code_starts_with_ef, 0, {}};
        } else if (at_least(Revision::spurious_dragon) && r.output.size() > 24576) {
            r = {Status::code_size_exceeded, 0, {}};
        } else if (r.gas_left >= price) {
            r.gas_left -= price;
            state_.accounts[message.recipient].code = r.output;
        } else if (at_least(Revision::homestead)) {
            r = {Status::out_of_gas, 0, {}};
        }
    }
    if (r.status == Status::success) {
        r.output.clear();
    } else {
        revert_to(snapshot);
    }
    return r;
}

}  // namespace millrace::evm::differential
