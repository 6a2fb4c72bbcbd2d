// SPDX-License-Identifier: Apache-2.0
// Owns the tests of what storage costs in each fork, by the tables of the EIPs.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

struct Row {
    uint64_t original;
    std::vector<uint64_t> writes;
    int64_t gas;
    int64_t refund;
};

/// Writes the values one after the other to slot 0; the PUSHes are part of the gas, as in the EIPs.
void expect_rows(Revision revision, const std::vector<Row>& rows) {
    for (const Row& row : rows) {
        std::string name = std::string(to_string(revision)) + ": " + std::to_string(row.original);
        Code code;
        for (const uint64_t v : row.writes) {
            code.sstore(0, v);
            name += " -> " + std::to_string(v);
        }
        SCOPED_TRACE(name);
        Machine m(revision);
        m.state.set_storage(self_address, U256{0}, U256{row.original});
        const Outcome o = m.run(code);
        EXPECT_EQ(o.status, Status::success);
        EXPECT_EQ(o.gas_used, row.gas);
        EXPECT_EQ(o.refund, row.refund);
        const AccountChange* c = change_of(o.changes, self_address);
        if (row.writes.back() == row.original) {
            EXPECT_TRUE(c == nullptr || c->storage.empty());
        } else {
            ASSERT_NE(c, nullptr);
            EXPECT_EQ(c->storage, (std::vector<StorageWrite>{{U256{0}, U256{row.writes.back()}}}));
        }
    }
}

TEST(StorageGas, FlatBeforeConstantinopleAndInPetersburg) {
    for (const Revision r :
         {Revision::frontier, Revision::homestead, Revision::tangerine_whistle,
          Revision::spurious_dragon, Revision::byzantium, Revision::petersburg}) {
        expect_rows(r, {{0, {0, 0}, 10012, 0},
                        {0, {0, 1}, 25012, 0},
                        {0, {1, 0}, 25012, 15000},
                        {0, {1, 2}, 25012, 0},
                        {0, {1, 1}, 25012, 0},
                        {1, {0, 0}, 10012, 15000},
                        {1, {0, 1}, 25012, 15000},
                        {1, {2, 0}, 10012, 15000},
                        {1, {2, 3}, 10012, 0},
                        {1, {1, 1}, 10012, 0},
                        {0, {1, 0, 1}, 45018, 15000},
                        {1, {0, 1, 0}, 30018, 30000}});
    }
}

TEST(StorageGas, NetMeteredByEip1283InConstantinople) {
    expect_rows(Revision::constantinople, {{0, {0, 0}, 412, 0},
                                           {0, {0, 1}, 20212, 0},
                                           {0, {1, 0}, 20212, 19800},
                                           {0, {1, 2}, 20212, 0},
                                           {0, {1, 1}, 20212, 0},
                                           {1, {0, 0}, 5212, 15000},
                                           {1, {0, 1}, 5212, 4800},
                                           {1, {0, 2}, 5212, 0},
                                           {1, {2, 0}, 5212, 15000},
                                           {1, {2, 3}, 5212, 0},
                                           {1, {2, 1}, 5212, 4800},
                                           {1, {2, 2}, 5212, 0},
                                           {1, {1, 0}, 5212, 15000},
                                           {1, {1, 2}, 5212, 0},
                                           {1, {1, 1}, 412, 0},
                                           {0, {1, 0, 1}, 40218, 19800},
                                           {1, {0, 1, 0}, 10218, 19800}});
}

TEST(StorageGas, NetMeteredByEip2200InIstanbul) {
    expect_rows(Revision::istanbul, {{0, {0, 0}, 1612, 0},
                                     {0, {0, 1}, 20812, 0},
                                     {0, {1, 0}, 20812, 19200},
                                     {0, {1, 2}, 20812, 0},
                                     {0, {1, 1}, 20812, 0},
                                     {1, {0, 0}, 5812, 15000},
                                     {1, {0, 1}, 5812, 4200},
                                     {1, {0, 2}, 5812, 0},
                                     {1, {2, 0}, 5812, 15000},
                                     {1, {2, 3}, 5812, 0},
                                     {1, {2, 1}, 5812, 4200},
                                     {1, {2, 2}, 5812, 0},
                                     {1, {1, 0}, 5812, 15000},
                                     {1, {1, 2}, 5812, 0},
                                     {1, {1, 1}, 1612, 0},
                                     {0, {1, 0, 1}, 40818, 19200},
                                     {1, {0, 1, 0}, 10818, 19200}});
}

TEST(StorageGas, ColdAndWarmByEip2929InBerlin) {
    expect_rows(Revision::berlin, {{0, {0, 0}, 2312, 0},
                                   {0, {0, 1}, 22212, 0},
                                   {0, {1, 0}, 22212, 19900},
                                   {0, {1, 2}, 22212, 0},
                                   {0, {1, 1}, 22212, 0},
                                   {1, {0, 0}, 5112, 15000},
                                   {1, {0, 1}, 5112, 2800},
                                   {1, {0, 2}, 5112, 0},
                                   {1, {2, 0}, 5112, 15000},
                                   {1, {2, 3}, 5112, 0},
                                   {1, {2, 1}, 5112, 2800},
                                   {1, {2, 2}, 5112, 0},
                                   {1, {1, 0}, 5112, 15000},
                                   {1, {1, 2}, 5112, 0},
                                   {1, {1, 1}, 2312, 0},
                                   {0, {1, 0, 1}, 42218, 19900},
                                   {1, {0, 1, 0}, 8018, 17800}});
}

TEST(StorageGas, SmallerRefundsByEip3529FromLondonOn) {
    for (const Revision r : {Revision::london, Revision::shanghai, Revision::osaka}) {
        expect_rows(r, {{1, {0, 0}, 5112, 4800},
                        {1, {0, 1}, 5112, 2800},
                        {1, {2, 0}, 5112, 4800},
                        {1, {2, 1}, 5112, 2800},
                        {0, {1, 0}, 22212, 19900},
                        {0, {1, 0, 1}, 42218, 19900},
                        {1, {0, 1, 0}, 8018, 7600}});
    }
}

TEST(StorageGas, SentryOfEip2200) {
    for (const Revision r : {Revision::byzantium, Revision::istanbul, Revision::osaka}) {
        Machine m(r);
        m.state.set_storage(self_address, U256{0}, U256{1});
        // Writing what is there costs little, but 2,300 gas or less are never enough from Istanbul
        // on.
        const Outcome poor = m.run(Code().sstore(0, 1), {.gas = 6 + 2300});
        const bool sentry = r >= Revision::istanbul;
        EXPECT_EQ(poor.status, Status::out_of_gas);
        const Outcome enough = m.run(Code().sstore(0, 1), {.gas = 6 + 2301});
        EXPECT_EQ(enough.status, sentry ? Status::success : Status::out_of_gas) << to_string(r);
    }
}

TEST(StorageGas, LoadsByFork) {
    const std::vector<std::pair<Revision, std::pair<int64_t, int64_t>>> costs = {
        {Revision::frontier, {50, 50}},     {Revision::tangerine_whistle, {200, 200}},
        {Revision::petersburg, {200, 200}}, {Revision::istanbul, {800, 800}},
        {Revision::berlin, {2100, 100}},    {Revision::osaka, {2100, 100}}};
    for (const auto& [revision, cost] : costs) {
        Machine m(revision);
        EXPECT_EQ(m.run(Code().push(1).op(Opcode::sload)).gas_used, 3 + cost.first)
            << to_string(revision);
        EXPECT_EQ(m.run(Code().push(1).op(Opcode::sload).push(1).op(Opcode::sload)).gas_used,
                  6 + cost.first + cost.second);
    }
}

TEST(StorageGas, WholeTableOfEip3529) {
    // The table of the EIP, with 2,100 for the cold slot and 3 for each PUSH.
    expect_rows(Revision::london, {{0, {0, 0}, 2312, 0},
                                   {0, {0, 1}, 22212, 0},
                                   {0, {1, 0}, 22212, 19900},
                                   {0, {1, 2}, 22212, 0},
                                   {0, {1, 1}, 22212, 0},
                                   {1, {0, 0}, 5112, 4800},
                                   {1, {0, 1}, 5112, 2800},
                                   {1, {0, 2}, 5112, 0},
                                   {1, {2, 0}, 5112, 4800},
                                   {1, {2, 3}, 5112, 0},
                                   {1, {2, 1}, 5112, 2800},
                                   {1, {2, 2}, 5112, 0},
                                   {1, {1, 0}, 5112, 4800},
                                   {1, {1, 2}, 5112, 0},
                                   {1, {1, 1}, 2312, 0},
                                   {0, {1, 0, 1}, 42218, 19900},
                                   {1, {0, 1, 0}, 8018, 7600}});
}

TEST(StorageGas, FirstWriteIsExactInEveryFork) {
    struct Case {
        uint64_t original;
        uint64_t value;
        std::vector<Since> gas;
    };
    using R = Revision;
    const std::vector<Case> cases = {
        {0, 1, {{R::frontier, 20000}, {R::berlin, 22100}}},
        {1, 2, {{R::frontier, 5000}}},
        {1, 0, {{R::frontier, 5000}}},
        {1,
         1,
         {{R::frontier, 5000},
          {R::constantinople, 200},
          {R::petersburg, 5000},
          {R::istanbul, 800},
          {R::berlin, 2200}}},
        {0,
         0,
         {{R::frontier, 5000},
          {R::constantinople, 200},
          {R::petersburg, 5000},
          {R::istanbul, 800},
          {R::berlin, 2200}}},
    };
    for (const Case& c : cases) {
        for (const Revision r : revisions()) {
            SCOPED_TRACE(std::to_string(c.original) + " -> " + std::to_string(c.value) + " in " +
                         std::string(to_string(r)));
            Machine m(r);
            m.state.set_storage(self_address, U256{0}, U256{c.original});
            const int64_t price = 6 + at(c.gas, r);
            EXPECT_EQ(m.run(Code().sstore(0, c.value)).gas_used, price);
            // The sentry of EIP-2200 wants 2,301 to be there even for less.
            const int64_t least = r >= R::istanbul ? std::max<int64_t>(price, 6 + 2301) : price;
            EXPECT_EQ(m.run(Code().sstore(0, c.value), {.gas = least}).status, Status::success);
            EXPECT_EQ(m.run(Code().sstore(0, c.value), {.gas = least - 1}).status,
                      Status::out_of_gas);
        }
    }
}

TEST(StorageGas, OriginalIsTheValueBeforeTheTransactionInEveryFrame) {
    // A callee in the same storage sees the caller's write as current, not as original.
    for (const Revision r : revisions(Revision::istanbul)) {
        Machine m(r);
        m.state.set_storage(self_address, U256{0}, U256{1});
        m.deploy(other_address, Code().sstore(0, 1));
        const int64_t clear = r >= Revision::london ? 4800 : 15000;
        const int64_t restore = r >= Revision::berlin ? 2800 : 4200;
        // Cleared, then restored by the callee: the clearing refund is taken back.
        EXPECT_EQ(m.run(Code().sstore(0, 0).delegatecall(other_address, 100'000)).refund, restore);
        // A failed frame's write is neither current nor original afterwards.
        m.deploy(other_address, Code().sstore(0, 7).op(Opcode::invalid));
        EXPECT_EQ(m.run(Code().delegatecall(other_address, 100'000).pop().sstore(0, 0)).refund,
                  clear);
        EXPECT_EQ(m.run(Code().sstore(0, 0).delegatecall(other_address, 100'000).pop().sstore(0, 1))
                      .refund,
                  restore);
    }
}

TEST(StorageGas, NewContractsHaveNoOriginalValues) {
    // Whatever lay at the address before, SSTORE in its init code sets a slot from zero.
    Machine m;
    const Code init = Code().sstore(0, 1).sstore(0, 0);
    const Outcome o = m.run(Code().put(init).push_all(init.size(), 0, 0).op(Opcode::create));
    EXPECT_EQ(o.refund, 19'900);
}

}  // namespace
}  // namespace millrace::evm
