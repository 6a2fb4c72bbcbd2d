// SPDX-License-Identifier: Apache-2.0
// Owns the text and the JSON of a single run's result.
#include "host/node/run/run_report.hpp"

#include <cstdio>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "host/base/hex.hpp"
#include "net/rpc/rpc_error.hpp"

namespace millrace::node {
namespace {

namespace json = boost::json;

/// A contract chooses its reason: what a terminal or a JSON reader could trip over is escaped.
std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<uint8_t>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            out += c;
        } else {
            char buf[5];
            std::snprintf(buf, sizeof buf, "\\x%02x", byte);
            out += buf;
        }
    }
    return out;
}

json::array logs_json(const std::vector<evm::Log>& logs) {
    json::array out;
    for (const evm::Log& log : logs) {
        json::array topics;
        for (const Hash256& t : log.topics) { topics.emplace_back(to_hex(t)); }
        out.push_back(json::object{{"address", to_hex(log.address)},
                                   {"topics", std::move(topics)},
                                   {"data", to_hex(log.data)}});
    }
    return out;
}

}  // namespace

std::string failure_text(const MessageOutcome& outcome) {
    if (outcome.status == evm::Status::success) { return {}; }
    if (outcome.status == evm::Status::revert) {
        return printable(net::revert_message(outcome.output));
    }
    return std::string(evm::to_string(outcome.status));
}

std::string report_json(const RunReport& r) {
    const MessageOutcome& o = r.outcome;
    const std::string error = failure_text(o);
    json::object out;
    out["pass"] = error.empty();
    if (!error.empty()) { out["error"] = error; }
    out["output"] = to_hex(o.output);
    out["gasUsed"] = to_hex_quantity(static_cast<uint64_t>(o.gas_used));
    out["gasRefund"] = to_hex_quantity(static_cast<uint64_t>(o.gas_refund));
    if (o.created) { out["created"] = to_hex(*o.created); }
    out["logs"] = logs_json(o.logs);
    out["stateRoot"] = to_hex(r.state_root);
    out["time"] = o.cpu_ns;
    out["fork"] = r.fork;
    if (r.timing) {
        out["bench"] = json::object{{"runs", r.timing->runs},
                                    {"median_us", r.timing->median_us},
                                    {"min_us", r.timing->min_us},
                                    {"p99_us", r.timing->p99_us},
                                    {"mgas_per_second", r.timing->mgas_per_second}};
    }
    if (r.alloc) { out["alloc"] = *r.alloc; }
    return json::serialize(out);
}

std::string timing_text(const MessageTiming& t) {
    char buf[160];
    std::snprintf(buf, sizeof buf,
                  "%zu runs, CPU time: median %.2f us, min %.2f us, p99 %.2f us; %.1f Mgas/s",
                  t.runs, t.median_us, t.min_us, t.p99_us, t.mgas_per_second);
    return buf;
}

}  // namespace millrace::node
