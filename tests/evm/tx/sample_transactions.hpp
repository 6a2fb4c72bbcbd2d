// SPDX-License-Identifier: Apache-2.0
// Owns one well-formed transaction of every type, for tests.
#pragma once

#include <vector>

#include "evm/tx/transaction.hpp"

namespace millrace::test {

inline const std::vector<evm::TxType>& all_types() {
    static const std::vector<evm::TxType> types{evm::TxType::legacy,      evm::TxType::access_list,
                                                evm::TxType::dynamic_fee, evm::TxType::blob,
                                                evm::TxType::set_code,    evm::TxType::deposit};
    return types;
}

template <size_t N>
FixedBytes<N> filled(uint8_t first) {
    FixedBytes<N> v;
    for (size_t i = 0; i < N; ++i) { v[i] = static_cast<uint8_t>(first + i); }
    return v;
}

/// Every field that the type has is set to something that is not its default.
inline evm::Transaction sample(evm::TxType type) {
    using evm::TxType;
    evm::Transaction tx;
    tx.type = type;
    tx.gas_limit = 0x12345678;
    tx.to = filled<20>(0x11);
    tx.value = U256{1, 2, 3, 4};
    tx.data = {0x01, 0x02, 0x80, 0xff};
    if (type == TxType::deposit) {
        tx.source_hash = filled<32>(0x55);
        tx.from = filled<20>(0x66);
        tx.mint = U256{0x1000};
        return tx;
    }
    tx.chain_id = 4326;
    tx.nonce = 0x1ff;
    tx.max_fee_per_gas = U256{0x3b9aca00};
    tx.max_priority_fee_per_gas = tx.has_gas_price_only() ? tx.max_fee_per_gas : U256{7};
    tx.y_parity = 1;
    tx.r = U256{5, 6, 7, 8};
    tx.s = U256{9, 10, 11, 12};
    if (type == TxType::legacy) { return tx; }
    tx.access_list = {{filled<20>(0x21), {filled<32>(0x31), filled<32>(0x41)}},
                      {filled<20>(0x22), {}}};
    if (type == TxType::blob) {
        tx.max_fee_per_blob_gas = U256{0x99};
        tx.blob_versioned_hashes = {filled<32>(0x01), filled<32>(0x02)};
    }
    if (type == TxType::set_code) {
        tx.authorization_list = {{U256{4326}, filled<20>(0x71), 3, 1, U256{13}, U256{14}},
                                 {U256{}, filled<20>(0x72), ~0ull, 255, U256::max(), U256{}}};
    }
    return tx;
}

}  // namespace millrace::test
