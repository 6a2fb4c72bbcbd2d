// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the entry log: order, recovery of a torn end, damage, full disk, mutants.
#include "storage/qmdb/entry_log.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage::qmdb {
namespace {

constexpr uint64_t small_segment_bytes = 8 * 4096;
const std::string directory = "/db/log";

EntryLogOptions options(EntryLogMutant mutant = EntryLogMutant::none) {
    EntryLogOptions o;
    o.segment_bytes = small_segment_bytes;
    o.log_id = 77;
    o.mutant = mutant;
    return o;
}

/// The payload of a height: its content follows from the height, its length varies up to 9 KiB.
const Bytes& payload_of(uint64_t height) {
    static std::map<uint64_t, Bytes> made;
    Bytes& out = made[height];
    if (out.empty()) {
        std::mt19937_64 random{height};
        out.resize(1 + random() % 9000);
        for (uint8_t& b : out) { b = static_cast<uint8_t>(1 + random() % 255); }
    }
    return out;
}
Hash256 root_of(uint64_t height) { return Hash256{{static_cast<uint8_t>(height), 1}}; }

struct OpenLog {
    std::unique_ptr<EntryLog> log;
    std::map<uint64_t, LogPosition> places;  ///< by height
    bool content_is_right = true;
};

Result<OpenLog> open(FileSystem& fs, const std::string& where, const EntryLogOptions& o) {
    OpenLog out;
    auto log =
        EntryLog::open(fs, where, o, make_pwrite_log_writer("test"),
                       [&](const FrameHeader& h, LogPosition at, ByteView payload) -> Result<void> {
                           out.content_is_right =
                               out.content_is_right &&
                               std::ranges::equal(payload, payload_of(h.height)) &&
                               Hash256::from({h.root, 32}) == root_of(h.height);
                           out.places[h.height] = at;
                           return {};
                       });
    if (!log) { return std::unexpected(log.error()); }
    out.log = *std::move(log);
    return out;
}

Result<LogPosition> append(EntryLog& log, uint64_t height) {
    const Bytes& payload = payload_of(height);
    Bytes frame(frame_bytes(payload.size()), 0xee);  // what is left in a used buffer
    std::ranges::copy(payload, frame.begin() + sizeof(FrameHeader));
    return log.append({height, root_of(height), 1}, frame, payload.size());
}

void expect_readable(const OpenLog& open) {
    for (const auto& [height, at] : open.places) {
        const Bytes& expected = payload_of(height);
        Bytes scratch(expected.size());
        const auto got = open.log->read(at, expected.size(), scratch);
        ASSERT_TRUE(got) << got.error().message;
        EXPECT_TRUE(std::ranges::equal(*got, expected)) << height;
    }
}

TEST(EntryLog, GivesBackEveryFrameAcrossSegmentsAndLives) {
    SimulatedDisk disk;
    uint64_t height = 0;
    for (int life = 0; life < 4; ++life) {
        auto opened = open(disk, directory, options());
        ASSERT_TRUE(opened) << opened.error().message;
        EXPECT_TRUE(opened->content_is_right);
        EXPECT_EQ(opened->places.size(), height);
        EXPECT_EQ(opened->log->recovery().created, life == 0);
        EXPECT_EQ(opened->log->recovery().torn_bytes, 0u);
        EXPECT_EQ(opened->log->recovery().last_height, 3 * height);
        for (int i = 0; i < 10; ++i) {
            ++height;
            const auto at = append(*opened->log, 3 * height);
            ASSERT_TRUE(at) << at.error().message;
            opened->places[3 * height] = *at;
        }
        expect_readable(*opened);
        EXPECT_GT(opened->log->segment_count(), 2u);
    }
}

TEST(EntryLog, MapsTheFilesOfTheOperatingSystem) {
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    for (const bool map : {true, false}) {
        EntryLogOptions o = options();
        o.map = map;
        auto opened = open(*fs, scratch.path(), o);
        ASSERT_TRUE(opened) << opened.error().message;
        EXPECT_EQ(opened->log->mapped(), map);
        EXPECT_TRUE(opened->content_is_right);
        const uint64_t first = opened->log->recovery().last_height + 1;
        for (uint64_t height = first; height < first + 12; ++height) {
            const auto at = append(*opened->log, height);
            ASSERT_TRUE(at) << at.error().message;
            opened->places[height] = *at;
        }
        EXPECT_EQ(opened->places.size(), map ? 12u : 24u);
        expect_readable(*opened);
    }
}

TEST(EntryLog, APayloadFitsItsSegmentAndPlacesOf32Bits) {
    constexpr uint64_t places = ~uint32_t{0};
    for (uint64_t segment = 16384; segment <= uint64_t{16} << 30; segment *= 2) {
        for (const uint64_t around : {segment - 4096, segment, segment + 4096}) {
            const uint64_t most = payload_bytes_max_in(around);
            EXPECT_LE(most, places);
            EXPECT_LE(frame_alignment_bytes + frame_bytes(most), around);
            // And no shorter than that asks for.
            const uint64_t more = frame_alignment_bytes + frame_bytes(most + 1);
            EXPECT_TRUE(most == places || more > around) << around;
        }
    }
}

TEST(EntryLog, RefusesAnotherIdentity) {
    SimulatedDisk disk;
    ASSERT_TRUE(open(disk, directory, options()));
    EntryLogOptions other = options();
    other.identity[3] = 1;
    const auto refused = open(disk, directory, other);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::config);
}

TEST(EntryLog, PrunesWholeSegmentsOnly) {
    SimulatedDisk disk;
    auto opened = open(disk, directory, options());
    ASSERT_TRUE(opened);
    for (uint64_t height = 1; height <= 30; ++height) {
        const auto at = append(*opened->log, height);
        ASSERT_TRUE(at);
        opened->places[height] = *at;
    }
    const LogPosition keep = opened->places[20];
    const auto removed = opened->log->prune_below(keep);
    ASSERT_TRUE(removed);
    EXPECT_EQ(*removed, keep / small_segment_bytes);
    std::erase_if(opened->places,
                  [&](const auto& p) { return p.second < *removed * small_segment_bytes; });
    EXPECT_TRUE(opened->places.contains(20));
    expect_readable(*opened);
    Bytes scratch(16);
    const auto gone = opened->log->read(0, 16, scratch);
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, ErrorCode::not_found);
    auto again = open(disk, directory, options());
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->places, opened->places);
    ASSERT_TRUE(append(*again->log, 31));
}

TEST(EntryLog, AFullDiskCanBeRepeatedAndLosesNothing) {
    SimulatedDisk disk;
    auto opened = open(disk, directory, options());
    ASSERT_TRUE(opened);
    disk.set_free_bytes(small_segment_bytes / 2);
    uint64_t height = 1;
    for (;; ++height) {
        const auto at = append(*opened->log, height);
        if (!at) {
            EXPECT_EQ(at.error().code, ErrorCode::limit);
            break;
        }
        ASSERT_LT(height, 100u);
    }
    disk.set_free_bytes(small_segment_bytes * 4);
    ASSERT_TRUE(append(*opened->log, height));
    const auto again = open(disk, directory, options());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->places.size(), height);
    EXPECT_TRUE(again->content_is_right);
}

TEST(EntryLog, AFailedFlushIsFinal) {
    for (const DiskFault fault :
         {DiskFault::write_error, DiskFault::short_write, DiskFault::sync_failure}) {
        SimulatedDisk disk;
        auto opened = open(disk, directory, options());
        ASSERT_TRUE(opened);
        ASSERT_TRUE(append(*opened->log, 1));
        disk.arm(fault, fault == DiskFault::sync_failure ? 2 : 1);
        for (int i = 0; i < 2; ++i) {
            const auto failed = append(*opened->log, 2);
            ASSERT_FALSE(failed);
            EXPECT_EQ(failed.error().code, ErrorCode::io);
        }
        disk.restart(5);
        const auto again = open(disk, directory, options());
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_TRUE(again->places.contains(1));
        EXPECT_TRUE(again->content_is_right);
    }
}

/// Ten frames with a crash at operation `at`; then what was acknowledged must be there. Returns
/// what is wrong, or nothing.
std::string crash_at(uint64_t at, uint64_t seed, EntryLogMutant mutant, bool& crashed) {
    SimulatedDisk disk;
    disk.arm(DiskFault::crash, at);
    uint64_t acknowledged = 0;
    if (auto opened = open(disk, directory, options(mutant))) {
        while (acknowledged < 10 && append(*opened->log, acknowledged + 1)) { ++acknowledged; }
    }
    crashed = disk.crashed();
    disk.restart(seed);
    // Recovery itself is crashed at its first operations, then goes through.
    for (uint64_t k = 1; k <= 3; ++k) {
        disk.arm(DiskFault::crash, k);
        (void)open(disk, directory, options(mutant));
        disk.restart(seed + k);
    }
    const auto again = open(disk, directory, options(mutant));
    if (!again) { return "not opened: " + again.error().message; }
    if (!again->content_is_right) { return "wrong content served"; }
    if (again->places.size() < acknowledged) { return "an acknowledged frame is lost"; }
    if (again->places.size() > acknowledged + 1) { return "more frames than were appended"; }
    const uint64_t next = again->places.size() + 1;
    if (!append(*again->log, next)) { return "cannot append after recovery"; }
    const auto last = open(disk, directory, options(mutant));
    if (!last || last->places.size() != next) { return "what was appended afterwards is lost"; }
    return {};
}

/// Whether any crash of the scenario is answered wrongly.
std::string first_wrong(EntryLogMutant mutant) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
        bool crashed = true;
        for (uint64_t at = 1; crashed; ++at) {
            const std::string wrong = crash_at(at, seed * 1000 + at, mutant, crashed);
            if (!wrong.empty()) {
                return wrong + " (operation " + std::to_string(at) + ", seed " +
                       std::to_string(seed) + ")";
            }
        }
    }
    return {};
}

TEST(EntryLog, SurvivesACrashAtEveryOperation) { EXPECT_EQ(first_wrong(EntryLogMutant::none), ""); }

TEST(EntryLog, TheCrashTestCatchesItsMutants) {
    EXPECT_NE(first_wrong(EntryLogMutant::no_flush), "");
    EXPECT_NE(first_wrong(EntryLogMutant::no_checksum), "");
}

TEST(EntryLog, DamageToAnAcknowledgedFrameIsNamedAndNothingIsChanged) {
    SimulatedDisk disk;
    auto opened = open(disk, directory, options());
    ASSERT_TRUE(opened);
    uint64_t in_first = 0;
    for (uint64_t height = 1; height <= 12; ++height) {
        const auto at = append(*opened->log, height);
        ASSERT_TRUE(at);
        in_first += *at < small_segment_bytes;
        opened->places[height] = *at;
    }
    ASSERT_LT(in_first, 12u);
    for (const auto& [height, at] : opened->places) {
        const Bytes& payload = payload_of(height);
        // Header, first and last byte of the payload.
        for (const uint64_t place : {at - 100, at, at + payload.size() - 1}) {
            const auto copy = disk.clone();
            const uint64_t number = place / small_segment_bytes;
            const std::string path = directory + "/entries-00000000000" + std::to_string(number);
            copy->flip_bit(path, place % small_segment_bytes, 3);
            const Bytes before = copy->content(path);
            const auto refused = open(*copy, directory, options());
            ASSERT_FALSE(refused) << height << " at " << place;
            EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
            EXPECT_NE(refused.error().message.find(path), std::string::npos);
            EXPECT_EQ(copy->content(path), before);
        }
    }
}

TEST(EntryLog, ZerosInAnEarlierSegmentAreDamageWhereAFrameWasAndNothingElse) {
    SimulatedDisk disk;
    auto opened = open(disk, directory, options());
    ASSERT_TRUE(opened);
    std::map<uint64_t, uint64_t> ends;  // of the frames of each segment
    for (uint64_t height = 1; height <= 30; ++height) {
        const auto at = append(*opened->log, height);
        ASSERT_TRUE(at);
        opened->places[height] = *at;
        ends[*at / small_segment_bytes] = *at % small_segment_bytes - sizeof(FrameHeader) +
                                          frame_bytes(payload_of(height).size());
    }
    const auto path_of = [](uint64_t number) {
        return directory + "/entries-00000000000" + std::to_string(number);
    };
    const uint64_t last = ends.rbegin()->first;
    for (const auto& [height, at] : opened->places) {
        const uint64_t number = at / small_segment_bytes;
        if (number >= last || number > 9) { continue; }
        const auto copy = disk.clone();
        const auto file = *copy->open(path_of(number), OpenMode::read_write);
        // The page of its header, and so nothing that could be taken for a frame.
        ASSERT_TRUE(file->write_at(at % small_segment_bytes - sizeof(FrameHeader), Bytes(4096)));
        const auto refused = open(*copy, directory, options());
        ASSERT_FALSE(refused) << height;
        EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
    }
    // Behind the frames of a segment nothing was acknowledged.
    bool found = false;
    for (const auto& [number, end] : ends) {
        if (number >= last || number > 9 || end + 2 * 4096 > small_segment_bytes) { continue; }
        found = true;
        const auto copy = disk.clone();
        copy->flip_bit(path_of(number), end + 4096, 3);
        const auto again = open(*copy, directory, options());
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ(again->places.size(), 30u);
        copy->flip_bit(path_of(number), end, 3);
        EXPECT_FALSE(open(*copy, directory, options())) << "where a frame would begin";
    }
    EXPECT_TRUE(found);
}

TEST(EntryLog, AMissingOrCutSegmentIsNamed) {
    SimulatedDisk disk;
    auto opened = open(disk, directory, options());
    ASSERT_TRUE(opened);
    for (uint64_t height = 1; height <= 30; ++height) { ASSERT_TRUE(append(*opened->log, height)); }
    const std::string middle = directory + "/entries-000000000001";
    const auto cut = disk.clone();
    ASSERT_TRUE((*cut->open(middle, OpenMode::read_write))->truncate(small_segment_bytes - 4096));
    const auto removed = disk.clone();
    ASSERT_TRUE(removed->remove(middle));
    const auto older = disk.clone();  // another segment under its name
    const Bytes first = older->content(directory + "/entries-000000000000");
    ASSERT_TRUE((*older->open(middle, OpenMode::read_write))->write_at(0, first));
    for (SimulatedDisk* bad : {cut.get(), removed.get(), older.get()}) {
        const auto refused = open(*bad, directory, options());
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
        EXPECT_NE(refused.error().message.find(middle), std::string::npos);
    }
}

}  // namespace
}  // namespace millrace::storage::qmdb
