// SPDX-License-Identifier: Apache-2.0
// Owns the claims about the server on its port: HTTP rules, limits, WebSocket subscriptions,
// stopping.
#include "net/rpc/rpc_server.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "net/rpc/encode.hpp"
#include "tests/net/fake_node.hpp"
#include "tests/net/http_client.hpp"
#include "tests/net/json_view.hpp"
#include "tests/net/ws_client.hpp"

namespace millrace::net {
namespace {

using namespace testing;
using namespace std::chrono_literals;

constexpr std::string_view ask_chain_id = R"({"jsonrpc":"2.0","id":1,"method":"eth_chainId"})";
constexpr std::string_view chain_id_answer = R"({"jsonrpc":"2.0","id":1,"result":"0x539"})";

std::string request(std::string_view method, std::string_view params = "[]") {
    return R"({"jsonrpc":"2.0","id":1,"method":")" + std::string(method) + R"(","params":)" +
           std::string(params) + "}";
}

template <class Done>
bool eventually(Done done) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) { return false; }
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

class RpcServerTest : public ::testing::Test {
protected:
    RpcServerTest() {
        options.port = 0;
        for (uint8_t n = 0; n < 5; ++n) { block_with_transaction(node, n); }
    }
    void start() {
        server = std::make_unique<RpcServer>(options, node, registry);
        const auto started = server->start();
        ASSERT_TRUE(started) << started.error().message;
        ASSERT_NE(server->port(), 0);
    }
    uint16_t port() const { return server->port(); }

    FakeNode node;
    metrics::Registry registry;
    RpcOptions options;
    std::unique_ptr<RpcServer> server;
};

// ---------------------------------------------------------------- HTTP

TEST_F(RpcServerTest, KeepsTheConnectionBetweenRequests) {
    start();
    HttpClient client(port());
    for (int i = 0; i < 3; ++i) {
        const auto answer = client.post(ask_chain_id);
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(answer.body, chain_id_answer);
        EXPECT_EQ(answer.headers.at("content-type"), "application/json");
        EXPECT_EQ(answer.headers.count("access-control-allow-origin"), 0u);
    }
    const auto last = client.post(ask_chain_id, "Connection: close\r\n");
    EXPECT_EQ(last.status, 200);
    EXPECT_TRUE(client.closes());
}

TEST_F(RpcServerTest, PipelinedRequestsAreAnsweredInOrder) {
    start();
    HttpClient client(port());
    std::string all;
    for (int i = 0; i < 20; ++i) {
        // Slow and quick methods in turn.
        const std::string body = R"({"jsonrpc":"2.0","id":)" + std::to_string(i) +
                                 R"(,"method":")" + (i % 2 == 0 ? "eth_gasPrice" : "eth_chainId") +
                                 "\"}";
        all += "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
               "application/json\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body;
    }
    ASSERT_TRUE(client.send_raw(all));
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(json_at(client.receive().body, "/id"), std::to_string(i));
    }
}

TEST_F(RpcServerTest, AcceptsChunkedBodiesAndExpectContinue) {
    start();
    HttpClient client(port());
    client.send_raw("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n" +
                    std::string("2f\r\n") + std::string(ask_chain_id) + "\r\n0\r\n\r\n");
    ASSERT_EQ(ask_chain_id.size(), 0x2fu);
    EXPECT_EQ(client.receive().body, chain_id_answer);
    client.send_raw("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    "Expect: 100-continue\r\nContent-Length: 47\r\n\r\n");
    EXPECT_EQ(client.receive().status, 100);
    client.send_raw(ask_chain_id);
    EXPECT_EQ(client.receive().body, chain_id_answer);
}

TEST_F(RpcServerTest, OperatorsPages) {
    start();
    HttpClient client(port());
    EXPECT_EQ(client.get("/livez").status, 200);
    auto ready = client.get("/readyz", "", "node.example");  // probes come by any name
    EXPECT_EQ(ready.status, 200);
    EXPECT_EQ(json_at(ready.body, "/ready"), "true");
    node.checks.push_back({"disk", false, "1 GiB left; free some"});
    ready = client.get("/readyz");
    EXPECT_EQ(ready.status, 503);
    EXPECT_EQ(json_at(ready.body, "/checks/1"),
              R"({"name":"disk","ok":false,"detail":"1 GiB left; free some"})");
    client.post(ask_chain_id);
    const auto metrics = client.get("/metrics");
    EXPECT_EQ(metrics.status, 200);
    EXPECT_NE(metrics.body.find("millrace_rpc_requests_total{method=\"eth_chainId\"} 1"),
              std::string::npos)
        << metrics.body;
    EXPECT_EQ(client.get("/").status, 200);
    EXPECT_EQ(client.get("/nothing").status, 404);
}

TEST_F(RpcServerTest, HeadHasNoBody) {
    start();
    HttpClient client(port());
    client.send_raw("HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(client.receive(false).status, 200);
    EXPECT_EQ(client.post(ask_chain_id).body, chain_id_answer);
}

TEST_F(RpcServerTest, HostsAreChecked) {
    start();
    EXPECT_EQ(HttpClient(port()).post(ask_chain_id, "", "evil.example").status, 403);
    EXPECT_EQ(HttpClient(port()).post(ask_chain_id, "", "127.0.0.1:8545").status, 200);
    EXPECT_EQ(HttpClient(port()).post(ask_chain_id, "", "localhost:1").status, 200);
}

TEST_F(RpcServerTest, OnlyJsonContentTypesAreRead) {
    start();
    EXPECT_EQ(HttpClient(port()).post(ask_chain_id, "", "localhost", "text/plain").status, 415);
    EXPECT_EQ(HttpClient(port()).post(ask_chain_id, "", "localhost", "").status, 415);
    EXPECT_EQ(HttpClient(port())
                  .post(ask_chain_id, "", "localhost", "application/json; charset=utf-8")
                  .status,
              200);
}

TEST_F(RpcServerTest, OtherMethodsAndPathsAreRefused) {
    start();
    HttpClient client(port());
    client.send_raw("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(client.receive().status, 405);
    client.send_raw("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(client.receive().status, 404);
}

TEST_F(RpcServerTest, CorsFollowsTheDomains) {
    options.cors_domains = {"http://app.example"};
    start();
    HttpClient client(port());
    const auto answer = client.post(ask_chain_id, "Origin: http://app.example\r\n");
    EXPECT_EQ(answer.headers.at("access-control-allow-origin"), "http://app.example");
    EXPECT_EQ(answer.headers.at("vary"), "Origin");
    EXPECT_EQ(client.post(ask_chain_id, "Origin: http://b.example\r\n")
                  .headers.count("access-control-allow-origin"),
              0u);
    const auto preflight = [&](const std::string& origin) {
        client.send_raw("OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: " + origin +
                        "\r\nAccess-Control-Request-Method: POST\r\n"
                        "Access-Control-Request-Headers: content-type\r\n\r\n");
        return client.receive();
    };
    const auto allowed = preflight("http://app.example");
    EXPECT_EQ(allowed.status, 204);
    EXPECT_EQ(allowed.headers.at("access-control-allow-origin"), "http://app.example");
    EXPECT_EQ(allowed.headers.at("access-control-allow-headers"), "content-type");
    EXPECT_EQ(allowed.headers.at("access-control-max-age"), "600");
    EXPECT_EQ(preflight("http://b.example").headers.count("access-control-allow-origin"), 0u);
}

TEST_F(RpcServerTest, BodiesAndHeadersAreLimited) {
    options.request_bytes_max = 1000;
    options.header_bytes_max = 1024;
    start();
    EXPECT_EQ(HttpClient(port()).post(std::string(1001, ' ')).status, 413);
    EXPECT_EQ(HttpClient(port()).post(std::string(ask_chain_id) + std::string(500, ' ')).status,
              200);
    EXPECT_EQ(
        HttpClient(port()).post(ask_chain_id, "X-Long: " + std::string(3000, 'x') + "\r\n").status,
        431);
    // The length of a chunked body is not told before.
    HttpClient chunked(port());
    chunked.send_raw("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n7d0\r\n" +
                     std::string(2000, ' ') + "\r\n0\r\n\r\n");
    EXPECT_EQ(chunked.receive().status, 413);
}

TEST_F(RpcServerTest, MalformedHttpIsRefusedOrClosed) {
    start();
    for (const std::string bytes :
         {"\r\n\r\n\r\n\r\n", "GARBAGE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
          "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
          "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
          "\x16\x03\x01\x02\x00\x01", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
          "GET / HTTP/1.1\r\nBad Header\r\n\r\n"}) {
        HttpClient client(port());
        client.send_raw(bytes);
        const auto answer = client.receive();
        EXPECT_TRUE(answer.status == 400 || answer.status == 0 || answer.status == 413)
            << bytes << answer.status;
    }
    EXPECT_EQ(HttpClient(port()).post(ask_chain_id).status, 200);
}

TEST_F(RpcServerTest, SlowHeadersAndIdleConnectionsAreClosed) {
    options.header_timeout_ms = 200;
    options.idle_timeout_ms = 300;
    start();
    HttpClient slow(port());
    slow.send_raw("POST / HT");
    // It drips for as long as the connection lives: bytes do not lengthen the time for headers.
    std::atomic<bool> closed{false};
    std::thread dripping([&] {
        while (!closed && slow.send_raw("x")) { std::this_thread::sleep_for(20ms); }
    });
    EXPECT_TRUE(slow.closes());
    closed = true;
    dripping.join();
    HttpClient idle(port());
    EXPECT_TRUE(idle.closes());
}

TEST_F(RpcServerTest, ConnectionsAreLimited) {
    options.connections_max = 2;
    start();
    HttpClient a(port());
    HttpClient b(port());
    EXPECT_EQ(a.post(ask_chain_id).status, 200);
    EXPECT_EQ(b.post(ask_chain_id).status, 200);
    HttpClient c(port());
    EXPECT_EQ(c.receive().status, 503);
    EXPECT_EQ(a.post(ask_chain_id).status, 200);
}

TEST_F(RpcServerTest, NotificationsGetAnEmptyAnswer) {
    start();
    const auto answer = HttpClient(port()).post(R"({"jsonrpc":"2.0","method":"eth_chainId"})");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "");
}

TEST_F(RpcServerTest, LargeBodiesAreParsedOnAWorker) {
    start();
    const std::string padded = std::string(300'000, ' ') + std::string(ask_chain_id);
    EXPECT_EQ(HttpClient(port()).post(padded).body, chain_id_answer);
}

TEST_F(RpcServerTest, ASlowCallDoesNotHoldUpOthers) {
    std::atomic<bool> release{false};
    node.on_call = [&](auto&&...) -> ApiResult<CallResult> {
        while (!release) { std::this_thread::sleep_for(1ms); }
        return CallResult{{0x01}, 1};
    };
    options.io_threads = 1;
    options.worker_threads = 2;
    start();
    HttpClient slow(port());
    const std::string body = request("eth_call", "[{}]");
    slow.send_raw(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    HttpClient quick(port());
    EXPECT_EQ(quick.post(ask_chain_id).body, chain_id_answer);
    EXPECT_EQ(json_at(quick.post(request("eth_gasPrice")).body, "/result"), "\"0x3b9aca07\"");
    release = true;
    EXPECT_EQ(json_at(slow.receive().body, "/result"), "\"0x01\"");
}

TEST_F(RpcServerTest, SyncSendHoldsNoThreadAndTimesOut) {
    options.io_threads = 1;
    options.worker_threads = 1;
    options.sync_timeout_ms = 150;
    start();
    std::vector<std::unique_ptr<HttpClient>> clients;
    const std::string body = request("eth_sendRawTransactionSync", R"(["0x01"])");
    for (int i = 0; i < 20; ++i) {
        clients.push_back(std::make_unique<HttpClient>(port()));
        clients.back()->send_raw("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                 "application/json\r\nContent-Length: " +
                                 std::to_string(body.size()) + "\r\n\r\n" + body);
    }
    // Those that began may have timed out by now.
    EXPECT_TRUE(eventually([&] { return node.watches_begun() > 0; }));
    EXPECT_EQ(HttpClient(port()).post(ask_chain_id).body, chain_id_answer);
    for (auto& client : clients) { EXPECT_EQ(json_at(client->receive().body, "/error/code"), "4"); }
    EXPECT_EQ(node.watch_count(), 0u);
}

// ---------------------------------------------------------------- Starting and stopping

TEST_F(RpcServerTest, APortInUseIsSaid) {
    start();
    RpcOptions same = options;
    same.port = port();
    RpcServer second(same, node, registry);
    const auto started = second.start();
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, ErrorCode::unavailable);
    EXPECT_NE(started.error().message.find("in use"), std::string::npos);
    RpcOptions bad = options;
    bad.address = "somewhere";
    RpcServer third(bad, node, registry);
    EXPECT_EQ(third.start().error().code, ErrorCode::config);
}

TEST_F(RpcServerTest, StopEndsWaitsAndConnections) {
    start();
    HttpClient waiting(port());
    const std::string body = request("eth_sendRawTransactionSync", R"(["0x01","0x7530"])");
    waiting.send_raw(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    ASSERT_TRUE(eventually([&] { return node.watch_count() == 1; }));
    WsClient ws(port());
    ASSERT_TRUE(ws.connected());
    HttpClient idle(port());
    idle.post(ask_chain_id);
    std::thread stopping([&] { server->stop(); });
    EXPECT_EQ(json_at(waiting.receive().body, "/error/code"), "5");
    EXPECT_FALSE(ws.receive());
    EXPECT_EQ(ws.close_code(), 1001u);
    EXPECT_TRUE(idle.closes());
    stopping.join();
    EXPECT_TRUE(node.sinks.empty());
    EXPECT_EQ(node.watch_count(), 0u);
    server->stop();
    EXPECT_FALSE(HttpClient(port()).connected());
}

TEST_F(RpcServerTest, CallbacksAfterStopDoNothing) {
    SendCallback late;
    std::atomic<bool> asked{false};
    node.on_send = [&](Bytes, SendCallback done) {
        late = std::move(done);
        asked = true;
    };
    start();
    HttpClient client(port());
    const std::string body = request("eth_sendRawTransactionSync", R"(["0x01"])");
    client.send_raw(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    ASSERT_TRUE(eventually([&] { return asked.load(); }));
    server->stop();
    server.reset();
    late(SendOutcome{hash_of(1), true, 0});
    late = nullptr;
    EXPECT_EQ(node.watch_count(), 0u);
}

// ---------------------------------------------------------------- WebSocket

TEST_F(RpcServerTest, WebSocketAnswersRequestsAndBatches) {
    start();
    WsClient ws(port());
    ASSERT_TRUE(ws.connected());
    EXPECT_EQ(ws.ask(ask_chain_id), chain_id_answer);
    EXPECT_EQ(json_at(ws.ask("[" + std::string(ask_chain_id) + "]"), "/0/result"), "\"0x539\"");
    EXPECT_EQ(json_at(ws.ask("{"), "/error/code"), "-32700");
    EXPECT_EQ(json_at(ws.ask(request("eth_gasPrice")), "/result"), "\"0x3b9aca07\"");
}

TEST_F(RpcServerTest, WebSocketOriginsAreChecked) {
    start();
    EXPECT_TRUE(WsClient(port(), "http://localhost:3000").connected());
    WsClient evil(port(), "http://evil.example");
    EXPECT_FALSE(evil.connected());
    EXPECT_EQ(evil.handshake_status(), 403u);
}

TEST_F(RpcServerTest, WebSocketMessagesAreLimited) {
    options.request_bytes_max = 1000;
    start();
    WsClient ws(port());
    ASSERT_TRUE(ws.connected());
    ws.send(std::string(2000, ' '));
    EXPECT_FALSE(ws.receive());
    EXPECT_EQ(ws.close_code(), 1009u);
}

TEST_F(RpcServerTest, ManyOutstandingRequestsAreAllAnswered) {
    options.outstanding_per_connection_max = 4;
    start();
    WsClient ws(port());
    ASSERT_TRUE(ws.connected());
    for (int i = 0; i < 100; ++i) { ASSERT_TRUE(ws.send(request("eth_gasPrice"))); }
    for (int i = 0; i < 100; ++i) { ASSERT_TRUE(ws.receive()) << i; }
}

TEST_F(RpcServerTest, MessagesThatWorkersBeginAreBegunInTheOrderOfTheConnection) {
    start();
    std::mutex mutex;
    std::vector<size_t> order;
    node.on_send = [&](Bytes raw, SendCallback done) {
        // Time for another worker to overtake this one, if it could.
        if (raw.size() % 2 == 1) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }
        {
            const std::lock_guard lock(mutex);
            order.push_back(raw.size());
        }
        done(SendOutcome{kernels::keccak256(raw), true, 0});
    };
    WsClient ws(port());
    ASSERT_TRUE(ws.connected());
    constexpr size_t first_bytes = 40'000;  // two hexadecimal digits each: too long for this thread
    constexpr size_t count = 8;
    for (size_t i = 0; i < count; ++i) {
        const size_t bytes = i == 5 ? i : first_bytes + i;
        const std::string raw = "\"0x" + std::string(2 * bytes, '1') + "\"";
        ASSERT_TRUE(ws.send(request("eth_sendRawTransaction", "[" + raw + "]")));
    }
    for (size_t i = 0; i < count; ++i) { ASSERT_TRUE(ws.receive()) << i; }
    const std::lock_guard lock(mutex);
    ASSERT_EQ(order.size(), count);
    for (size_t i = 0; i < count; ++i) { EXPECT_EQ(order[i], i == 5 ? i : first_bytes + i); }
}

class SubscriptionTest : public RpcServerTest {
protected:
    std::string subscribe(WsClient& ws, std::string_view params) {
        const std::string id = json_at(ws.ask(request("eth_subscribe", params)), "/result");
        EXPECT_EQ(id.substr(0, 3), "\"0x") << id;
        // The answer precedes the activation; the next one follows it.
        ws.ask(ask_chain_id);
        return id;
    }
    void emit_mini_block(uint64_t number, uint8_t tx = 1) {
        auto event = std::make_shared<MiniBlockEvent>();
        event->block_number = 5;
        event->mini_block_number = number;
        event->transactions = {dynamic_fee_transaction(tx, Inclusion{{}, 5, 1005, 0})};
        event->receipts = {receipt_with_log(tx, {{}, 5, 1005, 0})};
        event->state_changes = {{address_of(1), 2, U256(3), {{U256(4), U256(5)}}},
                                {address_of(9), 1, U256(1), {}}};
        node.emit([&](EventSink& sink) { sink.on_mini_block(event); });
    }
    std::shared_ptr<HeadEvent> emit_head(uint64_t number) {
        auto event = std::make_shared<HeadEvent>();
        event->header.number = number;
        event->hash = hash_of(static_cast<uint8_t>(0x80 + number));
        event->mini_block_count = 12;
        event->logs = logs_of(receipt_with_log(1, {event->hash, number, 1005, 0}));
        node.emit([&](EventSink& sink) { sink.on_head(event); });
        return event;
    }
};

TEST_F(SubscriptionTest, NewHeadsCarryTheMiniBlockCount) {
    start();
    WsClient ws(port());
    const std::string id = subscribe(ws, R"(["newHeads"])");
    emit_head(5);
    const std::string note = ws.receive().value_or("");
    EXPECT_EQ(json_at(note, "/method"), "\"eth_subscription\"");
    EXPECT_EQ(json_at(note, "/params/subscription"), id);
    EXPECT_EQ(json_at(note, "/params/result/number"), "\"0x5\"");
    EXPECT_EQ(json_at(note, "/params/result/miniBlockCount"), "\"0xc\"");
    EXPECT_EQ(json_at(note, "/id"), "<absent>");
}

TEST_F(SubscriptionTest, PreviewsSayThatTheyAreNotDurable) {
    start();
    auto connection = std::make_unique<WsClient>(port());
    WsClient& preview = *connection;
    WsClient durable(port());
    const auto wants = [&] {
        return std::ranges::any_of(node.sinks, [](const auto& s) { return s->wants_previews(); });
    };
    EXPECT_FALSE(wants());
    const std::string id = subscribe(preview, R"(["preview"])");
    subscribe(preview, R"(["preview",{"hashesOnly":true}])");
    subscribe(durable, R"(["miniBlocks"])");
    EXPECT_TRUE(wants());
    auto event = std::make_shared<PreviewEvent>();
    event->block_number = 5;
    event->block_timestamp = 1005;
    event->transactions = {dynamic_fee_transaction(1, Inclusion{{}, 5, 1005, 0})};
    event->receipts = {receipt_with_log(1, {{}, 5, 1005, 0})};
    node.emit([&](EventSink& sink) { sink.on_preview(event); });
    emit_mini_block(77);
    const auto hash = '"' + to_hex(event->transactions[0].hash) + '"';
    std::set<std::string> forms;
    for (int i = 0; i < 2; ++i) {
        const std::string note = preview.receive().value_or("");
        EXPECT_EQ(json_at(note, "/params/result/preview"), "true");
        EXPECT_EQ(json_at(note, "/params/result/durable"), "false");
        EXPECT_EQ(json_at(note, "/params/result/block_number"), "\"0x5\"");
        EXPECT_EQ(json_at(note, "/params/result/mini_block_number"), "<absent>");
        const bool full = json_at(note, "/params/subscription") == id;
        forms.insert(full ? "full" : "hashes");
        EXPECT_EQ(json_at(note, full ? "/params/result/transactions/0/hash"
                                     : "/params/result/transactions/0"),
                  hash);
        EXPECT_EQ(json_at(note, "/params/result/receipts/0/transactionHash"),
                  full ? hash : "<absent>");
    }
    EXPECT_EQ(forms.size(), 2u);
    const std::string note = durable.receive().value_or("");
    EXPECT_EQ(json_at(note, "/params/result/mini_block_number"), "\"0x4d\"");
    EXPECT_EQ(json_at(note, "/params/result/preview"), "<absent>");
    const std::string ended = preview.ask(request("eth_unsubscribe", "[" + id + "]"));
    EXPECT_EQ(json_at(ended, "/result"), "true");
    EXPECT_TRUE(wants()) << "the other one is there";
    connection.reset();
    EXPECT_TRUE(eventually([&] { return !wants(); }));
}

TEST_F(SubscriptionTest, MiniBlocksOfHashesLeaveOutTheRest) {
    start();
    WsClient ws(port());
    subscribe(ws, R"(["miniBlocks",{"hashesOnly":true}])");
    emit_mini_block(77);
    const std::string note = ws.receive().value_or("");
    EXPECT_EQ(json_at(note, "/params/result/mini_block_number"), "\"0x4d\"");
    EXPECT_EQ(json_at(note, "/params/result/transactions/0").size(), 68u) << note;
    EXPECT_EQ(json_at(note, "/params/result/receipts"), "<absent>");
    for (const char* options : {R"({"hashOnly":true})", R"({"hashesOnly":1})", R"("hashesOnly")"}) {
        SCOPED_TRACE(options);
        const std::string params = R"(["miniBlocks",)" + std::string(options) + "]";
        EXPECT_EQ(json_at(ws.ask(request("eth_subscribe", params)), "/error/code"), "-32602");
    }
}

TEST_F(SubscriptionTest, MiniBlocksAndStateChanges) {
    start();
    WsClient blocks(port());
    WsClient changes(port());
    subscribe(blocks, R"(["miniBlocks"])");
    subscribe(changes, R"(["stateChanges",["0x0000000000000000000000000000000000000001"]])");
    emit_mini_block(77);
    emit_mini_block(78);
    EXPECT_EQ(json_at(blocks.receive().value_or(""), "/params/result/mini_block_number"),
              "\"0x4d\"");
    EXPECT_EQ(json_at(blocks.receive().value_or(""), "/params/result/receipts/0/status"),
              "\"0x1\"");
    for (int i = 0; i < 2; ++i) {
        const std::string note = changes.receive().value_or("");
        EXPECT_EQ(json_at(note, "/params/result/address"),
                  "\"0x0000000000000000000000000000000000000001\"");
        EXPECT_EQ(json_at(note, "/params/result/nonce"), "2");
    }
}

TEST_F(SubscriptionTest, LogsComePerBlockOrPerMiniBlockAndAreRemoved) {
    start();
    WsClient sealed(port());
    WsClient open(port());
    subscribe(sealed, "[\"logs\",{\"topics\":[\"" + to_hex(hash_of(0x70)) + "\"]}]");
    subscribe(open, R"(["logs",{"fromBlock":"pending","toBlock":"pending"}])");
    emit_mini_block(77);
    const auto head = emit_head(5);
    std::string note = open.receive().value_or("");
    EXPECT_EQ(json_at(note, "/params/result/blockHash"), '"' + to_hex(Hash256{}) + '"');
    note = sealed.receive().value_or("");
    EXPECT_EQ(json_at(note, "/params/result/blockHash"), '"' + to_hex(hash_of(0x85)) + '"');
    EXPECT_EQ(json_at(note, "/params/result/removed"), "false");
    auto removed = std::make_shared<RemovedEvent>();
    removed->logs = logs_of(receipt_with_log(2, {{}, 6, 1006, 0}));
    removed->open_block_logs = 1;
    removed->logs.insert(removed->logs.end(), head->logs.begin(), head->logs.end());
    node.emit([&](EventSink& sink) { sink.on_removed(removed); });
    note = sealed.receive().value_or("");
    EXPECT_EQ(json_at(note, "/params/result/removed"), "true");
    EXPECT_EQ(json_at(note, "/params/result/blockNumber"), "\"0x5\"");
    note = open.receive().value_or("");
    EXPECT_EQ(json_at(note, "/params/result/removed"), "true");
    EXPECT_EQ(json_at(note, "/params/result/blockNumber"), "\"0x6\"");
}

TEST_F(SubscriptionTest, PendingTransactionsByHashOrWhole) {
    start();
    WsClient hashes(port());
    WsClient whole(port());
    subscribe(hashes, R"(["newPendingTransactions"])");
    subscribe(whole, R"(["newPendingTransactions",true])");
    auto event = std::make_shared<PendingTransactionEvent>();
    event->transactions = {dynamic_fee_transaction(1, std::nullopt)};
    node.emit([&](EventSink& sink) { sink.on_pending_transactions(event); });
    EXPECT_EQ(json_at(hashes.receive().value_or(""), "/params/result"),
              '"' + to_hex(hash_of(1)) + '"');
    EXPECT_EQ(json_at(whole.receive().value_or(""), "/params/result/nonce"), "\"0x1\"");
}

TEST_F(SubscriptionTest, UnsubscribeEndsItAndOnlyItsOwn) {
    start();
    WsClient ws(port());
    WsClient other(port());
    const std::string id = subscribe(ws, R"(["newHeads"])");
    EXPECT_EQ(json_at(other.ask(request("eth_unsubscribe", "[" + id + "]")), "/error/code"),
              "-32000");
    EXPECT_EQ(json_at(ws.ask(request("eth_unsubscribe", "[" + id + "]")), "/result"), "true");
    EXPECT_EQ(json_at(ws.ask(request("eth_unsubscribe", "[" + id + "]")), "/error/code"), "-32000");
    emit_head(5);
    EXPECT_EQ(ws.ask(ask_chain_id), chain_id_answer);  // and no notification before it
}

TEST_F(SubscriptionTest, UnknownKindsAndTooManyAreErrors) {
    options.subscriptions_per_connection_max = 2;
    start();
    WsClient ws(port());
    EXPECT_EQ(json_at(ws.ask(request("eth_subscribe", R"(["newCats"])")), "/error/code"), "-32602");
    EXPECT_EQ(json_at(ws.ask(request("eth_subscribe")), "/error/code"), "-32602");
    subscribe(ws, R"(["newHeads"])");
    subscribe(ws, R"(["miniBlocks"])");
    EXPECT_EQ(json_at(ws.ask(request("eth_subscribe", R"(["newHeads"])")), "/error/code"),
              "-32005");
}

TEST_F(SubscriptionTest, ASlowSubscriberIsClosedWithTheReasonAndOthersGoOn) {
    options.ws_send_buffer_bytes_max = 4 * 1024 * 1024;
    start();
    WsClient slow(port());
    WsClient good(port());
    subscribe(slow, R"(["miniBlocks"])");
    subscribe(good, R"(["newHeads"])");
    auto& closed = registry.counter("millrace_rpc_slow_subscribers_total", "");
    // Large mini-blocks that nobody reads: more than the buffers of the system and ours hold.
    auto event = std::make_shared<MiniBlockEvent>();
    event->mini_block_number = 1;
    event->transactions.assign(500, dynamic_fee_transaction(1, Inclusion{}));
    for (int i = 0; i < 400 && closed.value() == 0; ++i) {
        node.emit([&](EventSink& sink) { sink.on_mini_block(event); });
        std::this_thread::sleep_for(2ms);
    }
    ASSERT_TRUE(eventually([&] { return closed.value() == 1; }));
    emit_head(5);
    EXPECT_EQ(json_at(good.receive().value_or(""), "/params/result/number"), "\"0x5\"");
    size_t received = 0;
    while (slow.receive()) { ++received; }
    EXPECT_GT(received, 0u);
    EXPECT_EQ(slow.close_code(), 1008u);
    EXPECT_NE(slow.close_reason().find("slow subscriber: 4 MiB unread"), std::string::npos)
        << slow.close_reason();
}

TEST_F(SubscriptionTest, LostEventsDisconnectEveryone) {
    options.event_queue_max = 1;
    options.io_threads = 1;
    start();
    WsClient ws(port());
    subscribe(ws, R"(["newHeads"])");
    auto& lost = registry.counter("millrace_rpc_events_lost_total", "");
    for (int i = 0; i < 100'000 && lost.value() == 0; ++i) { emit_head(5); }
    ASSERT_GT(lost.value(), 0u);
    emit_head(6);
    while (ws.receive()) {}
    EXPECT_EQ(ws.close_code(), 1013u);
}

TEST_F(SubscriptionTest, AClosedConnectionIsForgotten) {
    start();
    auto& open = registry.gauge("millrace_rpc_subscriptions", "");
    {
        WsClient ws(port());
        subscribe(ws, R"(["newHeads"])");
        EXPECT_EQ(open.value(), 1);
    }
    EXPECT_TRUE(eventually([&] { return open.value() == 0; }));
    emit_head(5);
}

TEST_F(SubscriptionTest, SilentPeersAreClosed) {
    options.ws_ping_after_ms = 100;
    start();
    HttpClient raw(port());
    raw.send_raw(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    EXPECT_EQ(raw.receive(false).status, 101);
    EXPECT_TRUE(raw.closes());  // it answers no ping
}

}  // namespace
}  // namespace millrace::net
