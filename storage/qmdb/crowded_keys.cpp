// SPDX-License-Identifier: Apache-2.0
// Owns how the leaves of a crowded page are searched, divided, merged and copied.
#include "storage/qmdb/detail/crowded_keys.hpp"

#include <algorithm>

#include "host/base/error.hpp"

namespace millrace::storage::qmdb::detail {
namespace {

using Item = CrowdedKeys::Item;

/// append() leaves room in a leaf, so that the next inserts do not divide it.
constexpr size_t leaf_keys_appended = 384;
/// A leaf with fewer keys is merged with a neighbour if the result is not about to be divided.
constexpr size_t leaf_keys_sparse = 128;
constexpr size_t leaf_keys_merged_max = 384;

template <class Leaf>
auto lower_bound(Leaf& leaf, const Hash256& key) noexcept {
    return std::ranges::lower_bound(leaf, key, {}, &Item::key);
}

}  // namespace

CrowdedKeys::LeafPtr CrowdedKeys::make_leaf() {
    auto leaf = std::make_shared<Leaf>();
    leaf->reserve(leaf_keys_max);
    return leaf;
}

/// The last leaf that begins at or below the key, or the first one.
size_t CrowdedKeys::leaf_of(const Hash256& key) const noexcept {
    const auto above = std::ranges::upper_bound(
        leaves_, key, {}, [](const LeafPtr& leaf) -> const Hash256& { return leaf->front().key; });
    return above == leaves_.begin() ? 0 : static_cast<size_t>(above - leaves_.begin()) - 1;
}

const Item* CrowdedKeys::find(const Hash256& key) const noexcept {
    const Leaf& leaf = *leaves_[leaf_of(key)];
    const auto it = lower_bound(leaf, key);
    return it == leaf.end() || it->key != key ? nullptr : &*it;
}

const Item* CrowdedKeys::below(const Hash256& key) const noexcept {
    const size_t at = leaf_of(key);
    const Leaf& leaf = *leaves_[at];
    const auto it = lower_bound(leaf, key);
    if (it != leaf.begin()) { return &*std::prev(it); }
    return at == 0 ? nullptr : &leaves_[at - 1]->back();
}

const Item* CrowdedKeys::above(const Hash256& key) const noexcept {
    const size_t at = leaf_of(key);
    const Leaf& leaf = *leaves_[at];
    const auto it = std::ranges::upper_bound(leaf, key, {}, &Item::key);
    if (it != leaf.end()) { return &*it; }
    return at + 1 == leaves_.size() ? nullptr : &leaves_[at + 1]->front();
}

/// The leaf, copied if another copy has it too.
CrowdedKeys::Leaf& CrowdedKeys::writable(size_t leaf, uint64_t& copied) {
    LeafPtr& at = leaves_[leaf];
    if (at.use_count() != 1) {
        LeafPtr copy = make_leaf();
        copy->assign(at->begin(), at->end());
        copied += at->size() * sizeof(Item);
        at = std::move(copy);
    }
    return *at;
}

void CrowdedKeys::append(const Hash256& key, uint32_t serial) {
    // Shared leaves are left alone, so that nothing is copied for what follows them.
    if (leaves_.empty() || leaves_.back()->size() >= leaf_keys_appended ||
        leaves_.back().use_count() != 1) {
        leaves_.push_back(make_leaf());
    }
    leaves_.back()->push_back({key, serial});
    ++size_;
}

void CrowdedKeys::insert(const Hash256& key, uint32_t serial, uint64_t& copied) {
    size_t at = leaf_of(key);
    if (leaves_[at]->size() == leaf_keys_max) {
        Leaf& full = writable(at, copied);
        LeafPtr upper = make_leaf();
        const auto middle = full.begin() + leaf_keys_max / 2;
        upper->assign(middle, full.end());
        full.erase(middle, full.end());
        leaves_.insert(leaves_.begin() + static_cast<ptrdiff_t>(at) + 1, std::move(upper));
        at = leaf_of(key);
    }
    Leaf& leaf = writable(at, copied);
    const auto it = lower_bound(leaf, key);
    MILLRACE_ASSERT(it == leaf.end() || it->key != key, "the key is not there");
    leaf.insert(it, {key, serial});
    ++size_;
}

void CrowdedKeys::replace(const Hash256& key, uint32_t before, uint32_t after, uint64_t& copied) {
    Leaf& leaf = writable(leaf_of(key), copied);
    const auto it = lower_bound(leaf, key);
    MILLRACE_ASSERT(it != leaf.end() && it->key == key && it->serial == before,
                    "the key is there with this serial number");
    it->serial = after;
}

void CrowdedKeys::erase(const Hash256& key, uint32_t serial, uint64_t& copied) {
    const size_t at = leaf_of(key);
    Leaf& leaf = writable(at, copied);
    const auto it = lower_bound(leaf, key);
    MILLRACE_ASSERT(it != leaf.end() && it->key == key && it->serial == serial,
                    "the key is there with this serial number");
    leaf.erase(it);
    --size_;
    if (leaf.empty()) {
        leaves_.erase(leaves_.begin() + static_cast<ptrdiff_t>(at));
    } else if (leaf.size() < leaf_keys_sparse && !merge_with_next(at, copied) && at != 0) {
        merge_with_next(at - 1, copied);
    }
}

/// Whether the two were few enough for one leaf.
bool CrowdedKeys::merge_with_next(size_t leaf, uint64_t& copied) {
    if (leaf + 1 == leaves_.size() ||
        leaves_[leaf]->size() + leaves_[leaf + 1]->size() > leaf_keys_merged_max) {
        return false;
    }
    Leaf& merged = writable(leaf, copied);
    const Leaf& next = *leaves_[leaf + 1];
    merged.insert(merged.end(), next.begin(), next.end());
    copied += next.size() * sizeof(Item);
    leaves_.erase(leaves_.begin() + static_cast<ptrdiff_t>(leaf) + 1);
    return true;
}

}  // namespace millrace::storage::qmdb::detail
