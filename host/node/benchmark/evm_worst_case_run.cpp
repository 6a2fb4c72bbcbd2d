// SPDX-License-Identifier: Apache-2.0
// Owns running and timing the worst cases, see evm_worst_cases.hpp.
#include <algorithm>
#include <cstring>

#include "evm/core/evm.hpp"
#include "evm/precompiles/standard.hpp"
#include "host/node/benchmark/cpu_time.hpp"
#include "host/node/benchmark/evm_worst_cases.hpp"

namespace millrace::node {
namespace {

constexpr uint64_t block_number = 10'000'000;

Address address_of(uint64_t number) {
    Address a;
    for (size_t i = 0; i < 8; ++i) {
        a[Address::size_bytes - 1 - i] = static_cast<uint8_t>(number >> (8 * i));
    }
    return a;
}

const Address contract = address_of(0xc0'0000);
const Address sender = address_of(0xe0'0000);

void fill(evm::StateOverlay& state, const EvmWorstCase& c) {
    state.set_balance(contract, U256{uint64_t{1} << 60});
    state.set_code(contract, c.code);
    for (uint64_t n = 1; n <= 256; ++n) { state.set_block_hash(block_number - n, Hash256{}); }
    for (uint64_t key = 0; key < c.slot_count; ++key) {
        state.set_storage(contract, U256{key}, U256{key + 1});
    }
    for (uint64_t i = 0; i < c.account_count && !c.account_code.empty(); ++i) {
        Bytes code = c.account_code;
        if (c.account_count > 1) {
            std::memcpy(code.data() + code.size() - sizeof i, &i, sizeof i);
        }
        state.set_code(address_of(worst_case_first_account + i), code);
    }
}

Result<EvmWorstCaseTiming> run_case(const EvmWorstCase& c, const EvmWorstCaseOptions& options,
                                    evm::Workspace& workspace) {
    static const evm::StandardPrecompiles precompiles;
    const evm::Rules rules = evm::ethereum_rules(evm::Revision::osaka, 1);
    evm::BlockEnvironment block;
    block.number = block_number;
    block.gas_limit = 60'000'000;
    const evm::TransactionEnvironment environment{sender, U256{}, {}};
    evm::StateOverlay state;
    fill(state, c);
    int64_t gas_left = 0;
    const auto run = [&] {
        workspace.state.begin(state, rules, workspace.codes, precompiles);
        evm::Evm evm{workspace, rules, precompiles, block, environment};
        workspace.state.warm_account(workspace.state.account(contract));
        evm::Message m;
        m.gas = c.gas_limit;
        m.sender = sender;
        m.recipient = contract;
        m.code_address = contract;
        m.input = c.input;
        const evm::CallOutcome r = evm.run(m);
        gas_left = r.gas_left;
        return r.status;
    };
    std::vector<double> times;
    double total = 0;
    while (times.size() < options.runs_min || total < options.seconds_min * 1e6) {
        workspace.codes = evm::CodeCache();
        workspace.trim();
        const double start = thread_cpu_us();
        const evm::Status status = run();
        times.push_back(thread_cpu_us() - start);
        total += times.back();
        const evm::Status wanted = c.ends ? evm::Status::success : evm::Status::out_of_gas;
        if (status != wanted) {
            return fail(ErrorCode::internal, c.name + ": ended with '" +
                                                 std::string(evm::to_string(status)) + "', not '" +
                                                 std::string(evm::to_string(wanted)) + "'");
        }
    }
    std::ranges::sort(times);
    EvmWorstCaseTiming t;
    t.name = c.name;
    t.gas_used = static_cast<uint64_t>(c.gas_limit - gas_left);
    t.median_us = times[times.size() / 2];
    t.mgas_per_s = static_cast<double>(t.gas_used) / t.median_us;
    t.runs = times.size();
    return t;
}

}  // namespace

Result<std::vector<EvmWorstCaseTiming>> run_evm_worst_cases(const EvmWorstCaseOptions& options) {
    evm::Workspace workspace;
    std::vector<EvmWorstCaseTiming> out;
    for (const EvmWorstCase& c : evm_worst_cases()) {
        if (c.name.find(options.filter) == std::string::npos) { continue; }
        MILLRACE_TRY(EvmWorstCaseTiming t, run_case(c, options, workspace));
        out.push_back(std::move(t));
    }
    std::ranges::sort(out, {}, &EvmWorstCaseTiming::mgas_per_s);
    return out;
}

double median_mgas_per_s(const std::vector<EvmWorstCaseTiming>& timings) {
    std::vector<double> speeds;
    for (const EvmWorstCaseTiming& t : timings) { speeds.push_back(t.mgas_per_s); }
    if (speeds.empty()) { return 0; }
    std::ranges::nth_element(speeds, speeds.begin() + static_cast<ptrdiff_t>(speeds.size() / 2));
    return speeds[speeds.size() / 2];
}

}  // namespace millrace::node
