// SPDX-License-Identifier: Apache-2.0
// Owns the rules by which a transaction is accepted, paid for, run and settled.
#include "evm/core/transition.hpp"

#include <limits>

#include "evm/core/gas.hpp"
#include "evm/tx/block.hpp"

namespace millrace::evm {
namespace {

constexpr uint64_t blob_gas = 1u << 17;

/// EIP-7702: processes one authorization whose signer is known.
void apply_authorization(const Authorization& a, const Address& authority, TxState& state) {
    const U256 chain_id{state.rules().chain_id};
    if (!a.chain_id.is_zero() && a.chain_id != chain_id) { return; }
    if (a.nonce == std::numeric_limits<uint64_t>::max()) { return; }
    TxAccount& account = state.account(authority);
    state.warm_account(account);
    const AnalyzedCode& code = state.code(account);
    if (code.size() != 0 && !code.delegation()) { return; }
    if (state.nonce(account) != a.nonce) { return; }
    if (!state.is_empty(account)) { state.add_refund(25000 - 12500); }
    if (a.address.is_zero()) {
        if (code.size() != 0) { state.set_code(account, {}); }
    } else {
        state.set_code(account, delegation_designator(a.address));
    }
    state.set_nonce(account, a.nonce + 1);
}

struct Cost {
    U256 required;  ///< what the sender must have
    U256 upfront;   ///< what is taken before execution, without the value
};

/// Nothing when the sum exceeds 256 bits, which no account can hold.
std::optional<Cost> cost_of(const Transaction& tx, const U256& gas_price,
                            const U256& blob_base_fee) noexcept {
    bool overflow = false;
    bool carry = false;
    const uint64_t blob_gas_used = tx.blob_versioned_hashes.size() * blob_gas;
    Cost c;
    c.required = mul_small(tx.max_fee_per_gas, tx.gas_limit, overflow);
    c.required =
        add_overflow(c.required, mul_small(tx.max_fee_per_blob_gas, blob_gas_used, overflow), carry);
    overflow = overflow || carry;
    c.required = add_overflow(c.required, tx.value, carry);
    overflow = overflow || carry;
    if (overflow) { return std::nullopt; }
    c.upfront =
        mul_small(gas_price, tx.gas_limit, overflow) +
        mul_small(blob_base_fee, blob_gas_used, overflow);
    return c;
}

bool type_supported(TxType type, const Rules& r) noexcept {
    switch (type) {
        case TxType::legacy: return true;
        case TxType::access_list: return r.at_least(Revision::berlin);
        case TxType::dynamic_fee: return r.at_least(Revision::london);
        case TxType::blob: return r.blob_transactions;
        case TxType::set_code: return r.at_least(Revision::prague);
        case TxType::deposit: return r.deposit_transactions;
    }
    return false;
}

std::optional<TxError> validate_blobs(const Transaction& tx, const Rules& rules) noexcept {
    if (tx.is_creation()) { return TxError::creation_not_allowed; }
    if (tx.blob_versioned_hashes.empty()) { return TxError::blob_count_zero; }
    if (tx.blob_versioned_hashes.size() >
        std::min(rules.blob.max, rules.blobs_per_transaction_max)) {
        return TxError::blob_count_exceeded;
    }
    for (const Hash256& h : tx.blob_versioned_hashes) {
        if (h[0] != 0x01) { return TxError::blob_version_invalid; }
    }
    return std::nullopt;
}

}  // namespace

std::string_view to_string(TxError error) noexcept {
    switch (error) {
        case TxError::type_not_supported: return "transaction type not supported";
        case TxError::chain_id_mismatch: return "invalid chain id for signer";
        case TxError::signature_invalid: return "invalid transaction v, r, s values";
        case TxError::nonce_too_low: return "nonce too low";
        case TxError::nonce_too_high: return "nonce too high";
        case TxError::nonce_max: return "nonce has max value";
        case TxError::sender_has_code: return "sender not an eoa";
        case TxError::insufficient_funds: return "insufficient funds for gas * price + value";
        case TxError::intrinsic_gas_too_low: return "intrinsic gas too low";
        case TxError::gas_below_floor: return "insufficient gas for floor data gas cost";
        case TxError::gas_limit_exceeds_block: return "gas limit reached";
        case TxError::gas_limit_exceeds_cap: return "transaction gas limit too high";
        case TxError::fee_cap_below_base_fee: return "max fee per gas less than block base fee";
        case TxError::tip_above_fee_cap:
            return "max priority fee per gas higher than max fee per gas";
        case TxError::fee_overflow: return "fee times gas limit exceeds 256 bits";
        case TxError::initcode_too_large: return "max initcode size exceeded";
        case TxError::blob_count_zero: return "blob transaction missing blob hashes";
        case TxError::blob_count_exceeded: return "blob transaction has too many blobs";
        case TxError::blob_version_invalid: return "blob transaction has invalid hash version";
        case TxError::blob_fee_cap_too_low:
            return "max fee per blob gas less than block blob gas fee";
        case TxError::creation_not_allowed:
            return "transaction of this type cannot create a contract";
        case TxError::authorization_list_empty: return "EIP-7702 transaction with empty auth list";
    }
    return "invalid transaction";
}

IntrinsicGas intrinsic_gas(const Transaction& tx, const Rules& rules) noexcept {
    const auto zeros =
        static_cast<uint64_t>(std::count(tx.data.begin(), tx.data.end(), uint8_t{0}));
    const uint64_t non_zeros = tx.data.size() - zeros;
    IntrinsicGas g{21000, 0};
    g.base += 4 * zeros + (rules.at_least(Revision::istanbul) ? 16 : 68) * non_zeros;
    if (tx.is_creation() && rules.at_least(Revision::homestead)) {
        g.base += 32000;
        if (rules.at_least(Revision::shanghai)) {
            g.base += static_cast<uint64_t>(gas::initcode_word) * gas::words(tx.data.size());
        }
    }
    for (const AccessListEntry& e : tx.access_list) {
        g.base += 2400 + 1900 * e.storage_keys.size();
    }
    g.base += 25000 * tx.authorization_list.size();
    if (rules.at_least(Revision::prague)) { g.floor = 21000 + 10 * (zeros + 4 * non_zeros); }
    return g;
}

U256 effective_gas_price(const Transaction& tx, const U256& base_fee) noexcept {
    if (tx.type == TxType::deposit) { return {}; }
    if (tx.max_fee_per_gas <= base_fee) { return tx.max_fee_per_gas; }
    const U256 room = tx.max_fee_per_gas - base_fee;
    return base_fee + std::min(room, tx.max_priority_fee_per_gas);
}

std::optional<TxError> validate_stateless(const Transaction& tx, const Rules& rules) noexcept {
    if (!type_supported(tx.type, rules)) { return TxError::type_not_supported; }
    // EIP-155's form of v is an invalid signature before its fork.
    if (tx.type == TxType::legacy && tx.chain_id && !rules.at_least(Revision::spurious_dragon)) {
        return TxError::signature_invalid;
    }
    if (tx.chain_id.has_value() && *tx.chain_id != rules.chain_id) {
        return TxError::chain_id_mismatch;
    }
    if (tx.type == TxType::blob) {
        if (const auto e = validate_blobs(tx, rules)) { return e; }
    }
    if (tx.type == TxType::set_code) {
        if (tx.is_creation()) { return TxError::creation_not_allowed; }
        if (tx.authorization_list.empty()) { return TxError::authorization_list_empty; }
    }
    if (tx.gas_limit > rules.transaction_gas_cap ||
        tx.gas_limit > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return TxError::gas_limit_exceeds_cap;
    }
    if (tx.max_priority_fee_per_gas > tx.max_fee_per_gas) { return TxError::tip_above_fee_cap; }
    if (tx.is_creation() && tx.data.size() > rules.initcode_size_max) {
        return TxError::initcode_too_large;
    }
    if (tx.nonce == std::numeric_limits<uint64_t>::max()) { return TxError::nonce_max; }
    const IntrinsicGas g = intrinsic_gas(tx, rules);
    if (tx.gas_limit < g.base) { return TxError::intrinsic_gas_too_low; }
    if (tx.gas_limit < g.floor) { return TxError::gas_below_floor; }
    return std::nullopt;
}

std::vector<TxError> transaction_faults(const Transaction& tx, const Address& sender,
                                        StateView& view, const Rules& rules,
                                        const BlockEnvironment& block, uint64_t block_gas_left) {
    std::vector<TxError> out;
    auto add = [&](bool wrong, TxError error) {
        if (wrong && std::ranges::find(out, error) == out.end()) { out.push_back(error); }
    };
    const auto stateless = validate_stateless(tx, rules);
    add(stateless.has_value(), stateless.value_or(TxError{}));
    const IntrinsicGas intrinsic = intrinsic_gas(tx, rules);
    add(tx.gas_limit < intrinsic.base, TxError::intrinsic_gas_too_low);
    add(tx.gas_limit < intrinsic.floor, TxError::gas_below_floor);
    add(tx.gas_limit > block_gas_left, TxError::gas_limit_exceeds_block);
    if (tx.type == TxType::deposit) {
        add(view.nonce(sender) == std::numeric_limits<uint64_t>::max(), TxError::nonce_max);
        return out;
    }
    add(tx.max_priority_fee_per_gas > tx.max_fee_per_gas, TxError::tip_above_fee_cap);
    add(tx.max_fee_per_gas < block.base_fee_per_gas, TxError::fee_cap_below_base_fee);
    add(tx.type == TxType::blob && tx.max_fee_per_blob_gas < block.blob_base_fee,
        TxError::blob_fee_cap_too_low);
    const uint64_t nonce = view.nonce(sender);
    add(tx.nonce < nonce, TxError::nonce_too_low);
    add(tx.nonce > nonce, TxError::nonce_too_high);
    add(nonce == std::numeric_limits<uint64_t>::max(), TxError::nonce_max);
    const Hash256 code_hash = view.code_hash(sender);
    if (code_hash != empty_code_hash) {
        const CodePtr code = view.code(code_hash);
        add(!rules.at_least(Revision::prague) || !parse_delegation(*code),
            TxError::sender_has_code);
    }
    const auto cost =
        cost_of(tx, effective_gas_price(tx, block.base_fee_per_gas), block.blob_base_fee);
    add(!cost, TxError::fee_overflow);
    add(!cost || !view.balance_at_least(sender, cost->required), TxError::insufficient_funds);
    return out;
}

std::expected<TransactionResult, TxError>
execute_transaction(const TransactionContext& context, StateView& view, Workspace& workspace,
                    const Rules& rules, const PrecompileSet& precompiles,
                    const BlockEnvironment& block, uint64_t block_gas_left,
                    const ExecutionOptions& options) {
    const Transaction& tx = context.tx;
    const bool deposit = tx.type == TxType::deposit;
    if (const auto e = validate_stateless(tx, rules)) {
        const bool waived =
            (*e == TxError::gas_limit_exceeds_cap || *e == TxError::tip_above_fee_cap) &&
            !options.check_fees;
        if (!waived) { return std::unexpected(*e); }
    }
    // Checked again by itself, because a waived error above hides it.
    const IntrinsicGas intrinsic = intrinsic_gas(tx, rules);
    if (tx.gas_limit < intrinsic.base) { return std::unexpected(TxError::intrinsic_gas_too_low); }
    if (tx.gas_limit < intrinsic.floor) { return std::unexpected(TxError::gas_below_floor); }
    if (tx.gas_limit > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return std::unexpected(TxError::gas_limit_exceeds_cap);
    }
    if (tx.gas_limit > block_gas_left) { return std::unexpected(TxError::gas_limit_exceeds_block); }
    if (options.check_fees && !deposit) {
        if (tx.max_fee_per_gas < block.base_fee_per_gas) {
            return std::unexpected(TxError::fee_cap_below_base_fee);
        }
        if (tx.type == TxType::blob && tx.max_fee_per_blob_gas < block.blob_base_fee) {
            return std::unexpected(TxError::blob_fee_cap_too_low);
        }
    }

    const U256 gas_price = effective_gas_price(tx, block.base_fee_per_gas);
    TransactionEnvironment environment{context.sender, gas_price, tx.blob_versioned_hashes};
    workspace.state.begin(view, rules, workspace.codes, precompiles);
    TxState& state = workspace.state;
    Evm evm{workspace, rules, precompiles, block, environment};
    evm.set_tracer(options.tracer);

    TxAccount& sender = state.account(context.sender);
    const uint64_t nonce = state.nonce(sender);
    if (options.check_nonce && !deposit) {
        if (tx.nonce < nonce) { return std::unexpected(TxError::nonce_too_low); }
        if (tx.nonce > nonce) { return std::unexpected(TxError::nonce_too_high); }
    }
    if (nonce == std::numeric_limits<uint64_t>::max()) {
        return std::unexpected(TxError::nonce_max);
    }
    if (options.check_sender_code && !deposit) {
        const AnalyzedCode& code = state.code(sender);
        if (code.size() != 0 && !(rules.at_least(Revision::prague) && code.delegation())) {
            return std::unexpected(TxError::sender_has_code);
        }
    }

    const bool pays = options.charge_fees && !deposit;
    const auto cost = cost_of(tx, gas_price, block.blob_base_fee);
    if (pays) {
        if (!cost || !state.balance_at_least(sender, cost->required)) {
            return std::unexpected(TxError::insufficient_funds);
        }
        state.debit(sender, cost->upfront);
    }
    if (deposit) { state.credit(sender, tx.mint); }
    state.set_nonce(sender, nonce + 1);

    // --- EIP-2929, 2930, 3651: what starts out warm ---
    if (rules.at_least(Revision::berlin)) {
        state.warm_account(sender);
        if (tx.to) { state.warm_account(state.account(*tx.to)); }
        if (rules.at_least(Revision::shanghai)) {
            state.warm_account(state.account(block.coinbase));
        }
        for (const AccessListEntry& e : tx.access_list) {
            TxAccount& a = state.account(e.address);
            state.warm_account(a);
            for (const Hash256& key : e.storage_keys) {
                state.warm_slot(state.slot(a, to_u256(key)));
            }
        }
    }
    for (size_t i = 0; i < tx.authorization_list.size() && i < context.authorities.size(); ++i) {
        if (context.authorities[i]) {
            apply_authorization(tx.authorization_list[i], *context.authorities[i], state);
        }
    }

    Message m;
    m.sender = context.sender;
    m.value = tx.value;
    m.gas = static_cast<int64_t>(tx.gas_limit - intrinsic.base);
    m.input = tx.data;
    TransactionResult result;
    CallOutcome outcome;
    if (!state.balance_at_least(sender, tx.value)) {
        // Only possible for deposits and simulations, whose balance was not checked above.
        outcome = {Status::insufficient_balance, deposit ? 0 : m.gas, {}};
    } else if (tx.is_creation()) {
        m.kind = CallKind::create;
        m.recipient =
            create_address(context.sender, deposit || !options.check_nonce ? nonce : tx.nonce);
        result.created = m.recipient;
        outcome = evm.run(m);
    } else {
        m.recipient = *tx.to;
        m.code_address = *tx.to;
        if (rules.at_least(Revision::prague)) {
            if (const auto& delegate = state.code(state.account(*tx.to)).delegation()) {
                m.code_address = *delegate;
                m.delegated = true;
                state.warm_account(state.account(*delegate));
            }
        }
        outcome = evm.run(m);
    }

    // --- Settlement ---
    result.status = outcome.status;
    if (options.keep_output) {
        result.output.assign(outcome.output.begin(), outcome.output.end());
    }
    if (!result.success()) { result.created.reset(); }
    uint64_t gas_used = tx.gas_limit - static_cast<uint64_t>(outcome.gas_left);
    if (state.refund() > 0) {
        const uint64_t quotient = rules.at_least(Revision::london) ? 5 : 2;
        result.gas_refunded = std::min(static_cast<uint64_t>(state.refund()), gas_used / quotient);
        gas_used -= result.gas_refunded;
    }
    gas_used = std::max(gas_used, intrinsic.floor);
    result.gas_used = gas_used;
    result.blob_gas_used = tx.blob_versioned_hashes.size() * blob_gas;
    result.effective_gas_price = gas_price;
    if (pays) {
        state.credit(sender, gas_price * U256{tx.gas_limit - gas_used});
        const U256 tip_per_gas =
            gas_price > block.base_fee_per_gas ? gas_price - block.base_fee_per_gas : U256{};
        result.tip = tip_per_gas * U256{gas_used};
        result.base_fee = block.base_fee_per_gas * U256{gas_used};
        if (rules.fee_policy == FeePolicy::per_transaction) {
            state.credit(state.account(block.coinbase), result.tip);
        }
    }
    result.logs = std::move(state.logs());
    result.changes = state.changes();
    workspace.trim();
    return result;
}

}  // namespace millrace::evm
