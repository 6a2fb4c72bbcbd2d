// SPDX-License-Identifier: Apache-2.0
// Owns the making of transactions of each profile.
#include "host/load/profile.hpp"

namespace millrace::load {

namespace {

/// Steele, Lea and Flood's SplitMix64 finaliser.
uint64_t mix(uint64_t x) noexcept {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

constexpr uint64_t mixed_transfer_percent = 60;
constexpr uint64_t mixed_erc20_percent = 25;

Kind kind_of(Profile profile, uint64_t random) noexcept {
    switch (profile) {
        case Profile::transfer: return Kind::transfer;
        case Profile::erc20:
        case Profile::hotspot: return Kind::erc20;
        case Profile::swap: return Kind::swap;
        case Profile::mixed: break;
    }
    const uint64_t percent = random % 100;
    return percent < mixed_transfer_percent                         ? Kind::transfer
           : percent < mixed_transfer_percent + mixed_erc20_percent ? Kind::erc20
                                                                    : Kind::swap;
}

}  // namespace

std::string_view to_string(Profile profile) noexcept {
    return profile_names[static_cast<size_t>(profile)];
}

Result<Profile> profile_from_text(std::string_view text) {
    std::string list;
    for (size_t i = 0; i < profile_names.size(); ++i) {
        if (text == profile_names[i]) { return static_cast<Profile>(i); }
        list += (i == 0 ? "" : ", ") + std::string(profile_names[i]);
    }
    return fail(ErrorCode::invalid_input,
                "'" + std::string(text) + "' is no profile; choose one of " + list);
}

TransactionSpec spec_of(const Shape& shape, uint32_t sender, uint64_t nth) noexcept {
    const uint64_t random = mix(shape.seed ^ mix(uint64_t{sender} << 32 ^ nth));
    TransactionSpec spec;
    spec.kind = kind_of(shape.profile, random);
    // Another part of the number than the one that chose the kind.
    spec.recipient = shape.profile == Profile::hotspot
                         ? 0
                         : static_cast<uint32_t>((random >> 32) % shape.recipient_count);
    spec.pair = sender % shape.pair_count;
    // In turns, so that nobody runs out of a token.
    spec.direction = static_cast<uint8_t>(nth & 1);
    return spec;
}

uint64_t gas_limit_of(Kind kind) noexcept {
    switch (kind) {
        case Kind::transfer: return 21'000;
        case Kind::erc20: return 70'000;
        case Kind::swap: return 200'000;
    }
    return 0;
}

evm::Transaction make_transaction(const TransactionSpec& spec, const Contracts& contracts,
                                  const Address& sender, const Address& recipient) {
    evm::Transaction tx;
    tx.type = evm::TxType::dynamic_fee;
    tx.gas_limit = gas_limit_of(spec.kind);
    switch (spec.kind) {
        case Kind::transfer:
            tx.to = recipient;
            tx.value = transfer_amount;
            break;
        case Kind::erc20:
            tx.to = contracts.token;
            tx.data = call_data("transfer(address,uint256)", {recipient, transfer_amount});
            break;
        case Kind::swap: {
            const Contracts::Pair& pair = contracts.pairs[spec.pair];
            tx.to = contracts.router;
            // The path is dynamic: its place, then at the end its length and items.
            tx.data = call_data(
                "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
                {swap_amount, uint64_t{1}, uint64_t{5 * 32}, sender, U256::max(), uint64_t{2},
                 pair.token[spec.direction], pair.token[1 - spec.direction]});
            break;
        }
    }
    return tx;
}

}  // namespace millrace::load
