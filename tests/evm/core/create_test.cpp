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

/// CREATE or CREATE2 with salt 0.
Code create_by(Opcode kind, ByteView init, const U256& value = 0) {
    return kind == Opcode::create ? create(init, value) : create2(init, 0, value);
}
std::vector<std::pair<Opcode, Revision>> both() {
    return {{Opcode::create, Revision::frontier}, {Opcode::create2, Revision::constantinople}};
}
std::optional<uint64_t> nonce_after(const Outcome& o, const Address& a) {
    const AccountChange* c = change_of(o.changes, a);
    return c == nullptr ? std::nullopt : c->nonce;
}

TEST(Create, CreatorsNonceCountsEveryCreationThatBegins) {
    struct Case {
        const char* what;
        Code init;
        uint64_t value;
        bool counts;
    };
    const std::vector<Case> cases = {
        {"success", Code().ret(0, 1), 0, true},
        {"no code", Code().op(Opcode::stop), 0, true},
        {"invalid", Code().op(Opcode::invalid), 0, true},
        {"underflow", Code().op(Opcode::add), 0, true},
        {"deposit beyond the gas", Code().ret(0, 5000), 0, true},
        {"too little balance", Code().op(Opcode::stop), 1, false},
    };
    for (const auto& [kind, since] : both()) {
        for (const Revision r : revisions(since)) {
            Machine m(r);
            for (const Case& c : cases) {
                SCOPED_TRACE(std::string(c.what) + " in " + std::string(to_string(r)));
                // The creator is a callee, so that the outer frame goes on in every fork.
                m.deploy(other_address, create_by(kind, c.init, c.value));
                m.state.set_nonce(other_address, 41);
                const Outcome o =
                    m.run(Code().call(other_address, 0, 900'000), {.gas = 10'000'000});
                const bool frame_failed = r >= Revision::homestead &&
                                          r < Revision::tangerine_whistle &&
                                          std::string_view(c.what) != "success" &&
                                          std::string_view(c.what) != "no code" && c.counts;
                if (frame_failed) { continue; }  // all gas went, nothing was left for the creator
                EXPECT_EQ(nonce_after(o, other_address).value_or(41), c.counts ? 42u : 41u);
            }
        }
    }
}

TEST(Create, NewContractHasNonceOneAndCreatesFromThere) {
    // EIP-161: the nonce begins at one; before, at zero.
    for (const Revision r : revisions()) {
        Machine m(r);
        const Code inner = Code().push_all(0, 0, 0).op(Opcode::create).sstore_top(0);
        const Outcome o = m.run(create(inner), {.gas = 10'000'000});
        const Address outer = create_address(self_address, 1);
        const AccountChange* c = change_of(o.changes, outer);
        ASSERT_NE(c, nullptr) << to_string(r);
        ASSERT_EQ(c->storage.size(), 1u);
        const uint64_t first = r >= Revision::spurious_dragon ? 1 : 0;
        EXPECT_EQ(to_address(c->storage[0].value), create_address(outer, first)) << to_string(r);
        EXPECT_EQ(c->nonce, first + 1);
    }
}

TEST(Create, HandsOnAllButOne64thFromEip150On) {
    for (const auto& [kind, since] : both()) {
        for (const Revision r : revisions(since)) {
            SCOPED_TRACE(to_string(r));
            Machine m(r);
            // The init code stores GAS in its own slot 0.
            const Code init = Code().op(Opcode::gas).sstore_top(0);
            const Code code = create_by(kind, init);
            const int64_t given = 500'000;
            // PUSH, PUSH, MSTORE and a word of memory; the operands; the instruction itself.
            int64_t price = 4 * 3 + (kind == Opcode::create ? 3 : 4) * 3 + 32000;
            if (kind == Opcode::create2) { price += 6; }
            if (r >= Revision::shanghai) { price += 2; }
            const int64_t left = given - price;
            const int64_t handed_on = r >= Revision::tangerine_whistle ? left - left / 64 : left;
            const Outcome o = m.run(code, {.gas = given});
            ASSERT_EQ(o.status, Status::success);
            const Address created = kind == Opcode::create ? create_address(self_address, 1)
                                                           : create2_address(self_address, 0, init);
            const AccountChange* c = change_of(o.changes, created);
            ASSERT_NE(c, nullptr);
            ASSERT_EQ(c->storage.size(), 1u);
            EXPECT_EQ(c->storage[0].value, U256{static_cast<uint64_t>(handed_on - 2)});
        }
    }
}

TEST(Create, DepositIsExactToTheLastUnit) {
    // 10 bytes: 2,000 gas. The init code costs 6 and one word of memory.
    for (const Revision r : revisions()) {
        SCOPED_TRACE(to_string(r));
        const auto deploys = [&](uint64_t gas) {
            Machine m(r);
            Transaction tx = m.transaction();
            tx.to.reset();
            tx.data = Code().ret(0, 10).bytes();
            const uint64_t intrinsic = intrinsic_gas(tx, m.rules).base;
            tx.gas_limit = intrinsic + gas;
            const auto result = m.execute(tx);
            EXPECT_TRUE(result.has_value());
            const Address created = create_address(sender_address, 0);
            const size_t size = m.state.code(m.state.code_hash(created))->size();
            return std::tuple{result->success(), size, result->gas_used - intrinsic,
                              m.state.account_exists(created)};
        };
        EXPECT_EQ(deploys(9 + 2000), (std::tuple{true, 10u, 2009u, true}));
        // EIP-2: from Homestead on the creation fails; before, it leaves an account without code
        // and gives the gas back.
        EXPECT_EQ(deploys(9 + 1999), r >= Revision::homestead
                                         ? (std::tuple{false, 0u, 2008u, false})
                                         : (std::tuple{true, 0u, 9u, true}));
    }
}

TEST(Create, CodeOfTheLargestSizeAndOneMore) {
    // EIP-170; too large code takes all gas.
    for (const Revision r : revisions()) {
        Machine m(r);
        const auto attempt = [&](uint64_t size) {
            Transaction tx = m.transaction();
            tx.to.reset();
            tx.gas_limit = 10'000'000;
            tx.data = Code().ret(0, size).bytes();
            return m.execute(tx);
        };
        EXPECT_EQ(attempt(0x6000)->status, Status::success) << to_string(r);
        const auto larger = attempt(0x6001);
        EXPECT_EQ(larger->status,
                  r >= Revision::spurious_dragon ? Status::code_size_exceeded : Status::success);
        if (!larger->success()) { EXPECT_EQ(larger->gas_used, 10'000'000u); }
    }
}

TEST(Create, FirstByteOfCodeByFork) {
    // EIP-3541 looks at the first byte only, and takes all gas.
    for (const Revision r : revisions()) {
        for (const auto& [code, starts_with_ef] :
             std::vector<std::pair<Bytes, bool>>{{{0xef}, true},
                                                 {{0xef, 0x00, 0x01}, true},
                                                 {{0xef, 0x01, 0x00}, true},
                                                 {{0xee}, false},
                                                 {{0xf0}, false},
                                                 {{0x00, 0xef}, false},
                                                 {{}, false}}) {
            Machine m(r);
            Transaction tx = m.transaction();
            tx.to.reset();
            tx.data = deployer(code).bytes();
            tx.gas_limit = 200'000;
            const auto result = m.execute(tx);
            const bool refused = starts_with_ef && r >= Revision::london;
            EXPECT_EQ(result->status, refused ? Status::code_starts_with_ef : Status::success)
                << to_string(r);
            if (refused) { EXPECT_EQ(result->gas_used, 200'000u); }
        }
    }
}

TEST(Create, InitCodeSizeLimitHoldsForBothInstructions) {
    for (const auto& [kind, since] : both()) {
        for (const Revision r : revisions(since)) {
            Machine m(r);
            const auto status = [&](uint64_t size) {
                Code c;
                if (kind == Opcode::create2) { c.push(0); }
                return m.run(c.push_all(size, 0, 0).op(kind), {.gas = 20'000'000}).status;
            };
            EXPECT_EQ(status(0xc000), Status::success);
            EXPECT_EQ(status(0xc001),
                      r >= Revision::shanghai ? Status::initcode_size_exceeded : Status::success)
                << to_string(r);
        }
    }
}

TEST(Create, NonceAtItsMaximumFailsSoftly) {
    // EIP-2681, for both instructions: nothing runs, the gas stays, the nonce stays.
    for (const auto& [kind, since] : both()) {
        for (const Revision r : revisions(since)) {
            Machine m(r);
            m.deploy(other_address, create_by(kind, Code().op(Opcode::invalid)).sstore_top(0));
            const auto with_nonce = [&](uint64_t nonce) {
                m.state.set_nonce(other_address, nonce);
                m.state.set_storage(other_address, U256{0}, U256{1});
                return m.run(Code().call(other_address, 0, 800'000));
            };
            const Outcome at_max = with_nonce(~uint64_t{0});
            EXPECT_LT(at_max.gas_used, 100'000) << to_string(r);
            EXPECT_EQ(change_of(at_max.changes, other_address)->storage[0].value, U256{0});
            EXPECT_FALSE(nonce_after(at_max, other_address).has_value());
            if (r >= Revision::tangerine_whistle) {
                EXPECT_EQ(nonce_after(with_nonce(~uint64_t{0} - 1), other_address), ~uint64_t{0});
            }
        }
    }
}

TEST(Create, DepthLimitFailsSoftly) {
    // Init code that copies itself into a creation, to the limit: before EIP-150 only depth ends
    // it. CODECOPY(0, 0, CODESIZE); CREATE(0, 0, CODESIZE); a zero result is stored in slot 0.
    Machine m(Revision::homestead);
    const Code init = Code()
                          .op(Opcode::codesize)
                          .push_all(0, 0)
                          .op(Opcode::codecopy)
                          .op(Opcode::codesize)
                          .push_all(0, 0)
                          .op(Opcode::create)
                          .op(Opcode::iszero)
                          .sstore_top(0);
    const Outcome o = m.run(init, {.gas = int64_t{1} << 40});
    ASSERT_EQ(o.status, Status::success);
    // self_address at depth 0 and 1,024 creations below; the last one failed to go further.
    size_t created = 0;
    size_t failed = 0;
    for (const AccountChange& c : o.changes.accounts) {
        if (c.storage_wiped) { ++created; }
        if (!c.storage.empty()) { ++failed; }
    }
    EXPECT_EQ(created, 1024u);
    EXPECT_EQ(failed, 1u);
}

TEST(Create, ValueGoesToTheNewContractOnTopOfWhatWasThere) {
    for (const auto& [kind, since] : both()) {
        for (const Revision r : revisions(since)) {
            Machine m(r);
            m.state.set_balance(self_address, U256{50});
            const Code init = Code().op(Opcode::callvalue).sstore_top(0);
            const Address created = kind == Opcode::create ? create_address(self_address, 1)
                                                           : create2_address(self_address, 0, init);
            m.state.set_balance(created, U256{7});
            const Outcome o = m.run(create_by(kind, init, 20));
            m.state.apply(o.changes, r >= Revision::spurious_dragon);
            EXPECT_EQ(m.state.balance(created), U256{27}) << to_string(r);
            EXPECT_EQ(m.state.balance(self_address), U256{30});
            EXPECT_EQ(m.state.storage(created, U256{0}), U256{20});
            // When it fails, the value comes back and the balance stays.
            Machine n(r);
            n.state.set_balance(self_address, U256{50});
            n.deploy(other_address, create_by(kind, Code().op(Opcode::invalid), 20));
            n.state.set_balance(other_address, U256{30});
            const Outcome failed = n.run(Code().call(other_address, 0, 500'000));
            n.state.apply(failed.changes, r >= Revision::spurious_dragon);
            EXPECT_EQ(n.state.balance(other_address), U256{30});
        }
    }
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

TEST(Create, StopAndEmptyInitCodeLeaveAnAccountWithoutCode) {
    for (const Revision r : revisions(Revision::spurious_dragon)) {
        Machine m(r);
        const Outcome o = m.run(Code().push_all(0, 0, 0).op(Opcode::create).ret_top());
        const Address created = create_address(self_address, 1);
        EXPECT_EQ(to_address(o.word()), created);
        m.state.apply(o.changes, true);
        EXPECT_EQ(m.state.nonce(created), 1u);
        EXPECT_EQ(m.state.code_hash(created), kernels::keccak256_of_empty);
    }
}

TEST(CreateAddress, OfNoncesAroundEveryLengthOfTheirEncoding) {
    // keccak(rlp([sender, nonce])), with the RLP written out: nonces from 0x80 on have a header.
    const auto by_hand = [](std::string_view nonce_rlp, uint8_t list) {
        Bytes b{list, 0x94};
        b.insert(b.end(), self_address.begin(), self_address.end());
        const Bytes n = from_hex(nonce_rlp).value();
        b.insert(b.end(), n.begin(), n.end());
        return Address::from(kernels::keccak256(b).view().subspan(12));
    };
    EXPECT_EQ(create_address(self_address, 0), by_hand("80", 0xd6));
    EXPECT_EQ(create_address(self_address, 1), by_hand("01", 0xd6));
    EXPECT_EQ(create_address(self_address, 0x7f), by_hand("7f", 0xd6));
    EXPECT_EQ(create_address(self_address, 0x80), by_hand("8180", 0xd7));
    EXPECT_EQ(create_address(self_address, 0xff), by_hand("81ff", 0xd7));
    EXPECT_EQ(create_address(self_address, 0x100), by_hand("820100", 0xd8));
    EXPECT_EQ(create_address(self_address, ~uint64_t{0} - 1), by_hand("88fffffffffffffffe", 0xde));
}

}  // namespace
}  // namespace millrace::evm
