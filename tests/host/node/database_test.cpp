// SPDX-License-Identifier: Apache-2.0
// Owns the tests of `millrace db`: a whole directory is found whole and left as it is, every damage
// is found and named, and a snapshot comes back as it was.
#include <gtest/gtest.h>

#include "host/node/database/snapshot.hpp"
#include "host/node/database/verify.hpp"
#include "storage/io/overlay_file_system.hpp"
#include "storage/qmdb/engine.hpp"
#include "tests/host/sequencer/ledger_script.hpp"

namespace millrace::node {
namespace {

using namespace sequencer::test;
using sequencer::Genesis;
using storage::SimulatedDisk;

#define ASSERT_OK(expression)                                        \
    do {                                                             \
        const auto& result_ = (expression);                          \
        ASSERT_TRUE(result_.has_value()) << result_.error().message; \
    } while (false)

const std::string datadir = "/node";
const std::string wal_file = "/node/wal/segment-000000000001";
const std::string chain_file = "/node/chain/blocks";

/// Files below a folder, with their content.
std::map<std::string, Bytes> files_of(SimulatedDisk& disk, const std::string& folder) {
    std::map<std::string, Bytes> out;
    const auto names = disk.list(folder);
    if (!names) { return out; }
    for (const std::string& name : *names) {
        const std::string path = storage::join_path(folder, name);
        if (disk.open(path, storage::OpenMode::read)) {
            out[path] = disk.content(path);
        } else {
            out.merge(files_of(disk, path));
        }
    }
    return out;
}

size_t used_bytes(const Bytes& content) {
    size_t end = content.size();
    while (end > 0 && content[end - 1] == 0) { --end; }
    return end;
}

/// A directory with a log, two checkpoints, blocks and the folder of a state engine.
class DatabaseTest : public ::testing::Test {
protected:
    void SetUp() override {
        sequencer::LedgerOptions options = small_ledger_options(datadir);
        options.checkpoint_every_records = 1;
        ScriptedNode node{disk_, genesis_, options};
        ASSERT_OK(node.start());
        for (uint64_t block = 0; block < 8; ++block) {
            ASSERT_OK(node.open_block());
            for (uint64_t i = 0; i < 3; ++i) {
                ASSERT_OK(node.mini_block({sequencer::test::admitted(
                    0, transfer_transaction(block * 3 + i, stranger(i), U256{block + 1}))}));
            }
            ASSERT_OK(node.seal());
            if (block == 3 || block == 5) { ASSERT_OK(node.ledger->checkpoint(true)); }
        }
        storage::qmdb::EngineOptions engine_options;
        engine_options.log.segment_bytes = uint64_t{1} << 18;
        engine_options.log.identity = genesis_.hash;
        const auto engine = storage::qmdb::Engine::open(disk_, datadir + "/state", engine_options,
                                                        storage::make_pwrite_log_writer("test"));
        ASSERT_OK(engine);
        std::mt19937_64 random{5};
        for (uint64_t height = 1; height <= 40; ++height) {
            std::map<Hash256, Bytes> block;
            while (block.size() < 60) {
                Hash256 key;
                for (uint8_t& b : key.bytes) { b = static_cast<uint8_t>(random()); }
                key[0] = static_cast<uint8_t>(key[0] % 32);  // two shards with full chunks
                block[key] = Bytes(20, static_cast<uint8_t>(height));
            }
            std::vector<storage::qmdb::StateWrite> writes;
            for (const auto& [key, value] : block) { writes.push_back({key, value}); }
            ASSERT_OK((*engine)->apply(height, writes));
            ASSERT_OK((*engine)->commit());
        }
        // The node ended a while ago: all of it is on the medium.
        for (const char* folder : {"/wal", "/chain", "/checkpoints", "/state"}) {
            const auto names = disk_.list(datadir + folder).value();
            for (const std::string& name : names) {
                const auto file = disk_.open(storage::join_path(datadir + folder, name),
                                             storage::OpenMode::read_write);
                ASSERT_OK(file);
                ASSERT_OK((*file)->sync_data());
            }
        }
    }

    Result<DatabaseReport> verify(SimulatedDisk& disk, bool deep = true) {
        return verify_database(disk, datadir, {&genesis_, {}, deep});
    }
    /// What is reported of the directory after a change.
    DatabaseReport report_after(const std::function<void(SimulatedDisk&)>& change) {
        const auto disk = disk_.clone();
        change(*disk);
        auto report = verify(*disk);
        if (report) { return *std::move(report); }
        DatabaseReport refused;
        refused.damages.push_back(report.error().message);
        return refused;
    }
    void expect_named(const std::string& path, const std::function<void(SimulatedDisk&)>& change) {
        const DatabaseReport report = report_after(change);
        std::string all;
        for (const std::string& damage : report.damages) { all += damage + "\n"; }
        // The end of a file may look as if it was being written; then another part says what it
        // lacks, unless it can be made again from that.
        for (const std::string& note : report.notes) { all += note + "\n"; }
        EXPECT_NE(all.find(path), std::string::npos) << path << "\n" << all;
        EXPECT_TRUE(!report.damages.empty() || all.find("no whole block") != std::string::npos)
            << all;
    }

    Genesis genesis_ = make_genesis({.commitment = "mpt"});
    SimulatedDisk disk_;
};

void overwrite(SimulatedDisk& disk, const std::string& path, const Bytes& content) {
    auto file = disk.open(path, storage::OpenMode::create_or_wipe).value();
    ASSERT_OK(file->write_at(0, content));
    ASSERT_OK(file->sync_data());
}

TEST_F(DatabaseTest, AWholeDirectoryIsWholeAndStaysAsItIs) {
    const auto before = files_of(disk_, datadir);
    const uint64_t operations = disk_.operation_count();
    const auto report = verify(disk_);
    ASSERT_OK(report);
    EXPECT_TRUE(report->damages.empty()) << report->damages.front();
    ASSERT_EQ(report->parts.size(), 5u);
    const auto figure = [&](const std::string& part, const std::string& name) {
        for (const DatabasePart& p : report->parts) {
            for (const auto& [n, value] : p.figures) {
                if (p.name == part && n == name) { return value; }
            }
        }
        return std::string{"none"};
    };
    EXPECT_EQ(figure("blocks", "blocks"), "1 to 8");
    EXPECT_EQ(figure("blocks", "transactions"), "24");
    EXPECT_EQ(figure("roots", "seals whose state root was computed"), "5");
    EXPECT_EQ(figure("state", "height"), "40");
    EXPECT_GT(std::stoull(figure("state", "entries hashed again")), 4096u);
    // The lock file says who held it.
    auto after = files_of(disk_, datadir);
    EXPECT_LE(disk_.operation_count(), operations + 2);
    after.erase(datadir + "/LOCK");
    for (const auto& [path, content] : before) {
        if (path != datadir + "/LOCK") { EXPECT_EQ(after[path], content) << path; }
    }
}

TEST_F(DatabaseTest, EveryFlippedBitIsFoundAndItsFileNamed) {
    std::mt19937_64 random{6};
    size_t flips = 0;
    for (const auto& [path, content] : files_of(disk_, datadir)) {
        if (path.ends_with("/LOCK") || path.ends_with("spare")) { continue; }
        const size_t used = used_bytes(content);
        for (int i = 0; i < 8; ++i) {
            const uint64_t at = random() % used;
            // What is zero may be room between frames that nothing reads.
            if (content[at] == 0) { continue; }
            const auto bit = static_cast<unsigned>(random() % 8);
            SCOPED_TRACE(path + " " + std::to_string(at));
            expect_named(path.starts_with(datadir + "/chain") ? datadir + "/chain" : path,
                         [&](SimulatedDisk& disk) { disk.flip_bit(path, at, bit); });
            ++flips;
        }
    }
    EXPECT_GT(flips, 30u);
}

TEST_F(DatabaseTest, FilesThatAreCutOrGoneAreNamed) {
    for (const auto& [path, content] : files_of(disk_, datadir)) {
        if (path.ends_with("/LOCK") || path.ends_with("spare")) { continue; }
        const size_t used = used_bytes(content);
        SCOPED_TRACE(path);
        const std::string folder = storage::parent_path(path);
        // The last segment of a log may end anywhere, but not before what was acknowledged.
        expect_named(folder, [&](SimulatedDisk& disk) {
            overwrite(disk, path, Bytes(content.begin(), content.begin() + used / 2));
        });
        // One checkpoint is enough for a start; and a state engine's log without its last file is
        // that of an earlier block.
        if (path.find("checkpoints") == std::string::npos &&
            path != datadir + "/state/entries-000000000001") {
            expect_named(folder, [&](SimulatedDisk& disk) { ASSERT_OK(disk.remove(path)); });
        }
    }
}

TEST_F(DatabaseTest, FilesOfOthersAndOlderCopiesAreNamed) {
    // An older copy of the blocks, while the checkpoints stand for later ones.
    const auto older = SimulatedDisk{}.clone();
    {
        ScriptedNode node{*older, genesis_, small_ledger_options(datadir)};
        ASSERT_OK(node.start());
        ASSERT_OK(node.open_block());
        ASSERT_OK(node.seal());
    }
    expect_named("/node/chain", [&](SimulatedDisk& disk) {
        overwrite(disk, chain_file, older->content(chain_file));
    });
    expect_named("/node/wal",
                 [&](SimulatedDisk& disk) { overwrite(disk, wal_file, older->content(wal_file)); });
    // Two checkpoints, each under the name of the other one.
    std::vector<std::string> checkpoints;
    for (const auto& [path, content] : files_of(disk_, datadir + "/checkpoints")) {
        checkpoints.push_back(path);
    }
    ASSERT_EQ(checkpoints.size(), 2u);
    for (const std::string& path : checkpoints) {
        expect_named(path, [&](SimulatedDisk& disk) {
            const Bytes first = disk.content(checkpoints[0]);
            overwrite(disk, checkpoints[0], disk.content(checkpoints[1]));
            overwrite(disk, checkpoints[1], first);
        });
    }
    // The state of another chain.
    expect_named("/node/state", [&](SimulatedDisk& disk) {
        const auto names = disk.list(datadir + "/state").value();
        for (const std::string& name : names) {
            ASSERT_OK(disk.remove(datadir + "/state/" + name));
        }
        storage::qmdb::EngineOptions options;
        options.log.segment_bytes = uint64_t{1} << 18;
        ASSERT_OK(storage::qmdb::Engine::open(disk, datadir + "/state", options,
                                              storage::make_pwrite_log_writer("test")));
    });
}

TEST_F(DatabaseTest, OneDamageDoesNotHideAnother) {
    const auto report = report_after([&](SimulatedDisk& disk) {
        disk.flip_bit(wal_file, 5000, 3);
        disk.flip_bit(chain_file, 200, 3);
        disk.flip_bit(datadir + "/state/entries-000000000000", 9000, 3);
    });
    EXPECT_EQ(report.damages.size(), 3u);
}

TEST_F(DatabaseTest, WhatIsNoDirectoryOrInUseIsRefused) {
    SimulatedDisk empty;
    EXPECT_EQ(verify(empty).error().code, ErrorCode::not_found);
    const auto lock = disk_.lock(datadir + "/LOCK", "another");
    ASSERT_OK(lock);
    EXPECT_EQ(verify(disk_).error().code, ErrorCode::conflict);
    EXPECT_EQ(make_snapshot(disk_, datadir, "/copy").error().code, ErrorCode::conflict);
}

TEST_F(DatabaseTest, ASnapshotComesBackAsItWas) {
    const auto made = make_snapshot(disk_, datadir, "/copy");
    ASSERT_OK(made);
    EXPECT_EQ(make_snapshot(disk_, datadir, "/copy").error().code, ErrorCode::invalid_input);
    EXPECT_EQ(restore_snapshot(disk_, "/copy", datadir).error().code, ErrorCode::invalid_input);
    const auto restored = restore_snapshot(disk_, "/copy", "/back");
    ASSERT_OK(restored);
    EXPECT_EQ(restored->bytes, made->bytes);
    const auto original = files_of(disk_, datadir);
    auto back = files_of(disk_, "/back");
    size_t compared = 0;
    for (const auto& [path, content] : original) {
        if (path.ends_with("/LOCK")) { continue; }
        EXPECT_EQ(back["/back" + path.substr(datadir.size())], content) << path;
        ++compared;
    }
    EXPECT_EQ(compared, made->files);
    const auto report = verify_database(disk_, "/back", {&genesis_, {}, true});
    ASSERT_OK(report);
    EXPECT_TRUE(report->damages.empty());
    // A node goes on with it.
    sequencer::LedgerOptions options = small_ledger_options("/back");
    ScriptedNode node{disk_, genesis_, options};
    ASSERT_OK(node.start());
    EXPECT_EQ(node.ledger->view().head()->header.number, 8u);
}

TEST_F(DatabaseTest, ADamagedSnapshotMakesNoDirectory) {
    ASSERT_OK(make_snapshot(disk_, datadir, "/copy"));
    std::mt19937_64 random{7};
    for (const auto& [path, content] : files_of(disk_, "/copy")) {
        const auto disk = disk_.clone();
        disk->flip_bit(path, random() % content.size(), 1);
        const auto restored = restore_snapshot(*disk, "/copy", "/back");
        ASSERT_FALSE(restored) << path;
        EXPECT_NE(restored.error().message.find(path), std::string::npos)
            << restored.error().message;
        EXPECT_EQ(verify_database(*disk, "/back", {}).error().code, ErrorCode::not_found);
        const auto fewer = disk_.clone();
        ASSERT_OK(fewer->remove(path));
        EXPECT_FALSE(restore_snapshot(*fewer, "/copy", "/back")) << path;
    }
    const auto more = disk_.clone();
    overwrite(*more, "/copy/wal/segment-000000000009", {1, 2, 3});
    EXPECT_NE(restore_snapshot(*more, "/copy", "/back").error().message.find("000009"),
              std::string::npos);
}

/// A directory whose state roots are made by the state engine.
class EngineDatabaseTest : public DatabaseTest {
protected:
    void SetUp() override {
        genesis_ = make_genesis({.commitment = commitment});
        ScriptedNode node{disk_, genesis_, small_ledger_options(datadir, commitment)};
        ASSERT_OK(node.start());
        for (uint64_t block = 0; block < 12; ++block) {
            ASSERT_OK(node.open_block());
            ASSERT_OK(node.mini_block({sequencer::test::admitted(
                0, transfer_transaction(block, stranger(block), U256{block + 1}))}));
            ASSERT_OK(node.seal());
            if (block == 7) { ASSERT_OK(node.ledger->checkpoint(true)); }
            node.ledger->settle();
            if (block == 4) { older_ = disk_.clone(); }
        }
    }
    static constexpr const char* commitment = "qmdb-keccak256";
    std::unique_ptr<SimulatedDisk> older_;  ///< the disk after the fifth block
};

TEST_F(EngineDatabaseTest, ItsRootsAreThoseOfTheLog) {
    const auto report = verify(disk_);
    ASSERT_OK(report);
    EXPECT_TRUE(report->damages.empty()) << report->damages.front();
    const auto roots = std::ranges::find(report->parts, "roots", &DatabasePart::name);
    ASSERT_NE(roots, report->parts.end());
    // The last block may wait for its commit.
    EXPECT_GE(std::stoull(roots->figures.front().second), 11u);
}

TEST_F(EngineDatabaseTest, OlderCopiesOfItOrOfTheLogAreNamed) {
    const auto put_back = [&](const std::string& folder) {
        return [this, folder](SimulatedDisk& disk) {
            const auto names = disk.list(folder).value();
            for (const std::string& name : names) {
                ASSERT_OK(disk.remove(storage::join_path(folder, name)));
            }
            for (const auto& [path, content] : files_of(*older_, folder)) {
                overwrite(disk, path, content);
            }
        };
    };
    expect_named("/node/state", put_back("/node/state"));
    expect_named("/node/wal", put_back("/node/wal"));
    expect_named("/node/chain", put_back("/node/chain"));
    expect_named("/node/state", [&](SimulatedDisk& disk) {
        const auto names = disk.list("/node/state").value();
        for (const std::string& name : names) { ASSERT_OK(disk.remove("/node/state/" + name)); }
    });
}

TEST_F(EngineDatabaseTest, FlippedBitsOfItAreNamed) {
    std::mt19937_64 random{9};
    for (const auto& [path, content] : files_of(disk_, datadir + "/state")) {
        const size_t used = used_bytes(content);
        for (int i = 0; i < 12 && used != 0; ++i) {
            const uint64_t at = random() % used;
            if (content[at] == 0) { continue; }
            SCOPED_TRACE(path + " " + std::to_string(at));
            expect_named("/node/state", [&](SimulatedDisk& disk) {
                auto changed = content;
                changed[at] ^= 4;
                overwrite(disk, path, changed);
            });
        }
    }
}

TEST(OverlayFileSystem, ShowsTheBaseAndKeepsItAsItIs) {
    std::mt19937_64 random{8};
    SimulatedDisk base;
    ASSERT_OK(base.create_directory("/d"));
    Bytes expected(20'000);
    for (uint8_t& b : expected) { b = static_cast<uint8_t>(random()); }
    overwrite(base, "/d/f", expected);
    const Bytes before = expected;
    const auto overlay = storage::make_overlay_file_system(base);
    const auto file = overlay->open("/d/f", storage::OpenMode::read_write).value();
    for (int i = 0; i < 400; ++i) {
        const uint64_t at = random() % 25'000;
        if (random() % 20 == 0) {
            ASSERT_OK(file->truncate(at));
            expected.resize(at);
        } else {
            Bytes piece(random() % 9000, static_cast<uint8_t>(i));
            ASSERT_OK(file->write_at(at, piece));
            expected.resize(std::max<size_t>(expected.size(), at + piece.size()));
            std::ranges::copy(piece, expected.begin() + static_cast<ptrdiff_t>(at));
        }
        ASSERT_EQ(file->size().value(), expected.size());
        Bytes seen(40'000);
        const size_t got = file->read_at(0, seen).value();
        seen.resize(got);
        ASSERT_EQ(seen, expected) << i;
    }
    ASSERT_OK(overlay->rename("/d/f", "/d/g"));
    EXPECT_FALSE(overlay->exists("/d/f").value());
    EXPECT_EQ(overlay->list("/d").value(), std::vector<std::string>{"g"});
    EXPECT_EQ(overlay->open("/d/f", storage::OpenMode::read).error().code, ErrorCode::not_found);
    EXPECT_EQ(base.content("/d/f"), before);
    EXPECT_EQ(base.list("/d").value(), std::vector<std::string>{"f"});
}

}  // namespace
}  // namespace millrace::node
