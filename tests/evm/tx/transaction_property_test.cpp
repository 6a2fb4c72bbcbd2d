// SPDX-License-Identifier: Apache-2.0
// Owns the properties of the transaction codec over random transactions and random bytes.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"
#include "tests/evm/tx/sample_transactions.hpp"

namespace millrace::evm {
namespace {

U256 any_u256() {
    const U256 v{*rc::gen::arbitrary<uint64_t>(), *rc::gen::arbitrary<uint64_t>(),
                 *rc::gen::arbitrary<uint64_t>(), *rc::gen::arbitrary<uint64_t>()};
    return shr(v, *rc::gen::inRange<uint64_t>(0, 257));
}
template <size_t N>
FixedBytes<N> any_fixed() {
    return FixedBytes<N>::from(*rc::gen::container<Bytes>(N, rc::gen::arbitrary<uint8_t>()));
}
std::vector<Hash256> any_hashes() {
    std::vector<Hash256> v(*rc::gen::inRange<size_t>(0, 4));
    for (Hash256& h : v) { h = any_fixed<32>(); }
    return v;
}

Transaction any_transaction() {
    Transaction tx;
    tx.type = *rc::gen::elementOf(test::all_types());
    tx.gas_limit = *rc::gen::arbitrary<uint64_t>();
    tx.value = any_u256();
    tx.data = *rc::gen::arbitrary<Bytes>();
    const bool needs_to = tx.type == TxType::blob || tx.type == TxType::set_code;
    if (needs_to || *rc::gen::arbitrary<bool>()) { tx.to = any_fixed<20>(); }
    if (tx.type == TxType::deposit) {
        tx.source_hash = any_fixed<32>();
        tx.from = any_fixed<20>();
        tx.mint = any_u256();
        return tx;
    }
    if (tx.type != TxType::legacy || *rc::gen::arbitrary<bool>()) {
        tx.chain_id = *rc::gen::arbitrary<uint64_t>();
    }
    tx.nonce = *rc::gen::arbitrary<uint64_t>();
    tx.max_fee_per_gas = any_u256();
    tx.max_priority_fee_per_gas = tx.has_gas_price_only() ? tx.max_fee_per_gas : any_u256();
    tx.y_parity = *rc::gen::inRange<uint8_t>(0, 2);
    tx.r = any_u256();
    tx.s = any_u256();
    if (tx.type == TxType::legacy) { return tx; }
    tx.access_list.resize(*rc::gen::inRange<size_t>(0, 4));
    for (AccessListEntry& entry : tx.access_list) { entry = {any_fixed<20>(), any_hashes()}; }
    if (tx.type == TxType::blob) {
        tx.max_fee_per_blob_gas = any_u256();
        tx.blob_versioned_hashes = any_hashes();
    }
    if (tx.type == TxType::set_code) {
        tx.authorization_list.resize(*rc::gen::inRange<size_t>(0, 4));
        for (Authorization& a : tx.authorization_list) {
            a = {any_u256(),
                 any_fixed<20>(),
                 *rc::gen::arbitrary<uint64_t>(),
                 *rc::gen::arbitrary<uint8_t>(),
                 any_u256(),
                 any_u256()};
        }
    }
    return tx;
}

RC_GTEST_PROP(TransactionProperty, EncodingIsInvertedByDecoding, ()) {
    const Transaction tx = any_transaction();
    const Bytes raw = encode_transaction(tx);
    const auto decoded = decode_transaction(raw);
    RC_ASSERT(decoded.has_value());
    RC_ASSERT(*decoded == tx);
}

RC_GTEST_PROP(TransactionProperty, WhatDecodesFromDamagedInputEncodesToThatInput, ()) {
    Bytes raw = encode_transaction(any_transaction());
    const size_t at = *rc::gen::inRange<size_t>(0, raw.size());
    raw[at] ^= *rc::gen::inRange<uint8_t>(1, 255);
    if (const auto decoded = decode_transaction(raw)) {
        RC_ASSERT(encode_transaction(*decoded) == raw);
    }
}

RC_GTEST_PROP(BlockProperty, EncodingIsInvertedByDecoding, ()) {
    Block block;
    block.header.number = *rc::gen::arbitrary<uint64_t>();
    block.header.extra_data = *rc::gen::arbitrary<Bytes>();
    block.transactions.resize(*rc::gen::inRange<size_t>(0, 6));
    for (Transaction& tx : block.transactions) { tx = any_transaction(); }
    RC_ASSERT(decode_block(encode_block(block)).value() == block);
}

}  // namespace
}  // namespace millrace::evm
