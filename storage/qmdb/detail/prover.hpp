// SPDX-License-Identifier: Apache-2.0
// Owns the making of proofs of one state: what they need of it, and how they are put together.
#pragma once

#include <span>
#include <vector>

#include "kernels/tree/tree.hpp"
#include "storage/proof/state_multiproof.hpp"
#include "storage/proof/state_proof.hpp"
#include "storage/qmdb/detail/entry_reader.hpp"

namespace millrace::storage::qmdb::detail {

/// The hashes of messages, as leaves have them.
Result<void> hash_leaves(kernels::NodeHash hash, kernels::Backend backend,
                         std::span<const ByteView> messages, std::span<Hash256> digests);

/// A state that proofs are of: its tree, and which entry answers a key. One thread.
class ProvenState {
public:
    struct Neighbour {
        /// Of the key, or of the largest key below it; a view into the log until the reader's
        /// release().
        StateEntry entry;
        bool found = false;  ///< the key is there
    };

    virtual ~ProvenState() = default;
    /// Whether there is a state: before the first block there is none.
    virtual bool has_block() const noexcept = 0;
    /// How many serial numbers the shard has given out.
    virtual uint64_t serial_count(unsigned shard) const noexcept = 0;
    virtual ActiveBits bits(unsigned shard, uint64_t chunk) const noexcept = 0;
    /// A node of the shard's grafted tree.
    virtual Hash256 grafted_node(unsigned shard, unsigned height,
                                 uint64_t index) const noexcept = 0;
    /// A node of the tree over the shards: height 0 has the shards.
    virtual Hash256 top_node(unsigned height, unsigned index) const noexcept = 0;
    /// The entry that answers a key. `ErrorCode::corrupt` where no entry lies before it.
    virtual Result<Neighbour> neighbour(const Hash256& key) = 0;
};

/// Proofs of one state. The leaves come from the log, everything above them from the state.
class Prover {
public:
    Prover(ProvenState& state, EntryReader& reader, kernels::NodeHash hash, const NullNodes& nulls,
           kernels::Backend backend)
        : state_(state), reader_(reader), hash_(hash), nulls_(nulls), backend_(backend) {}

    // As those of Engine.
    Result<StateProof> prove(const Hash256& key);
    Result<StateMultiproof> prove(std::span<const Hash256> keys);

    /// Reads and hashes the entries of a chunk that the tree has; its root.
    Result<Hash256> chunk_root(unsigned shard, uint64_t chunk);

private:
    Result<void> add_shard(unsigned shard, std::span<const Hash256> keys, StateMultiproof& proof);
    Result<void> load_chunks(unsigned shard, std::span<const uint64_t> chunks);
    Result<bool> load_leaves(unsigned shard, uint64_t first, uint64_t count,
                             std::span<Hash256> nodes);

    ProvenState& state_;
    EntryReader& reader_;
    const kernels::NodeHash hash_;
    const NullNodes& nulls_;
    const kernels::Backend backend_;

    std::vector<ByteView> messages_;
    std::vector<size_t> leaf_places_;  ///< of the messages' leaves, in heap order
    std::vector<Hash256> leaves_;
    std::vector<Hash256> nodes_;  ///< of the chunks that load_chunks() read, heap by heap
    std::vector<Hash256*> trees_;
    std::vector<kernels::DirtyLeaf> dirty_;
};

}  // namespace millrace::storage::qmdb::detail
