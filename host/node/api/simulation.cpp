// SPDX-License-Identifier: Apache-2.0
// Owns how requests become transactions that run over a throw-away state.
#include "host/node/api/simulation.hpp"

#include <limits>

#include "evm/core/overlay.hpp"
#include "evm/core/transition.hpp"
#include "host/base/hex.hpp"
#include "host/sequencer/admission.hpp"

namespace millrace::node {
namespace {

using net::ApiErrorKind;

/// One per RPC worker: reserving address space for each call would dominate small calls.
evm::Workspace& workspace() {
    // Callers choose the code they run, so little of it is kept.
    constexpr size_t code_bytes_max = size_t{16} << 20;
    thread_local const auto w = [] {
        auto made = std::make_unique<evm::Workspace>();
        made->codes = evm::CodeCache{code_bytes_max};
        return made;
    }();
    return *w;
}

/// The text of Error(string) and the code of Panic(uint256), as Solidity encodes them.
std::string revert_reason(ByteView output) {
    constexpr uint8_t error_selector[4] = {0x08, 0xc3, 0x79, 0xa0};
    constexpr uint8_t panic_selector[4] = {0x4e, 0x48, 0x7b, 0x71};
    if (output.size() >= 68 && std::equal(error_selector, error_selector + 4, output.begin())) {
        const U256 offset = load_be(output.data() + 4);
        const U256 length = load_be(output.data() + 36);
        if (offset == U256{32} && length.fits_u64() && length.low64() <= output.size() - 68) {
            return {reinterpret_cast<const char*>(output.data() + 68), length.low64()};
        }
    }
    if (output.size() == 36 && std::equal(panic_selector, panic_selector + 4, output.begin())) {
        return "panic code " + to_hex_quantity(load_be(output.data() + 4));
    }
    return {};
}

struct Prepared {
    evm::Transaction tx;
    Address from;
    std::vector<std::optional<Address>> authorities;
    bool pays = false;
};

net::ApiResult<Prepared> prepare(const SimulationContext& c, const net::CallRequest& r) {
    Prepared p;
    p.from = r.from.value_or(Address{});
    evm::Transaction& tx = p.tx;
    if (r.gas_price && (r.max_fee_per_gas || r.max_priority_fee_per_gas)) {
        return net::api_fail(ApiErrorKind::invalid_params,
                             "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified");
    }
    if (r.chain_id && *r.chain_id != c.rules.chain_id) {
        return net::api_fail(ApiErrorKind::invalid_params,
                             "chainId does not match the node's: have " +
                                 std::to_string(*r.chain_id) + ", want " +
                                 std::to_string(c.rules.chain_id));
    }
    tx.type = evm::TxType::dynamic_fee;
    if (r.authorization_list && !r.authorization_list->empty()) {
        tx.type = evm::TxType::set_code;
        tx.authorization_list = *r.authorization_list;
        const sequencer::RecoveryJobs jobs = sequencer::recovery_jobs(tx);
        for (const auto& job : jobs.authority_job) {
            p.authorities.push_back(job ? kernels::recover_address(jobs.jobs[*job]) : std::nullopt);
        }
    }
    tx.chain_id = c.rules.chain_id;
    tx.gas_limit = std::min(r.gas.value_or(c.gas_cap), c.gas_cap);
    tx.to = r.to;
    tx.value = r.value.value_or(U256{});
    tx.data = r.data;
    tx.access_list = r.access_list.value_or(evm::AccessList{});
    tx.max_fee_per_gas = r.gas_price ? *r.gas_price : r.max_fee_per_gas.value_or(U256{});
    tx.max_priority_fee_per_gas =
        r.gas_price ? *r.gas_price : r.max_priority_fee_per_gas.value_or(U256{});
    p.pays = !tx.max_fee_per_gas.is_zero();
    // Without a fee there is nothing to give a share of.
    if (!p.pays) { tx.max_priority_fee_per_gas = {}; }
    return p;
}

void apply_state_overrides(evm::StateOverlay& state, const net::StateOverrides& overrides) {
    for (const net::AccountOverride& o : overrides) {
        if (o.nonce) { state.set_nonce(o.address, *o.nonce); }
        if (o.balance) { state.set_balance(o.address, *o.balance); }
        if (o.code) { state.set_code(o.address, *o.code); }
        if (o.replaces_storage) { state.clear_storage(o.address); }
        for (const auto& [key, value] : o.storage) { state.set_storage(o.address, key, value); }
    }
}

/// Runs once with the gas limit in `p`.
net::ApiResult<evm::TransactionResult> run_once(const SimulationContext& c, const Prepared& p,
                                                const net::StateOverrides& overrides) {
    for (const net::AccountOverride& o : overrides) {
        if (o.move_precompile_to) {
            return net::api_fail(ApiErrorKind::invalid_params,
                                 "movePrecompileToAddress is not supported");
        }
    }
    evm::StateOverlay state{&c.state};
    apply_state_overrides(state, overrides);
    evm::Rules rules = c.rules;
    rules.transaction_gas_cap = std::numeric_limits<uint64_t>::max();
    evm::BlockEnvironment block = c.block;
    if (!p.pays) { block.base_fee_per_gas = {}; }
    evm::ExecutionOptions options;
    options.check_nonce = false;
    options.check_sender_code = false;
    options.check_fees = p.pays;
    options.charge_fees = p.pays;
    workspace().share(c.shared_code);
    auto r = evm::execute_transaction({p.tx, p.from, p.authorities}, state, workspace(), rules,
                                      c.precompiles, block, std::numeric_limits<uint64_t>::max(),
                                      options);
    if (!r) {
        return net::api_fail(ApiErrorKind::execution, std::string(evm::to_string(r.error())));
    }
    return std::move(*r);
}

net::ApiError failure(const evm::TransactionResult& r) {
    net::ApiError e;
    if (r.status == evm::Status::revert) {
        e.kind = ApiErrorKind::reverted;
        const std::string reason = revert_reason(r.output);
        e.message = reason.empty() ? "execution reverted" : "execution reverted: " + reason;
        e.data = r.output;
    } else {
        e.kind = ApiErrorKind::execution;
        e.message = evm::to_string(r.status);
    }
    return e;
}

}  // namespace

void apply_overrides(evm::BlockEnvironment& block, const net::BlockOverrides& o) {
    if (o.number) { block.number = *o.number; }
    if (o.difficulty) { block.difficulty = *o.difficulty; }
    if (o.timestamp) { block.timestamp = *o.timestamp; }
    if (o.gas_limit) { block.gas_limit = *o.gas_limit; }
    if (o.coinbase) { block.coinbase = *o.coinbase; }
    if (o.prev_randao) { block.prev_randao = *o.prev_randao; }
    if (o.base_fee_per_gas) { block.base_fee_per_gas = *o.base_fee_per_gas; }
    if (o.blob_base_fee) { block.blob_base_fee = *o.blob_base_fee; }
}

net::ApiResult<net::CallResult> simulate_call(const SimulationContext& c,
                                              const net::CallRequest& request,
                                              const net::StateOverrides& overrides) {
    auto p = prepare(c, request);
    if (!p) { return std::unexpected(p.error()); }
    auto r = run_once(c, *p, overrides);
    if (!r) { return std::unexpected(r.error()); }
    if (!r->success()) { return std::unexpected(failure(*r)); }
    return net::CallResult{std::move(r->output), r->gas_used};
}

net::ApiResult<uint64_t> estimate_gas(const SimulationContext& c, const net::CallRequest& request,
                                      const net::StateOverrides& overrides) {
    auto p = prepare(c, request);
    if (!p) { return std::unexpected(p.error()); }
    // A limit below the least that any transaction costs is no limit, as with geth.
    constexpr uint64_t transaction_gas_least = 21'000;
    if (request.gas && *request.gas < transaction_gas_least) { p->tx.gas_limit = c.gas_cap; }
    uint64_t high = std::min({p->tx.gas_limit, c.rules.transaction_gas_cap, c.block.gas_limit});
    if (p->pays) {
        evm::StateOverlay state{&c.state};
        apply_state_overrides(state, overrides);
        const U256 balance = state.balance(p->from);
        if (balance < p->tx.value) {
            return net::api_fail(ApiErrorKind::execution, "insufficient funds for transfer");
        }
        const U256 affordable = (balance - p->tx.value) / p->tx.max_fee_per_gas;
        if (affordable < U256{high}) { high = affordable.low64(); }
    }
    auto succeeds = [&](uint64_t gas) -> net::ApiResult<std::optional<evm::TransactionResult>> {
        p->tx.gas_limit = gas;
        auto r = run_once(c, *p, overrides);
        if (r) { return std::optional(std::move(*r)); }
        // Too little to start with is an answer of the search, anything else is the caller's error.
        const std::string& m = r.error().message;
        const bool too_low = m == evm::to_string(evm::TxError::intrinsic_gas_too_low) ||
                             m == evm::to_string(evm::TxError::gas_below_floor);
        if (too_low) { return std::optional<evm::TransactionResult>{}; }
        return std::unexpected(r.error());
    };
    // A plain payment to an account without code costs exactly the base price, when it works at
    // all.
    if (p->tx.to && p->tx.data.empty() && p->tx.access_list.empty() &&
        p->tx.authorization_list.empty() && high >= 21000) {
        auto plain = succeeds(21000);
        if (plain && *plain && (*plain)->success() && (*plain)->gas_used == 21000) {
            return uint64_t{21000};
        }
    }
    auto at_most = succeeds(high);
    if (!at_most) { return std::unexpected(at_most.error()); }
    if (!*at_most || !(*at_most)->success()) {
        if (*at_most && (*at_most)->status == evm::Status::revert) {
            return std::unexpected(failure(**at_most));
        }
        if (!*at_most || (*at_most)->status == evm::Status::out_of_gas) {
            return net::api_fail(ApiErrorKind::execution,
                                 "gas required exceeds allowance (" + std::to_string(high) + ")");
        }
        return std::unexpected(failure(**at_most));
    }
    // Gas used is a lower bound; with refunds given back and the 63/64 rule undone, often enough.
    const uint64_t used = (*at_most)->gas_used + (*at_most)->gas_refunded;
    uint64_t low = (*at_most)->gas_used - 1;
    const uint64_t optimistic = (used + 2300) * 64 / 63;
    if (optimistic < high) {
        auto r = succeeds(optimistic);
        if (!r) { return std::unexpected(r.error()); }
        (*r && (*r)->success() ? high : low) = optimistic;
    }
    while (low + 1 < high) {
        if (static_cast<double>(high - low) / static_cast<double>(high) < 0.015) { break; }
        // The answer lies near the lower end far more often.
        const uint64_t middle = std::min((low + high) / 2, low * 2);
        auto r = succeeds(middle);
        if (!r) { return std::unexpected(r.error()); }
        (*r && (*r)->success() ? high : low) = middle;
    }
    return high;
}

}  // namespace millrace::node
