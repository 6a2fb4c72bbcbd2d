// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the contracts of EIP-7002 and EIP-7251, run with the code of these EIPs: what
// is queued with a fee comes back as requests of the block.
#include "evm/core/block_rules.hpp"
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

constexpr std::string_view withdrawals_code =
    "3373fffffffffffffffffffffffffffffffffffffffe1460cb5760115f54807fffffffffffffffffffffffffff"
    "ffffffffffffffffffffffffffffffffffffff146101f457600182026001905f5b5f8211156068578101908302"
    "8483029004916001019190604d565b909390049250505036603814608857366101f457346101f4575f5260205f"
    "f35b34106101f457600154600101600155600354806003026004013381556001015f3581556001016020359055"
    "3360601b5f5260385f601437604c5fa0600101600355005b6003546002548082038060101160df575060105b5f"
    "5b8181146101835782810160030260040181604c02815460601b81526014018160010154815260200190600201"
    "54807fffffffffffffffffffffffffffffffff0000000000000000000000000000000016825290601001906040"
    "1c908160381c81600701538160301c81600601538160281c81600501538160201c81600401538160181c816003"
    "01538160101c81600201538160081c81600101535360010160e1565b910180921461019557906002556101a056"
    "5b90505f6002555f6003555b5f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "ffffff14156101cd57505f5b6001546002828201116101e25750505f6101e8565b01600290035b5f555f600155"
    "604c025ff35b5f5ffd";
constexpr std::string_view consolidations_code =
    "3373fffffffffffffffffffffffffffffffffffffffe1460d35760115f54807fffffffffffffffffffffffffff"
    "ffffffffffffffffffffffffffffffffffffff1461019a57600182026001905f5b5f8211156068578101908302"
    "8483029004916001019190604d565b9093900492505050366060146088573661019a573461019a575f5260205f"
    "f35b341061019a57600154600101600155600354806004026004013381556001015f3581556001016020358155"
    "60010160403590553360601b5f5260605f60143760745fa0600101600355005b60035460025480820380600211"
    "60e7575060025b5f5b8181146101295782810160040260040181607402815460601b8152601401816001015481"
    "52602001816002015481526020019060030154905260010160e9565b910180921461013b579060025561014656"
    "5b90505f6002555f6003555b5f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "ffffff141561017357505f5b6001546001828201116101885750505f61018e565b01600190035b5f555f600155"
    "6074025ff35b5f5ffd";

class RequestContracts : public ::testing::Test {
protected:
    RequestContracts() {
        m_.deploy(withdrawals_, from_hex(withdrawals_code).value());
        m_.deploy(consolidations_, from_hex(consolidations_code).value());
        m_.state.set_balance(self_address, U256{1'000'000});
    }
    /// self_address calls `contract` with `input` and `value`, `times` over; gives the flag of the
    /// last call.
    bool ask(const Address& contract, const Bytes& input, uint64_t value, int times = 1) {
        Code c = Code().put(input);
        for (int i = 0; i < times; ++i) {
            c.push_all(0, 0, input.size(), 0, value).push(contract).push(300'000).op(Opcode::call);
            if (i + 1 < times) { c.pop(); }
        }
        const Outcome o = m_.run(c.ret_top(), {.gas = 30'000'000});
        EXPECT_EQ(o.status, Status::success);
        m_.state.apply(o.changes, true);
        logs_ = o.logs;
        return o.word() == U256{1};
    }
    std::vector<Bytes> collect() {
        return collect_requests(m_.state, Machine::workspace(), m_.rules, Machine::precompiles(),
                                m_.block, {})
            .value();
    }
    U256 fee(const Address& contract) {
        const Outcome o = m_.run(Code()
                                     .push_all(32, 0, 0, 0)
                                     .push(contract)
                                     .push(100'000)
                                     .op(Opcode::staticcall)
                                     .pop()
                                     .ret(0, 32));
        return o.word();
    }
    /// `size` bytes that count up from `first`.
    static Bytes counting(uint8_t first, size_t size) {
        Bytes b(size);
        for (size_t i = 0; i < size; ++i) { b[i] = static_cast<uint8_t>(first + i); }
        return b;
    }
    static Bytes joined(std::initializer_list<ByteView> parts) {
        Bytes b;
        for (const ByteView p : parts) { b.insert(b.end(), p.begin(), p.end()); }
        return b;
    }

    const Address withdrawals_ = address_literal("0x00000961ef480eb55e80d19ad83579a64c007002");
    const Address consolidations_ = address_literal("0x0000bbddc7ce488642fb579f8b00f3a590007251");
    Machine m_{Revision::prague};
    std::vector<Log> logs_;
};

TEST_F(RequestContracts, WithdrawalRequestIsSourceKeyAndAmountTheOtherWayRound) {
    const Bytes key = counting(1, 48);
    const Bytes amount = counting(0xa0, 8);  // big-endian in the call, little-endian in the request
    EXPECT_TRUE(ask(withdrawals_, joined({key, amount}), 1));
    ASSERT_EQ(logs_.size(), 1u);
    EXPECT_EQ(logs_[0].data, joined({self_address.view(), key, amount}));
    const Bytes reversed(amount.rbegin(), amount.rend());
    EXPECT_EQ(collect(),
              (std::vector<Bytes>{joined({Bytes{0x01}, self_address.view(), key, reversed})}));
    EXPECT_TRUE(collect().empty()) << "handed out once";
}

TEST_F(RequestContracts, ConsolidationRequestIsSourceAndBothKeys) {
    const Bytes keys = counting(1, 96);
    EXPECT_TRUE(ask(consolidations_, keys, 1));
    EXPECT_EQ(collect(), (std::vector<Bytes>{joined({Bytes{0x02}, self_address.view(), keys})}));
}

TEST_F(RequestContracts, InputOfAnotherLengthAndTooLittleFeeAreRefused) {
    EXPECT_FALSE(ask(withdrawals_, counting(1, 55), 1));
    EXPECT_FALSE(ask(withdrawals_, counting(1, 57), 1));
    EXPECT_FALSE(ask(withdrawals_, counting(1, 56), 0));
    EXPECT_FALSE(ask(consolidations_, counting(1, 95), 1));
    EXPECT_FALSE(ask(consolidations_, counting(1, 96), 0));
    EXPECT_TRUE(collect().empty());
    EXPECT_EQ(m_.state.balance(withdrawals_), U256{});
}

TEST_F(RequestContracts, BlockTakesSixteenWithdrawalsAndTwoConsolidations) {
    EXPECT_TRUE(ask(withdrawals_, counting(1, 56), 1, 18));
    EXPECT_TRUE(ask(consolidations_, counting(1, 96), 1, 3));
    const auto first = collect();
    ASSERT_EQ(first.size(), 2u);
    EXPECT_EQ(first[0].size(), 1u + 16 * 76);
    EXPECT_EQ(first[1].size(), 1u + 2 * 116);
    const auto second = collect();
    ASSERT_EQ(second.size(), 2u);
    EXPECT_EQ(second[0].size(), 1u + 2 * 76);
    EXPECT_EQ(second[1].size(), 1u + 116);
    EXPECT_TRUE(collect().empty());
}

TEST_F(RequestContracts, FeeRisesWithTheExcessAboveTheTarget) {
    // fake_exponential(1, excess, 17); the target is two withdrawals and one consolidation.
    EXPECT_EQ(fee(withdrawals_), U256{1});
    EXPECT_TRUE(ask(withdrawals_, counting(1, 56), 1, 40));
    EXPECT_EQ(fee(withdrawals_), U256{1}) << "only the next block counts them";
    collect();
    EXPECT_EQ(m_.state.storage(withdrawals_, U256{0}), U256{38});
    // e^(38/17) = 9.3..., and the approximation of the EIP rounds down to 9.
    EXPECT_EQ(fee(withdrawals_), U256{9});
    EXPECT_FALSE(ask(withdrawals_, counting(1, 56), 8));
    EXPECT_TRUE(ask(withdrawals_, counting(1, 56), 9));
    collect();
    EXPECT_EQ(m_.state.storage(withdrawals_, U256{0}), U256{37}) << "38 + 1 - 2";
}

TEST_F(RequestContracts, NothingIsTakenBeforeTheFirstSystemCall) {
    // The excess starts out at 2^256 - 1, which stops every request and counts as zero afterwards.
    m_.state.set_storage(withdrawals_, U256{0}, U256::max());
    EXPECT_FALSE(ask(withdrawals_, counting(1, 56), 1'000));
    EXPECT_TRUE(collect().empty());
    EXPECT_EQ(m_.state.storage(withdrawals_, U256{0}), U256{});
    EXPECT_TRUE(ask(withdrawals_, counting(1, 56), 1));
}

}  // namespace
}  // namespace millrace::evm
