// SPDX-License-Identifier: Apache-2.0
// Owns the gas schedule: constants of the yellow paper and the EIPs that changed them.
#pragma once

#include <cstdint>

#include "evm/core/revision.hpp"

namespace millrace::evm::gas {

inline constexpr int64_t call_stipend = 2300;
inline constexpr int64_t call_value = 9000;
inline constexpr int64_t new_account = 25000;
inline constexpr int64_t create = 32000;
inline constexpr int64_t code_deposit_per_byte = 200;
inline constexpr int64_t keccak_word = 6;
inline constexpr int64_t copy_word = 3;
inline constexpr int64_t initcode_word = 2;  ///< EIP-3860
inline constexpr int64_t log_topic = 375;
inline constexpr int64_t log_byte = 8;
inline constexpr int64_t cold_account = 2600;  ///< EIP-2929
inline constexpr int64_t cold_slot = 2100;
inline constexpr int64_t warm = 100;
inline constexpr int64_t sstore_sentry = 2300;  ///< EIP-2200
inline constexpr int64_t sstore_set = 20000;
inline constexpr int64_t sstore_reset = 5000;
inline constexpr int64_t selfdestruct_refund = 24000;

/// Flat cost of reading an account (BALANCE, EXTCODE*) and of the CALL family before Berlin.
constexpr int64_t balance(Revision r) noexcept {
    return r >= Revision::istanbul ? 700 : r >= Revision::tangerine_whistle ? 400 : 20;
}
constexpr int64_t extcode(Revision r) noexcept {
    return r >= Revision::tangerine_whistle ? 700 : 20;
}
constexpr int64_t extcodehash(Revision r) noexcept { return r >= Revision::istanbul ? 700 : 400; }
constexpr int64_t call(Revision r) noexcept { return r >= Revision::tangerine_whistle ? 700 : 40; }
constexpr int64_t sload(Revision r) noexcept {
    return r >= Revision::istanbul ? 800 : r >= Revision::tangerine_whistle ? 200 : 50;
}
constexpr int64_t exp_byte(Revision r) noexcept { return r >= Revision::spurious_dragon ? 50 : 10; }
constexpr int64_t selfdestruct(Revision r) noexcept {
    return r >= Revision::tangerine_whistle ? 5000 : 0;
}

/// Total cost of memory of `words` words.
constexpr int64_t memory(uint64_t words) noexcept {
    return static_cast<int64_t>(3 * words + words * words / 512);
}
constexpr uint64_t words(uint64_t bytes) noexcept { return (bytes + 31) / 32; }

struct StorageCost {
    int64_t gas;
    int64_t refund;
};
/// SSTORE without the cold surcharge: flat (Frontier), EIP-1283, EIP-2200, EIP-2929 or EIP-3529.
/// `original` is the value before the transaction. Booleans compare the three values.
StorageCost sstore(Revision r, bool original_is_current, bool current_is_new, bool original_is_new,
                   bool original_is_zero, bool current_is_zero, bool new_is_zero) noexcept;

}  // namespace millrace::evm::gas
