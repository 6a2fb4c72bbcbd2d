// SPDX-License-Identifier: Apache-2.0
// Owns how an oracle's answer is compared with the contract's.
#include "tests/evm/precompiles/oracles/oracles.hpp"

#include "evm/precompiles/standard.hpp"
#include "host/base/hex.hpp"

namespace millrace::evm::oracles {

namespace {

Address address_of(unsigned contract) {
    Address address;
    address[18] = static_cast<uint8_t>(contract >> 8);
    address[19] = static_cast<uint8_t>(contract);
    return address;
}

PrecompileOutcome call(unsigned contract, const Bytes& input, uint64_t gas, Revision revision) {
    return StandardPrecompiles{}.run(address_of(contract), input, gas, revision);
}

std::string describe(bool success, uint64_t price, const Bytes& output) {
    return success ? to_hex(output) + " for " + std::to_string(price) : "failure";
}

}  // namespace

void Findings::require(bool condition, std::string_view what) {
    if (!condition && first_.empty()) { first_ = what; }
}

void Findings::compare(unsigned contract, const Bytes& input, Revision revision,
                       const Answer& expected, uint64_t gas) {
    if (!first_.empty()) { return; }
    ++(expected.success && !expected.output.empty() ? answered_ : refused_);
    const bool affordable = expected.success && expected.price <= gas;
    const PrecompileOutcome got = call(contract, input, gas, revision);
    const bool same =
        affordable ? got.success && got.gas_used == expected.price && got.output == expected.output
                   : !got.success && got.gas_used == 0 && got.output.empty();
    if (!same) {
        first_ = "contract " + std::to_string(contract) + " at " +
                 std::string(to_string(revision)) + " with " + to_hex(input) + ": " +
                 describe(got.success, got.gas_used, got.output) + ", expected " +
                 describe(affordable, expected.price, expected.output);
        return;
    }
    if (!affordable) { return; }
    const PrecompileOutcome exact = call(contract, input, expected.price, revision);
    require(exact.success && exact.gas_used == expected.price && exact.output == expected.output,
            "exactly the price does not suffice");
    if (expected.price > 0) {
        require(!call(contract, input, expected.price - 1, revision).success,
                "less than the price suffices");
    }
}

Bytes output_of(unsigned contract, const Bytes& input, Findings& findings) {
    PrecompileOutcome r = call(contract, input, Findings::gas_default, latest_revision);
    findings.require(r.success, "a made input is refused");
    return std::move(r.output);
}

Revision draw_revision(Choices& choices, Revision first) {
    return static_cast<Revision>(
        choices.between(static_cast<uint64_t>(first), static_cast<uint64_t>(latest_revision)));
}

Bytes draw_bytes(Choices& choices, size_t count) {
    Bytes r(count);
    for (size_t i = 0; i < count; i += 8) {
        const uint64_t v = choices.next();
        for (size_t j = i; j < std::min(i + 8, count); ++j) {
            r[j] = static_cast<uint8_t>(v >> (8 * (j - i)));
        }
    }
    return r;
}

U256 draw_u256(Choices& choices, const U256& special) {
    switch (choices.below(6)) {
        case 0: return U256{choices.below(8)};
        case 1: return U256::max() - U256{choices.below(8)};
        case 2: return shl(U256{1}, choices.below(256)) - U256{choices.below(2)};
        case 3: return special + U256{choices.below(5)} - U256{2};
        default: return {choices.next(), choices.next(), choices.next(), choices.next()};
    }
}

bool spoil(Choices& choices, Bytes& input) {
    const size_t size = input.size();
    switch (choices.below(8)) {
        case 0: input.resize(choices.below(size + 1)); return input.size() != size;
        case 1: input.resize(size + 1 + choices.below(70), 0xa5); return true;
        case 2:
            if (size == 0) { return false; }
            input[choices.below(size)] ^= static_cast<uint8_t>(1 + choices.below(255));
            return true;
        default: return false;
    }
}

Bytes word(const U256& v) {
    Bytes r(32);
    store_be(v, r.data());
    return r;
}

Bytes part(const Bytes& input, size_t begin, size_t count) {
    Bytes r(count);
    for (size_t i = 0; i < count && begin + i < input.size(); ++i) { r[i] = input[begin + i]; }
    return r;
}

}  // namespace millrace::evm::oracles
