// SPDX-License-Identifier: Apache-2.0
// Owns the entry of the authenticated state: one version of one key, and the bytes that its leaf
// hashes.
#pragma once

#include <cstdint>
#include <span>

#include "host/base/error.hpp"
#include "host/base/types.hpp"

namespace millrace::storage {

/// The first 24 bytes of a key hash. An entry names its successor by them: longer ones would buy
/// nothing, with 16 bytes 2^64 work would find two keys between which an absent one has no proof.
using KeyLink = FixedBytes<24>;

/// The keys of a shard share their first four bits, so that shards can be worked on in parallel.
inline constexpr unsigned shard_bits = 4;
inline constexpr unsigned shard_count = 1u << shard_bits;

constexpr unsigned shard_of(const Hash256& key) noexcept { return key[0] >> (8 - shard_bits); }
constexpr KeyLink link_of(const Hash256& key) noexcept {
    return KeyLink::from(key.view().first(KeyLink::size_bytes));
}
/// The key that a shard holds from its beginning, with an empty value: the predecessor of the
/// shard's smallest key. The successor of the shard's largest key is this one again.
constexpr Hash256 sentinel_key(unsigned shard) noexcept {
    Hash256 key;
    key[0] = static_cast<uint8_t>(shard << (8 - shard_bits));
    return key;
}
/// Whether the link of a key is that of a sentinel: such keys cannot be written. A hash of
/// something has this form with a probability of 2^-188.
constexpr bool is_reserved_key(const Hash256& key) noexcept {
    return link_of(key) == link_of(sentinel_key(shard_of(key)));
}

/// Longer than any account or slot; what one write can add to the log is bounded by it.
inline constexpr size_t entry_value_bytes_max = 512;
/// Serial numbers of a shard stay below this.
inline constexpr uint64_t serial_max = uint64_t{1} << 48;

/// One entry of the log. Its encoding is what its leaf hashes:
/// tag 0x01, serial number (8 bytes), key (32), link of the next key (24), then as varints height,
/// distance to the previous entry of the key and length of the value, then the value. Integers of
/// fixed width are big-endian, varints are LEB128 without superfluous bytes. It is never as short
/// as the 64 bytes of a node, so no node can be taken for a leaf.
struct StateEntry {
    uint64_t serial = 0;  ///< dense from 0 in each shard; the leaf's place
    Hash256 key;
    KeyLink next;                    ///< of the shard's next larger key, or of its sentinel
    uint64_t height = 0;             ///< of the block that appended this entry
    uint64_t previous_distance = 0;  ///< serial less that of the key's entry before; 0 for none
    ByteView value;                  ///< at most entry_value_bytes_max

    bool has_previous() const noexcept { return previous_distance != 0; }
    uint64_t previous() const noexcept { return serial - previous_distance; }
};

inline constexpr size_t entry_prefix_bytes = 1 + 8 + 32 + 24;
inline constexpr size_t entry_bytes_min = entry_prefix_bytes + 3;
/// Longest encoding of an entry with such a value.
constexpr size_t entry_bytes_bound(size_t value_bytes) noexcept {
    return entry_prefix_bytes + 10 + 10 + 3 + value_bytes;
}

/// Writes the encoding to `out`, which has room for entry_bytes_bound; returns its length.
size_t encode_entry(const StateEntry& entry, uint8_t* out) noexcept;

struct DecodedEntry {
    StateEntry entry;  ///< the value points into the input
    size_t bytes = 0;  ///< length of the encoding
};
/// Decodes the entry at the start of `data`; refuses everything that encode_entry does not write.
Result<DecodedEntry> decode_entry(ByteView data);

/// Big-endian integers of the formats that contracts read.
uint64_t load_be64(const uint8_t* at) noexcept;
void store_be64(uint64_t value, uint8_t* at) noexcept;

}  // namespace millrace::storage
