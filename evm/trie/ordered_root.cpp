// SPDX-License-Identifier: Apache-2.0
// Owns the computation of the root over a list.
#include "evm/trie/ordered_root.hpp"

#include <array>
#include <vector>

#include "evm/trie/detail/node_rlp.hpp"
#include "evm/tx/block.hpp"
#include "host/base/error.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm {
namespace {

using detail::NodeRef;

/// rlp(index) in place, at most nine bytes.
struct IndexKey {
    std::array<uint8_t, 9> bytes{};
    uint8_t nibbles = 0;

    explicit IndexKey(size_t index) noexcept {
        size_t n = 0;
        if (index == 0 || index >= 0x80) {
            unsigned count = 0;
            for (size_t v = index; v != 0; v >>= 8) { ++count; }
            bytes[n++] = static_cast<uint8_t>(0x80 + count);
            while (count > 0) { bytes[n++] = static_cast<uint8_t>(index >> 8 * --count); }
        } else {
            bytes[n++] = static_cast<uint8_t>(index);
        }
        nibbles = static_cast<uint8_t>(2 * n);
    }
};

/// The trie is static, so it is built over positions in the order of the keys and never stored.
class Builder {
public:
    Builder(std::span<const ByteView> items, HashBatch& hasher) : items_(items), hasher_(hasher) {
        keys_.reserve(items.size());
        for (size_t i = 0; i < items.size(); ++i) { keys_.emplace_back(index_at(i)); }
    }

    Hash256 root() {
        Bytes rlp;
        if (keys_.size() == 1) {
            append_leaf_at(rlp, 0, 0);
        } else {
            hash_leaves();
            append_inner(rlp, 0, keys_.size(), 0);
        }
        return kernels::keccak256(rlp);
    }

private:
    /// Leaves that are hashed together hold at most this many bytes, or are one leaf.
    static constexpr size_t batch_bytes_max = size_t{1} << 20;

    /// Lexicographic order of the keys: 1 to 127 stand for themselves, then 0 as 0x80, then 0x81...
    size_t index_at(size_t position) const noexcept {
        const size_t zero_position = std::min<size_t>(127, items_.size() - 1);
        if (position < zero_position) { return position + 1; }
        return position == zero_position ? 0 : position;
    }

    /// Nibbles that two keys share. No key is the beginning of another, because RLP is not.
    size_t shared(size_t a, size_t b) const noexcept {
        return detail::first_difference(keys_[a].bytes.data(), keys_[b].bytes.data(), 0,
                                        std::min(keys_[a].nibbles, keys_[b].nibbles));
    }

    void append_leaf_at(Bytes& out, size_t position, size_t depth) const {
        const IndexKey& key = keys_[position];
        const ByteView item = items_[index_at(position)];
        MILLRACE_ASSERT(!item.empty(), "a trie cannot hold an empty item");
        detail::append_leaf(out, key.bytes.data(), depth, key.nibbles, item);
    }

    /// All leaves first: they are most of the bytes, and where each begins is known from its
    /// neighbours alone.
    void hash_leaves() {
        leaves_.resize(keys_.size());
        Bytes encoded;
        std::vector<size_t> starts;
        size_t first = 0;
        for (size_t i = 0; i < keys_.size(); ++i) {
            const size_t before = i == 0 ? 0 : shared(i - 1, i);
            const size_t after = i + 1 == keys_.size() ? 0 : shared(i, i + 1);
            starts.push_back(encoded.size());
            append_leaf_at(encoded, i, std::max(before, after) + 1);
            if (encoded.size() >= batch_bytes_max || i + 1 == keys_.size()) {
                finish_leaves(first, encoded, starts);
                first = i + 1;
                encoded.clear();
                starts.clear();
            }
        }
    }

    void finish_leaves(size_t first, ByteView encoded, std::span<const size_t> starts) {
        std::vector<ByteView> messages;
        std::vector<size_t> positions;
        for (size_t i = 0; i < starts.size(); ++i) {
            const size_t end = i + 1 == starts.size() ? encoded.size() : starts[i + 1];
            const ByteView leaf = encoded.subspan(starts[i], end - starts[i]);
            if (leaf.size() <= detail::embedded_bytes_max) {
                leaves_[first + i].set_embedded(leaf);
            } else {
                messages.push_back(leaf);
                positions.push_back(first + i);
            }
        }
        std::vector<Hash256> digests(messages.size());
        hasher_.hash(messages, digests);
        for (size_t i = 0; i < digests.size(); ++i) { leaves_[positions[i]].set_hash(digests[i]); }
    }

    /// The node over positions [first, end), at least two of them, which share `depth` nibbles.
    void append_inner(Bytes& out, size_t first, size_t end, size_t depth) const {
        const size_t fork = shared(first, end - 1);
        if (fork > depth) {
            Bytes branch;
            append_branch_at(branch, first, end, fork);
            detail::append_extension(out, keys_[first].bytes.data(), depth, fork, ref_of(branch));
        } else {
            append_branch_at(out, first, end, depth);
        }
    }

    void append_branch_at(Bytes& out, size_t first, size_t end, size_t depth) const {
        std::array<NodeRef, 16> children;
        while (first < end) {
            const uint8_t nibble = detail::nibble_of(keys_[first].bytes.data(), depth);
            size_t last = first + 1;
            while (last < end && detail::nibble_of(keys_[last].bytes.data(), depth) == nibble) {
                ++last;
            }
            if (last - first == 1) {
                children[nibble] = leaves_[first];
            } else {
                Bytes node;
                append_inner(node, first, last, depth + 1);
                children[nibble] = ref_of(node);
            }
            first = last;
        }
        detail::append_branch(
            out, [&](unsigned i) { return children[i].known() ? &children[i] : nullptr; });
    }

    static NodeRef ref_of(ByteView node) noexcept {
        NodeRef ref;
        if (node.size() <= detail::embedded_bytes_max) {
            ref.set_embedded(node);
        } else {
            ref.set_hash(kernels::keccak256(node));
        }
        return ref;
    }

    std::span<const ByteView> items_;
    HashBatch& hasher_;
    std::vector<IndexKey> keys_;
    std::vector<NodeRef> leaves_;
};

}  // namespace

Hash256 ordered_trie_root(std::span<const ByteView> items, HashBatch& hasher) {
    return items.empty() ? empty_trie_root : Builder(items, hasher).root();
}

Hash256 ordered_trie_root(std::span<const Bytes> items, HashBatch& hasher) {
    const std::vector<ByteView> views(items.begin(), items.end());
    return ordered_trie_root(std::span<const ByteView>{views}, hasher);
}

}  // namespace millrace::evm
