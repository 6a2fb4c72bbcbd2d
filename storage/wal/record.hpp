// SPDX-License-Identifier: Apache-2.0
// Owns the kinds of records in the write-ahead log and their canonical encoding (version 2).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "storage/state/state_delta.hpp"

namespace millrace::storage {

enum class RecordKind : uint8_t {
    block_open = 1,
    mini_block = 2,
    block_seal = 3,
    dev_edit = 4,
    revert = 5,
    block_close = 6,
};

/// "block_open", ..; "unknown" for other numbers.
std::string_view to_string(RecordKind kind) noexcept;

/// A block begins: everything its transactions can see of it is fixed from here on.
struct BlockOpen {
    uint64_t number = 0;
    uint64_t timestamp_s = 0;
    Hash256 parent_hash;
    U256 base_fee_per_gas;
    uint64_t gas_limit = 0;
    Address coinbase;
    Hash256 prev_randao;
    Hash256 parent_beacon_block_root;
    /// `parent_hash` is zero here: the parent is closed and its seal, which brings the hash, comes
    /// later, between the mini-blocks of this block.
    bool parent_promised = false;
    StateDelta post_values;  ///< of the opening system operations that need no promised hash
    bool operator==(const BlockOpen&) const = default;
};

/// Ordered transactions and what they left behind.
struct MiniBlock {
    uint64_t chain_id = 0;
    uint64_t epoch = 0;   ///< fencing epoch; equals that of the frame
    uint64_t number = 0;  ///< of the chain, dense
    Hash256 parent;       ///< mini_block_digest of the one before
    uint64_t block_number = 0;
    uint32_t index = 0;               ///< within the block, from 0
    int64_t time_us = 0;              ///< since the Unix epoch
    std::vector<Bytes> transactions;  ///< wire forms
    /// What full nodes need beside the transactions, in an encoding of its own (net/sync); the log
    /// does not look into it.
    Bytes access;
    StateDelta post_values;
    Hash256 receipts_digest;
    Bytes signature;  ///< of mini_block_digest; empty when the sequencer does not sign
    bool operator==(const MiniBlock&) const = default;
};

/// A block takes no more: the state is the one that its root is over. The next block may open.
struct BlockClose {
    uint64_t number = 0;
    StateDelta post_values;  ///< of the closing system operations
    bool operator==(const BlockClose&) const = default;
};

/// The header of a closed block. At most one block is closed and not sealed.
struct BlockSeal {
    uint64_t number = 0;
    Hash256 hash;
    Bytes header;  ///< RLP
    Hash256 state_root;
    /// Of the opening system operations of the next block, where they waited for this hash.
    StateDelta post_values;
    bool operator==(const BlockSeal&) const = default;
};

/// A change of state by a dev method.
struct DevEdit {
    std::string kind;  ///< e.g. "anvil_setBalance"
    StateDelta post_values;
    bool operator==(const DevEdit&) const = default;
};

/// Mini-blocks after `to_mini_block` no longer count.
struct Revert {
    uint64_t to_mini_block = 0;
    uint64_t to_block = 0;   ///< the last sealed block that stays
    uint64_t epoch = 0;      ///< the fencing epoch that begins here; equals that of the frame
    StateDelta post_values;  ///< StateStore::revert_delta, so that replay treats all records alike
    bool operator==(const Revert&) const = default;
};

using Record = std::variant<BlockOpen, MiniBlock, BlockSeal, DevEdit, Revert, BlockClose>;

RecordKind kind_of(const Record& record) noexcept;
/// The post-values of any record.
const StateDelta& post_values_of(const Record& record) noexcept;

inline constexpr size_t signature_bytes_max = 128;
inline constexpr size_t dev_edit_kind_bytes_max = 64;

/// Appends the payload; asserts the limits above and canonical deltas.
void encode_record(const Record& record, Bytes& out);
/// Decodes a whole payload. Strict: what it accepts, encode_record gives back byte for byte.
Result<Record> decode_record(RecordKind kind, ByteView payload);

/// SHA-256 of the encoding without the signature: what is signed, and the parent of the next.
Hash256 mini_block_digest(const MiniBlock& mini_block);

/// A mini-block whose large parts lie elsewhere. Only looked at during a call.
struct MiniBlockParts {
    const MiniBlock& fields;  ///< its own transactions, access and post-values count for nothing
    std::span<const ByteView> transactions;
    ByteView access;
    const StateDelta& post_values;
};
/// As encode_record of the whole, without copying the parts; returns mini_block_digest.
Hash256 encode_mini_block(const MiniBlockParts& parts, Bytes& out);

}  // namespace millrace::storage
