// SPDX-License-Identifier: Apache-2.0
// Owns the use of simdjson on answers.
#include "host/load/answers.hpp"

#include <simdjson.h>

#include "host/base/hex.hpp"
#include "host/load/transport.hpp"

namespace millrace::load {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

struct MessageReader::Impl {
    ondemand::parser messages;
    ondemand::parser parts;  ///< of a part of a message, while `messages` is in use
};

namespace {

static_assert(Connection::padding_bytes >= simdjson::SIMDJSON_PADDING);

Error malformed(std::string_view what, std::string_view why, std::string_view text) {
    return {ErrorCode::corrupt, "the node's " + std::string(what) + " is malformed (" +
                                    std::string(why) + "): " + std::string(text.substr(0, 120))};
}

simdjson::padded_string_view padded(std::string_view text) {
    return simdjson::padded_string_view(text.data(), text.size(),
                                        text.size() + Connection::padding_bytes);
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') {
        text.remove_suffix(1);
    }
    return text;
}

/// A value's own text; leaves the cursor behind it.
error_code raw_text(ondemand::value& value, std::string_view& out) {
    ondemand::json_type type{};
    if (const auto error = value.type().get(type)) { return error; }
    if (type == ondemand::json_type::object) {
        ondemand::object object;
        if (const auto error = value.get_object().get(object)) { return error; }
        if (const auto error = object.raw_json().get(out)) { return error; }
        out = trimmed(out);
        return simdjson::SUCCESS;
    }
    if (type == ondemand::json_type::array) {
        ondemand::array array;
        if (const auto error = value.get_array().get(array)) { return error; }
        if (const auto error = array.raw_json().get(out)) { return error; }
        out = trimmed(out);
        return simdjson::SUCCESS;
    }
    out = trimmed(value.raw_json_token());
    // A token is only looked at: the check is what reading it makes.
    switch (type) {
        case ondemand::json_type::string: {
            ondemand::raw_json_string ignored;
            return value.get_raw_json_string().get(ignored);
        }
        case ondemand::json_type::boolean: {
            bool ignored = false;
            return value.get_bool().get(ignored);
        }
        case ondemand::json_type::number: {
            double ignored = 0;
            return value.get_double().get(ignored);
        }
        default: {
            bool null = false;
            if (const auto error = value.is_null().get(null)) { return error; }
            return null ? simdjson::SUCCESS : simdjson::INCORRECT_TYPE;
        }
    }
}

error_code read_failure(ondemand::object error_object, RpcFailure& out) {
    for (auto entry : error_object) {
        ondemand::field field;
        if (const auto error = std::move(entry).get(field)) { return error; }
        const ondemand::raw_json_string key = field.key();
        if (key == "code") {
            if (const auto error = field.value().get_int64().get(out.code)) { return error; }
        } else if (key == "message") {
            if (const auto error = field.value().get_string().get(out.message)) { return error; }
        } else if (key == "data") {
            ondemand::object data;
            if (field.value().get_object().get(data) != simdjson::SUCCESS) { continue; }
            uint64_t ms = 0;
            if (data["retryAfterMs"].get_uint64().get(ms) == simdjson::SUCCESS) {
                out.retry_after_ms = ms;
            }
        }
    }
    return simdjson::SUCCESS;
}

struct ReadObject {
    Answer answer;
    Notification notification;
    bool is_answer = false;
    bool is_notification = false;
};

error_code read_object(ondemand::object object, ReadObject& out) {
    for (auto entry : object) {
        ondemand::field field;
        if (const auto error = std::move(entry).get(field)) { return error; }
        const ondemand::raw_json_string key = field.key();
        ondemand::value value = field.value();
        if (key == "id") {
            // null and text are allowed by JSON-RPC, only not what we sent.
            ondemand::json_type type{};
            if (const auto error = value.type().get(type)) { return error; }
            if (type != ondemand::json_type::number) { continue; }
            uint64_t id = 0;
            if (const auto error = value.get_uint64().get(id)) { return error; }
            out.answer.id = id;
        } else if (key == "result") {
            out.is_answer = true;
            if (const auto error = raw_text(value, out.answer.result)) { return error; }
        } else if (key == "error") {
            // JSON-RPC 1.0 has "error": null beside a result.
            ondemand::json_type type{};
            if (const auto error = value.type().get(type)) { return error; }
            if (type == ondemand::json_type::null) { continue; }
            ondemand::object error_object;
            out.is_answer = true;
            if (const auto error = value.get_object().get(error_object)) { return error; }
            out.answer.failure.emplace();
            if (const auto error = read_failure(error_object, *out.answer.failure)) {
                return error;
            }
        } else if (key == "params") {
            ondemand::object params;
            if (const auto error = value.get_object().get(params)) { return error; }
            out.is_notification = true;
            for (auto inner : params) {
                ondemand::field part;
                if (const auto error = std::move(inner).get(part)) { return error; }
                ondemand::value part_value = part.value();
                const ondemand::raw_json_string name = part.key();
                if (name == "subscription") {
                    if (const auto error =
                            part_value.get_string().get(out.notification.subscription)) {
                        return error;
                    }
                } else if (name == "result") {
                    if (const auto error = raw_text(part_value, out.notification.result)) {
                        return error;
                    }
                }
            }
        }
    }
    return simdjson::SUCCESS;
}

/// "0x" and 64 digits.
bool parse_hash(std::string_view text, Hash256& out) {
    if (text.size() != 66 || !text.starts_with("0x")) { return false; }
    auto hash = hash_from_hex(text);
    if (!hash) { return false; }
    out = *hash;
    return true;
}

error_code read_quantity(ondemand::value value, uint64_t& out) {
    std::string_view text;
    if (const auto error = value.get_string().get(text)) { return error; }
    const auto number = u64_from_hex(text);
    if (!number) { return simdjson::NUMBER_ERROR; }
    out = *number;
    return simdjson::SUCCESS;
}

error_code read_transactions(ondemand::array items,
                             const std::function<void(const Hash256&)>& transaction) {
    for (auto entry : items) {
        ondemand::value item;
        if (const auto error = std::move(entry).get(item)) { return error; }
        std::string_view text;
        ondemand::json_type type{};
        if (const auto error = item.type().get(type)) { return error; }
        const auto error = type == ondemand::json_type::object
                               ? item.find_field_unordered("hash").get_string().get(text)
                               : item.get_string().get(text);
        if (error) { return error; }
        Hash256 hash;
        if (!parse_hash(text, hash)) { return simdjson::NUMBER_ERROR; }
        transaction(hash);
    }
    return simdjson::SUCCESS;
}

}  // namespace

MessageReader::MessageReader() : impl_(std::make_unique<Impl>()) {}
MessageReader::~MessageReader() = default;

Result<void> MessageReader::read(std::string_view text,
                                 const std::function<void(const Answer&)>& answer,
                                 const std::function<void(const Notification&)>& notification) {
    ondemand::document document;
    const auto faulty = [text](error_code error) {
        return std::unexpected(malformed("answer", simdjson::error_message(error), text));
    };
    if (const auto error = impl_->messages.iterate(padded(text)).get(document)) {
        return faulty(error);
    }
    const auto hand_out = [&](ondemand::object object) {
        ReadObject read;
        if (const auto error = read_object(object, read)) { return error; }
        if (read.is_answer) {
            answer(read.answer);
        } else if (read.is_notification) {
            notification(read.notification);
        } else {
            return error_code::NO_SUCH_FIELD;
        }
        return error_code::SUCCESS;
    };
    ondemand::json_type type{};
    if (const auto error = document.type().get(type)) { return faulty(error); }
    if (type != ondemand::json_type::array) {
        ondemand::object object;
        if (const auto error = document.get_object().get(object)) { return faulty(error); }
        if (const auto error = hand_out(object)) { return faulty(error); }
        return {};
    }
    ondemand::array items;
    if (const auto error = document.get_array().get(items)) { return faulty(error); }
    for (auto entry : items) {
        ondemand::object object;
        if (const auto error = entry.get_object().get(object)) { return faulty(error); }
        if (const auto error = hand_out(object)) { return faulty(error); }
    }
    return {};
}

Result<uint64_t> MessageReader::read_block(std::string_view block,
                                           const std::function<void(const Hash256&)>& transaction) {
    const auto faulty = [block](error_code error) {
        return std::unexpected(malformed("block", simdjson::error_message(error), block));
    };
    ondemand::document document;
    ondemand::object object;
    if (const auto error = impl_->parts.iterate(padded(block)).get(document)) {
        return faulty(error);
    }
    if (const auto error = document.get_object().get(object)) { return faulty(error); }
    std::optional<uint64_t> number;
    bool listed = false;
    for (auto entry : object) {
        ondemand::field field;
        if (const auto error = std::move(entry).get(field)) { return faulty(error); }
        const ondemand::raw_json_string key = field.key();
        if (key == "number" || key == "block_number") {
            uint64_t value = 0;
            if (const auto error = read_quantity(field.value(), value)) { return faulty(error); }
            number = value;
        } else if (key == "transactions") {
            listed = true;
            ondemand::array items;
            if (const auto error = field.value().get_array().get(items)) { return faulty(error); }
            if (const auto error = read_transactions(items, transaction)) { return faulty(error); }
        }
    }
    if (!number || !listed) {
        return std::unexpected(malformed("block", "number or transactions are missing", block));
    }
    return *number;
}

Result<std::optional<MessageReader::Receipt>>
MessageReader::read_receipt(std::string_view receipt) {
    if (receipt == "null") { return std::nullopt; }
    const auto faulty = [receipt](error_code error) {
        return std::unexpected(malformed("receipt", simdjson::error_message(error), receipt));
    };
    ondemand::document document;
    ondemand::object object;
    if (const auto error = impl_->parts.iterate(padded(receipt)).get(document)) {
        return faulty(error);
    }
    if (const auto error = document.get_object().get(object)) { return faulty(error); }
    Receipt out;
    unsigned found = 0;
    for (auto entry : object) {
        ondemand::field field;
        if (const auto error = std::move(entry).get(field)) { return faulty(error); }
        const ondemand::raw_json_string key = field.key();
        uint64_t value = 0;
        if (key == "status" || key == "blockNumber" || key == "gasUsed") {
            if (const auto error = read_quantity(field.value(), value)) { return faulty(error); }
            ++found;
        }
        if (key == "status") {
            out.succeeded = value == 1;
        } else if (key == "blockNumber") {
            out.block_number = value;
        } else if (key == "gasUsed") {
            out.gas_used = value;
        } else if (key == "transactionHash") {
            std::string_view text;
            if (const auto error = field.value().get_string().get(text)) { return faulty(error); }
            if (!parse_hash(text, out.transaction_hash)) { return faulty(simdjson::NUMBER_ERROR); }
            ++found;
        }
    }
    if (found != 4) {
        return std::unexpected(malformed("receipt", "a field is missing or twice there", receipt));
    }
    return out;
}

Result<std::string_view> plain_string(std::string_view json) {
    const bool quoted = json.size() >= 2 && json.front() == '"' && json.back() == '"';
    const std::string_view text = quoted ? json.substr(1, json.size() - 2) : std::string_view{};
    if (!quoted || text.find_first_of("\"\\") != std::string_view::npos) {
        return std::unexpected(malformed("answer", "a plain text was expected", json));
    }
    return text;
}

}  // namespace millrace::load
