// SPDX-License-Identifier: Apache-2.0
// Owns the fixture of tests that run whole transactions.
#pragma once

#include <gmock/gmock.h>

#include "tests/evm/core/machine.hpp"

namespace millrace::evm::test {

class TransactionTest : public ::testing::Test {
protected:
    Machine m_;

    TxError error(const Transaction& tx, const ExecutionOptions& options = {}) {
        const auto before = m_.state.balance(sender_address);
        const auto r = m_.execute(tx, {}, options);
        EXPECT_FALSE(r.has_value());
        EXPECT_EQ(m_.state.balance(sender_address), before);
        if (!r && options.check_fees) { EXPECT_THAT(faults(tx), testing::Contains(r.error())); }
        return r ? TxError{} : r.error();
    }
    std::vector<TxError> faults(const Transaction& tx) {
        return transaction_faults(tx, sender_address, m_.state, m_.rules, m_.block,
                                  m_.block.gas_limit);
    }
    TransactionResult run(const Transaction& tx) {
        EXPECT_THAT(faults(tx), testing::IsEmpty());
        auto r = m_.execute(tx);
        EXPECT_TRUE(r.has_value()) << (r ? "" : to_string(r.error()));
        return r.value_or(TransactionResult{});
    }
    Transaction dynamic(uint64_t tip, uint64_t cap) {
        Transaction tx = m_.transaction();
        tx.type = TxType::dynamic_fee;
        tx.chain_id = 1;
        tx.max_priority_fee_per_gas = U256{tip};
        tx.max_fee_per_gas = U256{cap};
        return tx;
    }
    Transaction blob(size_t count) {
        Transaction tx = dynamic(1, 10);
        tx.type = TxType::blob;
        tx.max_fee_per_blob_gas = U256{1};
        Hash256 h;
        h[0] = 0x01;
        tx.blob_versioned_hashes.assign(count, h);
        return tx;
    }
};

}  // namespace millrace::evm::test
