// SPDX-License-Identifier: Apache-2.0
// Owns the tests of what makes a transaction invalid, one reason at a time and in their order.
#include "tests/evm/core/transaction_fixture.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using Validity = TransactionTest;

TEST_F(Validity, EveryWayToBeInvalid) {
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
    EXPECT_THAT(faults(tx),
                testing::UnorderedElementsAre(TxError::insufficient_funds, TxError::fee_overflow));
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

TEST_F(Validity, EveryReasonToBeInvalidIsListed) {
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

TEST_F(Validity, TypesAppearWithTheirForks) {
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

TEST_F(Validity, NoncesAtTheEndOfTheirRange) {
    // EIP-2681: 2^64 - 2 is the last nonce that can be used.
    m_.state.set_nonce(sender_address, ~uint64_t{0} - 1);
    Transaction tx = m_.transaction();
    tx.to = other_address;
    EXPECT_TRUE(run(tx).success());
    EXPECT_EQ(m_.state.nonce(sender_address), ~uint64_t{0});
    EXPECT_EQ(error(m_.transaction()), TxError::nonce_max);
}

TEST_F(Validity, BalanceBeforeExecutionMustCoverGasAndValue) {
    for (const Revision r : revisions()) {
        Machine m(r);
        Transaction tx = m.transaction();
        tx.to = other_address;
        tx.gas_limit = 21'000;
        tx.value = U256{1};
        m.state.set_balance(sender_address, U256{210'000});
        EXPECT_EQ(m.execute(tx).error(), TxError::insufficient_funds) << to_string(r);
        m.state.set_balance(sender_address, U256{210'001});
        EXPECT_TRUE(m.execute(tx)->success());
        EXPECT_EQ(m.state.balance(sender_address), U256{});
    }
}

TEST_F(Validity, GasOfTheBlockMustSuffice) {
    Transaction tx = m_.transaction();
    tx.to = other_address;
    tx.gas_limit = 21'000;
    const auto with_left = [&](uint64_t left) {
        return execute_transaction({tx, sender_address, {}}, m_.state, Machine::workspace(),
                                   m_.rules, Machine::precompiles(), m_.block, left);
    };
    EXPECT_EQ(with_left(20'999).error(), TxError::gas_limit_exceeds_block);
    EXPECT_TRUE(with_left(21'000).has_value());
}

TEST_F(Validity, ChainIdOfEveryTypeIsChecked) {
    for (const TxType type : {TxType::legacy, TxType::access_list, TxType::dynamic_fee}) {
        Transaction tx = dynamic(1, 10);
        tx.type = type;
        tx.chain_id = 2;
        EXPECT_EQ(error(tx), TxError::chain_id_mismatch);
    }
    Transaction tx = m_.transaction();
    tx.chain_id.reset();
    tx.to = other_address;
    EXPECT_TRUE(run(tx).success()) << "a legacy transaction may name none";
}

TEST_F(Validity, InitCodeSizeOfEip3860) {
    for (const Revision r : revisions()) {
        Machine m(r);
        Transaction tx = m.transaction();
        tx.to.reset();
        tx.gas_limit = 10'000'000;
        tx.data = Bytes(0xc000);
        EXPECT_TRUE(m.execute(tx).has_value()) << to_string(r);
        tx.nonce = 1;
        tx.data.push_back(0);
        const auto result = m.execute(tx);
        EXPECT_EQ(result.has_value(), r < Revision::shanghai);
        if (!result) { EXPECT_EQ(result.error(), TxError::initcode_too_large); }
        // A call may carry as much as it likes.
        tx.to = other_address;
        tx.nonce = m.state.nonce(sender_address);
        EXPECT_TRUE(m.execute(tx).has_value());
    }
}

TEST_F(Validity, InvalidTransactionsChangeNothing) {
    Transaction tx = m_.transaction();
    tx.nonce = 1;
    const auto r = m_.execute(tx);
    EXPECT_EQ(r.error(), TxError::nonce_too_high);
    EXPECT_EQ(m_.state.nonce(sender_address), 0u);
    EXPECT_EQ(m_.state.balance(m_.block.coinbase), U256{});
}

}  // namespace
}  // namespace millrace::evm
