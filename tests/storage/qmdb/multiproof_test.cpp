// SPDX-License-Identifier: Apache-2.0
// Owns the tests of multiproofs: the model as oracle of their answers, and what must be refused.
#include "storage/proof/state_multiproof.hpp"

#include <set>

#include <gtest/gtest.h>

#include "tests/storage/qmdb/engine_model.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage::qmdb {
namespace {

using kernels::NodeHash;

/// An engine and its model with the same blocks.
class Pair {
public:
    explicit Pair(NodeHash hash) : model(hash), hash_(hash) { open(); }

    void block(const Block& writes) {
        const uint64_t height = engine->height() + 1;
        ASSERT_EQ(engine->apply(height, writes_of(writes)).value(), model.apply(height, writes));
        ASSERT_TRUE(engine->commit());
    }
    void blocks(size_t count, size_t writes, unsigned creates_of_ten, std::mt19937_64& random) {
        for (size_t i = 0; i < count; ++i) {
            ASSERT_NO_FATAL_FAILURE(block(random_block(model, writes, creates_of_ten, random)));
        }
    }
    void open() {
        EngineOptions o;
        o.hash = hash_;
        o.log.segment_bytes = uint64_t{1} << 20;
        engine = nullptr;
        engine = Engine::open(disk, "/db/state", o, make_pwrite_log_writer("test")).value();
    }

    SimulatedDisk disk;
    EngineModel model;
    std::unique_ptr<Engine> engine;

private:
    NodeHash hash_;
};

/// Keys that are there, ones beside them and others at random, sorted.
std::vector<Hash256> some_keys(const EngineModel& model, size_t count, std::mt19937_64& random) {
    std::set<Hash256> keys;
    while (keys.size() < count) {
        const auto there = model.any_key(random);
        Hash256 key = there && random() % 3 != 0 ? *there : random_key(random);
        if (random() % 4 == 0) { key[random() % 24] ^= static_cast<uint8_t>(1 + random() % 255); }
        // Far to the right of the link nothing but the key itself has a proof.
        if (!is_reserved_key(key)) { keys.insert(key); }
    }
    return {keys.begin(), keys.end()};
}

Bytes encoded(const StateMultiproof& proof) {
    Bytes out;
    encode_state_multiproof(proof, out);
    return out;
}

void expect_answers(Engine& engine, const EngineModel& model, NodeHash hash,
                    const std::vector<Hash256>& keys) {
    const auto proof = engine.prove(keys);
    ASSERT_TRUE(proof) << proof.error().message;
    EXPECT_EQ(proof->key_count(), keys.size());
    const auto decoded = decode_state_multiproof(encoded(*proof));
    ASSERT_TRUE(decoded) << decoded.error().message;
    ASSERT_EQ(*decoded, *proof);
    const auto answers = StateMultiproofVerifier{hash}.verify(engine.root(), keys, *decoded);
    ASSERT_TRUE(answers) << answers.error().message;
    ASSERT_EQ(answers->size(), keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
        const auto expected = model.get(keys[i]);
        const auto& got = (*answers)[i];
        ASSERT_EQ(got.has_value(), expected.has_value()) << i;
        if (expected) { ASSERT_TRUE(std::ranges::equal(*got, *expected)) << i; }
    }
    // No node is sent twice. (All leaves differ, as each has its serial number.)
    const std::set<Hash256> nodes{proof->siblings.begin(), proof->siblings.end()};
    EXPECT_EQ(nodes.size(), proof->siblings.size());
}

class MultiproofHash : public testing::TestWithParam<NodeHash> {};
INSTANTIATE_TEST_SUITE_P(Multiproof, MultiproofHash,
                         testing::Values(NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3),
                         [](const auto& test) { return std::string{to_string(test.param)}; });

TEST_P(MultiproofHash, AnswersAsTheModelDoes) {
    std::mt19937_64 random{31};
    Pair p{GetParam()};
    for (int round = 0; round < 12; ++round) {
        ASSERT_NO_FATAL_FAILURE(p.blocks(4, 150, round < 6 ? 9 : 2, random));
        for (const size_t count : {size_t{1}, size_t{2}, 1 + random() % 300}) {
            const auto keys = some_keys(p.model, count, random);
            ASSERT_NO_FATAL_FAILURE(expect_answers(*p.engine, p.model, GetParam(), keys));
        }
        if (round % 4 == 3) { p.open(); }
    }
    const auto all = p.model.keys();
    ASSERT_NO_FATAL_FAILURE(expect_answers(*p.engine, p.model, GetParam(), all));
}

TEST(Multiproof, OneKeyIsAnsweredAsByASingleProof) {
    std::mt19937_64 random{32};
    Pair p{NodeHash::blake3};
    ASSERT_NO_FATAL_FAILURE(p.blocks(8, 400, 8, random));
    for (int i = 0; i < 50; ++i) {
        const auto keys = some_keys(p.model, 1, random);
        const StateProof single = p.engine->prove(keys.front()).value();
        const StateMultiproof proof = p.engine->prove(keys).value();
        EXPECT_EQ(proof.siblings, single.siblings);
        EXPECT_EQ(proof.shards.front().active_bits.front(), single.active_bits);
        Bytes encoded_single;
        encode_state_proof(single, encoded_single);
        EXPECT_LE(encoded(proof).size(), encoded_single.size() + 8);
    }
}

TEST(Multiproof, ReadsAndProvesABlockThatWaitsForItsCommit) {
    std::mt19937_64 random{33};
    Pair p{NodeHash::blake3};
    ASSERT_NO_FATAL_FAILURE(p.blocks(2, 100, 8, random));
    const Block writes = random_block(p.model, 100, 5, random);
    ASSERT_EQ(p.engine->apply(3, writes_of(writes)).value(), p.model.apply(3, writes));
    const auto keys = some_keys(p.model, 120, random);
    ASSERT_NO_FATAL_FAILURE(expect_answers(*p.engine, p.model, NodeHash::blake3, keys));
}

TEST(Multiproof, ClusteredKeysAreCheaperThanScatteredOnes) {
    std::mt19937_64 random{34};
    Pair p{NodeHash::blake3};
    ASSERT_NO_FATAL_FAILURE(p.blocks(30, 300, 10, random));
    Block hot;
    while (hot.size() < 100) { hot[*p.model.any_key(random)] = Bytes(32, 7); }
    ASSERT_NO_FATAL_FAILURE(p.block(hot));
    std::vector<Hash256> hot_keys;
    for (const auto& [key, value] : hot) { hot_keys.push_back(key); }
    std::set<Hash256> cold;
    while (cold.size() < 100) {
        const Hash256 key = *p.model.any_key(random);
        if (!hot.contains(key)) { cold.insert(key); }
    }
    const std::vector<Hash256> cold_keys{cold.begin(), cold.end()};
    const auto nodes = [&](const std::vector<Hash256>& keys) {
        return p.engine->prove(keys).value().siblings.size();
    };
    EXPECT_LT(nodes(hot_keys) * 2, nodes(cold_keys));
}

/// A proof about present and absent keys that has every form of entry, bits and sibling.
struct Example {
    explicit Example(std::mt19937_64& random) : pair(NodeHash::blake3) {
        pair.blocks(2, 300, 10, random);
        const auto all = pair.model.keys();
        std::set<Hash256> asked;
        for (int i = 0; i < 4; ++i) { asked.insert(all[random() % all.size()]); }
        for (int i = 0; i < 2; ++i) { asked.insert(random_key(random)); }
        // Five absent keys with the same predecessor, which is asked for too.
        for (uint8_t i = 1; i <= 5; ++i) {
            Hash256 key = all[all.size() / 2];
            asked.insert(key);
            key[23] = static_cast<uint8_t>(key[23] + i);
            if (key > all[all.size() / 2]) { asked.insert(key); }
        }
        keys.assign(asked.begin(), asked.end());
        proof = pair.engine->prove(keys).value();
    }
    bool proven(const StateMultiproof& other) const { return proven(other, keys); }
    bool proven(const StateMultiproof& other, const std::vector<Hash256>& about) const {
        return StateMultiproofVerifier{NodeHash::blake3}
            .verify(pair.engine->root(), about, other)
            .has_value();
    }

    Pair pair;
    std::vector<Hash256> keys;
    StateMultiproof proof;
};

TEST(Multiproof, EveryChangedBitIsRefused) {
    std::mt19937_64 random{35};
    const Example example{random};
    const Bytes good = encoded(example.proof);
    ASSERT_TRUE(example.proven(decode_state_multiproof(good).value()));
    for (size_t at = 0; at < good.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Bytes bad = good;
            bad[at] ^= static_cast<uint8_t>(1u << bit);
            const auto proof = decode_state_multiproof(bad);
            if (!proof) { continue; }
            EXPECT_EQ(encoded(*proof), bad) << at;
            EXPECT_FALSE(example.proven(*proof)) << at;
        }
        const auto cut = decode_state_multiproof(ByteView{good}.first(at));
        EXPECT_FALSE(cut && example.proven(*cut)) << at;
    }
    for (const size_t more : {1, 31, 32, 33}) {
        Bytes longer = good;
        longer.resize(good.size() + more, 0x5a);
        const auto proof = decode_state_multiproof(longer);
        EXPECT_FALSE(proof && example.proven(*proof)) << more;
    }
}

TEST(Multiproof, AnswersOnlyTheKeysItWasMadeFor) {
    std::mt19937_64 random{36};
    const Example example{random};
    const auto& keys = example.keys;
    for (size_t i = 0; i < keys.size(); ++i) {
        auto fewer = keys;
        fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(i));
        EXPECT_FALSE(example.proven(example.proof, fewer)) << i;
        auto another = keys;
        another[i][31] ^= 1;
        if (example.pair.model.get(keys[i])) {
            EXPECT_FALSE(example.proven(example.proof, another)) << i;
        }
        auto more = keys;
        Hash256 key = keys[i];
        key[30] ^= 1;
        more.insert(std::ranges::upper_bound(more, key), key);
        EXPECT_FALSE(example.proven(example.proof, more)) << i;
    }
    auto twice = keys;
    twice.insert(twice.begin(), keys.front());
    EXPECT_FALSE(example.proven(example.proof, twice));
    EXPECT_FALSE(StateMultiproofVerifier{NodeHash::sha256}.verify(example.pair.engine->root(), keys,
                                                                  example.proof));
    EXPECT_FALSE(StateMultiproofVerifier{NodeHash::blake3}.verify(Hash256{}, keys, example.proof));
}

TEST(Multiproof, RefusesWhatTheProverWouldNotMake) {
    std::mt19937_64 random{37};
    const Example example{random};
    const auto refused = [&](auto change) {
        StateMultiproof proof = example.proof;
        change(proof);
        return !example.proven(proof);
    };
    ASSERT_FALSE(refused([](StateMultiproof&) {}));
    // Of a key that is there: absent by its own entry, and by that of its predecessor.
    const Hash256 present = *std::ranges::find_if(
        example.keys, [&](const Hash256& k) { return example.pair.model.get(k).has_value(); });
    const std::vector<Hash256> one{present};
    StateMultiproof own = example.pair.engine->prove(one).value();
    own.shards.front().entries.front().key = present;
    own.shards.front().entries.front().absent_count = 1;
    EXPECT_FALSE(example.proven(own, one));
    Hash256 below = present;
    for (size_t i = 24; i-- > 0 && below[i]-- == 0;) {}
    StateMultiproof before = example.pair.engine->prove(std::span{&below, 1}).value();
    ASSERT_TRUE(example.proven(before, {below}));
    EXPECT_FALSE(example.proven(before, one));

    EXPECT_TRUE(refused([](StateMultiproof& p) { p.shards.pop_back(); }));
    EXPECT_TRUE(refused([](StateMultiproof& p) { std::swap(p.shards[0], p.shards[1]); }));
    EXPECT_TRUE(refused([](StateMultiproof& p) { p.shards.push_back(p.shards.back()); }));
    EXPECT_TRUE(refused([](StateMultiproof& p) { p.shards[0].serial_count = 0; }));
    EXPECT_TRUE(refused([](StateMultiproof& p) { ++p.shards[0].serial_count; }));
    EXPECT_TRUE(refused([](StateMultiproof& p) { p.shards[0].entries.clear(); }));
    EXPECT_TRUE(refused([](StateMultiproof& p) { p.shards[0].active_bits.pop_back(); }));
    EXPECT_TRUE(refused([](StateMultiproof& p) {
        p.shards[0].active_bits.push_back(p.shards[0].active_bits.back());
    }));
    EXPECT_TRUE(refused([](StateMultiproof& p) { p.siblings.pop_back(); }));
    EXPECT_TRUE(refused([](StateMultiproof& p) { p.siblings.push_back(p.siblings.back()); }));
    ASSERT_FALSE(example.proof.null_siblings.empty());
    EXPECT_TRUE(refused([](StateMultiproof& p) { p.null_siblings.pop_back(); }));
    EXPECT_TRUE(refused([](StateMultiproof& p) { p.null_siblings.push_back(uint64_t{1} << 40); }));
    EXPECT_TRUE(refused([](StateMultiproof& p) {
        auto& e = p.shards[0].entries[0];
        e.next.bytes[0] ^= e.link_shared_bytes == 0 ? 0 : 0xff;
        e.value.push_back(0);
    }));
    // A sibling that stands for nothing must not be sent.
    const NullNodes nulls{NodeHash::blake3};
    const auto at = static_cast<ptrdiff_t>(example.proof.null_siblings.front());
    const auto sent = [&](const Hash256& null) {
        return [&, null](StateMultiproof& p) {
            p.null_siblings.erase(p.null_siblings.begin());
            p.siblings.insert(p.siblings.begin() + at, null);
        };
    };
    for (const Hash256& null : nulls.plain) { EXPECT_TRUE(refused(sent(null))); }
    for (const Hash256& null : nulls.grafted) { EXPECT_TRUE(refused(sent(null))); }
}

TEST(Multiproof, AnOldEntryIsNotTakenForALiveOne) {
    std::mt19937_64 random{38};
    Pair p{NodeHash::blake3};
    ASSERT_NO_FATAL_FAILURE(p.blocks(1, 100, 10, random));
    const Hash256 key = *p.model.any_key(random);
    const StateMultiproof before = p.engine->prove(std::span{&key, 1}).value();
    ASSERT_NO_FATAL_FAILURE(p.block({{key, Bytes{1, 2, 3}}}));
    const StateMultiproofVerifier verifier{NodeHash::blake3};
    const std::span one{&key, 1};
    EXPECT_FALSE(verifier.verify(p.engine->root(), one, before));
    // Its chunk is the same one; with the new path and bits it is dead, and cannot be said to live.
    StateMultiproof now = p.engine->prove(one).value();
    StateMultiproof forged = now;
    forged.shards[0].entries[0] = before.shards[0].entries[0];
    EXPECT_FALSE(verifier.verify(p.engine->root(), one, forged));
    const uint64_t serial = forged.shards[0].entries[0].serial;
    forged.shards[0].active_bits[0][serial % chunk_entries / 8] |=
        static_cast<uint8_t>(1u << serial % 8);
    EXPECT_FALSE(verifier.verify(p.engine->root(), one, forged));
    ASSERT_TRUE(verifier.verify(p.engine->root(), one, now));
}

TEST(Multiproof, RefusesKeysThatHaveNone) {
    std::mt19937_64 random{39};
    Pair p{NodeHash::blake3};
    const auto code = [&](const std::vector<Hash256>& keys) {
        const auto proof = p.engine->prove(keys);
        return proof ? std::nullopt : std::optional{proof.error().code};
    };
    const Hash256 key = random_key(random);
    EXPECT_EQ(code({key}), ErrorCode::not_found);
    ASSERT_NO_FATAL_FAILURE(p.blocks(1, 20, 10, random));
    EXPECT_EQ(code({key}), std::nullopt);
    EXPECT_EQ(code({}), ErrorCode::invalid_input);
    EXPECT_EQ(code({key, key}), ErrorCode::invalid_input);
    EXPECT_EQ(code({sentinel_key(3)}), ErrorCode::invalid_input);
    EXPECT_EQ(code(std::vector<Hash256>(multiproof_keys_max + 1)), ErrorCode::invalid_input);
}

}  // namespace
}  // namespace millrace::storage::qmdb
