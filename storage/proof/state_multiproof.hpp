// SPDX-License-Identifier: Apache-2.0
// Owns the proof of the values and absences of many keys under one root, and its verification,
// which needs nothing of the engine.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "storage/proof/state_tree.hpp"

namespace millrace::storage {

/// How many keys one proof answers at most.
inline constexpr size_t multiproof_keys_max = size_t{1} << 16;

/// What answers a strictly ascending list of keys, which the verifier has: for each key that is
/// there its live entry, for each absent one that of its predecessor, every entry once, and the
/// nodes that all their paths need beside each other, every one once.
///
/// Siblings come shard by shard; in a shard level by level from the leaves up, and in a level from
/// left to right; then those above the shards in the same order.
struct StateMultiproof {
    struct Entry {
        /// Of an entry whose key was not asked for. The key of any other is the next key asked for.
        std::optional<Hash256> key;
        /// How many keys that follow in the list this entry proves to be absent; not 0 with `key`.
        uint32_t absent_count = 0;
        uint64_t serial = 0;
        uint64_t height = 0;
        uint64_t previous_distance = 0;
        /// How many bytes the link shares with the beginning of the entry's key, at most 24; these
        /// are zero in `next`.
        uint8_t link_shared_bytes = 0;
        KeyLink next;
        Bytes value;

        bool operator==(const Entry&) const = default;
    };
    /// A shard that has keys asked for.
    struct Shard {
        uint8_t index = 0;
        uint64_t serial_count = 0;
        std::vector<Entry> entries;  ///< in the order of their keys; at least one
        /// Of the chunks of these entries, by their place.
        std::vector<ActiveBits> active_bits;

        bool operator==(const Shard&) const = default;
    };

    std::vector<Shard> shards;  ///< by index; at least one
    /// Which of the siblings below the shards stand for nothing and are left out; ascending.
    std::vector<uint64_t> null_siblings;
    std::vector<Hash256> siblings;  ///< the others

    /// How many keys are answered.
    size_t key_count() const noexcept;

    bool operator==(const StateMultiproof&) const = default;
};

/// Appends the encoding. Numbers are varints (LEB128 without superfluous bytes) but for:
/// - 2 bytes, big-endian: the mask of the shards, bit i for shard i, not zero
/// - greatest height of all entries
/// - for each shard: serial count; count of entries; the entries; the ActiveBits of each chunk
/// - count of null siblings; each less the one before it less one (the first one itself)
/// - siblings, 32 bytes each, to the end
///
/// An entry: one byte with link_shared_bytes in its bits 0 to 4, bit 5 when a key follows, and in
/// bits 6 and 7 the lesser of absent_count and 3; with 3 absent_count less 3; the key (32 bytes),
/// if any; serial count less one less serial number; greatest height less height; distance to the
/// previous entry of the key; the rest of the link; length of the value; value.
///
/// ActiveBits: with at most 30 live entries their count and then their places in the chunk,
/// ascending, a byte each; else with at most 30 others 128 more than their count and then their
/// places; else the byte 255 and the 32 bytes of bits.
void encode_state_multiproof(const StateMultiproof& proof, Bytes& out);
/// Decodes the whole input; refuses what encode_state_multiproof does not write and more than
/// multiproof_keys_max keys. Takes at most 64 bytes of memory per byte of input.
Result<StateMultiproof> decode_state_multiproof(ByteView data);

/// Checks multiproofs against roots. Immutable: any thread.
class StateMultiproofVerifier {
public:
    explicit StateMultiproofVerifier(kernels::NodeHash hash) noexcept : hash_(hash), nulls_(hash) {}

    /// For each of the strictly ascending `keys` the value that it has in the state of `root`, or
    /// nothing when it is proven to be absent. The views point into the proof.
    /// `ErrorCode::invalid_input` with the reason when the proof does not prove all of it, or in
    /// another way than the one that is documented.
    Result<std::vector<std::optional<ByteView>>>
    verify(const Hash256& root, std::span<const Hash256> keys, const StateMultiproof& proof) const;

private:
    kernels::NodeHash hash_;
    NullNodes nulls_;
};

/// Nothing when a multiproof can be asked for these keys: strictly ascending, none reserved, at
/// least one and at most multiproof_keys_max. `ErrorCode::invalid_input` with the reason otherwise.
Result<void> check_multiproof_keys(std::span<const Hash256> keys);

/// How many leading bytes two keys, or a link and a key, have in common; of a link's 24.
unsigned link_shared_bytes(const KeyLink& link, const Hash256& key) noexcept;

/// Calls `sibling(place)` for every node of a level, given by ascending places, that has no
/// neighbour among them, from left to right.
template <typename OnSibling>
void for_each_sibling(std::span<const uint64_t> places, OnSibling&& sibling) {
    for (size_t i = 0; i < places.size(); ++i) {
        if (i + 1 < places.size() && (places[i] ^ 1) == places[i + 1]) {
            ++i;
        } else {
            sibling(places[i] ^ 1);
        }
    }
}

}  // namespace millrace::storage
