// SPDX-License-Identifier: Apache-2.0
// Owns encoding and decoding of log records.
#include "storage/wal/record.hpp"

#include <bit>

#include "kernels/sha256/sha256.hpp"
#include "storage/detail/codec.hpp"

namespace millrace::storage {
namespace {

using detail::Reader;
using detail::Writer;

constexpr size_t transaction_bytes_min = 4;

/// A delta is the last field of every payload but one, so it takes what is left.
Result<StateDelta> rest_as_delta(Reader& r) {
    MILLRACE_TRY(const ByteView rest, r.raw(r.left()));
    return decode_state_delta(rest);
}

void encode(Writer& w, Bytes& out, const BlockOpen& b) {
    w.u64(b.number);
    w.u64(b.timestamp_s);
    w.fixed(b.parent_hash);
    w.u256(b.base_fee_per_gas);
    w.u64(b.gas_limit);
    w.fixed(b.coinbase);
    w.fixed(b.prev_randao);
    w.fixed(b.parent_beacon_block_root);
    w.u8(b.parent_promised ? 1 : 0);
    encode_state_delta(b.post_values, out);
}

Result<Record> decode_block_open(Reader& r) {
    BlockOpen b;
    MILLRACE_TRY(b.number, r.u64());
    MILLRACE_TRY(b.timestamp_s, r.u64());
    MILLRACE_TRY(b.parent_hash, r.hash());
    MILLRACE_TRY(b.base_fee_per_gas, r.u256());
    MILLRACE_TRY(b.gas_limit, r.u64());
    MILLRACE_TRY(b.coinbase, r.address());
    MILLRACE_TRY(b.prev_randao, r.hash());
    MILLRACE_TRY(b.parent_beacon_block_root, r.hash());
    MILLRACE_TRY(const uint8_t promised, r.u8());
    if (promised > 1) { return r.bad("a promise of " + std::to_string(promised)); }
    b.parent_promised = promised == 1;
    MILLRACE_TRY(b.post_values, rest_as_delta(r));
    return b;
}

/// The part that the digest covers comes after the signature, in one piece.
void encode_signed_part(Writer& w, Bytes& out, const MiniBlockParts& parts) {
    const MiniBlock& m = parts.fields;
    w.u64(m.chain_id);
    w.u64(m.epoch);
    w.u64(m.number);
    w.fixed(m.parent);
    w.u64(m.block_number);
    w.u32(m.index);
    w.u64(std::bit_cast<uint64_t>(m.time_us));
    w.fixed(m.receipts_digest);
    w.count(parts.transactions.size());
    for (const ByteView t : parts.transactions) { w.bytes(t); }
    w.bytes(parts.access);
    encode_state_delta(parts.post_values, out);
}

/// Calls `f` with the parts of a mini-block that has them all.
template <class F>
auto with_own_parts(const MiniBlock& m, F&& f) {
    const std::vector<ByteView> transactions(m.transactions.begin(), m.transactions.end());
    return f(MiniBlockParts{m, transactions, m.access, m.post_values});
}

void encode(Writer&, Bytes& out, const MiniBlock& m) {
    with_own_parts(m, [&](const MiniBlockParts& parts) { return encode_mini_block(parts, out); });
}

Result<Record> decode_mini_block(Reader& r) {
    MiniBlock m;
    MILLRACE_TRY(m.signature, r.owned_bytes());
    if (m.signature.size() > signature_bytes_max) {
        return r.bad("a signature of " + std::to_string(m.signature.size()) + " bytes");
    }
    MILLRACE_TRY(m.chain_id, r.u64());
    MILLRACE_TRY(m.epoch, r.u64());
    MILLRACE_TRY(m.number, r.u64());
    MILLRACE_TRY(m.parent, r.hash());
    MILLRACE_TRY(m.block_number, r.u64());
    MILLRACE_TRY(m.index, r.u32());
    MILLRACE_TRY(const uint64_t time, r.u64());
    m.time_us = std::bit_cast<int64_t>(time);
    MILLRACE_TRY(m.receipts_digest, r.hash());
    MILLRACE_TRY(const size_t count, r.count(transaction_bytes_min));
    m.transactions.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        MILLRACE_TRY(Bytes t, r.owned_bytes());
        m.transactions.push_back(std::move(t));
    }
    MILLRACE_TRY(m.access, r.owned_bytes());
    MILLRACE_TRY(m.post_values, rest_as_delta(r));
    return m;
}

void encode(Writer& w, Bytes& out, const BlockClose& b) {
    w.u64(b.number);
    encode_state_delta(b.post_values, out);
}

Result<Record> decode_block_close(Reader& r) {
    BlockClose b;
    MILLRACE_TRY(b.number, r.u64());
    MILLRACE_TRY(b.post_values, rest_as_delta(r));
    return b;
}

void encode(Writer& w, Bytes& out, const BlockSeal& b) {
    w.u64(b.number);
    w.fixed(b.hash);
    w.bytes(b.header);
    w.fixed(b.state_root);
    encode_state_delta(b.post_values, out);
}

Result<Record> decode_block_seal(Reader& r) {
    BlockSeal b;
    MILLRACE_TRY(b.number, r.u64());
    MILLRACE_TRY(b.hash, r.hash());
    MILLRACE_TRY(b.header, r.owned_bytes());
    MILLRACE_TRY(b.state_root, r.hash());
    MILLRACE_TRY(b.post_values, rest_as_delta(r));
    return b;
}

void encode(Writer& w, Bytes& out, const DevEdit& e) {
    MILLRACE_ASSERT(e.kind.size() <= dev_edit_kind_bytes_max, "kinds are short names");
    w.bytes(as_bytes(e.kind));
    encode_state_delta(e.post_values, out);
}

Result<Record> decode_dev_edit(Reader& r) {
    DevEdit e;
    MILLRACE_TRY(const ByteView kind, r.bytes());
    if (kind.size() > dev_edit_kind_bytes_max) {
        return r.bad("an edit kind of " + std::to_string(kind.size()) + " bytes");
    }
    e.kind.assign(kind.begin(), kind.end());
    MILLRACE_TRY(e.post_values, rest_as_delta(r));
    return e;
}

void encode(Writer& w, Bytes& out, const Revert& v) {
    w.u64(v.to_mini_block);
    w.u64(v.to_block);
    w.u64(v.epoch);
    encode_state_delta(v.post_values, out);
}

Result<Record> decode_revert(Reader& r) {
    Revert v;
    MILLRACE_TRY(v.to_mini_block, r.u64());
    MILLRACE_TRY(v.to_block, r.u64());
    MILLRACE_TRY(v.epoch, r.u64());
    MILLRACE_TRY(v.post_values, rest_as_delta(r));
    return v;
}

}  // namespace

std::string_view to_string(RecordKind kind) noexcept {
    switch (kind) {
        case RecordKind::block_open: return "block_open";
        case RecordKind::mini_block: return "mini_block";
        case RecordKind::block_seal: return "block_seal";
        case RecordKind::dev_edit: return "dev_edit";
        case RecordKind::revert: return "revert";
        case RecordKind::block_close: return "block_close";
    }
    return "unknown";
}

RecordKind kind_of(const Record& record) noexcept {
    static_assert(std::variant_size_v<Record> == 6, "the alternatives are in the order of kinds");
    return static_cast<RecordKind>(record.index() + 1);
}

const StateDelta& post_values_of(const Record& record) noexcept {
    return std::visit([](const auto& r) -> const StateDelta& { return r.post_values; }, record);
}

void encode_record(const Record& record, Bytes& out) {
    Writer w{out};
    std::visit([&](const auto& r) { encode(w, out, r); }, record);
}

Result<Record> decode_record(RecordKind kind, ByteView payload) {
    Reader r{payload, to_string(kind)};
    switch (kind) {
        case RecordKind::block_open: return decode_block_open(r);
        case RecordKind::mini_block: return decode_mini_block(r);
        case RecordKind::block_seal: return decode_block_seal(r);
        case RecordKind::dev_edit: return decode_dev_edit(r);
        case RecordKind::revert: return decode_revert(r);
        case RecordKind::block_close: return decode_block_close(r);
    }
    return fail(ErrorCode::invalid_input, "log record of unknown kind " +
                                              std::to_string(static_cast<unsigned>(kind)) +
                                              "; it was written by a newer version of the program");
}

Hash256 mini_block_digest(const MiniBlock& mini_block) {
    return with_own_parts(mini_block, [](const MiniBlockParts& parts) {
        Bytes encoded;
        Writer w{encoded};
        encode_signed_part(w, encoded, parts);
        return kernels::sha256(encoded);
    });
}

Hash256 encode_mini_block(const MiniBlockParts& parts, Bytes& out) {
    MILLRACE_ASSERT(parts.fields.signature.size() <= signature_bytes_max, "signatures are short");
    Writer w{out};
    w.bytes(parts.fields.signature);
    const size_t signed_from = out.size();
    encode_signed_part(w, out, parts);
    return kernels::sha256(ByteView{out}.subspan(signed_from));
}

}  // namespace millrace::storage
