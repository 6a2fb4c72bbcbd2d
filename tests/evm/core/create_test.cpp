// SPDX-License-Identifier: Apache-2.0
// Owns the tests of contract creation: addresses, collisions, code deposit, size limits.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

/// CREATE of init code in memory; leaves the address.
Code create(ByteView init, const U256& value = 0) {
    return Code().put(init).push_all(init.size(), 0).push(value).op(Opcode::create);
}
Code create2(ByteView init, const U256& salt, const U256& value = 0) {
    return Code().put(init).push(salt).push_all(init.size(), 0).push(value).op(Opcode::create2);
}

TEST(CreateAddress, KnownValues) {
    const Address sender = address_literal("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0");
    EXPECT_EQ(create_address(sender, 0),
              address_literal("0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"));
    EXPECT_EQ(create_address(sender, 1),
              address_literal("0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"));
    EXPECT_EQ(create_address(sender, 2),
              address_literal("0xf778b86fa74e846c4f0a1fbd1335fe81c00a0c91"));
    EXPECT_NE(create_address(sender, 127), create_address(sender, 128));
}

TEST(CreateAddress, ExamplesOfEip1014) {
    EXPECT_EQ(create2_address({}, 0, Bytes{0x00}),
              address_literal("0x4d1a2e2bb4f88f0250f26ffff098b0b30b26bf38"));
    EXPECT_EQ(create2_address(address_literal("0xdeadbeef00000000000000000000000000000000"), 0,
                              Bytes{0x00}),
              address_literal("0xb928f69bb1d91cd65274e3c79d8986362984fda3"));
    EXPECT_EQ(create2_address(address_literal("0x00000000000000000000000000000000deadbeef"),
                              0xcafebabe, from_hex("deadbeef").value()),
              address_literal("0x60f3f640a8508fc6a86d45df051962668e1e8ac7"));
    EXPECT_EQ(create2_address({}, 0, {}),
              address_literal("0xe33c0c7f7df4809055c3eba6c09cfe4baf1bd9e0"));
}

TEST(Create, DeploysCodeWithNonceOneAndValue) {
    Machine m;
    m.state.set_balance(self_address, U256{50});
    const Bytes runtime = {0x60, 0x2a};
    const Outcome o = m.run(create(deployer(runtime), 9).ret_top());
    const Address expected = create_address(self_address, 1);
    EXPECT_EQ(to_address(o.word()), expected);
    const AccountChange* c = change_of(o.changes, expected);
    ASSERT_NE(c, nullptr);
    EXPECT_EQ(c->nonce, 1u);
    EXPECT_EQ(c->credit, U256{9});
    EXPECT_EQ(*c->code, runtime);
    EXPECT_EQ(c->code_hash, kernels::keccak256(runtime));
    EXPECT_EQ(change_of(o.changes, self_address)->nonce, 2u);
    EXPECT_EQ(change_of(o.changes, self_address)->debit, U256{9});
}

TEST(Create, NonceOfTheNewContractIsZeroBeforeEip161) {
    Machine m(Revision::homestead);
    const Outcome o = m.run(create(deployer(Bytes{0x00})).ret_top());
    const AccountChange* c = change_of(o.changes, to_address(o.word()));
    ASSERT_NE(c, nullptr);
    EXPECT_FALSE(c->nonce.has_value());
}

TEST(Create, GasOfInitCodeHashAndDeposit) {
    // Three PUSHes, CREATE, memory of one word, and what the init code itself costs.
    const Code init = deployer(Bytes{0x00});
    ASSERT_LE(init.size(), 32u);
    const int64_t init_gas = 3 + 3 + 6 + 3 + 6;
    const int64_t base = 9 + 3 + 9 + 32000 + init_gas + 200;
    const auto gas = [&](Revision r, const Code& code) { return Machine(r).run(code).gas_used; };
    EXPECT_EQ(gas(Revision::london, create(init)), base - 3);
    EXPECT_EQ(gas(Revision::shanghai, create(init)), base - 3 + 2)
        << "EIP-3860: 2 per word of init code";
    EXPECT_EQ(gas(Revision::london, create2(init, 0)), base + 6) << "CREATE2 hashes the init code";
    EXPECT_EQ(gas(Revision::shanghai, create2(init, 0)), base + 6 + 2);
}

TEST(Create, RevertGivesDataAndGasBackAndKeepsTheNonce) {
    Machine m;
    const Code init = Code().mstore(0, 0xee).revert(0, 32);
    const Outcome o = m.run(create(init).op(Opcode::pop).op(Opcode::returndatasize).ret_top());
    EXPECT_EQ(o.word(), U256{32});
    EXPECT_EQ(change_of(o.changes, self_address)->nonce, 2u);
    EXPECT_EQ(m.value_of(create(init)), U256{0});
    const Outcome invalid = m.run(create(Code().op(Opcode::invalid)), {.gas = 100'000});
    EXPECT_EQ(invalid.status, Status::success);
    EXPECT_GT(invalid.gas_used, 98'000) << "all but one 64th is gone";
}

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

TEST(Create, CodeThatStartsWithEfIsRefusedFromLondonOn) {
    for (const auto& [revision, refused] :
         {std::pair{Revision::berlin, false}, std::pair{Revision::london, true},
          std::pair{Revision::osaka, true}}) {
        Machine m(revision);
        EXPECT_EQ(m.value_of(create(deployer(Bytes{0xef, 0x00}))).is_zero(), refused)
            << to_string(revision);
        EXPECT_FALSE(m.value_of(create(deployer(Bytes{0xfe, 0xef}))).is_zero());
    }
}

TEST(Create, CodeSizeLimitOfEip170) {
    const auto deploys = [](Revision r, uint64_t size) {
        Machine m(r);
        return !m.run(create(Code().ret(0, size)).ret_top(), {.gas = 20'000'000}).word().is_zero();
    };
    EXPECT_TRUE(deploys(Revision::spurious_dragon, 0x6000));
    EXPECT_FALSE(deploys(Revision::spurious_dragon, 0x6001));
    EXPECT_FALSE(deploys(Revision::osaka, 0x6001));
    EXPECT_TRUE(deploys(Revision::homestead, 0x6001));
}

TEST(Create, InitCodeSizeLimitOfEip3860) {
    const auto status = [](Revision r, uint64_t size) {
        return Machine(r)
            .run(Code().push_all(size, 0, 0).op(Opcode::create), {.gas = 20'000'000})
            .status;
    };
    EXPECT_EQ(status(Revision::shanghai, 0xc000), Status::success);
    EXPECT_EQ(status(Revision::shanghai, 0xc001), Status::initcode_size_exceeded);
    EXPECT_EQ(status(Revision::paris, 0xc001), Status::success);
}

TEST(Create, DepositThatCannotBePaid) {
    // 100 bytes of code need 20,000 gas that the frame does not have.
    const auto run = [](Revision r) {
        Machine m(r);
        return m.run(create(Code().ret(0, 100)).ret_top(), {.gas = 32'000 + 5'000});
    };
    EXPECT_EQ(run(Revision::homestead).status, Status::out_of_gas)
        << "no gas is left for the caller before EIP-150";
    const Outcome frontier = run(Revision::frontier);
    EXPECT_EQ(frontier.status, Status::success);
    EXPECT_FALSE(frontier.word().is_zero()) << "Frontier keeps an account without code";
    const Outcome later = run(Revision::osaka);
    EXPECT_EQ(later.word(), U256{0});
}

TEST(Create, TooLittleBalanceNeitherRunsNorCounts) {
    Machine m;
    const Outcome o = m.run(create(deployer(Bytes{0x00}), 1).ret_top());
    EXPECT_EQ(o.word(), U256{0});
    EXPECT_TRUE(change_of(o.changes, self_address) == nullptr ||
                !change_of(o.changes, self_address)->nonce);
    m.deploy(self_address, {});
    m.state.set_nonce(self_address, ~uint64_t{0});
    // Machine::run sets the nonce back, so the limit is reached through another contract.
    m.deploy(other_address, create(deployer(Bytes{0x00})).ret_top());
    m.state.set_nonce(other_address, ~uint64_t{0});
    const Outcome limit = m.run(Code()
                                    .push_all(32, 0, 0, 0, 0)
                                    .push(other_address)
                                    .push(200'000)
                                    .op(Opcode::call)
                                    .op(Opcode::pop)
                                    .ret(0, 32));
    EXPECT_EQ(limit.word(), U256{0}) << "EIP-2681";
}

}  // namespace
}  // namespace millrace::evm
