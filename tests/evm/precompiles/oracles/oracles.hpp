// SPDX-License-Identifier: Apache-2.0
// Owns the list of oracles of the precompiles and how they compare.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "evm/core/revision.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"
#include "tests/evm/differential/choices.hpp"

namespace millrace::evm::oracles {

using differential::Choices;

/// What a contract must do. `output` is empty and `price` unused when it must fail.
struct Answer {
    bool success = false;
    uint64_t price = 0;
    Bytes output;
};

/// Collects the first disagreement of a run.
class Findings {
public:
    /// Calls the contract with `gas` and compares; then with exactly the price, which must
    /// suffice, and with one unit less, which must not. More gas than `gas` is never given, so an
    /// answer whose price is above it must fail.
    void compare(unsigned contract, const Bytes& input, Revision revision, const Answer& expected,
                 uint64_t gas = gas_default);
    /// For what is not a call, e.g. a relation between two answers.
    void require(bool condition, std::string_view what);
    /// Empty when everything agreed.
    const std::string& first() const noexcept { return first_; }
    /// Calls compared so far that must give output, and those that must fail or give none.
    unsigned answered() const noexcept { return answered_; }
    unsigned refused() const noexcept { return refused_; }

    static constexpr uint64_t gas_default = uint64_t{1} << 40;

private:
    std::string first_;
    unsigned answered_ = 0;
    unsigned refused_ = 0;
};

/// The output of a call that must succeed; empty, and a finding, when it does not.
Bytes output_of(unsigned contract, const Bytes& input, Findings& findings);

using Oracle = void (*)(Choices& choices, Findings& findings);

void ecrecover(Choices& choices, Findings& findings);
void sha256(Choices& choices, Findings& findings);
void ripemd160(Choices& choices, Findings& findings);
void identity(Choices& choices, Findings& findings);
void modexp(Choices& choices, Findings& findings);
void bn254_add(Choices& choices, Findings& findings);
void bn254_multiply(Choices& choices, Findings& findings);
void bn254_pairing(Choices& choices, Findings& findings);
void blake2f(Choices& choices, Findings& findings);
void kzg_point_evaluation(Choices& choices, Findings& findings);
void bls12_g1_add(Choices& choices, Findings& findings);
void bls12_g1_msm(Choices& choices, Findings& findings);
void bls12_g2_add(Choices& choices, Findings& findings);
void bls12_g2_msm(Choices& choices, Findings& findings);
void bls12_pairing(Choices& choices, Findings& findings);
void bls12_map_fp(Choices& choices, Findings& findings);
void bls12_map_fp2(Choices& choices, Findings& findings);
void p256_verify(Choices& choices, Findings& findings);

struct NamedOracle {
    std::string_view name;
    Oracle run;
};

inline constexpr std::array<NamedOracle, 18> all_oracles{{
    {"ecrecover", ecrecover},
    {"sha256", sha256},
    {"ripemd160", ripemd160},
    {"identity", identity},
    {"modexp", modexp},
    {"bn254_add", bn254_add},
    {"bn254_multiply", bn254_multiply},
    {"bn254_pairing", bn254_pairing},
    {"blake2f", blake2f},
    {"kzg_point_evaluation", kzg_point_evaluation},
    {"bls12_g1_add", bls12_g1_add},
    {"bls12_g1_msm", bls12_g1_msm},
    {"bls12_g2_add", bls12_g2_add},
    {"bls12_g2_msm", bls12_g2_msm},
    {"bls12_pairing", bls12_pairing},
    {"bls12_map_fp", bls12_map_fp},
    {"bls12_map_fp2", bls12_map_fp2},
    {"p256_verify", p256_verify},
}};

// What the oracles draw.

/// A fork from `first` on.
Revision draw_revision(Choices& choices, Revision first);
Bytes draw_bytes(Choices& choices, size_t count);
/// Often near zero, near 2^256, near `special`, or a power of two.
U256 draw_u256(Choices& choices, const U256& special);
/// Sometimes cuts, lengthens or changes a byte of `input`; returns whether it did.
bool spoil(Choices& choices, Bytes& input);

Bytes word(const U256& v);

template <class... Parts>
Bytes join(const Parts&... parts) {
    Bytes r;
    (r.insert(r.end(), std::begin(parts), std::end(parts)), ...);
    return r;
}

/// The bytes [begin, begin + count), zeros where the input is shorter.
Bytes part(const Bytes& input, size_t begin, size_t count);

}  // namespace millrace::evm::oracles
