// SPDX-License-Identifier: Apache-2.0
// Owns the scrubber: each part opened on an overlay, and then compared with the others.
#include "host/node/database/verify.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include "evm/trie/ordered_root.hpp"
#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"
#include "host/sequencer/chain_view.hpp"
#include "host/sequencer/ledger/mpt_commitment.hpp"
#include "host/sequencer/ledger/survivors.hpp"
#include "kernels/keccak/keccak.hpp"
#include "storage/chain/chain_store.hpp"
#include "storage/io/overlay_file_system.hpp"
#include "storage/qmdb/block_commitment.hpp"
#include "storage/qmdb/engine.hpp"
#include "storage/state/checkpoint.hpp"
#include "storage/wal/wal.hpp"

namespace millrace::node {
namespace {

using storage::join_path;

std::string text(uint64_t value) { return std::to_string(value); }

class Scrubber {
public:
    Scrubber(storage::FileSystem& fs, const storage::DataDir& directory,
             const VerifyOptions& options)
        : overlay_(storage::make_overlay_file_system(fs)),
          directory_(directory),
          options_(options) {
        report_.identity = directory.identity();
    }

    DatabaseReport run() {
        keep("checkpoints", checkpoints());
        keep("log", log());
        keep("blocks", blocks());
        if (options_.deep) { keep("roots", roots()); }
        state();
        return std::move(report_);
    }

private:
    void keep(const std::string& part, const Result<void>& result) {
        if (!result) { damage(part + ": " + result.error().message); }
    }
    void damage(std::string what) { report_.damages.push_back(std::move(what)); }
    void note(std::string what) { report_.notes.push_back(std::move(what)); }
    DatabasePart& part(std::string name) {
        report_.parts.push_back({std::move(name), {}});
        return report_.parts.back();
    }
    static std::unique_ptr<storage::LogWriter> writer() {
        return storage::make_pwrite_log_writer("nothing of it reaches the disk");
    }

    Result<void> checkpoints() {
        MILLRACE_TRY(checkpoints_,
                     storage::inspect_checkpoints(*overlay_, directory_.checkpoint_directory()));
        DatabasePart& p = part("checkpoints");
        for (const auto& c : checkpoints_) {
            if (!c.metadata) {
                damage(c.path + ": " + c.metadata.error().message);
                continue;
            }
            p.figures.emplace_back("block " + text(c.metadata->block_number),
                                   "record " + text(c.metadata->sequence));
            from_ = *c.metadata;  // a start takes the newest that can be read
        }
        return {};
    }

    Result<void> log() {
        storage::WalOptions options;
        options.chain_id = report_.identity.chain_id;
        // The longest that there can be, so that no record is taken for damage.
        options.record_bytes_max = options.segment_bytes - 12288;
        // The least that its files ask for: nothing is appended.
        options.checkpoint_sequence = from_.sequence;
        MILLRACE_TRY(auto wal,
                     storage::Wal::open(*overlay_, directory_.wal_directory(), options, writer()));
        const storage::WalRecovery& r = wal->recovery();
        // What should have been in it is missed where the blocks and the state are looked at.
        if (r.created) {
            note("log: " + directory_.wal_directory() + " has none; a start makes it");
        }
        if (r.torn_bytes != 0) {
            note("log: " + text(r.torn_bytes) + " bytes at " + r.torn_place +
                 " were being written when the node ended; they were never acknowledged");
        }
        std::map<std::string, uint64_t> kinds;
        sequencer::Survivors survivors{from_};
        bool checkpoint_sealed = from_.sequence == 0;
        MILLRACE_CHECK(wal->replay(
            r.first_sequence,
            [&](const storage::RecordInfo& info, ByteView payload) -> Result<void> {
                ++kinds[std::string{storage::to_string(info.kind)}];
                const auto record = storage::decode_record(info.kind, payload);
                if (!record) {
                    return fail(ErrorCode::corrupt,
                                "record " + text(info.sequence) + ": " + record.error().message);
                }
                const auto* seal = std::get_if<storage::BlockSeal>(&*record);
                if (seal != nullptr && !checkpoint_sealed && info.sequence > from_.sequence) {
                    // The first seal after a checkpoint is that of its block.
                    if (seal->number != from_.block_number || seal->hash != from_.block_hash) {
                        return fail(ErrorCode::corrupt,
                                    "record " + text(info.sequence) + " seals block " +
                                        text(seal->number) + ", " + to_hex(seal->hash) +
                                        ", the newest checkpoint is of block " +
                                        text(from_.block_number) + ", " + to_hex(from_.block_hash));
                    }
                    checkpoint_sealed = true;
                }
                return survivors.read(info, payload);
            }));
        if (!checkpoint_sealed) {
            damage("log: " + directory_.wal_directory() + " has no seal of block " +
                   text(from_.block_number) + ", which the newest checkpoint is of");
        }
        DatabasePart& p = part("log");
        p.figures = {{"records", text(r.first_sequence) + " to " + text(r.last_sequence)},
                     {"segments", text(r.segment_count)},
                     {"fencing epoch", text(r.last_epoch)}};
        for (const auto& [kind, count] : kinds) { p.figures.emplace_back(kind, text(count)); }
        for (const auto& block : survivors.blocks()) {
            if (block.hash) { seals_[block.number] = block; }
        }
        survivors_.emplace(std::move(survivors));
        wal_ = std::move(wal);
        return {};
    }

    Result<void> blocks() {
        MILLRACE_TRY(chain_, storage::ChainStore::open(*overlay_, directory_.chain_directory()));
        if (chain_->recovery().torn_bytes != 0) {
            note("blocks: " + text(chain_->recovery().torn_bytes) + " bytes at " +
                 chain_->recovery().torn_place + " are no whole block; the log has these blocks");
        }
        const auto first = chain_->first_number();
        const auto last = chain_->last_number();
        DatabasePart& p = part("blocks");
        p.figures.emplace_back("blocks", first ? text(*first) + " to " + text(*last) : "none");
        // What a checkpoint stands for must be there, as the log may lack it.
        for (const auto& c : checkpoints_) {
            if (!c.metadata || c.metadata->block_number == 0 || undone(*c.metadata)) { continue; }
            const auto hash = chain_->hash_of(c.metadata->block_number);
            if (!hash) {
                damage("blocks: " + directory_.chain_directory() + " lacks block " +
                       text(c.metadata->block_number) + ", which " + c.path +
                       " is of: it is older than the rest, or cut off");
            } else if (!c.metadata->block_hash.is_zero() && *hash != c.metadata->block_hash) {
                damage("blocks: " + directory_.chain_directory() + " has another block " +
                       text(c.metadata->block_number) + " than " + c.path);
            }
        }
        if (survivors_) { compare_ends(); }
        if (!first || !options_.deep) { return {}; }
        uint64_t transactions = 0;
        Hash256 parent;
        for (uint64_t n = *first; n <= *last; ++n) {
            MILLRACE_TRY(const auto stored, chain_->block(n));
            MILLRACE_CHECK(block(*stored, n == *first ? std::nullopt : std::optional{parent}));
            parent = stored->hash;
            transactions += stored->transactions.size();
        }
        p.figures.emplace_back("transactions", text(transactions));
        return {};
    }

    /// A revert after the checkpoint has gone below its block.
    bool undone(const storage::CheckpointMetadata& c) const {
        return survivors_ && survivors_->is_undone(c.block_number, c.sequence);
    }

    /// From where the blocks can be made again to where the log ends.
    void compare_ends() {
        const uint64_t base = survivors_->base();
        if (base != 0 && base != from_.block_number && !chain_->hash_of(base)) {
            damage("blocks: " + directory_.chain_directory() + " lacks block " + text(base) +
                   ", which the log goes back to: it is older than the rest, or cut off");
        }
        const uint64_t last = chain_->last_number().value_or(0);
        if (last <= survivors_->last_sealed()) { return; }
        const Hash256 hash = *chain_->hash_of(last);
        const bool known = survivors_->was_undone(last, hash) ||
                           std::ranges::any_of(checkpoints_, [&](const auto& c) {
                               return c.metadata && c.metadata->block_number == last &&
                                      c.metadata->block_hash == hash && this->undone(*c.metadata);
                           });
        if (known) {
            note("blocks: those after block " + text(survivors_->last_sealed()) +
                 " were being reverted when the node ended; a start takes them back");
            return;
        }
        damage("blocks: " + directory_.chain_directory() + " has block " + text(last) +
               ", the log in " + directory_.wal_directory() + " ends with block " +
               text(survivors_->last_sealed()) +
               ": the end of the log is lost, or an older copy (after a loss of power also where "
               "--durability was async)");
    }

    /// Everything of a block that follows from other parts of it, and the log's opinion.
    Result<void> block(const storage::StoredBlock& stored, std::optional<Hash256> parent) {
        const auto wrong = [&](const std::string& what) {
            return fail(ErrorCode::corrupt, directory_.chain_directory() + ": block " +
                                                text(stored.number) + ": " + what);
        };
        const auto sealed = sequencer::from_stored(stored);
        if (!sealed) { return wrong(sealed.error().message); }
        const evm::BlockHeader& header = (*sealed)->header;
        if (kernels::keccak256(stored.header) != stored.hash) { return wrong("another hash"); }
        if (header.number != stored.number) { return wrong("its header is of another block"); }
        if (parent && header.parent_hash != *parent) { return wrong("another parent"); }
        std::vector<ByteView> raw;
        for (size_t i = 0; i < stored.transactions.size(); ++i) {
            raw.push_back(stored.transactions[i]);
            if (kernels::keccak256(raw.back()) != stored.transaction_hashes[i]) {
                return wrong("transaction " + text(i) + " has another hash");
            }
        }
        if (evm::ordered_trie_root(raw) != header.transactions_root) {
            return wrong("its transactions have another root");
        }
        const auto seal = seals_.find(stored.number);
        if (seal != seals_.end() &&
            (*seal->second.hash != stored.hash || seal->second.state_root != header.state_root)) {
            return wrong("the log has sealed another one");
        }
        return {};
    }

    Result<void> roots() {
        if (wal_ == nullptr) { return {}; }
        if (report_.identity.commitment != "mpt" && report_.identity.commitment != "memory") {
            return {};  // the state engine has its own
        }
        const auto store = storage::make_memory_state_store({.window_deltas = 1});
        std::map<uint64_t, Hash256> closed;  // roots by block
        uint64_t from = 0;
        const auto whole = std::ranges::find_if(checkpoints_, [&](const auto& c) {
            return c.metadata.has_value() && c.metadata->sequence + 1 >= wal_->first_sequence();
        });
        if (whole != checkpoints_.end()) {
            MILLRACE_TRY(const auto metadata,
                         storage::load_checkpoint_file(*overlay_, whole->path, *store));
            from = metadata.sequence;
            closed[metadata.block_number] = metadata.state_root;
        } else if (options_.genesis != nullptr && wal_->first_sequence() == 1) {
            MILLRACE_CHECK(store->restore_part(options_.genesis->state));
            MILLRACE_CHECK(store->finish_restore(0));
        } else {
            note("roots: the state before the log is not known; give --genesis or --dev to have "
                 "state roots computed");
            return {};
        }
        const auto commitment = report_.identity.commitment == "memory"
                                    ? storage::make_memory_commitment()
                                    : sequencer::make_mpt_commitment();
        storage::load_commitment(*commitment, *store->snapshot());
        if (whole != checkpoints_.end()) {
            MILLRACE_CHECK(same(whole->path, commitment->root(), whole->metadata->state_root));
        } else if (options_.genesis->hash != report_.identity.genesis_hash) {
            return fail(ErrorCode::config, "the genesis given is not that of the directory");
        }
        uint64_t seals = 0;
        MILLRACE_CHECK(wal_->replay(
            from + 1, [&](const storage::RecordInfo& info, ByteView payload) -> Result<void> {
                MILLRACE_TRY(const storage::Record record,
                             storage::decode_record(info.kind, payload));
                const storage::StateDelta& delta = storage::post_values_of(record);
                if (const auto* seal = std::get_if<storage::BlockSeal>(&record)) {
                    const auto it = closed.find(seal->number);
                    if (it == closed.end()) {
                        return fail(ErrorCode::corrupt, "record " + text(info.sequence) +
                                                            " seals block " + text(seal->number) +
                                                            ", which was not closed");
                    }
                    MILLRACE_CHECK(
                        same("the log, block " + text(seal->number), it->second, seal->state_root));
                    closed.erase(it);
                    ++seals;
                }
                MILLRACE_CHECK(store->apply(info.sequence, delta));
                storage::apply_delta(*commitment, delta);
                if (const auto* close = std::get_if<storage::BlockClose>(&record)) {
                    closed[close->number] = commitment->root();
                }
                for (const auto& c : checkpoints_) {
                    if (c.metadata && c.metadata->sequence == info.sequence) {
                        MILLRACE_CHECK(same(c.path, commitment->root(), c.metadata->state_root));
                    }
                }
                return {};
            }));
        part("roots").figures.emplace_back("seals whose state root was computed", text(seals));
        return {};
    }
    static Result<void> same(const std::string& where, const Hash256& computed,
                             const Hash256& recorded) {
        if (computed == recorded) { return {}; }
        return fail(ErrorCode::corrupt, where + ": the state has the root " + to_hex(computed) +
                                            ", recorded is " + to_hex(recorded));
    }

    void state() {
        const std::string folder = options_.state_directory.empty() ? directory_.state_directory()
                                                                    : options_.state_directory;
        keep("state in " + folder, state(folder));
    }

    Result<void> state(const std::string& folder) {
        MILLRACE_TRY(const auto found,
                     storage::qmdb::EntryLog::describe_directory(*overlay_, folder));
        const bool makes_roots =
            options_.state_directory.empty() && report_.identity.commitment.starts_with("qmdb");
        if (!found) {
            if (options_.state_directory.empty() && !makes_roots) { return {}; }
            if (makes_roots) { return without_blocks("there is none"); }
            return fail(ErrorCode::not_found, folder + " has no state engine");
        }
        storage::qmdb::EngineOptions options;
        options.log.segment_bytes = found->segment_bytes;
        options.log.identity = report_.identity.genesis_hash;
        bool known = false;
        for (const auto hash :
             {kernels::NodeHash::keccak256, kernels::NodeHash::sha256, kernels::NodeHash::blake3}) {
            if (storage::qmdb::log_identity(options.log.identity, hash) == found->identity) {
                options.hash = hash;
                known = true;
            }
        }
        if (!known) { return fail(ErrorCode::corrupt, folder + " is the state of another chain"); }
        MILLRACE_TRY(const auto engine,
                     storage::qmdb::Engine::open(*overlay_, folder, options, writer()));
        const storage::qmdb::EntryLogRecovery& r = engine->recovery();
        if (r.torn_bytes != 0) {
            note("state: " + text(r.torn_bytes) + " bytes at " + r.torn_place +
                 " were being written when the node ended; they were never acknowledged");
        }
        const storage::qmdb::EngineStats stats = engine->stats();
        const size_t own = report_.parts.size();  // comparing adds others
        part("state").figures = {
            {"node hash", std::string{kernels::to_string(options.hash)}},
            {"height", text(engine->height())},
            {"root", to_hex(engine->root())},
            {"keys", text(stats.key_count)},
            {"entries ever appended", text(stats.serial_count)},
            {"segments", text(r.segment_count)},
            {"log bytes", text(stats.log_bytes)},
            {"bytes of live entries", text(stats.opened_live_bytes)},
            {"bytes of dead entries, places, room",
             text(stats.log_bytes - std::min(stats.log_bytes, stats.opened_live_bytes))},
            {"rewritten segments", text(stats.rewritten_count)},
            {"bytes of these", text(stats.rewritten_bytes)}};
        if (makes_roots) { MILLRACE_CHECK(compare_blocks(*engine)); }
        if (options_.deep) {
            MILLRACE_TRY(const uint64_t entries, engine->verify_chunks());
            report_.parts[own].figures.emplace_back("entries hashed again", text(entries));
        }
        return {};
    }

    /// The engine that makes the state roots must be somewhere in the log, as at a start.
    Result<void> compare_blocks(const storage::qmdb::Engine& engine) {
        constexpr uint64_t per_block = storage::qmdb::heights_per_block;
        if (engine.height() % per_block != 0) {
            note("state: a block was being committed when the node ended; a start takes it back");
        }
        const uint64_t blocks = engine.height() / per_block;  // the genesis is one of them
        if (blocks == 0) { return without_blocks("it is empty"); }
        if (!survivors_ || chain_ == nullptr) { return {}; }  // they are reported
        MILLRACE_TRY(const Hash256 newest, engine.root_at(blocks * per_block));
        const storage::CommittedBlock at{blocks - 1, newest};
        storage::CheckpointMetadata from = from_;
        // The engine's files name the genesis that they are of.
        if (from.sequence == 0 && at.number == 0) { from.state_root = at.root; }
        sequencer::Survivors positions{from};
        MILLRACE_CHECK(wal_->replay(wal_->first_sequence(),
                                    [&](const storage::RecordInfo& info, ByteView payload) {
                                        return positions.read(info, payload);
                                    }));
        const auto until = sequencer::committed_until(at, positions, *chain_, from);
        if (!until) {
            return fail(ErrorCode::corrupt,
                        until.error().message + " (log in " + directory_.wal_directory() + ")");
        }
        if (at.number > survivors_->last_sealed()) {
            note("state: the blocks after block " + text(survivors_->last_sealed()) +
                 " were being reverted when the node ended; a start takes them back");
        }
        uint64_t compared = 0;
        const auto compare = [&](const std::string& what, uint64_t number, uint64_t closed_at,
                                 const Hash256& recorded) -> Result<void> {
            const uint64_t height = (number + 1) * per_block;
            // After its position the engine may still have to go back and take other blocks.
            if (height < engine.oldest_height() || number >= blocks || closed_at > *until) {
                return {};
            }
            MILLRACE_TRY(const Hash256 root, engine.root_at(height));
            ++compared;
            return same(what, root, recorded);
        };
        for (const auto& [number, seal] : seals_) {
            MILLRACE_CHECK(
                compare("block " + text(number), number, seal.closed_at, seal.state_root));
        }
        part("roots").figures.emplace_back("seals whose state root the engine has", text(compared));
        for (const auto& c : checkpoints_) {
            if (!c.metadata || undone(*c.metadata)) { continue; }
            MILLRACE_CHECK(compare(c.path, c.metadata->block_number, c.metadata->sequence,
                                   c.metadata->state_root));
        }
        return {};
    }
    /// A start makes the genesis anew and takes the rest from the log, if that has all of it.
    Result<void> without_blocks(const std::string& what) {
        if (from_.sequence != 0) {
            return fail(ErrorCode::corrupt,
                        what + ", but there is a checkpoint at block " + text(from_.block_number));
        }
        note("state: " + what + "; a start makes it from the genesis and the log");
        return {};
    }

    std::unique_ptr<storage::FileSystem> overlay_;
    const storage::DataDir& directory_;
    const VerifyOptions& options_;
    DatabaseReport report_;
    std::vector<storage::InspectedCheckpoint> checkpoints_;
    storage::CheckpointMetadata from_;  ///< of the newest checkpoint that can be read, if any
    std::unique_ptr<storage::Wal> wal_;
    std::optional<sequencer::Survivors> survivors_;          ///< where all of the log can be read
    std::map<uint64_t, sequencer::Survivors::Block> seals_;  ///< those that are sealed
    std::unique_ptr<storage::ChainStore> chain_;
};

}  // namespace

Result<DatabaseReport> verify_database(storage::FileSystem& fs, const std::string& path,
                                       const VerifyOptions& options) {
    MILLRACE_TRY(const storage::DataDir directory, storage::DataDir::open_existing(fs, path));
    return Scrubber{fs, directory, options}.run();
}

}  // namespace millrace::node
