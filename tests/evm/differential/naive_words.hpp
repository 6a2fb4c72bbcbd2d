// SPDX-License-Identifier: Apache-2.0
// Owns what the naive implementation does with numbers besides arithmetic: bytes, signs, wrapping.
#pragma once

#include "tests/evm/differential/naive_evm.hpp"

namespace millrace::evm::differential {

inline const Word two_256 = Word{1} << 256;
inline const Word two_255 = Word{1} << 255;
inline const Word nonce_max = (Word{1} << 64) - 1;
inline constexpr size_t depth_max = 1024;

inline Word from_bytes(ByteView bytes) {
    Word w;
    mpz_import(w.get_mpz_t(), bytes.size(), 1, 1, 1, 0, bytes.data());
    return w;
}

/// The `size` low bytes, big-endian.
inline Bytes to_bytes(const Word& w, size_t size) {
    Bytes out(size);
    Word rest = w;
    for (size_t i = size; i-- > 0;) {
        out[i] = static_cast<uint8_t>(Word{rest & 0xff}.get_ui());
        rest >>= 8;
    }
    return out;
}

inline Address address_from(const Word& w) { return Address::from(to_bytes(w, 20)); }
inline Word word_from(const Address& a) { return from_bytes(a.view()); }
inline Word word_from(const Hash256& h) { return from_bytes(h.view()); }

inline Word wrap(const Word& w) {
    Word r;
    mpz_fdiv_r_2exp(r.get_mpz_t(), w.get_mpz_t(), 256);
    return r;
}
inline Word as_signed(const Word& w) { return w >= two_255 ? Word{w - two_256} : w; }
inline Word ceil_div(const Word& a, unsigned long b) { return (a + (b - 1)) / b; }
inline Word flag(bool b) { return b ? 1 : 0; }

}  // namespace millrace::evm::differential
