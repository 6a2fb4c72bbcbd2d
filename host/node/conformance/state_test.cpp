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
#include "host/node/conformance/fixture.hpp"
#include "host/node/conformance/network.hpp"
#include "host/node/conformance/reasons.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::node {
namespace {

namespace json = boost::json;

Result<evm::BlockEnvironment> read_environment(const json::value& env, const evm::Rules& rules) {
    if (!env.is_object()) { return fail(ErrorCode::invalid_input, "env: expected an object"); }
    evm::BlockEnvironment e;
    auto number = [&](const std::string& key) -> Result<U256> {
        const auto* v = find(env, key);
        if (v == nullptr) { return U256{}; }
        return json_u256(*v, "env." + key);
    };
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

/// A transaction as a case gives it, or why its bytes are none.
struct CaseTransaction {
    std::optional<evm::Transaction> transaction;
    std::optional<Address> sender;
    evm::BlockFault fault;  ///< without a transaction
};

/// Element `indexes.which` of the list `transaction.field`.
Result<const json::value*> chosen(const json::value& transaction, const json::value& indexes,
                                  std::string_view field, std::string_view which) {
    MILLRACE_TRY(const auto* list, member(transaction, field, "transaction"));
    MILLRACE_TRY(const auto* index_value, member(indexes, which, "indexes"));
    MILLRACE_TRY(const uint64_t index, json_u64(*index_value, "indexes." + std::string(which)));
    const auto* items = list->if_array();
    if (items == nullptr || index >= items->size()) {
        return fail(ErrorCode::invalid_input, "transaction." + std::string(field) +
                                                  " has no element " + std::to_string(index));
    }
    return &(*items)[index];
}

Result<evm::AccessList> read_access_list(const json::value& v) {
    constexpr std::string_view where = "transaction.accessLists";
    evm::AccessList out;
    if (v.is_null()) { return out; }
    if (!v.is_array()) {
        return fail(ErrorCode::invalid_input, std::string(where) + ": expected a list");
    }
    for (const json::value& item : v.get_array()) {
        evm::AccessListEntry& entry = out.emplace_back();
        MILLRACE_TRY(const auto* address, member(item, "address", where));
        MILLRACE_TRY(entry.address, json_address(*address, where));
        MILLRACE_TRY(const auto* keys, member(item, "storageKeys", where));
        if (!keys->is_array()) {
            return fail(ErrorCode::invalid_input, std::string(where) + ": expected a list of keys");
        }
        for (const json::value& key : keys->get_array()) {
            MILLRACE_TRY(const Hash256 hash, json_hash(key, where));
            entry.storage_keys.push_back(hash);
        }
    }
    return out;
}

/// Fixtures from before `txbytes` give a transaction as ranges of values and three indexes.
Result<CaseTransaction> assemble_transaction(const json::value& test, const json::value& post) {
    MILLRACE_TRY(const auto* t, member(test, "transaction", ""));
    MILLRACE_TRY(const auto* indexes, member(post, "indexes", ""));
    evm::Transaction tx;
    MILLRACE_TRY(const auto* nonce, member(*t, "nonce", "transaction"));
    MILLRACE_TRY(tx.nonce, json_u64(*nonce, "transaction.nonce"));
    MILLRACE_TRY(const auto* gas, chosen(*t, *indexes, "gasLimit", "gas"));
    MILLRACE_TRY(tx.gas_limit, json_u64(*gas, "transaction.gasLimit"));
    MILLRACE_TRY(const auto* value, chosen(*t, *indexes, "value", "value"));
    MILLRACE_TRY(tx.value, json_u256(*value, "transaction.value"));
    MILLRACE_TRY(const auto* data, chosen(*t, *indexes, "data", "data"));
    MILLRACE_TRY(tx.data, json_bytes(*data, "transaction.data"));
    MILLRACE_TRY(const auto* to, member(*t, "to", "transaction"));
    if (const auto* text = to->if_string(); text != nullptr && text->size() > 2) {
        MILLRACE_TRY(tx.to, json_address(*to, "transaction.to"));
    }
    if (find(*t, "accessLists") != nullptr) {
        MILLRACE_TRY(const auto* list, chosen(*t, *indexes, "accessLists", "data"));
        if (!list->is_null()) { tx.type = evm::TxType::access_list; }
        MILLRACE_TRY(tx.access_list, read_access_list(*list));
    }
    if (const auto* price = find(*t, "gasPrice")) {
        MILLRACE_TRY(tx.max_fee_per_gas, json_u256(*price, "transaction.gasPrice"));
        tx.max_priority_fee_per_gas = tx.max_fee_per_gas;
    } else {
        tx.type = evm::TxType::dynamic_fee;
        MILLRACE_TRY(const auto* cap, member(*t, "maxFeePerGas", "transaction"));
        MILLRACE_TRY(tx.max_fee_per_gas, json_u256(*cap, "transaction.maxFeePerGas"));
        MILLRACE_TRY(const auto* tip, member(*t, "maxPriorityFeePerGas", "transaction"));
        MILLRACE_TRY(tx.max_priority_fee_per_gas,
                     json_u256(*tip, "transaction.maxPriorityFeePerGas"));
    }
    MILLRACE_TRY(const auto* secret, member(*t, "secretKey", "transaction"));
    MILLRACE_TRY(const Hash256 key, json_hash(*secret, "transaction.secretKey"));
    const auto sender = kernels::address_of_secret_key(key);
    if (!sender) { return fail(ErrorCode::invalid_input, "transaction.secretKey: not a key"); }
    return CaseTransaction{std::move(tx), sender, {}};
}

Result<CaseTransaction> read_transaction(const json::value& test, const json::value& post,
                                         const evm::Rules& rules) {
    const auto* raw = find(post, "txbytes");
    if (raw == nullptr) { return assemble_transaction(test, post); }
    MILLRACE_TRY(const Bytes bytes, json_bytes(*raw, "txbytes"));
    auto tx = evm::decode_transaction(bytes);
    if (!tx) { return CaseTransaction{{}, {}, evm::malformed_transaction(bytes, tx.error())}; }
    const auto sender = recover_sender(*tx, rules.at_least(evm::Revision::homestead));
    return CaseTransaction{*std::move(tx), sender, {}};
}

evm::BlockFault transaction_fault(evm::TxError error, evm::TxType type) {
    evm::BlockFault f;
    f.error = evm::BlockError::transaction_invalid;
    f.transaction_error = error;
    f.transaction_type = type;
    return f;
}

using Outcome = std::optional<CaseDifference>;

/// Nothing when a refusal, or its absence, is what the case expects.
Outcome check_refusal(const json::value& post, const std::optional<evm::BlockFault>& refused,
                      CaseSink& sink) {
    const auto* expectation = find(post, "expectException");
    if (expectation == nullptr || expectation->is_null()) {
        if (!refused) { return std::nullopt; }
        return CaseDifference{"a valid transaction was refused", "valid", refused->text()};
    }
    const auto* text = expectation->if_string();
    const std::string expected = text == nullptr ? "" : std::string(text->data(), text->size());
    if (!refused) {
        return CaseDifference{"an invalid transaction was accepted", expected, "accepted"};
    }
    switch (match_reason(expected, *refused)) {
        case ReasonMatch::same: return std::nullopt;
        case ReasonMatch::unknown_name: sink.unknown_reason(expected); return std::nullopt;
        case ReasonMatch::different: break;
    }
    return CaseDifference{"the transaction was refused for another reason", expected,
                          refused->text()};
}

/// The last line of a case's trace.
void write_summary(evm::Eip3155Tracer& tracer, const std::string& fork,
                   const std::optional<evm::BlockFault>& refused,
                   const evm::TransactionResult& result, const evm::StateOverlay& state) {
    const bool pass = !refused && result.success();
    const std::string error = refused ? refused->text()
                              : pass  ? std::string{}
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
    const json::value* config = find(test, "config");
    MILLRACE_TRY(const evm::BlobSchedule blob, read_blob_schedule(fork, config));
    MILLRACE_TRY(const uint64_t chain_id, read_chain_id(config));
    evm::Rules rules = evm::ethereum_rules(*evm::revision_from_text(fork), chain_id);
    rules.blob = blob;

    MILLRACE_TRY(const auto* pre, member(test, "pre", ""));
    MILLRACE_TRY(const auto* env, member(test, "env", ""));
    MILLRACE_TRY(const auto* hash, member(post, "hash", ""));
    MILLRACE_TRY(const auto* logs, member(post, "logs", ""));
    evm::StateOverlay state{&test_chain()};
    MILLRACE_CHECK(load_accounts(*pre, state));
    MILLRACE_TRY(const evm::BlockEnvironment block, read_environment(*env, rules));
    MILLRACE_TRY(const Hash256 expected_root, json_hash(*hash, "hash"));
    MILLRACE_TRY(const Hash256 expected_logs, json_hash(*logs, "logs"));
    MILLRACE_TRY(const CaseTransaction t, read_transaction(test, post, rules));

    std::optional<evm::BlockFault> refused;
    evm::TransactionResult result;
    if (!t.transaction) {
        refused = t.fault;
    } else if (!t.sender) {
        refused = transaction_fault(evm::TxError::signature_invalid, t.transaction->type);
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
            refused = transaction_fault(r.error(), t.transaction->type);
        }
    }
    if (tracer != nullptr) { write_summary(*tracer, fork, refused, result, state); }
    if (Outcome o = check_refusal(post, refused, sink)) { return o; }
    if (const Hash256 got = logs_hash(result.logs); got != expected_logs) {
        return CaseDifference{"the hash of the logs differs", to_hex(expected_logs), to_hex(got)};
    }
    if (const Hash256 got = state_root_of(state); got != expected_root) {
        return CaseDifference{"the state root differs", to_hex(expected_root), to_hex(got)};
    }
    return std::nullopt;
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
