// SPDX-License-Identifier: Apache-2.0
// Owns how the tests call a precompile, build its input and check its price.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

#include "evm/precompiles/standard.hpp"
#include "host/base/hex.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm::test {

/// More gas than any call in these tests needs.
inline constexpr uint64_t plenty = 1'000'000'000'000;

inline Address precompile_address(unsigned number) {
    Address address;
    address[18] = static_cast<uint8_t>(number >> 8);
    address[19] = static_cast<uint8_t>(number);
    return address;
}

inline PrecompileOutcome call(unsigned number, ByteView input, Revision revision = latest_revision,
                              uint64_t gas = plenty) {
    return StandardPrecompiles{}.run(precompile_address(number), input, gas, revision);
}

inline Bytes bytes(std::string_view hex) { return from_hex(hex).value(); }
inline U256 number(std::string_view hex) { return u256_from_hex(hex).value(); }

inline Bytes word(const U256& v) {
    Bytes r(32);
    store_be(v, r.data());
    return r;
}

template <class... Parts>
Bytes join(const Parts&... parts) {
    Bytes r;
    (r.insert(r.end(), std::begin(parts), std::end(parts)), ...);
    return r;
}

/// The call succeeds with this output and price, also when given exactly the price, and fails with
/// one unit less.
inline void expect_result(unsigned precompile, const Bytes& input, const Bytes& output,
                          uint64_t price, Revision revision = latest_revision) {
    const PrecompileOutcome rich = call(precompile, input, revision);
    EXPECT_TRUE(rich.success);
    EXPECT_EQ(to_hex(output), to_hex(rich.output));
    EXPECT_EQ(price, rich.gas_used);
    const PrecompileOutcome exact = call(precompile, input, revision, price);
    EXPECT_TRUE(exact.success);
    EXPECT_EQ(to_hex(output), to_hex(exact.output));
    if (price > 0) { EXPECT_FALSE(call(precompile, input, revision, price - 1).success); }
}

inline void expect_failure(unsigned precompile, const Bytes& input,
                           Revision revision = latest_revision) {
    const PrecompileOutcome outcome = call(precompile, input, revision);
    EXPECT_FALSE(outcome.success);
    EXPECT_EQ(0u, outcome.gas_used);
    EXPECT_TRUE(outcome.output.empty());
}

/// Random values from a fixed seed, which a failure prints through SCOPED_TRACE(random.text()).
class Random {
public:
    explicit Random(uint64_t seed) : seed_(seed), engine_(seed) {}

    std::string text() const { return "seed " + std::to_string(seed_); }
    uint64_t operator()() { return engine_(); }
    uint64_t below(uint64_t bound) { return engine_() % bound; }
    U256 u256() { return {engine_(), engine_(), engine_(), engine_()}; }
    /// Often near zero, near 2^256 or with long runs of equal bits.
    U256 edgy_u256() {
        switch (below(4)) {
            case 0: return U256{below(8)};
            case 1: return U256::max() - U256{below(8)};
            case 2: return shl(U256{1}, below(256)) - U256{below(2)};
            default: return u256();
        }
    }
    Bytes bytes(size_t count) {
        Bytes r(count);
        for (uint8_t& b : r) { b = static_cast<uint8_t>(engine_()); }
        return r;
    }

private:
    uint64_t seed_;
    std::mt19937_64 engine_;
};

}  // namespace millrace::evm::test
