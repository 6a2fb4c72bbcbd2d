// SPDX-License-Identifier: Apache-2.0
// Owns the crash tests: a scripted node over all of storage, crashed at every I/O operation with
// seeded subsets of unsynced data surviving, checked against an oracle; and the mutants of the log
// that the same check has to catch.
#include <algorithm>
#include <cstdio>

#include <gtest/gtest.h>

#include "storage/chain/chain_store.hpp"
#include "storage/datadir.hpp"
#include "storage/state/checkpoint.hpp"
#include "storage/wal/wal.hpp"
#include "tests/storage/simulated_disk.hpp"
#include "tests/storage/state_model.hpp"

namespace millrace::storage {
namespace {

constexpr uint64_t chain_id = 1337;

Hash256 model_root(const StateModel& model) {
    const auto c = make_memory_commitment();
    model.feed(*c);
    return c->root();
}

/// What the world knows: everything appended, and how much of it was acknowledged.
struct Oracle {
    struct Entry {
        Bytes payload;
        RecordKind kind = RecordKind::dev_edit;
        StateModel state;                 ///< after the record
        std::vector<StoredBlock> blocks;  ///< sealed and not reverted, after the record
    };
    std::vector<Entry> entries{1};  ///< by sequence number; 0 is the empty beginning
    uint64_t acknowledged = 0;

    uint64_t last() const { return entries.size() - 1; }
    const Entry& now() const { return entries.back(); }
};

/// Builds the stored block from what the log holds, as a node does by executing it again.
struct BlockBuilder {
    StoredBlock block;

    void open(const BlockOpen& b) {
        block = {};
        block.number = b.number;
    }
    void add(const MiniBlock& m) {
        if (block.mini_block_ends.empty()) { block.first_mini_block_number = m.number; }
        for (const Bytes& t : m.transactions) {
            block.transaction_hashes.push_back(kernels::keccak256(t));
            block.receipts.push_back(Bytes(t.rbegin(), t.rend()));
            block.transactions.push_back(t);
        }
        block.mini_block_ends.push_back(static_cast<uint32_t>(block.transactions.size()));
    }
    StoredBlock seal(const BlockSeal& b) {
        block.hash = b.hash;
        block.header = b.header;
        return block;
    }
};

/// How often the crashes led to what the recovery is written for.
struct Coverage {
    uint64_t torn_logs = 0;
    uint64_t torn_chains = 0;
    uint64_t unacknowledged_kept = 0;
    uint64_t from_checkpoint = 0;
    uint64_t reverts_replayed = 0;
};
Coverage coverage;

/// A node reduced to its storage.
class Node {
public:
    Node(SimulatedDisk& disk, WalMutant mutant) : disk_(disk), mutant_(mutant) {}

    /// Starts and recovers; an error is what a node would refuse to start with.
    Result<void> start() {
        MILLRACE_TRY(DataDir dir,
                     DataDir::open(disk_, "/node", {.chain_id = chain_id, .commitment = "memory"}));
        dir_.emplace(std::move(dir));
        MILLRACE_TRY(const auto loaded,
                     load_checkpoint(disk_, dir_->checkpoint_directory(), *state_));
        WalOptions options;
        options.chain_id = chain_id;
        options.segment_bytes = 32 << 10;
        options.record_bytes_max = 16 << 10;
        options.log_id = 77;
        options.mutant = mutant_;
        if (loaded) {
            options.checkpoint_sequence = loaded->metadata.sequence;
            load_commitment(*commitment_, *state_->snapshot());
            if (commitment_->root() != loaded->metadata.state_root) {
                return fail(ErrorCode::corrupt, "root of the checkpoint differs");
            }
        }
        MILLRACE_TRY(wal_, Wal::open(disk_, dir_->wal_directory(), options,
                                     make_pwrite_log_writer("simulated", 8 << 10)));
        MILLRACE_TRY(chain_, ChainStore::open(disk_, dir_->chain_directory()));
        MILLRACE_CHECK(wal_->replay(options.checkpoint_sequence + 1, [&](const RecordInfo& info,
                                                                         ByteView payload) {
            replayed_.push_back({info.sequence, info.kind, Bytes{payload.begin(), payload.end()}});
            return redo(info, payload);
        }));
        return settle_chain();
    }

    /// Blocks go to the chain store after the whole log was read: between the checkpoint and a
    /// revert that reaches below it, their predecessors are already cut off.
    Result<void> settle_chain() {
        for (const StoredBlock& b : redone_) {
            if (chain_->hash_of(b.number) != b.hash) {
                MILLRACE_CHECK(chain_->truncate_after(b.number - 1));
                MILLRACE_CHECK(chain_->append(b));
            }
        }
        redone_.clear();
        return {};
    }

    Result<void> redo(const RecordInfo& info, ByteView payload) {
        MILLRACE_TRY(const Record record, decode_record(info.kind, payload));
        MILLRACE_CHECK(state_->apply(info.sequence, post_values_of(record)));
        apply_delta(*commitment_, post_values_of(record));
        if (const auto* b = std::get_if<BlockOpen>(&record)) {
            builder_.open(*b);
        } else if (const auto* m = std::get_if<MiniBlock>(&record)) {
            builder_.add(*m);
        } else if (const auto* s = std::get_if<BlockSeal>(&record)) {
            if (commitment_->root() != s->state_root) {
                return fail(ErrorCode::corrupt, "root of a sealed block differs");
            }
            redone_.push_back(builder_.seal(*s));
        } else if (const auto* v = std::get_if<Revert>(&record)) {
            std::erase_if(redone_, [&](const auto& b) { return b.number > v->to_block; });
            return chain_->truncate_after(v->to_block);
        }
        return {};
    }

    Result<void> checkpoint(const CheckpointMetadata& metadata) {
        MILLRACE_CHECK(chain_->sync());
        MILLRACE_CHECK(
            write_checkpoint(disk_, dir_->checkpoint_directory(), *state_->snapshot(), metadata));
        MILLRACE_TRY(const uint64_t keep,
                     oldest_checkpoint_sequence(disk_, dir_->checkpoint_directory()));
        MILLRACE_CHECK(wal_->prune_below(keep + 1));
        return {};
    }

    struct Replayed {
        uint64_t sequence;
        RecordKind kind;
        Bytes payload;
    };

    SimulatedDisk& disk_;
    const WalMutant mutant_;
    std::optional<DataDir> dir_;
    std::unique_ptr<StateStore> state_ = make_memory_state_store({.shard_count = 4});
    std::unique_ptr<StateCommitment> commitment_ = make_memory_commitment();
    std::unique_ptr<Wal> wal_;
    std::unique_ptr<ChainStore> chain_;
    std::vector<Replayed> replayed_;
    std::vector<StoredBlock> redone_;
    BlockBuilder builder_;
};

/// Runs the script from where the oracle stands: blocks of mini-blocks, edits, checkpoints with
/// pruning, a revert. Returns at the first error (the crash).
class Script {
public:
    Script(Node& node, Oracle& oracle, uint64_t seed) : n_(node), o_(oracle), random_(seed) {}

    Result<void> run(uint64_t blocks) {
        if (o_.last() == 0 || o_.now().kind == RecordKind::block_seal ||
            o_.now().kind == RecordKind::revert) {
            n_.builder_ = {};
        } else {
            MILLRACE_CHECK(seal());  // Recovery seals the open block.
        }
        for (uint64_t b = 0; b < blocks; ++b) {
            MILLRACE_CHECK(one_block());
            if (b % 2 == 1) {
                CheckpointMetadata m;
                m.sequence = o_.last();
                m.block_number = o_.now().blocks.size();
                m.state_root = model_root(o_.now().state);
                MILLRACE_CHECK(n_.checkpoint(m));
                if (random_() % 2 == 0) { MILLRACE_CHECK(n_.wal_->prepare_segment()); }
            }
            if (b % 3 == 2) { MILLRACE_CHECK(revert()); }
        }
        return {};
    }

private:
    StateDelta delta() { return random_delta(random_, o_.now().state, 8, 6, 4); }

    /// Appends to the log and tells the oracle; the state follows at once, as a sequencer's would.
    Result<void> append(const Record& record, uint64_t epoch = 1) {
        Oracle::Entry e;
        e.kind = kind_of(record);
        encode_record(record, e.payload);
        e.state = o_.now().state;
        e.state.apply(post_values_of(record));
        e.blocks = o_.now().blocks;
        if (const auto* s = std::get_if<BlockSeal>(&record)) {
            e.blocks.push_back(n_.builder_.seal(*s));
        } else if (const auto* v = std::get_if<Revert>(&record)) {
            e.blocks.resize(v->to_block);
        }
        MILLRACE_TRY(const uint64_t sequence, n_.wal_->append(epoch, record));
        o_.entries.push_back(std::move(e));
        MILLRACE_ASSERT(sequence == o_.last(), "sequence numbers are dense");
        MILLRACE_CHECK(n_.state_->apply(sequence, post_values_of(record)));
        apply_delta(*n_.commitment_, post_values_of(record));
        return {};
    }

    Result<void> flush() {
        MILLRACE_TRY(o_.acknowledged, n_.wal_->flush());
        return {};
    }

    Result<void> one_block() {
        BlockOpen open;
        open.number = o_.now().blocks.size() + 1;
        open.timestamp_s = open.number;
        open.post_values = delta();
        MILLRACE_CHECK(append(open));
        n_.builder_.open(open);
        const uint64_t count = random_() % 4;
        for (uint64_t i = 0; i < count; ++i) {
            MiniBlock m;
            m.chain_id = chain_id;
            m.number = o_.last();
            m.block_number = open.number;
            m.index = static_cast<uint32_t>(i);
            for (uint64_t t = random_() % 3 + 1; t > 0; --t) {
                Bytes raw(random_() % 2500 + 1);
                for (uint8_t& b : raw) { b = static_cast<uint8_t>(random_()); }
                m.transactions.push_back(std::move(raw));
            }
            m.post_values = delta();
            MILLRACE_CHECK(append(m));
            n_.builder_.add(m);
            if (random_() % 3 != 0) { MILLRACE_CHECK(flush()); }
        }
        if (random_() % 3 == 0) { MILLRACE_CHECK(append(DevEdit{"evm_edit", delta()})); }
        return seal();
    }

    Result<void> seal() {
        BlockSeal seal;
        seal.number = o_.now().blocks.size() + 1;
        MILLRACE_CHECK(append(BlockClose{seal.number, delta()}));
        seal.state_root = model_root(o_.now().state);
        seal.header = Bytes(200, static_cast<uint8_t>(seal.number));
        seal.hash = kernels::keccak256(as_bytes(std::to_string(random_())));
        MILLRACE_CHECK(append(seal));
        MILLRACE_CHECK(flush());
        return n_.chain_->append(o_.now().blocks.back());
    }

    /// Back to a sealed block, where the state of that time is still kept.
    Result<void> revert() {
        const uint64_t target = o_.now().blocks.size() - 1 - random_() % 2;
        uint64_t sequence = o_.last();
        while (sequence > 0 && (o_.entries[sequence].kind != RecordKind::block_seal ||
                                o_.entries[sequence].blocks.size() != target)) {
            --sequence;
        }
        const auto back = n_.state_->revert_delta(sequence);
        if (sequence == 0 || !back) { return {}; }
        Revert r;
        r.to_block = target;
        r.epoch = 1;
        r.post_values = *back;
        MILLRACE_CHECK(append(r));
        MILLRACE_ASSERT(o_.now().state == o_.entries[sequence].state, "the state is back");
        MILLRACE_CHECK(flush());
        return n_.chain_->truncate_after(target);
    }

    Node& n_;
    Oracle& o_;
    std::mt19937_64 random_;
};

/// Compares a started node with the oracle and cuts the oracle to what was recovered. Empty when
/// everything holds, else what does not.
std::string check(const Node& node, Oracle& oracle) {
    const uint64_t last = node.wal_->recovery().last_sequence;
    if (last < oracle.acknowledged) {
        return "acknowledged up to " + std::to_string(oracle.acknowledged) + ", recovered up to " +
               std::to_string(last);
    }
    if (last > oracle.last()) { return "record " + std::to_string(last) + " was never appended"; }
    for (const Node::Replayed& r : node.replayed_) {
        const Oracle::Entry& e = oracle.entries.at(r.sequence);
        if (e.payload != r.payload || e.kind != r.kind) {
            return "record " + std::to_string(r.sequence) + " has another content";
        }
    }
    coverage.torn_logs += node.wal_->recovery().torn_bytes != 0 ? 1 : 0;
    coverage.torn_chains += node.chain_->recovery().torn_bytes != 0 ? 1 : 0;
    coverage.unacknowledged_kept += last > oracle.acknowledged ? 1 : 0;
    coverage.from_checkpoint += node.replayed_.size() < last ? 1 : 0;
    coverage.reverts_replayed +=
        std::ranges::count(node.replayed_, RecordKind::revert, &Node::Replayed::kind) != 0 ? 1 : 0;
    oracle.entries.resize(last + 1);
    oracle.acknowledged = last;
    const auto snapshot = node.state_->snapshot();
    if (snapshot->version() != last) {
        return "the state is at " + std::to_string(snapshot->version());
    }
    if (StateModel::of(*snapshot) != oracle.now().state) { return "the state differs"; }
    if (node.commitment_->root() != model_root(oracle.now().state)) { return "the root differs"; }
    for (const StoredBlock& b : oracle.now().blocks) {
        const auto got = node.chain_->block(b.number);
        if (!got || **got != b) {
            return "stored block " + std::to_string(b.number) + " differs or is missing";
        }
    }
    if (node.chain_->last_number().value_or(0) != oracle.now().blocks.size()) {
        return "there are more blocks than were sealed";
    }
    return {};
}

/// One life: start, check, run on. Empty when nothing is wrong.
std::string live(SimulatedDisk& disk, Oracle& oracle, WalMutant mutant, uint64_t seed,
                 uint64_t blocks) {
    Node node{disk, mutant};
    if (const auto started = node.start(); !started) {
        return disk.crashed() ? "" : "start refused: " + started.error().message;
    }
    if (std::string wrong = check(node, oracle); !wrong.empty()) { return wrong; }
    if (const auto ran = Script{node, oracle, seed}.run(blocks); !ran && !disk.crashed()) {
        return "failed without a crash: " + ran.error().message;
    }
    return {};
}

constexpr uint64_t script_blocks = 10;

/// Crashes at operation `at` (counted from the start of the second life, which begins with a clean
/// reopening), then starts again, crashes in the recovery or soon after it, and starts once more.
/// Empty when nothing is wrong.
std::string crash_at(uint64_t at, uint64_t seed, WalMutant mutant, bool& reached) {
    SimulatedDisk disk;
    Oracle oracle;
    if (std::string wrong = live(disk, oracle, mutant, 1, 2); !wrong.empty()) {
        return "first life: " + wrong;
    }
    disk.arm(DiskFault::crash, at);
    if (std::string wrong = live(disk, oracle, mutant, 2, script_blocks); !wrong.empty()) {
        return "second life: " + wrong;
    }
    reached = disk.crashed();
    disk.restart(seed * 1000003 + at);
    disk.arm(DiskFault::crash, 1 + (seed * 7 + at) % 9);
    if (std::string wrong = live(disk, oracle, mutant, 3, 2); !wrong.empty()) {
        return "third life: " + wrong;
    }
    disk.restart(seed * 7919 + at);
    if (std::string wrong = live(disk, oracle, mutant, 4, 2); !wrong.empty()) {
        return "fourth life: " + wrong;
    }
    disk.restart(seed + 5);
    if (std::string wrong = live(disk, oracle, mutant, 5, 0); !wrong.empty()) {
        return "fifth life: " + wrong;
    }
    return {};
}

/// Every operation times `seeds`; the first thing that is wrong, with its place.
std::string sweep(WalMutant mutant, uint64_t seeds, uint64_t* operations = nullptr) {
    for (uint64_t at = 1;; ++at) {
        bool reached = false;
        for (uint64_t seed = 1; seed <= seeds; ++seed) {
            if (std::string wrong = crash_at(at, seed, mutant, reached); !wrong.empty()) {
                return "crash at operation " + std::to_string(at) + ", seed " +
                       std::to_string(seed) + ", " + wrong;
            }
        }
        if (!reached) {
            if (operations != nullptr) { *operations = at - 1; }
            return {};
        }
    }
}

TEST(StorageCrash, EveryOperationWithManySubsetsKeepsWhatWasAcknowledged) {
    uint64_t operations = 0;
    coverage = {};
    EXPECT_EQ(sweep(WalMutant::none, 4, &operations), "");
    for (const uint64_t seen :
         {coverage.torn_logs, coverage.torn_chains, coverage.unacknowledged_kept,
          coverage.from_checkpoint, coverage.reverts_replayed}) {
        EXPECT_GT(seen, 10u);
    }
    EXPECT_GT(operations, 100u) << "the script does enough to be worth crashing";
    std::printf("%llu operations crashed; starts with a torn log %llu, a torn block file %llu, "
                "unacknowledged records kept %llu, a checkpoint %llu, a revert %llu\n",
                static_cast<unsigned long long>(operations),
                static_cast<unsigned long long>(coverage.torn_logs),
                static_cast<unsigned long long>(coverage.torn_chains),
                static_cast<unsigned long long>(coverage.unacknowledged_kept),
                static_cast<unsigned long long>(coverage.from_checkpoint),
                static_cast<unsigned long long>(coverage.reverts_replayed));
}

TEST(StorageCrash, TheMutantWithoutFlushIsCaught) { EXPECT_NE(sweep(WalMutant::no_flush, 4), ""); }

TEST(StorageCrash, TheMutantWithoutChecksumIsCaught) {
    EXPECT_NE(sweep(WalMutant::no_checksum, 4), "");
}

/// Damages an acknowledged record that later frames follow, in each segment, and starts. Empty when
/// every start was refused with a message and left the log as it was.
std::string damage(WalMutant mutant) {
    SimulatedDisk disk;
    Oracle oracle;
    // Lives of one block each: without a checkpoint, which would notice a log that ends too early.
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        if (std::string wrong = live(disk, oracle, WalMutant::none, seed, 1); !wrong.empty()) {
            return wrong;
        }
    }
    const std::string directory = "/node/wal";
    const auto names = *disk.list(directory);
    size_t tried = 0;
    for (const std::string& name : names) {
        const std::string path = join_path(directory, name);
        if (!name.starts_with("segment-")) { continue; }
        const Bytes before = disk.content(path);
        // The first group of the segment; all segments here hold more than one.
        for (const uint64_t offset : {4096u + 8u, 4096u + 60u, 4096u + 150u}) {
            const auto copy = disk.clone();
            copy->flip_bit(path, offset, 2);
            const Bytes damaged = copy->content(path);
            Oracle known = oracle;
            ++tried;
            Node node{*copy, mutant};
            const auto started = node.start();
            if (started) {
                const std::string wrong = check(node, known);
                return name + ": the start was not refused; " + wrong;
            }
            if (started.error().code != ErrorCode::corrupt ||
                started.error().message.find(path) == std::string::npos) {
                return "unclear refusal: " + started.error().message;
            }
            if (copy->content(path) != damaged) { return "a refused start changed the log"; }
        }
    }
    return tried > 3 ? "" : "too few segments to say anything";
}

TEST(StorageCrash, DamageBeforeALaterFrameRefusesTheStart) {
    EXPECT_EQ(damage(WalMutant::none), "");
}

TEST(StorageCrash, TheMutantThatTruncatesInTheMiddleIsCaught) {
    const std::string wrong = damage(WalMutant::truncate_in_middle);
    EXPECT_NE(wrong.find("not refused"), std::string::npos) << wrong;
    EXPECT_NE(wrong.find("acknowledged up to"), std::string::npos) << wrong;
}

/// Faults instead of crashes: the node stops at the first one, and the next start is a normal one.
TEST(StorageCrash, FaultsAtEveryOperationLoseNothingAcknowledged) {
    for (const DiskFault fault : {DiskFault::write_error, DiskFault::short_write,
                                  DiskFault::sync_failure, DiskFault::no_space}) {
        for (uint64_t at = 1;; ++at) {
            SCOPED_TRACE("fault " + std::to_string(static_cast<int>(fault)) + " at " +
                         std::to_string(at));
            SimulatedDisk disk;
            Oracle oracle;
            ASSERT_EQ(live(disk, oracle, WalMutant::none, 1, 2), "");
            disk.arm(fault, at);
            const uint64_t before = disk.operation_count();
            live(disk, oracle, WalMutant::none, 2, 5);
            const bool reached = disk.operation_count() - before >= at;
            disk.restart(at);
            ASSERT_EQ(live(disk, oracle, WalMutant::none, 3, 1), "");
            if (!reached) { break; }
        }
    }
}

}  // namespace
}  // namespace millrace::storage
