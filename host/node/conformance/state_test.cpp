// SPDX-License-Identifier: Apache-2.0
// Owns how a GeneralStateTest is set up, run and compared.
#include "host/node/conformance/state_test.hpp"

#include <optional>

#include <boost/json/object.hpp>

#include "evm/core/block_rules.hpp"
#include "evm/core/transition.hpp"
#include "evm/precompiles/standard.hpp"
#include "evm/trace/eip3155.hpp"
#include "host/base/hex.hpp"
#include "host/node/conformance/case_transaction.hpp"
#include "host/node/conformance/fixture.hpp"
#include "host/node/conformance/network.hpp"
#include "host/node/conformance/reasons.hpp"

namespace millrace::node {
namespace {

namespace json = boost::json;

Result<U256> environment_number(const json::value& env, const std::string& key) {
    const auto* v = find(env, key);
    if (v == nullptr) { return U256{}; }
    return json_u256(*v, "env." + key);
}

/// The rules of the block that `env` describes. Its own difficulty stands for the total one.
Result<evm::Rules> rules_at(const Network& network, const json::value& env) {
    if (!env.is_object()) { return fail(ErrorCode::invalid_input, "env: expected an object"); }
    MILLRACE_TRY(const U256 number, environment_number(env, "currentNumber"));
    MILLRACE_TRY(const U256 timestamp, environment_number(env, "currentTimestamp"));
    MILLRACE_TRY(const U256 difficulty, environment_number(env, "currentDifficulty"));
    return network.rules_at(number.saturate64(), timestamp.saturate64(), difficulty);
}

Result<evm::BlockEnvironment> read_environment(const json::value& env, const evm::Rules& rules) {
    evm::BlockEnvironment e;
    auto number = [&](const std::string& key) { return environment_number(env, key); };
    MILLRACE_TRY(const U256 block_number, number("currentNumber"));
    e.number = block_number.low64();
    MILLRACE_TRY(const U256 timestamp, number("currentTimestamp"));
    e.timestamp = timestamp.low64();
    MILLRACE_TRY(const U256 gas_limit, number("currentGasLimit"));
    e.gas_limit = gas_limit.saturate64();
    MILLRACE_TRY(e.difficulty, number("currentDifficulty"));
    MILLRACE_TRY(e.base_fee_per_gas, number("currentBaseFee"));
    MILLRACE_TRY(const U256 random, number("currentRandom"));
    e.prev_randao = to_hash(random);
    MILLRACE_TRY(const U256 excess_blob_gas, number("currentExcessBlobGas"));
    if (rules.at_least(evm::Revision::cancun)) {
        e.blob_base_fee = evm::blob_base_fee(rules.blob, excess_blob_gas.saturate64());
    }
    if (const auto* c = find(env, "currentCoinbase")) {
        MILLRACE_TRY(e.coinbase, json_address(*c, "env.currentCoinbase"));
    }
    if (!rules.at_least(evm::Revision::london)) { e.base_fee_per_gas = {}; }
    return e;
}

evm::BlockFault transaction_fault(evm::TxError error, evm::TxType type) {
    evm::BlockFault f;
    f.error = evm::BlockError::transaction_invalid;
    f.transaction_error = error;
    f.transaction_type = type;
    return f;
}

/// A reward of nothing. It is seen where no transaction ran: before EIP-161 it makes the account of
/// the coinbase, after it it removes an empty one.
void reward_coinbase(evm::StateOverlay& state, const Address& coinbase, const evm::Rules& rules) {
    evm::StateChanges reward;
    evm::AccountChange& c = reward.accounts.emplace_back();
    c.address = coinbase;
    c.touched = true;
    state.apply(reward, rules.at_least(evm::Revision::spurious_dragon));
}

using Outcome = std::optional<CaseDifference>;

/// Nothing when a refusal, or its absence, is what the case expects. `refused` holds every fault of
/// the transaction, first the one for which it was refused.
Outcome check_refusal(const json::value& post, const std::vector<evm::BlockFault>& refused,
                      CaseSink& sink) {
    const auto* expectation = find(post, "expectException");
    if (expectation == nullptr || expectation->is_null()) {
        if (refused.empty()) { return std::nullopt; }
        return CaseDifference{"a valid transaction was refused", "valid", refused[0].text()};
    }
    const auto* text = expectation->if_string();
    const std::string expected = text == nullptr ? "" : std::string(text->data(), text->size());
    if (refused.empty()) {
        return CaseDifference{"an invalid transaction was accepted", expected, "accepted"};
    }
    for (const evm::BlockFault& fault : refused) {
        switch (match_reason(expected, fault)) {
            case ReasonMatch::same: return std::nullopt;
            case ReasonMatch::unknown_name: sink.unknown_reason(expected); return std::nullopt;
            case ReasonMatch::different: break;
        }
    }
    return CaseDifference{"the transaction was refused for another reason", expected,
                          refused[0].text()};
}

/// The last line of a case's trace.
void write_summary(evm::Eip3155Tracer& tracer, const std::string& fork,
                   const std::vector<evm::BlockFault>& refused,
                   const evm::TransactionResult& result, const evm::StateOverlay& state) {
    const bool pass = refused.empty() && result.success();
    const std::string error = !refused.empty() ? refused[0].text()
                              : pass           ? std::string{}
                                               : std::string(evm::to_string(result.status));
    tracer.write_summary({.state_root = state_root_of(state),
                          .output = result.output,
                          .gas_used = result.gas_used,
                          .pass = pass,
                          .error = error,
                          .fork = fork});
}

Result<Outcome> run_case(const json::value& test, const std::string& fork, const json::value& post,
                         evm::Workspace& workspace, evm::Eip3155Tracer* tracer, CaseSink& sink) {
    static const evm::StandardPrecompiles precompiles;
    MILLRACE_TRY(const Network network, read_network(fork, find(test, "config")));
    MILLRACE_TRY(const auto* pre, member(test, "pre", ""));
    MILLRACE_TRY(const auto* env, member(test, "env", ""));
    MILLRACE_TRY(const evm::Rules rules, rules_at(network, *env));
    MILLRACE_TRY(const auto* hash, member(post, "hash", ""));
    MILLRACE_TRY(const auto* logs, member(post, "logs", ""));
    evm::StateOverlay state{&test_chain()};
    MILLRACE_CHECK(load_accounts(*pre, state));
    MILLRACE_TRY(const evm::BlockEnvironment block, read_environment(*env, rules));
    MILLRACE_TRY(const Hash256 expected_root, json_hash(*hash, "hash"));
    MILLRACE_TRY(const Hash256 expected_logs, json_hash(*logs, "logs"));
    MILLRACE_TRY(const CaseTransaction t, read_case_transaction(test, post, rules));

    std::vector<evm::BlockFault> refused;
    evm::TransactionResult result;
    if (!t.transaction) {
        refused.push_back(t.fault);
    } else if (!t.sender) {
        refused.push_back(transaction_fault(evm::TxError::signature_invalid, t.transaction->type));
    } else {
        const auto authorities = recover_authorities(*t.transaction);
        evm::ExecutionOptions options;
        options.tracer = tracer;
        auto r =
            evm::execute_transaction({*t.transaction, *t.sender, authorities}, state, workspace,
                                     rules, precompiles, block, block.gas_limit, options);
        if (r) {
            state.apply(r->changes, rules.at_least(evm::Revision::spurious_dragon));
            result = std::move(*r);
        } else {
            refused.push_back(transaction_fault(r.error(), t.transaction->type));
            for (const evm::TxError e : evm::transaction_faults(*t.transaction, *t.sender, state,
                                                                rules, block, block.gas_limit)) {
                refused.push_back(transaction_fault(e, t.transaction->type));
            }
        }
    }
    if (tracer != nullptr) { write_summary(*tracer, fork, refused, result, state); }
    if (Outcome o = check_refusal(post, refused, sink)) { return o; }
    if (const Hash256 got = logs_hash(result.logs); got != expected_logs) {
        return CaseDifference{"the hash of the logs differs", to_hex(expected_logs), to_hex(got)};
    }
    const Hash256 got = state_root_of(state);
    if (got == expected_root) { return std::nullopt; }
    // The suites do not agree on whether a block without a transaction gives the reward.
    if (!refused.empty()) {
        reward_coinbase(state, block.coinbase, rules);
        if (state_root_of(state) == expected_root) { return std::nullopt; }
    }
    return CaseDifference{"the state root differs", to_hex(expected_root), to_hex(got)};
}

void run_test(const json::value& test, const RunnerOptions& options, evm::Workspace& workspace,
              CaseSink& sink) {
    std::optional<evm::Eip3155Tracer> tracer;
    if (options.trace) { tracer.emplace(options.trace, options.trace_fields); }
    const auto* post = find(test, "post");
    if (post == nullptr || !post->is_object()) {
        return sink.fail("", {"not a state test: post is missing or not an object", "", ""});
    }
    for (const auto& [fork_key, cases] : post->get_object()) {
        const std::string fork(fork_key.data(), fork_key.size());
        if (!options.fork.empty() && fork != options.fork) { continue; }
        if (!cases.is_array()) {
            sink.fail(fork, {"malformed fixture: post." + fork + ": expected a list", "", ""});
            continue;
        }
        size_t index = 0;
        for (const auto& c : cases.get_array()) {
            const std::string where = "post." + fork + "[" + std::to_string(index++) + "]";
            auto r = run_case(test, fork, c, workspace, tracer ? &*tracer : nullptr, sink);
            if (!r) {
                sink.fail(fork, {"malformed fixture: " + where + ": " + r.error().message, "", ""});
            } else if (*r) {
                (*r)->reason = where + ": " + (*r)->reason;
                sink.fail(fork, **std::move(r));
            } else {
                sink.pass(fork);
            }
        }
    }
}

}  // namespace

Result<ConformanceReport> run_state_tests(const std::string& path, const RunnerOptions& options) {
    return run_fixtures(path, options,
                        [&](std::string_view, const json::value& test, evm::Workspace& workspace,
                            CaseSink& sink) { run_test(test, options, workspace, sink); });
}

}  // namespace millrace::node
