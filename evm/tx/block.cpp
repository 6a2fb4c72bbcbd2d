// SPDX-License-Identifier: Apache-2.0
// Owns the wire forms and hashes of headers, withdrawals and blocks.
#include "evm/tx/block.hpp"

#include <string>

#include "evm/tx/encoded_size.hpp"
#include "evm/tx/field_reader.hpp"
#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm {
namespace {

using detail::FieldReader;

consteval Hash256 constant(std::string_view hex) {
    Hash256 h;
    for (size_t i = 0; i < 64; ++i) {
        const char c = hex.at(i);
        const int digit = c >= 'a' ? c - 'a' + 10 : c - '0';
        h.bytes[i / 2] = static_cast<uint8_t>(h.bytes[i / 2] << 4 | digit);
    }
    return h;
}

/// The smallest encodings, which bound how many items an input of some size can hold.
constexpr size_t transaction_bytes_min = 10;
constexpr size_t withdrawal_bytes_min = 1 + 3 + detail::encoded_address_bytes;
constexpr size_t header_bytes_min = 6 * detail::encoded_hash_bytes + 256;

Result<BlockHeader> read_header(rlp::Reader& reader) {
    MILLRACE_TRY(const rlp::Reader list, detail::in_context(reader.list(), "header"));
    FieldReader f(list, "header");
    BlockHeader h;
    MILLRACE_TRY(h.parent_hash, f.hash("parent_hash"));
    MILLRACE_TRY(h.ommers_hash, f.hash("ommers_hash"));
    MILLRACE_TRY(h.coinbase, f.address("coinbase"));
    MILLRACE_TRY(h.state_root, f.hash("state_root"));
    MILLRACE_TRY(h.transactions_root, f.hash("transactions_root"));
    MILLRACE_TRY(h.receipts_root, f.hash("receipts_root"));
    MILLRACE_TRY(h.logs_bloom, f.fixed<Bloom::size_bytes>("logs_bloom"));
    MILLRACE_TRY(h.difficulty, f.u256("difficulty"));
    MILLRACE_TRY(h.number, f.u64("number"));
    MILLRACE_TRY(h.gas_limit, f.u64("gas_limit"));
    MILLRACE_TRY(h.gas_used, f.u64("gas_used"));
    MILLRACE_TRY(h.timestamp, f.u64("timestamp"));
    MILLRACE_TRY(const ByteView extra_data, f.bytes("extra_data"));
    h.extra_data.assign(extra_data.begin(), extra_data.end());
    MILLRACE_TRY(h.prev_randao, f.hash("prev_randao"));
    MILLRACE_TRY(h.nonce, f.fixed<8>("nonce"));
    if (!f.at_end()) { MILLRACE_TRY(h.base_fee_per_gas, f.u256("base_fee_per_gas")); }
    if (!f.at_end()) { MILLRACE_TRY(h.withdrawals_root, f.hash("withdrawals_root")); }
    if (!f.at_end()) { MILLRACE_TRY(h.blob_gas_used, f.u64("blob_gas_used")); }
    if (!f.at_end()) { MILLRACE_TRY(h.excess_blob_gas, f.u64("excess_blob_gas")); }
    if (!f.at_end()) {
        MILLRACE_TRY(h.parent_beacon_block_root, f.hash("parent_beacon_block_root"));
    }
    if (!f.at_end()) { MILLRACE_TRY(h.requests_hash, f.hash("requests_hash")); }
    MILLRACE_CHECK(f.end());
    return h;
}

/// The optional tail. Nothing is written after the first absent field.
void append_header_tail(Bytes& out, const BlockHeader& h) {
    if (!h.base_fee_per_gas) { return; }
    rlp::append_u256(out, *h.base_fee_per_gas);
    if (!h.withdrawals_root) { return; }
    rlp::append_fixed(out, *h.withdrawals_root);
    if (!h.blob_gas_used) { return; }
    rlp::append_u64(out, *h.blob_gas_used);
    if (!h.excess_blob_gas) { return; }
    rlp::append_u64(out, *h.excess_blob_gas);
    if (!h.parent_beacon_block_root) { return; }
    rlp::append_fixed(out, *h.parent_beacon_block_root);
    if (!h.requests_hash) { return; }
    rlp::append_fixed(out, *h.requests_hash);
}

Result<Withdrawal> read_withdrawal(rlp::Reader& reader) {
    MILLRACE_TRY(const rlp::Reader list, detail::in_context(reader.list(), "withdrawal"));
    FieldReader f(list, "withdrawal");
    Withdrawal w;
    MILLRACE_TRY(w.index, f.u64("index"));
    MILLRACE_TRY(w.validator_index, f.u64("validator_index"));
    MILLRACE_TRY(w.address, f.address("address"));
    MILLRACE_TRY(w.amount_gwei, f.u64("amount"));
    MILLRACE_CHECK(f.end());
    return w;
}

/// In a block body a legacy transaction is a list and a typed one a byte string.
Result<Transaction> read_block_transaction(rlp::Reader& reader) {
    if (reader.next_is_list()) {
        MILLRACE_TRY(const ByteView raw, reader.raw_item());
        return decode_transaction(raw);
    }
    MILLRACE_TRY(const ByteView raw, reader.bytes());
    if (!raw.empty() && raw[0] >= 0xc0) {
        return fail(ErrorCode::invalid_input,
                    "transaction: a legacy transaction is wrapped in a byte string; in a block it "
                    "is a list");
    }
    return decode_transaction(raw);
}

}  // namespace

constinit const Hash256 empty_ommers_hash =
    constant("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");
constinit const Hash256 empty_trie_root =
    constant("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
constinit const Hash256 empty_code_hash =
    constant("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
constinit const Hash256 empty_requests_hash =
    constant("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

Bytes encode_header(const BlockHeader& h) {
    Bytes payload;
    payload.reserve(768 + h.extra_data.size());
    rlp::append_fixed(payload, h.parent_hash);
    rlp::append_fixed(payload, h.ommers_hash);
    rlp::append_fixed(payload, h.coinbase);
    rlp::append_fixed(payload, h.state_root);
    rlp::append_fixed(payload, h.transactions_root);
    rlp::append_fixed(payload, h.receipts_root);
    rlp::append_fixed(payload, h.logs_bloom);
    rlp::append_u256(payload, h.difficulty);
    rlp::append_u64(payload, h.number);
    rlp::append_u64(payload, h.gas_limit);
    rlp::append_u64(payload, h.gas_used);
    rlp::append_u64(payload, h.timestamp);
    rlp::append_bytes(payload, h.extra_data);
    rlp::append_fixed(payload, h.prev_randao);
    rlp::append_fixed(payload, h.nonce);
    append_header_tail(payload, h);
    return rlp::list(payload);
}

Result<BlockHeader> decode_header(ByteView raw) {
    rlp::Reader reader(raw);
    MILLRACE_TRY(BlockHeader header, read_header(reader));
    MILLRACE_CHECK(detail::in_context(reader.end(), "header"));
    return header;
}

Hash256 header_hash(const BlockHeader& header) { return kernels::keccak256(encode_header(header)); }

Bytes encode_withdrawal(const Withdrawal& w) {
    Bytes payload;
    payload.reserve(64);
    rlp::append_u64(payload, w.index);
    rlp::append_u64(payload, w.validator_index);
    rlp::append_fixed(payload, w.address);
    rlp::append_u64(payload, w.amount_gwei);
    return rlp::list(payload);
}

Result<Withdrawal> decode_withdrawal(ByteView raw) {
    rlp::Reader reader(raw);
    MILLRACE_TRY(const Withdrawal withdrawal, read_withdrawal(reader));
    MILLRACE_CHECK(detail::in_context(reader.end(), "withdrawal"));
    return withdrawal;
}

Hash256 ommers_hash(const std::vector<BlockHeader>& ommers) {
    Bytes payload;
    for (const BlockHeader& ommer : ommers) {
        const Bytes encoded = encode_header(ommer);
        payload.insert(payload.end(), encoded.begin(), encoded.end());
    }
    return kernels::keccak256(rlp::list(payload));
}

Bytes encode_block(const Block& block) {
    Bytes payload = encode_header(block.header);
    Bytes items;
    for (const Transaction& tx : block.transactions) {
        const Bytes raw = encode_transaction(tx);
        if (tx.type == TxType::legacy) {
            items.insert(items.end(), raw.begin(), raw.end());
        } else {
            rlp::append_bytes(items, raw);
        }
    }
    rlp::append_list(payload, items);
    items.clear();
    for (const BlockHeader& ommer : block.ommers) {
        const Bytes raw = encode_header(ommer);
        items.insert(items.end(), raw.begin(), raw.end());
    }
    rlp::append_list(payload, items);
    if (block.withdrawals) {
        items.clear();
        for (const Withdrawal& withdrawal : *block.withdrawals) {
            const Bytes raw = encode_withdrawal(withdrawal);
            items.insert(items.end(), raw.begin(), raw.end());
        }
        rlp::append_list(payload, items);
    }
    return rlp::list(payload);
}

Result<Block> decode_block(ByteView raw) {
    MILLRACE_TRY(rlp::Reader reader, detail::in_context(rlp::read_list(raw), "block"));
    Block block;
    MILLRACE_TRY(block.header, detail::in_context(read_header(reader), "block"));
    MILLRACE_TRY(const rlp::Reader transactions,
                 detail::in_context(reader.list(), "block: transactions"));
    MILLRACE_TRY(block.transactions, detail::in_context(detail::read_items<Transaction>(
                                                            transactions, transaction_bytes_min,
                                                            read_block_transaction),
                                                        "block: transactions"));
    MILLRACE_TRY(const rlp::Reader ommers, detail::in_context(reader.list(), "block: ommers"));
    MILLRACE_TRY(block.ommers, detail::in_context(detail::read_items<BlockHeader>(
                                                      ommers, header_bytes_min, read_header),
                                                  "block: ommers"));
    if (!reader.at_end()) {
        MILLRACE_TRY(const rlp::Reader withdrawals,
                     detail::in_context(reader.list(), "block: withdrawals"));
        MILLRACE_TRY(block.withdrawals,
                     detail::in_context(detail::read_items<Withdrawal>(
                                            withdrawals, withdrawal_bytes_min, read_withdrawal),
                                        "block: withdrawals"));
    }
    MILLRACE_CHECK(detail::in_context(reader.end(), "block has too many fields"));
    return block;
}

}  // namespace millrace::evm
