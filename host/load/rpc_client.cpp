// SPDX-License-Identifier: Apache-2.0
// Owns waiting for answers.
#include "host/load/rpc_client.hpp"

#include <array>

#include "host/base/hex.hpp"

namespace millrace::load {

namespace {

constexpr int64_t second_ns = 1'000'000'000;
constexpr int64_t connect_timeout_ns = 5 * second_ns;
constexpr int64_t answer_timeout_ns = 60 * second_ns;
constexpr size_t batch_max = 500;

std::string request_text(const RpcClient::Call& call, size_t id) {
    return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"method":")" + call.method +
           R"(","params":)" + call.params + "}";
}

std::unexpected<Error> said_no(const RpcClient::Call& call, const RpcFailure& failure) {
    const ErrorCode code = failure.code == method_not_found ? ErrorCode::not_found
                           : failure.code == limit_exceeded ? ErrorCode::limit
                                                            : ErrorCode::unavailable;
    return fail(code, call.method + ": the node says \"" + std::string(failure.message) +
                          "\" (code " + std::to_string(failure.code) + ")");
}

Result<U256> as_quantity(const RpcClient::Call& call, std::string_view json) {
    const auto text = plain_string(json);
    auto number = text ? u256_from_hex(*text) : std::unexpected(text.error());
    if (!number) {
        return fail(ErrorCode::corrupt,
                    call.method + ": a quantity was expected, not " + std::string(json));
    }
    return number;
}

}  // namespace

RpcClient::RpcClient(EventLoop& loop, std::unique_ptr<Connection> connection)
    : loop_(&loop),
      connection_(std::move(connection)),
      reader_(std::make_unique<MessageReader>()),
      inbox_(std::make_unique<std::optional<Result<std::string>>>()) {
    connection_->on_message([inbox = inbox_.get()](Result<std::string_view> message) {
        if (message) {
            *inbox = std::string(*message);
        } else {
            *inbox = std::unexpected(std::move(message).error());
        }
    });
}

Result<RpcClient> RpcClient::open(EventLoop& loop, const Endpoint& endpoint) {
    MILLRACE_TRY(auto connection, Connection::open(loop, endpoint, connect_timeout_ns));
    return RpcClient(loop, std::move(connection));
}

Result<std::vector<Result<std::string>>> RpcClient::exchange(std::string_view body,
                                                             std::span<const Call> calls) {
    inbox_->reset();
    const std::array pieces{body};
    connection_->send(pieces);
    if (!loop_->run_until([this] { return inbox_->has_value(); },
                          steady_ns() + answer_timeout_ns)) {
        return fail(ErrorCode::timeout, calls.front().method + ": no answer in a minute");
    }
    MILLRACE_TRY(std::string text, std::move(**inbox_));
    text.reserve(text.size() + Connection::padding_bytes);
    std::vector<Result<std::string>> out(
        calls.size(), fail(ErrorCode::corrupt, "the node left out an answer of a batch"));
    std::optional<Error> refused;
    MILLRACE_CHECK(reader_->read(
        text,
        [&](const Answer& answer) {
            // A refused batch has one answer for the whole, without an id.
            if (!answer.id) {
                if (answer.failure) { refused = said_no(calls.front(), *answer.failure).error(); }
            } else if (*answer.id < calls.size()) {
                auto& slot = out[*answer.id];
                if (answer.failure) {
                    slot = said_no(calls[*answer.id], *answer.failure);
                } else {
                    slot = std::string(answer.result);
                }
            }
        },
        [](const Notification&) {}));
    if (refused) { return std::unexpected(std::move(*refused)); }
    return out;
}

Result<std::string> RpcClient::call(const Call& call) {
    MILLRACE_TRY(auto answers, exchange(request_text(call, 0), {&call, 1}));
    // Room behind the text, so that it can be read as JSON again.
    auto answer = std::move(answers.front());
    if (answer) { answer->reserve(answer->size() + Connection::padding_bytes); }
    return answer;
}

Result<std::vector<Result<std::string>>> RpcClient::batch(const std::vector<Call>& calls) {
    std::vector<Result<std::string>> out;
    out.reserve(calls.size());
    for (size_t first = 0; first < calls.size(); first += batch_max) {
        const size_t count = std::min(batch_max, calls.size() - first);
        const std::span<const Call> part(calls.data() + first, count);
        std::string body = "[";
        for (size_t i = 0; i < count; ++i) {
            body += (i == 0 ? "" : ",") + request_text(part[i], i);
        }
        body += ']';
        MILLRACE_TRY(auto answers, exchange(body, part));
        for (auto& answer : answers) {
            if (answer) { answer->reserve(answer->size() + Connection::padding_bytes); }
            out.push_back(std::move(answer));
        }
    }
    return out;
}

Result<U256> RpcClient::quantity(const Call& call) {
    MILLRACE_TRY(const std::string text, this->call(call));
    return as_quantity(call, text);
}

Result<std::vector<U256>> RpcClient::quantities(const std::vector<Call>& calls) {
    MILLRACE_TRY(auto answers, batch(calls));
    std::vector<U256> out;
    out.reserve(calls.size());
    for (size_t i = 0; i < calls.size(); ++i) {
        MILLRACE_TRY(const std::string text, std::move(answers[i]));
        MILLRACE_TRY(const U256 value, as_quantity(calls[i], text));
        out.push_back(value);
    }
    return out;
}

}  // namespace millrace::load
