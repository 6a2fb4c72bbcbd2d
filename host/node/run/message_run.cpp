// SPDX-License-Identifier: Apache-2.0
// Owns the run of one message over a state, without the rules of transactions.
#include "host/node/run/message_run.hpp"

#include <algorithm>
#include <limits>

#include "evm/precompiles/standard.hpp"
#include "host/base/error.hpp"
#include "host/node/benchmark/cpu_time.hpp"

namespace millrace::node {
namespace {

constexpr size_t runs_min = 10;
constexpr size_t runs_max = 1'000'000;
constexpr int64_t timed_ns = 1'000'000'000;

const evm::StandardPrecompiles& precompiles() {
    static const evm::StandardPrecompiles set;
    return set;
}

}  // namespace

MessageRunner::MessageRunner(const MessageRun& message, evm::StateView& state)
    : message_(message), state_(state), workspace_(std::make_unique<evm::Workspace>()) {}

evm::CallOutcome MessageRunner::execute(evm::Tracer* tracer) {
    const MessageRun& r = message_;
    evm::TxState& s = workspace_->state;
    s.begin(state_, r.rules, workspace_->codes, precompiles());
    const evm::TransactionEnvironment environment{r.sender, r.gas_price, r.blob_hashes};
    evm::Evm evm{*workspace_, r.rules, precompiles(), r.block, environment};
    evm.set_tracer(tracer);
    created_.reset();

    evm::TxAccount& sender = s.account(r.sender);
    if (r.rules.at_least(evm::Revision::berlin)) {
        s.warm_account(sender);
        if (!r.creates) { s.warm_account(s.account(r.receiver)); }
    }
    if (r.rules.at_least(evm::Revision::shanghai)) { s.warm_account(s.account(r.block.coinbase)); }

    if (!s.balance_at_least(sender, r.value)) {
        return {evm::Status::insufficient_balance, r.gas, {}};
    }
    evm::Message m;
    m.gas = r.gas;
    m.sender = r.sender;
    m.value = r.value;
    m.input = r.input;
    if (r.creates) {
        const uint64_t nonce = s.nonce(sender);
        if (nonce == std::numeric_limits<uint64_t>::max()) {
            return {evm::Status::nonce_overflow, r.gas, {}};
        }
        s.set_nonce(sender, nonce + 1);
        m.kind = evm::CallKind::create;
        m.recipient = evm::create_address(r.sender, nonce);
        evm::CallOutcome outcome = evm.run(m);
        if (outcome.status == evm::Status::success) {
            created_ = m.recipient;
            outcome.output = s.code(s.account(m.recipient)).bytes();
        }
        return outcome;
    }
    m.recipient = m.code_address = r.receiver;
    if (r.rules.at_least(evm::Revision::prague)) {
        if (const auto& delegate = s.code(s.account(r.receiver)).delegation()) {
            m.code_address = *delegate;
            m.delegated = true;
            s.warm_account(s.account(*delegate));
        }
    }
    return evm.run(m);
}

MessageOutcome MessageRunner::run(evm::Tracer* tracer) {
    const int64_t start = thread_cpu_ns();
    const evm::CallOutcome r = execute(tracer);
    MessageOutcome out;
    out.cpu_ns = thread_cpu_ns() - start;
    evm::TxState& s = workspace_->state;
    out.status = r.status;
    out.output.assign(r.output.begin(), r.output.end());
    out.gas_used = message_.gas - r.gas_left;
    out.gas_refund = s.refund();
    out.created = created_;
    out.logs = s.logs();
    out.changes = s.changes();
    workspace_->trim();
    return out;
}

MessageTiming MessageRunner::time(size_t runs) {
    std::vector<int64_t> times;
    int64_t total = 0;
    int64_t gas_left = 0;
    auto goes_on = [&] {
        return runs != 0 ? times.size() < runs
                         : times.size() < runs_min || (total < timed_ns && times.size() < runs_max);
    };
    while (goes_on()) {
        const int64_t start = thread_cpu_ns();
        gas_left = execute(nullptr).gas_left;
        times.push_back(thread_cpu_ns() - start);
        total += times.back();
    }
    std::sort(times.begin(), times.end());
    return timing_of(times, message_.gas - gas_left);
}

MessageTiming timing_of(const std::vector<int64_t>& sorted_ns, int64_t gas_used) {
    MILLRACE_ASSERT(!sorted_ns.empty(), "at least one run is timed");
    const size_t n = sorted_ns.size();
    auto us = [&](size_t index) { return static_cast<double>(sorted_ns[index]) / 1e3; };
    MessageTiming t;
    t.runs = n;
    t.median_us = n % 2 == 1 ? us(n / 2) : (us(n / 2 - 1) + us(n / 2)) / 2;
    t.min_us = us(0);
    t.p99_us = us((99 * n + 99) / 100 - 1);
    t.mgas_per_second = t.median_us == 0 ? 0 : static_cast<double>(gas_used) / t.median_us;
    return t;
}

}  // namespace millrace::node
