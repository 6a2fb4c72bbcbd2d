// SPDX-License-Identifier: Apache-2.0
// Owns the state tree computed the simple way, from all leaves, as an oracle.
#pragma once

#include <array>
#include <vector>

#include "storage/proof/state_tree.hpp"

namespace millrace::storage {

struct NaiveShard {
    std::vector<Hash256> leaves;
    std::vector<bool> live;
};

/// Follows the description in storage/proof/state_tree.hpp word by word.
class NaiveStateTree {
public:
    explicit NaiveStateTree(kernels::NodeHash hash) : hash_(hash) {}

    std::array<NaiveShard, shard_count> shards;

    Hash256 root() const {
        std::vector<Hash256> level;
        for (const NaiveShard& shard : shards) { level.push_back(shard_node(shard)); }
        return fold(std::move(level));
    }

private:
    Hash256 fold(std::vector<Hash256> level) const {
        while (level.size() > 1) {
            std::vector<Hash256> next;
            for (size_t i = 0; i < level.size(); i += 2) {
                next.push_back(pair_hash(hash_, level[i], level[i + 1]));
            }
            level = std::move(next);
        }
        return level.front();
    }
    Hash256 graft(const NaiveShard& shard, size_t chunk) const {
        std::vector<Hash256> leaves(256);
        ActiveBits bits;
        const bool full = (chunk + 1) * 256 <= shard.leaves.size();
        for (size_t i = 0; i < 256 && chunk * 256 + i < shard.leaves.size(); ++i) {
            leaves[i] = shard.leaves[chunk * 256 + i];
            if (shard.live[chunk * 256 + i]) { bits[i / 8] |= static_cast<uint8_t>(1u << i % 8); }
        }
        if (full && bits.is_zero()) { leaves.assign(256, {}); }
        return pair_hash(hash_, fold(leaves), bits);
    }
    Hash256 shard_node(const NaiveShard& shard) const {
        size_t chunks = 8;
        while (chunks * 256 < shard.leaves.size()) { chunks *= 2; }
        std::vector<Hash256> level;
        for (size_t chunk = 0; chunk < chunks; ++chunk) { level.push_back(graft(shard, chunk)); }
        Hash256 header;
        for (size_t i = 0; i < 8; ++i) {
            header[31 - i] = static_cast<uint8_t>(shard.leaves.size() >> (8 * i));
        }
        return pair_hash(hash_, fold(level), header);
    }

    kernels::NodeHash hash_;
};

}  // namespace millrace::storage
