// SPDX-License-Identifier: Apache-2.0
// Owns the bloom filter and the receipt's wire form.
#include "evm/tx/receipt.hpp"

#include <string>

#include "evm/tx/encoded_size.hpp"
#include "evm/tx/field_reader.hpp"
#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm {
namespace {

using detail::encoded_address_bytes;
using detail::encoded_hash_bytes;
using detail::encoded_list_bytes;
using detail::FieldReader;

constexpr size_t log_bytes_min = 1 + encoded_address_bytes + 1 + 1;

constexpr size_t bloom_byte(uint16_t bit) noexcept { return Bloom::size_bytes - 1 - bit / 8; }
constexpr uint8_t bloom_mask(uint16_t bit) noexcept { return static_cast<uint8_t>(1u << bit % 8); }

Result<Log> read_log(rlp::Reader& reader) {
    MILLRACE_TRY(const rlp::Reader list, reader.list());
    FieldReader fields(list, "log");
    Log log;
    MILLRACE_TRY(log.address, fields.address("address"));
    MILLRACE_TRY(const rlp::Reader topics, fields.list("topics"));
    if (topics.rest().size() > Topics::count_max * encoded_hash_bytes) {
        return fields.error("topics", "has more than 4 items");
    }
    MILLRACE_TRY(const std::vector<Hash256> items,
                 fields.named(detail::read_items<Hash256>(topics, encoded_hash_bytes,
                                                          [](rlp::Reader& r) { return r.hash(); }),
                              "topics"));
    log.topics = Topics(items);
    MILLRACE_TRY(const ByteView data, fields.bytes("data"));
    log.data.assign(data.begin(), data.end());
    MILLRACE_CHECK(fields.end());
    return log;
}

size_t log_payload_bytes(const Log& log) noexcept {
    return encoded_address_bytes + encoded_list_bytes(log.topics.size() * encoded_hash_bytes) +
           detail::encoded_bytes(log.data);
}

/// What the headers of a receipt's lists say.
struct ReceiptSizes {
    size_t logs_bytes = 0;
    size_t payload_bytes = 0;

    explicit ReceiptSizes(const Receipt& receipt) noexcept {
        for (const Log& log : receipt.logs) {
            logs_bytes += encoded_list_bytes(log_payload_bytes(log));
        }
        payload_bytes = (receipt.state_root ? encoded_hash_bytes : 1) +
                        detail::encoded_bytes(U256{receipt.cumulative_gas_used}) + 3 +
                        Bloom::size_bytes + encoded_list_bytes(logs_bytes);
    }
};

/// Reads what stands in front of the gas: a status, or the state root of old receipts.
Result<void> read_outcome(FieldReader& fields, Receipt& receipt) {
    MILLRACE_TRY(const ByteView v, fields.bytes("status"));
    if (v.size() == Hash256::size_bytes && receipt.type == TxType::legacy) {
        receipt.state_root = Hash256::from(v);
        return {};
    }
    if (v.empty()) { return {}; }
    if (v.size() == 1 && v[0] == 1) {
        receipt.success = true;
        return {};
    }
    return fields.error("status", receipt.type == TxType::legacy
                                      ? "is neither 0, 1 nor a state root of 32 bytes"
                                      : "is neither 0 nor 1");
}

}  // namespace

BloomBits bloom_bits(ByteView item) noexcept {
    const Hash256 h = kernels::keccak256(item);
    BloomBits bits;
    for (size_t i = 0; i < bits.size(); ++i) {
        bits[i] = static_cast<uint16_t>((unsigned{h[2 * i]} << 8 | h[2 * i + 1]) & 0x7ffu);
    }
    return bits;
}

void bloom_add(Bloom& bloom, const BloomBits& bits) noexcept {
    for (const uint16_t bit : bits) { bloom[bloom_byte(bit)] |= bloom_mask(bit); }
}

void bloom_add(Bloom& bloom, ByteView item) noexcept { bloom_add(bloom, bloom_bits(item)); }

void bloom_add(Bloom& bloom, const Log& log) noexcept {
    bloom_add(bloom, log.address.view());
    for (const Hash256& topic : log.topics) { bloom_add(bloom, topic.view()); }
}

Bloom bloom_of(const std::vector<Log>& logs) noexcept {
    Bloom bloom;
    for (const Log& log : logs) { bloom_add(bloom, log); }
    return bloom;
}

void bloom_merge(Bloom& into, const Bloom& from) noexcept {
    for (size_t i = 0; i < Bloom::size_bytes; ++i) { into[i] |= from[i]; }
}

bool bloom_may_contain(const Bloom& bloom, ByteView item) noexcept {
    bool all = true;
    for (const uint16_t bit : bloom_bits(item)) {
        all &= (bloom[bloom_byte(bit)] & bloom_mask(bit)) != 0;
    }
    return all;
}

size_t encoded_receipt_bytes(const Receipt& receipt) noexcept {
    const ReceiptSizes sizes(receipt);
    return (receipt.type != TxType::legacy ? 1 : 0) + encoded_list_bytes(sizes.payload_bytes);
}

Bytes encode_receipt(const Receipt& receipt) {
    Bytes out;
    out.reserve(encoded_receipt_bytes(receipt));
    append_receipt(out, receipt);
    return out;
}

void append_receipt(Bytes& out, const Receipt& receipt) {
    MILLRACE_ASSERT(!receipt.state_root || receipt.type == TxType::legacy,
                    "typed receipts carry a status");
    const auto [logs_bytes, payload_bytes] = ReceiptSizes(receipt);
    if (receipt.type != TxType::legacy) { out.push_back(static_cast<uint8_t>(receipt.type)); }
    rlp::append_list_header(out, payload_bytes);
    if (receipt.state_root) {
        rlp::append_fixed(out, *receipt.state_root);
    } else {
        rlp::append_u64(out, receipt.success ? 1 : 0);
    }
    rlp::append_u64(out, receipt.cumulative_gas_used);
    rlp::append_fixed(out, receipt.bloom);
    rlp::append_list_header(out, logs_bytes);
    for (const Log& log : receipt.logs) {
        rlp::append_list_header(out, log_payload_bytes(log));
        rlp::append_fixed(out, log.address);
        rlp::append_list_header(out, log.topics.size() * encoded_hash_bytes);
        for (const Hash256& topic : log.topics) { rlp::append_fixed(out, topic); }
        rlp::append_bytes(out, log.data);
    }
}

Result<Receipt> decode_receipt(ByteView raw) {
    if (raw.empty()) { return fail(ErrorCode::invalid_input, "receipt: the input is empty"); }
    Receipt receipt;
    if (raw[0] < 0xc0) {
        receipt.type = static_cast<TxType>(raw[0]);
        switch (receipt.type) {
            case TxType::access_list:
            case TxType::dynamic_fee:
            case TxType::blob:
            case TxType::set_code:
            case TxType::deposit: break;
            default:
                return fail(ErrorCode::invalid_input,
                            "receipt: type " + to_hex(raw.first(1)) + " is unknown");
        }
        raw = raw.subspan(1);
    }
    MILLRACE_TRY(const rlp::Reader list, detail::in_context(rlp::read_list(raw), "receipt"));
    FieldReader fields(list, "receipt");
    MILLRACE_CHECK(read_outcome(fields, receipt));
    MILLRACE_TRY(receipt.cumulative_gas_used, fields.u64("cumulative_gas_used"));
    MILLRACE_TRY(receipt.bloom, fields.fixed<Bloom::size_bytes>("bloom"));
    MILLRACE_TRY(const rlp::Reader logs, fields.list("logs"));
    MILLRACE_TRY(receipt.logs,
                 fields.named(detail::read_items<Log>(logs, log_bytes_min, read_log), "logs"));
    MILLRACE_CHECK(fields.end());
    return receipt;
}

}  // namespace millrace::evm
