// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the chain store: look-ups, reopening, reverts, torn ends and damage.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "kernels/keccak/keccak.hpp"
#include "storage/chain/chain_store.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage {
namespace {

constexpr const char* directory = "/d/chain";

StoredBlock make_block(uint64_t number, uint64_t fork = 0) {
    StoredBlock b;
    b.number = number;
    const std::string name = "block " + std::to_string(number) + " " + std::to_string(fork);
    b.hash = kernels::keccak256(as_bytes(name));
    b.header = Bytes(500 + number % 7, static_cast<uint8_t>(number + fork + 1));
    const uint64_t count = number % 4 * 2;
    for (uint64_t i = 0; i < count; ++i) {
        Bytes t(20 + i * 50, static_cast<uint8_t>(number + i));
        t.insert(t.end(), name.begin(), name.end());
        b.transaction_hashes.push_back(kernels::keccak256(t));
        b.transactions.push_back(t);
        b.receipts.push_back(Bytes(i * 100, static_cast<uint8_t>(i + 1)));
    }
    for (uint64_t i = 2; i <= count; i += 2) {
        b.mini_block_ends.push_back(static_cast<uint32_t>(i));
    }
    b.first_mini_block_number = number * 10;
    return b;
}

std::unique_ptr<ChainStore> open_store(FileSystem& fs, size_t cached = 64) {
    auto store = ChainStore::open(fs, directory, {.cached_blocks = cached});
    EXPECT_TRUE(store.has_value()) << store.error().message;
    return store ? *std::move(store) : nullptr;
}

void expect_block(const ChainStore& store, const StoredBlock& expected) {
    const auto by_number = store.block(expected.number);
    ASSERT_TRUE(by_number.has_value()) << by_number.error().message;
    EXPECT_EQ(**by_number, expected);
    const auto by_hash = store.block(expected.hash);
    ASSERT_TRUE(by_hash.has_value());
    EXPECT_EQ(**by_hash, expected);
    EXPECT_EQ(store.number_of(expected.hash), expected.number);
    EXPECT_EQ(store.hash_of(expected.number), expected.hash);
    for (uint32_t i = 0; i < expected.transactions.size(); ++i) {
        EXPECT_EQ(store.find_transaction(expected.transaction_hashes[i]),
                  (TransactionPlace{expected.number, i}));
    }
}

TEST(ChainStore, FindsBlocksAndTransactionsAlsoAfterReopening) {
    for (const size_t cached : {0u, 3u, 64u}) {
        SimulatedDisk disk;
        {
            const auto store = open_store(disk, cached);
            EXPECT_FALSE(store->last_number().has_value());
            EXPECT_EQ(store->block(5).error().code, ErrorCode::not_found);
            for (uint64_t n = 5; n < 25; ++n) {
                ASSERT_TRUE(store->append(make_block(n)).has_value());
                expect_block(*store, make_block(n));
            }
            ASSERT_TRUE(store->sync().has_value());
        }
        const auto store = open_store(disk, cached);
        EXPECT_EQ(store->first_number(), 5u);
        EXPECT_EQ(store->last_number(), 24u);
        EXPECT_EQ(store->recovery().torn_bytes, 0u);
        for (uint64_t n = 5; n < 25; ++n) { expect_block(*store, make_block(n)); }
        EXPECT_EQ(store->block(25).error().code, ErrorCode::not_found);
        EXPECT_EQ(store->block(Hash256{}).error().code, ErrorCode::not_found);
        EXPECT_FALSE(store->find_transaction(Hash256{}).has_value());
    }
}

TEST(ChainStore, RefusesGapsAndInconsistentBlocks) {
    SimulatedDisk disk;
    const auto store = open_store(disk);
    ASSERT_TRUE(store->append(make_block(1)).has_value());
    EXPECT_EQ(store->append(make_block(3)).error().code, ErrorCode::invalid_input);
    EXPECT_EQ(store->append(make_block(1)).error().code, ErrorCode::invalid_input);
    StoredBlock b = make_block(2);
    b.receipts.push_back(Bytes{1});
    EXPECT_EQ(store->append(b).error().code, ErrorCode::invalid_input);
    b = make_block(2);
    b.mini_block_ends.back()--;
    EXPECT_EQ(store->append(b).error().code, ErrorCode::invalid_input);
    EXPECT_TRUE(store->append(make_block(2)).has_value());
    auto tight = ChainStore::open(disk, "/d/other", {.block_bytes_max = 100});
    EXPECT_EQ((*tight)->append(make_block(1)).error().code, ErrorCode::invalid_input)
        << "only a full disk is a limit, which is waited for";
}

TEST(ChainStore, TruncatingForgetsBlocksForGood) {
    SimulatedDisk disk;
    {
        const auto store = open_store(disk, 2);
        for (uint64_t n = 1; n <= 20; ++n) {
            ASSERT_TRUE(store->append(make_block(n)).has_value());
        }
        ASSERT_TRUE(store->truncate_after(30).has_value());
        EXPECT_EQ(store->last_number(), 20u);
        ASSERT_TRUE(store->truncate_after(11).has_value());
        EXPECT_EQ(store->last_number(), 11u);
        EXPECT_FALSE(store->number_of(make_block(12).hash).has_value());
        EXPECT_FALSE(store->find_transaction(make_block(13).transaction_hashes[0]).has_value());
        EXPECT_EQ(store->block(15).error().code, ErrorCode::not_found);
        for (uint64_t n = 12; n <= 15; ++n) {
            ASSERT_TRUE(store->append(make_block(n, 1)).has_value());
        }
        ASSERT_TRUE(store->sync().has_value());
    }
    disk.restart(3);
    {
        const auto store = open_store(disk);
        EXPECT_EQ(store->last_number(), 15u);
        for (uint64_t n = 1; n <= 15; ++n) { expect_block(*store, make_block(n, n >= 12 ? 1 : 0)); }
        ASSERT_TRUE(store->truncate_after(0).has_value());
        EXPECT_FALSE(store->last_number().has_value());
        ASSERT_TRUE(store->append(make_block(7)).has_value());
    }
    EXPECT_EQ(open_store(disk)->first_number(), 7u);
}

TEST(ChainStore, UnsyncedEndIsCutWhateverSurvives) {
    for (uint64_t seed = 0; seed < 60; ++seed) {
        SimulatedDisk disk;
        {
            const auto store = open_store(disk);
            for (uint64_t n = 1; n <= 12; ++n) {
                ASSERT_TRUE(store->append(make_block(n)).has_value());
                if (n == 6) { ASSERT_TRUE(store->sync().has_value()); }
            }
        }
        disk.restart(seed);
        const auto store = open_store(disk);
        ASSERT_NE(store, nullptr);
        const uint64_t last = *store->last_number();
        ASSERT_GE(last, 6u);
        for (uint64_t n = 1; n <= last; ++n) { expect_block(*store, make_block(n)); }
        ASSERT_TRUE(store->append(make_block(last + 1, 5)).has_value());
        expect_block(*store, make_block(last + 1, 5));
    }
}

TEST(ChainStore, DamageToSyncedBlocksRefusesTheStart) {
    SimulatedDisk disk;
    {
        const auto store = open_store(disk);
        for (uint64_t n = 1; n <= 8; ++n) {
            ASSERT_TRUE(store->append(make_block(n)).has_value());
            ASSERT_TRUE(store->sync().has_value());
        }
    }
    const std::string path = join_path(directory, "blocks");
    const uint64_t bytes = disk.content(path).size();
    for (uint64_t offset = 0; offset < bytes; offset += 37) {
        const auto copy = disk.clone();
        copy->flip_bit(path, offset, offset % 8);
        const auto store = ChainStore::open(*copy, directory);
        if (store) {
            // Padding, or the last block, which nothing later vouches for.
            ASSERT_GE((*store)->last_number(), 7u) << "offset " << offset;
            continue;
        }
        ASSERT_EQ(store.error().code, ErrorCode::corrupt);
        ASSERT_NE(store.error().message.find(path), std::string::npos);
    }
}

TEST(ChainStore, FailedWritesAreRepeatedInPlaceFailedSyncsAreFinal) {
    SimulatedDisk disk;
    {
        const auto store = open_store(disk);
        ASSERT_TRUE(store->append(make_block(1)).has_value());
        disk.arm(DiskFault::no_space, 1);
        EXPECT_EQ(store->append(make_block(2)).error().code, ErrorCode::limit);
        disk.arm(DiskFault::short_write, 1);
        EXPECT_EQ(store->append(make_block(2)).error().code, ErrorCode::io);
        ASSERT_TRUE(store->append(make_block(2)).has_value());
        disk.arm(DiskFault::sync_failure, 1);
        EXPECT_EQ(store->sync().error().code, ErrorCode::io);
        EXPECT_EQ(store->sync().error().code, ErrorCode::io);
        EXPECT_EQ(store->append(make_block(3)).error().code, ErrorCode::io);
    }
    const auto store = open_store(disk);
    expect_block(*store, make_block(1));
    expect_block(*store, make_block(2));
}

TEST(ChainStore, ReadersRunBesideTheWriter) {
    SimulatedDisk disk;
    const auto store = open_store(disk, 4);
    ASSERT_TRUE(store->append(make_block(1)).has_value());
    std::atomic<bool> done{false};
    std::atomic<uint64_t> wrong{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < 2; ++i) {
        readers.emplace_back([&] {
            while (!done.load(std::memory_order_relaxed)) {
                const uint64_t last = *store->last_number();
                for (const uint64_t n : {uint64_t{1}, last / 2 + 1, last}) {
                    const auto b = store->block(n);
                    if (!b || **b != make_block(n)) {
                        wrong.fetch_add(1, std::memory_order_relaxed);
                    }
                }
            }
        });
    }
    for (uint64_t n = 2; n <= 300; ++n) { ASSERT_TRUE(store->append(make_block(n)).has_value()); }
    done.store(true, std::memory_order_relaxed);
    for (std::thread& t : readers) { t.join(); }
    EXPECT_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace millrace::storage
