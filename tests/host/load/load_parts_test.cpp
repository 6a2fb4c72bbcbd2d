// SPDX-License-Identifier: Apache-2.0
// Owns the claims about the parts of the load generator that need no node.
#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "host/load/account.hpp"
#include "host/load/arrivals.hpp"
#include "host/load/contracts.hpp"
#include "host/load/endpoint.hpp"
#include "host/load/histogram.hpp"
#include "host/load/load.hpp"
#include "host/load/process_use.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::load {
namespace {

// ---------------------------------------------------------------- Histogram

TEST(LatencyHistogram, BucketsAreAdjacentAndHoldTheirEnds) {
    for (size_t bucket = 0; bucket < 4000; ++bucket) {
        const uint64_t end = LatencyHistogram::bucket_end_us(bucket);
        EXPECT_EQ(LatencyHistogram::bucket_of(end), bucket);
        EXPECT_EQ(LatencyHistogram::bucket_of(end + 1), bucket + 1);
    }
}

TEST(LatencyHistogram, QuantilesAreExactToUnderOnePercent) {
    for (const double spread : {50.0, 3'000.0, 2e6, 5e9}) {
        std::mt19937_64 random(7);
        std::vector<uint64_t> values;
        LatencyHistogram h;
        for (int i = 0; i < 20'001; ++i) {
            const double uniform = static_cast<double>(random() >> 11) * 0x1p-53;
            values.push_back(static_cast<uint64_t>(spread * exponential_gap(uniform)));
            h.record(static_cast<int64_t>(values.back()));
        }
        std::ranges::sort(values);
        for (const double q : {0.0, 0.001, 0.5, 0.9, 0.99, 0.999, 1.0}) {
            const auto rank = static_cast<size_t>(
                std::max(1.0, std::ceil(q * static_cast<double>(values.size()))));
            const uint64_t exact = values[rank - 1];
            EXPECT_GE(h.quantile_us(q), exact);
            EXPECT_LE(h.quantile_us(q), exact + exact / 128);
        }
        EXPECT_EQ(h.count(), values.size());
        EXPECT_EQ(h.min_us(), values.front());
        EXPECT_EQ(h.max_us(), values.back());
    }
}

TEST(LatencyHistogram, EmptyNegativeAndHugeValuesHaveAPlace) {
    LatencyHistogram h;
    EXPECT_EQ(h.quantile_us(0.5), 0u);
    EXPECT_EQ(h.min_us(), 0u);
    EXPECT_EQ(h.mean_us(), 0);
    h.record(-5);
    EXPECT_EQ(h.max_us(), 0u);
    h.record(INT64_MAX);
    EXPECT_EQ(h.quantile_us(1), uint64_t{1} << 40);
    EXPECT_EQ(h.quantile_us(0.5), 0u);
}

TEST(LatencyHistogram, MergingIsRecordingBoth) {
    LatencyHistogram a;
    LatencyHistogram b;
    LatencyHistogram both;
    for (int i = 0; i < 1000; ++i) {
        (i % 3 == 0 ? a : b).record(i * 37);
        both.record(i * 37);
    }
    a.merge(b);
    for (const double q : {0.01, 0.5, 0.99}) { EXPECT_EQ(a.quantile_us(q), both.quantile_us(q)); }
    EXPECT_EQ(a.count(), both.count());
    EXPECT_EQ(a.mean_us(), both.mean_us());
    EXPECT_EQ(a.min_us(), both.min_us());
}

// ---------------------------------------------------------------- Arrivals

TEST(Arrivals, FixedGapsKeepTheRateExactly) {
    Arrivals arrivals(ArrivalKind::fixed, 3, 1);
    int64_t last = 0;
    for (int i = 0; i < 3'000'000; ++i) { last = arrivals.next_ns(); }
    EXPECT_NEAR(static_cast<double>(last), 1e15, 1e6);
}

TEST(Arrivals, PoissonGapsHaveTheMeanAndTheSpreadOfAnExponential) {
    Arrivals arrivals(ArrivalKind::poisson, 1000, 42);
    constexpr int count = 200'000;
    double sum = 0;
    double squares = 0;
    int64_t last = 0;
    for (int i = 0; i < count; ++i) {
        const int64_t at = arrivals.next_ns();
        ASSERT_GE(at, last);
        const double gap = static_cast<double>(at - last) * 1e-6;
        sum += gap;
        squares += gap * gap;
        last = at;
    }
    // Mean 1 ms and variance 1 ms^2; six deviations of the estimates.
    EXPECT_NEAR(sum / count, 1, 6 / std::sqrt(count));
    EXPECT_NEAR(squares / count, 2, 6 * std::sqrt(20.0 / count));
}

TEST(Arrivals, TheSeedDecides) {
    Arrivals a(ArrivalKind::poisson, 100, 5);
    Arrivals same(ArrivalKind::poisson, 100, 5);
    Arrivals other(ArrivalKind::poisson, 100, 6);
    const int64_t first = a.next_ns();
    EXPECT_EQ(first, same.next_ns());
    EXPECT_NE(first, other.next_ns());
}

// ---------------------------------------------------------------- Accounts

TEST(Accounts, GivesTheSignedTransactionOfEip155) {
    evm::Transaction tx;
    tx.chain_id = 1;
    tx.nonce = 9;
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = U256{20'000'000'000};
    tx.gas_limit = 21'000;
    tx.to = address_literal("0x3535353535353535353535353535353535353535");
    tx.value = U256{1'000'000'000'000'000'000};
    const Hash256 key =
        hash_literal("0x4646464646464646464646464646464646464646464646464646464646464646");
    EXPECT_EQ(
        to_hex(ByteView(sign_transaction(tx, key))),
        "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a7640000"
        "8025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f76"
        "1aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83");
}

TEST(Accounts, KnowsTheFirstDevelopmentAccount) {
    const auto account = account_of_key(
        hash_literal("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"));
    ASSERT_TRUE(account);
    EXPECT_EQ(to_hex(account->address), "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
}

TEST(Accounts, RefusesKeysOutsideOfTheGroup) {
    EXPECT_FALSE(account_of_key(Hash256{}));
    EXPECT_FALSE(account_of_key(
        hash_literal("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")));
}

TEST(Accounts, DerivedAccountsDifferBySeedAndIndexAndStayTheSame) {
    std::vector<Address> seen;
    for (const uint64_t seed : {1, 2}) {
        for (uint64_t index = 0; index < 20; ++index) {
            const Account account = derive_account(seed, index);
            EXPECT_EQ(account.address, derive_account(seed, index).address);
            EXPECT_EQ(account.address, account_of_key(account.secret_key)->address);
            seen.push_back(account.address);
            seen.push_back(derive_recipient(seed, index));
        }
    }
    std::ranges::sort(seen);
    EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end());
}

TEST(CreatedAddress, IsThatOfAnEarlyMainnetAccount) {
    const Address sender = address_literal("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0");
    EXPECT_EQ(to_hex(created_address(sender, 0)), "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d");
    EXPECT_EQ(to_hex(created_address(sender, 1)), "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8");
}

// ---------------------------------------------------------------- Endpoints

TEST(Endpoint, TakesHttpAndWebSocketWithPortAndPath) {
    const auto plain = parse_endpoint("http://127.0.0.1");
    ASSERT_TRUE(plain);
    EXPECT_EQ(*plain, (Endpoint{false, "127.0.0.1", 8545, "/"}));
    const auto six = parse_endpoint("ws://[::1]:9000/rpc?key=1");
    ASSERT_TRUE(six);
    EXPECT_EQ(*six, (Endpoint{true, "::1", 9000, "/rpc?key=1"}));
    EXPECT_EQ(six->url(), "ws://[::1]:9000/rpc?key=1");
    EXPECT_EQ(parse_endpoint("http://node?x")->target, "/?x");
}

TEST(Endpoint, RefusesWhatItCannotSpeak) {
    for (const char* bad :
         {"", "127.0.0.1:8545", "https://node", "wss://node", "http://", "http://:8545",
          "http://a:0", "http://a:65536", "http://a:80b", "http://[::1", "http://[::1]x",
          "http://user@node", "http://a b", "http://a/\r\nHost: b", "http://a:"}) {
        EXPECT_FALSE(parse_endpoint(bad)) << bad;
    }
}

TEST(Endpoint, OnlyThisMachineIsLoopback) {
    for (const char* own :
         {"http://127.0.0.1", "http://localhost", "ws://[::1]", "http://127.9.8.7"}) {
        EXPECT_TRUE(parse_endpoint(own)->is_loopback()) << own;
    }
    for (const char* other : {"http://10.0.0.1", "http://node", "http://127.evil.example",
                              "http://localhost.example", "http://128.0.0.1", "http://127.1"}) {
        EXPECT_FALSE(parse_endpoint(other)->is_loopback()) << other;
    }
}

// ---------------------------------------------------------------- Contracts and profiles

TEST(CallData, HasTheKnownSelectorsAndPadsToWords) {
    const Address to = address_literal("0x00000000000000000000000000000000000000aa");
    EXPECT_EQ(to_hex(ByteView(call_data("transfer(address,uint256)", {to, uint64_t{258}}))),
              "0xa9059cbb00000000000000000000000000000000000000000000000000000000000000aa"
              "0000000000000000000000000000000000000000000000000000000000000102");
    EXPECT_EQ(to_hex(ByteView(call_data("totalSupply()", {}))), "0x18160ddd");
    EXPECT_EQ(to_hex(Word(U256::max()).bytes), "0x" + std::string(64, 'f'));
}

TEST(Artifact, IsReadInBothShapesAndRefusedWithoutCode) {
    EXPECT_EQ(*parse_artifact(R"({"abi":[],"bytecode":"6001"})", "a"), (Bytes{0x60, 0x01}));
    EXPECT_EQ(*parse_artifact(R"({"bytecode":{"object":"0x60"}})", "a"), Bytes{0x60});
    for (const char* bad : {"", "[]", "{}", R"({"bytecode":""})", R"({"bytecode":"0x"})",
                            R"({"bytecode":"60__Library__"})", R"({"bytecode":7})",
                            R"({"bytecode":{"sourceMap":""}})"}) {
        const auto code = parse_artifact(bad, "x.json");
        ASSERT_FALSE(code) << bad;
        EXPECT_NE(code.error().message.find("x.json"), std::string::npos);
    }
}

TEST(Artifact, AMissingFileIsNamedWithTheRemedy) {
    const auto none = read_artifacts("no/such/folder", true);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::not_found);
    EXPECT_NE(none.error().message.find("ERC20.json"), std::string::npos);
    EXPECT_NE(none.error().message.find("--artifacts"), std::string::npos);
}

TEST(Profile, NamesRoundTrip) {
    for (const char* name : profile_names) { EXPECT_EQ(to_string(*profile_from_text(name)), name); }
    EXPECT_FALSE(profile_from_text("spam"));
}

TEST(Profile, MixedHasItsShares) {
    const Shape shape{Profile::mixed, 3, 100, 4};
    std::array<int, 3> kinds{};
    constexpr int count = 100'000;
    for (int i = 0; i < count; ++i) {
        const auto spec =
            spec_of(shape, static_cast<uint32_t>(i % 100), static_cast<uint64_t>(i / 100));
        ++kinds[static_cast<size_t>(spec.kind)];
        EXPECT_LT(spec.recipient, 100u);
        EXPECT_LT(spec.pair, 4u);
    }
    EXPECT_NEAR(kinds[0], 0.60 * count, 1000);
    EXPECT_NEAR(kinds[1], 0.25 * count, 1000);
    EXPECT_NEAR(kinds[2], 0.15 * count, 1000);
}

TEST(Profile, HotSpotCreditsOneAccountAndTransferMany) {
    std::vector<uint32_t> seen;
    for (uint32_t i = 0; i < 1000; ++i) {
        EXPECT_EQ(spec_of({Profile::hotspot, 1, 50, 1}, i, 0).recipient, 0u);
        seen.push_back(spec_of({Profile::transfer, 1, 50, 1}, i, 0).recipient);
    }
    std::ranges::sort(seen);
    seen.erase(std::ranges::unique(seen).begin(), seen.end());
    EXPECT_EQ(seen.size(), 50u);
}

// ---------------------------------------------------------------- Options and the rest

TEST(LoadOptions, LimitsAreNamedByTheirFlag) {
    EXPECT_TRUE(check_options({}));
    const auto refused = [](auto change, std::string_view flag) {
        LoadOptions options;
        change(options);
        const auto checked = check_options(options);
        EXPECT_FALSE(checked) << flag;
        if (!checked) {
            EXPECT_EQ(checked.error().code, ErrorCode::invalid_input);
            EXPECT_NE(checked.error().message.find(flag), std::string::npos)
                << checked.error().message;
        }
    };
    refused([](LoadOptions& o) { o.url = "http://10.1.2.3"; }, "--allow-remote");
    refused([](LoadOptions& o) { o.rate = -1; }, "--rate");
    refused([](LoadOptions& o) { o.rate = std::nan(""); }, "--rate");
    refused([](LoadOptions& o) { o.seconds = 0; }, "--seconds");
    refused([](LoadOptions& o) { o.count = transactions_max + 1; }, "--count");
    refused([](LoadOptions& o) { o.batch = 0; }, "--batch");
    refused([](LoadOptions& o) { o.connections = 0; }, "--connections");
    refused([](LoadOptions& o) { o.accounts = 15; }, "--accounts");
    refused([](LoadOptions& o) { o.priority_fraction = 1.5; }, "--priority-fraction");
    refused([](LoadOptions& o) { o.send = "carrier pigeon"; }, "--send");
    refused([](LoadOptions& o) { o.arrivals = "bursts"; }, "--arrivals");
    refused([](LoadOptions& o) { o.context = {"=x"}; }, "--context");
    refused([](LoadOptions& o) { o.overload = 3, o.rate = 5; }, "--rate");
    refused([](LoadOptions& o) { o.overload = 3, o.send = "sync"; }, "--overload");
    LoadOptions remote;
    remote.url = "http://10.1.2.3";
    remote.allow_remote = true;
    EXPECT_TRUE(check_options(remote));
}

TEST(ProcessUse, ReadsThisProcessAndSaysWhenThereIsNone) {
    const auto self = sample_process(getpid());
    ASSERT_TRUE(self);
    EXPECT_GT(self->rss_bytes, uint64_t{1} << 20);
    EXPECT_GE(own_cpu_s(), 0);
    EXPECT_FALSE(sample_process(int64_t{1} << 40));
}

}  // namespace
}  // namespace millrace::load
