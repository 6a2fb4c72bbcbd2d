// SPDX-License-Identifier: Apache-2.0
// Owns how proofs are put together.
#include <algorithm>
#include <string>

#include "storage/qmdb/detail/chunk_nodes.hpp"
#include "storage/qmdb/detail/prover.hpp"

namespace millrace::storage::qmdb::detail {
namespace {

/// How many chunks are read and hashed together.
constexpr size_t chunks_at_once = 64;
constexpr size_t chunk_nodes = kernels::tree_nodes(chunk_height);

/// From places of a level to those of the next one.
void halve(std::vector<uint64_t>& places) {
    for (uint64_t& place : places) { place /= 2; }
    const auto repeats = std::ranges::unique(places);
    places.erase(repeats.begin(), repeats.end());
}

}  // namespace

/// Fills nodes_ with the nodes of chunks. The leaves of a chunk are not kept; its entries in
/// the log give them again.
Result<void> Prover::load_chunks(unsigned shard, std::span<const uint64_t> chunks) {
    nodes_.assign(chunks.size() * chunk_nodes, {});
    trees_.clear();
    dirty_.clear();
    for (uint32_t tree = 0; tree < chunks.size(); ++tree) {
        const uint64_t first = chunks[tree] * chunk_entries;
        const uint64_t count = std::min(chunk_entries, state_.serial_count(shard) - first);
        const std::span nodes = std::span{nodes_}.subspan(tree * chunk_nodes, chunk_nodes);
        trees_.push_back(nodes.data());
        MILLRACE_TRY(const bool whole, load_leaves(shard, first, count, nodes));
        if (!whole) { continue; }
        for (uint32_t leaf = 0; leaf < chunk_entries; ++leaf) { dirty_.push_back({tree, leaf}); }
    }
    kernels::TreeHasher hasher{hash_, chunk_height};
    return hasher.rehash(backend_, trees_, dirty_);
}

/// Sets the leaves of a chunk; returns whether all of them were there. Where some were dropped it
/// sets all nodes that can be needed too.
Result<bool> Prover::load_leaves(unsigned shard, uint64_t first, uint64_t count,
                                 std::span<Hash256> nodes) {
    messages_.clear();
    leaf_places_.clear();
    KnownNodes known;
    uint64_t dropped = 0;
    ActiveBits kept;           // of the last rewritten segment that was looked into
    uint64_t segment_end = 0;  // where its part of the chunk ends
    for (uint64_t s = first; s < first + count; ++s) {
        if (s >= segment_end || is_active(kept, s)) {
            MILLRACE_TRY(const auto encoded, reader_.encoded(shard, s));
            if (encoded) {
                messages_.push_back(*encoded);
                leaf_places_.push_back(kernels::tree_leaf(chunk_height, s - first));
                continue;
            }
            MILLRACE_TRY(const ChunkBlock block, reader_.rewritten_chunk(shard, s));
            kept = block.kept;
            segment_end = block.range.end;
            for (size_t i = 0; i < block.places.size(); ++i) {
                nodes[block.places[i]] = block.nodes[i];
                known.set(block.places[i]);
            }
        }
        ++dropped;
    }
    leaves_.resize(messages_.size());
    MILLRACE_CHECK(hash_leaves(hash_, backend_, messages_, leaves_));
    reader_.release();
    for (size_t i = 0; i < leaves_.size(); ++i) { nodes[leaf_places_[i]] = leaves_[i]; }
    if (dropped == 0) { return true; }
    for (const size_t place : leaf_places_) { known.set(place); }
    // What was never given out is a leaf of zeros.
    for (uint64_t i = count; i < chunk_entries; ++i) {
        known.set(kernels::tree_leaf(chunk_height, i));
    }
    MILLRACE_CHECK(hash_known_nodes(hash_, backend_, nodes.first<chunk_node_count>(), known));
    if (!known.test(1)) {
        return fail(ErrorCode::corrupt, "nodes of entries " + std::to_string(first) + " to " +
                                            std::to_string(first + count - 1) + " of shard " +
                                            std::to_string(shard) +
                                            " are missing from segments that were rewritten");
    }
    return false;
}

Result<StateProof> Prover::prove(const Hash256& key) {
    if (is_reserved_key(key)) {
        return fail(ErrorCode::invalid_input, "no value can have this key, so nothing is proven");
    }
    if (!state_.has_block()) {
        return fail(ErrorCode::not_found, "there is no state before a block");
    }
    const unsigned shard = shard_of(key);
    MILLRACE_TRY(const ProvenState::Neighbour low, state_.neighbour(key));
    const uint64_t serial = low.entry.serial;
    const uint64_t chunk = serial / chunk_entries;

    StateProof proof;
    proof.entry.resize(entry_bytes_bound(low.entry.value.size()));
    proof.entry.resize(encode_entry(low.entry, proof.entry.data()));
    proof.serial_count = state_.serial_count(shard);
    proof.active_bits = state_.bits(shard, chunk);
    unsigned level = 0;
    const auto add = [&](const Hash256& sibling, const Hash256& null) {
        if (sibling == null) {
            proof.null_siblings |= uint64_t{1} << level;
        } else {
            proof.siblings.push_back(sibling);
        }
        ++level;
    };
    MILLRACE_CHECK(load_chunks(shard, std::span{&chunk, 1}));
    size_t node = kernels::tree_leaf(chunk_height, serial % chunk_entries);
    for (; node > 1; node /= 2) { add(nodes_[node ^ 1], nulls_.plain[level]); }
    const unsigned height = grafted_height(proof.serial_count);
    for (unsigned h = 0; h < height; ++h) {
        add(state_.grafted_node(shard, h, (chunk >> h) ^ 1), nulls_.grafted[h]);
    }
    for (unsigned h = 0; h < shard_bits; ++h) {
        proof.siblings.push_back(state_.top_node(h, (shard >> h) ^ 1));
    }
    return proof;
}

/// Adds the entries, bits and siblings of one shard; `keys` are those of this shard.
Result<void> Prover::add_shard(unsigned shard, std::span<const Hash256> keys,
                               StateMultiproof& proof) {
    StateMultiproof::Shard& out = proof.shards.emplace_back();
    out.index = static_cast<uint8_t>(shard);
    out.serial_count = state_.serial_count(shard);
    for (const Hash256& key : keys) {
        MILLRACE_TRY(const ProvenState::Neighbour low, state_.neighbour(key));
        const StateEntry& entry = low.entry;
        if (low.found || out.entries.empty() || out.entries.back().serial != entry.serial) {
            StateMultiproof::Entry& added = out.entries.emplace_back();
            if (!low.found) { added.key = entry.key; }
            added.serial = entry.serial;
            added.height = entry.height;
            added.previous_distance = entry.previous_distance;
            const unsigned shared = link_shared_bytes(entry.next, entry.key);
            added.link_shared_bytes = static_cast<uint8_t>(shared);
            std::copy(entry.next.begin() + shared, entry.next.end(), added.next.data() + shared);
            added.value.assign(entry.value.begin(), entry.value.end());
        }
        if (!low.found) { ++out.entries.back().absent_count; }
        reader_.release();
    }
    std::vector<uint64_t> serials;
    std::vector<uint64_t> chunks;
    for (const auto& entry : out.entries) { serials.push_back(entry.serial); }
    std::ranges::sort(serials);
    for (const uint64_t serial : serials) {
        const uint64_t chunk = serial / chunk_entries;
        if (chunks.empty() || chunks.back() != chunk) { chunks.push_back(chunk); }
    }

    std::array<std::vector<Hash256>, chunk_height> inner;  // the siblings inside of chunks
    auto serial = serials.begin();
    for (size_t from = 0; from < chunks.size(); from += chunks_at_once) {
        const std::span some =
            std::span{chunks}.subspan(from, std::min(chunks_at_once, chunks.size() - from));
        MILLRACE_CHECK(load_chunks(shard, some));
        for (size_t i = 0; i < some.size(); ++i) {
            out.active_bits.push_back(state_.bits(shard, some[i]));
            const Hash256* const nodes = trees_[i];
            std::vector<uint64_t> places;
            for (; serial != serials.end() && *serial / chunk_entries == some[i]; ++serial) {
                places.push_back(*serial % chunk_entries);
            }
            for (unsigned level = 0; level < chunk_height; ++level) {
                const size_t first = kernels::tree_leaf(chunk_height - level, 0);
                for_each_sibling(
                    places, [&](uint64_t place) { inner[level].push_back(nodes[first + place]); });
                halve(places);
            }
        }
    }
    const auto add = [&](const Hash256& sibling, const Hash256& null) {
        if (sibling == null) {
            proof.null_siblings.push_back(proof.siblings.size() + proof.null_siblings.size());
        } else {
            proof.siblings.push_back(sibling);
        }
    };
    for (unsigned level = 0; level < chunk_height; ++level) {
        for (const Hash256& sibling : inner[level]) { add(sibling, nulls_.plain[level]); }
    }
    const unsigned height = grafted_height(out.serial_count);
    for (unsigned h = 0; h < height; ++h) {
        for_each_sibling(chunks, [&](uint64_t place) {
            add(state_.grafted_node(shard, h, place), nulls_.grafted[h]);
        });
        halve(chunks);
    }
    return {};
}

Result<StateMultiproof> Prover::prove(std::span<const Hash256> keys) {
    MILLRACE_CHECK(check_multiproof_keys(keys));
    if (!state_.has_block()) {
        return fail(ErrorCode::not_found, "there is no state before a block");
    }
    StateMultiproof proof;
    std::vector<uint64_t> places;
    for (size_t from = 0; from < keys.size();) {
        const unsigned shard = shard_of(keys[from]);
        size_t to = from;
        while (to < keys.size() && shard_of(keys[to]) == shard) { ++to; }
        MILLRACE_CHECK(add_shard(shard, keys.subspan(from, to - from), proof));
        places.push_back(shard);
        from = to;
    }
    for (unsigned h = 0; h < shard_bits; ++h) {
        for_each_sibling(places, [&](uint64_t place) {
            proof.siblings.push_back(state_.top_node(h, static_cast<unsigned>(place)));
        });
        halve(places);
    }
    return proof;
}

Result<Hash256> Prover::chunk_root(unsigned shard, uint64_t chunk) {
    MILLRACE_CHECK(load_chunks(shard, std::span{&chunk, 1}));
    return nodes_[1];
}

}  // namespace millrace::storage::qmdb::detail
