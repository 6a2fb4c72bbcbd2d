// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the code that a creation leaves: deposit, EIP-170, EIP-3541, EIP-3860.
#include "tests/evm/core/creation.hpp"

namespace millrace::evm {
namespace {

using namespace test;

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
    for (const auto& [kind, since] : creations()) {
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

}  // namespace
}  // namespace millrace::evm
