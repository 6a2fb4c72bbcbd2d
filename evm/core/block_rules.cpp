// SPDX-License-Identifier: Apache-2.0
// Owns fee updates between blocks, system calls, withdrawals, rewards and requests.
#include "evm/core/block_rules.hpp"

#include "evm/core/detail/dao_accounts.hpp"
#include "host/base/hex.hpp"

namespace millrace::evm {
namespace {

constexpr uint64_t blob_gas_per_blob = 1u << 17;
constexpr uint64_t blob_base_cost = 1u << 13;  // EIP-7918
constexpr int64_t system_call_gas = 30'000'000;

constexpr Address filled_address(std::initializer_list<uint8_t> b) {
    Address a;
    std::copy(b.begin(), b.end(), a.bytes.begin());
    return a;
}
constexpr Address system_address =
    filled_address({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe});
constexpr Address beacon_roots_address =
    filled_address({0x00, 0x0f, 0x3d, 0xf6, 0xd7, 0x32, 0x80, 0x7e, 0xf1, 0x31,
                    0x9f, 0xb7, 0xb8, 0xbb, 0x85, 0x22, 0xd0, 0xbe, 0xac, 0x02});
constexpr Address history_address =
    filled_address({0x00, 0x00, 0xf9, 0x08, 0x27, 0xf1, 0xc5, 0x3a, 0x10, 0xcb,
                    0x7a, 0x02, 0x33, 0x5b, 0x17, 0x53, 0x20, 0x00, 0x29, 0x35});
constexpr std::string_view beacon_roots_code_hash =
    "0xf57acd40259872606d76197ef052f3d35588dadf919ee1f0e3cb9b62d3f4b02c";
constexpr std::string_view history_code_hash =
    "0x6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d";
constexpr Address withdrawal_requests_address =
    filled_address({0x00, 0x00, 0x09, 0x61, 0xef, 0x48, 0x0e, 0xb5, 0x5e, 0x80,
                    0xd1, 0x9a, 0xd8, 0x35, 0x79, 0xa6, 0x4c, 0x00, 0x70, 0x02});
constexpr Address consolidation_requests_address =
    filled_address({0x00, 0x00, 0xbb, 0xdd, 0xc7, 0xce, 0x48, 0x86, 0x42, 0xfb,
                    0x57, 0x9f, 0x8b, 0x00, 0xf3, 0xa5, 0x90, 0x00, 0x72, 0x51});
constexpr Address deposit_contract_address =
    filled_address({0x00, 0x00, 0x00, 0x00, 0x21, 0x9a, 0xb5, 0x40, 0x35, 0x6c,
                    0xbb, 0x83, 0x9c, 0xbe, 0x05, 0x30, 0x3d, 0x77, 0x05, 0xfa});

/// EIP-4844's integer approximation of factor * e ** (numerator / denominator). Saturates.
U256 fake_exponential(uint64_t factor, uint64_t numerator, uint64_t denominator) noexcept {
    U256 output;
    U256 accumulator = U256{factor} * U256{denominator};
    for (uint64_t i = 1; !accumulator.is_zero(); ++i) {
        bool carry = false;
        output = add_overflow(output, accumulator, carry);
        U256 high;
        const U256 product = mul_full(accumulator, U256{numerator}, high);
        if (carry || !high.is_zero()) { return U256::max(); }
        accumulator = product / (U256{denominator} * U256{i});
    }
    return output / U256{denominator};
}

/// EIP-6110: the fields of a DepositEvent have fixed offsets and lengths; anything else makes the
/// block invalid. Gives the 192-byte request.
std::optional<Bytes> parse_deposit(ByteView data) {
    if (data.size() != 576) { return std::nullopt; }
    auto word_is = [&](size_t at, uint64_t v) { return load_be(data.data() + at) == U256{v}; };
    const bool layout = word_is(0, 160) && word_is(32, 256) && word_is(64, 320) &&
                        word_is(96, 384) && word_is(128, 512) && word_is(160, 48) &&
                        word_is(256, 32) && word_is(320, 8) && word_is(384, 96) && word_is(512, 8);
    if (!layout) { return std::nullopt; }
    Bytes out;
    auto take = [&](size_t at, size_t n) {
        out.insert(out.end(), data.begin() + static_cast<ptrdiff_t>(at),
                   data.begin() + static_cast<ptrdiff_t>(at + n));
    };
    take(192, 48);
    take(288, 32);
    take(352, 8);
    take(416, 96);
    take(544, 8);
    return out;
}

}  // namespace

U256 next_base_fee(const BaseFeeParameters& p, const U256& parent_base_fee,
                   uint64_t parent_gas_used, uint64_t parent_gas_limit) noexcept {
    const uint64_t target = std::max<uint64_t>(parent_gas_limit / p.elasticity_multiplier, 1);
    U256 fee = parent_base_fee;
    if (parent_gas_used > target) {
        const U256 delta = parent_base_fee * U256{parent_gas_used - target} / U256{target} /
                           U256{p.change_denominator};
        fee += std::max(delta, U256{1});
    } else if (parent_gas_used < target) {
        fee -= parent_base_fee * U256{target - parent_gas_used} / U256{target} /
               U256{p.change_denominator};
    }
    return std::max(fee, p.floor);
}

U256 blob_base_fee(const BlobSchedule& schedule, uint64_t excess_blob_gas) noexcept {
    return fake_exponential(1, excess_blob_gas, schedule.base_fee_update_fraction);
}

uint64_t next_excess_blob_gas(const Rules& rules, const BlockHeader& parent) noexcept {
    const uint64_t excess = parent.excess_blob_gas.value_or(0);
    const uint64_t used = parent.blob_gas_used.value_or(0);
    const uint64_t target = rules.blob.target * blob_gas_per_blob;
    if (excess + used < target) { return 0; }
    if (rules.at_least(Revision::osaka) && parent.base_fee_per_gas) {
        const U256 reserve = U256{blob_base_cost} * *parent.base_fee_per_gas;
        if (reserve > U256{blob_gas_per_blob} * blob_base_fee(rules.blob, excess)) {
            return excess + used * (rules.blob.max - rules.blob.target) / rules.blob.max;
        }
    }
    return excess + used - target;
}

BlockEnvironment environment_of(const BlockHeader& header, const Rules& rules) noexcept {
    BlockEnvironment e;
    e.number = header.number;
    e.timestamp = header.timestamp;
    e.gas_limit = header.gas_limit;
    e.coinbase = header.coinbase;
    e.difficulty = header.difficulty;
    e.prev_randao = header.prev_randao;
    e.base_fee_per_gas = header.base_fee_per_gas.value_or(U256{});
    e.blob_base_fee = rules.at_least(Revision::cancun)
                          ? blob_base_fee(rules.blob, header.excess_blob_gas.value_or(0))
                          : U256{};
    return e;
}

SystemCallResult system_call(const Address& target, ByteView input, StateView& view,
                             Workspace& workspace, const Rules& rules,
                             const PrecompileSet& precompiles, const BlockEnvironment& block) {
    workspace.state.begin(view, rules, workspace.codes, precompiles);
    TxState& state = workspace.state;
    SystemCallResult result;
    result.had_code = state.code(state.account(target)).size() != 0;
    if (!result.had_code) { return result; }
    const TransactionEnvironment environment{system_address, U256{}, {}};
    Evm evm{workspace, rules, precompiles, block, environment};
    Message m;
    m.gas = system_call_gas;
    m.sender = system_address;
    m.recipient = target;
    m.code_address = target;
    m.input = input;
    m.transfers_value = false;
    const CallOutcome r = evm.run(m);
    result.status = r.status;
    result.output.assign(r.output.begin(), r.output.end());
    result.changes = state.changes();
    return result;
}

std::vector<OpeningCall> opening_calls(const Rules& rules, const Hash256& parent_hash,
                                       const Hash256& parent_beacon_root) {
    std::vector<OpeningCall> calls;
    if (rules.at_least(Revision::cancun)) {
        calls.push_back({beacon_roots_address, parent_beacon_root,
                         hash_literal(beacon_roots_code_hash), false});
    }
    if (rules.at_least(Revision::prague)) {
        calls.push_back({history_address, parent_hash, hash_literal(history_code_hash), true});
    }
    return calls;
}

void begin_block(StateOverlay& state, Workspace& workspace, const Rules& rules,
                 const PrecompileSet& precompiles, const BlockEnvironment& block,
                 const Hash256& parent_hash, const Hash256& parent_beacon_root) {
    for (const OpeningCall& c : opening_calls(rules, parent_hash, parent_beacon_root)) {
        state.apply(
            system_call(c.target, c.input.view(), state, workspace, rules, precompiles, block)
                .changes,
            true);
    }
}

void move_dao_balances(StateOverlay& state) {
    StateChanges changes;
    AccountChange refund;
    refund.address = address_literal(dao_refund_contract);
    refund.touched = true;
    for (const std::string_view text : dao_accounts) {
        const Address address = address_literal(text);
        AccountChange& c = changes.accounts.emplace_back();
        c.address = address;
        c.touched = true;
        c.debit = state.balance(address);
        refund.credit += c.debit;
    }
    changes.accounts.push_back(std::move(refund));
    state.apply(changes, false);
}

void apply_withdrawals(StateOverlay& state, std::span<const Withdrawal> withdrawals,
                       const Rules& rules) {
    if (!rules.at_least(Revision::shanghai)) { return; }
    StateChanges changes;
    for (const Withdrawal& w : withdrawals) {
        AccountChange& c = changes.accounts.emplace_back();
        c.address = w.address;
        c.touched = true;
        c.credit = U256{w.amount_gwei} * U256{1'000'000'000};
    }
    state.apply(changes, true);
}

U256 block_reward(Revision revision) noexcept {
    if (revision >= Revision::paris) { return {}; }
    const uint64_t ether = revision >= Revision::constantinople ? 2
                           : revision >= Revision::byzantium    ? 3
                                                                : 5;
    return U256{ether} * U256{1'000'000'000'000'000'000};
}

void apply_rewards(StateOverlay& state, const BlockHeader& header,
                   std::span<const BlockHeader> ommers, const Rules& rules) {
    const U256 reward = block_reward(rules.revision);
    if (reward.is_zero()) { return; }
    StateChanges changes;
    auto credit = [&](const Address& to, const U256& amount) {
        AccountChange& c = changes.accounts.emplace_back();
        c.address = to;
        c.touched = true;
        c.credit = amount;
    };
    for (const BlockHeader& o : ommers) {
        credit(o.coinbase, reward * U256{8 - (header.number - o.number)} / U256{8});
    }
    credit(header.coinbase, reward + reward * U256{ommers.size()} / U256{32});
    state.apply(changes, rules.at_least(Revision::spurious_dragon));
}

std::expected<std::vector<Bytes>, RequestsError>
collect_requests(StateOverlay& state, Workspace& workspace, const Rules& rules,
                 const PrecompileSet& precompiles, const BlockEnvironment& block,
                 std::span<const Log> logs) {
    static const Hash256 deposit_topic =
        hash_literal("0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
    std::vector<Bytes> requests;
    if (!rules.at_least(Revision::prague) || !rules.l1_requests) { return requests; }
    Bytes deposits{0x00};
    for (const Log& log : logs) {
        if (log.address != deposit_contract_address || log.topics.empty() ||
            log.topics[0] != deposit_topic) {
            continue;
        }
        const auto request = parse_deposit(log.data);
        if (!request) { return std::unexpected(RequestsError::deposit_layout); }
        deposits.insert(deposits.end(), request->begin(), request->end());
    }
    if (deposits.size() > 1) { requests.push_back(std::move(deposits)); }
    const std::pair<uint8_t, Address> contracts[] = {{0x01, withdrawal_requests_address},
                                                     {0x02, consolidation_requests_address}};
    for (const auto& [type, address] : contracts) {
        SystemCallResult r = system_call(address, {}, state, workspace, rules, precompiles, block);
        if (!r.had_code) { return std::unexpected(RequestsError::contract_missing); }
        if (r.status != Status::success) { return std::unexpected(RequestsError::call_failed); }
        state.apply(r.changes, true);
        if (!r.output.empty()) {
            Bytes request{type};
            request.insert(request.end(), r.output.begin(), r.output.end());
            requests.push_back(std::move(request));
        }
    }
    return requests;
}

}  // namespace millrace::evm
