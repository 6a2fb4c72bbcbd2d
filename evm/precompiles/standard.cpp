// SPDX-License-Identifier: Apache-2.0
// Owns which precompile lives at which address from which fork on.
#include "evm/precompiles/standard.hpp"

#include <array>

#include "evm/precompiles/detail/contracts.hpp"

namespace millrace::evm {

namespace {

struct Entry {
    contracts::Function* function;
    Revision since;
};

/// Indexed by address; 0 is no precompile.
constexpr std::array<Entry, 0x12> low_contracts{{
    {nullptr, Revision::frontier},
    {contracts::ecrecover, Revision::frontier},
    {contracts::sha256, Revision::frontier},
    {contracts::ripemd160, Revision::frontier},
    {contracts::identity, Revision::frontier},
    {contracts::modexp, Revision::byzantium},
    {contracts::bn254_add, Revision::byzantium},
    {contracts::bn254_multiply, Revision::byzantium},
    {contracts::bn254_pairing, Revision::byzantium},
    {contracts::blake2f, Revision::istanbul},
    {contracts::kzg_point_evaluation, Revision::cancun},
    {contracts::bls12_g1_add, Revision::prague},
    {contracts::bls12_g1_multi_multiply, Revision::prague},
    {contracts::bls12_g2_add, Revision::prague},
    {contracts::bls12_g2_multi_multiply, Revision::prague},
    {contracts::bls12_pairing, Revision::prague},
    {contracts::bls12_map_fp_to_g1, Revision::prague},
    {contracts::bls12_map_fp2_to_g2, Revision::prague},
}};

constexpr unsigned p256_verify_address = 0x100;

contracts::Function* find(const Address& address, Revision revision) noexcept {
    uint64_t high = 0;
    uint64_t middle = 0;
    std::memcpy(&high, address.data(), 8);
    std::memcpy(&middle, address.data() + 8, 8);
    if ((high | middle | address[16] | address[17]) != 0) [[likely]] { return nullptr; }
    const unsigned number = static_cast<unsigned>(address[18]) << 8 | address[19];
    if (number < low_contracts.size()) {
        const Entry& entry = low_contracts[number];
        return revision >= entry.since ? entry.function : nullptr;
    }
    return number == p256_verify_address && revision >= Revision::osaka ? contracts::p256_verify
                                                                        : nullptr;
}

}  // namespace

bool StandardPrecompiles::contains(const Address& address, Revision revision) const noexcept {
    return find(address, revision) != nullptr;
}

PrecompileOutcome StandardPrecompiles::run(const Address& address, ByteView input, uint64_t gas,
                                           Revision revision) const noexcept {
    contracts::Function* function = find(address, revision);
    return function == nullptr ? contracts::failure() : function(input, gas, revision);
}

}  // namespace millrace::evm
