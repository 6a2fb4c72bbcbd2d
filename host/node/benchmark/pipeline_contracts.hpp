// SPDX-License-Identifier: Apache-2.0
// Owns the code and the storage layout of the contracts that the pipeline's measurement calls.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::node {

/// Runtime code of an ERC-20 with checked balances, allowances and events.
Bytes pipeline_token_code();
/// Runtime code of a contract that sells a trader's tokens to a pair of Uniswap V2.
Bytes pipeline_router_code();
/// Runtime code of Uniswap V2's pair out of the npm package @uniswap/v2-core below `artifacts` (a
/// node_modules folder): `ErrorCode::not_found` where it is not there.
Result<Bytes> uniswap_pair_code(const std::string& artifacts);

/// Where the token keeps the balance of `holder`.
U256 token_balance_slot(const Address& holder);
/// Where the token keeps what `spender` may move of `owner`'s.
U256 token_allowance_slot(const Address& owner, const Address& spender);
/// A call of the token's transfer(to, amount).
Bytes transfer_calldata(const Address& to, const U256& amount);
/// A call of the router: sells `amount` of `token`, the pair's `first` or its second one.
Bytes sell_calldata(const Address& pair, const Address& token, bool first, const U256& amount);

/// Storage of a pair that holds these reserves, below 2^112 each.
std::vector<std::pair<U256, U256>> pair_storage(const Address& token0, const Address& token1,
                                                const U256& reserve0, const U256& reserve1);

}  // namespace millrace::node
