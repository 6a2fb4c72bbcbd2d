// SPDX-License-Identifier: Apache-2.0
// Owns decoding, encoding and hashing of transactions of every type.
#include "evm/tx/transaction.hpp"

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

/// Order of the group of secp256k1.
constexpr U256 secp256k1_order{0xffffffffffffffffull, 0xfffffffffffffffeull, 0xbaaedce6af48a03bull,
                               0xbfd25e8cd0364141ull};

/// The smallest encodings, which bound how many items an input of some size can hold.
constexpr size_t access_list_entry_bytes_min = 1 + encoded_address_bytes + 1;
constexpr size_t authorization_bytes_min = 1 + encoded_address_bytes + 5;

std::string_view type_name(TxType type) noexcept {
    switch (type) {
        case TxType::legacy: return "legacy transaction";
        case TxType::access_list: return "access list transaction (type 0x01)";
        case TxType::dynamic_fee: return "dynamic fee transaction (type 0x02)";
        case TxType::blob: return "blob transaction (type 0x03)";
        case TxType::set_code: return "set code transaction (type 0x04)";
        case TxType::deposit: return "deposit transaction (type 0x7e)";
    }
    return "transaction";
}

Result<std::optional<Address>> read_recipient(FieldReader& fields) {
    MILLRACE_TRY(const ByteView v, fields.bytes("to"));
    if (v.empty()) { return std::nullopt; }
    if (v.size() != Address::size_bytes) {
        return fields.error("to", "has " + std::to_string(v.size()) +
                                      " bytes; give an address of 20 bytes, or nothing to create a "
                                      "contract");
    }
    return Address::from(v);
}

Result<std::vector<Hash256>> read_hashes(FieldReader& fields, std::string_view name) {
    MILLRACE_TRY(const rlp::Reader list, fields.list(name));
    return fields.named(detail::read_items<Hash256>(list, encoded_hash_bytes,
                                                    [](rlp::Reader& r) { return r.hash(); }),
                        name);
}

Result<AccessListEntry> read_access_list_entry(rlp::Reader& reader) {
    MILLRACE_TRY(const rlp::Reader list, reader.list());
    FieldReader fields(list, "access list entry");
    AccessListEntry entry;
    MILLRACE_TRY(entry.address, fields.address("address"));
    MILLRACE_TRY(entry.storage_keys, read_hashes(fields, "storage_keys"));
    MILLRACE_CHECK(fields.end());
    return entry;
}

Result<AccessList> read_access_list(FieldReader& fields) {
    MILLRACE_TRY(const rlp::Reader list, fields.list("access_list"));
    return fields.named(detail::read_items<AccessListEntry>(list, access_list_entry_bytes_min,
                                                            read_access_list_entry),
                        "access_list");
}

Result<Authorization> read_authorization(rlp::Reader& reader) {
    MILLRACE_TRY(const rlp::Reader list, reader.list());
    FieldReader fields(list, "authorization");
    Authorization a;
    MILLRACE_TRY(a.chain_id, fields.u256("chain_id"));
    MILLRACE_TRY(a.address, fields.address("address"));
    MILLRACE_TRY(a.nonce, fields.u64("nonce"));
    MILLRACE_TRY(const uint64_t y_parity, fields.u64("y_parity"));
    if (y_parity > 0xff) {
        return fields.error("y_parity", "is " + std::to_string(y_parity) + ", above 255");
    }
    a.y_parity = static_cast<uint8_t>(y_parity);
    MILLRACE_TRY(a.r, fields.u256("r"));
    MILLRACE_TRY(a.s, fields.u256("s"));
    MILLRACE_CHECK(fields.end());
    return a;
}

Result<std::vector<Authorization>> read_authorization_list(FieldReader& fields) {
    MILLRACE_TRY(const rlp::Reader list, fields.list("authorization_list"));
    return fields.named(
        detail::read_items<Authorization>(list, authorization_bytes_min, read_authorization),
        "authorization_list");
}

/// Splits a legacy v into parity and chain id (EIP-155).
Result<void> read_legacy_v(FieldReader& fields, Transaction& tx) {
    MILLRACE_TRY(const U256 v, fields.u256("v"));
    if (v == U256{27} || v == U256{28}) {
        tx.y_parity = v == U256{28} ? 1 : 0;
        return {};
    }
    if (v < U256{35}) {
        return fields.error("v", "is " + to_decimal(v) +
                                     "; expected 27, 28 or 35 + 2 * chain id + parity (EIP-155)");
    }
    const U256 offset = v - U256{35};
    const U256 chain_id = shr(offset, 1);
    if (!chain_id.fits_u64()) { return fields.error("v", "stands for a chain id above 64 bits"); }
    tx.chain_id = chain_id.low64();
    tx.y_parity = static_cast<uint8_t>(offset.low64() & 1);
    return {};
}

Result<void> read_signature_scalars(FieldReader& fields, Transaction& tx) {
    MILLRACE_TRY(tx.r, fields.u256("r"));
    MILLRACE_TRY(tx.s, fields.u256("s"));
    return {};
}

Result<Transaction> decode_legacy(FieldReader fields) {
    Transaction tx;
    MILLRACE_TRY(tx.nonce, fields.u64("nonce"));
    MILLRACE_TRY(tx.max_fee_per_gas, fields.u256("gas_price"));
    tx.max_priority_fee_per_gas = tx.max_fee_per_gas;
    MILLRACE_TRY(tx.gas_limit, fields.u64("gas_limit"));
    MILLRACE_TRY(tx.to, read_recipient(fields));
    MILLRACE_TRY(tx.value, fields.u256("value"));
    MILLRACE_TRY(const ByteView data, fields.bytes("data"));
    tx.data.assign(data.begin(), data.end());
    MILLRACE_CHECK(read_legacy_v(fields, tx));
    MILLRACE_CHECK(read_signature_scalars(fields, tx));
    MILLRACE_CHECK(fields.end());
    return tx;
}

Result<Transaction> decode_deposit(FieldReader fields) {
    Transaction tx;
    tx.type = TxType::deposit;
    MILLRACE_TRY(tx.source_hash, fields.hash("source_hash"));
    MILLRACE_TRY(tx.from, fields.address("from"));
    MILLRACE_TRY(tx.to, read_recipient(fields));
    MILLRACE_TRY(tx.mint, fields.u256("mint"));
    MILLRACE_TRY(tx.value, fields.u256("value"));
    MILLRACE_TRY(tx.gas_limit, fields.u64("gas_limit"));
    MILLRACE_TRY(const bool is_system, fields.flag("is_system"));
    if (is_system) {
        return fields.error("is_system",
                            "is set; system deposits, whose gas is not metered, are not accepted");
    }
    MILLRACE_TRY(const ByteView data, fields.bytes("data"));
    tx.data.assign(data.begin(), data.end());
    MILLRACE_CHECK(fields.end());
    return tx;
}

/// The types 0x01 to 0x04, which differ in a few fields at known places.
Result<Transaction> decode_signed_typed(TxType type, FieldReader fields) {
    if (type == TxType::blob && fields.next_is_list()) {
        return fail(
            ErrorCode::invalid_input,
            "blob transaction (type 0x03): this is the network form with its sidecar of "
            "blobs, commitments and proofs; only the form without sidecar is accepted here");
    }
    Transaction tx;
    tx.type = type;
    MILLRACE_TRY(tx.chain_id, fields.u64("chain_id"));
    MILLRACE_TRY(tx.nonce, fields.u64("nonce"));
    if (type == TxType::access_list) {
        MILLRACE_TRY(tx.max_fee_per_gas, fields.u256("gas_price"));
        tx.max_priority_fee_per_gas = tx.max_fee_per_gas;
    } else {
        MILLRACE_TRY(tx.max_priority_fee_per_gas, fields.u256("max_priority_fee_per_gas"));
        MILLRACE_TRY(tx.max_fee_per_gas, fields.u256("max_fee_per_gas"));
    }
    MILLRACE_TRY(tx.gas_limit, fields.u64("gas_limit"));
    MILLRACE_TRY(tx.to, read_recipient(fields));
    if (!tx.to && (type == TxType::blob || type == TxType::set_code)) {
        return fields.error("to", "is empty, but this type cannot create contracts");
    }
    MILLRACE_TRY(tx.value, fields.u256("value"));
    MILLRACE_TRY(const ByteView data, fields.bytes("data"));
    tx.data.assign(data.begin(), data.end());
    MILLRACE_TRY(tx.access_list, read_access_list(fields));
    if (type == TxType::blob) {
        MILLRACE_TRY(tx.max_fee_per_blob_gas, fields.u256("max_fee_per_blob_gas"));
        MILLRACE_TRY(tx.blob_versioned_hashes, read_hashes(fields, "blob_versioned_hashes"));
    }
    if (type == TxType::set_code) {
        MILLRACE_TRY(tx.authorization_list, read_authorization_list(fields));
    }
    MILLRACE_TRY(const bool y_parity, fields.flag("y_parity"));
    tx.y_parity = y_parity ? 1 : 0;
    MILLRACE_CHECK(read_signature_scalars(fields, tx));
    MILLRACE_CHECK(fields.end());
    return tx;
}

// --- Encoding ---

void append_recipient(Bytes& out, const Transaction& tx) {
    rlp::append_bytes(out, tx.to ? tx.to->view() : ByteView{});
}

size_t access_list_entry_payload_bytes(const AccessListEntry& entry) noexcept {
    return encoded_address_bytes +
           encoded_list_bytes(entry.storage_keys.size() * encoded_hash_bytes);
}

void append_hashes(Bytes& out, const std::vector<Hash256>& hashes) {
    rlp::append_list_header(out, hashes.size() * encoded_hash_bytes);
    for (const Hash256& h : hashes) { rlp::append_fixed(out, h); }
}

void append_access_list(Bytes& out, const AccessList& list) {
    size_t payload_bytes = 0;
    for (const AccessListEntry& entry : list) {
        payload_bytes += encoded_list_bytes(access_list_entry_payload_bytes(entry));
    }
    rlp::append_list_header(out, payload_bytes);
    for (const AccessListEntry& entry : list) {
        rlp::append_list_header(out, access_list_entry_payload_bytes(entry));
        rlp::append_fixed(out, entry.address);
        append_hashes(out, entry.storage_keys);
    }
}

size_t authorization_payload_bytes(const Authorization& a) noexcept {
    return detail::encoded_bytes(a.chain_id) + encoded_address_bytes +
           detail::encoded_bytes(U256{a.nonce}) + detail::encoded_bytes(U256{a.y_parity}) +
           detail::encoded_bytes(a.r) + detail::encoded_bytes(a.s);
}

void append_authorization_list(Bytes& out, const std::vector<Authorization>& list) {
    size_t payload_bytes = 0;
    for (const Authorization& a : list) {
        payload_bytes += encoded_list_bytes(authorization_payload_bytes(a));
    }
    rlp::append_list_header(out, payload_bytes);
    for (const Authorization& a : list) {
        rlp::append_list_header(out, authorization_payload_bytes(a));
        rlp::append_u256(out, a.chain_id);
        rlp::append_fixed(out, a.address);
        rlp::append_u64(out, a.nonce);
        rlp::append_u64(out, a.y_parity);
        rlp::append_u256(out, a.r);
        rlp::append_u256(out, a.s);
    }
}

/// The fields up to the signature, as they are both signed and sent.
void append_unsigned_fields(Bytes& out, const Transaction& tx) {
    if (tx.type == TxType::deposit) {
        rlp::append_fixed(out, tx.source_hash);
        rlp::append_fixed(out, tx.from);
        append_recipient(out, tx);
        rlp::append_u256(out, tx.mint);
        rlp::append_u256(out, tx.value);
        rlp::append_u64(out, tx.gas_limit);
        rlp::append_u64(out, 0);  // is_system
        rlp::append_bytes(out, tx.data);
        return;
    }
    if (tx.type != TxType::legacy) { rlp::append_u64(out, tx.chain_id.value_or(0)); }
    rlp::append_u64(out, tx.nonce);
    if (!tx.has_gas_price_only()) { rlp::append_u256(out, tx.max_priority_fee_per_gas); }
    rlp::append_u256(out, tx.max_fee_per_gas);
    rlp::append_u64(out, tx.gas_limit);
    append_recipient(out, tx);
    rlp::append_u256(out, tx.value);
    rlp::append_bytes(out, tx.data);
    if (tx.type == TxType::legacy) { return; }
    append_access_list(out, tx.access_list);
    if (tx.type == TxType::blob) {
        rlp::append_u256(out, tx.max_fee_per_blob_gas);
        append_hashes(out, tx.blob_versioned_hashes);
    }
    if (tx.type == TxType::set_code) { append_authorization_list(out, tx.authorization_list); }
}

void append_signature(Bytes& out, const Transaction& tx) {
    if (tx.type == TxType::deposit) { return; }
    U256 v{tx.y_parity};
    if (tx.type == TxType::legacy) {
        v += tx.chain_id ? U256{35} + shl(U256{*tx.chain_id}, 1) : U256{27};
    }
    rlp::append_u256(out, v);
    rlp::append_u256(out, tx.r);
    rlp::append_u256(out, tx.s);
}

/// An upper guess of the encoded size, so that encoding allocates once.
size_t encoded_bytes_guess(const Transaction& tx) noexcept {
    size_t n = 320 + tx.data.size() + tx.blob_versioned_hashes.size() * encoded_hash_bytes +
               tx.authorization_list.size() * 140;
    for (const AccessListEntry& entry : tx.access_list) {
        n += 32 + entry.storage_keys.size() * encoded_hash_bytes;
    }
    return n;
}

Bytes envelope(const Transaction& tx, ByteView payload) {
    Bytes out;
    out.reserve(payload.size() + 10);
    if (tx.type != TxType::legacy) { out.push_back(static_cast<uint8_t>(tx.type)); }
    rlp::append_list(out, payload);
    return out;
}

}  // namespace

Result<Transaction> decode_transaction(ByteView raw) {
    if (raw.empty()) { return fail(ErrorCode::invalid_input, "transaction: the input is empty"); }
    const uint8_t first = raw[0];
    if (first >= 0xc0) {
        const std::string_view name = type_name(TxType::legacy);
        MILLRACE_TRY(const rlp::Reader list, detail::in_context(rlp::read_list(raw), name));
        return decode_legacy(FieldReader(list, name));
    }
    const auto type = static_cast<TxType>(first);
    switch (type) {
        case TxType::access_list:
        case TxType::dynamic_fee:
        case TxType::blob:
        case TxType::set_code: {
            MILLRACE_TRY(const rlp::Reader list,
                         detail::in_context(rlp::read_list(raw.subspan(1)), type_name(type)));
            return decode_signed_typed(type, FieldReader(list, type_name(type)));
        }
        case TxType::deposit: {
            MILLRACE_TRY(const rlp::Reader list,
                         detail::in_context(rlp::read_list(raw.subspan(1)), type_name(type)));
            return decode_deposit(FieldReader(list, type_name(type)));
        }
        case TxType::legacy: break;
    }
    return fail(ErrorCode::invalid_input,
                "transaction: type " + to_hex(raw.first(1)) +
                    " is unknown; expected a legacy transaction (an RLP list) or one of the types "
                    "0x01, 0x02, 0x03, 0x04 and 0x7e");
}

Bytes encode_transaction(const Transaction& tx) {
    Bytes payload;
    payload.reserve(encoded_bytes_guess(tx));
    append_unsigned_fields(payload, tx);
    append_signature(payload, tx);
    return envelope(tx, payload);
}

Hash256 transaction_hash(const Transaction& tx) {
    return kernels::keccak256(encode_transaction(tx));
}

Hash256 signing_hash(const Transaction& tx) {
    MILLRACE_ASSERT(tx.type != TxType::deposit, "a deposit is not signed");
    Bytes payload;
    payload.reserve(encoded_bytes_guess(tx));
    append_unsigned_fields(payload, tx);
    if (tx.type == TxType::legacy && tx.chain_id) {
        rlp::append_u64(payload, *tx.chain_id);
        rlp::append_u64(payload, 0);
        rlp::append_u64(payload, 0);
    }
    return kernels::keccak256(envelope(tx, payload));
}

Hash256 authorization_signing_hash(const Authorization& authorization) {
    Bytes message{0x05};
    rlp::append_list_header(message, detail::encoded_bytes(authorization.chain_id) +
                                         encoded_address_bytes +
                                         detail::encoded_bytes(U256{authorization.nonce}));
    rlp::append_u256(message, authorization.chain_id);
    rlp::append_fixed(message, authorization.address);
    rlp::append_u64(message, authorization.nonce);
    return kernels::keccak256(message);
}

bool signature_values_valid(const Transaction& tx, bool allow_high_s) noexcept {
    if (tx.type == TxType::deposit) { return true; }
    const U256 s_max = allow_high_s ? secp256k1_order - U256{1} : shr(secp256k1_order, 1);
    return tx.y_parity <= 1 && !tx.r.is_zero() && tx.r < secp256k1_order && !tx.s.is_zero() &&
           tx.s <= s_max;
}

}  // namespace millrace::evm
