// SPDX-License-Identifier: Apache-2.0
// Owns what the transactions of a run do: which kind each is, from whom, to whom, how much.
#pragma once

#include <array>
#include <string_view>

#include "evm/tx/transaction.hpp"
#include "host/base/error.hpp"
#include "host/load/contracts.hpp"

namespace millrace::load {

enum class Profile : uint8_t {
    transfer,  ///< ETH to accounts spread evenly
    erc20,     ///< ERC-20 transfers to accounts spread evenly
    swap,      ///< Uniswap V2 router swaps, over several pairs
    hotspot,   ///< ERC-20 transfers that all credit one account: one hot storage slot
    mixed,     ///< 60 % ETH, 25 % ERC-20, 15 % swaps
};
inline constexpr std::array profile_names{"transfer", "erc20", "swap", "hotspot", "mixed"};
std::string_view to_string(Profile profile) noexcept;
Result<Profile> profile_from_text(std::string_view text);

enum class Kind : uint8_t { transfer, erc20, swap };

constexpr bool needs_token(Profile p) noexcept {
    return p != Profile::transfer && p != Profile::swap;
}
constexpr bool needs_exchange(Profile p) noexcept {
    return p == Profile::swap || p == Profile::mixed;
}

/// The shape of a run, all that decides what transaction `nth` of sender `sender` is.
struct Shape {
    Profile profile = Profile::transfer;
    uint64_t seed = 1;
    uint32_t recipient_count = 1;
    uint32_t pair_count = 1;
};

struct TransactionSpec {
    Kind kind = Kind::transfer;
    uint32_t recipient = 0;  ///< of transfers
    uint32_t pair = 0;       ///< of swaps
    uint8_t direction = 0;   ///< of swaps: which token is paid
};
/// The same for the same arguments, so that nothing needs to be kept for the check afterwards.
TransactionSpec spec_of(const Shape& shape, uint32_t sender, uint64_t nth) noexcept;

/// What one transfer moves, in wei or units of the token.
inline constexpr uint64_t transfer_amount = 1;
/// What one swap pays, in units of the token.
inline constexpr uint64_t swap_amount = 1'000'000;

/// Enough for the kind in any state of the chain; the whole of it is not used.
uint64_t gas_limit_of(Kind kind) noexcept;

/// An unsigned EIP-1559 transaction with recipient, value, data and gas limit.
evm::Transaction make_transaction(const TransactionSpec& spec, const Contracts& contracts,
                                  const Address& sender, const Address& recipient);

}  // namespace millrace::load
