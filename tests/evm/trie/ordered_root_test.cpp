// SPDX-License-Identifier: Apache-2.0
// Owns the tests of roots over lists.
#include "evm/trie/ordered_root.hpp"

#include <gtest/gtest.h>

#include <random>

#include "evm/trie/vector_hash_batch.hpp"
#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"
#include "tests/evm/trie/naive_trie.hpp"

namespace millrace::evm {
namespace {

Hash256 naive_root(const std::vector<Bytes>& items) {
    std::map<Bytes, Bytes> entries;
    for (size_t i = 0; i < items.size(); ++i) {
        Bytes key;
        rlp::append_u64(key, i);
        entries[key] = items[i];
    }
    return test::NaiveTrie::root(entries);
}

TEST(NaiveTrie, GivesTheRootOfThePublishedExample) {
    // The "dogs" example of the Ethereum trie tests, with keys of different lengths.
    const auto bytes = [](std::string_view s) {
        const ByteView v = as_bytes(s);
        return Bytes(v.begin(), v.end());
    };
    EXPECT_EQ(to_hex(test::NaiveTrie::root({{bytes("doe"), bytes("reindeer")},
                                            {bytes("dog"), bytes("puppy")},
                                            {bytes("dogglesworth"), bytes("cat")}})),
              "0x8aad789dff2f538bca5d8ea56e8abe10f4c7ba3a5dea95fea4cd6e7c3a1168d3");
    EXPECT_EQ(test::NaiveTrie::root({}), empty_trie_root);
}

TEST(OrderedRoot, OfNothingIsTheEmptyRoot) { EXPECT_EQ(ordered_trie_root(std::span<const Bytes>{}), empty_trie_root); }

TEST(OrderedRoot, OfOneItemIsTheHashOfOneLeaf) {
    // Key 0x80 is the nibbles 8 and 0; the leaf's path is 0x20 0x80.
    const std::vector<Bytes> items{{0x01, 0x02}};
    EXPECT_EQ(ordered_trie_root(items), kernels::keccak256(from_hex("c6822080820102").value()));
}

TEST(OrderedRoot, EqualsTheNaiveRootAroundEveryEdgeOfTheKeys) {
    std::mt19937_64 random(1);
    for (const size_t n : {1,   2,   3,   15,  16,  17,  18,  126, 127, 128, 129,
                           130, 143, 144, 255, 256, 257, 258, 300, 511, 512, 1000}) {
        for (const size_t bytes_max : {1u, 40u, 600u}) {
            std::vector<Bytes> items(n);
            for (Bytes& item : items) {
                item.resize(1 + random() % bytes_max);
                for (uint8_t& b : item) { b = static_cast<uint8_t>(random()); }
            }
            ASSERT_EQ(ordered_trie_root(items), naive_root(items)) << n << " " << bytes_max;
            ASSERT_EQ(ordered_trie_root(items, vector_hash_batch()), naive_root(items));
        }
    }
}

TEST(OrderedRoot, EqualsTheNaiveRootWithKeysOfFourBytes) {
    std::vector<Bytes> items(66'000);
    for (size_t i = 0; i < items.size(); ++i) { rlp::append_u64(items[i], i + 1); }
    EXPECT_EQ(ordered_trie_root(items), naive_root(items));
}

class CountingBatch final : public HashBatch {
public:
    void hash(std::span<const ByteView> messages, std::span<Hash256> digests) noexcept override {
        sequential_hash_batch().hash(messages, digests);
        ++calls;
        hashed += messages.size();
    }
    size_t calls = 0;
    size_t hashed = 0;
};

TEST(OrderedRoot, HashesLeavesInBatchesOfBoundedSize) {
    const std::vector<Bytes> items(100, Bytes(100'000, 0x7f));
    CountingBatch batch;
    EXPECT_EQ(ordered_trie_root(items, batch), ordered_trie_root(items));
    EXPECT_EQ(batch.hashed, 100u);
    EXPECT_GE(batch.calls, 9u);
    EXPECT_LE(batch.calls, 11u);
}

}  // namespace
}  // namespace millrace::evm
