// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the node's answers over a running sequencer: calls, estimates, log queries,
// transactions of accounts that the node holds.
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "evm/precompiles/standard.hpp"
#include "host/base/hex.hpp"
#include "host/base/log.hpp"
#include "host/node/api/node_api.hpp"
#include "tests/storage/scratch_directory.hpp"

namespace millrace::node {
namespace {

using net::BlockRef;

const Address logger = address_literal("0x00000000000000000000000000000000000000c1");
const Address identity = address_literal("0x0000000000000000000000000000000000000004");
constexpr auto patience = std::chrono::seconds(30);

/// A development node without its server.
class NodeApiTest : public ::testing::Test {
protected:
    NodeApiTest() {
        log::configure({log::Level::warn, log::Format::terminal});
        sequencer::LedgerOptions l;
        l.path = scratch_.path() + "/node";
        l.wal_segment_bytes = 4 << 20;
        l.wal_record_bytes_max = 2 << 20;
        l.state_segment_bytes = 1 << 20;
        l.state_step_writes_max = 256;
        auto opened = sequencer::Ledger::open(*fs_, l, genesis_, precompiles_, registry_);
        MILLRACE_ASSERT(opened.has_value(), "the directory is new");
        ledger_ = std::move(*opened);
        offload_ = std::move(
            *kernels::OffloadEngine::create({.worker_count = 1, .cuda = kernels::CudaPolicy::off}));
        sequencer::SequencerOptions options;
        options.mini_block_us = 2'000;
        options.block_us = 3'600'000'000;
        sequencer_ = std::make_unique<sequencer::Sequencer>(
            options, genesis_, precompiles_, *ledger_, *offload_, registry_, [](const Error&) {});
        api_ =
            std::make_unique<SequencerNode>(NodeApiOptions{.client_version = "test", .dev = true},
                                            genesis_, precompiles_, *sequencer_, ledger_->view());
        sequencer_->start();
        // Five times LOG0 of nothing.
        EXPECT_TRUE(api_->set_code(logger, from_hex("5f5fa05f5fa05f5fa05f5fa05f5fa000").value())
                        .has_value());
    }
    ~NodeApiTest() override {
        offload_->shutdown();
        sequencer_->stop();
    }
    net::ApiResult<net::SendOutcome> send(net::CallRequest request) {
        auto promise = std::make_shared<std::promise<net::ApiResult<net::SendOutcome>>>();
        auto f = promise->get_future();
        api_->send_transaction(std::move(request), [promise](net::ApiResult<net::SendOutcome> r) {
            promise->set_value(std::move(r));
        });
        EXPECT_EQ(f.wait_for(patience), std::future_status::ready);
        return f.get();
    }
    net::ApiResult<net::ReceiptData> receipt(const Hash256& hash) {
        auto promise = std::make_shared<std::promise<net::ApiResult<net::ReceiptData>>>();
        auto f = promise->get_future();
        api_->watch_receipt(hash, [promise](net::ApiResult<net::ReceiptData> r) {
            promise->set_value(std::move(r));
        });
        EXPECT_EQ(f.wait_for(patience), std::future_status::ready);
        return f.get();
    }
    net::CallRequest to(const Address& target) {
        net::CallRequest r;
        r.from = dev_accounts()[0].address;
        r.to = target;
        return r;
    }

    sequencer::Genesis genesis_ = dev_genesis({}).value();
    evm::StandardPrecompiles precompiles_;
    metrics::Registry registry_;
    storage::ScratchDirectory scratch_;
    std::unique_ptr<storage::FileSystem> fs_ = storage::make_posix_file_system();
    std::unique_ptr<sequencer::Ledger> ledger_;
    std::unique_ptr<kernels::OffloadEngine> offload_;
    std::unique_ptr<sequencer::Sequencer> sequencer_;
    std::unique_ptr<SequencerNode> api_;
};

TEST_F(NodeApiTest, TipWithoutAFeeIsIgnoredByCalls) {
    net::CallRequest r = to(identity);
    r.data = Bytes{1, 2, 3};
    r.max_priority_fee_per_gas = U256{1};
    const auto called = api_->call(r, BlockRef::latest(), {}, {});
    ASSERT_TRUE(called.has_value()) << called.error().message;
    EXPECT_EQ(called->output, (Bytes{1, 2, 3}));
    // The gas limit holds all the same.
    r.gas = 1;
    EXPECT_FALSE(api_->call(r, BlockRef::latest(), {}, {}).has_value());
}

TEST_F(NodeApiTest, EstimateIgnoresALimitThatNoTransactionCouldHave) {
    net::CallRequest r = to(identity);
    r.data = Bytes{1, 2, 3};
    const auto free = api_->estimate_gas(r, BlockRef::latest(), {}, {});
    r.gas = 20'999;
    const auto limited = api_->estimate_gas(r, BlockRef::latest(), {}, {});
    ASSERT_TRUE(free.has_value() && limited.has_value());
    EXPECT_EQ(*free, *limited);
    r.gas = 21'000;
    EXPECT_FALSE(api_->estimate_gas(r, BlockRef::latest(), {}, {}).has_value())
        << "a real limit counts";
}

TEST_F(NodeApiTest, CallsAtABlockThatIsNotThereFail) {
    for (const BlockRef& ref : {BlockRef::number(1'000), BlockRef::hash(to_hash(U256{5}))}) {
        EXPECT_EQ(api_->call(to(identity), ref, {}, {}).error().kind, net::ApiErrorKind::not_found);
        EXPECT_EQ(api_->balance(identity, ref).error().kind, net::ApiErrorKind::not_found);
    }
}

TEST_F(NodeApiTest, LogLimitHoldsInOneBlockByHashAndInTheOpenBlock) {
    const auto sent = send(to(logger));
    ASSERT_TRUE(sent.has_value()) << sent.error().message;
    ASSERT_TRUE(receipt(sent->hash).has_value());
    ASSERT_TRUE(api_->mine(1, {}, 0).has_value());
    const uint64_t number = api_->transaction(sent->hash).value()->inclusion->block_number;
    const Hash256 hash = api_->transaction(sent->hash).value()->inclusion->block_hash;
    const auto open = send(to(logger));
    ASSERT_TRUE(open.has_value());
    ASSERT_TRUE(receipt(open->hash).has_value());

    net::LogQuery q;
    q.blocks_max = 1'000;
    q.results_max = 5;
    q.from = q.to = BlockRef::number(number);
    EXPECT_EQ(api_->logs(q).value().size(), 5u) << "exactly as many are fine";
    q.block_hash = hash;
    EXPECT_EQ(api_->logs(q).value().size(), 5u);

    q.results_max = 4;
    auto refused = api_->logs(q);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind, net::ApiErrorKind::limit);
    EXPECT_FALSE(refused.error().retry_range);
    q.block_hash.reset();
    refused = api_->logs(q);
    ASSERT_FALSE(refused.has_value());
    EXPECT_FALSE(refused.error().retry_range) << "asking for the same block again would not help";
    q.from = BlockRef::earliest();
    refused = api_->logs(q);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().retry_range, std::pair(uint64_t{0}, number - 1));
    // The sealed block fits, the open one on top of it does not.
    q.results_max = 7;
    q.to = BlockRef::pending();
    refused = api_->logs(q);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind, net::ApiErrorKind::limit);
    q.results_max = 10;
    EXPECT_EQ(api_->logs(q).value().size(), 10u);
}

TEST_F(NodeApiTest, TransactionsSentAtOnceGetNoncesOfTheirOwn) {
    const Address held = dev_accounts()[3].address;
    const Address impersonated = address_literal("0x00000000000000000000000000000000000000ee");
    ASSERT_TRUE(api_->set_balance(impersonated, U256{1} << 80).has_value());
    ASSERT_TRUE(api_->impersonate(impersonated).has_value());
    constexpr uint64_t each = 12;
    std::atomic<uint64_t> taken{0};
    {
        std::vector<std::jthread> threads;
        for (const Address& from : {held, impersonated}) {
            for (uint64_t i = 0; i < each; ++i) {
                threads.emplace_back([&, from, i] {
                    net::CallRequest r = to(identity);
                    r.from = from;
                    r.value = U256{i + 1};
                    const auto sent = send(std::move(r));
                    EXPECT_TRUE(sent.has_value()) << sent.error().message;
                    if (sent && receipt(sent->hash)) { taken.fetch_add(1); }
                });
            }
        }
    }
    EXPECT_EQ(taken.load(), 2 * each);
    EXPECT_EQ(api_->nonce(held, BlockRef::latest()).value(), each);
    EXPECT_EQ(api_->nonce(impersonated, BlockRef::latest()).value(), each);
}

TEST_F(NodeApiTest, PoolStatusCountsAtOnce) {
    net::CallRequest r = to(identity);
    r.nonce = 5;
    ASSERT_TRUE(send(r).has_value());
    EXPECT_EQ(api_->pool_status().value().queued, 1u);
    EXPECT_EQ(api_->pool_status().value().pending, 0u);
}

TEST_F(NodeApiTest, BalancesAreBounded) {
    const Address a = dev_accounts()[1].address;
    EXPECT_TRUE(api_->set_balance(a, U256{1} << 128).has_value());
    const auto refused = api_->set_balance(a, (U256{1} << 128) + U256{1});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind, net::ApiErrorKind::invalid_params);
    EXPECT_EQ(api_->balance(a, BlockRef::latest()).value(), U256{1} << 128);
}

TEST_F(NodeApiTest, RevertEndsTheWaitForAReceipt) {
    const uint64_t id = api_->snapshot().value();
    net::CallRequest r = to(identity);
    r.nonce = 9;  // waits behind a gap
    const auto sent = send(r);
    ASSERT_TRUE(sent.has_value());
    auto promise = std::make_shared<std::promise<net::ApiResult<net::ReceiptData>>>();
    auto f = promise->get_future();
    api_->watch_receipt(sent->hash, [promise](net::ApiResult<net::ReceiptData> x) {
        promise->set_value(std::move(x));
    });
    EXPECT_TRUE(api_->revert(id).value());
    ASSERT_EQ(f.wait_for(patience), std::future_status::ready);
    const auto answer = f.get();
    ASSERT_FALSE(answer.has_value());
    EXPECT_NE(answer.error().message.find("evm_revert"), std::string::npos);
}

}  // namespace
}  // namespace millrace::node
