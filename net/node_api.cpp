// SPDX-License-Identifier: Apache-2.0
// Owns the parts of the node interface that have one answer: rejection texts and log filters.
#include "net/node_api.hpp"

#include <algorithm>

namespace millrace::net {

std::string_view to_message(TxRejection reason) noexcept {
    switch (reason) {
        case TxRejection::already_known: return "already known";
        case TxRejection::nonce_too_low: return "nonce too low";
        case TxRejection::nonce_too_high: return "nonce too high";
        case TxRejection::nonce_max: return "nonce has max value";
        case TxRejection::replacement_underpriced: return "replacement transaction underpriced";
        case TxRejection::underpriced: return "transaction underpriced";
        case TxRejection::insufficient_funds: return "insufficient funds for gas * price + value";
        case TxRejection::intrinsic_gas: return "intrinsic gas too low";
        case TxRejection::floor_data_gas: return "insufficient gas for floor data gas cost";
        case TxRejection::gas_limit_above_block: return "exceeds block gas limit";
        case TxRejection::gas_limit_above_cap: return "transaction gas limit too high";
        case TxRejection::fee_cap_below_base_fee: return "max fee per gas less than block base fee";
        case TxRejection::tip_above_fee_cap:
            return "max priority fee per gas higher than max fee per gas";
        case TxRejection::fee_cap_too_high: return "max fee per gas higher than 2^256-1";
        case TxRejection::init_code_too_large: return "max initcode size exceeded";
        case TxRejection::oversized: return "oversized data";
        case TxRejection::invalid_sender: return "invalid sender";
        case TxRejection::invalid_chain_id: return "invalid chain id for signer";
        case TxRejection::unprotected:
            return "only replay-protected (EIP-155) transactions allowed over RPC";
        case TxRejection::type_not_supported: return "transaction type not supported";
        case TxRejection::sender_not_eoa: return "sender not an eoa";
        case TxRejection::blob_not_supported: return "blob transactions are not supported";
        case TxRejection::authorization_list_empty:
            return "set code tx must have at least one authorization";
        case TxRejection::pool_full: return "txpool is full";
        case TxRejection::sender_pool_full:
            return "too many transactions of this sender in the pool";
    }
    return "transaction rejected";
}

std::unexpected<ApiError> reject(TxRejection reason, std::string_view detail) {
    ApiError error;
    error.kind = ApiErrorKind::rejected;
    if (reason == TxRejection::pool_full || reason == TxRejection::sender_pool_full) {
        error.kind = ApiErrorKind::limit;
        error.retry_after_ms = 100;
    }
    error.message = to_message(reason);
    if (!detail.empty()) { error.message.append(": ").append(detail); }
    return std::unexpected(std::move(error));
}

bool LogFilter::matches(const evm::Log& log) const noexcept {
    if (!addresses.empty() && std::ranges::find(addresses, log.address) == addresses.end()) {
        return false;
    }
    if (topics.size() > log.topics.size()) { return false; }
    for (size_t i = 0; i < topics.size(); ++i) {
        const auto& wanted = topics[i];
        if (!wanted.empty() && std::ranges::find(wanted, log.topics[i]) == wanted.end()) {
            return false;
        }
    }
    return true;
}

bool LogFilter::may_match(const evm::Bloom& bloom) const noexcept {
    const auto in_bloom = [&bloom](const auto& item) {
        return evm::bloom_may_contain(bloom, item.view());
    };
    if (!addresses.empty() && std::ranges::none_of(addresses, in_bloom)) { return false; }
    return std::ranges::all_of(topics, [&](const auto& wanted) {
        return wanted.empty() || std::ranges::any_of(wanted, in_bloom);
    });
}

}  // namespace millrace::net
