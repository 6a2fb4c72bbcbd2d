// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the directory of entries: a list of all serial numbers as oracle.
#include "storage/qmdb/entry_directory.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

namespace millrace::storage::qmdb {
namespace {

TEST(EntryDirectory, FindsTheRunOfEverySerialNumberThatIsNotDropped) {
    for (const uint64_t start : {uint64_t{0}, uint64_t{3 * 256}, uint64_t{1000}}) {
        std::mt19937_64 random{start + 1};
        EntryDirectory directory;
        std::map<uint64_t, EntryDirectory::Run> runs;  // by first serial number
        uint64_t end = start;
        uint64_t kept = start;
        for (uint64_t step = 0; step < 400; ++step) {
            // Many short ones in a chunk, then some over several chunks.
            const uint64_t count = step % 100 < 80 ? random() % 9 : random() % 900;
            directory.add(5, end, count, step);
            if (count != 0) { runs[end] = {end, step}; }
            end += count;
            if (step % 37 == 36) {
                kept += random() % (end - kept);
                const auto first = std::prev(runs.upper_bound(kept));
                directory.drop_before(first->second.table_at);
            }
            if (const auto next = runs.upper_bound(kept); step % 50 == 49 && next != runs.end()) {
                // As when blocks are taken back; what follows gets the same serial numbers.
                const auto left = static_cast<size_t>(std::distance(next, runs.end()));
                const auto from = std::next(next, static_cast<ptrdiff_t>(random() % left));
                end = from->first;
                directory.drop_from(5, end);
                runs.erase(from, runs.end());
            }
            if (step % 10 != 9) { continue; }
            for (uint64_t serial = kept; serial < end; ++serial) {
                const auto found = directory.find(5, serial);
                const EntryDirectory::Run& expected = std::prev(runs.upper_bound(serial))->second;
                ASSERT_TRUE(found) << serial;
                ASSERT_EQ(found->first_serial, expected.first_serial);
                ASSERT_EQ(found->table_at, expected.table_at);
            }
            EXPECT_FALSE(directory.find(5, end));
            EXPECT_FALSE(directory.find(6, kept));
            if (start != 0) { EXPECT_FALSE(directory.find(5, start - 1)); }
        }
    }
}

}  // namespace
}  // namespace millrace::storage::qmdb
