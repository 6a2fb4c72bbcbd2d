// SPDX-License-Identifier: Apache-2.0
// Owns the precompile MODEXP 0x05: lengths, the three price formulas, and the power itself.
#include <gmp.h>

#include "evm/precompiles/detail/contracts.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm::contracts {

namespace {

constexpr size_t header_bytes = 96;
/// EIP-7823: the longest operand from Osaka on.
constexpr uint64_t operand_bytes_max_osaka = 1024;
/// The longest modulus, and so result, that is computed at all. Under every formula a longer one
/// costs more than 10^12 gas, and no block has as much; refusing it here bounds the memory of a
/// call that is made with unlimited gas.
constexpr uint64_t modulus_bytes_max = uint64_t{1} << 24;

struct Lengths {
    uint64_t base;
    U256 exponent;
    uint64_t modulus;
};

/// GMP's integer, released on every way out.
class Integer {
public:
    Integer() noexcept { mpz_init(v_); }
    ~Integer() { mpz_clear(v_); }
    Integer(const Integer&) = delete;
    Integer& operator=(const Integer&) = delete;
    mpz_ptr get() noexcept { return v_; }

private:
    mpz_t v_;
};

/// The part of `input` that [offset, offset + length) covers; what lies beyond its end is zeros.
ByteView present_part(ByteView input, const U256& offset, const U256& length) noexcept {
    if (offset >= U256{input.size()}) { return {}; }
    const size_t begin = offset.low64();
    return input.subspan(begin, std::min<uint64_t>(length.saturate64(), input.size() - begin));
}

/// The position of the highest set bit of the exponent's first 32 bytes, 0 when they are zero.
/// A shorter exponent counts as itself.
uint64_t head_bit_index(ByteView exponent, const U256& length) noexcept {
    FixedBytes<32> head;
    const size_t head_bytes = std::min<uint64_t>(length.saturate64(), 32);
    std::copy_n(exponent.begin(), std::min(exponent.size(), head_bytes), head.bytes.begin());
    const U256 value = shr(load_be(head.data()), 8 * (32 - head_bytes));
    return value.is_zero() ? 0 : bit_length(value) - 1;
}

/// EIP-198, with its piecewise estimate of a multiplication's cost.
U256 price_byzantium(uint64_t longest, const U256& iterations) noexcept {
    const U256 x{longest};
    U256 complexity = x * x;
    if (longest > 1024) {
        complexity = shr(x * x, 4) + x * U256{480} - U256{199680};
    } else if (longest > 64) {
        complexity = shr(x * x, 2) + x * U256{96} - U256{3072};
    }
    return complexity * iterations / U256{20};
}

U256 price_berlin(uint64_t longest, const U256& iterations) noexcept {
    const U256 words{longest / 8 + (longest % 8 != 0 ? 1 : 0)};
    return std::max(words * words * iterations / U256{3}, U256{200});
}

U256 price_osaka(uint64_t longest, const U256& iterations) noexcept {
    const U256 words{longest / 8 + (longest % 8 != 0 ? 1 : 0)};
    const U256 complexity = longest <= 32 ? U256{16} : words * words * U256{2};
    return std::max(complexity * iterations, U256{500});
}

/// The exact price. Nothing wraps: a complexity is below 2^129, and an exponent is not longer than
/// 2^100, where every price above zero is already beyond any 64-bit gas.
U256 price_of(const Lengths& n, ByteView exponent, Revision revision) noexcept {
    const uint64_t longest = std::max(n.base, n.modulus);
    const uint64_t per_byte = revision >= Revision::osaka ? 16 : 8;
    U256 iterations{head_bit_index(exponent, n.exponent)};
    if (n.exponent > U256{32}) { iterations += (n.exponent - U256{32}) * U256{per_byte}; }
    iterations = std::max(iterations, U256{1});
    if (revision >= Revision::osaka) { return price_osaka(longest, iterations); }
    return revision >= Revision::berlin ? price_berlin(longest, iterations)
                                        : price_byzantium(longest, iterations);
}

/// base ^ exponent mod modulus as `n.modulus` big-endian bytes; zeros when the modulus is zero.
Bytes power(ByteView input, const Lengths& n) {
    Bytes output(n.modulus);
    const U256 modulus_at = U256{header_bytes} + U256{n.base} + n.exponent;
    const ByteView modulus_part = present_part(input, modulus_at, U256{n.modulus});
    if (modulus_part.empty()) { return output; }
    // A part of the modulus is there, so base and exponent, which come before it, are complete.
    const ByteView base_part = input.subspan(header_bytes, n.base);
    const ByteView exponent_part = input.subspan(header_bytes + n.base, n.exponent.low64());
    Integer modulus;
    mpz_import(modulus.get(), modulus_part.size(), 1, 1, 1, 0, modulus_part.data());
    mpz_mul_2exp(modulus.get(), modulus.get(), 8 * (n.modulus - modulus_part.size()));
    if (mpz_cmp_ui(modulus.get(), 1) <= 0) { return output; }
    Integer base;
    Integer exponent;
    mpz_import(base.get(), base_part.size(), 1, 1, 1, 0, base_part.data());
    mpz_import(exponent.get(), exponent_part.size(), 1, 1, 1, 0, exponent_part.data());
    mpz_powm(base.get(), base.get(), exponent.get(), modulus.get());
    if (mpz_sgn(base.get()) != 0) {
        const size_t bytes = (mpz_sizeinbase(base.get(), 2) + 7) / 8;
        mpz_export(output.data() + (output.size() - bytes), nullptr, 1, 1, 1, 0, base.get());
    }
    return output;
}

}  // namespace

PrecompileOutcome modexp(ByteView input, uint64_t gas, Revision revision) noexcept {
    const FixedBytes<header_bytes> header = padded<header_bytes>(input);
    const U256 base_length = load_be(header.data());
    const U256 exponent_length = load_be(header.data() + 32);
    const U256 modulus_length = load_be(header.data() + 64);
    if (revision >= Revision::osaka) {
        const U256 most{operand_bytes_max_osaka};
        if (base_length > most || exponent_length > most || modulus_length > most) {
            return failure();
        }
    }
    // A base of 2^64 bytes costs more than any gas.
    if (!base_length.fits_u64() || modulus_length > U256{modulus_bytes_max}) { return failure(); }
    const Lengths n{base_length.low64(), std::min(exponent_length, shl(U256{1}, 100)),
                    modulus_length.low64()};
    const ByteView exponent = present_part(input, U256{header_bytes} + U256{n.base}, n.exponent);
    const U256 price = price_of(n, exponent, revision);
    if (price > U256{gas}) { return failure(); }
    return success(price.low64(), power(input, n));
}

}  // namespace millrace::evm::contracts
