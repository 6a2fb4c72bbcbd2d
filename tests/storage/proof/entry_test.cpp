// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the encoding of entries.
#include "storage/proof/entry.hpp"

#include <random>

#include <gtest/gtest.h>

namespace millrace::storage {
namespace {

Bytes encoded(const StateEntry& entry) {
    Bytes out(entry_bytes_bound(entry.value.size()));
    out.resize(encode_entry(entry, out.data()));
    return out;
}

uint64_t any_integer(std::mt19937_64& random) {
    return random() >> (random() % 64);  // every length of a varint
}

TEST(StateEntry, EncodingIsTheDocumentedOne) {
    const Bytes value{0xaa, 0xbb};
    StateEntry e;
    e.serial = 0x0102;
    e.key[0] = 0x77;
    e.key[31] = 0x88;
    e.next[0] = 0x99;
    e.height = 300;
    e.previous_distance = 5;
    e.value = value;
    Bytes expected{0x01, 0, 0, 0, 0, 0, 0, 0x01, 0x02};
    expected.resize(9 + 32 + 24);
    expected[9] = 0x77;
    expected[9 + 31] = 0x88;
    expected[9 + 32] = 0x99;
    const Bytes rest{0xac, 0x02, 0x05, 0x02, 0xaa, 0xbb};
    expected.insert(expected.end(), rest.begin(), rest.end());
    EXPECT_EQ(encoded(e), expected);
}

TEST(StateEntry, DecodesWhatItEncodesAndSaysItsLength) {
    std::mt19937_64 random{1};
    for (int round = 0; round < 2000; ++round) {
        Bytes value(random() % 3 == 0 ? random() % (entry_value_bytes_max + 1) : random() % 130);
        for (uint8_t& b : value) { b = static_cast<uint8_t>(random()); }
        StateEntry e;
        e.serial = any_integer(random) % serial_max;
        for (uint8_t& b : e.key.bytes) { b = static_cast<uint8_t>(random()); }
        for (uint8_t& b : e.next.bytes) { b = static_cast<uint8_t>(random()); }
        e.height = any_integer(random);
        e.previous_distance = any_integer(random) % (e.serial + 1);
        e.value = value;
        Bytes data = encoded(e);
        EXPECT_GT(data.size(), 64u);  // never as short as a node
        const size_t bytes = data.size();
        for (size_t cut = 0; cut < bytes; cut += 1 + bytes / 50) {
            EXPECT_FALSE(decode_entry(ByteView{data}.first(cut))) << cut;
        }
        data.resize(bytes + 7, 0x5a);  // an entry of the log is followed by others
        const auto decoded = decode_entry(data);
        ASSERT_TRUE(decoded) << decoded.error().message;
        EXPECT_EQ(decoded->bytes, bytes);
        EXPECT_EQ(decoded->entry.serial, e.serial);
        EXPECT_EQ(decoded->entry.key, e.key);
        EXPECT_EQ(decoded->entry.next, e.next);
        EXPECT_EQ(decoded->entry.height, e.height);
        EXPECT_EQ(decoded->entry.previous_distance, e.previous_distance);
        EXPECT_TRUE(std::ranges::equal(decoded->entry.value, value));
    }
}

TEST(StateEntry, RefusesWhatItDoesNotWrite) {
    const Bytes value(3, 0x11);
    StateEntry e;
    e.serial = 9;
    e.height = 1;
    e.previous_distance = 9;
    e.value = value;
    const Bytes good = encoded(e);
    ASSERT_TRUE(decode_entry(good));
    const auto refused = [&](auto change) {
        Bytes data = good;
        change(data);
        return !decode_entry(data).has_value();
    };
    EXPECT_TRUE(refused([](Bytes& d) { d[0] = 0x02; }));
    EXPECT_TRUE(refused([](Bytes& d) { d[1] = 0x01; }));  // serial 2^56
    EXPECT_TRUE(refused([](Bytes& d) { d[66] = 10; }));   // the previous one before the first
    EXPECT_TRUE(refused([](Bytes& d) { d[67] = 4; }));    // value cut off
    EXPECT_TRUE(refused([](Bytes& d) {                    // height 1 in two bytes
        d[65] = 0x81;
        d.insert(d.begin() + 66, 0x00);
    }));
    EXPECT_TRUE(refused([](Bytes& d) {  // height beyond 64 bits
        d[65] = 0xff;
        d.insert(d.begin() + 66, 9, 0xff);
        d[74] = 0x02;
    }));
    EXPECT_TRUE(refused([](Bytes& d) {  // value beyond the limit
        d[67] = 0x81;
        d.insert(d.begin() + 68, 0x20);
        d.resize(8192);
    }));
}

TEST(StateEntry, KeysOfSentinelsAreReserved) {
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        Hash256 key = sentinel_key(shard);
        EXPECT_EQ(shard_of(key), shard);
        EXPECT_TRUE(is_reserved_key(key));
        key[31] = 1;
        EXPECT_TRUE(is_reserved_key(key));
        key[23] = 1;
        EXPECT_FALSE(is_reserved_key(key));
    }
}

}  // namespace
}  // namespace millrace::storage
