// SPDX-License-Identifier: Apache-2.0
// Owns the keys of a page of the index that was crowded on purpose: whole keys in ordered leaves,
// which copies share until one of them changes.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "host/base/types.hpp"

namespace millrace::storage::qmdb::detail {

/// An ordered map from whole keys to serial numbers. A copy shares the leaves: it costs a pointer
/// for each, and a change afterwards copies the one leaf that it is in, or two when they merge. One
/// thread makes, changes and frees all copies; others may read a copy that nobody changes.
class CrowdedKeys {
public:
    struct Item {
        Hash256 key;
        uint32_t serial = 0;
    };
    static constexpr size_t leaf_keys_max = 512;
    static constexpr uint64_t leaf_bytes = leaf_keys_max * sizeof(Item);

    size_t size() const noexcept { return size_; }
    /// Memory taken, of leaves that copies share too.
    uint64_t bytes() const noexcept { return leaves_.size() * (leaf_bytes + sizeof(leaves_[0])); }
    /// What a copy of this takes for itself.
    uint64_t copy_bytes() const noexcept { return leaves_.size() * sizeof(leaves_[0]); }

    /// Null when there is none. Pointers stay until the next change.
    const Item* find(const Hash256& key) const noexcept;
    /// The largest key below `key`.
    const Item* below(const Hash256& key) const noexcept;
    /// The smallest key above `key`.
    const Item* above(const Hash256& key) const noexcept;
    // There is a key.
    const Item& first() const noexcept { return leaves_.front()->front(); }
    const Item& last() const noexcept { return leaves_.back()->back(); }
    template <class OnItem>
    void for_each(OnItem&& on_item) const {
        for (const LeafPtr& leaf : leaves_) {
            for (const Item& item : *leaf) { on_item(item); }
        }
    }

    /// Adds a key above all others.
    void append(const Hash256& key, uint32_t serial);
    // Each adds to `copied` the bytes of the shared leaves that it had to copy.
    /// Adds a key that is not there.
    void insert(const Hash256& key, uint32_t serial, uint64_t& copied);
    /// Gives a key that is there with `before` another serial number.
    void replace(const Hash256& key, uint32_t before, uint32_t after, uint64_t& copied);
    /// Removes a key that is there with `serial`.
    void erase(const Hash256& key, uint32_t serial, uint64_t& copied);
    /// The keys for which `is_right` is false and those behind, for which it is true. Only the leaf
    /// between the two is divided; the others are shared.
    template <class IsRight>
    std::pair<CrowdedKeys, CrowdedKeys> split(IsRight&& is_right) const {
        std::pair<CrowdedKeys, CrowdedKeys> halves;
        for (const LeafPtr& leaf : leaves_) {
            if (!is_right(leaf->back().key)) {
                halves.first.share(leaf);
            } else if (is_right(leaf->front().key)) {
                halves.second.share(leaf);
            } else {
                for (const Item& item : *leaf) {
                    (is_right(item.key) ? halves.second : halves.first)
                        .append(item.key, item.serial);
                }
            }
        }
        return halves;
    }

private:
    /// In order, with room for leaf_keys_max from the start; never empty.
    using Leaf = std::vector<Item>;
    using LeafPtr = std::shared_ptr<Leaf>;

    static LeafPtr make_leaf();
    void share(const LeafPtr& leaf) {
        leaves_.push_back(leaf);
        size_ += leaf->size();
    }
    size_t leaf_of(const Hash256& key) const noexcept;
    Leaf& writable(size_t leaf, uint64_t& copied);
    bool merge_with_next(size_t leaf, uint64_t& copied);

    /// Those that only this object has are changed in place. The counts of the pointers belong to
    /// the one thread, so use_count() is exact.
    std::vector<LeafPtr> leaves_;
    size_t size_ = 0;
};

}  // namespace millrace::storage::qmdb::detail
