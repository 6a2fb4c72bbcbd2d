// SPDX-License-Identifier: Apache-2.0
// Owns the tests of intrinsic gas by fork: EIP-2, 2028, 2930, 3860, 7702.
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using IntrinsicGas = TransactionTest;

TEST_F(IntrinsicGas, ByFork) {
    Transaction tx = m_.transaction();
    tx.data = {0, 0, 0, 1, 2};
    const auto base = [&](Revision r) { return intrinsic_gas(tx, ethereum_rules(r)).base; };
    EXPECT_EQ(base(Revision::frontier), 21'000u + 3 * 4 + 2 * 68);
    EXPECT_EQ(base(Revision::petersburg), 21'000u + 3 * 4 + 2 * 68);
    EXPECT_EQ(base(Revision::istanbul), 21'000u + 3 * 4 + 2 * 16) << "EIP-2028";
    tx.to.reset();
    EXPECT_EQ(base(Revision::frontier), 21'000u + 3 * 4 + 2 * 68);
    EXPECT_EQ(base(Revision::homestead), 53'000u + 3 * 4 + 2 * 68);
    EXPECT_EQ(base(Revision::paris), 53'000u + 3 * 4 + 2 * 16);
    EXPECT_EQ(base(Revision::shanghai), 53'000u + 3 * 4 + 2 * 16 + 2) << "EIP-3860";
    tx.to = other_address;
    tx.access_list = {{other_address, {to_hash(U256{1}), to_hash(U256{2})}}, {other_address, {}}};
    EXPECT_EQ(base(Revision::berlin), 21'000u + 44 + 2 * 2400 + 2 * 1900)
        << "EIP-2930, duplicates included";
}

TEST_F(IntrinsicGas, OfCallDataByForkAndByte) {
    // 4 per zero byte; 68 per other byte, 16 from Istanbul on (EIP-2028).
    for (const Revision r : revisions()) {
        const auto gas = [&](Bytes data) {
            Transaction tx;
            tx.to = other_address;
            tx.data = std::move(data);
            return intrinsic_gas(tx, ethereum_rules(r)).base;
        };
        const uint64_t non_zero = r >= Revision::istanbul ? 16 : 68;
        EXPECT_EQ(gas({}), 21'000u);
        EXPECT_EQ(gas({0x00}), 21'004u);
        EXPECT_EQ(gas({0x01}), 21'000u + non_zero);
        EXPECT_EQ(gas({0xff, 0x00, 0x80}), 21'000u + 2 * non_zero + 4);
    }
}

TEST_F(IntrinsicGas, OfCreationsByFork) {
    for (const Revision r : revisions()) {
        const auto gas = [&](size_t size) {
            Transaction tx;
            tx.data = Bytes(size);
            return intrinsic_gas(tx, ethereum_rules(r)).base - 4 * size;
        };
        // EIP-2: 32,000 more from Homestead on. EIP-3860: 2 per word from Shanghai on.
        const uint64_t base = r >= Revision::homestead ? 53'000 : 21'000;
        const uint64_t word = r >= Revision::shanghai ? 2 : 0;
        EXPECT_EQ(gas(0), base) << to_string(r);
        EXPECT_EQ(gas(1), base + word);
        EXPECT_EQ(gas(32), base + word);
        EXPECT_EQ(gas(33), base + 2 * word);
        EXPECT_EQ(gas(0xc000), base + 0x600 * word);
    }
}

TEST_F(IntrinsicGas, OfAuthorizations) {
    // EIP-7702: 25,000 each.
    Transaction tx;
    tx.type = TxType::set_code;
    tx.to = other_address;
    tx.authorization_list.resize(3);
    EXPECT_EQ(intrinsic_gas(tx, ethereum_rules(Revision::prague)).base, 96'000u);
}

TEST_F(IntrinsicGas, MustBeCoveredToTheLastUnit) {
    for (const Revision r : revisions()) {
        Machine m(r);
        Transaction tx = m.transaction();
        tx.to = other_address;
        tx.gas_limit = 20'999;
        EXPECT_EQ(m.execute(tx).error(), TxError::intrinsic_gas_too_low) << to_string(r);
        tx.gas_limit = 21'000;
        EXPECT_EQ(m.execute(tx)->gas_used, 21'000u) << to_string(r);
    }
}

}  // namespace
}  // namespace millrace::evm
