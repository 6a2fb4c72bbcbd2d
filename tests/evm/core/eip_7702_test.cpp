// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-7702: what authorizations do, and calls of delegated accounts.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

const Address authority = address_of(0xa07);
const Address delegate = address_of(0xde1);

class SetCode : public ::testing::Test {
protected:
    SetCode() {
        m_.deploy(delegate, Code().op(Opcode::address).sstore_top(0));
        m_.state.set_balance(authority, U256{1});
    }
    Authorization authorization(const Address& target = delegate, uint64_t nonce = 0,
                                uint64_t chain = 1) {
        Authorization a;
        a.chain_id = U256{chain};
        a.address = target;
        a.nonce = nonce;
        a.r = a.s = U256{1};
        return a;
    }
    Transaction transaction(std::vector<Authorization> list, const Address& to = heir_) {
        Transaction tx = m_.transaction();
        tx.type = TxType::set_code;
        tx.chain_id = 1;
        tx.to = to;
        tx.authorization_list = std::move(list);
        return tx;
    }
    TransactionResult run(const Transaction& tx, std::vector<std::optional<Address>> signers) {
        auto r = m_.execute(tx, signers);
        EXPECT_TRUE(r.has_value()) << (r ? "" : to_string(r.error()));
        return r.value_or(TransactionResult{});
    }
    std::optional<Address> delegation_of(const Address& a) {
        return parse_delegation(*m_.state.code(m_.state.code_hash(a)));
    }

    inline static const Address heir_ = address_of(0x4e14);
    Machine m_;
};

TEST_F(SetCode, AppliedAuthorizationDelegatesAndCountsTheNonce) {
    const TransactionResult r = run(transaction({authorization()}), {authority});
    EXPECT_TRUE(r.success());
    EXPECT_EQ(delegation_of(authority), delegate);
    EXPECT_EQ(m_.state.nonce(authority), 1u);
    EXPECT_EQ(to_hex(*m_.state.code(m_.state.code_hash(authority))),
              "0xef0100" + to_hex(delegate).substr(2));
}

TEST_F(SetCode, GasIs25000EachAndHalfComesBackForAccountsThatExist) {
    EXPECT_EQ(run(transaction({authorization()}), {address_of(0x999)}).gas_used, 46'000u);
    const TransactionResult r = run(transaction({authorization()}), {authority});
    EXPECT_EQ(r.gas_refunded, 46'000u / 5) << "12,500 capped at a fifth";
    EXPECT_EQ(r.gas_used, 46'000u - 9'200u);
    EXPECT_EQ(intrinsic_gas(transaction({authorization(), authorization()}), m_.rules).base,
              71'000u);
}

TEST_F(SetCode, AuthorizationsThatDoNotFitAreSkipped) {
    const auto skipped = [&](const Authorization& a, std::optional<Address> signer) {
        const uint64_t nonce = m_.state.nonce(authority);
        EXPECT_TRUE(run(transaction({a}), {signer}).success());
        return !delegation_of(authority) && m_.state.nonce(authority) == nonce;
    };
    EXPECT_TRUE(skipped(authorization(delegate, 1), authority)) << "nonce too high";
    EXPECT_TRUE(skipped(authorization(delegate, 0, 2), authority)) << "another chain";
    EXPECT_TRUE(skipped(authorization(), std::nullopt)) << "no valid signature";
    EXPECT_TRUE(skipped(authorization(delegate, ~uint64_t{0}), authority));
    m_.state.set_code(authority, Bytes{0x00});
    EXPECT_TRUE(skipped(authorization(), authority)) << "a contract";
    m_.state.set_code(authority, {});
    EXPECT_FALSE(skipped(authorization(delegate, 0, 0), authority)) << "chain 0 is every chain";
}

TEST_F(SetCode, LaterOnesReplaceAndZeroClears) {
    const Address second = address_of(0xde2);
    run(transaction({authorization(delegate, 0), authorization(second, 1)}),
        {authority, authority});
    EXPECT_EQ(delegation_of(authority), second);
    EXPECT_EQ(m_.state.nonce(authority), 2u);
    run(transaction({authorization(Address{}, 2)}), {authority});
    EXPECT_EQ(m_.state.code_hash(authority), kernels::keccak256_of_empty);
    EXPECT_EQ(m_.state.nonce(authority), 3u);
}

TEST_F(SetCode, SenderMayAuthorizeItselfWithTheNextNonce) {
    const uint64_t nonce = m_.state.nonce(sender_address);
    run(transaction({authorization(delegate, nonce)}), {sender_address});
    EXPECT_FALSE(delegation_of(sender_address)) << "its nonce was counted before";
    run(transaction({authorization(delegate, nonce + 2)}), {sender_address});
    EXPECT_EQ(delegation_of(sender_address), delegate);
    EXPECT_TRUE(m_.execute(m_.transaction()).has_value())
        << "a delegated account may still send (EIP-3607)";
}

TEST_F(SetCode, CallRunsTheDelegatesCodeInTheAuthoritysStorage) {
    run(transaction({authorization()}), {authority});
    Transaction tx = m_.transaction();
    tx.to = authority;
    EXPECT_TRUE(m_.execute(tx)->success());
    EXPECT_EQ(m_.state.storage(authority, U256{0}), to_u256(authority));
    EXPECT_EQ(m_.state.storage(delegate, U256{0}), U256{});
}

TEST_F(SetCode, DelegationInTheSameTransactionIsFollowed) {
    EXPECT_TRUE(run(transaction({authorization()}, authority), {authority}).success());
    EXPECT_EQ(m_.state.storage(authority, U256{0}), to_u256(authority));
}

TEST_F(SetCode, DelegationsSurviveAFailingExecution) {
    m_.deploy(heir_, Code().op(Opcode::invalid));
    EXPECT_FALSE(run(transaction({authorization()}), {authority}).success());
    EXPECT_EQ(delegation_of(authority), delegate);
}

TEST_F(SetCode, CallOfADelegatedAccountPaysForTheDelegateToo) {
    m_.state.set_code(authority, delegation_designator(delegate));
    m_.state.set_code(delegate, {});
    EXPECT_EQ(m_.run(Code().call(authority, 0, 0)).gas_used, 21 + 2600 + 2600);
    EXPECT_EQ(m_.run(Code().call(delegate, 0, 0).call(authority, 0, 0)).gas_used,
              42 + 2600 + 2600 + 100);
}

TEST_F(SetCode, ChainsOfDelegationsAndPrecompilesAreNotFollowed) {
    m_.state.set_code(authority, delegation_designator(address_of(0xde2)));
    m_.state.set_code(address_of(0xde2), delegation_designator(delegate));
    // The designator itself is run as code and 0xef ends exceptionally.
    EXPECT_EQ(m_.value_of(Code().call(authority, 0, 100'000)), U256{0});
    m_.state.set_code(authority, delegation_designator(address_of(4)));
    const U256 size = m_.value_of(Code()
                                      .push_all(32, 0, 32, 0, 0)
                                      .push(authority)
                                      .push(100'000)
                                      .op(Opcode::call)
                                      .op(Opcode::pop)
                                      .op(Opcode::returndatasize));
    EXPECT_EQ(size, U256{0}) << "a precompile behind a delegation is empty code";
}

TEST_F(SetCode, CodeInstructionsSeeTheDesignator) {
    m_.state.set_code(authority, delegation_designator(delegate));
    EXPECT_EQ(m_.value_of(Code().push(authority).op(Opcode::extcodesize)), U256{23});
    EXPECT_EQ(m_.value_of(Code().push(authority).op(Opcode::extcodehash)),
              to_u256(kernels::keccak256(delegation_designator(delegate))));
}

TEST_F(SetCode, NotBeforePrague) {
    Machine cancun(Revision::cancun);
    cancun.state.set_code(authority, delegation_designator(delegate));
    cancun.deploy(delegate, Code().sstore(0, 1));
    EXPECT_EQ(cancun.value_of(Code().call(authority, 0, 100'000)), U256{0});
    Transaction tx = transaction({authorization()});
    EXPECT_EQ(cancun.execute(tx).error(), TxError::type_not_supported);
}

TEST_F(SetCode, EveryKindOfCallFollowsADelegation) {
    m_.state.set_code(authority, delegation_designator(delegate));
    m_.deploy(delegate, Code().push(7).ret_top());
    for (const Opcode kind :
         {Opcode::call, Opcode::callcode, Opcode::delegatecall, Opcode::staticcall}) {
        const bool seven = kind == Opcode::call || kind == Opcode::callcode;
        Code c = Code().push_all(32, 0, 0, 0);
        if (seven) { c.push(0); }
        c.push(authority).push(100'000).op(kind).pop();
        EXPECT_EQ(m_.run(Code().append(c).ret(0, 32)).word(), U256{7});
        // Both accounts are cold: 2,600 each; a word of memory here, 18 for the delegate's code.
        EXPECT_EQ(m_.run(c).gas_used, (seven ? 7 : 6) * 3 + 3 + 2600 + 2600 + 18 + 2);
    }
}

TEST_F(SetCode, DelegateIsPaidForExactly) {
    m_.state.set_code(authority, delegation_designator(delegate));
    m_.state.set_code(delegate, {});
    expect_exact_gas(m_, Code().call(authority, 0, 0), 21 + 5200);
    // Warm delegate: 100.
    expect_exact_gas(m_, Code().push(delegate).op(Opcode::balance).call(authority, 0, 0),
                     3 + 2600 + 21 + 2600 + 100);
    // A precompile is warm; its code is not run.
    m_.state.set_code(authority, delegation_designator(address_of(2)));
    expect_exact_gas(m_, Code().call(authority, 0, 0), 21 + 2600 + 100);
    // Delegation to itself: paid twice, not followed further.
    m_.state.set_code(authority, delegation_designator(authority));
    EXPECT_EQ(m_.run(Code().call(authority, 0, 1000)).gas_used, 21 + 2600 + 100 + 1000)
        << "0xef ends the frame and takes its gas";
}

TEST_F(SetCode, AccessIsWarmedByTheCallAndKeptByTheCaller) {
    m_.state.set_code(authority, delegation_designator(delegate));
    m_.deploy(delegate, Code().revert(0, 0));
    const Code call = Code().call(authority, 0, 1000);
    const int64_t once = m_.run(call).gas_used;
    EXPECT_EQ(once, 21 + 5200 + 6);
    EXPECT_EQ(m_.run(Code().append(call).append(call)).gas_used, once + 21 + 200 + 6);
}

TEST_F(SetCode, RecipientsDelegateIsWarmInTheTransaction) {
    m_.state.set_code(authority, delegation_designator(delegate));
    m_.deploy(delegate, Code().push(delegate).op(Opcode::balance));
    Transaction tx = m_.transaction();
    tx.to = authority;
    EXPECT_EQ(m_.execute(tx)->gas_used, 21'000u + 3 + 100);
}

TEST_F(SetCode, AuthorityIsWarmEvenWhenItsAuthorizationIsSkipped) {
    // Order of the EIP: chain id, nonce < 2^64 - 1, signature; then warm; then code and nonce.
    m_.deploy(heir_, Code().push(authority).op(Opcode::balance));
    const auto access = [&](const Authorization& a, std::optional<Address> signer) {
        return run(transaction({a}), {signer}).gas_used - 21'000 - 25'000 - 3;
    };
    EXPECT_EQ(access(authorization(delegate, 5), authority), 100u) << "wrong nonce";
    EXPECT_EQ(access(authorization(delegate, 0, 2), authority), 2600u) << "another chain";
    EXPECT_EQ(access(authorization(delegate, ~uint64_t{0}), authority), 2600u);
    EXPECT_EQ(access(authorization(), std::nullopt), 2600u) << "no signer";
    m_.state.set_code(authority, Bytes{0x00});
    EXPECT_EQ(access(authorization(), authority), 100u) << "a contract";
}

TEST_F(SetCode, RefundIsForAccountsThatExistAndOnlyWhenApplied) {
    m_.deploy(heir_, Code().append(Bytes(20'000, 0x5b)));  // so that the cap does not bind
    const auto refund = [&](std::vector<Authorization> list,
                            std::vector<std::optional<Address>> signers) {
        Transaction tx = transaction(std::move(list));
        tx.gas_limit = 2'000'000;
        return run(tx, std::move(signers)).gas_refunded;
    };
    EXPECT_EQ(refund({authorization(delegate, 3)}, {authority}), 0u) << "skipped";
    EXPECT_EQ(refund({authorization()}, {address_of(0xbeef)}), 0u) << "nobody before";
    EXPECT_EQ(refund({authorization()}, {authority}), 12'500u);
    EXPECT_EQ(refund({authorization(delegate, 1)}, {authority}), 12'500u) << "delegated already";
    // The first one makes the account exist for the second one.
    const Address fresh = address_of(0xf4e5);
    EXPECT_EQ(refund({authorization(), authorization(delegate, 1)}, {fresh, fresh}), 12'500u);
}

TEST_F(SetCode, RefundOutlivesAFailingExecution) {
    m_.deploy(heir_, Code().append(Bytes(20'000, 0x5b)).revert(0, 0));
    Transaction tx = transaction({authorization()});
    const TransactionResult r = run(tx, {authority});
    EXPECT_EQ(r.status, Status::revert);
    EXPECT_EQ(r.gas_refunded, 12'500u);
}

TEST_F(SetCode, NonceOfTheAuthorityIsCountedWhateverIsSet) {
    run(transaction({authorization(Address{})}), {authority});
    EXPECT_EQ(m_.state.nonce(authority), 1u) << "clearing what is not there";
    EXPECT_EQ(m_.state.code_hash(authority), kernels::keccak256_of_empty);
    EXPECT_TRUE(m_.state.account_exists(authority));
}

TEST_F(SetCode, SelfdestructOfADelegatedAccountSendsItsBalanceOnly) {
    m_.state.set_balance(authority, U256{9});
    m_.deploy(delegate, Code().push(heir_).op(Opcode::selfdestruct));
    run(transaction({authorization()}, authority), {authority});
    EXPECT_EQ(m_.state.balance(heir_), U256{9});
    EXPECT_EQ(delegation_of(authority), delegate);
    EXPECT_EQ(m_.state.nonce(authority), 1u);
}

TEST_F(SetCode, DelegatedAccountMayCreate) {
    m_.deploy(delegate, Code().push_all(0, 0, 0).op(Opcode::create));
    run(transaction({authorization()}, authority), {authority});
    EXPECT_EQ(m_.state.nonce(create_address(authority, 1)), 1u);
    EXPECT_EQ(m_.state.nonce(authority), 2u);
}

TEST_F(SetCode, CreationOntoADelegatedAccountCollides) {
    const Address target = create_address(sender_address, 0);
    m_.state.set_code(target, delegation_designator(delegate));
    Transaction tx = m_.transaction();
    tx.to.reset();
    tx.data = {0x00};
    EXPECT_EQ(m_.execute(tx)->status, Status::address_collision);
}

TEST_F(SetCode, CodeSizeInsideIsThatOfTheDelegate) {
    m_.state.set_code(authority, delegation_designator(delegate));
    const Code probe = Code().op(Opcode::codesize).ret_top();
    m_.deploy(delegate, probe);
    EXPECT_EQ(m_.run(Code()
                         .push_all(32, 0, 0, 0, 0)
                         .push(authority)
                         .push(100'000)
                         .op(Opcode::call)
                         .pop()
                         .ret(0, 32))
                  .word(),
              U256{probe.size()});
}

TEST_F(SetCode, RecipientDelegatedToAPrecompileOrADesignatorRunsNeither) {
    Transaction tx = m_.transaction();
    tx.to = authority;
    tx.data = {1, 2, 3};
    // IDENTITY would answer with the data, and cost 18 more than nothing.
    m_.state.set_code(authority, delegation_designator(address_of(4)));
    const auto precompile = m_.execute(tx);
    EXPECT_TRUE(precompile->success());
    EXPECT_TRUE(precompile->output.empty());
    EXPECT_EQ(precompile->gas_used, 21'000u + 3 * 40) << "the floor of EIP-7623";
    // A designator is not followed twice: its first byte, 0xef, is undefined.
    m_.state.set_code(address_of(0xde2), delegation_designator(delegate));
    m_.state.set_code(authority, delegation_designator(address_of(0xde2)));
    tx.nonce = 1;
    EXPECT_EQ(m_.execute(tx)->status, Status::undefined_instruction);
}

TEST_F(SetCode, DelegationToItselfFails) {
    m_.state.set_code(authority, delegation_designator(authority));
    Transaction tx = m_.transaction();
    tx.to = authority;
    EXPECT_EQ(m_.execute(tx)->status, Status::undefined_instruction);
}

TEST_F(SetCode, AuthorizationsWithoutARecoveredSignerCostAllTheSame) {
    const TransactionResult r =
        run(transaction({authorization(), authorization()}), {std::nullopt, std::nullopt});
    EXPECT_EQ(r.gas_used, 71'000u);
    EXPECT_FALSE(delegation_of(authority));
}

TEST(Delegation, DesignatorIsExactly23Bytes) {
    const Bytes d = delegation_designator(delegate);
    EXPECT_EQ(parse_delegation(d), delegate);
    Bytes longer = d;
    longer.push_back(0);
    EXPECT_FALSE(parse_delegation(longer));
    EXPECT_FALSE(parse_delegation(ByteView(d).first(22)));
    Bytes other = d;
    other[2] = 0x01;
    EXPECT_FALSE(parse_delegation(other));
    EXPECT_FALSE(parse_delegation({}));
}

}  // namespace
}  // namespace millrace::evm
