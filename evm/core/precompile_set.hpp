// SPDX-License-Identifier: Apache-2.0
// Owns the interface through which the state transition runs precompiled contracts.
#pragma once

#include "evm/core/revision.hpp"
#include "host/base/types.hpp"

namespace millrace::evm {

struct PrecompileOutcome {
    /// False: the call fails and consumes all the gas that was given to it.
    bool success = false;
    /// Gas used when successful; never more than what was given.
    uint64_t gas_used = 0;
    Bytes output;
};

/// A set of precompiled contracts. Implementations are pure functions of their arguments,
/// thread-safe, and never throw.
class PrecompileSet {
public:
    virtual ~PrecompileSet() = default;
    /// Whether `address` is a precompile at `revision` (it then also starts out warm, EIP-2929).
    virtual bool contains(const Address& address, Revision revision) const noexcept = 0;
    /// Runs it with at most `gas`. Running out of gas and malformed input both give success =
    /// false.
    virtual PrecompileOutcome run(const Address& address, ByteView input, uint64_t gas,
                                  Revision revision) const noexcept = 0;
};

}  // namespace millrace::evm
