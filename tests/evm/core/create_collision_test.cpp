// SPDX-License-Identifier: Apache-2.0
// Owns the tests of creations onto an address that is taken: EIP-684 and EIP-7610.
#include "tests/evm/core/creation.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(Create, CollisionFailsAndTakesTheGas) {
    const Code init = deployer(Bytes{0x00});
    const Address target = create2_address(self_address, 7, init);
    const auto run = [&](const std::function<void(Machine&)>& prepare) {
        Machine m;
        prepare(m);
        return m.run(create2(init, 7).ret_top(), {.gas = 100'000});
    };
    EXPECT_EQ(to_address(run([](Machine&) {}).word()), target);
    EXPECT_EQ(to_address(run([&](Machine& m) { m.state.set_balance(target, U256{5}); }).word()),
              target)
        << "a balance is no obstacle";
    const std::vector<std::pair<std::string, std::function<void(Machine&)>>> obstacles = {
        {"nonce", [&](Machine& m) { m.state.set_nonce(target, 1); }},
        {"code", [&](Machine& m) { m.state.set_code(target, Bytes{0x00}); }},
        {"storage", [&](Machine& m) { m.state.set_storage(target, U256{1}, U256{1}); }}};
    for (const auto& [name, prepare] : obstacles) {
        const Outcome o = run(prepare);
        EXPECT_EQ(o.word(), U256{0}) << name;
        EXPECT_GT(o.gas_used, 98'000) << name;
        EXPECT_EQ(change_of(o.changes, self_address)->nonce, 2u) << name;
    }
}

TEST(Create, TwiceTheSameCreate2AddressFails) {
    Machine m;
    const Code init = deployer(Bytes{0x00});
    const Outcome o = m.run(create2(init, 7).op(Opcode::pop).append(create2(init, 7)).ret_top());
    EXPECT_EQ(o.word(), U256{0});
}

TEST(Create, CollisionByFork) {
    // A nonce or code blocks an address in every fork (EIP-684), storage alone does so by EIP-7610.
    for (const Revision r : revisions()) {
        SCOPED_TRACE(to_string(r));
        const Address target = create_address(sender_address, 0);
        const auto creation = [&](const std::function<void(Machine&)>& prepare) {
            Machine m(r);
            prepare(m);
            Transaction tx = m.transaction();
            tx.to.reset();
            tx.gas_limit = 200'000;
            tx.data = {0x00};
            return *m.execute(tx);
        };
        EXPECT_TRUE(creation([](Machine&) {}).success());
        EXPECT_TRUE(creation([&](Machine& m) { m.state.set_balance(target, U256{1}); }).success());
        for (const auto& prepare : std::vector<std::function<void(Machine&)>>{
                 [&](Machine& m) { m.state.set_nonce(target, 1); },
                 [&](Machine& m) { m.state.set_code(target, Bytes{0x00}); },
                 [&](Machine& m) { m.state.set_storage(target, U256{9}, U256{1}); }}) {
            const TransactionResult result = creation(prepare);
            EXPECT_EQ(result.status, Status::address_collision);
            EXPECT_EQ(result.gas_used, 200'000u) << "all gas";
            EXPECT_FALSE(result.created.has_value());
        }
    }
}

TEST(Create, SelfdestructedContractStillBlocksItsAddressInTheSameTransaction) {
    // CREATE2, destroy, CREATE2 again: the account is only removed at the end.
    for (const Revision r : {Revision::constantinople, Revision::shanghai, Revision::osaka}) {
        Machine m(r);
        const Code init = Code().push(0).op(Opcode::selfdestruct);
        const Code code = create2(init, 0).sstore_top(1).append(create2(init, 0)).sstore_top(2);
        const Outcome o = m.run(code, {.gas = 5'000'000});
        const AccountChange* c = change_of(o.changes, self_address);
        ASSERT_EQ(c->storage.size(), 1u) << "only the first one succeeded";
        EXPECT_EQ(c->storage[0].key, U256{1});
        m.state.apply(o.changes, true);
        EXPECT_FALSE(m.state.account_exists(create2_address(self_address, 0, init)));
        m.state.set_nonce(self_address, 1);
        EXPECT_NE(m.run(create2(init, 0).ret_top()).word(), U256{}) << "and afterwards it is free";
    }
}

}  // namespace
}  // namespace millrace::evm
