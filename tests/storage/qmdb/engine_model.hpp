// SPDX-License-Identifier: Apache-2.0
// Owns the oracle of the state engine: an ordered map, the rules of blocks word by word, and the
// naive tree.
#pragma once

#include <map>
#include <optional>
#include <random>
#include <vector>

#include "storage/qmdb/engine.hpp"
#include "tests/storage/qmdb/naive_state_tree.hpp"

namespace millrace::storage::qmdb {

/// The net writes of a block, with their values.
using Block = std::map<Hash256, std::optional<Bytes>>;

inline std::vector<StateWrite> writes_of(const Block& block) {
    std::vector<StateWrite> out;
    for (const auto& [key, value] : block) {
        out.push_back({key, value ? std::optional<ByteView>{*value} : std::nullopt});
    }
    return out;
}

class EngineModel {
public:
    explicit EngineModel(kernels::NodeHash hash) : hash_(hash), tree_(hash) {}

    /// Applies the writes of a block, as the engine documents it, and returns the root.
    Hash256 apply(uint64_t height, const Block& block) {
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            const size_t before = tree_.shards[shard].leaves.size();
            Live& live = live_[shard];
            if (live.empty()) {
                live[sentinel_key(shard)] = {};
                append(height, shard, live.begin());
            }
            // The keys that are there afterwards; those whose value or successor is another one
            // are appended in their order.
            Live after = live;
            std::map<Hash256, bool> written;
            for (const auto& [key, value] : block) {
                if (shard_of(key) != shard) { continue; }
                const auto there = after.find(key);
                if (!value) {
                    if (there == after.end()) { continue; }
                    tree_.shards[shard].live[there->second.serial] = false;
                    after.erase(there);
                } else if (there == after.end() || there->second.value != *value) {
                    after[key].value = *value;
                    written[key] = true;
                }
            }
            for (auto it = after.begin(); it != after.end(); ++it) {
                const auto old = live.find(it->first);
                const bool relinked =
                    old != live.end() && next_of(shard, live, old) != next_of(shard, after, it);
                if (written.contains(it->first) || relinked) {
                    std::swap(live, after);
                    append(height, shard, it);
                    std::swap(live, after);
                }
            }
            live = std::move(after);
            compact(height, shard, tree_.shards[shard].leaves.size() - before);
        }
        return tree_.root();
    }

    std::optional<Bytes> get(const Hash256& key) const {
        const Live& live = live_[shard_of(key)];
        const auto it = live.find(key);
        return it == live.end() ? std::nullopt : std::optional{it->second.value};
    }
    /// A key that is there; sentinels are not counted.
    std::optional<Hash256> any_key(std::mt19937_64& random) const {
        const size_t start = random() % shard_count;
        for (size_t i = 0; i < shard_count; ++i) {
            const Live& live = live_[(start + i) % shard_count];
            if (live.size() < 2) { continue; }
            const auto skipped = static_cast<ptrdiff_t>(1 + random() % (live.size() - 1));
            return std::next(live.begin(), skipped)->first;
        }
        return std::nullopt;
    }
    std::vector<Hash256> keys() const {
        std::vector<Hash256> out;
        for (const Live& live : live_) {
            for (const auto& [key, value] : live) {
                if (!is_reserved_key(key)) { out.push_back(key); }
            }
        }
        return out;
    }
    uint64_t compacted() const { return compacted_; }

private:
    struct LiveValue {
        Bytes value;
        uint64_t serial = 0;
        bool has_entry = false;
    };
    using Live = std::map<Hash256, LiveValue>;

    static KeyLink next_of(unsigned shard, const Live& live, Live::const_iterator it) {
        const auto next = std::next(it);
        return link_of(next == live.end() ? sentinel_key(shard) : next->first);
    }
    void append(uint64_t height, unsigned shard, Live::iterator it) {
        NaiveShard& tree = tree_.shards[shard];
        StateEntry entry;
        entry.serial = tree.leaves.size();
        entry.key = it->first;
        entry.next = next_of(shard, live_[shard], it);
        entry.height = height;
        entry.value = it->second.value;
        if (it->second.has_entry) {
            entry.previous_distance = entry.serial - it->second.serial;
            tree.live[it->second.serial] = false;
        }
        Bytes encoded(entry_bytes_bound(entry.value.size()));
        encoded.resize(encode_entry(entry, encoded.data()));
        tree.leaves.push_back(leaf_hash(hash_, encoded));
        tree.live.push_back(true);
        it->second.serial = entry.serial;
        it->second.has_entry = true;
    }
    void compact(uint64_t height, unsigned shard, uint64_t moves_max) {
        const NaiveShard& tree = tree_.shards[shard];
        for (uint64_t i = 0; i < moves_max; ++i) {
            const auto first = static_cast<uint64_t>(
                std::find(tree.live.begin(), tree.live.end(), true) - tree.live.begin());
            const uint64_t span = tree.live.size() - first;
            if (span < 4096 || live_[shard].size() * 8 >= span) { return; }
            const auto oldest = std::ranges::find_if(
                live_[shard], [first](const auto& p) { return p.second.serial == first; });
            append(height, shard, oldest);
            ++compacted_;
        }
    }

    kernels::NodeHash hash_;
    NaiveStateTree tree_;
    std::array<Live, shard_count> live_;
    uint64_t compacted_ = 0;
};

inline Hash256 random_key(std::mt19937_64& random) {
    Hash256 key;
    for (size_t i = 0; i < 32; i += 8) {
        const uint64_t word = random();
        std::memcpy(key.data() + i, &word, 8);
    }
    return key;
}

/// Random writes: new keys, other values, equal values, removals, removals of what is not there.
inline Block random_block(const EngineModel& model, size_t count, unsigned creates_of_ten,
                          std::mt19937_64& random) {
    Block block;
    for (size_t i = 0; i < count; ++i) {
        Bytes value(random() % 120);
        for (uint8_t& b : value) { b = static_cast<uint8_t>(random()); }
        const auto key = model.any_key(random);
        if (!key || random() % 10 < creates_of_ten) {
            block[random_key(random)] = value;
            continue;
        }
        switch (random() % 6) {
            case 0: block[*key] = std::nullopt; break;
            case 1: block[*key] = model.get(*key); break;
            case 2: block[random_key(random)] = std::nullopt; break;
            default: block[*key] = value; break;
        }
    }
    return block;
}

}  // namespace millrace::storage::qmdb
