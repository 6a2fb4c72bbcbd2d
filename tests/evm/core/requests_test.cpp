// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-7685: requests of EIP-6110, 7002 and 7251.
#include "evm/core/block_rules.hpp"
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

/// A machine whose two contracts of requests answer with nothing.
struct Requests : public ::testing::Test {
    Machine m{Revision::prague};
    const Address withdrawals = address_literal("0x00000961ef480eb55e80d19ad83579a64c007002");
    const Address consolidations = address_literal("0x0000bbddc7ce488642fb579f8b00f3a590007251");
    const Address deposits = address_literal("0x00000000219ab540356cbb839cbe05303d7705fa");
    const Hash256 deposit_event =
        hash_literal("0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");

    Requests() {
        m.deploy(withdrawals, Code().op(Opcode::stop));
        m.deploy(consolidations, Code().op(Opcode::stop));
    }
    auto collect(std::span<const Log> logs = {}) {
        return collect_requests(m.state, Machine::workspace(), m.rules, Machine::precompiles(),
                                m.block, logs);
    }
    /// DepositEvent(bytes pubkey, bytes credentials, bytes amount, bytes signature, bytes index)
    /// in the ABI's layout, each field filled with a byte of its own.
    Log deposit() const {
        Log log;
        log.address = deposits;
        log.topics = {deposit_event};
        log.data.resize(576);
        const uint64_t offsets[] = {160, 256, 320, 384, 512};
        const uint64_t lengths[] = {48, 32, 8, 96, 8};
        for (size_t i = 0; i < 5; ++i) {
            store_be(U256{offsets[i]}, log.data.data() + 32 * i);
            store_be(U256{lengths[i]}, log.data.data() + offsets[i]);
            std::fill_n(log.data.begin() + static_cast<ptrdiff_t>(offsets[i] + 32), lengths[i],
                        static_cast<uint8_t>(0xa0 + i));
        }
        return log;
    }
};

TEST_F(Requests, DepositsAreTheFieldsOneAfterTheOther) {
    Bytes expected{0x00};
    const size_t lengths[] = {48, 32, 8, 96, 8};
    for (int copy = 0; copy < 2; ++copy) {
        for (size_t i = 0; i < 5; ++i) {
            expected.insert(expected.end(), lengths[i], static_cast<uint8_t>(0xa0 + i));
        }
    }
    const auto r = collect(std::vector{deposit(), deposit()});
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(*r, std::vector<Bytes>{expected});
}

TEST_F(Requests, OtherLogsAreNoDeposits) {
    Log elsewhere = deposit();
    elsewhere.address = other_address;
    Log other_event = deposit();
    other_event.topics[0][0] ^= 1;
    Log without_topic = deposit();
    without_topic.topics.clear();
    Log short_of_another_event = other_event;
    short_of_another_event.data.clear();
    EXPECT_TRUE(collect(std::vector{elsewhere, other_event, without_topic, short_of_another_event})
                    .value()
                    .empty());
}

TEST_F(Requests, EveryOffsetAndLengthOfADepositMustHold) {
    for (const size_t at : {0, 32, 64, 96, 128, 160, 256, 320, 384, 512}) {
        Log bad = deposit();
        bad.data[at + 31] ^= 1;
        EXPECT_EQ(collect(std::vector{bad}).error(), RequestsError::deposit_layout) << at;
        bad = deposit();
        bad.data[at] = 1;
        EXPECT_EQ(collect(std::vector{bad}).error(), RequestsError::deposit_layout)
            << at << ", a high byte";
    }
    Log longer = deposit();
    longer.data.push_back(0);
    EXPECT_EQ(collect(std::vector{longer}).error(), RequestsError::deposit_layout);
}

TEST_F(Requests, EmptyAnswersAreLeftOutAndOrderIsByType) {
    EXPECT_TRUE(collect().value().empty());
    m.deploy(consolidations, Code().mstore(0, 0xbb).ret(31, 1));
    EXPECT_EQ(collect().value(), (std::vector<Bytes>{{0x02, 0xbb}}));
    m.deploy(withdrawals, Code().mstore(0, 0xaa).ret(31, 1));
    EXPECT_EQ(collect().value(), (std::vector<Bytes>{{0x01, 0xaa}, {0x02, 0xbb}}));
    const auto all = collect(std::vector{deposit()}).value();
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0][0], 0x00);
}

TEST_F(Requests, AFailingOrMissingContractMakesTheBlockInvalid) {
    for (const Address& contract : {withdrawals, consolidations}) {
        const Bytes code = *m.state.code(m.state.code_hash(contract));
        m.deploy(contract, Code().op(Opcode::invalid));
        EXPECT_EQ(collect().error(), RequestsError::call_failed);
        m.deploy(contract, Code().revert(0, 0));
        EXPECT_EQ(collect().error(), RequestsError::call_failed);
        m.state.set_code(contract, {});
        EXPECT_EQ(collect().error(), RequestsError::contract_missing);
        m.deploy(contract, code);
        EXPECT_TRUE(collect().has_value());
    }
}

TEST_F(Requests, ChangesOfTheContractsStay) {
    m.deploy(withdrawals, Code().sstore(1, 5));
    EXPECT_TRUE(collect().has_value());
    EXPECT_EQ(m.state.storage(withdrawals, U256{1}), U256{5});
}

TEST_F(Requests, AreNotThereBeforePrague) {
    m.rules = ethereum_rules(Revision::cancun);
    m.deploy(withdrawals, Code().mstore(0, 0xaa).ret(31, 1));
    EXPECT_TRUE(collect(std::vector{deposit()}).value().empty());
    m.rules = millrace_rules(1);
    EXPECT_TRUE(collect(std::vector{deposit()}).value().empty()) << "nor on Millrace";
}

}  // namespace
}  // namespace millrace::evm
