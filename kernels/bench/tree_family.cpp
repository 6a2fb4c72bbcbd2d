// SPDX-License-Identifier: Apache-2.0
// Owns the measurement of rehashing Merkle trees: twigs with all leaves dirty, or one of 64; and
// one large tree that stays where it is hashed.
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <random>

#include "host/base/hex.hpp"
#include "host/base/u256.hpp"
#include "kernels/bench/ceilings.hpp"
#include "kernels/bench/registry.hpp"
#include "kernels/blake3/blake3.hpp"
#include "kernels/blake3/blake3_batch.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/sha256/sha256.hpp"
#include "kernels/sha256/sha256_batch.hpp"
#include "kernels/tree/resident_tree.hpp"
#include "kernels/tree/tree.hpp"

namespace millrace::kernel_bench {

namespace {

using kernels::Backend;
using kernels::DirtyLeaf;
using kernels::NodeHash;

constexpr Backend backends[] = {Backend::scalar, Backend::simd, Backend::cuda};

/// A twig of the state engine.
constexpr unsigned height = 11;
constexpr size_t leaves = size_t{1} << height;
constexpr size_t node_bytes = 64;

struct Shape {
    const char* name;
    size_t stride;  ///< between dirty leaves
    size_t leaves_of_tree() const { return leaves / stride; }
    size_t trees_for(size_t batch) const {
        return (batch + leaves_of_tree() - 1) / leaves_of_tree();
    }
};
constexpr Shape shapes[] = {{"all leaves", 1}, {"1 leaf of 64", 64}};

struct Algorithm {
    NodeHash hash;
    HashKind kind;
    Hash256 (*one)(ByteView) noexcept;
    kernels::BackendStatus (*status)(Backend);
};
constexpr Algorithm algorithms[] = {
    {NodeHash::keccak256, HashKind::keccak256, kernels::keccak256, kernels::keccak_backend_status},
    {NodeHash::sha256, HashKind::sha256, kernels::sha256, kernels::sha256_backend_status},
    {NodeHash::blake3, HashKind::blake3, kernels::blake3, kernels::blake3_backend_status},
};

/// Which nodes of one tree are dirty.
struct Pattern {
    std::vector<uint32_t> leaf_indices;  ///< ascending
    std::vector<uint32_t> inner;         ///< nodes above them, children before parents

    Pattern(const Shape& shape, size_t dirty) {
        std::vector<bool> marked(kernels::tree_nodes(height));
        for (size_t i = 0; i < dirty; ++i) {
            leaf_indices.push_back(static_cast<uint32_t>(i * shape.stride));
            marked[kernels::tree_leaf(height, leaf_indices.back())] = true;
        }
        for (uint32_t node = leaves - 1; node >= 1; --node) {
            if (marked[2 * node] || marked[2 * node + 1]) {
                marked[node] = true;
                inner.push_back(node);
            }
        }
    }
};

/// Trees with their dirty leaves. A part of the batch is a run of whole trees: two threads never
/// work in one.
class TreeWorkload final : public Workload {
public:
    TreeWorkload(const Algorithm& algorithm, const Shape& shape, size_t batch, uint64_t seed)
        : algorithm_(algorithm),
          full_(shape, shape.leaves_of_tree()),
          last_(shape, batch - (shape.trees_for(batch) - 1) * shape.leaves_of_tree()),
          trees_(shape.trees_for(batch)) {
        std::mt19937_64 random(seed);
        std::vector<Hash256> clean(kernels::tree_nodes(height));
        kernels::fill_uniform(algorithm.hash, Hash256{}, height, clean);
        for (size_t t = 0; t < trees_.size(); ++t) {
            trees_[t] = clean;
            for (const uint32_t leaf : pattern_of(t).leaf_indices) {
                trees_[t][kernels::tree_leaf(height, leaf)] =
                    to_hash(U256{random(), random(), random(), random()});
            }
        }
        // The oracle: each node by the definition, one message at a time.
        expected_ = trees_;
        for (size_t t = 0; t < trees_.size(); ++t) {
            std::vector<Hash256>& tree = expected_[t];
            for (const uint32_t node : pattern_of(t).inner) {
                tree[node] = algorithm.one(
                    ByteView(reinterpret_cast<const uint8_t*>(&tree[2 * node]), node_bytes));
            }
        }
    }

    void prepare_parts(size_t parts) override {
        std::vector<Part>& made = parts_[parts];
        if (!made.empty()) { return; }
        for (size_t p = 0; p < parts; ++p) {
            const Slice slice = slice_of(trees_.size(), p, parts);
            Part& part = made.emplace_back(kernels::TreeHasher(algorithm_.hash, height));
            for (size_t t = slice.first; t < slice.end; ++t) {
                for (const uint32_t leaf : pattern_of(t).leaf_indices) {
                    part.dirty.push_back({static_cast<uint32_t>(part.trees.size()), leaf});
                }
                part.trees.push_back(trees_[t].data());
            }
        }
    }

    void forget() override {
        for (size_t t = 0; t < trees_.size(); ++t) {
            for (const uint32_t node : pattern_of(t).inner) { trees_[t][node] = Hash256{}; }
        }
    }

    Result<void> run(size_t id, size_t part, size_t parts) override {
        Part& mine = parts_.at(parts)[part];
        return mine.hasher.rehash(static_cast<Backend>(id), mine.trees, mine.dirty);
    }

    std::string compare() override {
        for (size_t t = 0; t < trees_.size(); ++t) {
            const auto [got, want] = std::ranges::mismatch(trees_[t], expected_[t]);
            if (got == trees_[t].end()) { continue; }
            return "node " + std::to_string(got - trees_[t].begin()) + " of tree " +
                   std::to_string(t) + " is " + to_hex(*got) + ", node by node it is " +
                   to_hex(*want);
        }
        return {};
    }

private:
    struct Part {
        explicit Part(kernels::TreeHasher&& made) : hasher(std::move(made)) {}
        kernels::TreeHasher hasher;
        std::vector<Hash256*> trees;
        std::vector<DirtyLeaf> dirty;
    };

    const Pattern& pattern_of(size_t tree) const {
        return tree + 1 == trees_.size() ? last_ : full_;
    }

    const Algorithm& algorithm_;
    Pattern full_;
    Pattern last_;  ///< of the last tree
    std::vector<std::vector<Hash256>> trees_;
    std::vector<std::vector<Hash256>> expected_;
    std::map<size_t, std::vector<Part>> parts_;  ///< by their number
};

KernelCase tree_case(const Algorithm& algorithm, const Shape& shape) {
    KernelCase c;
    c.kernel = "tree " + std::string(kernels::to_string(algorithm.hash));
    c.shape = shape.name;
    c.item = "dirty leaf";
    c.bytes_per_item = Hash256::size_bytes;
    const double nodes_per_leaf =
        static_cast<double>(Pattern(shape, shape.leaves_of_tree()).inner.size()) /
        static_cast<double>(shape.leaves_of_tree());
    for (const Backend backend : backends) {
        Contender contender = contender_of(algorithm.status(backend));
        if (contender.on_device) {
            contender.no_kernel_time =
                "the tree starts a kernel for each level; only the whole is timed";
        }
        // Bounds of whole trees: few leaves of one tree have more nodes above them.
        contender.ceilings = hash_ceilings(algorithm.kind, node_bytes, contender);
        for (Ceiling& ceiling : contender.ceilings) {
            ceiling.units_per_item *= nodes_per_leaf;
            ceiling.rate /= nodes_per_leaf;
        }
        c.contenders.push_back(std::move(contender));
    }
    c.memory_bytes = [&shape](size_t batch) {
        return shape.trees_for(batch) * kernels::tree_nodes(height) * 2 * sizeof(Hash256);
    };
    c.prepare = [&algorithm, &shape](size_t batch, uint64_t seed) {
        return std::make_unique<TreeWorkload>(algorithm, shape, batch, seed);
    };
    return c;
}

/// The leaves of a tree that stays where it is hashed: more than a cache has room for.
constexpr unsigned resident_height = 20;
constexpr size_t resident_leaves = size_t{1} << resident_height;

/// Random writes to one resident tree. Every update is another one than that before: it gives the
/// same leaves the other of two sets of values, so that nothing of an answer can be an old one.
class ResidentWorkload final : public Workload {
public:
    ResidentWorkload(const Algorithm& algorithm, size_t batch, uint64_t seed)
        : algorithm_(algorithm) {
        std::mt19937_64 random(seed);
        for (size_t i = 0; i < batch; ++i) {
            leaves_.push_back(static_cast<uint32_t>(random() % resident_leaves));
        }
        // The oracle: each node by the definition, one message at a time.
        std::vector<Hash256> tree(kernels::tree_nodes(resident_height));
        kernels::fill_uniform(algorithm.hash, Hash256{}, resident_height, tree);
        std::vector<uint32_t> level;
        for (const uint32_t leaf : leaves_) {
            level.push_back(static_cast<uint32_t>(kernels::tree_leaf(resident_height, leaf)));
        }
        std::ranges::sort(level);
        for (unsigned depth = resident_height; depth > 0; --depth) {
            for (uint32_t& node : level) { node /= 2; }
            level.erase(std::ranges::unique(level).begin(), level.end());
            nodes_.insert(nodes_.end(), level.begin(), level.end());
        }
        for (Version& version : versions_) {
            for (const uint32_t leaf : leaves_) {
                version.values.push_back(to_hash(U256{random(), random(), random(), random()}));
                tree[kernels::tree_leaf(resident_height, leaf)] = version.values.back();
            }
            for (const uint32_t node : nodes_) {
                tree[node] = algorithm.one(ByteView(
                    reinterpret_cast<const uint8_t*>(&tree[size_t{2} * node]), node_bytes));
                version.hashes.push_back(tree[node]);
            }
        }
    }

    void forget() override { last_ = {}; }

    Result<void> run(size_t id, size_t /*part*/, size_t /*parts*/) override {
        std::optional<kernels::ResidentTree>& tree = trees_[id];
        if (!tree) {
            MILLRACE_TRY(kernels::ResidentTree opened,
                         kernels::ResidentTree::open(static_cast<Backend>(id),
                                                     {.hash = algorithm_.hash,
                                                      .height = resident_height,
                                                      .writes_max = leaves_.size()}));
            tree = std::move(opened);
        }
        current_ = 1 - current_;
        MILLRACE_TRY(last_, tree->update(leaves_, versions_[current_].values));
        return {};
    }

    std::string compare() override {
        const std::vector<Hash256>& hashes = versions_[current_].hashes;
        if (!std::ranges::equal(last_.nodes, nodes_)) {
            return "other nodes have changed than those above the writes";
        }
        const auto [got, want] = std::ranges::mismatch(last_.hashes, hashes);
        if (got != last_.hashes.end() || want != hashes.end()) {
            const auto place = static_cast<size_t>(want - hashes.begin());
            return "node " + std::to_string(nodes_[place]) + " is not what it is node by node";
        }
        if (last_.root != hashes.back()) { return "the root is not the last changed node"; }
        return {};
    }

private:
    struct Version {
        std::vector<Hash256> values;
        std::vector<Hash256> hashes;  ///< of nodes_
    };

    const Algorithm& algorithm_;
    std::vector<uint32_t> leaves_;
    std::vector<uint32_t> nodes_;  ///< above the leaves, in the order of a resident tree's changes
    std::array<Version, 2> versions_;
    size_t current_ = 1;
    std::array<std::optional<kernels::ResidentTree>, std::size(backends)> trees_;
    kernels::TreeChanges last_;
};

KernelCase resident_case(const Algorithm& algorithm) {
    KernelCase c;
    c.kernel = "resident tree " + std::string(kernels::to_string(algorithm.hash));
    c.shape = "random leaves of 2^20";
    c.item = "written leaf";
    c.bytes_per_item = Hash256::size_bytes;
    c.one_thread = true;
    for (const Backend backend : backends) {
        // The host's trees hash by the back ends of the hash.
        const bool on_device = backend == Backend::cuda;
        Contender contender = contender_of(on_device ? kernels::resident_tree_status(backend)
                                                     : algorithm.status(backend));
        if (on_device) {
            contender.no_kernel_time = "an update is many kernels; only the whole is timed";
        }
        c.contenders.push_back(std::move(contender));
    }
    c.memory_bytes = [](size_t batch) {
        const size_t nodes_of_write = resident_height;
        return (std::size(backends) + 1) * kernels::tree_nodes(resident_height) * sizeof(Hash256) +
               batch * (2 + 2 * std::size(backends)) * nodes_of_write * sizeof(Hash256);
    };
    c.prepare = [&algorithm](size_t batch, uint64_t seed) {
        return std::make_unique<ResidentWorkload>(algorithm, batch, seed);
    };
    return c;
}

}  // namespace

Family tree_family() {
    Family family;
    family.name = "tree";
    family.summary = "rehash of binary Merkle trees: of 2,048 leaves, and resident ones of 2^20";
    for (const Backend backend : backends) {
        family.backends.emplace_back(kernels::to_string(backend));
    }
    family.cases = [](const FamilyOptions&) {
        std::vector<KernelCase> cases;
        for (const Algorithm& algorithm : algorithms) {
            for (const Shape& shape : shapes) { cases.push_back(tree_case(algorithm, shape)); }
        }
        for (const Algorithm& algorithm : algorithms) { cases.push_back(resident_case(algorithm)); }
        return cases;
    };
    return family;
}

}  // namespace millrace::kernel_bench
