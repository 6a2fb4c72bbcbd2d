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

TEST(StorageGas, AccountAccessByFork) {
    struct Cost {
        Revision revision;
        int64_t balance, extcodesize, extcodehash, again;
    };
    for (const Cost& c : std::vector<Cost>{{Revision::frontier, 20, 20, -1, 20},
                                           {Revision::tangerine_whistle, 400, 700, -1, 400},
                                           {Revision::constantinople, 400, 700, 400, 400},
                                           {Revision::istanbul, 700, 700, 700, 700},
                                           {Revision::berlin, 2600, 2600, 2600, 100},
                                           {Revision::osaka, 2600, 2600, 2600, 100}}) {
        SCOPED_TRACE(to_string(c.revision));
        Machine m(c.revision);
        const auto gas = [&](Opcode op) {
            return m.run(Code().push(other_address).op(op)).gas_used - 3;
        };
        EXPECT_EQ(gas(Opcode::balance), c.balance);
        EXPECT_EQ(gas(Opcode::extcodesize), c.extcodesize);
        if (c.extcodehash >= 0) { EXPECT_EQ(gas(Opcode::extcodehash), c.extcodehash); }
        const Code twice =
            Code().push(other_address).op(Opcode::balance).push(other_address).op(Opcode::balance);
        EXPECT_EQ(m.run(twice).gas_used, 6 + c.balance + c.again);
        // Precompiles start out warm.
        EXPECT_EQ(m.run(Code().push(1).op(Opcode::balance)).gas_used - 3,
                  c.revision >= Revision::berlin ? 100 : c.balance);
    }
}

TEST(StorageGas, WarmthIsLostWhenAFrameReverts) {
    Machine m;
    m.deploy(
        other_address,
        Code().push(7).op(Opcode::sload).push(address_of(0x77)).op(Opcode::balance).revert(0, 0));
    const Code call = Code().call(other_address, 0, 100'000).op(Opcode::pop);
    const int64_t once = m.run(call).gas_used;
    const int64_t twice = m.run(Code().append(call).append(call)).gas_used;
    EXPECT_EQ(twice - once, once - 2500) << "only the callee itself is warm the second time";
}

}  // namespace
}  // namespace millrace::evm
