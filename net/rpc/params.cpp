// SPDX-License-Identifier: Apache-2.0
// Owns how each kind of JSON-RPC argument is spelled, and what is said about a wrong one.
#include "net/rpc/params.hpp"

#include <string>

#include "host/base/hex.hpp"

namespace millrace::net {

namespace {

namespace dom = simdjson::dom;

constexpr size_t filter_addresses_max = 1000;
constexpr size_t filter_topics_max = 4;
constexpr size_t filter_alternatives_max = 1000;
constexpr size_t override_accounts_max = 1000;

/// The error is what was wrong, without the place.
template <class T>
using Parsed = std::expected<T, std::string>;

std::unexpected<std::string> wrong(std::string_view what) {
    return std::unexpected(std::string(what));
}

std::string_view type_name(JsonElement e) {
    switch (e.type()) {
        case dom::element_type::ARRAY: return "array";
        case dom::element_type::OBJECT: return "object";
        case dom::element_type::STRING: return "string";
        case dom::element_type::BOOL: return "boolean";
        case dom::element_type::NULL_VALUE: return "null";
        default: return "number";
    }
}

std::unexpected<std::string> wrong_type(JsonElement e, std::string_view wanted) {
    return wrong("expected " + std::string(wanted) + ", got " + std::string(type_name(e)));
}

Parsed<std::string_view> text_of(JsonElement e, std::string_view wanted = "a string") {
    std::string_view text;
    if (e.get_string().get(text) != simdjson::SUCCESS) { return wrong_type(e, wanted); }
    return text;
}

/// The digits behind 0x.
Parsed<std::string_view> hex_digits(JsonElement e) {
    MILLRACE_TRY(const std::string_view text, text_of(e, "a hex string"));
    if (text.empty()) { return wrong("empty hex string"); }
    if (!text.starts_with("0x") && !text.starts_with("0X")) {
        return wrong("hex string without 0x prefix");
    }
    return text.substr(2);
}

Parsed<U256> number_from_digits(std::string_view digits) {
    if (digits.empty()) { return wrong("hex string \"0x\""); }
    if (digits.size() > 64) { return wrong("hex number > 256 bits"); }
    U256 value;
    for (const char c : digits) {
        uint64_t nibble = 0;
        if (c >= '0' && c <= '9') {
            nibble = static_cast<uint64_t>(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            nibble = static_cast<uint64_t>(c - 'a') + 10;
        } else if (c >= 'A' && c <= 'F') {
            nibble = static_cast<uint64_t>(c - 'A') + 10;
        } else {
            return wrong("invalid hex string");
        }
        value = shl(value, 4) | U256(nibble);
    }
    return value;
}

Parsed<U256> read_quantity(JsonElement e) {
    MILLRACE_TRY(const std::string_view digits, hex_digits(e));
    if (digits.size() > 1 && digits[0] == '0') {
        return wrong("hex number with leading zero digits");
    }
    return number_from_digits(digits);
}

Parsed<uint64_t> read_quantity64(JsonElement e) {
    MILLRACE_TRY(const U256 value, read_quantity(e));
    if (!value.fits_u64()) { return wrong("hex number > 64 bits"); }
    return value.low64();
}

Parsed<U256> read_slot(JsonElement e) {
    MILLRACE_TRY(const std::string_view digits, hex_digits(e));
    if (digits.size() > 64) { return wrong("storage key too long (at most 32 bytes)"); }
    return number_from_digits(digits);
}

Parsed<U256> read_loose(JsonElement e) {
    if (uint64_t number = 0; e.get_uint64().get(number) == simdjson::SUCCESS) { return number; }
    MILLRACE_TRY(const std::string_view text, text_of(e, "a number"));
    if (text.starts_with("0x") || text.starts_with("0X")) { return read_slot(e); }
    const auto value = u256_from_text(text);
    if (!value) { return wrong("'" + std::string(text.substr(0, 80)) + "' is no number"); }
    return *value;
}

Parsed<uint64_t> read_loose64(JsonElement e) {
    MILLRACE_TRY(const U256 value, read_loose(e));
    if (!value.fits_u64()) { return wrong("number > 64 bits"); }
    return value.low64();
}

Parsed<Bytes> read_data(JsonElement e) {
    MILLRACE_TRY(const std::string_view digits, hex_digits(e));
    if (digits.size() % 2 != 0) { return wrong("hex string of odd length"); }
    auto bytes = from_hex(digits);
    if (!bytes) { return wrong("invalid hex string"); }
    return *std::move(bytes);
}

template <size_t N>
Parsed<FixedBytes<N>> read_fixed(JsonElement e) {
    MILLRACE_TRY(const std::string_view digits, hex_digits(e));
    if (digits.size() != 2 * N) {
        return wrong("hex string has length " + std::to_string(digits.size()) + ", want " +
                     std::to_string(2 * N));
    }
    const auto bytes = from_hex(digits);
    if (!bytes) { return wrong("invalid hex string"); }
    return FixedBytes<N>::from(*bytes);
}

Parsed<Address> read_address(JsonElement e) { return read_fixed<20>(e); }
Parsed<Hash256> read_hash(JsonElement e) { return read_fixed<32>(e); }

Parsed<bool> read_boolean(JsonElement e) {
    bool value = false;
    if (e.get_bool().get(value) != simdjson::SUCCESS) { return wrong_type(e, "true or false"); }
    return value;
}

/// Applies `read` to each item of an array.
template <class T, class Read>
Parsed<std::vector<T>> read_array(JsonElement e, size_t count_max, Read read) {
    dom::array items;
    if (e.get_array().get(items) != simdjson::SUCCESS) { return wrong_type(e, "an array"); }
    std::vector<T> out;
    for (const JsonElement item : items) {
        if (out.size() == count_max) {
            return wrong("more than " + std::to_string(count_max) + " items");
        }
        MILLRACE_TRY(T value, read(item));
        out.push_back(std::move(value));
    }
    return out;
}

/// The fields of one object. Fields that are null count as absent.
class Fields {
public:
    static Parsed<Fields> of(JsonElement e) {
        Fields fields;
        if (e.get_object().get(fields.object_) != simdjson::SUCCESS) {
            return wrong_type(e, "an object");
        }
        return fields;
    }

    std::optional<JsonElement> find(std::string_view name) const {
        JsonElement e;
        if (object_.at_key(name).get(e) != simdjson::SUCCESS || e.is_null()) {
            return std::nullopt;
        }
        return e;
    }

    /// Reads a field into `into` when it is there. `into` is a T or an optional of it.
    template <class Into, class Read>
    Parsed<bool> read(std::string_view name, Into& into, Read reader) const {
        const auto e = find(name);
        if (!e) { return false; }
        auto value = reader(*e);
        if (!value) { return wrong("field '" + std::string(name) + "': " + value.error()); }
        into = *std::move(value);
        return true;
    }

    dom::object object() const noexcept { return object_; }

private:
    dom::object object_;
};

Parsed<BlockRef> block_from_object(JsonElement e) {
    MILLRACE_TRY(const Fields fields, Fields::of(e));
    BlockRef ref;
    std::optional<Hash256> hash;
    std::optional<uint64_t> number;
    MILLRACE_CHECK(fields.read("blockHash", hash, read_hash));
    MILLRACE_CHECK(fields.read("blockNumber", number, read_quantity64));
    MILLRACE_CHECK(fields.read("requireCanonical", ref.require_canonical, read_boolean));
    if (hash.has_value() == number.has_value()) {
        return wrong("give either blockHash or blockNumber");
    }
    ref.kind = hash ? BlockRef::Kind::hash : BlockRef::Kind::number;
    ref.hash_value = hash.value_or(Hash256{});
    ref.number_value = number.value_or(0);
    return ref;
}

Parsed<BlockRef> read_block(JsonElement e) {
    if (e.is_object()) { return block_from_object(e); }
    MILLRACE_TRY(const std::string_view text, text_of(e, "a block number, hash or tag"));
    if (text == "latest") { return BlockRef::latest(); }
    if (text == "pending") { return BlockRef::pending(); }
    if (text == "earliest") { return BlockRef::earliest(); }
    if (text == "safe") { return BlockRef{BlockRef::Kind::safe, 0, {}, false}; }
    if (text == "finalized") { return BlockRef{BlockRef::Kind::finalized, 0, {}, false}; }
    if (text.size() == 66) {
        MILLRACE_TRY(const Hash256 hash, read_hash(e));
        return BlockRef::hash(hash);
    }
    MILLRACE_TRY(const uint64_t number, read_quantity64(e));
    return BlockRef::number(number);
}

Parsed<evm::AccessListEntry> read_access_list_entry(JsonElement e) {
    MILLRACE_TRY(const Fields fields, Fields::of(e));
    evm::AccessListEntry entry;
    MILLRACE_TRY(const bool found, fields.read("address", entry.address, read_address));
    if (!found) { return wrong("access list entry without address"); }
    MILLRACE_CHECK(fields.read("storageKeys", entry.storage_keys, [](JsonElement keys) {
        return read_array<Hash256>(keys, 100'000, read_hash);
    }));
    return entry;
}

Parsed<evm::Authorization> read_authorization(JsonElement e) {
    MILLRACE_TRY(const Fields fields, Fields::of(e));
    evm::Authorization out;
    uint64_t parity = 0;
    MILLRACE_CHECK(fields.read("chainId", out.chain_id, read_quantity));
    MILLRACE_CHECK(fields.read("nonce", out.nonce, read_quantity64));
    MILLRACE_CHECK(fields.read("r", out.r, read_slot));
    MILLRACE_CHECK(fields.read("s", out.s, read_slot));
    MILLRACE_TRY(const bool has_parity, fields.read("yParity", parity, read_quantity64));
    if (!has_parity) { MILLRACE_CHECK(fields.read("v", parity, read_quantity64)); }
    if (parity > 255) { return wrong("yParity > 8 bits"); }
    out.y_parity = static_cast<uint8_t>(parity);
    MILLRACE_TRY(const bool found, fields.read("address", out.address, read_address));
    if (!found) { return wrong("authorization without address"); }
    return out;
}

Parsed<evm::TxType> read_tx_type(JsonElement e) {
    MILLRACE_TRY(const uint64_t value, read_quantity64(e));
    if (value > 4) { return wrong("transaction type " + std::to_string(value) + " is not known"); }
    return static_cast<evm::TxType>(value);
}

Parsed<void> read_call_fees(const Fields& fields, CallRequest& call) {
    MILLRACE_CHECK(fields.read("gasPrice", call.gas_price, read_quantity));
    MILLRACE_CHECK(fields.read("maxFeePerGas", call.max_fee_per_gas, read_quantity));
    MILLRACE_CHECK(
        fields.read("maxPriorityFeePerGas", call.max_priority_fee_per_gas, read_quantity));
    MILLRACE_CHECK(fields.read("maxFeePerBlobGas", call.max_fee_per_blob_gas, read_quantity));
    if (call.gas_price && (call.max_fee_per_gas || call.max_priority_fee_per_gas)) {
        return wrong("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified");
    }
    return {};
}

Parsed<void> read_call_data(const Fields& fields, CallRequest& call) {
    std::optional<Bytes> data;
    std::optional<Bytes> input;
    MILLRACE_CHECK(fields.read("data", data, read_data));
    MILLRACE_CHECK(fields.read("input", input, read_data));
    if (data && input && *data != *input) {
        return wrong("both \"data\" and \"input\" are set and not equal; use \"input\"");
    }
    if (input) {
        call.data = *std::move(input);
    } else if (data) {
        call.data = *std::move(data);
    }
    return {};
}

Parsed<void> read_call_lists(const Fields& fields, CallRequest& call) {
    MILLRACE_CHECK(fields.read("accessList", call.access_list, [](JsonElement list) {
        return read_array<evm::AccessListEntry>(list, 10'000, read_access_list_entry);
    }));
    MILLRACE_CHECK(
        fields.read("blobVersionedHashes", call.blob_versioned_hashes,
                    [](JsonElement list) { return read_array<Hash256>(list, 1'000, read_hash); }));
    MILLRACE_CHECK(fields.read("authorizationList", call.authorization_list, [](JsonElement list) {
        return read_array<evm::Authorization>(list, 10'000, read_authorization);
    }));
    return {};
}

Parsed<CallRequest> read_call(JsonElement e) {
    MILLRACE_TRY(const Fields fields, Fields::of(e));
    CallRequest call;
    MILLRACE_CHECK(fields.read("type", call.type, read_tx_type));
    MILLRACE_CHECK(fields.read("from", call.from, read_address));
    MILLRACE_CHECK(fields.read("to", call.to, read_address));
    MILLRACE_CHECK(fields.read("gas", call.gas, read_quantity64));
    MILLRACE_CHECK(fields.read("value", call.value, read_quantity));
    MILLRACE_CHECK(fields.read("nonce", call.nonce, read_quantity64));
    MILLRACE_CHECK(fields.read("chainId", call.chain_id, read_quantity64));
    MILLRACE_CHECK(read_call_fees(fields, call));
    MILLRACE_CHECK(read_call_data(fields, call));
    MILLRACE_CHECK(read_call_lists(fields, call));
    return call;
}

Parsed<U256> slot_from_key(std::string_view key) {
    if (!key.starts_with("0x") || key.size() > 66) {
        return wrong("storage key '" + std::string(key.substr(0, 80)) + "' is no 32-byte hex");
    }
    return number_from_digits(key.substr(2));
}

Parsed<std::vector<std::pair<U256, U256>>> read_storage(JsonElement e) {
    MILLRACE_TRY(const Fields fields, Fields::of(e));
    std::vector<std::pair<U256, U256>> out;
    for (const auto field : fields.object()) {
        MILLRACE_TRY(const U256 slot, slot_from_key(field.key));
        MILLRACE_TRY(const U256 value, read_slot(field.value));
        out.emplace_back(slot, value);
    }
    return out;
}

Parsed<AccountOverride> read_account_override(std::string_view key, JsonElement e) {
    AccountOverride out;
    const auto address =
        key.starts_with("0x") ? address_from_hex(key) : fail(ErrorCode::invalid_input, "");
    if (!address) { return wrong("'" + std::string(key.substr(0, 80)) + "' is no address"); }
    out.address = *address;
    MILLRACE_TRY(const Fields fields, Fields::of(e));
    MILLRACE_CHECK(fields.read("balance", out.balance, read_quantity));
    MILLRACE_CHECK(fields.read("nonce", out.nonce, read_quantity64));
    MILLRACE_CHECK(fields.read("code", out.code, read_data));
    MILLRACE_CHECK(fields.read("movePrecompileToAddress", out.move_precompile_to, read_address));
    MILLRACE_TRY(const bool whole, fields.read("state", out.storage, read_storage));
    if (whole && fields.find("stateDiff")) {
        return wrong("account " + std::string(key) + " has both 'state' and 'stateDiff'");
    }
    out.replaces_storage = whole;
    if (!whole) { MILLRACE_CHECK(fields.read("stateDiff", out.storage, read_storage)); }
    return out;
}

Parsed<StateOverrides> read_state_overrides(JsonElement e) {
    MILLRACE_TRY(const Fields fields, Fields::of(e));
    StateOverrides out;
    for (const auto field : fields.object()) {
        if (out.size() == override_accounts_max) {
            return wrong("more than " + std::to_string(override_accounts_max) + " accounts");
        }
        MILLRACE_TRY(AccountOverride account, read_account_override(field.key, field.value));
        out.push_back(std::move(account));
    }
    return out;
}

Parsed<BlockOverrides> read_block_overrides(JsonElement e) {
    MILLRACE_TRY(const Fields fields, Fields::of(e));
    BlockOverrides out;
    MILLRACE_CHECK(fields.read("number", out.number, read_quantity64));
    MILLRACE_CHECK(fields.read("difficulty", out.difficulty, read_quantity));
    MILLRACE_CHECK(fields.read("time", out.timestamp, read_quantity64));
    MILLRACE_CHECK(fields.read("gasLimit", out.gas_limit, read_quantity64));
    MILLRACE_CHECK(fields.read("feeRecipient", out.coinbase, read_address));
    MILLRACE_CHECK(fields.read("coinbase", out.coinbase, read_address));
    MILLRACE_CHECK(fields.read("prevRandao", out.prev_randao, read_hash));
    MILLRACE_CHECK(fields.read("random", out.prev_randao, read_hash));
    MILLRACE_CHECK(fields.read("baseFeePerGas", out.base_fee_per_gas, read_quantity));
    MILLRACE_CHECK(fields.read("baseFee", out.base_fee_per_gas, read_quantity));
    MILLRACE_CHECK(fields.read("blobBaseFee", out.blob_base_fee, read_quantity));
    return out;
}

Parsed<std::vector<Address>> read_addresses(JsonElement e) {
    if (e.is_array()) { return read_array<Address>(e, filter_addresses_max, read_address); }
    MILLRACE_TRY(const Address address, read_address(e));
    return std::vector<Address>{address};
}

/// One position: null, a topic, or alternatives; a null among the alternatives matches anything.
Parsed<std::vector<Hash256>> read_topic(JsonElement e) {
    if (e.is_null()) { return std::vector<Hash256>{}; }
    if (!e.is_array()) {
        MILLRACE_TRY(const Hash256 topic, read_hash(e));
        return std::vector<Hash256>{topic};
    }
    for (const JsonElement item : dom::array(e.get_array().value_unsafe())) {
        if (item.is_null()) { return std::vector<Hash256>{}; }
    }
    return read_array<Hash256>(e, filter_alternatives_max, read_hash);
}

Parsed<LogSelection> read_log_selection(JsonElement e) {
    MILLRACE_TRY(const Fields fields, Fields::of(e));
    LogSelection out;
    MILLRACE_CHECK(fields.read("address", out.filter.addresses, read_addresses));
    MILLRACE_CHECK(fields.read("topics", out.filter.topics, [](JsonElement topics) {
        return read_array<std::vector<Hash256>>(topics, filter_topics_max, read_topic);
    }));
    MILLRACE_CHECK(fields.read("blockHash", out.block_hash, read_hash));
    MILLRACE_CHECK(fields.read("fromBlock", out.from, read_block));
    MILLRACE_CHECK(fields.read("toBlock", out.to, read_block));
    if (out.block_hash && (out.from || out.to)) {
        return wrong(
            "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other");
    }
    for (const auto& end : {out.from, out.to}) {
        if (end && end->kind == BlockRef::Kind::hash) {
            return wrong("fromBlock and toBlock are numbers or tags; use blockHash for a hash");
        }
    }
    return out;
}

Parsed<double> read_percentile(JsonElement e) {
    double value = 0;
    if (e.get_double().get(value) != simdjson::SUCCESS) { return wrong_type(e, "a number"); }
    if (!(value >= 0 && value <= 100)) {
        return wrong("invalid reward percentile: " + std::to_string(value));
    }
    return value;
}

template <class T>
RpcResult<T> placed(size_t index, Parsed<T> parsed) {
    if (!parsed) { return bad_param(index, parsed.error()); }
    return *std::move(parsed);
}

std::unexpected<RpcError> missing(size_t index) {
    return rpc_fail(rpc_code::invalid_params,
                    "missing value for required argument " + std::to_string(index));
}

}  // namespace

bool Params::has(size_t index) const noexcept {
    return index < items_.size() && !items_[index].is_null();
}

RpcResult<Address> Params::address(size_t index) const {
    if (!has(index)) { return missing(index); }
    return placed(index, read_address(items_[index]));
}

RpcResult<Hash256> Params::hash(size_t index) const {
    if (!has(index)) { return missing(index); }
    return placed(index, read_hash(items_[index]));
}

RpcResult<uint64_t> Params::quantity64(size_t index) const {
    if (!has(index)) { return missing(index); }
    return placed(index, read_quantity64(items_[index]));
}

RpcResult<U256> Params::quantity(size_t index) const {
    if (!has(index)) { return missing(index); }
    return placed(index, read_quantity(items_[index]));
}

RpcResult<U256> Params::slot(size_t index) const {
    if (!has(index)) { return missing(index); }
    return placed(index, read_slot(items_[index]));
}

RpcResult<uint64_t> Params::loose64(size_t index) const {
    if (!has(index)) { return missing(index); }
    return placed(index, read_loose64(items_[index]));
}

RpcResult<U256> Params::loose(size_t index) const {
    if (!has(index)) { return missing(index); }
    return placed(index, read_loose(items_[index]));
}

RpcResult<Bytes> Params::data(size_t index) const {
    if (!has(index)) { return missing(index); }
    return placed(index, read_data(items_[index]));
}

RpcResult<bool> Params::boolean(size_t index, bool fallback) const {
    if (!has(index)) { return fallback; }
    return placed(index, read_boolean(items_[index]));
}

RpcResult<std::string_view> Params::text(size_t index) const {
    if (!has(index)) { return missing(index); }
    return placed(index, text_of(items_[index]));
}

RpcResult<BlockRef> Params::block(size_t index) const {
    if (!has(index)) { return BlockRef::latest(); }
    return placed(index, read_block(items_[index]));
}

RpcResult<CallRequest> Params::call(size_t index) const {
    if (!has(index)) { return missing(index); }
    return placed(index, read_call(items_[index]));
}

RpcResult<StateOverrides> Params::state_overrides(size_t index) const {
    if (!has(index)) { return StateOverrides{}; }
    return placed(index, read_state_overrides(items_[index]));
}

RpcResult<BlockOverrides> Params::block_overrides(size_t index) const {
    if (!has(index)) { return BlockOverrides{}; }
    return placed(index, read_block_overrides(items_[index]));
}

RpcResult<LogSelection> Params::log_selection(size_t index) const {
    if (!has(index)) { return LogSelection{}; }
    return placed(index, read_log_selection(items_[index]));
}

RpcResult<std::vector<Address>> Params::addresses(size_t index) const {
    if (!has(index)) { return std::vector<Address>{}; }
    return placed(index, read_addresses(items_[index]));
}

RpcResult<std::vector<U256>> Params::slots(size_t index) const {
    if (!has(index)) { return std::vector<U256>{}; }
    return placed(index, read_array<U256>(items_[index], 1024, read_slot));
}

std::vector<bool> Params::whole_words(size_t index) const {
    std::vector<bool> out;
    dom::array items;
    if (!has(index) || items_[index].get_array().get(items) != simdjson::SUCCESS) { return out; }
    for (const JsonElement item : items) {
        std::string_view text;
        out.push_back(item.get_string().get(text) == simdjson::SUCCESS && text.size() == 66);
    }
    return out;
}

RpcResult<std::vector<double>> Params::percentiles(size_t index) const {
    if (!has(index)) { return std::vector<double>{}; }
    MILLRACE_TRY(auto values,
                 placed(index, read_array<double>(items_[index], 100, read_percentile)));
    for (size_t i = 1; i < values.size(); ++i) {
        if (values[i] < values[i - 1]) {
            return bad_param(index, "reward percentiles must ascend");
        }
    }
    return values;
}

}  // namespace millrace::net
