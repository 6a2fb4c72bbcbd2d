// SPDX-License-Identifier: Apache-2.0
// Owns the tests of witness checks on the CPU: every hash and vector target against recursion, and
// every way in which a proof can be wrong.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/sha256/detail/backends.hpp"
#include "kernels/witness/multiproof.hpp"
#include "kernels/witness/paths.hpp"
#include "tests/kernels/batch/batch_checks.hpp"
#include "tests/kernels/witness/naive_witness.hpp"

namespace millrace::kernels {
namespace {

using test::NaiveTree;
using test::node_hashes;
using test::random_hash;
using test::random_indices;
using test::random_tree;

/// Runs the body with the scalar back end and with each vector target that this CPU has.
void on_cpu(const std::function<void(Backend)>& body) {
    body(Backend::scalar);
    detail::sha256_simd_use(detail::Sha256Units::lanes);
    const test::HashUnderTest status_only{nullptr, nullptr, witness_backend_status, {}};
    test::expect_usual_targets(test::on_every_target(status_only, [&] { body(Backend::simd); }));
    detail::sha256_simd_use(detail::Sha256Units::automatic);
    body(Backend::simd);
}

/// Paths of leaves of one tree, with the memory that they point to.
struct Paths {
    unsigned height;
    Hash256 root;
    std::vector<std::vector<Hash256>> siblings;
    std::vector<ProofPath> paths;

    Paths(const NaiveTree& tree, const std::vector<uint64_t>& indices)
        : height(tree.height()), root(tree.root()) {
        for (const uint64_t index : indices) { siblings.push_back(tree.path(index)); }
        for (size_t i = 0; i < indices.size(); ++i) {
            paths.push_back({tree.leaf(indices[i]), indices[i], siblings[i]});
        }
    }
    std::vector<PathVerdict> check(Backend backend, NodeHash hash) const {
        std::vector<PathVerdict> verdicts(paths.size(), PathVerdict::wrong_length);
        const Result<void> done = check_paths(backend, hash, height, root, paths, verdicts);
        EXPECT_TRUE(done.has_value()) << done.error().message;
        return verdicts;
    }
};

TEST(ProofPaths, ThoseOfTheTreeAreValidAtEveryCountAndHeight) {
    on_cpu([](Backend backend) {
        for (const NodeHash hash : node_hashes) {
            std::mt19937_64 random(1);
            for (const unsigned height : {0u, 1u, 2u, 5u, 11u, 33u, 63u}) {
                for (const size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 33u}) {
                    const auto indices = random_indices(random, height, count);
                    const Paths paths(random_tree(random, hash, height, indices), indices);
                    ASSERT_EQ(std::vector<PathVerdict>(indices.size(), PathVerdict::valid),
                              paths.check(backend, hash))
                        << to_string(hash) << " height " << height;
                }
            }
        }
    });
}

TEST(ProofPaths, MoreThanARowOfThemKeepTheirVerdicts) {
    std::mt19937_64 random(2);
    for (const size_t count : {255u, 256u, 257u, 700u}) {
        const auto indices = random_indices(random, 10, count);
        Paths paths(random_tree(random, NodeHash::blake3, 10, indices), indices);
        std::vector<PathVerdict> expected(count, PathVerdict::valid);
        for (size_t i = 0; i < count; i += 1 + random() % 20) {
            switch (random() % 3) {
                case 0:
                    paths.paths[i].siblings = std::span(paths.siblings[i]).first(9);
                    expected[i] = PathVerdict::wrong_length;
                    break;
                case 1:
                    paths.paths[i].index |= uint64_t{1} << (10 + random() % 54);
                    expected[i] = PathVerdict::index_out_of_range;
                    break;
                default:
                    paths.siblings[i][random() % 10][random() % 32] ^= 0x10;
                    expected[i] = PathVerdict::wrong_root;
            }
        }
        on_cpu(
            [&](Backend backend) { ASSERT_EQ(expected, paths.check(backend, NodeHash::blake3)); });
    }
}

TEST(ProofPaths, EveryFlippedBitIsSeen) {
    for (const NodeHash hash : node_hashes) {
        std::mt19937_64 random(3);
        constexpr unsigned height = 5;
        const auto indices = random_indices(random, height, 1);
        const NaiveTree tree = random_tree(random, hash, height, indices);
        const Paths good(tree, indices);
        // One path for each bit of leaf, siblings and index; then each bit of the root.
        std::vector<std::vector<Hash256>> siblings;
        std::vector<ProofPath> wrong;
        siblings.reserve(height * 256);
        const auto flip = [](Hash256 node, size_t bit) {
            node[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
            return node;
        };
        for (size_t bit = 0; bit < 256; ++bit) {
            wrong.push_back(good.paths[0]);
            wrong.back().leaf = flip(wrong.back().leaf, bit);
            for (unsigned level = 0; level < height; ++level) {
                siblings.push_back(good.siblings[0]);
                siblings.back()[level] = flip(siblings.back()[level], bit);
                wrong.push_back({good.paths[0].leaf, good.paths[0].index, siblings.back()});
            }
        }
        for (unsigned bit = 0; bit < 64; ++bit) {
            wrong.push_back(good.paths[0]);
            wrong.back().index ^= uint64_t{1} << bit;
        }
        for (const Backend backend : {Backend::scalar, Backend::simd}) {
            std::vector<PathVerdict> verdicts(wrong.size());
            ASSERT_TRUE(check_paths(backend, hash, height, good.root, wrong, verdicts));
            for (size_t i = 0; i < wrong.size(); ++i) {
                EXPECT_EQ(i < wrong.size() - (64 - height) ? PathVerdict::wrong_root
                                                           : PathVerdict::index_out_of_range,
                          verdicts[i])
                    << i;
            }
            for (size_t bit = 0; bit < 256; ++bit) {
                PathVerdict verdict{};
                ASSERT_TRUE(check_paths(backend, hash, height, flip(good.root, bit), good.paths,
                                        {&verdict, 1}));
                EXPECT_EQ(PathVerdict::wrong_root, verdict) << bit;
            }
        }
    }
}

TEST(ProofPaths, SwappedShortenedAndExtendedSiblingsAreRefused) {
    std::mt19937_64 random(4);
    const auto indices = random_indices(random, 9, 20);
    const NaiveTree tree = random_tree(random, NodeHash::sha256, 9, indices);
    for (const Backend backend : {Backend::scalar, Backend::simd}) {
        for (unsigned level = 0; level + 1 < 9; ++level) {
            Paths paths(tree, indices);
            for (auto& siblings : paths.siblings) {
                ASSERT_NE(siblings[level], siblings[level + 1]);
                std::swap(siblings[level], siblings[level + 1]);
            }
            EXPECT_EQ(std::vector<PathVerdict>(indices.size(), PathVerdict::wrong_root),
                      paths.check(backend, NodeHash::sha256));
        }
        Paths paths(tree, indices);
        for (size_t i = 0; i < indices.size(); ++i) {
            if (i % 2 == 0) {
                paths.siblings[i].push_back(random_hash(random));
            } else {
                paths.siblings[i].pop_back();
            }
            paths.paths[i].siblings = paths.siblings[i];
        }
        EXPECT_EQ(std::vector<PathVerdict>(indices.size(), PathVerdict::wrong_length),
                  paths.check(backend, NodeHash::sha256));
        // The parent as a leaf of the same tree: its path is one short.
        const Paths good(tree, indices);
        const uint64_t index = indices[0];
        const ProofPath parent{tree.node(1, index / 2), index / 2,
                               std::span(good.siblings[0]).subspan(1)};
        PathVerdict verdict{};
        ASSERT_TRUE(
            check_paths(backend, NodeHash::sha256, 9, good.root, {&parent, 1}, {&verdict, 1}));
        EXPECT_EQ(PathVerdict::wrong_length, verdict);
    }
}

TEST(ProofPaths, WrongArgumentsAreAnError) {
    std::vector<ProofPath> paths(2);
    std::vector<PathVerdict> verdicts(3);
    for (const Backend backend : {Backend::scalar, Backend::simd, Backend::cuda}) {
        const auto counts = check_paths(backend, NodeHash::blake3, 1, {}, paths, verdicts);
        ASSERT_FALSE(counts.has_value());
        EXPECT_EQ(ErrorCode::invalid_input, counts.error().code);
        const auto height =
            check_paths(backend, NodeHash::blake3, 64, {}, paths, std::span(verdicts).first(2));
        ASSERT_FALSE(height.has_value());
        EXPECT_EQ(ErrorCode::invalid_input, height.error().code);
    }
}

/// A proof of leaves of one tree, and its update.
struct Proof {
    unsigned height;
    std::vector<uint64_t> indices;
    std::vector<Hash256> leaves;
    std::vector<Hash256> after;
    std::vector<Hash256> siblings;
    RootPair roots;

    Proof(std::mt19937_64& random, NodeHash hash, unsigned tree_height, size_t count)
        : height(tree_height), indices(random_indices(random, tree_height, count)) {
        NaiveTree tree = random_tree(random, hash, height, indices);
        leaves = tree.leaves(indices);
        siblings = tree.siblings(indices);
        roots.before = tree.root();
        for (const uint64_t index : indices) {
            if (random() % 2 == 0) { tree.write(index, random_hash(random)); }
        }
        after = tree.leaves(indices);
        roots.after = tree.root();
    }
};

void expect_proof_holds(Backend backend, NodeHash hash, const Proof& proof) {
    MultiproofSweep sweep(hash, proof.height);
    const auto count = multiproof_sibling_count(proof.height, proof.indices);
    ASSERT_TRUE(count.has_value()) << count.error().message;
    ASSERT_EQ(proof.siblings.size(), *count);
    const auto checked =
        sweep.check(backend, proof.roots.before, proof.indices, proof.leaves, proof.siblings);
    ASSERT_TRUE(checked.has_value()) << checked.error().message;
    const auto roots =
        sweep.roots(backend, proof.indices, proof.leaves, proof.after, proof.siblings);
    ASSERT_TRUE(roots.has_value()) << roots.error().message;
    ASSERT_EQ(proof.roots, *roots);
}

TEST(Multiproof, LeadsToTheRootsBeforeAndAfterAtEveryCountAndHeight) {
    on_cpu([](Backend backend) {
        for (const NodeHash hash : node_hashes) {
            std::mt19937_64 random(5);
            for (const unsigned height : {0u, 1u, 2u, 5u, 11u, 33u, 63u}) {
                for (const size_t count : {1u, 2u, 7u, 8u, 9u, 31u, 33u}) {
                    expect_proof_holds(backend, hash, Proof(random, hash, height, count));
                }
            }
        }
    });
}

TEST(Multiproof, RowsThatAreCutAgree) {
    on_cpu([](Backend backend) {
        std::mt19937_64 random(6);
        for (const size_t count : {127u, 128u, 129u, 255u, 257u, 1000u, 1024u}) {
            expect_proof_holds(backend, NodeHash::blake3,
                               Proof(random, NodeHash::blake3, 10, count));
        }
    });
}

TEST(Multiproof, TheSiblingsPlacesAreThoseOfTheDefinition) {
    std::mt19937_64 random(7);
    for (const unsigned height : {0u, 1u, 3u, 8u, 33u, 63u}) {
        for (const size_t count : {1u, 2u, 3u, 9u, 40u}) {
            const auto indices = random_indices(random, height, count);
            const auto places = multiproof_sibling_places(height, indices);
            ASSERT_TRUE(places.has_value());
            EXPECT_EQ(NaiveTree(NodeHash::blake3, height).sibling_places(indices), *places);
        }
    }
}

/// Every single change of a proof; the text says what it was.
void for_each_mutation(const Proof& proof, std::mt19937_64& random,
                       const std::function<void(const std::string&, const Proof&)>& body) {
    const auto changed = [&](const std::string& what, const auto& change) {
        Proof wrong = proof;
        change(wrong);
        body(what, wrong);
    };
    const auto flip = [&](Hash256& node) {
        node[random() % 32] ^= static_cast<uint8_t>(1u << random() % 8);
    };
    for (size_t i = 0; i < proof.leaves.size(); ++i) {
        const std::string at = " " + std::to_string(i);
        changed("leaf" + at, [&](Proof& p) { flip(p.leaves[i]); });
        for (unsigned bit = 0; bit < 64; ++bit) {
            changed("index" + at + " bit " + std::to_string(bit),
                    [&](Proof& p) { p.indices[i] ^= uint64_t{1} << bit; });
        }
        changed("repeated" + at, [&](Proof& p) {
            p.indices.insert(p.indices.begin() + static_cast<ptrdiff_t>(i), p.indices[i]);
            p.leaves.insert(p.leaves.begin() + static_cast<ptrdiff_t>(i), p.leaves[i]);
        });
        changed("dropped" + at, [&](Proof& p) {
            p.indices.erase(p.indices.begin() + static_cast<ptrdiff_t>(i));
            p.leaves.erase(p.leaves.begin() + static_cast<ptrdiff_t>(i));
        });
        if (i == 0) { continue; }
        changed("swapped leaves" + at, [&](Proof& p) { std::swap(p.leaves[i], p.leaves[i - 1]); });
        changed("swapped pairs" + at, [&](Proof& p) {
            std::swap(p.leaves[i], p.leaves[i - 1]);
            std::swap(p.indices[i], p.indices[i - 1]);
        });
    }
    for (size_t i = 0; i < proof.siblings.size(); ++i) {
        const std::string at = " " + std::to_string(i);
        changed("sibling" + at, [&](Proof& p) { flip(p.siblings[i]); });
        changed("sibling missing" + at, [&](Proof& p) {
            p.siblings.erase(p.siblings.begin() + static_cast<ptrdiff_t>(i));
        });
        changed("sibling repeated" + at, [&](Proof& p) {
            p.siblings.insert(p.siblings.begin() + static_cast<ptrdiff_t>(i), p.siblings[i]);
        });
        if (i == 0 || proof.siblings[i] == proof.siblings[i - 1]) { continue; }
        changed("swapped siblings" + at,
                [&](Proof& p) { std::swap(p.siblings[i], p.siblings[i - 1]); });
    }
    changed("appended", [&](Proof& p) { p.siblings.push_back(random_hash(random)); });
    changed("root", [&](Proof& p) { flip(p.roots.before); });
    changed("no leaves", [&](Proof& p) {
        p.leaves.clear();
        p.indices.clear();
    });
    changed("a leaf too few", [&](Proof& p) { p.leaves.pop_back(); });
    changed("higher tree", [&](Proof& p) { ++p.height; });
    if (proof.height != 0) {
        changed("lower tree", [&](Proof& p) { --p.height; });
    }
}

TEST(Multiproof, EveryMutationIsRefused) {
    for (const NodeHash hash : node_hashes) {
        for (const Backend backend : {Backend::scalar, Backend::simd}) {
            std::mt19937_64 random(8);
            for (const size_t count : {1u, 2u, 5u, 9u}) {
                const Proof proof(random, hash, 6, count);
                for_each_mutation(proof, random, [&](const std::string& what, const Proof& wrong) {
                    MultiproofSweep sweep(hash, wrong.height);
                    const auto done = sweep.check(backend, wrong.roots.before, wrong.indices,
                                                  wrong.leaves, wrong.siblings);
                    ASSERT_FALSE(done.has_value()) << what << " of " << count << " leaves";
                    EXPECT_EQ(ErrorCode::invalid_input, done.error().code) << what;
                });
            }
        }
    }
}

TEST(Multiproof, EachRefusalSaysWhatItSaw) {
    std::mt19937_64 random(9);
    Proof proof(random, NodeHash::blake3, 8, 3);
    MultiproofSweep sweep(NodeHash::blake3, 8);
    const auto refusal = [&](std::vector<uint64_t> indices, std::span<const Hash256> siblings) {
        const auto root = sweep.root(Backend::simd, indices, proof.leaves, siblings);
        return root.has_value() ? std::string("accepted") : root.error().message;
    };
    const auto expect = [](const char* part, const std::string& message) {
        EXPECT_NE(std::string::npos, message.find(part)) << message;
    };
    expect("given twice", refusal({4, 4, 5}, proof.siblings));
    expect("ascending", refusal({4, 3, 5}, proof.siblings));
    expect("not in a tree of height 8", refusal({4, 5, 256}, proof.siblings));
    expect("no leaf", refusal({}, proof.siblings));
    expect("leaves", refusal({4, 5}, proof.siblings));
    const std::span siblings(proof.siblings);
    expect("missing", refusal(proof.indices, siblings.first(siblings.size() - 1)));
    proof.siblings.emplace_back();
    expect("left over", refusal(proof.indices, proof.siblings));
    const auto height = multiproof_sibling_count(64, std::vector<uint64_t>{1});
    ASSERT_FALSE(height.has_value());
    expect("at most 63", height.error().message);
    const std::vector<uint64_t> many(multiproof_leaves_max + 1);
    const auto limit = multiproof_sibling_count(63, many);
    ASSERT_FALSE(limit.has_value());
    EXPECT_EQ(ErrorCode::limit, limit.error().code);
}

TEST(Multiproof, OneLeafIsAPathAndAllLeavesNeedNoSibling) {
    std::mt19937_64 random(10);
    const Proof one(random, NodeHash::sha256, 20, 1);
    EXPECT_EQ(20u, one.siblings.size());
    const ProofPath path{one.leaves[0], one.indices[0], one.siblings};
    PathVerdict verdict{};
    ASSERT_TRUE(check_paths(Backend::simd, NodeHash::sha256, 20, one.roots.before, {&path, 1},
                            {&verdict, 1}));
    EXPECT_EQ(PathVerdict::valid, verdict);
    const Proof all(random, NodeHash::sha256, 6, 64);
    EXPECT_EQ(0u, all.siblings.size());
    expect_proof_holds(Backend::simd, NodeHash::sha256, all);
}

RC_GTEST_PROP(Multiproof, AnyLeavesOfAnyTree, ()) {
    std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
    const NodeHash hash = node_hashes[random() % 3];
    const unsigned height = static_cast<unsigned>(random() % 64);
    const Proof proof(random, hash, height, 1 + random() % 60);
    for (const Backend backend : {Backend::scalar, Backend::simd}) {
        expect_proof_holds(backend, hash, proof);
    }
    RC_ASSERT(!testing::Test::HasFailure());
}

TEST(Witness, CudaIsEitherUsableOrSaysWhyNot) {
    const BackendStatus cuda = witness_backend_status(Backend::cuda);
    std::mt19937_64 random(11);
    const Proof proof(random, NodeHash::keccak256, 12, 30);
    if (cuda.available) {
        expect_proof_holds(Backend::cuda, NodeHash::keccak256, proof);
        return;
    }
    EXPECT_FALSE(cuda.reason.empty());
    MultiproofSweep sweep(NodeHash::keccak256, 12);
    const auto root = sweep.root(Backend::cuda, proof.indices, proof.leaves, proof.siblings);
    ASSERT_FALSE(root.has_value());
    EXPECT_EQ(ErrorCode::unavailable, root.error().code);
    EXPECT_NE(std::string::npos, root.error().message.find(cuda.reason));
    const ProofPath path{};
    PathVerdict verdict{};
    const auto done =
        check_paths(Backend::cuda, NodeHash::keccak256, 0, {}, {&path, 1}, {&verdict, 1});
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(ErrorCode::unavailable, done.error().code);
}

}  // namespace
}  // namespace millrace::kernels
