// SPDX-License-Identifier: Apache-2.0
// Owns making proofs: the chunk's leaves come from the log, everything above from memory.
#include "storage/qmdb/detail/engine_impl.hpp"

namespace millrace::storage::qmdb::detail {

Result<StateProof> EngineImpl::prove(const Hash256& key) {
    if (failed_) { return std::unexpected(*failed_); }
    if (is_reserved_key(key)) {
        return fail(ErrorCode::invalid_input, "no value can have this key, so nothing is proven");
    }
    if (height_ == 0) { return fail(ErrorCode::not_found, "there is no state before a block"); }
    const unsigned shard = shard_of(key);
    ShardKeys keys{*this, shard};
    MILLRACE_TRY(auto low, indexes_[shard]->find(key, keys));
    if (!low) { MILLRACE_TRY(low, indexes_[shard]->predecessor(key, keys)); }
    MILLRACE_ASSERT(low, "the sentinel lies before every key");
    const uint64_t serial = widen(shard, *low);
    const uint64_t chunk = serial / chunk_entries;

    StateProof proof;
    proof.serial_count = forest_.serial_count(shard);
    proof.active_bits = forest_.bits(shard, chunk);
    unsigned level = 0;
    const auto add = [&](const Hash256& sibling, const Hash256& null) {
        if (sibling == null) {
            proof.null_siblings |= uint64_t{1} << level;
        } else {
            proof.siblings.push_back(sibling);
        }
        ++level;
    };

    // The leaves of a chunk are not kept; its neighbours in the log give them again.
    const uint64_t first = chunk * chunk_entries;
    const uint64_t count = std::min(chunk_entries, proof.serial_count - first);
    messages_.clear();
    for (uint64_t s = first; s < first + count; ++s) {
        MILLRACE_TRY(const ByteView encoded, reader_->encoded(shard, s));
        messages_.push_back(encoded);
    }
    const ByteView entry = messages_[serial - first];
    proof.entry.assign(entry.begin(), entry.end());
    std::vector<Hash256> nodes(chunk_entries);
    MILLRACE_CHECK(
        hash_leaves(options_.hash, options_.backend, messages_, std::span{nodes}.first(count)));
    const NullNodes& nulls = forest_.nulls();
    for (uint64_t place = serial - first; nodes.size() > 1; place /= 2) {
        add(nodes[place ^ 1], nulls.plain[level]);
        for (size_t i = 0; i < nodes.size() / 2; ++i) {
            nodes[i] = pair_hash(options_.hash, nodes[2 * i], nodes[2 * i + 1]);
        }
        nodes.resize(nodes.size() / 2);
    }
    const unsigned height = grafted_height(proof.serial_count);
    for (unsigned h = 0; h < height; ++h) {
        add(forest_.grafted_node(shard, h, (chunk >> h) ^ 1), nulls.grafted[h]);
    }
    for (unsigned h = 0; h < shard_bits; ++h) {
        proof.siblings.push_back(forest_.top_node(h, (shard >> h) ^ 1));
    }
    reader_->release();
    return proof;
}

}  // namespace millrace::storage::qmdb::detail
