// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the verifier of state proofs: what it must refuse, on a tree built by hand.
#include "storage/proof/state_proof.hpp"

#include <random>

#include <gtest/gtest.h>

namespace millrace::storage {
namespace {

using kernels::NodeHash;

Hash256 key_of(uint8_t first, uint8_t last = 0) {
    Hash256 key;
    key[0] = first;
    key[1] = 1;
    key[31] = last;
    return key;
}

/// A shard with entries 0..n-1 of the keys 0x30.., 0x31.., ..; the last one of n was updated, so
/// that its first entry is dead. All other shards are empty trees without sentinels.
class HandMade {
public:
    explicit HandMade(NodeHash hash) : hash_(hash), nulls_(hash) {
        for (uint8_t i = 0; i < 4; ++i) {
            StateEntry e;
            e.serial = i;
            e.key = i == 3 ? key_of(0x32) : key_of(static_cast<uint8_t>(0x30 + i));
            e.next = link_of(i == 0 ? key_of(0x31) : i == 1 ? key_of(0x32) : sentinel_key(3));
            e.height = 7;
            e.previous_distance = i == 3 ? 1 : 0;
            values_.push_back(Bytes{i, i, i});
            e.value = values_.back();
            Bytes encoded(entry_bytes_bound(3));
            encoded.resize(encode_entry(e, encoded.data()));
            entries_.push_back(encoded);
        }
        bits_[0] = 0b1011;
    }
    /// The proof with the path of entry `i`.
    StateProof proof(unsigned i) const {
        StateProof p;
        p.entry = entries_[i];
        p.serial_count = 4;
        p.active_bits = bits_;
        p.siblings = {leaf(i ^ 1), pair_hash(hash_, leaf((i ^ 2) & ~1u), leaf((i ^ 2) | 1))};
        p.null_siblings = 0b111'1111'1100;
        Hash256 empty = shard(nulls_.grafted[grafted_height_min], 0);
        for (unsigned level = 0; level < shard_bits; ++level) {
            p.siblings.push_back(empty);
            empty = pair_hash(hash_, empty, empty);
        }
        return p;
    }
    Hash256 root() const {
        Hash256 node = pair_hash(hash_, pair_hash(hash_, leaf(0), leaf(1)),
                                 pair_hash(hash_, leaf(2), leaf(3)));
        for (unsigned h = 2; h < chunk_height; ++h) {
            node = pair_hash(hash_, node, nulls_.plain[h]);
        }
        node = pair_hash(hash_, node, bits_);
        for (unsigned h = 0; h < grafted_height_min; ++h) {
            node = pair_hash(hash_, node, nulls_.grafted[h]);
        }
        node = shard(node, 4);
        Hash256 empty = shard(nulls_.grafted[grafted_height_min], 0);
        for (unsigned level = 0; level < shard_bits; ++level) {  // shard 3 is 0b0011
            node = level < 2 ? pair_hash(hash_, empty, node) : pair_hash(hash_, node, empty);
            empty = pair_hash(hash_, empty, empty);
        }
        return node;
    }

private:
    Hash256 leaf(unsigned i) const { return leaf_hash(hash_, entries_[i]); }
    Hash256 shard(const Hash256& tree, uint64_t count) const {
        return pair_hash(hash_, tree, shard_header(count));
    }

    NodeHash hash_;
    NullNodes nulls_;
    ActiveBits bits_;
    std::vector<Bytes> values_;
    std::vector<Bytes> entries_;
};

class ProofHash : public testing::TestWithParam<NodeHash> {};
INSTANTIATE_TEST_SUITE_P(StateProof, ProofHash,
                         testing::Values(NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3),
                         [](const auto& test) { return std::string{to_string(test.param)}; });

TEST_P(ProofHash, ProvesValuesAndAbsenceAndNothingElse) {
    const HandMade made{GetParam()};
    const StateVerifier verifier{GetParam()};
    const auto verify = [&](const Hash256& key, unsigned entry) {
        return verifier.verify(made.root(), key, made.proof(entry));
    };
    const StateProof first = made.proof(0);
    const auto value = verifier.verify(made.root(), key_of(0x30), first);
    ASSERT_TRUE(value) << value.error().message;
    ASSERT_TRUE(value->has_value());
    EXPECT_TRUE(std::ranges::equal(**value, Bytes{0, 0, 0}));
    // Between the first two keys, and after the last one of the shard.
    for (const auto& [key, entry] : {std::pair{key_of(0x30, 1), 0u}, std::pair{key_of(0x3f), 3u}}) {
        const auto absent = verify(key, entry);
        ASSERT_TRUE(absent) << absent.error().message;
        EXPECT_FALSE(absent->has_value());
    }
    EXPECT_FALSE(verify(key_of(0x31), 0));     // exactly the next key
    EXPECT_FALSE(verify(key_of(0x31, 9), 0));  // not to be told apart from it by the link
    EXPECT_FALSE(verify(key_of(0x2f), 0));     // below, and of another shard
    EXPECT_FALSE(verify(key_of(0x40), 3));     // above, but of another shard
    EXPECT_FALSE(verify(key_of(0x30), 3));     // below
    EXPECT_FALSE(verify(key_of(0x32), 2));     // dead
    EXPECT_TRUE(verify(key_of(0x32), 3)->has_value());
    EXPECT_FALSE(verifier.verify(Hash256{}, key_of(0x30), first));
    EXPECT_FALSE(verify(sentinel_key(3), 0));  // reserved
}

TEST(StateProof, EveryChangedByteIsRefused) {
    const HandMade made{NodeHash::blake3};
    const StateVerifier verifier{NodeHash::blake3};
    Bytes good;
    encode_state_proof(made.proof(1), good);
    ASSERT_EQ(decode_state_proof(good).value(), made.proof(1));
    for (size_t at = 0; at < good.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Bytes bad = good;
            bad[at] ^= static_cast<uint8_t>(1u << bit);
            const auto proof = decode_state_proof(bad);
            EXPECT_FALSE(proof && verifier.verify(made.root(), key_of(0x31), *proof)) << at;
            EXPECT_FALSE(proof && verifier.verify(made.root(), key_of(0x31, 1), *proof)) << at;
        }
        EXPECT_FALSE(decode_state_proof(ByteView{good}.first(at)));
    }
    good.push_back(0);
    EXPECT_FALSE(decode_state_proof(good));
}

TEST(StateProof, ASiblingThatStandsForNothingMustBeLeftOut) {
    const HandMade made{NodeHash::sha256};
    const StateVerifier verifier{NodeHash::sha256};
    const NullNodes nulls{NodeHash::sha256};
    StateProof padded = made.proof(0);
    padded.null_siblings ^= 1u << 2;
    padded.siblings.insert(padded.siblings.begin() + 2, nulls.plain[2]);
    EXPECT_FALSE(verifier.verify(made.root(), key_of(0x30), padded));
    StateProof short_one = made.proof(0);
    short_one.siblings.pop_back();
    EXPECT_FALSE(verifier.verify(made.root(), key_of(0x30), short_one));
    StateProof shard_left_out = made.proof(0);
    shard_left_out.null_siblings |= 1u << 11;
    EXPECT_FALSE(verifier.verify(made.root(), key_of(0x30), shard_left_out));
}

TEST(StateProof, ALeafCannotBeClaimedAtAnotherPlace) {
    const HandMade made{NodeHash::blake3};
    const StateVerifier verifier{NodeHash::blake3};
    // With the bits of another chunk, with another count, and with the path of another leaf.
    StateProof other_bits = made.proof(2);
    other_bits.active_bits[0] |= 0b100;
    EXPECT_FALSE(verifier.verify(made.root(), key_of(0x32), other_bits));
    StateProof other_count = made.proof(3);
    other_count.serial_count = 5;
    EXPECT_FALSE(verifier.verify(made.root(), key_of(0x32), other_count));
    StateProof other_path = made.proof(3);
    other_path.entry = made.proof(1).entry;
    EXPECT_FALSE(verifier.verify(made.root(), key_of(0x31), other_path));
}

TEST(StateTree, HeightsFollowTheCountOfSerialNumbers) {
    EXPECT_EQ(grafted_height(1), 3u);
    EXPECT_EQ(grafted_height(2048), 3u);
    EXPECT_EQ(grafted_height(2049), 4u);
    EXPECT_EQ(grafted_height(4096), 4u);
    EXPECT_EQ(grafted_height(4097), 5u);
    EXPECT_EQ(grafted_height(serial_max), grafted_height_max);
}

}  // namespace
}  // namespace millrace::storage
