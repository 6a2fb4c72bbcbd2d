// SPDX-License-Identifier: Apache-2.0
// Owns what a snapshot holds, and what it tells the engine.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include "storage/qmdb/detail/past_tree.hpp"
#include "storage/qmdb/detail/state_reader.hpp"
#include "storage/qmdb/snapshot.hpp"

namespace millrace::storage::qmdb::detail {

/// Shared by a snapshot and the engine.
struct Pin {
    uint64_t epoch = 0;
    uint64_t height = 0;
    uint64_t view_bytes = 0;  ///< memory of the snapshot's own pointers
    /// Set by the snapshot's last holder after its last read; the engine may then free what the
    /// snapshot saw (release, acquire).
    std::atomic<bool> released = false;
    /// Set by the engine before it cuts the log below the snapshot's block. A reader looks after
    /// it has read: what it got may be of another block then, with other entries of the same serial
    /// numbers, so nothing that a reader finds may be taken for granted. Sequentially consistent,
    /// so that no read of a file moves behind the look.
    std::atomic<bool> revoked = false;
};

class SnapshotImpl final : public StateSnapshot {
public:
    struct Parts {
        std::vector<IndexView> indexes;  ///< by shard
        ForestView forest;
        EntryDirectory directory;
        LogReader log;
        BlockList list;
        kernels::Backend backend;
        uint64_t past_proof_bytes_max;
        Hash256 root;
    };
    SnapshotImpl(Parts parts, std::shared_ptr<Pin> pin)
        : parts_(std::move(parts)), pin_(std::move(pin)) {}
    ~SnapshotImpl() override { pin_->released.store(true, std::memory_order_release); }

    uint64_t height() const noexcept override { return pin_->height; }
    const Hash256& root() const noexcept override { return parts_.root; }
    Result<std::optional<Bytes>> get(const Hash256& key) const override;
    Result<std::optional<Bytes>> get_at(const Hash256& key, uint64_t height) const override;
    Result<std::optional<Bytes>> get_at(const Hash256& key, uint64_t height,
                                        uint64_t& budget) const override;
    uint64_t oldest_height() const noexcept override { return parts_.list.oldest_height(); }
    Result<Hash256> root_at(uint64_t height) const override {
        return parts_.list.root_at(height, pin_->height, parts_.root);
    }
    Result<StateProof> prove(const Hash256& key) const override;
    Result<StateMultiproof> prove(std::span<const Hash256> keys) const override;
    Result<StateProof> prove_at(const Hash256& key, uint64_t height) const override;
    Result<StateMultiproof> prove_at(std::span<const Hash256> keys, uint64_t height) const override;

    const Parts& parts() const noexcept { return parts_; }

private:
    /// The answer of `read`, unless the block was taken back meanwhile.
    template <class Read>
    auto answer(Read&& read) const -> std::invoke_result_t<Read, StateReader&, EntryReader&>;
    StateReader::Indexes indexes() const noexcept;
    template <class Proof, class Asked>
    Result<Proof> prove_past(const Asked& asked, uint64_t height) const;
    Result<std::shared_ptr<const PastTree>> past_tree(size_t count) const;

    const Parts parts_;
    const std::shared_ptr<Pin> pin_;

    struct Past {
        size_t count = 0;  ///< of blocks that lead to it
        std::shared_ptr<const PastTree> tree;
    };
    static constexpr size_t past_trees_max = 2;
    mutable std::mutex past_mutex_;   ///< guards past_; held while one is made
    mutable std::vector<Past> past_;  ///< the one that was asked for last comes first
};

}  // namespace millrace::storage::qmdb::detail
