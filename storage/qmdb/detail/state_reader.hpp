// SPDX-License-Identifier: Apache-2.0
// Owns reading values and making proofs from an index, a tree and the log, be they those of the tip
// or of a snapshot.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "storage/proof/state_multiproof.hpp"
#include "storage/proof/state_proof.hpp"
#include "storage/qmdb/detail/block_list.hpp"
#include "storage/qmdb/detail/entry_reader.hpp"
#include "storage/qmdb/key_index.hpp"
#include "storage/qmdb/twig_forest.hpp"

namespace millrace::storage::qmdb::detail {

/// The hashes of messages, as leaves have them.
Result<void> hash_leaves(kernels::NodeHash hash, kernels::Backend backend,
                         std::span<const ByteView> messages, std::span<Hash256> digests);

/// The serial number whose lower half is in the index of a shard that has given out
/// `serial_count`: what lives spans less than 2^32.
constexpr uint64_t widen(uint64_t serial_count, uint32_t low) noexcept {
    const uint64_t last = serial_count - 1;
    return last - static_cast<uint32_t>(static_cast<uint32_t>(last) - low);
}

/// The keys of one shard's entries, for its index.
class ShardKeys final : public KeySource {
public:
    ShardKeys(EntryReader& reader, const ForestView& forest, unsigned shard)
        : reader_(reader), forest_(forest), shard_(shard) {}
    Result<Hash256> key_of(uint32_t serial) override {
        MILLRACE_TRY(const StateEntry entry,
                     reader_.read(shard_, widen(forest_.serial_count(shard_), serial)));
        return entry.key;
    }

private:
    EntryReader& reader_;
    const ForestView& forest_;
    unsigned shard_;
};

/// One state, that of block `height`; one thread.
class StateReader {
public:
    using Indexes = std::array<const IndexView*, shard_count>;
    StateReader(const Indexes& indexes, const ForestView& forest, EntryReader& reader,
                kernels::Backend backend, uint64_t height)
        : indexes_(indexes), forest_(forest), reader_(reader), backend_(backend), height_(height) {}

    // As those of Engine.
    Result<std::optional<Bytes>> get(const Hash256& key);
    /// `list` has all blocks of the log up to this state's.
    Result<std::optional<Bytes>> get_at(const BlockList& list, const Hash256& key, uint64_t height);
    Result<StateProof> prove(const Hash256& key);
    Result<StateMultiproof> prove(std::span<const Hash256> keys);
    /// Reads and hashes the entries of a chunk that the tree has.
    Result<void> verify_chunk(unsigned shard, uint64_t chunk);

private:
    struct Neighbour {
        StateEntry entry;    ///< of the key, or of the largest key below it
        bool found = false;  ///< the key is there
    };
    uint64_t widen(unsigned shard, uint32_t low) const noexcept {
        return detail::widen(forest_.serial_count(shard), low);
    }
    Result<std::optional<StateEntry>> version_at(unsigned shard, uint64_t serial, uint64_t height);
    Result<Neighbour> neighbour(const Hash256& key);
    Result<void> add_shard(unsigned shard, std::span<const Hash256> keys, StateMultiproof& proof);
    Result<void> load_chunks(unsigned shard, std::span<const uint64_t> chunks);
    Result<bool> load_leaves(unsigned shard, uint64_t first, uint64_t count,
                             std::span<Hash256> nodes);

    const Indexes indexes_;
    const ForestView& forest_;
    EntryReader& reader_;
    const kernels::Backend backend_;
    const uint64_t height_;

    std::vector<ByteView> messages_;
    std::vector<size_t> leaf_places_;  ///< of the messages' leaves, in heap order
    std::vector<Hash256> leaves_;
    std::vector<Hash256> proof_nodes_;  ///< of the chunks that load_chunks() read, heap by heap
    std::vector<Hash256*> proof_trees_;
    std::vector<kernels::DirtyLeaf> proof_dirty_;
};

}  // namespace millrace::storage::qmdb::detail
