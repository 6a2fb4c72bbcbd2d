// SPDX-License-Identifier: Apache-2.0
// Owns the reading of transactions from their bytes or from their parts.
#include "host/node/conformance/case_transaction.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include <boost/json/array.hpp>

#include "host/node/conformance/fixture.hpp"
#include "host/node/json.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::node {
namespace {

namespace json = boost::json;

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

/// Puts a transaction together. Numbers that do not fit are remembered, the rest goes on.
class Assembly {
public:
    Assembly(const json::value& transaction, const json::value& indexes)
        : json_(transaction), indexes_(indexes) {}

    Result<CaseTransaction> run() {
        MILLRACE_CHECK(read_common());
        MILLRACE_CHECK(read_fees());
        MILLRACE_CHECK(read_access_list());
        MILLRACE_CHECK(read_blobs());
        MILLRACE_CHECK(read_authorizations());
        MILLRACE_TRY(const Address sender, read_sender());
        if (too_large_.empty()) { return CaseTransaction{std::move(tx_), sender, {}}; }
        CaseTransaction none;
        none.fault.error = evm::BlockError::malformed_transaction;
        none.fault.transaction_type = tx_.type;
        none.fault.detail = too_large_ + " does not fit its field";
        return none;
    }

private:
    Result<U256> number(const json::value& v, const std::string& where, const U256& max) {
        const auto* text = v.if_string();
        // How some fixtures mark what exceeds 256 bits.
        const bool marked = text != nullptr && text->starts_with("0x:bigint ");
        U256 n = max;
        if (!marked) { MILLRACE_TRY(n, json_u256(v, where)); }
        if (marked || n > max) { too_large_ = where; }
        return n;
    }
    Result<uint64_t> number64(const json::value& v, const std::string& where) {
        MILLRACE_TRY(const U256 n, number(v, where, U256{std::numeric_limits<uint64_t>::max()}));
        return n.low64();
    }
    Result<void> field(std::string_view name, U256& out) {
        MILLRACE_TRY(const auto* v, member(json_, name, "transaction"));
        MILLRACE_TRY(out, number(*v, "transaction." + std::string(name), U256::max()));
        return {};
    }

    Result<void> read_common() {
        MILLRACE_TRY(const auto* nonce, member(json_, "nonce", "transaction"));
        MILLRACE_TRY(tx_.nonce, number64(*nonce, "transaction.nonce"));
        MILLRACE_TRY(const auto* gas, chosen(json_, indexes_, "gasLimit", "gas"));
        MILLRACE_TRY(tx_.gas_limit, number64(*gas, "transaction.gasLimit"));
        MILLRACE_TRY(const auto* value, chosen(json_, indexes_, "value", "value"));
        MILLRACE_TRY(tx_.value, number(*value, "transaction.value", U256::max()));
        MILLRACE_TRY(const auto* data, chosen(json_, indexes_, "data", "data"));
        MILLRACE_TRY(tx_.data, json_bytes(*data, "transaction.data"));
        const auto* to = find(json_, "to");
        if (to == nullptr || to->is_null()) { return {}; }
        if (const auto* text = to->if_string(); text == nullptr || text->size() > 2) {
            MILLRACE_TRY(tx_.to, json_address(*to, "transaction.to"));
        }
        return {};
    }

    Result<void> read_fees() {
        if (find(json_, "gasPrice") != nullptr) {
            MILLRACE_CHECK(field("gasPrice", tx_.max_fee_per_gas));
            tx_.max_priority_fee_per_gas = tx_.max_fee_per_gas;
            return {};
        }
        tx_.type = evm::TxType::dynamic_fee;
        MILLRACE_CHECK(field("maxFeePerGas", tx_.max_fee_per_gas));
        return field("maxPriorityFeePerGas", tx_.max_priority_fee_per_gas);
    }

    Result<void> read_access_list() {
        constexpr std::string_view where = "transaction.accessLists";
        if (find(json_, "accessLists") == nullptr) { return {}; }
        MILLRACE_TRY(const auto* list, chosen(json_, indexes_, "accessLists", "data"));
        if (list->is_null()) { return {}; }
        if (!list->is_array()) {
            return fail(ErrorCode::invalid_input, std::string(where) + ": expected a list");
        }
        if (tx_.type == evm::TxType::legacy) { tx_.type = evm::TxType::access_list; }
        for (const json::value& item : list->get_array()) {
            evm::AccessListEntry& entry = tx_.access_list.emplace_back();
            MILLRACE_TRY(const auto* address, member(item, "address", where));
            MILLRACE_TRY(entry.address, json_address(*address, where));
            MILLRACE_TRY(const auto* keys, member(item, "storageKeys", where));
            if (!keys->is_array()) {
                return fail(ErrorCode::invalid_input,
                            std::string(where) + ": expected a list of keys");
            }
            for (const json::value& key : keys->get_array()) {
                MILLRACE_TRY(const Hash256 hash, json_hash(key, where));
                entry.storage_keys.push_back(hash);
            }
        }
        return {};
    }

    Result<void> read_blobs() {
        if (find(json_, "maxFeePerBlobGas") == nullptr) { return {}; }
        constexpr std::string_view where = "transaction.blobVersionedHashes";
        tx_.type = evm::TxType::blob;
        MILLRACE_CHECK(field("maxFeePerBlobGas", tx_.max_fee_per_blob_gas));
        MILLRACE_TRY(const auto* hashes, member(json_, "blobVersionedHashes", "transaction"));
        if (!hashes->is_array()) {
            return fail(ErrorCode::invalid_input, std::string(where) + ": expected a list");
        }
        for (const json::value& v : hashes->get_array()) {
            MILLRACE_TRY(const Hash256 hash, json_hash(v, where));
            tx_.blob_versioned_hashes.push_back(hash);
        }
        return {};
    }

    Result<void> read_authorizations() {
        const auto* list = find(json_, "authorizationList");
        if (list == nullptr) { return {}; }
        const std::string where = "transaction.authorizationList";
        if (!list->is_array()) {
            return fail(ErrorCode::invalid_input, where + ": expected a list");
        }
        tx_.type = evm::TxType::set_code;
        for (const json::value& item : list->get_array()) {
            evm::Authorization& a = tx_.authorization_list.emplace_back();
            MILLRACE_TRY(const auto* address, member(item, "address", where));
            MILLRACE_TRY(a.address, json_address(*address, where + ".address"));
            MILLRACE_TRY(const auto* chain, member(item, "chainId", where));
            MILLRACE_TRY(a.chain_id, number(*chain, where + ".chainId", U256::max()));
            MILLRACE_TRY(const auto* nonce, member(item, "nonce", where));
            MILLRACE_TRY(a.nonce, number64(*nonce, where + ".nonce"));
            const auto* parity = find(item, "yParity");
            if (parity == nullptr) { MILLRACE_TRY(parity, member(item, "v", where)); }
            MILLRACE_TRY(const U256 y, number(*parity, where + ".yParity", U256{255}));
            a.y_parity = static_cast<uint8_t>(y.low64());
            MILLRACE_TRY(const auto* r, member(item, "r", where));
            MILLRACE_TRY(a.r, number(*r, where + ".r", U256::max()));
            MILLRACE_TRY(const auto* s, member(item, "s", where));
            MILLRACE_TRY(a.s, number(*s, where + ".s", U256::max()));
        }
        return {};
    }

    Result<Address> read_sender() {
        if (const auto* sender = find(json_, "sender")) {
            return json_address(*sender, "transaction.sender");
        }
        MILLRACE_TRY(const auto* secret, member(json_, "secretKey", "transaction"));
        MILLRACE_TRY(const Hash256 key, json_hash(*secret, "transaction.secretKey"));
        const auto sender = kernels::address_of_secret_key(key);
        if (!sender) { return fail(ErrorCode::invalid_input, "transaction.secretKey: not a key"); }
        return *sender;
    }

    const json::value& json_;
    const json::value& indexes_;
    evm::Transaction tx_;
    std::string too_large_;  ///< the last field whose number exceeds it
};

}  // namespace

Result<CaseTransaction> read_case_transaction(const json::value& test, const json::value& post,
                                              const evm::Rules& rules) {
    const auto* raw = find(post, "txbytes");
    if (raw == nullptr) {
        MILLRACE_TRY(const auto* transaction, member(test, "transaction", ""));
        MILLRACE_TRY(const auto* indexes, member(post, "indexes", ""));
        return Assembly(*transaction, *indexes).run();
    }
    MILLRACE_TRY(const Bytes bytes, json_bytes(*raw, "txbytes"));
    auto tx = evm::decode_transaction(bytes);
    if (!tx) { return CaseTransaction{{}, {}, evm::malformed_transaction(bytes, tx.error())}; }
    const auto sender = recover_sender(*tx, rules.at_least(evm::Revision::homestead));
    return CaseTransaction{*std::move(tx), sender, {}};
}

}  // namespace millrace::node
