// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-4844, 7516, 7594, 7691 and 7918: blob transactions and what blobs cost.
#include "evm/core/block_rules.hpp"
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using BlobTransaction = TransactionTest;

TEST_F(BlobTransaction, BlobGasIsPaidAndBurnt) {
    m_.block.blob_base_fee = U256{3};
    m_.state.set_balance(sender_address, U256{1'000'000'000});
    Transaction tx = blob(2);
    tx.max_fee_per_blob_gas = U256{5};
    tx.to = other_address;
    tx.gas_limit = 21'000;
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.blob_gas_used, 2u << 17);
    EXPECT_EQ(m_.state.balance(sender_address), U256{1'000'000'000 - 21'000 * 8 - 3 * (2u << 17)});
    m_.state.set_balance(sender_address, U256{21'000 * 10 + 5 * (2u << 17) - 1});
    tx.nonce = 1;
    EXPECT_EQ(error(tx), TxError::insufficient_funds) << "the balance must cover the caps";
}

TEST_F(BlobTransaction, BlobHashesAreSeen) {
    m_.deploy(self_address, Code()
                                .push(1)
                                .op(Opcode::blobhash)
                                .sstore_top(0)
                                .push(2)
                                .op(Opcode::blobhash)
                                .sstore_top(1)
                                .op(Opcode::blobbasefee)
                                .sstore_top(2));
    Transaction tx = blob(2);
    tx.blob_versioned_hashes[1][31] = 0x77;
    run(tx);
    EXPECT_EQ(m_.state.storage(self_address, U256{0}), to_u256(tx.blob_versioned_hashes[1]));
    EXPECT_EQ(m_.state.storage(self_address, U256{1}), U256{});
    EXPECT_EQ(m_.state.storage(self_address, U256{2}), U256{1});
}

constexpr uint64_t gwei = 1'000'000'000;

TEST(BlobFee, KnownValuesOfTheExponential) {
    const auto fee = [](uint64_t fraction, uint64_t excess) {
        return blob_base_fee({3, 6, fraction}, excess);
    };
    constexpr uint64_t cancun = 3'338'477;
    EXPECT_EQ(fee(cancun, 0), U256{1});
    EXPECT_EQ(fee(cancun, 2'314'057), U256{1});
    EXPECT_EQ(fee(cancun, 2'314'058), U256{2});
    EXPECT_EQ(fee(cancun, 10u << 20), U256{23});
    EXPECT_EQ(fee(1, 2), U256{6});
    EXPECT_EQ(fee(2, 4), U256{6});
    EXPECT_EQ(fee(1, 3), U256{16});
    EXPECT_EQ(fee(2, 6), U256{18});
    EXPECT_EQ(fee(1, 4), U256{49});
    EXPECT_EQ(fee(2, 8), U256{50});
    EXPECT_EQ(fee(1, 5), U256{136});
    EXPECT_EQ(fee(2, 5), U256{11});
    EXPECT_EQ(fee(2'225'652, 50'000'000), U256{5'709'098'764});
    EXPECT_EQ(fee(1, 1'000'000), U256::max()) << "saturates";
}

TEST(BlobFee, ExcessFollowsTheUse) {
    const auto next = [](Revision r, uint64_t excess, uint64_t blobs, uint64_t base_fee = 1) {
        BlockHeader parent;
        parent.excess_blob_gas = excess;
        parent.blob_gas_used = blobs << 17;
        parent.base_fee_per_gas = U256{base_fee};
        return next_excess_blob_gas(ethereum_rules(r), parent);
    };
    constexpr uint64_t blob = 1u << 17;
    EXPECT_EQ(next(Revision::cancun, 0, 0), 0u);
    EXPECT_EQ(next(Revision::cancun, 0, 3), 0u);
    EXPECT_EQ(next(Revision::cancun, 0, 4), blob);
    EXPECT_EQ(next(Revision::cancun, blob, 2), 0u);
    EXPECT_EQ(next(Revision::cancun, 10 * blob, 0), 7 * blob);
    EXPECT_EQ(next(Revision::prague, 0, 7), blob) << "the target is six";
    EXPECT_EQ(next(Revision::osaka, 10 * blob, 6), 10 * blob) << "blobs are dear enough";
    // EIP-7918: where execution is far dearer, the excess grows by the use above the reserve.
    EXPECT_EQ(next(Revision::osaka, 10 * blob, 6, gwei), 10 * blob + 6 * blob * 3 / 9);
    EXPECT_EQ(next(Revision::prague, 10 * blob, 6, gwei), 10 * blob);
    EXPECT_EQ(next_excess_blob_gas(ethereum_rules(Revision::cancun), BlockHeader{}), 0u);
}

TEST_F(BlobTransaction, BlobGasIsBurntEvenWhenExecutionFails) {
    m_.block.blob_base_fee = U256{3};
    m_.state.set_balance(sender_address, U256{1'000'000'000});
    m_.deploy(self_address, Code().revert(0, 0));
    Transaction tx = blob(1);
    tx.max_fee_per_blob_gas = U256{3};
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.status, Status::revert);
    const uint64_t gas = 21'006;
    EXPECT_EQ(m_.state.balance(sender_address), U256{1'000'000'000 - gas * 8 - 3 * (1u << 17)});
    EXPECT_EQ(m_.state.balance(m_.block.coinbase), U256{gas}) << "a tip of one";
}

TEST_F(BlobTransaction, NumberOfBlobsByFork) {
    // EIP-4844: 6 per block; EIP-7691 (Prague): 9; EIP-7594 (Osaka): 9, but 6 per transaction.
    const auto most = [&](Revision r) {
        size_t count = 0;
        while (validate_stateless(blob(count + 1), ethereum_rules(r)) == std::nullopt) { ++count; }
        EXPECT_EQ(validate_stateless(blob(count + 1), ethereum_rules(r)),
                  TxError::blob_count_exceeded);
        return count;
    };
    EXPECT_EQ(most(Revision::cancun), 6u);
    EXPECT_EQ(most(Revision::prague), 9u);
    EXPECT_EQ(most(Revision::osaka), 6u);
    EXPECT_EQ(validate_stateless(blob(0), ethereum_rules(Revision::cancun)),
              TxError::blob_count_zero);
}

TEST_F(BlobTransaction, EveryHashNeedsItsVersion) {
    for (const uint8_t version : {0x00, 0x02, 0xff}) {
        Transaction tx = blob(3);
        tx.blob_versioned_hashes[2][0] = version;
        EXPECT_EQ(error(tx), TxError::blob_version_invalid);
    }
}

TEST_F(BlobTransaction, CapMustReachTheBlobBaseFee) {
    m_.block.blob_base_fee = U256{100};
    Transaction tx = blob(1);
    tx.to = other_address;
    tx.max_fee_per_blob_gas = U256{99};
    EXPECT_EQ(error(tx), TxError::blob_fee_cap_too_low);
    tx.max_fee_per_blob_gas = U256{100};
    EXPECT_TRUE(run(tx).success());
}

TEST_F(BlobTransaction, FeesBeyond256BitsAreNotFunds) {
    Transaction tx = blob(1);
    tx.to = other_address;
    m_.state.set_balance(sender_address, U256::max());
    tx.max_fee_per_blob_gas = U256::max();
    EXPECT_EQ(error(tx), TxError::insufficient_funds);
    tx.max_fee_per_blob_gas = shr(U256::max(), 17);
    EXPECT_EQ(error(tx), TxError::insufficient_funds) << "together with the gas";
    tx.max_fee_per_blob_gas = shr(U256::max(), 18);
    EXPECT_TRUE(run(tx).success());
}

TEST_F(BlobTransaction, HashesAreSeenByIndexOnly) {
    m_.deploy(self_address, Code()
                                .push(shl(1, 64))
                                .op(Opcode::blobhash)
                                .sstore_top(0)
                                .push(U256::max())
                                .op(Opcode::blobhash)
                                .sstore_top(1)
                                .push(0)
                                .op(Opcode::blobhash)
                                .sstore_top(2)
                                .push(2)
                                .op(Opcode::blobhash)
                                .sstore_top(3));
    Transaction tx = blob(3);
    for (size_t i = 0; i < 3; ++i) { tx.blob_versioned_hashes[i][31] = static_cast<uint8_t>(i); }
    run(tx);
    EXPECT_EQ(m_.state.storage(self_address, U256{0}), U256{});
    EXPECT_EQ(m_.state.storage(self_address, U256{1}), U256{});
    EXPECT_EQ(m_.state.storage(self_address, U256{2}), shl(1, 248));
    EXPECT_EQ(m_.state.storage(self_address, U256{3}), shl(1, 248) + U256{2});
}

TEST(BlobFee, ScheduleByFork) {
    // EIP-4844 and EIP-7691: {target, max, update fraction}.
    EXPECT_EQ(ethereum_rules(Revision::cancun).blob, (BlobSchedule{3, 6, 3'338'477}));
    EXPECT_EQ(ethereum_rules(Revision::prague).blob, (BlobSchedule{6, 9, 5'007'716}));
    EXPECT_EQ(ethereum_rules(Revision::osaka).blob, (BlobSchedule{6, 9, 5'007'716}));
}

TEST(BlobFee, ReserveOfEip7918HoldsExactlyAboveItsBound) {
    // 2^13 * base_fee > 2^17 * blob_base_fee, so above 16 times the blob base fee of one.
    const auto next = [](uint64_t base_fee) {
        BlockHeader parent;
        parent.excess_blob_gas = 1'000'000;
        parent.blob_gas_used = 8u << 17;
        parent.base_fee_per_gas = U256{base_fee};
        return next_excess_blob_gas(ethereum_rules(Revision::osaka), parent);
    };
    EXPECT_EQ(next(16), 1'000'000u + (2u << 17)) << "used less the target";
    EXPECT_EQ(next(17), 1'000'000u + (8u << 17) * 3 / 9) << "used * (max - target) / max";
}

}  // namespace
}  // namespace millrace::evm
