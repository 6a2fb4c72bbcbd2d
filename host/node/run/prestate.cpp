// SPDX-License-Identifier: Apache-2.0
// Owns reading and writing of states in the form of a genesis file's alloc.
#include "host/node/run/prestate.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <boost/json/object.hpp>

#include "host/base/hex.hpp"
#include "host/node/conformance/fixture.hpp"
#include "host/node/json.hpp"

namespace millrace::node {
namespace {

namespace json = boost::json;

std::unexpected<Error> bad(const std::string& what) { return fail(ErrorCode::invalid_input, what); }

/// Two spellings of one slot ("0x1", "0x01") would make the result a matter of their order.
Result<void> check_slots_once(const json::value& storage, const std::string& where) {
    const auto* object = storage.if_object();
    if (object == nullptr) { return {}; }  // load_accounts says what is wrong with it
    std::set<U256> seen;
    for (const auto& [key, value] : *object) {
        const auto slot = u256_from_text({key.data(), key.size()});
        if (slot && !seen.insert(*slot).second) {
            return bad(where + ".storage: slot " + to_hex_quantity(*slot) + " appears twice");
        }
    }
    return {};
}

Result<void> check_once(const json::value& alloc, const std::string& where) {
    const auto* object = alloc.if_object();
    if (object == nullptr) { return {}; }
    std::set<Address> seen;
    for (const auto& [key, account] : *object) {
        const auto address = address_from_hex({key.data(), key.size()});
        if (address && !seen.insert(*address).second) {
            return bad(where + ": account " + to_hex(*address) + " appears twice");
        }
        if (const auto* storage = find(account, "storage")) {
            MILLRACE_CHECK(
                check_slots_once(*storage, where + "." + std::string(key.data(), key.size())));
        }
    }
    return {};
}

/// The member unless it is absent or null.
const json::value* given(const json::value& object, std::string_view key) {
    const auto* v = find(object, key);
    return v == nullptr || v->is_null() ? nullptr : v;
}

Result<void> read_block(const json::value& genesis, Prestate& p) {
    auto u64 = [&](const char* key, std::optional<uint64_t>& out) -> Result<void> {
        if (const auto* v = given(genesis, key)) { MILLRACE_TRY(out, json_u64(*v, key)); }
        return {};
    };
    auto u256 = [&](const char* key, std::optional<U256>& out) -> Result<void> {
        if (const auto* v = given(genesis, key)) { MILLRACE_TRY(out, json_u256(*v, key)); }
        return {};
    };
    MILLRACE_CHECK(u64("number", p.number));
    MILLRACE_CHECK(u64("timestamp", p.timestamp));
    MILLRACE_CHECK(u64("gasLimit", p.gas_limit));
    MILLRACE_CHECK(u64("excessBlobGas", p.excess_blob_gas));
    MILLRACE_CHECK(u256("difficulty", p.difficulty));
    MILLRACE_CHECK(u256("baseFee", p.base_fee_per_gas));
    MILLRACE_CHECK(u256("baseFeePerGas", p.base_fee_per_gas));
    if (const auto* v = given(genesis, "coinbase")) {
        MILLRACE_TRY(p.coinbase, json_address(*v, "coinbase"));
    }
    if (const auto* v = given(genesis, "mixHash")) {
        MILLRACE_TRY(p.prev_randao, json_hash(*v, "mixHash"));
    }
    const auto* config = given(genesis, "config");
    if (config == nullptr) { return {}; }
    if (!config->is_object()) { return bad("config: expected an object"); }
    if (const auto* v = given(*config, "chainId")) {
        MILLRACE_TRY(p.chain_id, json_u64(*v, "config.chainId"));
    }
    return {};
}

Result<Prestate> read_prestate(const json::value& v) {
    const auto* object = v.if_object();
    if (object == nullptr) { return bad("expected a JSON object"); }
    Prestate p = empty_prestate();
    const json::value* alloc = find(v, "alloc");
    if (alloc != nullptr) {
        MILLRACE_CHECK(read_block(v, p));
    } else {
        for (const auto& [key, account] : *object) {
            const std::string_view name{key.data(), key.size()};
            if (!address_from_hex(name)) {
                return bad("'" + std::string(name.substr(0, 80)) +
                           "' is no address, and there is no member 'alloc': neither a genesis "
                           "file nor an alloc");
            }
        }
        alloc = &v;
    }
    MILLRACE_CHECK(check_once(*alloc, "alloc"));
    MILLRACE_CHECK(load_accounts(*alloc, p.state, "alloc"));
    return p;
}

}  // namespace

Prestate empty_prestate() {
    Prestate p;
    p.state = evm::StateOverlay{&test_chain()};
    return p;
}

Result<Prestate> parse_prestate(std::string_view text, std::string_view origin) {
    MILLRACE_TRY(const json::value v, parse_json(text, origin));
    auto p = read_prestate(v);
    if (!p) { return bad(std::string(origin) + ": " + p.error().message); }
    return p;
}

Result<Prestate> load_prestate(const std::string& path) {
    MILLRACE_TRY(const std::string text, read_file(path));
    return parse_prestate(text, path);
}

json::object alloc_json(const evm::StateOverlay& state) {
    std::vector<Address> addresses;
    for (const auto& [address, a] : state.accounts()) {
        if (a.exists) { addresses.push_back(address); }
    }
    std::sort(addresses.begin(), addresses.end());
    json::object out;
    for (const Address& address : addresses) {
        const evm::OverlayAccount& a = state.accounts().at(address);
        json::object account;
        account["balance"] = to_hex_quantity(a.balance.value_or(U256{}));
        if (a.nonce.value_or(0) != 0) { account["nonce"] = to_hex_quantity(*a.nonce); }
        const Hash256 code_hash = a.code_hash.value_or(evm::empty_code_hash);
        if (code_hash != evm::empty_code_hash) {
            account["code"] = to_hex(*state.codes().at(code_hash));
        }
        json::object storage;
        for (const auto& [key, value] : a.storage) {
            if (!value.is_zero()) { storage[to_hex(to_hash(key))] = to_hex(to_hash(value)); }
        }
        if (!storage.empty()) { account["storage"] = std::move(storage); }
        out[to_hex(address)] = std::move(account);
    }
    return out;
}

}  // namespace millrace::node
