// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the write-ahead log apart from crashes: order, limits, faults, damage, pruning.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "storage/wal/frame.hpp"
#include "storage/wal/wal.hpp"
#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage {
namespace {

constexpr const char* directory = "/d/wal";

WalOptions small_options() {
    WalOptions o;
    o.chain_id = 1337;
    o.segment_bytes = 64 << 10;
    o.record_bytes_max = 48 << 10;
    o.log_id = 42;
    return o;
}

Result<std::unique_ptr<Wal>> open_wal(FileSystem& fs, const WalOptions& options = small_options(),
                                      const std::string& path = directory) {
    return Wal::open(fs, path, options, make_pwrite_log_writer("test", 16 << 10));
}

Bytes payload(uint64_t i, size_t bytes) {
    Bytes b(bytes);
    for (size_t k = 0; k < bytes; ++k) {
        b[k] = static_cast<uint8_t>(i * 7 + k * 13 + k / 256 + 1);
    }
    return b;
}

size_t size_of(uint64_t i) { return (i * 977) % 9000 + (i % 5 == 0 ? 0 : 1); }

/// Appends records first..last, each flushed when its number divides by `group`.
void fill(Wal& wal, uint64_t first, uint64_t last, uint64_t group = 1, uint64_t epoch = 1) {
    for (uint64_t i = first; i <= last; ++i) {
        const auto seq = wal.append(epoch, RecordKind::dev_edit, payload(i, size_of(i)));
        ASSERT_TRUE(seq.has_value()) << seq.error().message;
        ASSERT_EQ(*seq, i);
        if (i % group == 0 || i == last) {
            const auto durable = wal.flush();
            ASSERT_TRUE(durable.has_value()) << durable.error().message;
            ASSERT_EQ(*durable, i);
        }
    }
}

void expect_content(const Wal& wal, uint64_t first, uint64_t last) {
    uint64_t next = first;
    const auto r = wal.replay(first, [&](const RecordInfo& info, ByteView got) -> Result<void> {
        EXPECT_EQ(info.sequence, next);
        EXPECT_EQ(info.kind, RecordKind::dev_edit);
        const Bytes expected = payload(next, size_of(next));
        EXPECT_TRUE(std::ranges::equal(got, expected)) << "record " << next;
        ++next;
        return {};
    });
    EXPECT_TRUE(r.has_value()) << r.error().message;
    EXPECT_EQ(next, last + 1);
}

std::unique_ptr<SimulatedDisk> disk_with(uint64_t records, uint64_t group = 1) {
    auto disk = std::make_unique<SimulatedDisk>();
    auto wal = open_wal(*disk);
    EXPECT_TRUE(wal.has_value());
    fill(**wal, 1, records, group);
    return disk;
}

TEST(Wal, EmptyLogIsCreatedAndOpensAgain) {
    SimulatedDisk disk;
    {
        const auto wal = open_wal(disk);
        ASSERT_TRUE(wal.has_value()) << wal.error().message;
        EXPECT_TRUE((*wal)->recovery().created);
        EXPECT_EQ(*(*wal)->flush(), 0u);
    }
    const auto wal = open_wal(disk);
    ASSERT_TRUE(wal.has_value()) << wal.error().message;
    EXPECT_FALSE((*wal)->recovery().created);
    EXPECT_EQ((*wal)->recovery().last_sequence, 0u);
    fill(**wal, 1, 3);
    expect_content(**wal, 1, 3);
}

TEST(Wal, KeepsRecordsOverManySegmentsGroupsAndOpenings) {
    for (const uint64_t group : {1u, 2u, 3u}) {
        SimulatedDisk disk;
        for (uint64_t life = 0; life < 6; ++life) {
            const auto wal = open_wal(disk);
            ASSERT_TRUE(wal.has_value()) << wal.error().message;
            EXPECT_EQ((*wal)->recovery().last_sequence, life * 20);
            EXPECT_EQ((*wal)->recovery().torn_bytes, 0u);
            expect_content(**wal, 1, life * 20);
            fill(**wal, life * 20 + 1, life * 20 + 20, group);
            expect_content(**wal, 1, life * 20 + 20);
            expect_content(**wal, life * 20 + 7, life * 20 + 20);
        }
        EXPECT_GT(disk.list(directory)->size(), 4u);
    }
}

TEST(Wal, TypedRecordsComeBack) {
    SimulatedDisk disk;
    const auto wal = open_wal(disk);
    const Record record = DevEdit{"anvil_setNonce", {}};
    ASSERT_EQ(*(*wal)->append(9, record), 1u);
    ASSERT_EQ(*(*wal)->flush(), 1u);
    size_t seen = 0;
    ASSERT_TRUE((*wal)->replay(1, [&](const RecordInfo& info, ByteView raw) -> Result<void> {
        EXPECT_EQ(info.epoch, 9u);
        EXPECT_EQ(*decode_record(info.kind, raw), record);
        ++seen;
        return {};
    }));
    EXPECT_EQ(seen, 1u);
    EXPECT_EQ((*wal)->append(8, record).error().code, ErrorCode::conflict);
}

TEST(Wal, LimitsAreRefusedWithoutHarm) {
    SimulatedDisk disk;
    const auto wal = open_wal(disk);
    EXPECT_EQ((*wal)->append(1, RecordKind::dev_edit, Bytes((48 << 10) + 1)).error().code,
              ErrorCode::limit);
    ASSERT_TRUE((*wal)->append(1, RecordKind::dev_edit, payload(1, size_of(1))));
    EXPECT_EQ((*wal)->append(1, RecordKind::dev_edit, Bytes(48 << 10)).value(), 2u);
    EXPECT_EQ((*wal)->append(1, RecordKind::dev_edit, Bytes(48 << 10)).error().code,
              ErrorCode::limit);
    EXPECT_EQ(*(*wal)->flush(), 2u);
    EXPECT_EQ(*(*wal)->append(1, RecordKind::dev_edit, Bytes(48 << 10)), 3u);
    EXPECT_EQ(*(*wal)->flush(), 3u);
    WalOptions bad = small_options();
    bad.segment_bytes = 5000;
    EXPECT_EQ(open_wal(disk, bad).error().code, ErrorCode::config);
    bad = small_options();
    bad.record_bytes_max = 60 << 10;
    EXPECT_EQ(open_wal(disk, bad).error().code, ErrorCode::config);
    bad = small_options();
    bad.chain_id = 5;
    EXPECT_EQ(open_wal(disk, bad).error().code, ErrorCode::config);
}

TEST(Wal, WrittenIsNotDurableUntilFlushed) {
    SimulatedDisk disk;
    const auto wal = open_wal(disk);
    ASSERT_TRUE((*wal)->append(1, RecordKind::dev_edit, payload(1, size_of(1))));
    EXPECT_EQ(*(*wal)->flush(FlushMode::written), 1u);
    EXPECT_EQ((*wal)->durable_sequence(), 0u);
    expect_content(**wal, 1, 1);
    EXPECT_EQ(*(*wal)->flush(), 1u);
    EXPECT_EQ((*wal)->durable_sequence(), 1u);
}

TEST(Wal, FailedWriteOrSyncIsFinal) {
    for (const DiskFault fault :
         {DiskFault::write_error, DiskFault::short_write, DiskFault::sync_failure}) {
        SimulatedDisk disk;
        auto wal = open_wal(disk);
        fill(**wal, 1, 3);
        ASSERT_TRUE((*wal)->append(1, RecordKind::dev_edit, payload(4, size_of(4))));
        disk.arm(fault, fault == DiskFault::sync_failure ? 2 : 1);
        const auto failed = (*wal)->flush();
        ASSERT_FALSE(failed.has_value());
        EXPECT_EQ(failed.error().code, ErrorCode::io);
        EXPECT_NE(failed.error().message.find("has to stop"), std::string::npos);
        EXPECT_EQ((*wal)->flush().error().code, ErrorCode::io);
        EXPECT_EQ((*wal)->append(1, RecordKind::dev_edit, {}).error().code, ErrorCode::io);
        EXPECT_EQ((*wal)->durable_sequence(), 3u);
        wal->reset();
        disk.restart(1);
        auto again = open_wal(disk);
        ASSERT_TRUE(again.has_value()) << again.error().message;
        EXPECT_GE((*again)->recovery().last_sequence, 3u);
        expect_content(**again, 1, 3);
    }
}

TEST(Wal, FullDiskKeepsThePendingGroupAndRecovers) {
    SimulatedDisk disk;
    const auto wal = open_wal(disk);
    disk.set_free_bytes(0);
    uint64_t i = 1;
    Result<uint64_t> flushed = 0;
    for (; i < 100 && flushed.has_value(); ++i) {
        ASSERT_TRUE((*wal)->append(1, RecordKind::dev_edit, payload(i, size_of(i))));
        flushed = (*wal)->flush();
    }
    ASSERT_FALSE(flushed.has_value()) << "the second segment does not fit";
    EXPECT_EQ(flushed.error().code, ErrorCode::limit);
    const uint64_t durable = (*wal)->durable_sequence();
    EXPECT_EQ(durable, i - 2);
    EXPECT_EQ((*wal)->flush().error().code, ErrorCode::limit);
    ASSERT_TRUE((*wal)->append(1, RecordKind::dev_edit, payload(i, size_of(i))));
    disk.set_free_bytes(1 << 20);
    EXPECT_EQ(*(*wal)->flush(), i);
    fill(**wal, i + 1, i + 20);
    expect_content(**wal, 1, i + 20);
    EXPECT_TRUE(open_wal(disk).has_value());
}

TEST(Wal, DamageBeforeALaterFrameRefusesTheStartAtEveryPlace) {
    const auto disk = disk_with(24);
    for (const std::string& name : *disk->list(directory)) {
        const std::string path = join_path(directory, name);
        const Bytes content = disk->content(path);
        for (uint64_t offset = 0; offset < content.size(); offset += 61) {
            if (content[offset] == 0) { continue; }
            const auto copy = disk->clone();
            copy->flip_bit(path, offset, offset % 8);
            const auto wal = open_wal(*copy);
            if (wal) {
                // Only the end of the log may have been taken for torn: no frame follows it.
                ASSERT_EQ((*wal)->recovery().last_sequence, 23u) << path << " " << offset;
                ASSERT_GT((*wal)->recovery().torn_bytes, 0u);
                continue;
            }
            ASSERT_EQ(wal.error().code, ErrorCode::corrupt);
            ASSERT_NE(wal.error().message.find(path), std::string::npos);
            ASSERT_NE(wal.error().message.find("offset"), std::string::npos);
            ASSERT_EQ(copy->content(path).size(), content.size());
        }
    }
}

TEST(Wal, DamageInsideAGroupIsToldFromATornOne) {
    // One group of three records that are longer than a sector and have no zeros.
    SimulatedDisk disk;
    {
        const auto wal = open_wal(disk);
        for (uint64_t i = 1; i <= 3; ++i) {
            ASSERT_TRUE((*wal)->append(1, RecordKind::dev_edit, Bytes(3000, 0xaa)));
        }
        ASSERT_EQ(*(*wal)->flush(), 3u);
    }
    const std::string path = join_path(directory, "segment-000000000001");
    const auto flipped = disk.clone();
    flipped->flip_bit(path, 4096 + 1000, 3);
    EXPECT_EQ(open_wal(*flipped).error().code, ErrorCode::corrupt);
    const auto torn = disk.clone();
    torn->zero_sector(path, 4096 + 1024);
    const auto wal = open_wal(*torn);
    ASSERT_TRUE(wal.has_value()) << wal.error().message;
    EXPECT_EQ((*wal)->recovery().last_sequence, 0u);
    EXPECT_GT((*wal)->recovery().torn_bytes, 0u);
}

TEST(Wal, MissingOrForeignSegmentsRefuseTheStart) {
    const auto disk = disk_with(40);
    const auto names = *disk->list(directory);
    ASSERT_GT(names.size(), 3u);
    const auto gap = disk->clone();
    ASSERT_TRUE(gap->remove(join_path(directory, names[1])).has_value());
    EXPECT_EQ(open_wal(*gap).error().code, ErrorCode::corrupt);
    const auto start = disk->clone();
    ASSERT_TRUE(start->remove(join_path(directory, names[0])).has_value());
    EXPECT_EQ(open_wal(*start).error().code, ErrorCode::corrupt) << "records 1.. are needed";
    const auto end = disk->clone();
    ASSERT_TRUE(end->remove(join_path(directory, names.back())).has_value());
    WalOptions options = small_options();
    options.checkpoint_sequence = 40;
    EXPECT_EQ(open_wal(*end, options).error().code, ErrorCode::corrupt)
        << "the log ends before the checkpoint";
    SimulatedDisk empty;
    EXPECT_EQ(open_wal(empty, options).error().code, ErrorCode::corrupt);
    // A segment of another log under the right name and number.
    SimulatedDisk other;
    WalOptions foreign = small_options();
    foreign.log_id = 43;
    fill(**open_wal(other, foreign), 1, 40);
    const auto mixed = disk->clone();
    const std::string path = join_path(directory, names[1]);
    const Bytes content = other.content(path);
    ASSERT_TRUE((*mixed->open(path, OpenMode::read_write))->write_at(0, content).has_value());
    EXPECT_EQ(open_wal(*mixed).error().code, ErrorCode::corrupt);
}

TEST(Wal, AnOldFrameNeverPairsWithANewOne) {
    // Records 4 and 5 are in the log; both are cut off as torn, and another record 4 is appended.
    // Putting the old record 5 back behind it must not be taken for its successor.
    const auto disk = disk_with(5);
    const std::string path = join_path(directory, "segment-000000000001");
    const Bytes before = disk->content(path);
    uint64_t pos = group_alignment_bytes;
    uint64_t at[6] = {};
    for (uint64_t i = 1; i <= 5; ++i) {
        at[i] = pos;
        pos = align_up(pos + frame_bytes(size_of(i)), group_alignment_bytes);
    }
    const auto file = *disk->open(path, OpenMode::read_write);
    ASSERT_TRUE(file->write_at(at[4], Bytes(before.size() - at[4])).has_value());
    {
        const auto wal = open_wal(*disk);
        ASSERT_TRUE(wal.has_value());
        ASSERT_EQ((*wal)->recovery().last_sequence, 3u);
        fill(**wal, 4, 4);
    }
    ASSERT_TRUE(file->write_at(at[5], ByteView{before}.subspan(at[5])).has_value());
    const auto wal = open_wal(*disk);
    ASSERT_FALSE(wal.has_value());
    EXPECT_EQ(wal.error().code, ErrorCode::corrupt);
}

TEST(Wal, PruningKeepsWhatIsNeeded) {
    const auto disk = disk_with(60);
    WalOptions options = small_options();
    uint64_t first = 0;
    {
        const auto wal = open_wal(*disk);
        EXPECT_EQ(*(*wal)->prune_below(1), 0u);
        const auto removed = (*wal)->prune_below(31);
        ASSERT_TRUE(removed.has_value());
        EXPECT_GT(*removed, 0u);
        first = (*wal)->first_sequence();
        EXPECT_GT(first, 1u);
        EXPECT_LE(first, 31u);
        expect_content(**wal, 31, 60);
        EXPECT_EQ((*wal)
                      ->replay(1, [](const RecordInfo&, ByteView) -> Result<void> { return {}; })
                      .error()
                      .code,
                  ErrorCode::not_found);
        fill(**wal, 61, 70);
    }
    EXPECT_EQ(open_wal(*disk).error().code, ErrorCode::corrupt) << "there is no checkpoint";
    options.checkpoint_sequence = 30;
    const auto wal = open_wal(*disk, options);
    ASSERT_TRUE(wal.has_value()) << wal.error().message;
    EXPECT_EQ((*wal)->first_sequence(), first);
    expect_content(**wal, 31, 70);
    ASSERT_TRUE((*wal)->prune_below(1000).has_value());
    EXPECT_EQ(disk->list(directory)->size(), 1u) << "the segment in use stays";
    fill(**wal, 71, 80);
}

TEST(Wal, PreparedSegmentIsTaken) {
    SimulatedDisk disk;
    const auto wal = open_wal(disk);
    ASSERT_TRUE((*wal)->prepare_segment().has_value());
    const uint64_t before = disk.operation_count();
    ASSERT_TRUE((*wal)->prepare_segment().has_value());
    EXPECT_EQ(disk.operation_count(), before);
    fill(**wal, 1, 40);
    expect_content(**wal, 1, 40);
    ASSERT_TRUE((*wal)->prepare_segment().has_value());
    const auto again = open_wal(disk);
    ASSERT_TRUE(again.has_value()) << "a spare segment left behind does no harm";
    fill(**again, 41, 80);
    expect_content(**again, 1, 80);
}

TEST(Wal, HousekeepingAndReadersRunBesideTheWriter) {
    SimulatedDisk disk;
    const auto wal = open_wal(disk);
    std::atomic<bool> done{false};
    std::atomic<uint64_t> errors{0};
    // Records at and after this sequence are being read, so they are not pruned; it only grows.
    std::atomic<uint64_t> read_from{0};
    std::thread housekeeper([&] {
        while (!done.load(std::memory_order_relaxed)) {
            const uint64_t below = std::min((*wal)->durable_sequence() / 2, read_from.load());
            const bool fine = (*wal)->prepare_segment().has_value() &&
                              (*wal)->prune_below(below).has_value();
            errors.fetch_add(fine ? 0 : 1, std::memory_order_relaxed);
        }
    });
    std::thread reader([&] {
        while (!done.load(std::memory_order_relaxed)) {
            const uint64_t from = std::max<uint64_t>((*wal)->durable_sequence(), 1);
            read_from.store(from);
            uint64_t next = from;
            const auto r = (*wal)->replay(from, [&](const RecordInfo& info, ByteView got) {
                const bool same =
                    info.sequence == next && std::ranges::equal(got, payload(next, size_of(next)));
                errors.fetch_add(same ? 0 : 1, std::memory_order_relaxed);
                ++next;
                return Result<void>{};
            });
            errors.fetch_add(r ? 0 : 1, std::memory_order_relaxed);
        }
    });
    fill(**wal, 1, 400, 2);
    done.store(true, std::memory_order_relaxed);
    housekeeper.join();
    reader.join();
    EXPECT_EQ(errors.load(), 0u);
}

TEST(Wal, ReadErrorIsReportedNotTakenForTheEnd) {
    const auto disk = disk_with(5);
    disk->fail_reads(join_path(directory, "segment-000000000001"));
    EXPECT_EQ(open_wal(*disk).error().code, ErrorCode::io);
}

TEST(Wal, WorksOnTheRealDiskWithEachWriter) {
    for (const bool uring : {false, true}) {
        const ScratchDirectory scratch;
        const auto fs = make_posix_file_system();
        const auto writer = [&]() -> std::unique_ptr<LogWriter> {
            return uring ? make_log_writer(64 << 10) : make_pwrite_log_writer("test", 64 << 10);
        };
        for (uint64_t life = 0; life < 3; ++life) {
            const auto wal =
                Wal::open(*fs, join_path(scratch.path(), "wal"), small_options(), writer());
            ASSERT_TRUE(wal.has_value()) << wal.error().message;
            expect_content(**wal, 1, life * 30);
            fill(**wal, life * 30 + 1, life * 30 + 30, life + 1);
        }
    }
}

}  // namespace
}  // namespace millrace::storage
