// SPDX-License-Identifier: Apache-2.0
// Owns loading, checking and timing of EVM workloads.
#include "host/node/benchmark/evm_workload.hpp"

#include <algorithm>

#include "evm/core/evm.hpp"
#include "evm/precompiles/standard.hpp"
#include "host/base/hex.hpp"
#include "host/node/benchmark/cpu_time.hpp"
#include "host/node/json.hpp"

namespace millrace::node {
namespace {

namespace json = boost::json;

/// The member of a nested object named by a dotted path.
const json::value* find_path(const json::value& v, std::string_view path) {
    const json::value* at = &v;
    while (at != nullptr && !path.empty()) {
        const size_t dot = path.find('.');
        at = find(*at, path.substr(0, dot));
        path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
    }
    return at;
}

Result<Bytes> referenced_code(const json::value& reference, const std::string& npm_directory) {
    const auto* npm = find(reference, "npm");
    const auto* file = find(reference, "file");
    const auto* field = find(reference, "field");
    if (npm == nullptr || file == nullptr || field == nullptr) {
        return fail(ErrorCode::invalid_input, "code_ref lacks npm, file or field");
    }
    std::string package(npm->as_string());
    if (const size_t at = package.rfind('@'); at != 0 && at != std::string::npos) {
        package.resize(at);
    }
    MILLRACE_TRY(const json::value build, read_json_file(npm_directory + "/" + package + "/" +
                                                         std::string(file->as_string())));
    const auto* code = find_path(build, std::string_view(field->as_string()));
    if (code == nullptr) {
        return fail(ErrorCode::invalid_input,
                    package + " has no " + std::string(field->as_string()));
    }
    return json_bytes(*code, "code");
}

Result<void> read_workload(const json::value& v, const std::string& npm_directory, EvmWorkload& w) {
    auto member = [&](const char* key) -> Result<const json::value*> {
        const auto* m = find(v, key);
        if (m == nullptr) {
            return fail(ErrorCode::invalid_input, std::string(key) + " is missing");
        }
        return m;
    };
    MILLRACE_TRY(const auto* from, member("from"));
    MILLRACE_TRY(w.from, json_address(*from, "from"));
    MILLRACE_TRY(const auto* to, member("to"));
    MILLRACE_TRY(w.to, json_address(*to, "to"));
    MILLRACE_TRY(const auto* calldata, member("calldata"));
    MILLRACE_TRY(w.input, json_bytes(*calldata, "calldata"));
    MILLRACE_TRY(const auto* gas_limit, member("gas_limit"));
    MILLRACE_TRY(const uint64_t limit, json_u64(*gas_limit, "gas_limit"));
    MILLRACE_TRY(const auto* gas_used, member("gas_used"));
    MILLRACE_TRY(const uint64_t used, json_u64(*gas_used, "gas_used"));
    MILLRACE_TRY(const auto* expected, member("expected_return"));
    MILLRACE_TRY(w.expected_return, json_bytes(*expected, "expected_return"));
    w.gas_limit = static_cast<int64_t>(limit);
    w.gas_used = static_cast<int64_t>(used);
    if (const auto* refund = find(v, "gas_refund")) {
        MILLRACE_TRY(const uint64_t r, json_u64(*refund, "gas_refund"));
        w.gas_refund = static_cast<int64_t>(r);
    }
    MILLRACE_TRY(const auto* accounts, member("prestate"));
    if (!accounts->is_object()) {
        return fail(ErrorCode::invalid_input, "prestate: expected an object");
    }
    for (const auto& [key, account] : accounts->get_object()) {
        MILLRACE_TRY(const Address address, address_from_hex({key.data(), key.size()}));
        w.state.set_nonce(address, 0);
        if (const auto* p = find(account, "nonce")) {
            MILLRACE_TRY(const uint64_t nonce, json_u64(*p, "nonce"));
            w.state.set_nonce(address, nonce);
        }
        if (const auto* p = find(account, "balance")) {
            MILLRACE_TRY(const U256 balance, json_u256(*p, "balance"));
            w.state.set_balance(address, balance);
        }
        if (const auto* p = find(account, "code")) {
            MILLRACE_TRY(const Bytes code, json_bytes(*p, "code"));
            w.state.set_code(address, code);
        } else if (const auto* r = find(account, "code_ref")) {
            auto code = referenced_code(*r, npm_directory);
            if (!code) { return fail(ErrorCode::not_found, code.error().message); }
            w.state.set_code(address, *code);
        }
        if (const auto* p = find(account, "storage"); p != nullptr && p->is_object()) {
            for (const auto& [slot, value] : p->get_object()) {
                MILLRACE_TRY(const U256 k, u256_from_text({slot.data(), slot.size()}));
                MILLRACE_TRY(const U256 word, json_u256(value, "storage value"));
                w.state.set_storage(address, k, word);
                w.stateful = true;
            }
        }
    }
    return {};
}

}  // namespace

Result<EvmWorkloadFile> load_evm_workloads(const std::string& path,
                                           const std::string& npm_directory) {
    MILLRACE_TRY(const json::value document, read_json_file(path));
    EvmWorkloadFile out;
    const auto* env = find(document, "env");
    const auto* list = find(document, "workloads");
    if (env == nullptr || list == nullptr || !list->is_array()) {
        return fail(ErrorCode::invalid_input, path + ": expected env and workloads");
    }
    auto number = [&](const char* key, uint64_t& into) -> Result<void> {
        if (const auto* v = find(*env, key)) {
            MILLRACE_TRY(into, json_u64(*v, std::string("env.") + key));
        }
        return {};
    };
    MILLRACE_CHECK(number("number", out.block_number));
    MILLRACE_CHECK(number("timestamp", out.timestamp));
    MILLRACE_CHECK(number("gas_limit", out.gas_limit));
    MILLRACE_CHECK(number("chain_id", out.chain_id));
    if (const auto* fork = find(*env, "fork"); fork != nullptr && fork->is_string()) {
        out.fork = std::string(fork->as_string());
    }
    out.workloads.reserve(list->as_array().size());
    for (const json::value& v : list->as_array()) {
        EvmWorkload w;
        const auto* name = find(v, "name");
        w.name = name != nullptr && name->is_string() ? std::string(name->as_string()) : "unnamed";
        if (auto r = read_workload(v, npm_directory, w); !r) {
            if (r.error().code != ErrorCode::not_found) {
                return fail(r.error().code, path + ": " + w.name + ": " + r.error().message);
            }
            out.skipped.push_back(w.name + ": " + r.error().message);
            continue;
        }
        out.workloads.push_back(std::move(w));
    }
    return out;
}

Result<std::vector<EvmTiming>> run_evm_bench(EvmWorkloadFile& file,
                                             const EvmBenchOptions& options) {
    static const evm::StandardPrecompiles precompiles;
    const auto revision = evm::revision_from_text(file.fork);
    if (!revision) { return fail(ErrorCode::invalid_input, "unknown fork " + file.fork); }
    const evm::Rules rules = evm::ethereum_rules(*revision, file.chain_id);
    evm::BlockEnvironment block;
    block.number = file.block_number;
    block.timestamp = file.timestamp;
    block.gas_limit = file.gas_limit;
    evm::Workspace workspace;
    std::vector<EvmTiming> out;
    const EvmBenchOptions::Tier interpreter{"interpreter", nullptr};
    const std::span<const EvmBenchOptions::Tier> tiers =
        options.tiers.empty() ? std::span(&interpreter, 1) : std::span(options.tiers);
    for (EvmWorkload& w : file.workloads) {
        if (!options.filter.empty() && w.name.find(options.filter) == std::string::npos) {
            continue;
        }
        for (const EvmBenchOptions::Tier& tier : tiers) {
            workspace.native_tier = tier.native;
            const evm::TransactionEnvironment environment{w.from, U256{}, {}};
            Bytes returned;
            int64_t gas_used = 0;
            int64_t refund = 0;
            auto run = [&] {
                workspace.state.begin(w.state, rules, workspace.codes, precompiles);
                evm::Evm evm{workspace, rules, precompiles, block, environment};
                workspace.state.warm_account(workspace.state.account(w.from));
                workspace.state.warm_account(workspace.state.account(w.to));
                evm::Message m;
                m.gas = w.gas_limit;
                m.sender = w.from;
                m.recipient = w.to;
                m.code_address = w.to;
                m.input = w.input;
                const evm::CallOutcome r = evm.run(m);
                gas_used = w.gas_limit - r.gas_left;
                refund = workspace.state.refund();
                returned.assign(r.output.begin(), r.output.end());
                return r.status;
            };
            const evm::Status status = run();
            if (status != evm::Status::success || returned != w.expected_return ||
                gas_used != w.gas_used || refund != w.gas_refund) {
                return fail(ErrorCode::internal,
                            w.name + ": wrong result: " + std::string(evm::to_string(status)) +
                                ", gas used " + std::to_string(gas_used) + " (expected " +
                                std::to_string(w.gas_used) + "), refund " + std::to_string(refund) +
                                " (expected " + std::to_string(w.gas_refund) + "), returned " +
                                to_hex(returned) + " (expected " + to_hex(w.expected_return) + ")");
            }
            std::vector<double> times;
            double total = 0;
            while (times.size() < options.runs_min || total < options.seconds_min * 1e6) {
                const double start = thread_cpu_us();
                run();
                times.push_back(thread_cpu_us() - start);
                total += times.back();
            }
            std::sort(times.begin(), times.end());
            EvmTiming t;
            t.name = w.name;
            t.tier = tier.name;
            t.stateful = w.stateful;
            t.median_us = times[times.size() / 2];
            t.min_us = times.front();
            t.max_us = times.back();
            t.mgas_per_s = static_cast<double>(w.gas_used) / t.median_us;
            t.runs = times.size();
            out.push_back(t);
        }
    }
    return out;
}

}  // namespace millrace::node
