// SPDX-License-Identifier: Apache-2.0
// Owns the precompiled contracts of Ethereum, Frontier to Osaka, as a PrecompileSet.
#pragma once

#include "evm/core/precompile_set.hpp"

namespace millrace::evm {

/// The precompiles 0x01 to 0x11 and 0x100 with the addresses, gas and rules of every fork:
///
///   0x01 ECRECOVER, 0x02 SHA256, 0x03 RIPEMD160, 0x04 IDENTITY   Frontier
///   0x05 MODEXP                           EIP-198, 2565 (Berlin), 7823 and 7883 (Osaka)
///   0x06 to 0x08 BN254 ADD, MUL, PAIRING  EIP-196, 197 (Byzantium), 1108 (Istanbul)
///   0x09 BLAKE2F                          EIP-152 (Istanbul)
///   0x0a KZG point evaluation             EIP-4844 (Cancun)
///   0x0b to 0x11 BLS12-381                EIP-2537 (Prague)
///   0x100 P256VERIFY                      EIP-7951 (Osaka)
///
/// Stateless. The price is known before any work is done, so a call that cannot pay costs nothing.
/// Running out of memory ends the process: there is no verdict that would be right.
class StandardPrecompiles final : public PrecompileSet {
public:
    bool contains(const Address& address, Revision revision) const noexcept override;
    PrecompileOutcome run(const Address& address, ByteView input, uint64_t gas,
                          Revision revision) const noexcept override;
};

}  // namespace millrace::evm
