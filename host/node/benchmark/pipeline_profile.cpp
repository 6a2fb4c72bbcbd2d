// SPDX-License-Identifier: Apache-2.0
// Owns the making of accounts, contracts and signed transactions for the pipeline's measurement.
#include "host/node/benchmark/pipeline_profile.hpp"

#include <algorithm>
#include <map>
#include <random>

#include "host/node/benchmark/pipeline_contracts.hpp"
#include "host/node/genesis.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::node {
namespace {

using sequencer::AdmittedPtr;
using sequencer::AdmittedTransaction;

constexpr size_t accounts_max = 2000;
constexpr size_t pair_count = 64;
constexpr uint64_t gwei = 1'000'000'000;
/// More than all transactions of a run use; the limit of a block is no part of what is measured.
constexpr uint64_t block_gas_limit = uint64_t{1} << 50;

Address contract(uint64_t number) {
    return Address::from(kernels::keccak256(as_bytes("pipeline contract " + std::to_string(number)))
                             .view()
                             .first(20));
}
const Address token_address = contract(0);
const Address router_address = contract(1);
/// Ascending, as the tokens of a pair are.
const Address swap_token[2] = {std::min(contract(2), contract(3)),
                               std::max(contract(2), contract(3))};
Address pair_address(uint64_t pair) { return contract(100 + pair); }

struct Account {
    Hash256 secret_key;
    Address address;
    uint64_t nonce = 0;
};

enum class Action : uint8_t { transfer, token_transfer, token_to_one, swap, swap_one_pair };

/// The one that a node has by default.
constexpr sequencer::CommitmentKind pipeline_commitment{};

/// Fills one profile.
class Maker {
public:
    Maker(PipelineProfile& profile, size_t accounts) : profile_(profile) {
        for (size_t i = 0; i < accounts; ++i) {
            const Hash256 key =
                kernels::keccak256(as_bytes("pipeline account " + std::to_string(i)));
            accounts_.push_back({key, *kernels::address_of_secret_key(key)});
        }
        profile_.sender_count = accounts;
    }

    Result<void> make_state(const Bytes& pair_code) {
        sequencer::Genesis& g = profile_.genesis;
        MILLRACE_TRY(g, dev_genesis(pipeline_commitment));
        g.block_gas_limit = g.header.gas_limit = block_gas_limit;
        for (const Account& a : accounts_) { add(a.address, 0, ether_each(), {}); }
        const Bytes token = pipeline_token_code();
        add(token_address, 1, {}, token);
        for (const Account& a : accounts_) {
            set_slot(token_address, token_balance_slot(a.address), tokens_each);
            token_balances_[a.address] = tokens_each;
        }
        if (!pair_code.empty()) { make_pairs(token, pair_code); }
        g.state.sort();
        MILLRACE_TRY(g.header.state_root,
                     sequencer::genesis_state_root(pipeline_commitment, g.state));
        g.hash = evm::header_hash(g.header);
        return {};
    }

    void add_transaction(Action action) {
        const size_t from = next_++ % accounts_.size();
        Account& sender = accounts_[from];
        evm::Transaction tx;
        tx.type = evm::TxType::dynamic_fee;
        tx.chain_id = profile_.genesis.spec.rules.chain_id;
        tx.nonce = sender.nonce++;
        tx.max_priority_fee_per_gas = U256{gwei};
        tx.max_fee_per_gas = U256{100 * gwei};
        switch (action) {
            case Action::transfer:
                tx.to = other_than(from).address;
                tx.value = U256{1 + random_() % 1000};
                tx.gas_limit = 21'000;
                break;
            case Action::token_transfer: token_transfer(tx, from, other_than(from).address); break;
            case Action::token_to_one: token_transfer(tx, from, accounts_[0].address); break;
            case Action::swap: swap(tx, random_() % pair_count); break;
            case Action::swap_one_pair: swap(tx, 0); break;
        }
        const auto signature = *kernels::sign(evm::signing_hash(tx), sender.secret_key);
        tx.r = signature.r;
        tx.s = signature.s;
        tx.y_parity = signature.y_parity;
        auto admitted = std::make_shared<AdmittedTransaction>();
        admitted->raw = evm::encode_transaction(tx);
        admitted->hash = kernels::keccak256(admitted->raw);
        admitted->transaction = std::move(tx);
        admitted->sender = sender.address;
        profile_.transactions.push_back(std::move(admitted));
    }

    void finish() {
        for (const auto& [holder, balance] : token_balances_) {
            profile_.expected_slots.push_back({token_address, token_balance_slot(holder), balance});
        }
    }

private:
    static U256 ether_each() { return U256{1'000'000} * U256{gwei} * U256{gwei}; }
    static constexpr U256 tokens_each{1'000'000'000'000'000};
    static constexpr U256 reserve_each{1'000'000'000'000'000'000};

    void add(const Address& address, uint64_t nonce, const U256& balance, const Bytes& code) {
        storage::StateDelta& state = profile_.genesis.state;
        storage::AccountDelta& a = state.accounts.emplace_back();
        a.address = address;
        a.nonce = nonce;
        a.balance = balance;
        a.code_hash = kernels::keccak256(code);
        // Accounts may have the same code, which is named once.
        if (!code.empty() && std::ranges::find(state.codes, a.code_hash,
                                               &storage::CodeDelta::hash) == state.codes.end()) {
            state.codes.push_back({a.code_hash, std::make_shared<const Bytes>(code)});
        }
    }
    void set_slot(const Address& address, const U256& key, const U256& value) {
        profile_.genesis.state.slots.push_back({address, key, value});
    }

    void make_pairs(const Bytes& token, const Bytes& pair_code) {
        add(router_address, 1, {}, pipeline_router_code());
        for (const Address& t : swap_token) {
            add(t, 1, {}, token);
            for (const Account& a : accounts_) {
                set_slot(t, token_balance_slot(a.address), tokens_each);
                set_slot(t, token_allowance_slot(a.address, router_address), ~U256{});
            }
        }
        for (size_t p = 0; p < pair_count; ++p) {
            const Address pair = pair_address(p);
            add(pair, 1, {}, pair_code);
            for (const auto& [slot, value] :
                 pair_storage(swap_token[0], swap_token[1], reserve_each, reserve_each)) {
                set_slot(pair, slot, value);
            }
            for (const Address& t : swap_token) {
                set_slot(t, token_balance_slot(pair), reserve_each);
            }
        }
    }

    const Account& other_than(size_t from) {
        size_t to = random_() % accounts_.size();
        if (to == from) { to = (to + 1) % accounts_.size(); }
        return accounts_[to];
    }

    void token_transfer(evm::Transaction& tx, size_t from, const Address& to) {
        const U256 amount{1 + random_() % 1000};
        tx.to = token_address;
        tx.data = transfer_calldata(to, amount);
        tx.gas_limit = 100'000;
        token_balances_[accounts_[from].address] -= amount;
        token_balances_[to] += amount;
    }

    void swap(evm::Transaction& tx, uint64_t pair) {
        const bool first = (random_() & 1) != 0;
        tx.to = router_address;
        tx.data = sell_calldata(pair_address(pair), swap_token[first ? 0 : 1], first,
                                U256{100'000 + random_() % 100'000});
        tx.gas_limit = 300'000;
    }

    PipelineProfile& profile_;
    std::vector<Account> accounts_;
    std::map<Address, U256> token_balances_;
    size_t next_ = 0;
    std::mt19937_64 random_{1};
};

Action action_of(std::string_view name, size_t number) {
    if (name == "transfer") { return Action::transfer; }
    if (name == "erc20") { return Action::token_transfer; }
    if (name == "hotspot") { return Action::token_to_one; }
    if (name == "swap") { return Action::swap; }
    if (name == "swap_one_pair") { return Action::swap_one_pair; }
    constexpr Action mixed[10] = {Action::transfer,       Action::token_transfer,
                                  Action::transfer,       Action::swap,
                                  Action::token_transfer, Action::transfer,
                                  Action::token_to_one,   Action::transfer,
                                  Action::token_transfer, Action::swap};
    return mixed[number % 10];
}

}  // namespace

const std::vector<PipelineProfileKind>& pipeline_profile_kinds() {
    static const std::vector<PipelineProfileKind> kinds = {
        {"transfer", "ether from account to account"},
        {"erc20", "one token's transfers from account to account"},
        {"swap", "Uniswap V2 swaps through a router, over 64 pairs of the same two tokens", true},
        {"hotspot", "one token's transfers to one account: each conflicts with each"},
        {"swap_one_pair", "Uniswap V2 swaps on one pair: each conflicts with each", true},
        {"mixed", "of ten: 4 transfers, 3 token transfers, 1 to the hot account, 2 swaps", true},
    };
    return kinds;
}

Result<PipelineProfile> make_pipeline_profile(std::string_view name, size_t count,
                                              const std::string& artifacts) {
    const auto& kinds = pipeline_profile_kinds();
    const auto kind = std::ranges::find(kinds, name, &PipelineProfileKind::name);
    if (kind == kinds.end()) {
        return fail(ErrorCode::invalid_input, "unknown profile '" + std::string(name) + "'");
    }
    Bytes pair_code;
    if (kind->needs_artifacts) { MILLRACE_TRY(pair_code, uniswap_pair_code(artifacts)); }
    PipelineProfile profile;
    profile.name = name;
    Maker maker(profile, std::clamp<size_t>(count, 2, accounts_max));
    MILLRACE_CHECK(maker.make_state(pair_code));
    profile.transactions.reserve(count);
    for (size_t i = 0; i < count; ++i) { maker.add_transaction(action_of(name, i)); }
    maker.finish();
    return profile;
}

}  // namespace millrace::node
