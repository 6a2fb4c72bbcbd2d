// SPDX-License-Identifier: Apache-2.0
// Owns the naive instructions 0x01 to 0x1e: arithmetic, comparison, bits.
#include "tests/evm/differential/naive_frame.hpp"
#include "tests/evm/differential/naive_words.hpp"

namespace millrace::evm::differential {

void NaiveFrame::arithmetic(uint8_t opcode) {
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

Word NaiveFrame::sign_extended(const Word& index, const Word& x) const {
    if (index == 31 && evm_.has_fault(Fault::sign_extend_limit)) { return 0; }
    if (index >= 31) { return x; }
    const unsigned long bits = 8 * index.get_ui() + 8;
    Word low;
    mpz_fdiv_r_2exp(low.get_mpz_t(), x.get_mpz_t(), bits);
    return mpz_tstbit(low.get_mpz_t(), bits - 1) != 0 ? Word{low - (Word{1} << bits)} : low;
}

void NaiveFrame::comparison_or_bits(uint8_t opcode) {
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

Word NaiveFrame::shifted_arithmetically(const Word& count, const Word& x) const {
    Word r;
    if (count >= 256) {
        r = x < 0 && !evm_.has_fault(Fault::shift_limit) ? -1 : 0;
    } else {
        mpz_fdiv_q_2exp(r.get_mpz_t(), x.get_mpz_t(), count.get_ui());
    }
    return r;
}

}  // namespace millrace::evm::differential
