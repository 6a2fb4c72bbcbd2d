// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-2930: access lists.
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using AccessList = TransactionTest;

TEST_F(AccessList, WarmsAccountsAndSlots) {
    m_.deploy(self_address,
              Code().push(1).op(Opcode::sload).push(other_address).op(Opcode::balance));
    Transaction tx = m_.transaction();
    const uint64_t cold = run(tx).gas_used;
    EXPECT_EQ(cold, 21'000u + 6 + 2100 + 2600);
    tx = m_.transaction();
    tx.type = TxType::access_list;
    tx.chain_id = 1;
    tx.access_list = {{self_address, {to_hash(U256{1})}}, {other_address, {}}};
    EXPECT_EQ(run(tx).gas_used, 21'000u + 2 * 2400 + 1900 + 6 + 100 + 100);
}

Transaction with_list(Machine& m, std::vector<AccessListEntry> list) {
    Transaction tx = m.transaction();
    tx.type = TxType::access_list;
    tx.chain_id = 1;
    tx.access_list = std::move(list);
    return tx;
}

TEST_F(AccessList, IsPaidPerEntryAlsoWhenItRepeatsOrIsNotUsed) {
    for (const Revision r : revisions(Revision::berlin)) {
        Machine m(r);
        const auto gas = [&](std::vector<AccessListEntry> list) {
            return intrinsic_gas(with_list(m, std::move(list)), m.rules).base - 21'000;
        };
        const Hash256 key = to_hash(U256{1});
        EXPECT_EQ(gas({}), 0u);
        EXPECT_EQ(gas({{other_address, {}}}), 2400u);
        EXPECT_EQ(gas({{other_address, {key}}}), 4300u);
        EXPECT_EQ(gas({{other_address, {key, key}}, {other_address, {key}}}),
                  2u * 2400 + 3u * 1900);
        EXPECT_EQ(gas({{address_of(1), {}}}), 2400u) << "a precompile is warm anyway";
    }
}

TEST_F(AccessList, WarmsSlotsOfAccountsThatDoNotRun) {
    // A slot is warm for its account only.
    Machine m;
    m.deploy(self_address, Code().push(1).op(Opcode::sload));
    Transaction tx = with_list(m, {{other_address, {to_hash(U256{1})}}});
    EXPECT_EQ(m.execute(tx)->gas_used, 21'000u + 4300 + 3 + 2100);
}

TEST_F(AccessList, StaysWarmWhenAFrameReverts) {
    Machine m;
    m.deploy(other_address, Code().push(1).op(Opcode::sload).revert(0, 0));
    m.deploy(self_address,
             Code().delegatecall(other_address, 50'000).pop().push(1).op(Opcode::sload));
    Transaction tx = with_list(m, {{self_address, {to_hash(U256{1})}}, {other_address, {}}});
    EXPECT_EQ(m.execute(tx)->gas_used,
              21'000u + 2 * 2400 + 1900 + 18 + 100 + (3 + 100 + 6) + 2 + 3 + 100);
}

TEST_F(AccessList, OfALaterTypeCountsToo) {
    Machine m;
    Transaction tx = with_list(m, {{other_address, {}}});
    tx.type = TxType::dynamic_fee;
    EXPECT_EQ(intrinsic_gas(tx, m.rules).base, 23'400u);
}

}  // namespace
}  // namespace millrace::evm
