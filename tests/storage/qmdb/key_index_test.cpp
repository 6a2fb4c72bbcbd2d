// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the key index: an ordered map as oracle, growth, and keys chosen to crowd it.
#include "storage/qmdb/key_index.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "storage/proof/entry.hpp"
#include "storage/qmdb/detail/crowded_keys.hpp"

namespace millrace::storage::qmdb {
namespace {

/// The log: whole keys by serial number, with a count of reads and a read that fails.
class Keys final : public KeySource {
public:
    Result<Hash256> key_of(uint32_t serial) override {
        if (fails) { return fail(ErrorCode::io, "simulated"); }
        ++reads;
        return keys.at(serial);
    }
    uint32_t add(const Hash256& key) {
        keys.push_back(key);
        return static_cast<uint32_t>(keys.size() - 1);
    }
    std::vector<Hash256> keys;
    uint64_t reads = 0;
    bool fails = false;
};

Hash256 random_key(std::mt19937_64& random) {
    Hash256 key;
    for (size_t i = 0; i < 32; i += 8) {
        const uint64_t word = random();
        std::memcpy(key.data() + i, &word, 8);
    }
    return key;
}

/// A random key whose bits from `from` on, up to `to`, are those of `pattern`.
Hash256 with_bits(Hash256 key, const Hash256& pattern, unsigned from, unsigned to) {
    for (unsigned bit = from; bit < to; ++bit) {
        const auto mask = static_cast<uint8_t>(0x80u >> (bit % 8));
        key[bit / 8] = static_cast<uint8_t>((key[bit / 8] & ~mask) | (pattern[bit / 8] & mask));
    }
    return key;
}

struct Checked {
    explicit Checked(unsigned shared_bits = 0) : index(shared_bits) {}

    void insert(const Hash256& key) {
        const uint32_t serial = source.add(key);
        ASSERT_TRUE(index.insert(key, serial, source));
        oracle[key] = serial;
    }
    void replace(const Hash256& key) {
        const uint32_t serial = source.add(key);
        index.replace(key, oracle.at(key), serial);
        oracle[key] = serial;
    }
    void erase(const Hash256& key) {
        index.erase(key, oracle.at(key));
        oracle.erase(key);
    }
    /// Everything the index says of one key, which may be there or not.
    void check(const Hash256& key) {
        const auto at = oracle.lower_bound(key);
        const bool there = at != oracle.end() && at->first == key;
        const auto after = there ? std::next(at) : at;
        const auto none = std::optional<uint32_t>{};
        EXPECT_EQ(index.find(key, source).value(), there ? std::optional{at->second} : none);
        EXPECT_EQ(index.predecessor(key, source).value(),
                  at == oracle.begin() ? none : std::optional{std::prev(at)->second});
        EXPECT_EQ(index.successor(key, source).value(),
                  after == oracle.end() ? none : std::optional{after->second});
    }
    void check_all() {
        EXPECT_EQ(index.size(), oracle.size());
        for (const auto& [key, serial] : oracle) { check(key); }
    }
    Hash256 any(std::mt19937_64& random) const { return any_from(random_key(random)); }
    Hash256 any_from(const Hash256& key) const {
        const auto it = oracle.lower_bound(key);
        return it == oracle.end() ? oracle.begin()->first : it->first;
    }

    Keys source;
    KeyIndex index;
    std::map<Hash256, uint32_t> oracle;
};

TEST(KeyIndex, AgreesWithAnOrderedMapWhileItGrowsAndShrinks) {
    for (const unsigned shared_bits : {0u, 4u, 8u}) {
        std::mt19937_64 random{shared_bits + 1};
        const Hash256 prefix = random_key(random);
        Checked checked{shared_bits};
        // Grows, stays, shrinks to nothing, grows again.
        for (const unsigned inserts_of_ten : {8, 5, 0, 9}) {
            for (int i = 0; i < 8000; ++i) {
                const bool grow = random() % 10 < inserts_of_ten;
                const Hash256 key = with_bits(random_key(random), prefix, 0, shared_bits);
                if (grow || checked.oracle.empty()) {
                    checked.insert(key);
                } else if (random() % 3 == 0) {
                    checked.replace(checked.any(random));
                } else {
                    checked.erase(checked.any(random));
                }
                if (i % 8 == 0) { checked.check(key); }
            }
            checked.check_all();
        }
    }
}

TEST(KeyIndex, TakesFewBytesAndFewReadsForEachKey) {
    std::mt19937_64 random{7};
    Checked checked;
    for (int i = 0; i < 200'000; ++i) { checked.insert(random_key(random)); }
    EXPECT_LT(checked.index.bytes(), 8 * checked.index.size());
    // Growth has read each key less than once: nothing is rehashed as a whole.
    EXPECT_LT(checked.source.reads, checked.index.size());
    checked.source.reads = 0;
    uint64_t found = 0;
    for (const auto& [key, serial] : checked.oracle) {
        found += checked.index.find(key, checked.source).value() == serial;
    }
    EXPECT_EQ(found, checked.oracle.size());
    EXPECT_LT(checked.source.reads, checked.oracle.size() * 11 / 10);
    checked.source.reads = 0;
    for (int i = 0; i < 10'000; ++i) {
        (void)checked.index.find(random_key(random), checked.source);
    }
    EXPECT_LT(checked.source.reads, 1000u);
}

/// Loads new keys into an empty index, in any order.
void load(Checked& checked, const std::vector<Hash256>& keys) {
    std::vector<KeyIndex::Loaded> loaded;
    for (const Hash256& key : keys) {
        const uint32_t serial = checked.source.add(key);
        checked.oracle[key] = serial;
        loaded.push_back({load_be64(key.data()), serial});
    }
    ASSERT_TRUE(checked.index.load(loaded, checked.source));
}

TEST(KeyIndex, LoadsManyKeysAtOnceAndGoesOn) {
    for (const unsigned shared_bits : {0u, 4u, 8u}) {
        for (const uint64_t count : {0, 1, 50, 96, 97, 129, 30'000}) {
            std::mt19937_64 random{12};
            Checked checked{shared_bits};
            const Hash256 prefix = random_key(random);
            const auto key = [&] { return with_bits(random_key(random), prefix, 0, shared_bits); };
            std::vector<Hash256> keys(count);
            for (Hash256& k : keys) { k = key(); }
            ASSERT_NO_FATAL_FAILURE(load(checked, keys));
            EXPECT_EQ(checked.index.size(), count);
            EXPECT_LT(checked.index.bytes(), 8 * count + 200);
            EXPECT_EQ(checked.source.reads, 0u);
            checked.check_all();
            for (int i = 0; i < 10'000; ++i) { checked.insert(key()); }
            checked.check_all();
            while (!checked.oracle.empty()) { checked.erase(checked.oracle.begin()->first); }
            EXPECT_EQ(checked.index.size(), 0u);
        }
    }
}

TEST(KeyIndex, LoadsKeysThatWereGroundToShareAPrefix) {
    // 63 and 70 bits: more and less than what load() is given of a key.
    for (const unsigned bits : {20u, 63u, 70u, 190u}) {
        for (const uint64_t chosen : {3, 100, 3000}) {
            std::mt19937_64 random{bits};
            Checked checked{4};
            const Hash256 prefix = random_key(random);
            std::vector<Hash256> keys;
            for (int i = 0; i < 5000; ++i) {
                keys.push_back(with_bits(random_key(random), prefix, 0, 4));
            }
            for (uint64_t i = 0; i < chosen; ++i) {
                keys.push_back(with_bits(random_key(random), prefix, 0, bits));
            }
            std::ranges::shuffle(keys, random);
            ASSERT_NO_FATAL_FAILURE(load(checked, keys));
            EXPECT_EQ(checked.index.size(), keys.size());
            checked.check_all();
            for (int i = 0; i < 300; ++i) { checked.erase(checked.any(random)); }
            checked.check_all();
        }
    }
}

TEST(KeyIndex, AFailedReadWhileLoadingIsPassedOn) {
    std::mt19937_64 random{13};
    Checked checked;
    const Hash256 prefix = random_key(random);
    checked.source.fails = true;
    std::vector<KeyIndex::Loaded> loaded;
    for (int i = 0; i < 2; ++i) {
        const Hash256 key = with_bits(random_key(random), prefix, 0, 64);
        loaded.push_back({load_be64(key.data()), checked.source.add(key)});
    }
    EXPECT_FALSE(checked.index.load(loaded, checked.source));
    EXPECT_EQ(checked.index.size(), 0u);
    // It is empty and goes on.
    checked.source.fails = false;
    for (int i = 0; i < 300; ++i) { checked.insert(random_key(random)); }
    checked.check_all();
}

TEST(KeyIndex, MemoryGoesBackWithTheKeys) {
    std::mt19937_64 random{8};
    Checked checked;
    for (int i = 0; i < 50'000; ++i) { checked.insert(random_key(random)); }
    const uint64_t full = checked.index.bytes();
    while (checked.oracle.size() > 100) { checked.erase(checked.any(random)); }
    EXPECT_LT(checked.index.bytes(), full / 20);  // what is left is mostly the directory
    checked.check_all();
}

/// Keys that an attacker ground: `bits` bits are the same, in an index that also has others.
class Crowded : public testing::TestWithParam<unsigned> {};

TEST_P(Crowded, KeysOfOnePrefixCostBoundedWorkAndMemory) {
    std::mt19937_64 random{GetParam()};
    Checked checked{4};
    const Hash256 prefix = random_key(random);
    const auto even = [&] { return with_bits(random_key(random), prefix, 0, 4); };
    const auto chosen = [&] { return with_bits(random_key(random), prefix, 0, GetParam()); };
    for (int i = 0; i < 10'000; ++i) { checked.insert(even()); }
    const uint64_t bytes_before = checked.index.bytes();
    uint64_t reads_max = 0;
    const auto measured = [&](auto operation) {
        checked.source.reads = 0;
        operation();
        reads_max = std::max(reads_max, checked.source.reads);
    };
    for (int i = 0; i < 5000; ++i) {
        const Hash256 key = chosen();
        measured([&] { checked.insert(key); });
        if (i % 5 == 0) { checked.check(key); }
        if (i % 50 == 0) { checked.check(chosen()); }
    }
    // One insert may turn the crowded page into a tree or read a page's fingerprints anew.
    EXPECT_LE(reads_max, 1024u + 300u);
    EXPECT_LT(checked.index.bytes() - bytes_before, 5000u * 120u);
    reads_max = 0;
    for (int i = 0; i < 2000; ++i) {
        const Hash256 key = i % 2 == 0 ? checked.any(random) : chosen();
        measured([&] { (void)checked.index.find(key, checked.source); });
        measured([&] { (void)checked.index.predecessor(key, checked.source); });
    }
    EXPECT_LE(reads_max, 12u);
    checked.check_all();
    // Pinned before every write: it copies a page, but no more than a part of a crowded one. The
    // view that was pinned first sees nothing of all that.
    detail::Epochs epochs;
    epochs.pinned_oldest = epochs.current;
    const IndexView view = checked.index;
    const auto seen = checked.oracle;
    uint64_t copied_max = 0;
    for (int i = 0; i < 3000; ++i) {
        epochs.pinned_newest = epochs.current++;
        checked.index.set_epochs(epochs);
        const uint64_t before = checked.index.copied_bytes();
        switch (i % 3) {
            case 0: checked.insert(chosen()); break;
            case 1: checked.erase(checked.any_from(chosen())); break;
            default: checked.replace(checked.any_from(chosen())); break;
        }
        copied_max = std::max(copied_max, checked.index.copied_bytes() - before);
    }
    EXPECT_GT(copied_max, 0u);
    EXPECT_LE(copied_max, 2 * detail::CrowdedKeys::leaf_bytes);
    checked.check_all();
    std::optional<uint32_t> last;
    for (const auto& [key, serial] : seen) {
        ASSERT_EQ(view.find(key, checked.source).value(), serial);
        ASSERT_EQ(view.predecessor(key, checked.source).value(), last);
        last = serial;
    }
    checked.index.set_epochs({.current = epochs.current});
    checked.check_all();
    // The directory catches up when there are enough other keys, and all can be removed again.
    for (int i = 0; i < 30'000; ++i) { checked.insert(even()); }
    checked.check_all();
    while (!checked.oracle.empty()) {
        checked.erase(checked.any(random));
        if (checked.oracle.size() % 4096 == 0) { checked.check_all(); }
    }
}
INSTANTIATE_TEST_SUITE_P(Bits, Crowded, testing::Values(12u, 20u, 37u, 64u, 200u));

TEST(KeyIndex, AFailedReadLeavesTheIndexAsItWas) {
    std::mt19937_64 random{9};
    Checked checked;
    const Hash256 prefix = random_key(random);
    uint64_t refused = 0;
    for (int i = 0; i < 20'000; ++i) {
        const Hash256 key = with_bits(random_key(random), prefix, 0, i % 4 == 0 ? 30 : 0);
        checked.source.fails = random() % 2 == 0;
        const uint32_t serial = checked.source.add(key);
        if (checked.index.insert(key, serial, checked.source)) {
            checked.oracle[key] = serial;
        } else {
            ++refused;
        }
    }
    checked.source.fails = false;
    EXPECT_GT(refused, 10u);
    checked.check_all();
}

TEST(KeyIndex, HintsNameTheSerialThatIsLookedAtFirst) {
    std::mt19937_64 random{10};
    Checked checked;
    for (int i = 0; i < 20'000; ++i) { checked.insert(random_key(random)); }
    uint64_t right = 0;
    for (const auto& [key, serial] : checked.oracle) {
        checked.index.prefetch_page(key);
        checked.index.prefetch_serial(key);
        right += checked.index.guess(key) == serial;
    }
    EXPECT_GT(right, checked.oracle.size() * 9 / 10);
}

}  // namespace
}  // namespace millrace::storage::qmdb
