// SPDX-License-Identifier: Apache-2.0
// Owns the claims about a run over real sockets, against a server whose node does what the test
// says.
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "evm/tx/transaction.hpp"
#include "host/base/hex.hpp"
#include "host/load/driver.hpp"
#include "host/load/load.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/secp256k1/recover.hpp"
#include "net/rpc/rpc_server.hpp"
#include "tests/net/fake_node.hpp"

namespace millrace::load {
namespace {

using net::ApiErrorKind;
using net::SendCallback;
using net::SendOutcome;
using net::testing::FakeNode;

constexpr uint32_t sender_count = 8;
/// What FakeNode says of every account.
constexpr uint64_t first_nonce = 5;

class LoadDriveTest : public ::testing::Test {
protected:
    void SetUp() override {
        options.port = 0;
        for (uint32_t i = 0; i < sender_count; ++i) {
            node.balances[derive_account(1, i).address] = U256{1} << 100;
        }
        node.on_send = [this](Bytes raw, SendCallback done) { take(std::move(raw), done); };
        server = std::make_unique<net::RpcServer>(options, node, registry);
        ASSERT_TRUE(server->start());
        endpoint = *parse_endpoint("http://127.0.0.1:" + std::to_string(server->port()));
    }
    void TearDown() override { server->stop(); }

    /// Counts what comes, and checks that the nonces of a sender come in order.
    void take(Bytes raw, const SendCallback& done) {
        const Hash256 hash = kernels::keccak256(raw);
        const auto tx = evm::decode_transaction(raw);
        {
            const std::lock_guard lock(mutex);
            ++calls;
            if (!tx) {
                ++faults;
            } else if (answer) {
                if (auto refusal = answer(hash, *tx)) {
                    done(std::unexpected(*std::move(refusal)));
                    return;
                }
            }
            const uint32_t number = workload ? workload->find(hash) : Workload::absent;
            if (number == Workload::absent) {
                ++faults;
            } else {
                const uint32_t sender = workload->sender(number);
                if (tx->nonce != next_nonce.try_emplace(sender, first_nonce).first->second++) {
                    ++faults;
                }
            }
        }
        done(SendOutcome{hash, true, 0});
        if (tell_of_mini_blocks) { announce(hash); }
    }

    void announce(const Hash256& hash) {
        auto event = std::make_shared<net::MiniBlockEvent>();
        auto transaction = net::testing::dynamic_fee_transaction(1, net::Inclusion{});
        transaction.hash = hash;
        event->transactions = {transaction};
        node.emit([&](net::EventSink& sink) { sink.on_mini_block(event); });
    }

    Result<Chain> open_chain(RpcClient& client) {
        ChainOptions chain_options;
        chain_options.funding_key.bytes[31] = 1;
        chain_options.sender_count = sender_count;
        chain_options.shape.recipient_count = 3;
        chain_options.max_fee_gwei = 50;
        return Chain::open(client, chain_options, [](const std::string&) {});
    }

    void sign(WorkloadOptions workload_options) {
        auto client = RpcClient::open(loop, endpoint);
        ASSERT_TRUE(client) << client.error().message;
        auto chain = open_chain(*client);
        ASSERT_TRUE(chain) << chain.error().message;
        const auto funded = chain->fund(100);
        ASSERT_TRUE(funded) << funded.error().message;
        auto made = Workload::sign(*chain, workload_options, [](uint64_t) { return true; });
        ASSERT_TRUE(made) << made.error().message;
        workload = std::make_unique<Workload>(*std::move(made));
    }

    Result<Measurement> run(DriveOptions drive_options) {
        drive_options.seconds = 20;
        drive_options.drain_s = 2;
        return drive(
            loop, endpoint, *workload, drive_options, stop, [](const Progress&) {}, included);
    }

    FakeNode node;
    metrics::Registry registry;
    net::RpcOptions options;
    std::unique_ptr<net::RpcServer> server;
    Endpoint endpoint;
    EventLoop loop;
    std::unique_ptr<Workload> workload;
    std::atomic<bool> stop{false};
    Included included;

    std::mutex mutex;  ///< guards all below: two network threads call the node
    std::function<std::optional<net::ApiError>(const Hash256&, const evm::Transaction&)> answer;
    std::map<uint32_t, uint64_t> next_nonce;
    uint64_t calls = 0;
    uint64_t faults = 0;
    bool tell_of_mini_blocks = false;
};

DriveOptions closed(SendMode mode) {
    DriveOptions out;
    out.mode = mode;
    out.batch = 7;
    out.track = Track::none;
    return out;
}

TEST_F(LoadDriveTest, RequestsAreWholeAndSignedByTheirSenders) {
    sign({SendMode::batch, 3, 100, 0.2, 0, 2});
    std::set<Hash256> hashes;
    uint64_t priority = 0;
    for (uint32_t lane = 0; lane < 3; ++lane) {
        for (uint32_t k = 0; k < workload->lane_size(lane); ++k) {
            const uint32_t number = workload->lane_first(lane) + k;
            const std::string_view text = workload->requests(lane, k, k + 1);
            const std::string head = R"({"jsonrpc":"2.0","id":)" + std::to_string(number) +
                                     R"(,"method":"eth_sendRawTransaction","params":["0x)";
            ASSERT_TRUE(text.starts_with(head)) << text;
            ASSERT_TRUE(text.ends_with(R"("]})")) << text;
            const auto raw =
                from_hex(text.substr(head.size(), text.size() - head.size() - 3)).value();
            const auto tx = evm::decode_transaction(raw).value();
            EXPECT_EQ(kernels::keccak256(raw), workload->hash(number));
            const uint32_t sender = workload->sender(number);
            const auto from =
                kernels::recover_address({evm::signing_hash(tx), tx.r, tx.s, tx.y_parity});
            EXPECT_EQ(from, derive_account(1, sender).address);
            EXPECT_EQ(tx.nonce, first_nonce + workload->nth_of_sender(number));
            EXPECT_EQ(tx.chain_id, 1337u);
            EXPECT_EQ(tx.max_priority_fee_per_gas,
                      U256{(workload->is_priority(number) ? 10u : 1u) * uint64_t{1'000'000'000}});
            priority += workload->is_priority(number);
            EXPECT_EQ(workload->number_of(sender, workload->nth_of_sender(number)), number);
            EXPECT_EQ(workload->find(workload->hash(number)), number);
            hashes.insert(workload->hash(number));
        }
        // Neighbours are joined by one comma.
        const std::string both = std::string(workload->requests(lane, 0, 1)) + "," +
                                 std::string(workload->requests(lane, 1, 2));
        EXPECT_EQ(workload->requests(lane, 0, 2), both);
    }
    EXPECT_EQ(hashes.size(), 100u);
    EXPECT_GT(priority, 20u);
    EXPECT_LT(priority, 80u);
    EXPECT_EQ(workload->find(Hash256{}), Workload::absent);
    EXPECT_EQ(workload->number_of(0, 1'000), Workload::absent);
}

TEST_F(LoadDriveTest, AClosedLoopSendsAllInNonceOrder) {
    for (const bool websocket : {false, true}) {
        for (const SendMode mode : {SendMode::raw, SendMode::batch}) {
            endpoint.websocket = false;
            sign({mode, 3, 200, 0, 0, 1});
            endpoint.websocket = websocket;
            next_nonce.clear();
            calls = 0;
            const auto m = run(closed(mode));
            ASSERT_TRUE(m) << m.error().message;
            EXPECT_EQ(m->accepted, 200u);
            EXPECT_EQ(m->offered, 200u);
            EXPECT_EQ(m->all.acknowledged.count(), 200u);
            EXPECT_TRUE(m->ran_out);
            EXPECT_EQ(calls, 200u);
            EXPECT_EQ(faults, 0u);
        }
    }
}

TEST_F(LoadDriveTest, WhatTheNodeRefusesIsSentAgainInOrder) {
    sign({SendMode::raw, 2, 120, 0, 0, 1});
    uint64_t asked = 0;
    answer = [&asked](const Hash256&, const evm::Transaction&) -> std::optional<net::ApiError> {
        if (++asked % 3 != 0) { return std::nullopt; }
        net::ApiError full{ApiErrorKind::limit, "the pool is full"};
        full.retry_after_ms = 1;
        return full;
    };
    const auto m = run(closed(SendMode::raw));
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->accepted, 120u);
    EXPECT_EQ(m->refused, m->sent - 120);
    EXPECT_GE(m->refused, 50u);
    EXPECT_EQ(m->rejected, 0u);
    EXPECT_EQ(faults, 0u);
}

TEST_F(LoadDriveTest, AnOpenLoopSendsAtItsOwnTimesAndCountsFromThem) {
    sign({SendMode::raw, 4, 300, 0, 0, 1});
    DriveOptions open = closed(SendMode::raw);
    open.open_loop = true;
    open.per_second = 1000;
    const int64_t start_ns = steady_ns();
    const auto m = run(open);
    const double took_s = static_cast<double>(steady_ns() - start_ns) * 1e-9;
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->accepted, 300u);
    EXPECT_GT(took_s, 0.2);
    EXPECT_EQ(faults, 0u);
    // A late send is part of the latency, so the sum of what is late cannot exceed it.
    EXPECT_GE(m->all.acknowledged.mean_us() + 1, m->send_lag.mean_us());
}

TEST_F(LoadDriveTest, ArrivalsBeyondWhatIsSignedDoNotPileUp) {
    sign({SendMode::raw, 4, 300, 0, 0, 1});
    DriveOptions open = closed(SendMode::raw);
    open.open_loop = true;
    open.arrivals = ArrivalKind::fixed;
    open.per_second = 1e7;
    const auto m = run(open);
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->accepted, 300u);
    EXPECT_TRUE(m->ran_out);
    EXPECT_LE(m->offered, 600u);
}

TEST_F(LoadDriveTest, InclusionIsLearntFromMiniBlocks) {
    tell_of_mini_blocks = true;
    sign({SendMode::batch, 2, 150, 0.2, 0, 1});
    DriveOptions tracked = closed(SendMode::batch);
    tracked.track = Track::automatic;
    tracked.in_flight_max = 20;
    const auto m = run(tracked);
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->track, Track::mini_blocks);
    EXPECT_EQ(m->included, 150u);
    EXPECT_EQ(m->all.included.count(), 150u);
    EXPECT_EQ(m->priority.included.count(), m->priority.acknowledged.count());
    EXPECT_GT(m->priority.included.count(), 0u);
    EXPECT_EQ(m->priority.mini_blocks.count(), m->priority.included.count());
    EXPECT_GE(m->priority.mini_blocks.min_us(), 1u) << "its own mini-block counts";
    EXPECT_EQ(std::ranges::count(included, true), 150);
}

TEST_F(LoadDriveTest, ManyRequestsAreUnderWayOnAWebSocket) {
    // What waits for its answer, so that all that may be under way is.
    std::vector<std::pair<Hash256, SendCallback>> waiting;
    constexpr size_t lanes = 2;
    constexpr size_t pipeline = 8;
    constexpr size_t batch = 5;
    sign({SendMode::batch, lanes, 400, 0, 0, 1});
    size_t most = 0;
    node.on_send = [&](Bytes raw, SendCallback done) {
        std::vector<std::pair<Hash256, SendCallback>> full;
        {
            const std::lock_guard lock(mutex);
            ++calls;
            waiting.emplace_back(kernels::keccak256(raw), std::move(done));
            most = std::max(most, waiting.size());
            // Nobody gets an answer until as many wait as may; the last ones are fewer.
            if (waiting.size() == lanes * pipeline * batch || calls == 400) { full.swap(waiting); }
        }
        // The newest first: answers need not come in order.
        for (size_t i = full.size(); i-- > 0;) { full[i].second(SendOutcome{full[i].first}); }
    };
    endpoint.websocket = true;
    DriveOptions deep = closed(SendMode::batch);
    deep.batch = batch;
    deep.pipeline = pipeline;
    const auto m = run(deep);
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->accepted, 400u);
    EXPECT_EQ(m->all.acknowledged.count(), 400u);
    EXPECT_EQ(most, lanes * pipeline * batch);
}

TEST_F(LoadDriveTest, RefusalsInAPipelineAreSentAgainBeforeWhatIsNew) {
    sign({SendMode::batch, 2, 200, 0.1, 0, 1});
    std::map<Hash256, int> tries;
    answer = [&](const Hash256& hash, const evm::Transaction&) -> std::optional<net::ApiError> {
        // Each of every third transaction is refused twice.
        const bool often = hash.bytes[0] % 3 == 0;
        if (++tries[hash] > (often ? 2 : 0)) { return std::nullopt; }
        net::ApiError full{ApiErrorKind::limit, "overloaded"};
        full.retry_after_ms = 1;
        return full;
    };
    endpoint.websocket = true;
    DriveOptions open = closed(SendMode::batch);
    open.open_loop = true;
    open.per_second = 1e6;
    open.pipeline = 4;
    const auto m = run(open);
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->accepted, 200u);
    EXPECT_EQ(m->sent, m->accepted + m->refused);
    EXPECT_GT(m->refused, 50u);
    EXPECT_GT(m->priority_refused, 0u);
    EXPECT_LT(m->priority_refused, m->refused);
    EXPECT_EQ(m->rejected, 0u);
}

TEST_F(LoadDriveTest, PriorityHasSendersAndLanesOfItsOwn) {
    sign({SendMode::raw, 4, 400, 0.05, 0, 1});
    std::set<uint32_t> ordinary;
    std::set<uint32_t> priority;
    for (uint32_t n = 0; n < workload->count(); ++n) {
        (workload->is_priority(n) ? priority : ordinary).insert(workload->sender(n));
    }
    for (const uint32_t sender : priority) { EXPECT_FALSE(ordinary.contains(sender)); }
    EXPECT_EQ(ordinary.size() + priority.size(), sender_count);
    EXPECT_FALSE(workload->is_priority_lane(2));
    EXPECT_TRUE(workload->is_priority_lane(3));
    EXPECT_GE(workload->lane_size(3), 20u);
    EXPECT_LT(workload->lane_size(3), 60u);
}

TEST_F(LoadDriveTest, TheWindowStopsALoopThatNobodyIncludes) {
    sign({SendMode::batch, 2, 150, 0, 0, 1});
    DriveOptions tracked = closed(SendMode::batch);
    tracked.track = Track::mini_blocks;
    tracked.in_flight_max = 28;
    std::thread later([this] {
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        stop = true;
    });
    const auto m = run(tracked);
    later.join();
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->accepted, 28u);
    EXPECT_EQ(m->included, 0u);
    EXPECT_FALSE(m->ran_out);
}

TEST_F(LoadDriveTest, ManyRejectionsEndTheRunWithTheReason) {
    sign({SendMode::raw, 2, 150, 0, 0, 1});
    answer = [](const Hash256&, const evm::Transaction&) {
        return std::optional(net::ApiError{ApiErrorKind::rejected, "nonce too low"});
    };
    const auto m = run(closed(SendMode::raw));
    ASSERT_FALSE(m);
    EXPECT_NE(m.error().message.find("nonce too low"), std::string::npos) << m.error().message;
}

TEST_F(LoadDriveTest, ASyncSendThatTimesOutIsARejectionWithItsReason) {
    // This node includes nothing.
    sign({SendMode::sync, 2, 2, 0, 1, 1});
    const auto m = run(closed(SendMode::sync));
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->accepted, 0u);
    EXPECT_EQ(m->rejected, 2u);
    ASSERT_EQ(m->reasons.size(), 1u);
    EXPECT_NE(m->reasons[0].find("code 4"), std::string::npos) << m->reasons[0];
}

TEST_F(LoadDriveTest, ABatchThatIsTooLargeIsExplained) {
    server->stop();
    options.batch_items_max = 3;
    server = std::make_unique<net::RpcServer>(options, node, registry);
    ASSERT_TRUE(server->start());
    endpoint.port = server->port();
    auto client = RpcClient::open(loop, endpoint);
    ASSERT_TRUE(client);
    const std::vector<RpcClient::Call> four(4, {"eth_chainId", "[]"});
    const auto refused = client->batch(four);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("batch too large"), std::string::npos);
}

TEST_F(LoadDriveTest, CallsTellErrorsApart) {
    for (const bool websocket : {false, true}) {
        endpoint.websocket = websocket;
        auto client = RpcClient::open(loop, endpoint);
        ASSERT_TRUE(client) << client.error().message;
        EXPECT_EQ(client->quantity({"eth_chainId", "[]"}).value(), U256{1337});
        const auto unknown = client->call({"eth_nonsense", "[]"});
        ASSERT_FALSE(unknown);
        EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
        EXPECT_FALSE(client->quantity({"web3_clientVersion", "[]"}));
    }
    server->stop();
    auto gone = RpcClient::open(loop, endpoint);
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, ErrorCode::unavailable);
    EXPECT_NE(gone.error().message.find("is a node running there"), std::string::npos);
}

TEST_F(LoadDriveTest, ANodeThatGoesAwayEndsTheRunWithAnError) {
    sign({SendMode::raw, 2, 2'000, 0, 0, 1});
    std::thread stopper([this] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        server->stop();
    });
    DriveOptions endless = closed(SendMode::raw);
    endless.open_loop = true;
    endless.per_second = 100;
    const auto m = run(endless);
    stopper.join();
    ASSERT_FALSE(m);
    EXPECT_FALSE(m.error().message.empty());
}

TEST_F(LoadDriveTest, AnUnfundedAccountIsNamedWithTheRemedy) {
    node.balances.clear();
    auto client = RpcClient::open(loop, endpoint);
    ASSERT_TRUE(client);
    auto chain = open_chain(*client);
    ASSERT_TRUE(chain);
    const auto funded = chain->fund(100);
    ASSERT_FALSE(funded);
    EXPECT_NE(funded.error().message.find("--key"), std::string::npos);
}

TEST_F(LoadDriveTest, TooManyTransactionsAreRefusedBeforeSigning) {
    auto client = RpcClient::open(loop, endpoint);
    ASSERT_TRUE(client);
    auto chain = open_chain(*client);
    ASSERT_TRUE(chain);
    const auto refused = Workload::sign(*chain, {SendMode::raw, 1, transactions_max + 1, 0, 0, 1},
                                        [](uint64_t) { return true; });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::limit);
}

TEST_F(LoadDriveTest, VerificationNamesWhatIsWrong) {
    sign({SendMode::raw, 1, 16, 0, 0, 1});
    auto client = RpcClient::open(loop, endpoint);
    ASSERT_TRUE(client);
    auto chain = open_chain(*client);
    ASSERT_TRUE(chain && chain->fund(1));
    // FakeNode's nonces never move and its recipients own nothing, so "two included" is wrong.
    IncludedCounts counts(sender_count);
    counts[3] = 2;
    const auto wrong =
        chain->verify(counts, [](uint32_t, uint64_t) { return true; }, {workload->hash(0)});
    ASSERT_TRUE(wrong) << wrong.error().message;
    EXPECT_EQ(wrong->nonces, sender_count - 1);
    EXPECT_GE(wrong->faults.size(), 3u);
    const auto right =
        chain->verify(IncludedCounts(sender_count), [](uint32_t, uint64_t) { return true; }, {});
    ASSERT_TRUE(right);
    EXPECT_EQ(right->nonces, sender_count);
    EXPECT_TRUE(right->faults.empty());
}

}  // namespace
}  // namespace millrace::load
