// SPDX-License-Identifier: Apache-2.0
// Owns the precompiles that a chain adds.
#include "evm/precompiles/registry.hpp"

#include <utility>

#include "evm/precompiles/standard.hpp"
#include "host/base/hex.hpp"

namespace millrace::evm {

PrecompileRegistry::PrecompileRegistry()
    : PrecompileRegistry(std::make_unique<const StandardPrecompiles>()) {}

PrecompileRegistry::PrecompileRegistry(std::unique_ptr<const PrecompileSet> base) noexcept
    : base_(std::move(base)) {
    MILLRACE_ASSERT(base_ != nullptr, "a registry needs a base set");
}

Result<void> PrecompileRegistry::add(const Address& address, ChainPrecompile contract) {
    if (contract.function == nullptr || contract.name.empty()) {
        return fail(ErrorCode::invalid_input, "the precompile at " + to_hex(address) +
                                                  " has no function or no name; give it both");
    }
    if (added_.contains(address)) {
        return fail(ErrorCode::conflict, "the address " + to_hex(address) + " of precompile '" +
                                             contract.name + "' already belongs to '" +
                                             added_.at(address).name + "'; choose another");
    }
    for (int i = 0; i < revision_count; ++i) {
        if (base_->contains(address, static_cast<Revision>(i))) {
            return fail(ErrorCode::conflict,
                        "the address " + to_hex(address) + " of precompile '" + contract.name +
                            "' is one of Ethereum's own precompiles; choose another");
        }
    }
    if (added_.size() >= contracts_max) {
        return fail(ErrorCode::limit, "there are already " + std::to_string(added_.size()) +
                                          " precompiles, the most allowed; add '" + contract.name +
                                          "' in place of another");
    }
    added_.emplace(address, std::move(contract));
    return {};
}

std::string_view PrecompileRegistry::name(const Address& address) const noexcept {
    const auto found = added_.find(address);
    return found == added_.end() ? std::string_view{} : std::string_view{found->second.name};
}

bool PrecompileRegistry::contains(const Address& address, Revision revision) const noexcept {
    if (base_->contains(address, revision)) { return true; }
    const auto found = added_.find(address);
    return found != added_.end() && revision >= found->second.since;
}

PrecompileOutcome PrecompileRegistry::run(const Address& address, ByteView input, uint64_t gas,
                                          Revision revision) const noexcept {
    if (const auto found = added_.find(address); found != added_.end()) {
        return revision >= found->second.since ? found->second.function(input, gas, revision)
                                               : PrecompileOutcome{};
    }
    return base_->run(address, input, gas, revision);
}

}  // namespace millrace::evm
