// SPDX-License-Identifier: Apache-2.0
// Owns the incremental Merkle Patricia trie over 32-byte keys: structure, marking and rehashing.
#pragma once

#include <array>
#include <bit>
#include <span>
#include <utility>
#include <vector>

#include "evm/trie/detail/node_pool.hpp"
#include "evm/trie/detail/node_rlp.hpp"
#include "evm/trie/hash_batch.hpp"
#include "host/base/error.hpp"
#include "host/base/types.hpp"

namespace millrace::evm::detail {

/// A forest of tries with keys of 64 nibbles that share their node memory; the caller holds the
/// roots. A node keeps the reference under which its parent names it and forgets it ("marked") when
/// something below changes.
///
/// Invariants: a marked node has only marked nodes above it; a branch knows which of its children
/// are marked; a branch has at least two children; the child of an extension is a branch; the first
/// nibbles of an extension's key, up to the end of its path, are the path from the root to its
/// child.
template <class Value>
class HashedTrie {
public:
    /// Kind in the top two bits, index in its pool below. Zero: no node.
    using NodeId = uint32_t;
    static constexpr NodeId none = 0;
    static constexpr size_t key_nibbles = 64;

    const Value* find(NodeId root, const Hash256& key) const noexcept {
        NodeId id = root;
        size_t depth = 0;
        for (;;) {
            switch (kind(id)) {
                case Kind::none: return nullptr;
                case Kind::leaf: {
                    const Leaf& leaf = leaves_[index(id)];
                    return leaf.key == key ? &leaf.value : nullptr;
                }
                case Kind::extension: {
                    const Extension& e = extensions_[index(id)];
                    const size_t end = depth + e.nibbles;
                    if (first_difference(e.key.data(), key.data(), depth, end) != end) {
                        return nullptr;
                    }
                    id = e.child;
                    depth = end;
                    break;
                }
                case Kind::branch:
                    id = branches_[index(id)].children[nibble_of(key.data(), depth++)];
                    break;
            }
        }
    }

    /// Calls `change(value, is_created)` on the value at `key`, creating it first when it is
    /// absent. `change` returns whether a value that was there is now different.
    template <class Change>
    void upsert(NodeId& root, const Hash256& key, Change&& change) {
        Path path;
        const size_t depth = descend(root, key, path);
        NodeId& slot = slot_of(root, path);
        switch (kind(slot)) {
            case Kind::none: slot = create_leaf(key, change); break;
            case Kind::leaf: {
                Leaf& leaf = leaves_[index(slot)];
                if (leaf.key == key) {
                    if (!change(leaf.value, false)) { return; }
                    leaf.ref.size = 0;
                } else {
                    split_leaf(slot, key, depth, create_leaf(key, change));
                }
                break;
            }
            case Kind::extension:
                split_extension(slot, key, depth, create_leaf(key, change));
                break;
            case Kind::branch: MILLRACE_ASSERT(false, "a descent never stops at a branch");
        }
        mark(path);
    }

    /// As upsert for a key that is there; false when it is absent.
    template <class Change>
    bool modify(NodeId& root, const Hash256& key, Change&& change) {
        Path path;
        descend(root, key, path);
        const NodeId id = slot_of(root, path);
        if (kind(id) != Kind::leaf || leaves_[index(id)].key != key) { return false; }
        Leaf& leaf = leaves_[index(id)];
        if (change(leaf.value)) {
            leaf.ref.size = 0;
            mark(path);
        }
        return true;
    }

    /// False when `key` is absent.
    bool erase(NodeId& root, const Hash256& key) {
        Path path;
        descend(root, key, path);
        const NodeId id = slot_of(root, path);
        if (kind(id) != Kind::leaf || leaves_[index(id)].key != key) { return false; }
        leaves_.release(index(id));
        if (path.count == 0) {
            root = none;
            return true;
        }
        const Step last = path.steps[path.count - 1];
        Branch& parent = branches_[index(last.id)];
        parent.children[last.nibble] = none;
        if (child_count(parent) == 1) {
            collapse(root, key, path);
        } else {
            mark(path);
            parent.marked &= static_cast<uint16_t>(~(1u << last.nibble));
        }
        return true;
    }

    /// Removes everything below `root`.
    void clear(NodeId& root) {
        switch (kind(root)) {
            case Kind::none: break;
            case Kind::leaf: leaves_.release(index(root)); break;
            case Kind::extension:
                clear(extensions_[index(root)].child);
                extensions_.release(index(root));
                break;
            case Kind::branch:
                for (NodeId& child : branches_[index(root)].children) { clear(child); }
                branches_.release(index(root));
                break;
        }
        root = none;
    }

    bool is_marked(NodeId id) const noexcept { return id != none && !ref(id).known(); }

    /// Notes all marked nodes below `root` for the next rehash(), and calls `visit(value)` for each
    /// marked leaf.
    template <class Visit>
    void collect_marked(NodeId root, Visit&& visit) {
        if (is_marked(root)) { collect(root, 0, visit); }
    }

    /// Computes the references of all collected nodes, deepest first. `append_value(out, value)`
    /// appends the bytes that a leaf stores.
    template <class AppendValue>
    void rehash(HashBatch& hasher, AppendValue&& append_value) {
        for (size_t depth = key_nibbles + 1; depth-- > 0;) {
            std::vector<NodeId>& level = levels_[depth];
            for (size_t i = 0; i < level.size(); i += batch_count_max) {
                const size_t n = std::min(batch_count_max, level.size() - i);
                rehash_batch(std::span(level).subspan(i, n), depth, hasher, append_value);
            }
            level.clear();
        }
    }

    /// The Keccak-256 of the root node, which must exist and not be marked.
    Hash256 root_hash(NodeId root) const noexcept {
        MILLRACE_ASSERT(root != none && ref(root).is_hash(), "rehash before asking for the root");
        return Hash256::from(ref(root).bytes);
    }

    /// RLP of the nodes from `root` towards `key`, without those that lie inside their parent.
    /// Nothing may be marked.
    template <class AppendValue>
    std::vector<Bytes> prove(NodeId root, const Hash256& key, AppendValue&& append_value) {
        std::vector<Bytes> nodes;
        NodeId id = root;
        size_t depth = 0;
        while (id != none && ref(id).is_hash()) {
            encode(nodes.emplace_back(), id, depth, append_value);
            if (kind(id) == Kind::branch) {
                id = branches_[index(id)].children[nibble_of(key.data(), depth++)];
            } else if (kind(id) == Kind::extension) {
                const Extension& e = extensions_[index(id)];
                const size_t end = depth + e.nibbles;
                if (first_difference(e.key.data(), key.data(), depth, end) != end) { break; }
                id = e.child;
                depth = end;
            } else {
                break;
            }
        }
        return nodes;
    }

    size_t leaf_count() const noexcept { return leaves_.live_count(); }
    /// Nodes of all kinds.
    size_t node_count() const noexcept {
        return leaves_.live_count() + extensions_.live_count() + branches_.live_count();
    }
    size_t memory_bytes() const noexcept {
        return leaves_.memory_bytes() + extensions_.memory_bytes() + branches_.memory_bytes();
    }

private:
    enum class Kind : uint8_t { none, leaf, extension, branch };

    struct Leaf {
        Hash256 key;
        Value value{};
        NodeRef ref;
    };
    struct Extension {
        Hash256 key;
        NodeId child = none;
        uint8_t nibbles = 0;
        NodeRef ref;
    };
    struct Branch {
        std::array<NodeId, 16> children{};
        uint16_t marked = 0;  ///< bit i: child i is marked
        NodeRef ref;
    };
    /// A branch or extension on the way from the root.
    struct Step {
        NodeId id;
        uint8_t nibble;  ///< the child taken, in a branch
        uint8_t depth;
    };
    struct Path {
        std::array<Step, key_nibbles> steps;
        size_t count = 0;
    };

    /// Nodes that are encoded and hashed together: at most 0.5 MiB of branches.
    static constexpr size_t batch_count_max = 1024;

    static constexpr Kind kind(NodeId id) noexcept { return static_cast<Kind>(id >> 30); }
    static constexpr uint32_t index(NodeId id) noexcept { return id & 0x3fffffffu; }
    static constexpr NodeId make_id(Kind k, uint32_t i) noexcept {
        return static_cast<NodeId>(k) << 30 | i;
    }

    static unsigned child_count(const Branch& branch) noexcept {
        unsigned n = 0;
        for (const NodeId child : branch.children) { n += child != none ? 1 : 0; }
        return n;
    }

    const NodeRef& ref(NodeId id) const noexcept {
        switch (kind(id)) {
            case Kind::leaf: return leaves_[index(id)].ref;
            case Kind::extension: return extensions_[index(id)].ref;
            default: return branches_[index(id)].ref;
        }
    }
    NodeRef& ref(NodeId id) noexcept { return const_cast<NodeRef&>(std::as_const(*this).ref(id)); }

    /// Walks from `root` along `key` while branches and extensions match. The node below the last
    /// step is then absent, a leaf, or an extension that differs from the key. Returns its depth.
    size_t descend(NodeId root, const Hash256& key, Path& path) const noexcept {
        NodeId id = root;
        size_t depth = 0;
        for (;;) {
            if (kind(id) == Kind::branch) {
                const uint8_t nibble = nibble_of(key.data(), depth);
                path.steps[path.count++] = {id, nibble, static_cast<uint8_t>(depth)};
                id = branches_[index(id)].children[nibble];
                ++depth;
            } else if (kind(id) == Kind::extension) {
                const Extension& e = extensions_[index(id)];
                const size_t end = depth + e.nibbles;
                if (first_difference(e.key.data(), key.data(), depth, end) != end) { return depth; }
                path.steps[path.count++] = {id, 0, static_cast<uint8_t>(depth)};
                id = e.child;
                depth = end;
            } else {
                return depth;
            }
        }
    }

    /// Where the id of the node below the path's last step is kept.
    NodeId& slot_of(NodeId& root, const Path& path) noexcept {
        if (path.count == 0) { return root; }
        const Step& last = path.steps[path.count - 1];
        return kind(last.id) == Kind::branch ? branches_[index(last.id)].children[last.nibble]
                                             : extensions_[index(last.id)].child;
    }

    void mark(const Path& path) noexcept {
        for (size_t i = 0; i < path.count; ++i) {
            const Step& step = path.steps[i];
            ref(step.id).size = 0;
            if (kind(step.id) == Kind::branch) {
                branches_[index(step.id)].marked |= static_cast<uint16_t>(1u << step.nibble);
            }
        }
    }

    template <class Change>
    NodeId create_leaf(const Hash256& key, Change&& change) {
        const uint32_t i = leaves_.allocate();
        leaves_[i].key = key;
        change(leaves_[i].value, true);
        return make_id(Kind::leaf, i);
    }

    NodeId create_extension(const Hash256& key, size_t nibbles, NodeId child) {
        const uint32_t i = extensions_.allocate();
        extensions_[i].key = key;
        extensions_[i].nibbles = static_cast<uint8_t>(nibbles);
        extensions_[i].child = child;
        return make_id(Kind::extension, i);
    }

    static void put_child(Branch& branch, uint8_t nibble, NodeId child, bool marked) noexcept {
        branch.children[nibble] = child;
        if (marked) { branch.marked |= static_cast<uint16_t>(1u << nibble); }
    }

    /// Replaces the leaf in `slot`, which starts at `depth`, by a branch over it and `added`.
    void split_leaf(NodeId& slot, const Hash256& key, size_t depth, NodeId added) {
        Leaf& old = leaves_[index(slot)];
        old.ref.size = 0;  // its path gets shorter
        const size_t fork = first_difference(old.key.data(), key.data(), depth, key_nibbles);
        const uint32_t b = branches_.allocate();
        put_child(branches_[b], nibble_of(old.key.data(), fork), slot, true);
        put_child(branches_[b], nibble_of(key.data(), fork), added, true);
        const NodeId branch = make_id(Kind::branch, b);
        slot = fork > depth ? create_extension(key, fork - depth, branch) : branch;
    }

    /// Replaces the extension in `slot`, which differs from `key`, by a branch over the rest of it
    /// and `added`.
    void split_extension(NodeId& slot, const Hash256& key, size_t depth, NodeId added) {
        const NodeId old_id = slot;
        Extension& old = extensions_[index(old_id)];
        const Hash256 old_key = old.key;
        const size_t end = depth + old.nibbles;
        const size_t fork = first_difference(old_key.data(), key.data(), depth, end);
        NodeId below = old.child;
        if (end - fork > 1) {
            old.nibbles = static_cast<uint8_t>(end - fork - 1);
            old.ref.size = 0;
            below = old_id;
        } else {
            extensions_.release(index(old_id));
        }
        const uint32_t b = branches_.allocate();
        put_child(branches_[b], nibble_of(old_key.data(), fork), below, is_marked(below));
        put_child(branches_[b], nibble_of(key.data(), fork), added, true);
        const NodeId branch = make_id(Kind::branch, b);
        slot = fork > depth ? create_extension(key, fork - depth, branch) : branch;
    }

    /// Removes the branch that ends `path` and has one child left, joining that child with the
    /// extension above, if any.
    void collapse(NodeId& root, const Hash256& key, Path& path) {
        const Step last = path.steps[--path.count];
        Branch& branch = branches_[index(last.id)];
        uint8_t nibble = 0;
        while (branch.children[nibble] == none) { ++nibble; }
        NodeId survivor = branch.children[nibble];
        if (kind(survivor) == Kind::branch) {
            Hash256 survivor_key = key;
            uint8_t& byte = survivor_key[last.depth / 2];
            byte = last.depth % 2 == 0 ? static_cast<uint8_t>((byte & 0x0f) | nibble << 4)
                                       : static_cast<uint8_t>((byte & 0xf0) | nibble);
            survivor = create_extension(survivor_key, 1, survivor);
        } else if (kind(survivor) == Kind::extension) {
            ++extensions_[index(survivor)].nibbles;
        }
        ref(survivor).size = 0;  // its path gets longer
        branches_.release(index(last.id));
        if (path.count != 0 && kind(path.steps[path.count - 1].id) == Kind::extension) {
            const uint32_t above = index(path.steps[--path.count].id);
            if (kind(survivor) == Kind::extension) {
                extensions_[index(survivor)].nibbles += extensions_[above].nibbles;
            }
            extensions_.release(above);
        }
        slot_of(root, path) = survivor;
        mark(path);
    }

    template <class Visit>
    void collect(NodeId id, size_t depth, Visit&& visit) {
        levels_[depth].push_back(id);
        switch (kind(id)) {
            case Kind::leaf: visit(leaves_[index(id)].value); break;
            case Kind::extension: {
                const Extension& e = extensions_[index(id)];
                if (is_marked(e.child)) { collect(e.child, depth + e.nibbles, visit); }
                break;
            }
            case Kind::branch: {
                const Branch& branch = branches_[index(id)];
                for (unsigned m = branch.marked; m != 0; m &= m - 1) {
                    collect(branch.children[static_cast<unsigned>(std::countr_zero(m))], depth + 1,
                            visit);
                }
                break;
            }
            case Kind::none: MILLRACE_ASSERT(false, "a branch marks only children that it has");
        }
    }

    template <class AppendValue>
    void encode(Bytes& out, NodeId id, size_t depth, AppendValue& append_value) {
        switch (kind(id)) {
            case Kind::leaf: {
                const Leaf& leaf = leaves_[index(id)];
                value_.clear();
                append_value(value_, leaf.value);
                append_leaf(out, leaf.key.data(), depth, key_nibbles, value_);
                break;
            }
            case Kind::extension: {
                const Extension& e = extensions_[index(id)];
                append_extension(out, e.key.data(), depth, depth + e.nibbles, ref(e.child));
                break;
            }
            default: {
                const Branch& branch = branches_[index(id)];
                append_branch(out, [&](unsigned i) {
                    return branch.children[i] == none ? nullptr : &ref(branch.children[i]);
                });
                break;
            }
        }
    }

    template <class AppendValue>
    void rehash_batch(std::span<const NodeId> ids, size_t depth, HashBatch& hasher,
                      AppendValue& append_value) {
        encoded_.clear();
        hashed_.clear();
        for (const NodeId id : ids) {
            const size_t start = encoded_.size();
            encode(encoded_, id, depth, append_value);
            if (kind(id) == Kind::branch) { branches_[index(id)].marked = 0; }
            const size_t n = encoded_.size() - start;
            if (n <= embedded_bytes_max && depth != 0) {
                ref(id).set_embedded(ByteView(encoded_).subspan(start, n));
            } else {
                hashed_.push_back({id, start, n});
            }
        }
        messages_.clear();
        for (const Pending& p : hashed_) {
            messages_.push_back(ByteView(encoded_).subspan(p.start, p.size));
        }
        digests_.resize(messages_.size());
        hasher.hash(messages_, digests_);
        for (size_t i = 0; i < hashed_.size(); ++i) { ref(hashed_[i].id).set_hash(digests_[i]); }
    }

    struct Pending {
        NodeId id;
        size_t start;
        size_t size;
    };

    NodePool<Leaf> leaves_;
    NodePool<Extension> extensions_;
    NodePool<Branch> branches_;

    // Kept between rehashes, so that a warm trie does not allocate.
    std::array<std::vector<NodeId>, key_nibbles + 1> levels_;
    Bytes encoded_;
    Bytes value_;
    std::vector<Pending> hashed_;
    std::vector<ByteView> messages_;
    std::vector<Hash256> digests_;
};

}  // namespace millrace::evm::detail
