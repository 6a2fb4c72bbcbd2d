// SPDX-License-Identifier: Apache-2.0
// Owns the fuzzing of JSON-RPC requests: any bytes get exactly one answer, and that is JSON.
#include <cstdint>
#include <cstdlib>
#include <string>

#include <simdjson.h>

#include "net/rpc/rpc_service.hpp"
#include "tests/net/fake_node.hpp"
#include "tests/net/inline_runtime.hpp"

namespace {

using namespace millrace;
using namespace millrace::net;

/// A WebSocket that listens to nothing, so that eth_subscribe is reached.
class DeafSubscriber final : public Subscriber {
public:
    void notify(std::string, std::shared_ptr<const std::string>, uint64_t) override {}
    void disconnect(std::string) override {}
};

struct World {
    net::testing::FakeNode node;
    metrics::Registry registry;
    std::shared_ptr<net::testing::InlineRuntime> runtime =
        std::make_shared<net::testing::InlineRuntime>();
    std::shared_ptr<Subscriber> subscriber = std::make_shared<DeafSubscriber>();
    std::shared_ptr<RpcService> service;

    World() {
        for (uint8_t n = 0; n < 4; ++n) { net::testing::block_with_transaction(node, n); }
        node.dev_on = true;
        RpcOptions options;
        options.filters_max = 64;
        service = std::make_shared<RpcService>(options, node, runtime, registry);
        service->start();
    }
};

void check(bool holds) {
    if (!holds) { std::abort(); }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static World world;
    int answers = 0;
    std::string answer;
    world.service->handle(std::string(reinterpret_cast<const char*>(data), size), world.subscriber,
                          [&](std::string text) {
                              ++answers;
                              answer = std::move(text);
                          });
    // What waits for a receipt is answered when its time is over.
    while (world.runtime->timer_count() != 0) { world.runtime->fire_timer(); }
    check(answers == 1);
    if (!answer.empty()) {
        simdjson::dom::parser parser;
        simdjson::dom::element root;
        check(parser.parse(answer.data(), answer.size()).get(root) == simdjson::SUCCESS);
    }
    world.service->closed(world.subscriber.get());
    world.node.dev_api.done.clear();
    return 0;
}
