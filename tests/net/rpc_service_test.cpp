// SPDX-License-Identifier: Apache-2.0
// Owns the claims about JSON-RPC: every method, every error code, batches and limits.
#include "net/rpc/rpc_service.hpp"

#include <optional>

#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "net/rpc/encode.hpp"
#include "tests/net/fake_node.hpp"
#include "tests/net/inline_runtime.hpp"
#include "tests/net/json_view.hpp"

namespace millrace::net {
namespace {

using namespace testing;

constexpr std::string_view address_1 = "\"0x0000000000000000000000000000000000000001\"";

std::string hash_text(uint8_t n) { return '"' + to_hex(hash_of(n)) + '"'; }

class RpcServiceTest : public ::testing::Test {
protected:
    void SetUp() override {
        for (uint8_t n = 0; n < 5; ++n) { block_with_transaction(node, n); }
        restart();
    }
    void TearDown() override { service->stop(); }

    void restart() {
        if (service) { service->stop(); }
        service = std::make_shared<RpcService>(options, node, runtime, registry);
        service->start();
    }

    /// The answer, or nothing when none came (yet).
    std::optional<std::string> send(std::string body) {
        auto slot = std::make_shared<std::optional<std::string>>();
        service->handle(std::move(body), nullptr, [this, slot](std::string text) {
            EXPECT_FALSE(slot->has_value()) << "answered twice";
            *slot = text;
            last_answer = std::move(text);
        });
        return *slot;
    }
    std::string ask(std::string_view method, std::string_view params = "[]") {
        return send(R"({"jsonrpc":"2.0","id":1,"method":")" + std::string(method) +
                    R"(","params":)" + std::string(params) + "}")
            .value_or("<no answer>");
    }
    std::string result(std::string_view method, std::string_view params = "[]",
                       std::string_view pointer = "") {
        const std::string answer = ask(method, params);
        const std::string found = json_at(answer, "/result" + std::string(pointer));
        return found == "<absent>" ? answer : found;
    }
    std::string code(std::string_view method, std::string_view params = "[]") {
        return json_at(ask(method, params), "/error/code");
    }
    std::string message(std::string_view method, std::string_view params = "[]") {
        return json_at(ask(method, params), "/error/message");
    }

    FakeNode node;
    metrics::Registry registry;
    RpcOptions options;
    std::shared_ptr<InlineRuntime> runtime = std::make_shared<InlineRuntime>();
    std::shared_ptr<RpcService> service;
    std::string last_answer;
};

// ---------------------------------------------------------------- Protocol

TEST_F(RpcServiceTest, EchoesEveryKindOfId) {
    for (const std::string id : {"1", "-5", "18446744073709551615", "0.5", "\"a\\\"b\"", "null"}) {
        const auto answer = send(R"({"jsonrpc":"2.0","id":)" + id + R"(,"method":"eth_chainId"})");
        ASSERT_TRUE(answer);
        EXPECT_EQ(json_at(*answer, "/id"), id);
        EXPECT_EQ(json_at(*answer, "/result"), "\"0x539\"");
        EXPECT_EQ(json_at(*answer, "/jsonrpc"), "\"2.0\"");
    }
}

TEST_F(RpcServiceTest, NotificationsRunButGetNoAnswer) {
    bool ran = false;
    node.on_send = [&](Bytes raw, SendCallback done) {
        ran = true;
        done(SendOutcome{kernels::keccak256(raw), true, 0});
    };
    EXPECT_EQ(send(R"({"jsonrpc":"2.0","method":"eth_sendRawTransaction","params":["0x01"]})"), "");
    EXPECT_TRUE(ran);
    EXPECT_EQ(send(R"({"jsonrpc":"2.0","method":"no_such","params":[]})"), "");
    EXPECT_EQ(send(R"([{"jsonrpc":"2.0","method":"eth_chainId"},{"jsonrpc":"2.0","method":"x"}])"),
              "");
}

TEST_F(RpcServiceTest, MalformedJsonIsAParseError) {
    for (const std::string body :
         {"", " ", "{", "}", "nul", "{\"a\":}", "[1,2", "{\"jsonrpc\":\"2.0\",}", "\"abc", "{}{}",
          "{\"id\":01}", "\xff\xfe", "{\"id\":1e999}", "\x00", "[[[[", "{\"a\":\"\\ud800\"}"}) {
        const auto answer = send(body);
        ASSERT_TRUE(answer) << body;
        EXPECT_EQ(json_at(*answer, "/error/code"), "-32700") << body;
        EXPECT_EQ(json_at(*answer, "/id"), "null") << body;
    }
}

TEST_F(RpcServiceTest, DeepNestingIsAParseErrorAndNotACrash) {
    const std::string deep(100'000, '[');
    EXPECT_EQ(json_at(*send(deep), "/error/code"), "-32700");
    std::string closed(1000, '[');
    closed.append(1000, ']');
    EXPECT_EQ(json_at(*send(closed), "/error/code"), "-32700");
    std::string params(40, '[');
    params.append(40, ']');
    EXPECT_EQ(code("eth_call", params), "-32602");
}

TEST_F(RpcServiceTest, HugeNumbersAreRefusedNotWrapped) {
    EXPECT_EQ(
        json_at(
            *send(
                R"({"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"eth_chainId"})"),
            "/error/code"),
        "-32700");
    EXPECT_EQ(code("eth_getBlockByNumber", R"(["0x10000000000000000"])"), "-32602");
    EXPECT_EQ(code("eth_getStorageAt",
                   "[" + std::string(address_1) + ",\"0x1" + std::string(64, '0') + "\"]"),
              "-32602");
}

TEST_F(RpcServiceTest, InvalidRequestsSayWhy) {
    for (const std::string body :
         {"1", "\"x\"", "null", "true", "{}", R"({"id":1,"method":"eth_chainId"})",
          R"({"jsonrpc":"1.0","id":1,"method":"eth_chainId"})", R"({"jsonrpc":"2.0","id":1})",
          R"({"jsonrpc":"2.0","id":1,"method":5})",
          R"({"jsonrpc":"2.0","id":{},"method":"eth_chainId"})",
          R"({"jsonrpc":"2.0","id":[1],"method":"eth_chainId"})", "[]"}) {
        const auto answer = send(body);
        ASSERT_TRUE(answer);
        EXPECT_EQ(json_at(*answer, "/error/code"), "-32600") << body;
    }
}

TEST_F(RpcServiceTest, UnknownMethodIsNamed) {
    EXPECT_EQ(code("eth_mining"), "-32601");
    EXPECT_EQ(message("eth_mining"), "\"the method eth_mining does not exist/is not available\"");
    EXPECT_LT(ask(std::string(5000, 'm')).size(), 400u);
}

TEST_F(RpcServiceTest, ParamsMustBeAnArrayOfTheRightLength) {
    EXPECT_EQ(code("eth_getBalance", R"({"address":1})"), "-32602");
    EXPECT_EQ(result("eth_chainId", "null"), "\"0x539\"");
    EXPECT_EQ(message("eth_chainId", "[1]"), "\"too many arguments, want at most 0\"");
    EXPECT_EQ(message("eth_getBalance"), "\"missing value for required argument 0\"");
    EXPECT_EQ(message("eth_getBalance", "[null]"), "\"missing value for required argument 0\"");
}

TEST_F(RpcServiceTest, BatchAnswersInOrderWithoutNotifications) {
    const auto answer = send(R"([{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},
        {"jsonrpc":"2.0","method":"eth_chainId"}, 7,
        {"jsonrpc":"2.0","id":"b","method":"eth_getBalance","params":[)" +
                             std::string(address_1) + R"(]},
        {"jsonrpc":"2.0","id":3,"method":"nope"}])");
    ASSERT_TRUE(answer);
    EXPECT_EQ(json_at(*answer, "/0/result"), "\"0x539\"");
    EXPECT_EQ(json_at(*answer, "/1/error/code"), "-32600");
    EXPECT_EQ(json_at(*answer, "/1/id"), "null");
    EXPECT_EQ(json_at(*answer, "/2/id"), "\"b\"");
    EXPECT_EQ(json_at(*answer, "/2/result"), "\"0x0\"");
    EXPECT_EQ(json_at(*answer, "/3/error/code"), "-32601");
    EXPECT_EQ(json_at(*answer, "/4"), "<absent>");
}

TEST_F(RpcServiceTest, BatchLimitsCountAndBytes) {
    options.batch_items_max = 3;
    options.response_bytes_max = 1200;
    restart();
    std::string four = "[1,1,1,1]";
    EXPECT_EQ(json_at(*send(four), "/error/code"), "-32600");
    // Each block takes about 1.5 kB: the first does not fit, and those after it are not run.
    const std::string one =
        R"({"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x1",true]})";
    const auto answer =
        send("[" + one + "," + one + R"(,{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}])");
    EXPECT_EQ(json_at(*answer, "/0/error/code"), "-32003");
    EXPECT_EQ(json_at(*answer, "/1/error/code"), "-32003");
    EXPECT_EQ(json_at(*answer, "/2/error/code"), "-32003");
    EXPECT_EQ(code("eth_getBlockByNumber", R"(["0x1",true])"), "-32003");
    EXPECT_EQ(result("eth_chainId"), "\"0x539\"");
}

TEST_F(RpcServiceTest, FullWorkersAnswerWithARetryHint) {
    runtime->workers_full = true;
    const std::string answer = ask("eth_getBalance", "[" + std::string(address_1) + "]");
    EXPECT_EQ(json_at(answer, "/error/code"), "-32005");
    EXPECT_EQ(json_at(answer, "/error/data/retryAfterMs"), "100");
    EXPECT_EQ(json_at(answer, "/id"), "1");
    EXPECT_EQ(result("eth_chainId"), "\"0x539\"");  // cheap methods go on
}

TEST_F(RpcServiceTest, BytesInFlightAreBounded) {
    options.requests_in_flight_bytes_max = 200;
    restart();
    SendCallback held;
    node.on_send = [&](Bytes, SendCallback done) { held = std::move(done); };
    const std::string body =
        R"({"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x)" +
        std::string(100, '1') + "\"]}";
    EXPECT_FALSE(send(body));
    EXPECT_EQ(json_at(*send(body), "/error/code"), "-32005");
    held(SendOutcome{hash_of(1), true, 0});
    EXPECT_EQ(json_at(last_answer, "/result"), hash_text(1));
    EXPECT_FALSE(send(body));  // room again
    held(SendOutcome{hash_of(1), true, 0});
}

TEST_F(RpcServiceTest, AThrowingNodeIsAnInternalError) {
    node.on_call = [](auto&&...) -> ApiResult<CallResult> { throw std::runtime_error("secret"); };
    const std::string answer = ask("eth_call", "[{}]");
    EXPECT_EQ(json_at(answer, "/error/code"), "-32603");
    EXPECT_EQ(answer.find("secret"), std::string::npos);
}

// ---------------------------------------------------------------- Reads

TEST_F(RpcServiceTest, NodeFacts) {
    EXPECT_EQ(result("eth_blockNumber"), "\"0x4\"");
    EXPECT_EQ(result("net_version"), "\"1337\"");
    EXPECT_EQ(result("net_listening"), "true");
    EXPECT_EQ(result("net_peerCount"), "\"0x3\"");
    EXPECT_EQ(result("web3_clientVersion"), "\"Millrace/test\"");
    EXPECT_EQ(result("eth_syncing"), "false");
    node.sync_status = SyncStatus{1, 2, 3};
    EXPECT_EQ(result("eth_syncing", "[]", "/highestBlock"), "\"0x3\"");
    EXPECT_EQ(result("eth_accounts"), "[]");
    EXPECT_EQ(result("rpc_modules", "[]", "/evm").find("0x"), std::string::npos);
    // Known answer: keccak256 of the empty string.
    EXPECT_EQ(result("web3_sha3", R"(["0x"])"),
              "\"0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470\"");
}

TEST_F(RpcServiceTest, BlocksByEveryReference) {
    EXPECT_EQ(result("eth_getBlockByNumber", R"(["0x2",false])", "/number"), "\"0x2\"");
    EXPECT_EQ(result("eth_getBlockByNumber", R"(["earliest"])", "/number"), "\"0x0\"");
    EXPECT_EQ(result("eth_getBlockByNumber", R"(["latest",true])", "/transactions/0/nonce"),
              "\"0x4\"");
    EXPECT_EQ(result("eth_getBlockByNumber", R"(["safe"])", "/number"), "\"0x4\"");
    EXPECT_EQ(result("eth_getBlockByNumber", R"(["finalized"])", "/number"), "\"0x4\"");
    EXPECT_EQ(result("eth_getBlockByNumber", R"(["0x63"])"), "null");
    EXPECT_EQ(result("eth_getBlockByHash", "[" + hash_text(0x82) + ",false]", "/number"),
              "\"0x2\"");
    EXPECT_EQ(result("eth_getBlockByHash", "[" + hash_text(0x11) + ",false]"), "null");
    auto open = std::make_shared<BlockData>(*node.blocks[4]);
    open->header.number = 5;
    open->sealed = false;
    node.open_block = open;
    EXPECT_EQ(result("eth_getBlockByNumber", R"(["pending"])", "/hash"), "null");
    EXPECT_EQ(result("eth_getBlockByNumber", R"(["pending"])", "/number"), "\"0x5\"");
}

TEST_F(RpcServiceTest, BlockParameterErrors) {
    EXPECT_EQ(message("eth_getBlockByNumber", R"(["2"])"),
              "\"invalid argument 0: hex string without 0x prefix\"");
    EXPECT_EQ(message("eth_getBlockByNumber", R"(["0x02"])"),
              "\"invalid argument 0: hex number with leading zero digits\"");
    EXPECT_EQ(code("eth_getBlockByNumber", R"(["0x"])"), "-32602");
    EXPECT_EQ(code("eth_getBlockByNumber", R"(["0xg"])"), "-32602");
    EXPECT_EQ(code("eth_getBlockByNumber", "[2]"), "-32602");
    EXPECT_EQ(code("eth_getBlockByNumber", R"(["later"])"), "-32602");
    EXPECT_EQ(code("eth_getBlockByNumber", R"(["0x2","yes"])"), "-32602");
    EXPECT_EQ(code("eth_getBlockByHash", R"(["0x12"])"), "-32602");
}

TEST_F(RpcServiceTest, CountsUnclesAndIndices) {
    EXPECT_EQ(result("eth_getBlockTransactionCountByNumber", R"(["0x1"])"), "\"0x1\"");
    EXPECT_EQ(result("eth_getBlockTransactionCountByHash", "[" + hash_text(0x81) + "]"), "\"0x1\"");
    EXPECT_EQ(result("eth_getBlockTransactionCountByNumber", R"(["0x63"])"), "null");
    EXPECT_EQ(result("eth_getUncleCountByBlockNumber", R"(["0x1"])"), "\"0x0\"");
    EXPECT_EQ(result("eth_getUncleCountByBlockHash", "[" + hash_text(0x81) + "]"), "\"0x0\"");
    EXPECT_EQ(result("eth_getTransactionByBlockNumberAndIndex", R"(["0x1","0x0"])", "/hash"),
              hash_text(1));
    EXPECT_EQ(result("eth_getTransactionByBlockHashAndIndex", "[" + hash_text(0x81) + R"(,"0x0"])",
                     "/hash"),
              hash_text(1));
    EXPECT_EQ(result("eth_getTransactionByBlockNumberAndIndex", R"(["0x1","0x1"])"), "null");
}

TEST_F(RpcServiceTest, TransactionsAndReceipts) {
    EXPECT_EQ(result("eth_getTransactionByHash", "[" + hash_text(2) + "]", "/blockNumber"),
              "\"0x2\"");
    EXPECT_EQ(result("eth_getTransactionByHash", "[" + hash_text(0x77) + "]"), "null");
    EXPECT_EQ(result("eth_getTransactionReceipt", "[" + hash_text(2) + "]", "/status"), "\"0x1\"");
    EXPECT_EQ(result("eth_getTransactionReceipt", "[" + hash_text(0x77) + "]"), "null");
    EXPECT_EQ(result("eth_getBlockReceipts", R"(["0x2"])", "/0/transactionHash"), hash_text(2));
    EXPECT_EQ(result("eth_getBlockReceipts", "[" + hash_text(0x82) + "]", "/0/transactionHash"),
              hash_text(2));
    EXPECT_EQ(result("eth_getBlockReceipts", R"(["0x63"])"), "null");
}

TEST_F(RpcServiceTest, StateReads) {
    const std::string a(address_1);
    node.balances[address_of(1)] = U256(0, 0, 1, 0);
    node.slots[{address_of(1), U256(5)}] = U256(0x2a);
    EXPECT_EQ(result("eth_getBalance", "[" + a + R"(,"latest"])"), "\"0x10000000000000000\"");
    EXPECT_EQ(result("eth_getBalance", "[" + a + "]"), "\"0x10000000000000000\"");
    EXPECT_EQ(result("eth_getBalance", "[" + a + "," + hash_text(0x82) + "]"),
              "\"0x10000000000000000\"");
    EXPECT_EQ(result("eth_getBalance", "[" + a + R"(,{"blockNumber":"0x1"}])"),
              "\"0x10000000000000000\"");
    EXPECT_EQ(result("eth_getBalance",
                     "[" + a + ",{\"blockHash\":" + hash_text(1) + ",\"requireCanonical\":true}]"),
              "\"0x10000000000000000\"");
    EXPECT_EQ(code("eth_getBalance", "[" + a + ",{}]"), "-32602");
    EXPECT_EQ(code("eth_getBalance", "[" + a + R"(,"0x99"])"), "-32000");
    EXPECT_EQ(result("eth_getTransactionCount", "[" + a + "]"), "\"0x5\"");
    EXPECT_EQ(result("eth_getTransactionCount", "[" + a + R"(,"pending"])"), "\"0x6\"");
    EXPECT_EQ(result("eth_getCode", "[" + a + "]"), "\"0x6000\"");
    const std::string word = "\"0x" + std::string(62, '0') + "2a\"";
    EXPECT_EQ(result("eth_getStorageAt", "[" + a + R"(,"0x5"])"), word);
    EXPECT_EQ(
        result("eth_getStorageAt", "[" + a + ",\"0x" + std::string(63, '0') + "5\",\"latest\"]"),
        word);
    EXPECT_EQ(code("eth_getProof", "[" + a + ",[]]"), "-32601");
    EXPECT_EQ(code("eth_getBalance", R"(["0x01"])"), "-32602");
    EXPECT_EQ(code("eth_getBalance", R"(["0000000000000000000000000000000000000001"])"), "-32602");
}

TEST_F(RpcServiceTest, ProofsNameTheKeysAsTheyWereAskedFor) {
    AccountProof proof;
    proof.address = address_of(1);
    proof.nodes = {{0xf8, 0x01}};
    proof.storage = {{U256(0), U256(0x38), {{0xe3}}}, {U256(5), U256(0), {}}};
    node.account_proof = proof;
    const std::string word = "\"0x" + std::string(63, '0') + "5\"";
    const std::string answer =
        ask("eth_getProof", "[" + std::string(address_1) + ",[\"0x00\"," + word + "],\"latest\"]");
    EXPECT_EQ(json_at(answer, "/result/accountProof"), R"(["0xf801"])");
    EXPECT_EQ(json_at(answer, "/result/storageProof/0"),
              R"({"key":"0x0","value":"0x38","proof":["0xe3"]})");
    EXPECT_EQ(json_at(answer, "/result/storageProof/1/key"), word);
}

TEST_F(RpcServiceTest, ProofsOfTheStateEngineSayWhatTheyProve) {
    const std::string a = std::string(address_1);
    EXPECT_EQ(code("millrace_getProof", "[" + a + ",[]]"), "-32601");
    EngineProof proof;
    proof.address = address_of(1);
    proof.block_number = 0x12;
    proof.node_hash = "keccak256";
    proof.account.value = Bytes{0x01, 0x07};
    proof.account.proof = {0xab};
    proof.nonce = 7;
    proof.balance = U256{9};
    proof.ordinal = 3;
    proof.incarnation = 0;
    proof.storage.resize(1);
    proof.storage[0].slot = U256{5};
    proof.storage[0].leaf.proof = {0xcd};
    node.engine_answer = proof;
    const std::string zero = "0x" + std::string(64, '0');
    std::string answer = ask("millrace_getProof", "[" + a + R"(,["0x5"],"0x12"])");
    EXPECT_FALSE(node.asked_together);
    EXPECT_EQ(json_at(answer, "/result/blockNumber"), "\"0x12\"");
    EXPECT_EQ(json_at(answer, "/result/nodeHash"), "\"keccak256\"");
    EXPECT_EQ(json_at(answer, "/result/account"),
              R"({"key":")" + zero + R"(","leaf":"0x0107","proof":"0xab","nonce":"0x7",)" +
                  R"("balance":"0x9","codeHash":")" + zero +
                  R"(","ordinal":"0x3","incarnation":"0x0"})");
    EXPECT_EQ(json_at(answer, "/result/storage/0"), R"({"slot":"0x)" + std::string(63, '0') +
                                                        R"(5","value":")" + zero + R"(","key":")" +
                                                        zero + R"(","leaf":null,"proof":"0xcd"})");
    EXPECT_EQ(json_at(answer, "/result/multiproof"), "<absent>");

    proof.ordinal.reset();
    proof.keys = {Hash256{}};
    proof.multiproof = {0xef};
    node.engine_answer = proof;
    answer = ask("millrace_getProof", "[" + a + R"(,["0x5"],"latest","multi"])");
    EXPECT_TRUE(node.asked_together);
    EXPECT_EQ(json_at(answer, "/result/account/proof"), "<absent>");
    EXPECT_EQ(json_at(answer, "/result/account/ordinal"), "null");
    EXPECT_EQ(json_at(answer, "/result/storage/0/proof"), "<absent>");
    EXPECT_EQ(json_at(answer, "/result/multiproof"),
              R"({"keys":[")" + zero + R"("],"proof":"0xef"})");
    EXPECT_EQ(code("millrace_getProof", "[" + a + R"(,[],"latest","single"])"), "<absent>");
    for (const std::string& wrong :
         {std::string(R"([])"), std::string(R"(["0x12"])"), "[" + a + R"(,"0x5"])",
          "[" + a + R"(,[5]])", "[" + a + R"(,["0x"]])", "[" + a + R"(,[],"newest"])",
          "[" + a + R"(,[],"latest","both"])", "[" + a + R"(,[],"latest",true])"}) {
        EXPECT_EQ(code("millrace_getProof", wrong), "-32602") << wrong;
    }
    std::string slots;
    for (int i = 0; i < 1025; ++i) { slots += i == 0 ? "\"0x1\"" : ",\"0x1\""; }
    EXPECT_EQ(code("millrace_getProof", "[" + a + ",[" + slots + "]]"), "-32602");
}

TEST_F(RpcServiceTest, Fees) {
    EXPECT_EQ(result("eth_gasPrice"), "\"0x3b9aca07\"");
    EXPECT_EQ(result("eth_maxPriorityFeePerGas"), "\"0x7\"");
    EXPECT_EQ(result("eth_blobBaseFee"), "\"0x1\"");
    EXPECT_EQ(result("eth_feeHistory", R"(["0x2","latest",[10,50.5]])", "/reward/1/1"), "\"0x2\"");
    EXPECT_EQ(node.seen_percentiles, (std::vector<double>{10, 50.5}));
    EXPECT_EQ(result("eth_feeHistory", R"([2,"latest"])", "/gasUsedRatio"), "[0.25,0.25]");
    EXPECT_EQ(result("eth_feeHistory", R"([2,"latest"])", "/reward").substr(0, 2), "{\"");
    EXPECT_EQ(code("eth_feeHistory", R"(["0x2","latest",[50,10]])"), "-32602");
    EXPECT_EQ(code("eth_feeHistory", R"(["0x2","latest",[101]])"), "-32602");
    EXPECT_EQ(code("eth_feeHistory", R"(["0x0","latest"])"), "-32602");
}

// ---------------------------------------------------------------- Calls

TEST_F(RpcServiceTest, CallPassesEveryField) {
    CallRequest seen;
    StateOverrides state;
    BlockOverrides block;
    node.on_call = [&](const CallRequest& r, const BlockRef& ref, const StateOverrides& s,
                       const BlockOverrides& b) -> ApiResult<CallResult> {
        seen = r;
        state = s;
        block = b;
        EXPECT_EQ(ref.kind, BlockRef::Kind::pending);
        return CallResult{{0x01}, 5};
    };
    const std::string a(address_1);
    EXPECT_EQ(
        result("eth_call",
               "[{\"from\":" + a + ",\"to\":" + a +
                   R"(,"gas":"0x10","maxFeePerGas":"0x3","maxPriorityFeePerGas":"0x1","value":"0x5",
            "nonce":"0x7","chainId":"0x539","type":"0x4","input":"0xaabb","data":"0xaabb",
            "accessList":[{"address":)" +
                   a + R"(,"storageKeys":[]}],
            "authorizationList":[{"chainId":"0x1","address":)" +
                   a +
                   R"(,"nonce":"0x0","yParity":"0x1","r":"0x2","s":"0x3"}]},"pending",
            {)" + a +
                   R"(:{"balance":"0x9","nonce":"0x1","code":"0x6001","stateDiff":{"0x1":"0x02"}},
             "0x0000000000000000000000000000000000000002":{"state":{}}},
            {"number":"0x64","time":"0x65","baseFeePerGas":"0x0"}])"),
        "\"0x01\"");
    EXPECT_EQ(seen.from, address_of(1));
    EXPECT_EQ(seen.gas, 16u);
    EXPECT_EQ(seen.max_fee_per_gas, U256(3));
    EXPECT_EQ(seen.value, U256(5));
    EXPECT_EQ(seen.data, (Bytes{0xaa, 0xbb}));
    EXPECT_EQ(seen.type, evm::TxType::set_code);
    ASSERT_TRUE(seen.access_list && seen.authorization_list);
    EXPECT_EQ(seen.authorization_list->at(0).s, U256(3));
    ASSERT_EQ(state.size(), 2u);
    EXPECT_EQ(state[0].balance, U256(9));
    EXPECT_EQ(state[0].code, (Bytes{0x60, 0x01}));
    EXPECT_FALSE(state[0].replaces_storage);
    EXPECT_EQ(state[0].storage.at(0), (std::pair{U256(1), U256(2)}));
    EXPECT_TRUE(state[1].replaces_storage);
    EXPECT_EQ(block.number, 100u);
    EXPECT_EQ(block.base_fee_per_gas, U256(0));
    EXPECT_EQ(result("eth_estimateGas", R"([{},"pending"])"), "\"0x5\"");
}

TEST_F(RpcServiceTest, CallParameterErrors) {
    for (
        const std::string params :
        {R"([])", R"([5])", R"([{"to":"0x1"}])", R"([{"gas":"5"}])",
         R"([{"gas":"0x10000000000000000"}])", R"([{"data":"0x1","input":"0x"}])",
         R"([{"data":"0x01","input":"0x02"}])", R"([{"gasPrice":"0x1","maxFeePerGas":"0x1"}])",
         R"([{"type":"0x9"}])", R"([{"value":5}])", R"([{"accessList":[{}]}])",
         R"([{},"latest",{"0x12":{}}])", R"([{},"latest",[]])",
         R"([{},"latest",{"0x0000000000000000000000000000000000000001":{"state":{},"stateDiff":{}}}])",
         R"([{},"latest",{},{"number":"ten"}])"}) {
        EXPECT_EQ(code("eth_call", params), "-32602") << params;
    }
    EXPECT_EQ(message("eth_call", R"([{"gas":"5"}])"),
              "\"invalid argument 0: field 'gas': hex string without 0x prefix\"");
}

ApiError reverted(const std::string& hex) {
    return ApiError{ApiErrorKind::reverted, "", from_hex(hex).value(), {}, {}};
}

TEST_F(RpcServiceTest, RevertsAreCode3WithDataAndReason) {
    const std::string text = "0x08c379a0" + std::string(62, '0') + "20" + std::string(62, '0') +
                             "03" + "6e6f21" + std::string(58, '0');
    std::string revert_data;
    node.on_call = [&](auto&&...) -> ApiResult<CallResult> {
        return std::unexpected(reverted(revert_data));
    };
    revert_data = text;
    std::string answer = ask("eth_call", "[{}]");
    EXPECT_EQ(json_at(answer, "/error/code"), "3");
    EXPECT_EQ(json_at(answer, "/error/message"), "\"execution reverted: no!\"");
    EXPECT_EQ(json_at(answer, "/error/data"), '"' + text + '"');
    EXPECT_EQ(code("eth_estimateGas", "[{}]"), "3");
    revert_data = "0x4e487b71" + std::string(62, '0') + "11";
    EXPECT_EQ(message("eth_call", "[{}]"),
              "\"execution reverted: arithmetic underflow or overflow\"");
    revert_data = "0x4e487b71" + std::string(62, '0') + "99";
    EXPECT_EQ(message("eth_call", "[{}]"), "\"execution reverted: unknown panic code: 0x99\"");
    revert_data = "0x";
    answer = ask("eth_call", "[{}]");
    EXPECT_EQ(json_at(answer, "/error/message"), "\"execution reverted\"");
    EXPECT_EQ(json_at(answer, "/error/data"), "\"0x\"");
    // Offsets and lengths that point outside are data, not a reason.
    revert_data = "0x08c379a0" + std::string(64, 'f') + std::string(64, 'f');
    EXPECT_EQ(message("eth_call", "[{}]"), "\"execution reverted\"");
    revert_data = "0x08c379a0" + std::string(62, '0') + "20" + std::string(64, 'f');
    EXPECT_EQ(message("eth_call", "[{}]"), "\"execution reverted\"");
    // A reason that is no UTF-8 must not break the answer.
    revert_data = "0x08c379a0" + std::string(62, '0') + "20" + std::string(62, '0') + "01" + "ff" +
                  std::string(62, '0');
    EXPECT_EQ(code("eth_call", "[{}]"), "3");
}

TEST_F(RpcServiceTest, ErrorsOfTheNodeHaveTheirCodes) {
    ApiError error;
    node.on_call = [&](auto&&...) -> ApiResult<CallResult> { return std::unexpected(error); };
    const auto code_of = [&](ApiErrorKind kind) {
        error = ApiError{kind, "words", {}, {}, {}};
        return code("eth_call", "[{}]");
    };
    EXPECT_EQ(code_of(ApiErrorKind::invalid_params), "-32602");
    EXPECT_EQ(code_of(ApiErrorKind::not_found), "-32000");
    EXPECT_EQ(code_of(ApiErrorKind::rejected), "-32000");
    EXPECT_EQ(code_of(ApiErrorKind::execution), "-32000");
    EXPECT_EQ(code_of(ApiErrorKind::not_ready), "-32000");
    EXPECT_EQ(code_of(ApiErrorKind::resource_not_found), "-32001");
    EXPECT_EQ(code_of(ApiErrorKind::limit), "-32005");
    EXPECT_EQ(code_of(ApiErrorKind::unsupported), "-32601");
    EXPECT_EQ(code_of(ApiErrorKind::internal), "-32603");
    EXPECT_EQ(message("eth_call", "[{}]"), "\"words\"");
}

// ---------------------------------------------------------------- Logs

TEST_F(RpcServiceTest, GetLogsPassesTheFilter) {
    LogQuery seen;
    node.on_logs = [&](const LogQuery& query) -> ApiResult<std::vector<LogData>> {
        seen = query;
        return std::vector<LogData>{logs_of(node.receipts.at(hash_of(1)))};
    };
    EXPECT_EQ(result("eth_getLogs",
                     "[{\"address\":" + std::string(address_1) +
                         R"(,"fromBlock":"0x1","toBlock":"latest","topics":[null,)" + hash_text(3) +
                         ",[" + hash_text(4) + "," + hash_text(5) + "],[null]]}]",
                     "/0/logIndex"),
              "\"0x4\"");
    EXPECT_EQ(seen.from, BlockRef::number(1));
    EXPECT_EQ(seen.to, BlockRef::latest());
    EXPECT_EQ(seen.filter.addresses, std::vector{address_of(1)});
    ASSERT_EQ(seen.filter.topics.size(), 4u);
    EXPECT_TRUE(seen.filter.topics[0].empty());
    EXPECT_EQ(seen.filter.topics[1], std::vector{hash_of(3)});
    EXPECT_EQ(seen.filter.topics[2].size(), 2u);
    EXPECT_TRUE(seen.filter.topics[3].empty());
    EXPECT_EQ(seen.results_max, options.logs_results_max);
    EXPECT_EQ(seen.blocks_max, options.logs_blocks_max);
}

TEST_F(RpcServiceTest, GetLogsErrors) {
    EXPECT_EQ(
        message("eth_getLogs", "[{\"blockHash\":" + hash_text(1) + R"(,"fromBlock":"0x1"}])"),
        "\"invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock, choose one or "
        "the other\"");
    EXPECT_EQ(message("eth_getLogs", R"([{"fromBlock":"0x3","toBlock":"0x2"}])"),
              "\"invalid block range params\"");
    EXPECT_EQ(message("eth_getLogs", R"([{"fromBlock":"0x3","toBlock":"0x99"}])"),
              "\"block range extends beyond current head block\"");
    EXPECT_EQ(code("eth_getLogs", R"([{"topics":[null,null,null,null,null]}])"), "-32602");
    EXPECT_EQ(code("eth_getLogs", R"([{"topics":["0x12"]}])"), "-32602");
    node.on_logs = [](const LogQuery&) -> ApiResult<std::vector<LogData>> {
        ApiError error{ApiErrorKind::limit,
                       "query exceeds 20000 results",
                       {},
                       {},
                       std::pair<uint64_t, uint64_t>(1, 9)};
        return std::unexpected(error);
    };
    const std::string answer = ask("eth_getLogs", "[{}]");
    EXPECT_EQ(json_at(answer, "/error/code"), "-32005");
    EXPECT_EQ(json_at(answer, "/error/data/to"), "\"0x9\"");
    EXPECT_EQ(json_at(answer, "/error/message"),
              "\"query exceeds 20000 results; retry with the block range 1-9\"");
}

// ---------------------------------------------------------------- Sending

TEST_F(RpcServiceTest, SendRawAnswersWithTheHash) {
    EXPECT_EQ(result("eth_sendRawTransaction", R"(["0x"])").find("-32602") != std::string::npos,
              true);
    EXPECT_EQ(result("eth_sendRawTransaction", R"(["0x01"])"),
              '"' + to_hex(kernels::keccak256(Bytes{1})) + '"');
}

TEST_F(RpcServiceTest, RejectionsHaveTheWellKnownWords) {
    TxRejection reason = TxRejection::nonce_too_low;
    node.on_send = [&](Bytes, SendCallback done) { done(reject(reason)); };
    EXPECT_EQ(message("eth_sendRawTransaction", R"(["0x01"])"), "\"nonce too low\"");
    EXPECT_EQ(code("eth_sendRawTransaction", R"(["0x01"])"), "-32000");
    EXPECT_EQ(code("eth_sendRawTransactionSync", R"(["0x01"])"), "-32000");
    reason = TxRejection::replacement_underpriced;
    EXPECT_EQ(message("eth_sendRawTransaction", R"(["0x01"])"),
              "\"replacement transaction underpriced\"");
    reason = TxRejection::insufficient_funds;
    EXPECT_EQ(message("eth_sendRawTransaction", R"(["0x01"])"),
              "\"insufficient funds for gas * price + value\"");
    reason = TxRejection::already_known;
    EXPECT_EQ(message("eth_sendRawTransaction", R"(["0x01"])"), "\"already known\"");
    reason = TxRejection::intrinsic_gas;
    EXPECT_EQ(message("eth_sendRawTransaction", R"(["0x01"])"), "\"intrinsic gas too low\"");
    reason = TxRejection::pool_full;
    EXPECT_EQ(code("eth_sendRawTransaction", R"(["0x01"])"), "-32005");
    EXPECT_EQ(json_at(ask("eth_sendRawTransaction", R"(["0x01"])"), "/error/data/retryAfterMs"),
              "100");
}

TEST_F(RpcServiceTest, SyncSendAnswersWithTheReceipt) {
    const Hash256 hash = kernels::keccak256(Bytes{1});
    ReceiptData receipt = receipt_with_log(1, {});
    receipt.transaction_hash = hash;
    // Known at once.
    node.receipts[hash] = receipt;
    EXPECT_EQ(result("eth_sendRawTransactionSync", R"(["0x01"])", "/transactionHash"),
              '"' + to_hex(hash) + '"');
    EXPECT_EQ(runtime->timer_count(), 0u);
    // Known later.
    node.watch_answers_at_once = false;
    EXPECT_EQ(ask("eth_sendRawTransactionSync", R"(["0x01"])"), "<no answer>");
    EXPECT_EQ(runtime->last_timer_ms(), 2000u);
    node.finish_watches(hash, receipt);
    EXPECT_EQ(json_at(last_answer, "/result/status"), "\"0x1\"");
    EXPECT_EQ(runtime->timer_count(), 0u);
    // Never: it was replaced.
    EXPECT_EQ(ask("realtime_sendRawTransaction", R"(["0x01"])"), "<no answer>");
    EXPECT_EQ(runtime->last_timer_ms(), 10'000u);
    node.finish_watches(hash, api_fail(ApiErrorKind::rejected, "transaction was replaced"));
    EXPECT_EQ(json_at(last_answer, "/error/code"), "-32000");
}

TEST_F(RpcServiceTest, SyncSendTimesOutByEip7966) {
    const std::string hash = '"' + to_hex(kernels::keccak256(Bytes{1})) + '"';
    EXPECT_EQ(ask("eth_sendRawTransactionSync", R"(["0x01","0x1f4"])"), "<no answer>");
    EXPECT_EQ(runtime->last_timer_ms(), 500u);
    EXPECT_EQ(node.watch_count(), 1u);
    runtime->fire_timer();
    EXPECT_EQ(json_at(last_answer, "/error/code"), "4");
    EXPECT_EQ(json_at(last_answer, "/error/data"), hash);
    EXPECT_EQ(node.watch_count(), 0u);
    // A bad wish means the default.
    for (const std::string wish : {"0", "\"soon\"", "99999999", "-1"}) {
        ask("eth_sendRawTransactionSync", "[\"0x01\"," + wish + "]");
        EXPECT_EQ(runtime->last_timer_ms(), 2000u) << wish;
        runtime->fire_timer();
    }
    ask("realtime_sendRawTransaction", R"(["0x01"])");
    runtime->fire_timer();
    EXPECT_EQ(json_at(last_answer, "/error/code"), "-32000");
    EXPECT_EQ(json_at(last_answer, "/error/message"), "\"realtime transaction expired\"");
}

TEST_F(RpcServiceTest, SyncSendNotReadyIsCode5) {
    node.on_send = [](Bytes, SendCallback done) { done(SendOutcome{hash_of(9), false, 41}); };
    const std::string gap = ask("eth_sendRawTransactionSync", R"(["0x01"])");
    EXPECT_EQ(json_at(gap, "/error/code"), "5");
    EXPECT_EQ(json_at(gap, "/error/data"), hash_text(9));
    EXPECT_NE(gap.find("nonce 41"), std::string::npos);
    node.on_send = [](Bytes, SendCallback done) {
        done(api_fail(ApiErrorKind::not_ready, "the disk is full"));
    };
    EXPECT_EQ(code("eth_sendRawTransactionSync", R"(["0x01"])"), "5");
    EXPECT_EQ(code("eth_sendRawTransaction", R"(["0x01"])"), "-32000");
}

TEST_F(RpcServiceTest, WaitsAreBoundedAndEndWithTheServer) {
    options.sync_waits_max = 1;
    restart();
    EXPECT_EQ(ask("eth_sendRawTransactionSync", R"(["0x01"])"), "<no answer>");
    EXPECT_EQ(code("eth_sendRawTransactionSync", R"(["0x02"])"), "-32005");
    service->stop();
    EXPECT_EQ(json_at(last_answer, "/error/code"), "5");
    EXPECT_EQ(node.watch_count(), 0u);
    EXPECT_EQ(runtime->timer_count(), 0u);
}

TEST_F(RpcServiceTest, BatchOfSyncSendsWaitsTogether) {
    const auto answer =
        send(R"([{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransactionSync","params":["0x01"]},
        {"jsonrpc":"2.0","id":2,"method":"eth_sendRawTransactionSync","params":["0x02"]}])");
    EXPECT_FALSE(answer);
    EXPECT_EQ(node.watch_count(), 2u);
    node.finish_watches(kernels::keccak256(Bytes{2}), receipt_with_log(2, {}));
    EXPECT_TRUE(last_answer.empty());
    node.finish_watches(kernels::keccak256(Bytes{1}), receipt_with_log(1, {}));
    EXPECT_EQ(json_at(last_answer, "/0/result/transactionHash"), hash_text(1));
    EXPECT_EQ(json_at(last_answer, "/1/result/transactionHash"), hash_text(2));
}

// ---------------------------------------------------------------- Pool

TEST_F(RpcServiceTest, Pool) {
    node.transactions[hash_of(0x33)] = dynamic_fee_transaction(0x33, std::nullopt);
    const std::string sender = to_hex(address_of(0xaa));
    EXPECT_EQ(result("txpool_status"), R"({"pending":"0x2","queued":"0x1"})");
    EXPECT_EQ(result("txpool_content", "[]", "/pending/" + sender + "/51/hash"), hash_text(0x33));
    EXPECT_EQ(result("txpool_content", "[]", "/queued"), "{}");
    EXPECT_EQ(result("txpool_contentFrom", "[\"" + sender + "\"]", "/pending/51/blockHash"),
              "null");
    EXPECT_EQ(result("txpool_contentFrom", "[" + std::string(address_1) + "]"),
              R"({"pending":{},"queued":{}})");
    EXPECT_EQ(result("txpool_inspect", "[]", "/pending/" + sender + "/51"),
              "\"" + to_hex(address_of(0xcc)) +
                  ": 1000000000000000000 wei + 50000 gas × 100 wei\"");
}

// ---------------------------------------------------------------- Filters

TEST_F(RpcServiceTest, FiltersGatherAndEmpty) {
    const auto unquoted = [](std::string s) { return s.substr(1, s.size() - 2); };
    const std::string logs = unquoted(result("eth_newFilter", R"([{"topics":[[]]}])"));
    const std::string other =
        unquoted(result("eth_newFilter", "[{\"address\":" + std::string(address_1) + "}]"));
    const std::string open =
        unquoted(result("eth_newFilter", R"([{"fromBlock":"pending","toBlock":"pending"}])"));
    const std::string heads = unquoted(result("eth_newBlockFilter"));
    const std::string pending = unquoted(result("eth_newPendingTransactionFilter"));
    const auto changes = [&](const std::string& id, std::string_view pointer = "") {
        return result("eth_getFilterChanges", "[\"" + id + "\"]", pointer);
    };
    EXPECT_EQ(changes(logs), "[]");

    auto mini = std::make_shared<MiniBlockEvent>();
    mini->receipts = {receipt_with_log(1, {})};
    node.emit([&](EventSink& sink) { sink.on_mini_block(mini); });
    EXPECT_EQ(changes(open, "/0/transactionHash"), hash_text(1));
    EXPECT_EQ(changes(logs), "[]");

    auto head = std::make_shared<HeadEvent>();
    head->hash = hash_of(0x85);
    head->logs = logs_of(receipt_with_log(1, {hash_of(0x85), 5, 1005, 0}));
    node.emit([&](EventSink& sink) { sink.on_head(head); });
    EXPECT_EQ(changes(heads), "[" + hash_text(0x85) + "]");
    EXPECT_EQ(changes(heads), "[]");
    EXPECT_EQ(changes(logs, "/0/blockHash"), hash_text(0x85));
    EXPECT_EQ(changes(other), "[]");
    EXPECT_EQ(changes(open), "[]");

    auto entered = std::make_shared<PendingTransactionEvent>();
    entered->transactions = {dynamic_fee_transaction(0x44, std::nullopt)};
    node.emit([&](EventSink& sink) { sink.on_pending_transactions(entered); });
    EXPECT_EQ(changes(pending), "[" + hash_text(0x44) + "]");

    auto removed = std::make_shared<RemovedEvent>();
    removed->logs = head->logs;
    node.emit([&](EventSink& sink) { sink.on_removed(removed); });
    EXPECT_EQ(changes(logs, "/0/removed"), "true");

    EXPECT_EQ(result("eth_getFilterLogs", "[\"" + logs + "\"]"), "[]");
    EXPECT_EQ(code("eth_getFilterLogs", "[\"" + heads + "\"]"), "-32000");
    EXPECT_EQ(result("eth_uninstallFilter", "[\"" + logs + "\"]"), "true");
    EXPECT_EQ(result("eth_uninstallFilter", "[\"" + logs + "\"]"), "false");
    EXPECT_EQ(message("eth_getFilterChanges", "[\"" + logs + "\"]"), "\"filter not found\"");
}

TEST_F(RpcServiceTest, FiltersRespectNumericRanges) {
    const std::string id = result("eth_newFilter", R"([{"fromBlock":"0x6","toBlock":"0x7"}])");
    for (uint64_t n = 5; n <= 8; ++n) {
        auto head = std::make_shared<HeadEvent>();
        head->logs = logs_of(receipt_with_log(1, {hash_of(static_cast<uint8_t>(n)), n, 0, 0}));
        node.emit([&](EventSink& sink) { sink.on_head(head); });
    }
    const std::string answer = ask("eth_getFilterChanges", "[" + id + "]");
    EXPECT_EQ(json_at(answer, "/result/0/blockNumber"), "\"0x6\"");
    EXPECT_EQ(json_at(answer, "/result/1/blockNumber"), "\"0x7\"");
    EXPECT_EQ(json_at(answer, "/result/2"), "<absent>");
}

TEST_F(RpcServiceTest, FiltersAreBoundedAndExpire) {
    options.filters_max = 2;
    options.filter_items_max = 3;
    restart();
    const std::string a = result("eth_newBlockFilter");
    result("eth_newBlockFilter");
    EXPECT_EQ(code("eth_newBlockFilter"), "-32005");
    for (int i = 0; i < 4; ++i) {
        node.emit([](EventSink& sink) { sink.on_head(std::make_shared<HeadEvent>()); });
    }
    EXPECT_EQ(code("eth_getFilterChanges", "[" + a + "]"), "-32000");  // overflowed
    options.filter_ttl_ms = 0;
    restart();
    const std::string b = result("eth_newBlockFilter");
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(2)) {}
    EXPECT_EQ(code("eth_getFilterChanges", "[" + b + "]"), "-32000");  // expired
}

TEST_F(RpcServiceTest, SubscriptionsNeedAWebSocket) {
    EXPECT_EQ(code("eth_subscribe", R"(["newHeads"])"), "-32601");
    EXPECT_EQ(code("eth_unsubscribe", R"(["0x1"])"), "-32601");
}

// ---------------------------------------------------------------- Development

TEST_F(RpcServiceTest, DevMethodsAreUnknownElsewhere) {
    for (const char* name :
         {"evm_snapshot", "evm_mine", "anvil_setBalance", "hardhat_mine", "eth_sendTransaction"}) {
        EXPECT_EQ(code(name), "-32601") << name;
    }
    node.dev_on = true;
    EXPECT_EQ(code("evm_setAutomine", "[true]"), "-32601");
}

TEST_F(RpcServiceTest, DevMethodsReachTheNode) {
    node.dev_on = true;
    const std::string a(address_1);
    EXPECT_EQ(result("evm_snapshot"), "\"0x7\"");
    EXPECT_EQ(result("evm_revert", R"(["0x7"])"), "true");
    EXPECT_EQ(result("evm_revert", "[8]"), "false");
    EXPECT_EQ(result("evm_increaseTime", "[60]"), "60");
    EXPECT_EQ(result("evm_increaseTime", R"(["0x3c"])"), "60");
    EXPECT_EQ(result("evm_setNextBlockTimestamp", R"(["1700000000"])"), "null");
    EXPECT_EQ(result("evm_mine"), "\"0x0\"");
    EXPECT_EQ(result("evm_mine", R"([{"timestamp":5,"blocks":2}])"), "\"0x0\"");
    EXPECT_EQ(result("evm_mine", R"(["0x9"])"), "\"0x0\"");
    EXPECT_EQ(result("anvil_mine", R"(["0x3","0x2"])"), "null");
    EXPECT_EQ(result("hardhat_mine", R"(["0x3"])"), "true");
    EXPECT_EQ(code("anvil_mine", R"(["0xffffffffff"])"), "-32602");
    EXPECT_EQ(result("anvil_setBalance", "[" + a + R"(,"0x64"])"), "null");
    EXPECT_EQ(result("hardhat_setBalance", "[" + a + R"(,"0x64"])"), "true");
    EXPECT_EQ(result("anvil_setCode", "[" + a + R"(,"0x6001"])"), "null");
    EXPECT_EQ(result("hardhat_setStorageAt",
                     "[" + a + R"(,"0x0",")" + "0x" + std::string(63, '0') + "5\"]"),
              "true");
    EXPECT_EQ(result("anvil_setNonce", "[" + a + R"(,"0x9"])"), "null");
    EXPECT_EQ(result("hardhat_impersonateAccount", "[" + a + "]"), "true");
    EXPECT_EQ(result("anvil_stopImpersonatingAccount", "[" + a + "]"), "null");
    EXPECT_EQ(result("anvil_autoImpersonateAccount", "[true]"), "null");
    const std::vector<std::string> wanted = {
        "snapshot",    "revert:7",    "revert:8", "increase:60", "increase:60", "next:1700000000",
        "mine:1",      "every:1",     "mine:2",   "at:5",        "every:1",     "mine:1",
        "at:9",        "every:1",     "mine:3",   "every:2",     "mine:3",      "every:1",
        "balance:100", "balance:100", "code:2",   "slot:0",      "value:5",     "nonce:9",
        "as:1",        "not_as:1",    "auto:1"};
    EXPECT_EQ(node.dev_api.done, wanted);
    EXPECT_EQ(result("eth_accounts", "[]", "/1"), "\"0x0000000000000000000000000000000000000002\"");
    EXPECT_EQ(result("eth_sendTransaction", "[{\"from\":" + a + "}]"), hash_text(0x5e));
    EXPECT_EQ(code("eth_sendTransaction", "[{}]"), "-32602");
}

}  // namespace
}  // namespace millrace::net
