// SPDX-License-Identifier: Apache-2.0
// Owns the tests of transactions as a whole: validity, intrinsic gas, fees, refunds, the floor.
#include <gmock/gmock.h>

#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

class TransactionTest : public ::testing::Test {
protected:
    Machine m_;

    TxError error(const Transaction& tx, const ExecutionOptions& options = {}) {
        const auto before = m_.state.balance(sender_address);
        const auto r = m_.execute(tx, {}, options);
        EXPECT_FALSE(r.has_value());
        EXPECT_EQ(m_.state.balance(sender_address), before);
        if (!r && options.check_fees) { EXPECT_THAT(faults(tx), testing::Contains(r.error())); }
        return r ? TxError{} : r.error();
    }
    std::vector<TxError> faults(const Transaction& tx) {
        return transaction_faults(tx, sender_address, m_.state, m_.rules, m_.block,
                                  m_.block.gas_limit);
    }
    TransactionResult run(const Transaction& tx) {
        EXPECT_THAT(faults(tx), testing::IsEmpty());
        auto r = m_.execute(tx);
        EXPECT_TRUE(r.has_value()) << (r ? "" : to_string(r.error()));
        return r.value_or(TransactionResult{});
    }
    Transaction dynamic(uint64_t tip, uint64_t cap) {
        Transaction tx = m_.transaction();
        tx.type = TxType::dynamic_fee;
        tx.chain_id = 1;
        tx.max_priority_fee_per_gas = U256{tip};
        tx.max_fee_per_gas = U256{cap};
        return tx;
    }
    Transaction blob(size_t count) {
        Transaction tx = dynamic(1, 10);
        tx.type = TxType::blob;
        tx.max_fee_per_blob_gas = U256{1};
        Hash256 h;
        h[0] = 0x01;
        tx.blob_versioned_hashes.assign(count, h);
        return tx;
    }
};

TEST_F(TransactionTest, TransferPaysTipAndBurnsBaseFee) {
    m_.state.set_balance(sender_address, U256{1'000'000'000});
    Transaction tx = dynamic(2, 100);
    tx.gas_limit = 50'000;
    tx.to = other_address;
    tx.value = U256{33};
    const TransactionResult r = run(tx);
    EXPECT_TRUE(r.success());
    EXPECT_EQ(r.gas_used, 21'000u);
    EXPECT_EQ(r.effective_gas_price, U256{9});
    EXPECT_EQ(r.tip, U256{2 * 21'000});
    EXPECT_EQ(r.base_fee, U256{7 * 21'000});
    EXPECT_EQ(m_.state.balance(sender_address), U256{1'000'000'000 - 33 - 9 * 21'000});
    EXPECT_EQ(m_.state.balance(other_address), U256{33});
    EXPECT_EQ(m_.state.balance(m_.block.coinbase), U256{2 * 21'000});
    EXPECT_EQ(m_.state.nonce(sender_address), 1u);
}

TEST_F(TransactionTest, FeesStayOutOfTheStateUnderTheVaultPolicy) {
    m_.rules = millrace_rules(1);
    Transaction tx = dynamic(2, 100);
    tx.to = other_address;
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.tip, U256{2 * 21'000});
    EXPECT_EQ(m_.state.balance(m_.block.coinbase), U256{});
    EXPECT_EQ(change_of(r.changes, m_.block.coinbase), nullptr);
}

TEST_F(TransactionTest, EveryWayToBeInvalid) {
    Transaction tx = m_.transaction();
    m_.state.set_nonce(sender_address, 5);
    tx.nonce = 4;
    EXPECT_EQ(error(tx), TxError::nonce_too_low);
    tx.nonce = 6;
    EXPECT_EQ(error(tx), TxError::nonce_too_high);
    tx.nonce = ~uint64_t{0};
    EXPECT_EQ(error(tx), TxError::nonce_max);
    tx = m_.transaction();
    tx.gas_limit = 20'999;
    EXPECT_EQ(error(tx), TxError::intrinsic_gas_too_low);
    tx = m_.transaction();
    tx.gas_limit = m_.block.gas_limit + 1;
    EXPECT_EQ(error(tx), TxError::gas_limit_exceeds_cap) << "Osaka's cap is the lower one";
    tx.gas_limit = (1u << 24) + 1;
    EXPECT_EQ(error(tx), TxError::gas_limit_exceeds_cap);
    m_.rules = ethereum_rules(Revision::prague);
    tx.gas_limit = m_.block.gas_limit + 1;
    EXPECT_EQ(error(tx), TxError::gas_limit_exceeds_block);
    m_.rules = ethereum_rules(Revision::osaka);
    EXPECT_EQ(error(dynamic(0, 6)), TxError::fee_cap_below_base_fee);
    EXPECT_EQ(error(dynamic(11, 10)), TxError::tip_above_fee_cap);
    tx = dynamic(1, 10);
    tx.chain_id = 2;
    EXPECT_EQ(error(tx), TxError::chain_id_mismatch);
    tx = m_.transaction();
    tx.value = U256{1'000'000'000'000'000'000};
    EXPECT_EQ(error(tx), TxError::insufficient_funds) << "value and gas together";
    tx = dynamic(0, 0);
    tx.max_fee_per_gas = U256::max();
    EXPECT_EQ(error(tx), TxError::insufficient_funds) << "more than 256 bits";
    EXPECT_THAT(faults(tx), testing::UnorderedElementsAre(TxError::insufficient_funds,
                                                          TxError::fee_overflow));
    tx = m_.transaction();
    tx.to.reset();
    tx.data = Bytes(2 * 0x6000 + 1);
    EXPECT_EQ(error(tx), TxError::initcode_too_large);
    tx.data.pop_back();
    EXPECT_TRUE(m_.execute(tx).has_value());
    m_.state.set_code(sender_address, Bytes{0x00});
    EXPECT_EQ(error(m_.transaction()), TxError::sender_has_code);
    m_.state.set_code(sender_address, {});

    EXPECT_EQ(error(blob(0)), TxError::blob_count_zero);
    EXPECT_EQ(error(blob(7)), TxError::blob_count_exceeded) << "EIP-7594: six per transaction";
    tx = blob(1);
    tx.blob_versioned_hashes[0][0] = 0x02;
    EXPECT_EQ(error(tx), TxError::blob_version_invalid);
    tx = blob(1);
    tx.to.reset();
    EXPECT_EQ(error(tx), TxError::creation_not_allowed);
    m_.block.blob_base_fee = U256{2};
    EXPECT_EQ(error(blob(1)), TxError::blob_fee_cap_too_low);
    tx = dynamic(1, 10);
    tx.type = TxType::set_code;
    EXPECT_EQ(error(tx), TxError::authorization_list_empty);
    tx.authorization_list.emplace_back();
    tx.to.reset();
    EXPECT_EQ(error(tx), TxError::creation_not_allowed);
}

TEST_F(TransactionTest, EveryReasonToBeInvalidIsListed) {
    m_.rules = ethereum_rules(Revision::prague);
    m_.state.set_nonce(sender_address, 5);
    m_.state.set_code(sender_address, Bytes{0x00});
    Transaction tx = dynamic(7, 6);
    tx.nonce = 6;
    tx.gas_limit = 20'999;
    tx.value = U256{1'000'000'000'000'000'000};
    EXPECT_THAT(faults(tx), testing::UnorderedElementsAre(
                                TxError::tip_above_fee_cap, TxError::fee_cap_below_base_fee,
                                TxError::intrinsic_gas_too_low, TxError::gas_below_floor,
                                TxError::nonce_too_high, TxError::sender_has_code,
                                TxError::insufficient_funds));
    m_.state.set_code(sender_address, delegation_designator(other_address));
    tx.gas_limit = m_.block.gas_limit + 1;
    tx.nonce = 4;
    EXPECT_THAT(faults(tx), testing::UnorderedElementsAre(
                                TxError::tip_above_fee_cap, TxError::fee_cap_below_base_fee,
                                TxError::gas_limit_exceeds_block, TxError::nonce_too_low,
                                TxError::insufficient_funds))
        << "EIP-7702: a delegated account may send";
}

TEST_F(TransactionTest, TypesAppearWithTheirForks) {
    const auto first = [](TxType type) {
        for (int r = 0; r < revision_count; ++r) {
            Transaction tx;
            tx.type = type;
            tx.chain_id = 1;
            tx.to = other_address;
            tx.gas_limit = 100'000;
            tx.blob_versioned_hashes.resize(type == TxType::blob ? 1 : 0);
            if (validate_stateless(tx, ethereum_rules(static_cast<Revision>(r))) !=
                TxError::type_not_supported) {
                return static_cast<Revision>(r);
            }
        }
        return latest_revision;
    };
    EXPECT_EQ(first(TxType::legacy), Revision::frontier);
    EXPECT_EQ(first(TxType::access_list), Revision::berlin);
    EXPECT_EQ(first(TxType::dynamic_fee), Revision::london);
    EXPECT_EQ(first(TxType::blob), Revision::cancun);
    EXPECT_EQ(first(TxType::set_code), Revision::prague);
    Transaction deposit;
    deposit.type = TxType::deposit;
    deposit.gas_limit = 100'000;
    EXPECT_EQ(validate_stateless(deposit, ethereum_rules(Revision::osaka)),
              TxError::type_not_supported);
    EXPECT_EQ(validate_stateless(deposit, millrace_rules(1)), std::nullopt);
    Transaction blob_tx = blob(1);
    EXPECT_EQ(validate_stateless(blob_tx, millrace_rules(1)), TxError::type_not_supported);
}

TEST_F(TransactionTest, IntrinsicGasByFork) {
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

TEST_F(TransactionTest, AccessListWarmsAccountsAndSlots) {
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

TEST_F(TransactionTest, SenderReceiverAndCoinbaseStartWarm) {
    const auto gas = [](Revision r, const Address& who) {
        Machine m(r);
        m.deploy(self_address, Code().push(who).op(Opcode::balance));
        return m.execute(m.transaction())->gas_used - 21'003;
    };
    const Address coinbase = address_of(0xc01);
    EXPECT_EQ(gas(Revision::berlin, sender_address), 100u);
    EXPECT_EQ(gas(Revision::berlin, self_address), 100u);
    EXPECT_EQ(gas(Revision::paris, coinbase), 2600u);
    EXPECT_EQ(gas(Revision::shanghai, coinbase), 100u) << "EIP-3651";
}

TEST_F(TransactionTest, RefundIsCapped) {
    const auto clear_ten = [](Revision r) {
        Machine m(r);
        Code code;
        for (uint64_t i = 1; i <= 10; ++i) {
            code.sstore(U256{i}, 0);
            m.state.set_storage(self_address, U256{i}, U256{1});
        }
        m.deploy(self_address, code);
        return *m.execute(m.transaction());
    };
    const TransactionResult berlin = clear_ten(Revision::berlin);
    const uint64_t spent = 21'000 + 10 * (6 + 5000);
    EXPECT_EQ(berlin.gas_refunded, spent / 2) << "150,000 would be due";
    EXPECT_EQ(berlin.gas_used, spent - spent / 2);
    const TransactionResult london = clear_ten(Revision::london);
    EXPECT_EQ(london.gas_refunded, spent / 5) << "48,000 would be due";
}

TEST_F(TransactionTest, FloorOfEip7623) {
    Transaction tx = m_.transaction();
    tx.to = other_address;
    tx.data = Bytes(1000, 0x01);
    EXPECT_EQ(intrinsic_gas(tx, m_.rules).base, 37'000u);
    EXPECT_EQ(intrinsic_gas(tx, m_.rules).floor, 61'000u);
    EXPECT_EQ(run(tx).gas_used, 61'000u);
    tx = m_.transaction();
    tx.data = Bytes(1000, 0x00);
    EXPECT_EQ(intrinsic_gas(tx, m_.rules).floor, 31'000u);
    tx.gas_limit = 30'999;
    EXPECT_EQ(error(tx), TxError::gas_below_floor);
    // With much execution the floor does not show.
    m_.deploy(self_address, Code().sstore(1, 1));
    tx.gas_limit = 100'000;
    EXPECT_EQ(run(tx).gas_used, 25'000u + 6 + 22'100);
    Machine cancun(Revision::cancun);
    Transaction before = cancun.transaction();
    before.to = other_address;
    before.data = Bytes(1000, 0x01);
    EXPECT_EQ(cancun.execute(before)->gas_used, 37'000u);
}

TEST_F(TransactionTest, CreationGivesAddressOutputAndFailureKeepsTheNonce) {
    Transaction tx = m_.transaction();
    tx.to.reset();
    tx.data = deployer(Bytes{0x60, 0x01}).bytes();
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.created, create_address(sender_address, 0));
    EXPECT_EQ(*m_.state.code(m_.state.code_hash(*r.created)), (Bytes{0x60, 0x01}));
    tx = m_.transaction();
    tx.to.reset();
    tx.data = Code().op(Opcode::invalid).bytes();
    const TransactionResult failed = run(tx);
    EXPECT_FALSE(failed.success());
    EXPECT_FALSE(failed.created);
    EXPECT_EQ(failed.gas_used, tx.gas_limit);
    EXPECT_EQ(m_.state.nonce(sender_address), 2u);
}

TEST_F(TransactionTest, FailureKeepsGasAndNothingElse) {
    m_.deploy(self_address, Code().sstore(1, 1).push_all(0, 0).op(Opcode::log0).revert(0, 0));
    Transaction tx = m_.transaction();
    tx.value = U256{9};
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.status, Status::revert);
    EXPECT_TRUE(r.logs.empty());
    EXPECT_EQ(m_.state.balance(self_address), U256{});
    EXPECT_EQ(m_.state.storage(self_address, U256{1}), U256{});
    EXPECT_EQ(r.gas_refunded, 0u);
}

TEST_F(TransactionTest, BlobGasIsPaidAndBurnt) {
    m_.block.blob_base_fee = U256{3};
    m_.state.set_balance(sender_address, U256{1'000'000'000});
    Transaction tx = blob(2);
    tx.max_fee_per_blob_gas = U256{5};
    tx.to = other_address;
    tx.gas_limit = 21'000;
    const TransactionResult r = run(tx);
    EXPECT_EQ(r.blob_gas_used, 2u << 17);
    EXPECT_EQ(m_.state.balance(sender_address), U256{1'000'000'000 - 21'000 * 8 - 3 * (2u << 17)});
    m_.state.set_balance(sender_address, U256{21'000 * 10 + 5 * (2u << 17) - 1});
    tx.nonce = 1;
    EXPECT_EQ(error(tx), TxError::insufficient_funds) << "the balance must cover the caps";
}

TEST_F(TransactionTest, BlobHashesAreSeen) {
    m_.deploy(self_address, Code()
                                .push(1)
                                .op(Opcode::blobhash)
                                .sstore_top(0)
                                .push(2)
                                .op(Opcode::blobhash)
                                .sstore_top(1)
                                .op(Opcode::blobbasefee)
                                .sstore_top(2));
    Transaction tx = blob(2);
    tx.blob_versioned_hashes[1][31] = 0x77;
    run(tx);
    EXPECT_EQ(m_.state.storage(self_address, U256{0}), to_u256(tx.blob_versioned_hashes[1]));
    EXPECT_EQ(m_.state.storage(self_address, U256{1}), U256{});
    EXPECT_EQ(m_.state.storage(self_address, U256{2}), U256{1});
}

TEST_F(TransactionTest, DepositMintsWithoutFeesAndCountsTheNonce) {
    m_.rules = millrace_rules(1);
    Transaction tx;
    tx.type = TxType::deposit;
    tx.from = sender_address;
    tx.to = other_address;
    tx.mint = U256{500};
    tx.value = U256{400};
    tx.gas_limit = 100'000;
    m_.state.set_balance(sender_address, {});
    const TransactionResult r = run(tx);
    EXPECT_TRUE(r.success());
    EXPECT_EQ(r.tip, U256{});
    EXPECT_EQ(m_.state.balance(sender_address), U256{100});
    EXPECT_EQ(m_.state.balance(other_address), U256{400});
    EXPECT_EQ(m_.state.nonce(sender_address), 1u);
    tx.value = U256{1000};
    const TransactionResult failed = run(tx);
    EXPECT_FALSE(failed.success()) << "included, but it moves nothing";
    EXPECT_EQ(m_.state.balance(sender_address), U256{600}) << "the mint stays";
    EXPECT_EQ(m_.state.nonce(sender_address), 2u);
}

TEST_F(TransactionTest, RelaxationsOfSimulations) {
    Transaction tx = m_.transaction();
    tx.nonce = 99;
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = U256{};
    m_.state.set_balance(sender_address, {});
    m_.deploy(self_address, Code().op(Opcode::gasprice).ret_top());
    const ExecutionOptions options{.check_nonce = false,
                                   .check_sender_code = false,
                                   .check_fees = false,
                                   .charge_fees = false};
    const auto r = m_.execute(tx, {}, options);
    ASSERT_TRUE(r.has_value()) << to_string(r.error());
    EXPECT_TRUE(r->success());
    EXPECT_EQ(load_be(r->output.data()), U256{});
}

TEST(Price, EffectiveGasPrice) {
    const auto price = [](uint64_t tip, uint64_t cap, uint64_t base) {
        Transaction tx;
        tx.max_priority_fee_per_gas = U256{tip};
        tx.max_fee_per_gas = U256{cap};
        return effective_gas_price(tx, U256{base});
    };
    EXPECT_EQ(price(2, 100, 10), U256{12});
    EXPECT_EQ(price(2, 11, 10), U256{11});
    EXPECT_EQ(price(2, 10, 10), U256{10});
    EXPECT_EQ(price(50, 50, 7), U256{50}) << "a single gas price";
}

}  // namespace
}  // namespace millrace::evm
