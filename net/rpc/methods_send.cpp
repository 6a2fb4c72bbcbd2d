// SPDX-License-Identifier: Apache-2.0
// Owns the methods that send transactions, and those of them that wait for the receipt.
#include <array>

#include "host/base/hex.hpp"
#include "net/rpc/method.hpp"
#include "net/rpc/rpc_service.hpp"

namespace millrace::net {

namespace {

using Where = Method::Where;

std::string quoted_hash(const Hash256& hash) { return '"' + to_hex(hash) + '"'; }

SendCallback answer_with_hash(Completion done) {
    return [done = std::move(done)](ApiResult<SendOutcome> outcome) {
        if (outcome) {
            done(quoted_hash(outcome->hash));
        } else {
            done(std::unexpected(to_rpc_error(outcome.error())));
        }
    };
}

/// Parameter 0; what cannot be a transaction is said before ingress sees it.
RpcResult<Bytes> raw_transaction(const Params& p) {
    MILLRACE_TRY(Bytes raw, p.data(0));
    if (raw.empty()) { return bad_param(0, "empty transaction"); }
    return raw;
}

void send_raw_transaction(CallContext& c, const Params& p, Completion done) {
    auto raw = raw_transaction(p);
    if (!raw) {
        done(std::unexpected(std::move(raw).error()));
        return;
    }
    c.node.send_raw_transaction(*std::move(raw), answer_with_hash(std::move(done)));
}

/// A wish that is no positive number up to the limit means the default (EIP-7966).
uint32_t sync_timeout_ms(const CallContext& c, const Params& p) {
    if (p.has(1)) {
        const auto wish = p.loose64(1);
        if (wish && *wish >= 1 && *wish <= c.options.sync_timeout_ms_max) {
            return static_cast<uint32_t>(*wish);
        }
    }
    return c.options.sync_timeout_ms;
}

std::string not_executable_message(const SendOutcome& outcome) {
    return "The transaction was added to the mempool but wasn't processed: nonce " +
           std::to_string(outcome.expected_nonce) + " is missing. Send it first.";
}

void send_raw_transaction_sync(CallContext& c, const Params& p, Completion done) {
    auto raw = raw_transaction(p);
    if (!raw) {
        done(std::unexpected(std::move(raw).error()));
        return;
    }
    const uint32_t timeout_ms = sync_timeout_ms(c, p);
    c.node.send_raw_transaction(*std::move(raw), [service = c.service, timeout_ms,
                                                  done = std::move(done)](
                                                     ApiResult<SendOutcome> outcome) {
        if (!outcome) {
            RpcError error = to_rpc_error(outcome.error());
            if (outcome.error().kind == ApiErrorKind::not_ready) {
                error.code = rpc_code::sync_not_ready;
            }
            done(std::unexpected(std::move(error)));
            return;
        }
        const std::string hash = quoted_hash(outcome->hash);
        if (!outcome->executable) {
            done(rpc_fail(rpc_code::sync_not_ready, not_executable_message(*outcome), hash));
            return;
        }
        RpcError on_timeout{rpc_code::sync_timeout,
                            "The transaction was added to the mempool but wasn't processed in " +
                                std::to_string(timeout_ms) + "ms.",
                            hash};
        service->receipt_waits().wait(outcome->hash, timeout_ms, std::move(on_timeout), done);
    });
}

void realtime_send_raw_transaction(CallContext& c, const Params& p, Completion done) {
    auto raw = raw_transaction(p);
    if (!raw) {
        done(std::unexpected(std::move(raw).error()));
        return;
    }
    const uint32_t timeout_ms = c.options.realtime_timeout_ms;
    c.node.send_raw_transaction(
        *std::move(raw),
        [service = c.service, timeout_ms, done = std::move(done)](ApiResult<SendOutcome> outcome) {
            if (!outcome) {
                done(std::unexpected(to_rpc_error(outcome.error())));
                return;
            }
            RpcError on_timeout{rpc_code::server_error, "realtime transaction expired",
                                quoted_hash(outcome->hash)};
            service->receipt_waits().wait(outcome->hash, timeout_ms, std::move(on_timeout), done);
        });
}

void send_transaction(CallContext& c, const Params& p, Completion done) {
    auto request = p.call(0);
    if (!request) {
        done(std::unexpected(std::move(request).error()));
        return;
    }
    if (!request->from) {
        done(bad_param(0, "field 'from' is missing: say which account signs"));
        return;
    }
    c.node.dev()->send_transaction(*std::move(request), answer_with_hash(std::move(done)));
}

constexpr std::array methods = {
    Method{"eth_sendRawTransaction", 1, Where::network_thread, false, nullptr,
           send_raw_transaction},
    Method{"eth_sendRawTransactionSync", 2, Where::network_thread, false, nullptr,
           send_raw_transaction_sync},
    Method{"realtime_sendRawTransaction", 1, Where::network_thread, false, nullptr,
           realtime_send_raw_transaction},
    Method{"eth_sendTransaction", 1, Where::worker, true, nullptr, send_transaction},
};

}  // namespace

std::span<const Method> send_methods() { return methods; }

}  // namespace millrace::net
