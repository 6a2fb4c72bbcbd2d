// SPDX-License-Identifier: Apache-2.0
// Owns the life of one JSON-RPC message: parse, check, run in order, join, reply.
#include "net/rpc/rpc_service.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>

#include "host/base/log.hpp"

namespace millrace::net {

namespace {

/// Documents above this are parsed on a worker, not between the events of a network thread.
constexpr size_t parse_inline_bytes_max = 64 * 1024;

/// "method" is echoed in errors; a hostile name is cut.
std::string shown(std::string_view name) {
    constexpr size_t shown_max = 100;
    return std::string(name.substr(0, shown_max)) + (name.size() > shown_max ? "..." : "");
}

std::string error_json(const RpcError& error) {
    JsonWriter w;
    w.begin_object();
    w.field_number("code", error.code);
    w.field_text("message", error.message);
    if (!error.data_json.empty()) {
        w.key("data");
        w.raw(error.data_json);
    }
    w.end_object();
    return w.take();
}

/// What surrounds an id and a value.
constexpr size_t envelope_bytes = 40;

void append_envelope(std::string& out, std::string_view id_json, std::string_view member,
                     std::string_view value) {
    out.append(R"({"jsonrpc":"2.0","id":)").append(id_json).append(",\"");
    out.append(member).append("\":").append(value).append("}");
}

std::string envelope(std::string_view id_json, std::string_view member, std::string_view value) {
    std::string out;
    out.reserve(envelope_bytes + id_json.size() + value.size());
    append_envelope(out, id_json, member, value);
    return out;
}

std::string whole_error(int code, std::string message) {
    return envelope("null", "error", error_json({code, std::move(message), {}}));
}

/// What a client does well to wait when a queue of the server's own is full.
constexpr std::string_view busy_data = R"({"retryAfterMs":100})";

std::string whole_busy(std::string message) {
    return envelope("null", "error",
                    error_json({rpc_code::limit_exceeded, std::move(message) + "; retry in 100 ms",
                                std::string(busy_data)}));
}

/// The id as JSON; nothing when it is of a type that JSON-RPC does not allow.
std::optional<std::string> id_to_json(JsonElement id) {
    using simdjson::dom::element_type;
    switch (id.type()) {
        case element_type::STRING: return json_quoted(id.get_string().value_unsafe());
        case element_type::INT64: return std::to_string(id.get_int64().value_unsafe());
        case element_type::UINT64: return std::to_string(id.get_uint64().value_unsafe());
        case element_type::DOUBLE: {
            JsonWriter w;
            w.number(id.get_double().value_unsafe());
            return w.take();
        }
        case element_type::NULL_VALUE: return "null";
        default: return std::nullopt;
    }
}

}  // namespace

/// One request of a message after the checks that need no method.
struct RpcCall {
    std::string id_json = "null";
    bool is_notification = false;
    const Method* method = nullptr;
    metrics::Counter* calls = nullptr;
    std::vector<JsonElement> params;
    std::optional<RpcError> refused;
};

/// What came of a call, until all of its message have come.
struct CallAnswer {
    /// Set by the first who answers; what a faulty method says later is dropped.
    std::atomic_flag taken;
    bool is_error = false;
    std::string value;  ///< the result or the error object as JSON
};

/// One message on its way. Kept by the callbacks that still owe an answer.
struct Exchange {
    /// Here and not in each call's completion, which is thereby one small allocation.
    std::shared_ptr<RpcService> service;
    std::string body;
    size_t body_bytes = 0;
    std::shared_ptr<Subscriber> subscriber;
    Reply reply;
    std::function<void()> begun;  ///< empty once it was called
    std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();

    simdjson::dom::parser parser;
    bool is_batch = false;
    std::vector<RpcCall> calls;
    /// Written by the one who answers call i, read by the last one to finish.
    std::vector<CallAnswer> answers;
    std::vector<std::string> activations;
    std::atomic<size_t> answered_bytes{0};
    /// Calls without answer, plus one while `run` goes on. Release and acquire hand over answers.
    std::atomic<size_t> open_calls{0};

    /// The thread that runs the calls, or answers them all at once, tells it.
    void tell_begun() {
        if (const auto tell = std::exchange(begun, nullptr)) { tell(); }
    }
};

RpcService::RpcService(RpcOptions options, NodeApi& node, std::shared_ptr<Runtime> runtime,
                       metrics::Registry& registry)
    : options_(std::move(options)),
      node_(node),
      runtime_(std::move(runtime)),
      hub_(std::make_shared<SubscriptionHub>(options_, runtime_, registry)),
      waits_(std::make_shared<ReceiptWaits>(node_, runtime_, options_.sync_waits_max)),
      errors_(registry.counter("millrace_rpc_errors_total", "Requests answered with an error")),
      overloads_(registry.counter("millrace_rpc_overload_total",
                                  "Requests refused because a queue was full")),
      duration_(registry.histogram("millrace_rpc_duration_seconds",
                                   "From the whole message to its whole answer")) {
    for (const auto group :
         {chain_methods(), send_methods(), node_methods(), subscription_methods(), dev_methods()}) {
        add_methods(group, registry);
    }
}

void RpcService::add_methods(std::span<const Method> methods, metrics::Registry& registry) {
    for (const Method& method : methods) {
        auto& calls = registry.counter("millrace_rpc_requests_total", "Requests by method",
                                       "method=\"" + std::string(method.name) + "\"");
        methods_.emplace(method.name, MethodEntry{&method, &calls});
    }
}

void RpcService::start() { node_.add_event_sink(hub_); }

void RpcService::stop() {
    node_.remove_event_sink(hub_.get());
    waits_->stop();
}

void RpcService::handle(std::string body, std::shared_ptr<Subscriber> subscriber, Reply reply,
                        std::function<void()> begun) {
    auto exchange = std::make_shared<Exchange>();
    exchange->service = shared_from_this();
    exchange->body_bytes = body.size();
    exchange->body = std::move(body);
    exchange->subscriber = std::move(subscriber);
    exchange->reply = std::move(reply);
    exchange->begun = std::move(begun);
    const size_t before = bytes_in_flight_.fetch_add(exchange->body_bytes);
    if (before + exchange->body_bytes > options_.requests_in_flight_bytes_max) {
        overloads_.add();
        reply_with(exchange, whole_busy("too much is being answered already"));
        return;
    }
    if (exchange->body_bytes <= parse_inline_bytes_max) {
        parse_and_run(exchange);
        return;
    }
    if (!runtime_->post_work(
            [self = shared_from_this(), exchange] { self->parse_and_run(exchange); })) {
        overloads_.add();
        reply_with(exchange, whole_busy("server busy"));
    }
}

void RpcService::parse_and_run(const std::shared_ptr<Exchange>& exchange) {
    // simdjson reads in blocks and needs readable bytes behind the document.
    exchange->body.resize(exchange->body_bytes + simdjson::SIMDJSON_PADDING);
    JsonElement root;
    auto error = exchange->parser.allocate(std::max<size_t>(exchange->body_bytes, 256),
                                           options_.json_depth_max);
    if (error == simdjson::SUCCESS) {
        error =
            exchange->parser.parse(exchange->body.data(), exchange->body_bytes, false).get(root);
    }
    if (error != simdjson::SUCCESS) {
        errors_.add();
        reply_with(exchange,
                   whole_error(rpc_code::parse_error,
                               std::string("parse error: ") + simdjson::error_message(error)));
        return;
    }
    if (root.is_array()) {
        exchange->is_batch = true;
        const simdjson::dom::array items = root.get_array().value_unsafe();
        if (items.size() == 0 || items.size() > options_.batch_items_max) {
            errors_.add();
            const std::string most = std::to_string(options_.batch_items_max);
            reply_with(exchange, whole_error(rpc_code::invalid_request,
                                             items.size() == 0 ? "empty batch"
                                                               : "batch too large (at most " +
                                                                     most + " requests)"));
            return;
        }
        exchange->calls.reserve(items.size());
        for (const JsonElement item : items) { exchange->calls.push_back(read_call(item)); }
    } else {
        exchange->calls.push_back(read_call(root));
    }
    run(exchange);
}

RpcCall RpcService::read_call(JsonElement element) const {
    RpcCall call;
    const auto refuse = [&call](int code, std::string message) {
        call.refused = RpcError{code, std::move(message), {}};
        call.is_notification = false;
    };
    simdjson::dom::object object;
    if (element.get_object().get(object) != simdjson::SUCCESS) {
        refuse(rpc_code::invalid_request, "invalid request: not an object");
        return call;
    }
    if (JsonElement id; object.at_key("id").get(id) == simdjson::SUCCESS) {
        const auto id_json = id_to_json(id);
        if (!id_json) {
            refuse(rpc_code::invalid_request,
                   "invalid request: id must be a string, a number or null");
            return call;
        }
        call.id_json = *id_json;
    } else {
        call.is_notification = true;
    }
    std::string_view version;
    if (object.at_key("jsonrpc").get_string().get(version) != simdjson::SUCCESS ||
        version != "2.0") {
        refuse(rpc_code::invalid_request, R"(invalid request: "jsonrpc" must be "2.0")");
        return call;
    }
    std::string_view name;
    if (object.at_key("method").get_string().get(name) != simdjson::SUCCESS) {
        refuse(rpc_code::invalid_request, "invalid request: method must be a string");
        return call;
    }
    const auto found = methods_.find(name);
    if (found == methods_.end() || (found->second.method->dev_only && node_.dev() == nullptr)) {
        // A notification has no answer, not even this one.
        const bool silent = call.is_notification;
        refuse(rpc_code::method_not_found,
               "the method " + shown(name) + " does not exist/is not available");
        call.is_notification = silent;
        return call;
    }
    call.method = found->second.method;
    call.calls = found->second.calls;
    JsonElement params;
    if (object.at_key("params").get(params) != simdjson::SUCCESS || params.is_null()) {
        return call;
    }
    simdjson::dom::array items;
    const bool silent = call.is_notification;
    if (params.get_array().get(items) != simdjson::SUCCESS) {
        refuse(rpc_code::invalid_params, "params must be an array");
        call.is_notification = silent;
        return call;
    }
    call.params.reserve(items.size());
    for (const JsonElement item : items) { call.params.push_back(item); }
    if (call.params.size() > call.method->params_max) {
        refuse(rpc_code::invalid_params,
               "too many arguments, want at most " + std::to_string(call.method->params_max));
        call.is_notification = silent;
    }
    return call;
}

void RpcService::run(const std::shared_ptr<Exchange>& exchange) {
    exchange->answers = std::vector<CallAnswer>(exchange->calls.size());
    exchange->open_calls.store(exchange->calls.size() + 1, std::memory_order_relaxed);
    const auto run_all = [self = shared_from_this(), exchange] {
        for (size_t i = 0; i < exchange->calls.size(); ++i) { self->run_call(exchange, i); }
        exchange->tell_begun();
        // What waits for a receipt does not need the request any more.
        exchange->parser = simdjson::dom::parser();
        exchange->body = {};
        self->finish_one(exchange);
    };
    const bool needs_worker = std::ranges::any_of(exchange->calls, [](const RpcCall& call) {
        return !call.refused && call.method->where == Method::Where::worker;
    });
    if (!needs_worker) {
        run_all();
        return;
    }
    if (runtime_->post_work(run_all)) { return; }
    overloads_.add();
    for (size_t i = 0; i < exchange->calls.size(); ++i) {
        answer(exchange, i,
               rpc_fail(rpc_code::limit_exceeded, "server busy; retry in 100 ms",
                        std::string(busy_data)));
    }
    finish_one(exchange);
}

void RpcService::run_call(const std::shared_ptr<Exchange>& exchange, size_t index) {
    RpcCall& call = exchange->calls[index];
    if (call.refused) {
        answer(exchange, index, std::unexpected(*std::move(call.refused)));
        return;
    }
    if (exchange->answered_bytes.load(std::memory_order_relaxed) > options_.response_bytes_max) {
        answer(exchange, index, rpc_fail(rpc_code::response_too_large, "response too large"));
        return;
    }
    call.calls->add();
    CallContext context{
        exchange->service,    node_, options_, *hub_, exchange->subscriber, call.method->name,
        exchange->activations};
    const Params params(std::move(call.params));
    // An exception of the library must neither end the thread nor leave the call without answer.
    try {
        if (call.method->async != nullptr) {
            call.method->async(context, params, [exchange, index](RpcResult<std::string> result) {
                exchange->service->answer(exchange, index, std::move(result));
            });
            return;
        }
        JsonWriter w;
        auto outcome = call.method->sync(context, params, w);
        if (outcome) {
            answer(exchange, index, w.take());
        } else {
            answer(exchange, index, std::unexpected(std::move(outcome).error()));
        }
    } catch (const std::exception& e) {
        log::error("rpc method failed", {{"method", call.method->name}, {"what", e.what()}});
        answer(exchange, index, rpc_fail(rpc_code::internal_error, "internal error"));
    }
}

void RpcService::answer(const std::shared_ptr<Exchange>& exchange, size_t index,
                        RpcResult<std::string> result) {
    const RpcCall& call = exchange->calls[index];
    CallAnswer& out = exchange->answers[index];
    if (out.taken.test_and_set(std::memory_order_relaxed)) { return; }
    if (!result) { errors_.add(); }
    if (!call.is_notification) {
        if (result) {
            const size_t bytes = result->size();
            const size_t before =
                exchange->answered_bytes.fetch_add(bytes, std::memory_order_relaxed);
            if (before + bytes > options_.response_bytes_max) {
                result = rpc_fail(rpc_code::response_too_large,
                                  "response too large (at most " +
                                      std::to_string(options_.response_bytes_max) +
                                      " bytes); ask for less at once");
            }
        }
        out.is_error = !result;
        out.value = result ? *std::move(result) : error_json(result.error());
    }
    finish_one(exchange);
}

void RpcService::finish_one(const std::shared_ptr<Exchange>& exchange) {
    if (exchange->open_calls.fetch_sub(1, std::memory_order_acq_rel) != 1) { return; }
    size_t bytes = 2;
    for (size_t i = 0; i < exchange->calls.size(); ++i) {
        bytes +=
            envelope_bytes + exchange->calls[i].id_json.size() + exchange->answers[i].value.size();
    }
    std::string text;
    text.reserve(bytes);
    for (size_t i = 0; i < exchange->calls.size(); ++i) {
        const RpcCall& call = exchange->calls[i];
        if (call.is_notification) { continue; }
        const CallAnswer& part = exchange->answers[i];
        if (exchange->is_batch) { text += text.empty() ? '[' : ','; }
        append_envelope(text, call.id_json, part.is_error ? "error" : "result", part.value);
    }
    if (exchange->is_batch && !text.empty()) { text += ']'; }
    reply_with(exchange, std::move(text));
    for (const auto& id : exchange->activations) { hub_->activate(id); }
}

void RpcService::reply_with(const std::shared_ptr<Exchange>& exchange, std::string text) {
    exchange->tell_begun();
    bytes_in_flight_.fetch_sub(exchange->body_bytes);
    const auto elapsed = std::chrono::steady_clock::now() - exchange->started;
    duration_.observe_us(static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count()));
    const Reply reply = std::move(exchange->reply);
    reply(std::move(text));
}

}  // namespace millrace::net
