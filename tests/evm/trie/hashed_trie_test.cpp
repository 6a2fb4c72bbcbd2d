// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the trie over raw keys, where keys are chosen to share long prefixes.
#include "evm/trie/detail/hashed_trie.hpp"

#include <gtest/gtest.h>

#include <random>

#include "evm/trie/proof.hpp"
#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"
#include "tests/evm/trie/naive_trie.hpp"

namespace millrace::evm {
namespace {

struct SmallValue {
    uint8_t size = 0;
    std::array<uint8_t, 40> bytes{};
};

class RawTrie {
public:
    using Trie = detail::HashedTrie<SmallValue>;

    void set(const Hash256& key, const Bytes& value) {
        trie.upsert(root_id, key, [&](SmallValue& stored, bool) {
            const bool changed = get_bytes(stored) != value;
            stored.size = static_cast<uint8_t>(value.size());
            std::copy(value.begin(), value.end(), stored.bytes.begin());
            return changed;
        });
    }
    bool erase(const Hash256& key) { return trie.erase(root_id, key); }
    std::optional<Bytes> get(const Hash256& key) const {
        const SmallValue* v = trie.find(root_id, key);
        if (v == nullptr) { return std::nullopt; }
        return get_bytes(*v);
    }
    Hash256 root(HashBatch& batch = sequential_hash_batch()) {
        trie.collect_marked(root_id, [](const SmallValue&) {});
        trie.rehash(batch, writer);
        return root_id == Trie::none ? empty_trie_root : trie.root_hash(root_id);
    }
    std::vector<Bytes> prove(const Hash256& key) { return trie.prove(root_id, key, writer); }

    static Bytes get_bytes(const SmallValue& v) {
        return {v.bytes.begin(), v.bytes.begin() + v.size};
    }
    static void writer(Bytes& out, const SmallValue& v) {
        out.insert(out.end(), v.bytes.begin(), v.bytes.begin() + v.size);
    }

    Trie trie;
    Trie::NodeId root_id = Trie::none;
};

Hash256 naive_root(const std::map<Hash256, Bytes>& entries) {
    std::map<Bytes, Bytes> raw;
    for (const auto& [key, value] : entries) { raw[Bytes(key.begin(), key.end())] = value; }
    return test::NaiveTrie::root(raw);
}

/// Keys that fork at a few chosen depths, so that extensions, deep branches and nodes below 32
/// bytes come up all the time.
class KeyMaker {
public:
    explicit KeyMaker(uint64_t seed) : random_(seed) {}
    Hash256 operator()() {
        Hash256 key;
        for (int fork = 0; fork < 3; ++fork) {
            static constexpr std::array<size_t, 9> depths{0, 1, 2, 31, 32, 33, 61, 62, 63};
            const size_t at = depths[random_() % depths.size()];
            const auto nibble = static_cast<uint8_t>(random_() % 3);
            key[at / 2] |= static_cast<uint8_t>(at % 2 == 0 ? nibble << 4 : nibble);
        }
        return key;
    }

private:
    std::mt19937_64 random_;
};

TEST(HashedTrie, OneLeafAtTheRootIsHashed) {
    RawTrie trie;
    EXPECT_EQ(trie.root(), empty_trie_root);
    const Hash256 key = hash_literal("0x" + std::string(64, '1'));
    trie.set(key, {0x05});
    // list(33 + 1) of the path 0x20 then the key, and the byte 5.
    EXPECT_EQ(trie.root(),
              kernels::keccak256(from_hex("e3a120" + std::string(64, '1') + "05").value()));
    EXPECT_TRUE(trie.erase(key));
    EXPECT_FALSE(trie.erase(key));
    EXPECT_EQ(trie.root(), empty_trie_root);
    EXPECT_EQ(trie.trie.node_count(), 0u);
}

TEST(HashedTrie, FollowsTheNaiveRootOverRandomOperations) {
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937_64 random(seed);
        KeyMaker make_key(seed);
        RawTrie trie;
        std::map<Hash256, Bytes> model;
        const size_t target = 1 + random() % 40;
        for (int step = 0; step < 400; ++step) {
            const bool grow = model.size() < target ? random() % 4 != 0 : random() % 4 == 0;
            if (grow || model.empty()) {
                const Hash256 key = make_key();
                Bytes value(1 + random() % (random() % 2 == 0 ? 2 : 40));
                for (uint8_t& b : value) { b = static_cast<uint8_t>(random() % 256); }
                trie.set(key, value);
                model[key] = value;
            } else if (random() % 8 == 0) {
                const Hash256 key = make_key();
                EXPECT_EQ(trie.erase(key), model.erase(key) == 1);
            } else {
                auto it = model.begin();
                std::advance(it, random() % model.size());
                EXPECT_TRUE(trie.erase(it->first));
                model.erase(it);
            }
            // Rehash only now and then, so that marked and clean nodes meet in one change.
            if (random() % 3 == 0) { ASSERT_EQ(trie.root(), naive_root(model)) << "step " << step; }
            ASSERT_EQ(trie.trie.leaf_count(), model.size());
        }
        ASSERT_EQ(trie.root(), naive_root(model));
        for (const auto& [key, value] : model) { ASSERT_EQ(trie.get(key), value); }
        while (!model.empty()) {
            ASSERT_TRUE(trie.erase(model.begin()->first));
            model.erase(model.begin());
            ASSERT_EQ(trie.root(), naive_root(model));
        }
        EXPECT_EQ(trie.trie.node_count(), 0u);
    }
}

TEST(HashedTrie, OrderOfInsertionDoesNotMatter) {
    KeyMaker make_key(7);
    std::map<Hash256, Bytes> model;
    for (int i = 0; i < 60; ++i) { model[make_key()] = {static_cast<uint8_t>(i + 1)}; }
    std::vector<std::pair<Hash256, Bytes>> entries(model.begin(), model.end());
    std::mt19937_64 random(7);
    for (int round = 0; round < 10; ++round) {
        std::shuffle(entries.begin(), entries.end(), random);
        RawTrie trie;
        for (const auto& [key, value] : entries) { trie.set(key, value); }
        EXPECT_EQ(trie.root(), naive_root(model));
    }
}

TEST(HashedTrie, ClearReleasesEveryNode) {
    KeyMaker make_key(9);
    RawTrie trie;
    for (int i = 0; i < 100; ++i) { trie.set(make_key(), {1}); }
    trie.root();
    const size_t bytes = trie.trie.memory_bytes();
    trie.trie.clear(trie.root_id);
    EXPECT_EQ(trie.trie.node_count(), 0u);
    EXPECT_EQ(trie.root(), empty_trie_root);
    for (int i = 0; i < 100; ++i) { trie.set(make_key(), {1}); }
    EXPECT_LT(trie.trie.memory_bytes(), 2 * bytes);
}

class RecordingBatch final : public HashBatch {
public:
    void hash(std::span<const ByteView> messages, std::span<Hash256> digests) noexcept override {
        sequential_hash_batch().hash(messages, digests);
        hashed += messages.size();
        largest = std::max(largest, messages.size());
    }
    size_t hashed = 0;
    size_t largest = 0;
};

TEST(HashedTrie, OnlyTheChangedPathIsRehashed) {
    std::mt19937_64 random(3);
    RawTrie trie;
    std::vector<Hash256> keys(20'000);
    for (Hash256& key : keys) {
        for (uint8_t& b : key.bytes) { b = static_cast<uint8_t>(random()); }
        trie.set(key, {1, 2, 3});
    }
    RecordingBatch first;
    const Hash256 root = trie.root(first);
    EXPECT_GE(first.hashed, keys.size());
    EXPECT_LE(first.largest, 1024u);
    EXPECT_GE(first.largest, 1000u);
    RecordingBatch unchanged;
    trie.set(keys[5], {1, 2, 3});
    EXPECT_EQ(trie.root(unchanged), root);
    EXPECT_EQ(unchanged.hashed, 0u);
    RecordingBatch second;
    trie.set(keys[5], {4});
    EXPECT_NE(trie.root(second), root);
    EXPECT_LE(second.hashed, 8u);
    trie.set(keys[5], {1, 2, 3});
    EXPECT_EQ(trie.root(), root);
}

TEST(HashedTrie, ProofsOfChosenKeysVerifyWithEmbeddedNodes) {
    size_t embedded = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        KeyMaker make_key(seed);
        RawTrie trie;
        std::map<Hash256, Bytes> model;
        for (int i = 0; i < 30; ++i) {
            const Hash256 key = make_key();
            model[key] = {static_cast<uint8_t>(i + 1)};
            trie.set(key, model[key]);
        }
        const Hash256 root = trie.root();
        for (const auto& [key, value] : model) {
            const auto nodes = trie.prove(key);
            const auto proven = verify_trie_proof(root, key, nodes);
            ASSERT_TRUE(proven) << proven.error().message;
            ASSERT_EQ(*proven, value);
            // A leaf far down that is not listed must have been inside its parent.
            if (nodes.back().size() > 40) { ++embedded; }
        }
        for (int i = 0; i < 100; ++i) {
            const Hash256 key = make_key();
            const auto proven = verify_trie_proof(root, key, trie.prove(key));
            ASSERT_TRUE(proven) << proven.error().message;
            const auto it = model.find(key);
            ASSERT_EQ(*proven, it == model.end() ? std::nullopt : std::optional(it->second));
        }
    }
    EXPECT_GT(embedded, 0u);
}

TEST(HashedTrie, EveryDamagedByteOfAProofIsNoticed) {
    KeyMaker make_key(11);
    RawTrie trie;
    std::vector<Hash256> keys;
    for (int i = 0; i < 40; ++i) {
        keys.push_back(make_key());
        trie.set(keys.back(), Bytes(1 + static_cast<size_t>(i) % 35, 0x42));
    }
    const Hash256 root = trie.root();
    for (const Hash256& key : {keys[0], keys[1], make_key()}) {
        const auto nodes = trie.prove(key);
        for (size_t n = 0; n < nodes.size(); ++n) {
            for (size_t i = 0; i < nodes[n].size(); ++i) {
                auto damaged = nodes;
                damaged[n][i] ^= 0x01;
                ASSERT_FALSE(verify_trie_proof(root, key, damaged));
            }
            auto fewer = nodes;
            fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(n));
            EXPECT_FALSE(verify_trie_proof(root, key, fewer));
        }
        auto more = nodes;
        more.push_back(nodes.back());
        EXPECT_FALSE(verify_trie_proof(root, key, more));
        EXPECT_FALSE(verify_trie_proof(empty_trie_root, key, nodes));
    }
    EXPECT_FALSE(verify_trie_proof(root, keys[0], {}));
    EXPECT_EQ(verify_trie_proof(empty_trie_root, keys[0], {}).value(), std::nullopt);
}

/// Checks a proof whose single node hashes to the root, so that only its form can be at fault.
bool accepts_node(const std::string& node_hex) {
    const std::vector<Bytes> nodes{from_hex(node_hex).value()};
    return verify_trie_proof(kernels::keccak256(nodes[0]), Hash256{}, nodes).has_value();
}

TEST(ProofVerification, MalformedNodesAreRefusedThoughTheirHashIsRight) {
    const std::string zero_path = std::string(64, '0');
    EXPECT_TRUE(accepts_node("e3a120" + zero_path + "05"));
    EXPECT_FALSE(accepts_node("e3a121" + zero_path + "05"));             // odd flag nibble set
    EXPECT_FALSE(accepts_node("e3a160" + zero_path + "05"));             // no such flag
    EXPECT_FALSE(accepts_node("e3a120" + zero_path + "80"));             // empty value
    EXPECT_FALSE(accepts_node("e3a100" + zero_path + "05"));             // extension to the end
    EXPECT_FALSE(accepts_node("e2a020" + std::string(62, '0') + "05"));  // path too short
    EXPECT_FALSE(accepts_node("c20005"));                                // extension of no nibbles
    EXPECT_FALSE(accepts_node("c3010203"));                              // three items
    EXPECT_FALSE(accepts_node("05"));
    EXPECT_FALSE(accepts_node("80"));
    std::string absent_children;
    for (int i = 0; i < 16; ++i) { absent_children += "80"; }
    EXPECT_TRUE(accepts_node("d1" + absent_children + "80"));
    EXPECT_FALSE(accepts_node("d1" + absent_children + "05"));  // branch with a value
    EXPECT_FALSE(accepts_node("d105" + absent_children));       // reference of one byte
}

}  // namespace
}  // namespace millrace::evm
