// SPDX-License-Identifier: Apache-2.0
// Owns what is known of each block in the log.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/qmdb/block_frame.hpp"
#include "storage/qmdb/detail/shared_array.hpp"
#include "storage/qmdb/entry_log.hpp"

namespace millrace::storage::qmdb::detail {

struct CommittedBlock {
    uint64_t height = 0;
    LogPosition payload_at = 0;
    uint64_t oldest_sequence = 0;  ///< as in FrameHeader
    Hash256 root;
    /// The keys that it removed, by head; null when it removed none.
    std::shared_ptr<const std::vector<RemovedKey>> removed;
};

/// The blocks of the log by sequence number. A copy stays as it is (SharedArray).
struct BlockList {
    SharedArray<CommittedBlock> blocks;
    uint64_t first_sequence = 1;  ///< of the first one
    /// States before the block with this height have lost entries to rewritten segments.
    uint64_t horizon_height = 0;
    uint64_t removed_count = 0;  ///< over all of them

    void push_back(CommittedBlock block) {
        removed_count += removals_of(block);
        blocks.push_back(std::move(block));
    }
    void pop_back() {
        removed_count -= removals_of(blocks.back());
        blocks.pop_back();
    }
    void pop_front() {
        removed_count -= removals_of(blocks.front());
        blocks.pop_front();
        ++first_sequence;
    }
    /// Memory taken.
    uint64_t bytes() const noexcept { return blocks.bytes() + removed_count * sizeof(RemovedKey); }

    /// How many blocks are at or below this height.
    size_t count_up_to(uint64_t height) const noexcept {
        return blocks.partition_point(
            [height](const CommittedBlock& b) { return b.height <= height; });
    }
    /// The block with this place in its frame, by index.
    size_t index_at(LogPosition at) const noexcept {
        return blocks.partition_point([at](const CommittedBlock& b) {
            return b.payload_at <= at;
        }) - 1;
    }
    /// Whether the log has all that the state after the first `count` blocks needs.
    bool is_kept(size_t count) const noexcept {
        return count == 0 ? first_sequence == 1 && horizon_height == 0
                          : blocks[count - 1].oldest_sequence >= first_sequence &&
                                blocks[count - 1].height >= horizon_height;
    }
    /// How many blocks lead to the state at `height`, of a log whose newest state is that at
    /// `newest`. `ErrorCode::not_found` where the log has not all that it needs.
    Result<size_t> count_kept(uint64_t height, uint64_t newest) const {
        const size_t count = count_up_to(height);
        if (height <= newest && is_kept(count)) { return count; }
        return fail(ErrorCode::not_found, "the state at height " + std::to_string(height) +
                                              " is not there; the log has those from " +
                                              std::to_string(oldest_height()) + " to " +
                                              std::to_string(newest));
    }
    /// The root of the state at `height`, of a log whose newest state has the root `root` at
    /// `newest`. `ErrorCode::not_found` for blocks that are not in the log.
    Result<Hash256> root_at(uint64_t height, uint64_t newest, const Hash256& root) const {
        if (height == newest) { return root; }
        const size_t count = count_up_to(height);
        if (height > newest || (count == 0 && first_sequence != 1)) {
            return fail(ErrorCode::not_found, "the log has no block " + std::to_string(height));
        }
        return count == 0 ? Hash256{} : blocks[count - 1].root;
    }
    /// The lowest height whose state the log has.
    uint64_t oldest_height() const noexcept {
        if (is_kept(0)) { return 0; }  // also when there is no block
        const size_t i = blocks.partition_point([this](const CommittedBlock& b) {
            return b.oldest_sequence < first_sequence || b.height < horizon_height;
        });
        return blocks[std::min(i, blocks.size() - 1)].height;
    }

private:
    static uint64_t removals_of(const CommittedBlock& block) noexcept {
        return block.removed == nullptr ? 0 : block.removed->size();
    }
};

/// What CommittedBlock::removed is for these sections of a block.
std::shared_ptr<const std::vector<RemovedKey>>
removed_keys(std::span<const Section, shard_count> sections);

}  // namespace millrace::storage::qmdb::detail
