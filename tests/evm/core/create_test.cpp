// SPDX-License-Identifier: Apache-2.0
// Owns the tests of contract creation: nonces, value, gas handed on, depth, failure.
#include "tests/evm/core/creation.hpp"

namespace millrace::evm {
namespace {

using namespace test;

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
    for (const auto& [kind, since] : creations()) {
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
    for (const auto& [kind, since] : creations()) {
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

TEST(Create, NonceAtItsMaximumFailsSoftly) {
    // EIP-2681, for both instructions: nothing runs, the gas stays, the nonce stays.
    for (const auto& [kind, since] : creations()) {
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
    for (const auto& [kind, since] : creations()) {
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

}  // namespace
}  // namespace millrace::evm
