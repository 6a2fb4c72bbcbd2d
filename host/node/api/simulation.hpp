// SPDX-License-Identifier: Apache-2.0
// Owns running calls without effect: eth_call and eth_estimateGas.
#pragma once

#include "evm/core/chain_spec.hpp"
#include "evm/core/code.hpp"
#include "evm/core/message.hpp"
#include "evm/core/precompile_set.hpp"
#include "evm/core/state_view.hpp"
#include "net/node_api.hpp"

namespace millrace::node {

/// Where a simulated call runs.
struct SimulationContext {
    evm::StateView& state;
    const evm::Rules& rules;
    const evm::PrecompileSet& precompiles;
    evm::BlockEnvironment block;
    uint64_t gas_cap = 0;                    ///< most gas of one call
    evm::SharedCode* shared_code = nullptr;  ///< analysed code to look into, or null
};

net::ApiResult<net::CallResult> simulate_call(const SimulationContext& context,
                                              const net::CallRequest& request,
                                              const net::StateOverrides& overrides);
/// The least gas limit with which the call succeeds, to within 1.5 %, as geth searches it.
net::ApiResult<uint64_t> estimate_gas(const SimulationContext& context,
                                      const net::CallRequest& request,
                                      const net::StateOverrides& overrides);
/// Applies block overrides of eth_call.
void apply_overrides(evm::BlockEnvironment& block, const net::BlockOverrides& overrides);

}  // namespace millrace::node
