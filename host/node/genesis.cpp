// SPDX-License-Identifier: Apache-2.0
// Owns parsing and building of genesis blocks.
#include "host/node/genesis.hpp"

#include <algorithm>

#include "host/base/hex.hpp"
#include "host/node/json.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::node {
namespace {

namespace json = boost::json;
using sequencer::Genesis;

// Predeploys of the OP Stack, which explorers and tools know as the vaults of a layer 2.
const Address default_sequencer_vault =
    address_literal("0x4200000000000000000000000000000000000011");
const Address default_base_fee_vault =
    address_literal("0x4200000000000000000000000000000000000019");

std::unexpected<Error> bad(std::string_view origin, const std::string& what) {
    return fail(ErrorCode::config, std::string(origin) + ": " + what);
}

void add_account(storage::StateDelta& state, const Address& address, uint64_t nonce,
                 const U256& balance, Bytes code, std::vector<std::pair<U256, U256>> slots = {}) {
    storage::AccountDelta& a = state.accounts.emplace_back();
    a.address = address;
    a.nonce = nonce;
    a.balance = balance;
    a.code_hash = code.empty() ? evm::empty_code_hash : kernels::keccak256(code);
    if (!code.empty()) {
        const bool known = std::any_of(state.codes.begin(), state.codes.end(),
                                       [&](const auto& c) { return c.hash == a.code_hash; });
        if (!known) {
            state.codes.push_back({a.code_hash, std::make_shared<const Bytes>(std::move(code))});
        }
    }
    for (const auto& [key, value] : slots) {
        if (!value.is_zero()) { state.slots.push_back({address, key, value}); }
    }
}

/// Fills what every genesis header has in common and the hash.
Result<void> finish(Genesis& g, const sequencer::CommitmentKind& commitment) {
    g.state.sort();
    g.header.ommers_hash = evm::empty_ommers_hash;
    g.header.transactions_root = evm::empty_trie_root;
    g.header.receipts_root = evm::empty_trie_root;
    MILLRACE_TRY(g.header.state_root, sequencer::genesis_state_root(commitment, g.state));
    g.header.withdrawals_root = evm::empty_trie_root;
    if (!g.header.base_fee_per_gas) { g.header.base_fee_per_gas = g.spec.rules.base_fee.initial; }
    g.header.blob_gas_used = g.header.blob_gas_used.value_or(0);
    g.header.excess_blob_gas = g.header.excess_blob_gas.value_or(0);
    g.header.parent_beacon_block_root = Hash256{};
    g.header.requests_hash = evm::empty_requests_hash;
    g.hash = evm::header_hash(g.header);
    g.block_gas_limit = g.header.gas_limit;
    return {};
}

Result<void> read_account(const json::value& v, const Address& address,
                          storage::StateDelta& state) {
    uint64_t nonce = 0;
    U256 balance;
    Bytes code;
    std::vector<std::pair<U256, U256>> slots;
    if (!v.is_object()) {
        return fail(ErrorCode::invalid_input, "alloc." + to_hex(address) + ": expected an object");
    }
    for (const auto& [key, value] : v.get_object()) {
        if (key == "balance") {
            MILLRACE_TRY(balance, json_u256(value, "balance"));
            if (balance > balance_max) {
                return fail(ErrorCode::invalid_input,
                            "alloc." + to_hex(address) + ".balance is above 2^128 wei");
            }
        } else if (key == "nonce") {
            MILLRACE_TRY(nonce, json_u64(value, "nonce"));
        } else if (key == "code") {
            MILLRACE_TRY(code, json_bytes(value, "code"));
        } else if (key == "storage") {
            if (!value.is_object()) {
                return fail(ErrorCode::invalid_input, "storage: expected an object");
            }
            for (const auto& [slot, word] : value.get_object()) {
                MILLRACE_TRY(const Hash256 k, json_hash(json::string(slot), "storage key"));
                MILLRACE_TRY(const Hash256 w, json_hash(word, "storage value"));
                slots.emplace_back(to_u256(k), to_u256(w));
            }
            // "0x1" and "0x01" are two keys of JSON and one slot.
            std::sort(slots.begin(), slots.end());
            const auto same =
                std::adjacent_find(slots.begin(), slots.end(),
                                   [](const auto& a, const auto& b) { return a.first == b.first; });
            if (same != slots.end()) {
                return fail(ErrorCode::invalid_input,
                            "alloc." + to_hex(address) + ".storage: slot " +
                                to_hex_quantity(same->first) + " appears twice");
            }
        }  // geth ignores other keys ("secretKey", comments); so do we
    }
    add_account(state, address, nonce, balance, std::move(code), std::move(slots));
    return {};
}

Result<void> read_millrace_config(const json::value& v, evm::ChainSpec& spec) {
    if (!v.is_object()) {
        return fail(ErrorCode::invalid_input, "config.millrace: expected an object");
    }
    for (const auto& [key, value] : v.get_object()) {
        const std::string what = "config.millrace." + std::string(key.data(), key.size());
        if (key == "baseFeeFloor") {
            MILLRACE_TRY(spec.rules.base_fee.floor, json_u256(value, what));
        } else if (key == "baseFeeChangeDenominator") {
            MILLRACE_TRY(spec.rules.base_fee.change_denominator, json_u64(value, what));
        } else if (key == "elasticityMultiplier") {
            MILLRACE_TRY(spec.rules.base_fee.elasticity_multiplier, json_u64(value, what));
        } else if (key == "transactionGasCap") {
            MILLRACE_TRY(spec.rules.transaction_gas_cap, json_u64(value, what));
        } else if (key == "codeSizeMax") {
            MILLRACE_TRY(spec.rules.code_size_max, json_u64(value, what));
            if (spec.rules.code_size_max > (uint64_t{1} << 24)) {
                return fail(ErrorCode::invalid_input, what + ": at most 16 MiB");
            }
            spec.rules.initcode_size_max = 2 * spec.rules.code_size_max;
        } else if (key == "sequencerFeeVault") {
            MILLRACE_TRY(spec.sequencer_fee_vault, json_address(value, what));
        } else if (key == "baseFeeVault") {
            MILLRACE_TRY(spec.base_fee_vault, json_address(value, what));
        } else {
            return fail(ErrorCode::invalid_input, what + ": unknown key");
        }
    }
    if (spec.rules.base_fee.change_denominator == 0 ||
        spec.rules.base_fee.elasticity_multiplier == 0) {
        return fail(
            ErrorCode::invalid_input,
            "config.millrace: baseFeeChangeDenominator and elasticityMultiplier must not be 0");
    }
    return {};
}

Result<void> read_header(const json::value& v, evm::BlockHeader& h) {
    auto u64 = [&](const char* key, uint64_t& out) -> Result<void> {
        if (const auto* p = find(v, key)) { MILLRACE_TRY(out, json_u64(*p, key)); }
        return {};
    };
    if (find(v, "gasLimit") == nullptr) {
        return fail(ErrorCode::invalid_input, "gasLimit is missing");
    }
    MILLRACE_CHECK(u64("gasLimit", h.gas_limit));
    if (h.gas_limit < 5000) {
        return fail(ErrorCode::invalid_input,
                    "gasLimit is " + std::to_string(h.gas_limit) + ", at least 5000 is needed");
    }
    MILLRACE_CHECK(u64("timestamp", h.timestamp));
    if (h.timestamp > sequencer::timestamp_s_max) {
        return fail(ErrorCode::invalid_input,
                    "timestamp is " + std::to_string(h.timestamp) + ", at most " +
                        std::to_string(sequencer::timestamp_s_max) + " is possible");
    }
    MILLRACE_CHECK(u64("number", h.number));
    if (h.number != 0) { return fail(ErrorCode::invalid_input, "number: a genesis is block 0"); }
    if (const auto* p = find(v, "extraData")) {
        MILLRACE_TRY(h.extra_data, json_bytes(*p, "extraData"));
        if (h.extra_data.size() > 32) {
            return fail(ErrorCode::invalid_input, "extraData exceeds 32 bytes");
        }
    }
    if (const auto* p = find(v, "difficulty")) {
        MILLRACE_TRY(h.difficulty, json_u256(*p, "difficulty"));
    }
    if (const auto* p = find(v, "mixHash")) {
        MILLRACE_TRY(h.prev_randao, json_hash(*p, "mixHash"));
    }
    if (const auto* p = find(v, "coinbase")) {
        MILLRACE_TRY(h.coinbase, json_address(*p, "coinbase"));
    }
    if (const auto* p = find(v, "parentHash")) {
        MILLRACE_TRY(h.parent_hash, json_hash(*p, "parentHash"));
    }
    if (const auto* p = find(v, "nonce")) {
        MILLRACE_TRY(const uint64_t nonce, json_u64(*p, "nonce"));
        for (size_t i = 0; i < 8; ++i) { h.nonce[i] = static_cast<uint8_t>(nonce >> (56 - 8 * i)); }
    }
    if (const auto* p = find(v, "baseFeePerGas"); p != nullptr && !p->is_null()) {
        MILLRACE_TRY(h.base_fee_per_gas, json_u256(*p, "baseFeePerGas"));
    }
    return {};
}

Result<Genesis> read_genesis(const json::value& v, const sequencer::CommitmentKind& commitment,
                             std::vector<std::string>& notes) {
    if (!v.is_object()) { return fail(ErrorCode::invalid_input, "expected a JSON object"); }
    const auto* config = find(v, "config");
    const auto* chain_id = config == nullptr ? nullptr : find(*config, "chainId");
    if (chain_id == nullptr) { return fail(ErrorCode::invalid_input, "config.chainId is missing"); }
    MILLRACE_TRY(const uint64_t id, json_u64(*chain_id, "config.chainId"));
    if (id == 0) { return fail(ErrorCode::invalid_input, "config.chainId must not be 0"); }
    Genesis g;
    g.spec.rules = evm::millrace_rules(id);
    g.spec.sequencer_fee_vault = default_sequencer_vault;
    g.spec.base_fee_vault = default_base_fee_vault;
    if (const auto* m = find(*config, "millrace")) {
        MILLRACE_CHECK(read_millrace_config(*m, g.spec));
    }
    const auto* osaka = find(*config, "osakaTime");
    uint64_t osaka_time = 1;
    if (osaka != nullptr && !osaka->is_null()) {
        MILLRACE_TRY(osaka_time, json_u64(*osaka, "config.osakaTime"));
    }
    if (osaka_time != 0) {
        notes.emplace_back("the genesis does not activate Osaka at time 0; the millrace rule set "
                           "runs Osaka rules from block 1 all the same");
    }
    MILLRACE_CHECK(read_header(v, g.header));
    // One transaction may fill its gas with log data, which a block must be able to hold.
    constexpr uint64_t transaction_gas_max = 1'000'000'000;
    if (std::min(g.spec.rules.transaction_gas_cap, g.header.gas_limit) > transaction_gas_max) {
        return fail(ErrorCode::invalid_input, "config.millrace.transactionGasCap: at most " +
                                                  std::to_string(transaction_gas_max) +
                                                  " where the block gas limit is higher");
    }
    const auto* alloc = find(v, "alloc");
    if (alloc == nullptr || !alloc->is_object()) {
        return fail(ErrorCode::invalid_input, "alloc is missing or not an object");
    }
    for (const auto& [key, account] : alloc->get_object()) {
        auto address = address_from_hex({key.data(), key.size()});
        if (!address) {
            return fail(ErrorCode::invalid_input, "alloc: " + address.error().message);
        }
        MILLRACE_CHECK(read_account(account, *address, g.state));
    }
    // Accounts may be spelled with and without 0x or in mixed case; twice the same is a mistake.
    auto addresses = g.state.accounts;
    std::sort(addresses.begin(), addresses.end(),
              [](const auto& a, const auto& b) { return a.address < b.address; });
    const auto twice =
        std::adjacent_find(addresses.begin(), addresses.end(),
                           [](const auto& a, const auto& b) { return a.address == b.address; });
    if (twice != addresses.end()) {
        return fail(ErrorCode::invalid_input,
                    "alloc: account " + to_hex(twice->address) + " appears twice");
    }
    g.coinbase = g.spec.sequencer_fee_vault;
    MILLRACE_CHECK(finish(g, commitment));
    return g;
}

}  // namespace

Result<Genesis> parse_genesis(std::string_view text, std::string_view origin,
                              const sequencer::CommitmentKind& commitment,
                              std::vector<std::string>& notes) {
    auto v = parse_json(text, origin);
    if (!v) { return fail(ErrorCode::config, v.error().message); }
    auto g = read_genesis(*v, commitment, notes);
    if (!g) { return bad(origin, g.error().message); }
    return g;
}

Result<Genesis> load_genesis(const std::string& path, const sequencer::CommitmentKind& commitment,
                             std::vector<std::string>& notes) {
    auto text = read_file(path);
    if (!text) { return fail(ErrorCode::config, text.error().message); }
    return parse_genesis(*text, path, commitment, notes);
}

Result<Genesis> dev_genesis(const sequencer::CommitmentKind& commitment) {
    Genesis g;
    g.spec.rules = evm::millrace_rules(31337);
    g.spec.sequencer_fee_vault = default_sequencer_vault;
    g.spec.base_fee_vault = default_base_fee_vault;
    g.coinbase = default_sequencer_vault;
    g.header.gas_limit = 10'000'000'000;
    const U256 ten_thousand_ether = U256{10'000} * U256{1'000'000'000'000'000'000};
    for (const DevAccount& a : dev_accounts()) {
        add_account(g.state, a.address, 0, ten_thousand_ether, {});
    }
    auto code = [](std::string_view hex) { return *from_hex(hex); };
    // EIP-4788 and EIP-2935 give the runtime code of their system contracts.
    add_account(g.state, address_literal("0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02"), 1, {},
                code("0x3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5"
                     "f35801560495762001fff81069081"
                     "5414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f35906"
                     "2001fff015500"));
    add_account(g.state, address_literal("0x0000F90827F1C53a10cb7A02335B175320002935"), 1, {},
                code("0x3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f3560014"
                     "3038111604257611fff81430311604257611f"
                     "ff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"));
    // The deterministic deployment proxy (Arachnid's), at the address that deployment scripts use.
    add_account(g.state, address_literal("0x4e59b44847b379578588920cA78FbF26c0B4956C"), 1, {},
                code("0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0360160008"
                     "1602082378035828234f58015156039578182"
                     "fd5b8082525050506014600cf3"));
    MILLRACE_CHECK(finish(g, commitment));
    return g;
}

const std::vector<DevAccount>& dev_accounts() {
    static const std::vector<DevAccount> accounts = [] {
        // BIP-44 keys m/44'/60'/0'/0/0..9 of the mnemonic.
        constexpr std::string_view keys[] = {
            "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
            "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
            "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
            "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
            "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
            "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
            "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
            "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
            "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
            "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"};
        std::vector<DevAccount> out;
        for (const std::string_view key : keys) {
            const Hash256 secret = hash_literal(key);
            const auto address = kernels::address_of_secret_key(secret);
            MILLRACE_ASSERT(address.has_value(), "the well-known keys are valid");
            out.push_back({*address, secret});
        }
        return out;
    }();
    return accounts;
}

}  // namespace millrace::node
