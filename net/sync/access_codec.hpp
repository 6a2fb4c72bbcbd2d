// SPDX-License-Identifier: Apache-2.0
// Owns the encoding of MiniBlockAccess, version 1.
#pragma once

#include "net/sync/mini_block_access.hpp"

namespace millrace::sync {

/// The most bytes of an encoding. A sealer that cuts a mini-block once AccessBuilder::bytes() is at
/// half of it stays below: a transaction's gas (cap 200 M) buys it less than the other half.
inline constexpr size_t access_bytes_max = size_t{16} << 20;

/// Version 1. `varint` is LEB128 of at most 64 bits in its shortest form; `value` is one byte n, at
/// most 32, and n bytes, big-endian, the first not zero; a count is never larger than what follows
/// can hold.
///
///     u8      1
///     varint  number of the mini-block
///     varint  block number          varint  timestamp in s       varint  gas limit
///     value   base fee per gas      20 bytes coinbase            32 bytes prev_randao
///     varint  index in the block of the first transaction
///     varint  gas used in the block before
///     32 bytes digest of the transactions    32 bytes digest of the receipts
///     varint  count of transactions, then for each:
///         varint  gas used * 2 + 1 if it succeeded
///         varint  count of dependencies, then for each:
///             varint  how much further back it lies than the one before (at first: than the
///                     transaction itself), minus 1
///     varint  count of accounts, ascending, then for each:
///         20 bytes address
///         u8      sections: 1 nonce read, 2 balance read, 4 code read, 8 nonce changes,
///                 16 balance changes, 32 code changes, 64 changed slots, 128 read slots; not 0,
///                 no field both read and changed. Then those that are there, in this order:
///         nonce changes    varint count - 1, then for each: position, varint nonce
///         balance changes  varint count - 1, then for each: position, value balance
///         code changes     varint count - 1, then for each: position, varint length, the code
///         changed slots    varint count - 1, then for each: value key, varint count - 1 of its
///                          changes, then for each: position, value
///         read slots       varint count - 1, then for each: value key
///
/// A position is a varint: how many transactions lie between it and the position before in the
/// same list (at first: the beginning).
///
/// Appends the encoding; fails when the canonical form does not hold or the limit is passed, and
/// then leaves `out` as it was.
Result<void> encode_access(const MiniBlockAccess& access, Bytes& out);

/// Decodes the whole input; refuses everything that encode_access does not give, with the place.
/// Memory taken is bounded by a small multiple of the input, whatever its counts say. `out` is
/// overwritten and keeps its memory; after a failure it holds anything.
Result<void> decode_access(ByteView data, MiniBlockAccess& out);

}  // namespace millrace::sync
