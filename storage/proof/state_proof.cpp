// SPDX-License-Identifier: Apache-2.0
// Owns encoding, decoding and verification of state proofs.
#include "storage/proof/state_proof.hpp"

#include <bit>
#include <string>

namespace millrace::storage {
namespace {

constexpr size_t fixed_bytes = 2 + 8 + 8 + Hash256::size_bytes;

std::unexpected<Error> bad(const std::string& why) {
    return fail(ErrorCode::invalid_input, "state proof: " + why);
}

/// Siblings below the shard of a proof that announces so many serial numbers.
unsigned levels_of(const StateProof& proof) noexcept {
    return chunk_height + grafted_height(proof.serial_count);
}

/// How many siblings are sent, or nothing when the announcement makes no sense.
std::optional<size_t> sibling_count(const StateProof& proof) noexcept {
    if (proof.serial_count == 0 || proof.serial_count > serial_max) { return std::nullopt; }
    const unsigned levels = levels_of(proof);
    if (proof.null_siblings >> levels != 0) { return std::nullopt; }
    return levels - static_cast<unsigned>(std::popcount(proof.null_siblings)) + shard_bits;
}

/// Whether the link of an entry leads past a larger key, so that nothing lives in between.
bool leads_past(const StateEntry& entry, const Hash256& key) noexcept {
    const bool is_last = entry.next == link_of(sentinel_key(shard_of(entry.key)));
    return is_last || link_of(key) < entry.next;
}

}  // namespace

void encode_state_proof(const StateProof& proof, Bytes& out) {
    MILLRACE_ASSERT(proof.entry.size() <= entry_bytes_bound(entry_value_bytes_max) &&
                        sibling_count(proof) == proof.siblings.size(),
                    "a proof is whole");
    const auto put64 = [&](uint64_t value) {
        uint8_t be[8];
        store_be64(value, be);
        out.insert(out.end(), be, be + 8);
    };
    out.push_back(static_cast<uint8_t>(proof.entry.size() >> 8));
    out.push_back(static_cast<uint8_t>(proof.entry.size()));
    out.insert(out.end(), proof.entry.begin(), proof.entry.end());
    put64(proof.serial_count);
    put64(proof.null_siblings);
    out.insert(out.end(), proof.active_bits.begin(), proof.active_bits.end());
    for (const Hash256& h : proof.siblings) { out.insert(out.end(), h.begin(), h.end()); }
}

Result<StateProof> decode_state_proof(ByteView data) {
    if (data.size() < fixed_bytes) { return bad("too short"); }
    const size_t entry_bytes = size_t{data[0]} << 8 | data[1];
    data = data.subspan(2);
    if (entry_bytes > entry_bytes_bound(entry_value_bytes_max) ||
        entry_bytes > data.size() - (fixed_bytes - 2)) {
        return bad("an entry of " + std::to_string(entry_bytes) + " bytes does not fit");
    }
    StateProof proof;
    proof.entry.assign(data.begin(), data.begin() + static_cast<ptrdiff_t>(entry_bytes));
    data = data.subspan(entry_bytes);
    proof.serial_count = load_be64(data.data());
    proof.null_siblings = load_be64(data.data() + 8);
    proof.active_bits = ActiveBits::from(data.subspan(16, Hash256::size_bytes));
    data = data.subspan(fixed_bytes - 2);
    const auto count = sibling_count(proof);
    if (!count || data.size() != *count * Hash256::size_bytes) {
        return bad("the siblings are not those of " + std::to_string(proof.serial_count) +
                   " serial numbers");
    }
    for (; !data.empty(); data = data.subspan(Hash256::size_bytes)) {
        proof.siblings.push_back(Hash256::from(data.first(Hash256::size_bytes)));
    }
    return proof;
}

/// The root that the path leads to.
Result<Hash256> StateVerifier::root_of(const StateEntry& entry, const StateProof& proof) const {
    const auto count = sibling_count(proof);
    if (!count || *count != proof.siblings.size()) { return bad("a wrong number of siblings"); }
    const Hash256* sibling = proof.siblings.data();
    Hash256 node = leaf_hash(hash_, proof.entry);
    uint64_t index = entry.serial;
    const auto climb = [&](const Hash256& beside) {
        node = (index & 1) == 0 ? pair_hash(hash_, node, beside) : pair_hash(hash_, beside, node);
        index >>= 1;
    };
    const unsigned levels = levels_of(proof);
    for (unsigned level = 0; level < levels; ++level) {
        if (level == chunk_height) { node = pair_hash(hash_, node, proof.active_bits); }
        const Hash256& null =
            level < chunk_height ? nulls_.plain[level] : nulls_.grafted[level - chunk_height];
        if ((proof.null_siblings >> level & 1) != 0) {
            climb(null);
        } else if (*sibling == null) {
            return bad("sibling " + std::to_string(level) + " stands for nothing and is there");
        } else {
            climb(*sibling++);
        }
    }
    node = pair_hash(hash_, node, shard_header(proof.serial_count));
    index = shard_of(entry.key);
    for (unsigned level = 0; level < shard_bits; ++level) { climb(*sibling++); }
    return node;
}

Result<std::optional<ByteView>> StateVerifier::verify(const Hash256& root, const Hash256& key,
                                                      const StateProof& proof) const {
    if (is_reserved_key(key)) { return bad("no value can have this key"); }
    MILLRACE_TRY(const DecodedEntry decoded, decode_entry(proof.entry));
    const StateEntry& entry = decoded.entry;
    if (decoded.bytes != proof.entry.size()) { return bad("bytes follow the entry"); }
    if (entry.serial >= proof.serial_count) { return bad("the entry is beyond the shard's end"); }
    if (!is_active(proof.active_bits, entry.serial)) { return bad("the entry is not live"); }
    MILLRACE_TRY(const Hash256 reached, root_of(entry, proof));
    if (reached != root) { return bad("it leads to another root"); }
    if (entry.key == key) { return std::optional{entry.value}; }
    if (shard_of(entry.key) != shard_of(key) || key < entry.key || !leads_past(entry, key)) {
        return bad("it is about another key");
    }
    return std::optional<ByteView>{};
}

}  // namespace millrace::storage
