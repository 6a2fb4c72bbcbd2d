// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of proofs: a proof of a known tree is accepted exactly as long as nothing of
// it was changed, and arbitrary ones get one verdict and root on every back end.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "kernels/witness/multiproof.hpp"
#include "kernels/witness/paths.hpp"

namespace {

using namespace millrace;
using namespace millrace::kernels;

class Reader {
public:
    explicit Reader(ByteView bytes) : bytes_(bytes) {}
    bool at_end() const { return bytes_.empty(); }
    uint8_t byte() {
        if (bytes_.empty()) { return 0; }
        const uint8_t byte = bytes_[0];
        bytes_ = bytes_.subspan(1);
        return byte;
    }
    uint64_t word() {
        uint64_t word = 0;
        for (int i = 0; i < 8; ++i) { word = word << 8 | byte(); }
        return word;
    }

private:
    ByteView bytes_;
};

struct Proof {
    Hash256 root;
    std::vector<uint64_t> indices;
    std::vector<Hash256> leaves;
    std::vector<Hash256> siblings;

    bool operator==(const Proof&) const = default;
};

/// Whether both CPU back ends accept it; they must agree.
bool accepted(NodeHash hash, unsigned height, const Proof& proof) {
    MultiproofSweep sweep(hash, height);
    const auto scalar = sweep.root(Backend::scalar, proof.indices, proof.leaves, proof.siblings);
    const auto simd = sweep.root(Backend::simd, proof.indices, proof.leaves, proof.siblings);
    MILLRACE_ASSERT(scalar == simd, "one root or refusal");
    const auto both =
        sweep.roots(Backend::simd, proof.indices, proof.leaves, proof.leaves, proof.siblings);
    MILLRACE_ASSERT(both.has_value() == scalar.has_value(), "an update is refused as a root is");
    MILLRACE_ASSERT(!both || (both->before == *scalar && both->after == *scalar),
                    "both roots are of the same leaves");
    return scalar.has_value() && *scalar == proof.root;
}

/// All nodes of a tree whose leaves are all different, in heap order.
std::vector<Hash256> make_tree(NodeHash hash, unsigned height, uint8_t salt) {
    std::vector<Hash256> nodes(tree_nodes(height));
    std::vector<DirtyLeaf> dirty;
    for (uint32_t leaf = 0; leaf < uint32_t{1} << height; ++leaf) {
        nodes[tree_leaf(height, leaf)] = Hash256{{salt, static_cast<uint8_t>(leaf + 1)}};
        dirty.push_back({0, leaf});
    }
    Hash256* const tree = nodes.data();
    MILLRACE_ASSERT(TreeHasher(hash, height).rehash(Backend::scalar, {&tree, 1}, dirty).has_value(),
                    "a tree is hashed");
    return nodes;
}

Proof make_proof(const std::vector<Hash256>& tree, unsigned height,
                 const std::set<uint64_t>& indices) {
    Proof proof{.root = tree[1], .indices = {indices.begin(), indices.end()}};
    for (const uint64_t index : indices) { proof.leaves.push_back(tree[tree_leaf(height, index)]); }
    const auto places = multiproof_sibling_places(height, proof.indices);
    MILLRACE_ASSERT(places.has_value(), "leaves of a tree have a proof");
    for (const auto& [level, index] : *places) {
        proof.siblings.push_back(tree[(size_t{1} << (height - level)) + index]);
    }
    return proof;
}

template <class V>
void edit(std::vector<V>& list, uint8_t kind, size_t at, size_t other) {
    if (list.empty()) { return; }
    at %= list.size();
    other %= list.size();
    switch (kind % 3) {
        case 0: std::swap(list[at], list[other]); break;
        case 1: list.insert(list.begin() + static_cast<ptrdiff_t>(at), list[other]); break;
        default: list.erase(list.begin() + static_cast<ptrdiff_t>(at));
    }
}

void edit_once(Reader& reader, Proof& proof) {
    const uint8_t what = reader.byte();
    const uint8_t at = reader.byte();
    const uint8_t other = reader.byte();
    const auto flip = [&](Hash256& node) {
        node[other % 32] ^= static_cast<uint8_t>(1u << other / 32);
    };
    switch (what % 8) {
        case 0: edit(proof.siblings, what / 8, at, other); break;
        case 1: edit(proof.leaves, what / 8, at, other); break;
        case 2: edit(proof.indices, what / 8, at, other); break;
        case 3:
            edit(proof.indices, what / 8, at, other);
            edit(proof.leaves, what / 8, at, other);
            break;
        case 4:
            if (!proof.siblings.empty()) { flip(proof.siblings[at % proof.siblings.size()]); }
            break;
        case 5:
            if (!proof.leaves.empty()) { flip(proof.leaves[at % proof.leaves.size()]); }
            break;
        case 6:
            if (!proof.indices.empty()) {
                proof.indices[at % proof.indices.size()] ^= uint64_t{1} << other % 64;
            }
            break;
        default:
            if (!proof.indices.empty()) { proof.indices[at % proof.indices.size()] += other; }
    }
}

void check_edited(Reader& reader, NodeHash hash) {
    const unsigned height = reader.byte() % 7;
    const std::vector<Hash256> tree = make_tree(hash, height, reader.byte());
    std::set<uint64_t> indices;
    for (size_t count = 1 + reader.byte() % 12; count != 0; --count) {
        indices.insert(reader.byte() % (uint64_t{1} << height));
    }
    const Proof proof = make_proof(tree, height, indices);
    MILLRACE_ASSERT(accepted(hash, height, proof), "a true proof is accepted");
    Proof edited = proof;
    edited.root[31] ^= 1;
    MILLRACE_ASSERT(!accepted(hash, height, edited), "a true proof leads to one root");
    edited = proof;
    while (!reader.at_end()) { edit_once(reader, edited); }
    MILLRACE_ASSERT(accepted(hash, height, edited) == (edited == proof),
                    "a proof is accepted exactly if it is the true one");
}

/// How many siblings the definition asks for, or nothing for what is no list of leaves.
size_t sibling_count(unsigned height, const std::vector<uint64_t>& indices) {
    size_t count = 0;
    for (unsigned level = 0; level < height; ++level) {
        std::set<uint64_t> known;
        for (const uint64_t index : indices) { known.insert(index >> level); }
        for (const uint64_t node : known) { count += known.contains(node ^ 1) ? 0 : 1; }
    }
    return count;
}

void check_arbitrary(Reader& reader, NodeHash hash) {
    const unsigned height = reader.byte() % 64;
    Proof proof;
    const size_t count = reader.byte() % 40;
    const size_t siblings = reader.word() % 1500;
    uint64_t at = 0;
    for (size_t i = 0; i < count; ++i) {
        at += reader.byte() % 2 == 0 ? reader.byte() : reader.word();
        proof.indices.push_back(at);
        proof.leaves.push_back(Hash256{{reader.byte(), static_cast<uint8_t>(i)}});
    }
    for (size_t i = 0; i < siblings; ++i) {
        proof.siblings.push_back(Hash256{{static_cast<uint8_t>(i), static_cast<uint8_t>(i >> 8)}});
    }
    const auto needed = multiproof_sibling_count(height, proof.indices);
    bool is_list = count != 0;
    for (size_t i = 0; i < count; ++i) {
        is_list = is_list && proof.indices[i] >> height == 0 &&
                  (i == 0 || proof.indices[i - 1] < proof.indices[i]);
    }
    MILLRACE_ASSERT(needed.has_value() == is_list,
                    "only ascending leaves of the tree have a proof");
    MILLRACE_ASSERT(!needed || *needed == sibling_count(height, proof.indices),
                    "the count of siblings is that of the definition");
    (void)accepted(hash, height, proof);
    if (!needed) { return; }
    proof.siblings.resize(*needed);
    MultiproofSweep sweep(hash, height);
    const auto root = sweep.root(Backend::scalar, proof.indices, proof.leaves, proof.siblings);
    MILLRACE_ASSERT(root.has_value(), "leaves with as many siblings as needed lead to a root");
    proof.root = *root;
    MILLRACE_ASSERT(accepted(hash, height, proof), "and to the same one on every back end");
    if (count != 1) { return; }
    const ProofPath path{proof.leaves[0], proof.indices[0], proof.siblings};
    for (const Backend backend : {Backend::scalar, Backend::simd}) {
        PathVerdict verdict{};
        MILLRACE_ASSERT(
            check_paths(backend, hash, height, proof.root, {&path, 1}, {&verdict, 1}).has_value() &&
                verdict == PathVerdict::valid,
            "the proof of one leaf is its path");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Reader reader{ByteView{data, size}};
    const uint8_t what = reader.byte();
    const NodeHash hash = static_cast<NodeHash>(what / 2 % 3);
    if (what % 2 == 0) {
        check_edited(reader, hash);
    } else {
        check_arbitrary(reader, hash);
    }
    return 0;
}
