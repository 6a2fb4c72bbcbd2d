// SPDX-License-Identifier: Apache-2.0
// Owns how a chain adds precompiled contracts of its own to a base set.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "evm/core/precompile_set.hpp"
#include "host/base/error.hpp"

namespace millrace::evm {

/// A precompile of a chain. The function is pure and never throws; see PrecompileSet::run.
struct ChainPrecompile {
    using Function = PrecompileOutcome (*)(ByteView input, uint64_t gas,
                                           Revision revision) noexcept;
    std::string name;
    Function function = nullptr;
    /// The first fork in which the contract exists.
    Revision since = Revision::frontier;
};

/// A base set and the contracts added to it. Filled at start-up by one thread; afterwards it is
/// only read, from any number of threads.
class PrecompileRegistry final : public PrecompileSet {
public:
    /// At most this many contracts can be added.
    static constexpr size_t contracts_max = 256;

    /// The base is StandardPrecompiles.
    PrecompileRegistry();
    explicit PrecompileRegistry(std::unique_ptr<const PrecompileSet> base) noexcept;

    /// Adds a contract. Fails with invalid_input when it has no function or no name, with conflict
    /// when the address is taken, here or in the base at any fork, and with limit when full.
    Result<void> add(const Address& address, ChainPrecompile contract);

    /// The name given to `add`, or empty when the address is not one of the added contracts. Valid
    /// as long as the registry.
    std::string_view name(const Address& address) const noexcept;

    bool contains(const Address& address, Revision revision) const noexcept override;
    PrecompileOutcome run(const Address& address, ByteView input, uint64_t gas,
                          Revision revision) const noexcept override;

private:
    std::unique_ptr<const PrecompileSet> base_;
    std::unordered_map<Address, ChainPrecompile> added_;
};

}  // namespace millrace::evm
