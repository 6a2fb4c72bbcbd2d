// SPDX-License-Identifier: Apache-2.0
// Owns the scrubber: each part opened on an overlay, and then compared with the others.
#include "host/node/database/verify.hpp"

#include <map>
#include <memory>

#include "evm/trie/ordered_root.hpp"
#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"
#include "host/sequencer/chain_view.hpp"
#include "host/sequencer/ledger/mpt_commitment.hpp"
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
    /// What the log says of a sealed block.
    struct Seal {
        Hash256 hash;
        Hash256 state_root;
    };

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
        }
        return {};
    }

    Result<void> log() {
        storage::WalOptions options;
        options.chain_id = report_.identity.chain_id;
        // The longest that there can be, so that no record is taken for damage.
        options.record_bytes_max = options.segment_bytes - 12288;
        // The least that its files ask for: nothing is appended.
        for (const auto& c : checkpoints_) {
            if (c.metadata) { options.checkpoint_sequence = c.metadata->sequence; }
        }
        MILLRACE_TRY(wal_,
                     storage::Wal::open(*overlay_, directory_.wal_directory(), options, writer()));
        const storage::WalRecovery& r = wal_->recovery();
        if (r.created) { return fail(ErrorCode::corrupt, "there is no log"); }
        if (r.torn_bytes != 0) {
            note("log: " + text(r.torn_bytes) + " bytes at " + r.torn_place +
                 " were being written when the node ended; they were never acknowledged");
        }
        std::map<std::string, uint64_t> kinds;
        MILLRACE_CHECK(wal_->replay(
            r.first_sequence,
            [&](const storage::RecordInfo& info, ByteView payload) -> Result<void> {
                ++kinds[std::string{storage::to_string(info.kind)}];
                const auto record = storage::decode_record(info.kind, payload);
                if (!record) {
                    return fail(ErrorCode::corrupt,
                                "record " + text(info.sequence) + ": " + record.error().message);
                }
                if (const auto* seal = std::get_if<storage::BlockSeal>(&*record)) {
                    seals_[seal->number] = {seal->hash, seal->state_root};
                } else if (const auto* revert = std::get_if<storage::Revert>(&*record)) {
                    seals_.erase(seals_.upper_bound(revert->to_block), seals_.end());
                }
                return {};
            }));
        DatabasePart& p = part("log");
        p.figures = {{"records", text(r.first_sequence) + " to " + text(r.last_sequence)},
                     {"segments", text(r.segment_count)},
                     {"fencing epoch", text(r.last_epoch)}};
        for (const auto& [kind, count] : kinds) { p.figures.emplace_back(kind, text(count)); }
        return {};
    }

    Result<void> blocks() {
        MILLRACE_TRY(const auto chain,
                     storage::ChainStore::open(*overlay_, directory_.chain_directory()));
        if (chain->recovery().torn_bytes != 0) {
            note("blocks: " + text(chain->recovery().torn_bytes) + " bytes at " +
                 chain->recovery().torn_place + " are no whole block; the log has these blocks");
        }
        const auto first = chain->first_number();
        const auto last = chain->last_number();
        DatabasePart& p = part("blocks");
        p.figures.emplace_back("blocks", first ? text(*first) + " to " + text(*last) : "none");
        // What the newest checkpoint stands for must be there, as the log may lack it.
        for (const auto& c : checkpoints_) {
            if (!c.metadata || c.metadata->block_number == 0) { continue; }
            const auto hash = chain->hash_of(c.metadata->block_number);
            if (!hash) {
                damage("blocks: " + directory_.chain_directory() + " lacks block " +
                       text(c.metadata->block_number) + ", which " + c.path +
                       " is of: it is older than the rest, or cut off");
            } else if (!c.metadata->block_hash.is_zero() && *hash != c.metadata->block_hash) {
                damage("blocks: " + directory_.chain_directory() + " has another block " +
                       text(c.metadata->block_number) + " than " + c.path);
            }
        }
        if (wal_ != nullptr && last && !seals_.empty() && *last > seals_.rbegin()->first) {
            damage("blocks: " + directory_.chain_directory() + " has block " + text(*last) +
                   ", the log in " + directory_.wal_directory() + " ends with block " +
                   text(seals_.rbegin()->first) +
                   ": the end of the log is lost, or an older copy (after a loss of power also "
                   "where --durability was async)");
        }
        if (!first || !options_.deep) { return {}; }
        uint64_t transactions = 0;
        Hash256 parent;
        for (uint64_t n = *first; n <= *last; ++n) {
            MILLRACE_TRY(const auto stored, chain->block(n));
            MILLRACE_CHECK(block(*stored, n == *first ? std::nullopt : std::optional{parent}));
            parent = stored->hash;
            transactions += stored->transactions.size();
        }
        p.figures.emplace_back("transactions", text(transactions));
        return {};
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
            (seal->second.hash != stored.hash || seal->second.state_root != header.state_root)) {
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
        DatabasePart& p = part("state");
        p.figures = {{"node hash", std::string{kernels::to_string(options.hash)}},
                     {"height", text(engine->height())},
                     {"root", to_hex(engine->root())},
                     {"keys", text(stats.key_count)},
                     {"entries ever appended", text(stats.serial_count)},
                     {"segments", text(r.segment_count)},
                     {"log bytes", text(stats.log_bytes)}};
        if (makes_roots) { MILLRACE_CHECK(compare_blocks(*engine)); }
        if (options_.deep) {
            MILLRACE_TRY(const uint64_t entries, engine->verify_chunks());
            p.figures.emplace_back("entries hashed again", text(entries));
        }
        return {};
    }

    /// The engine that makes the state roots has a block only after the log has its seal, and has
    /// it before a checkpoint is of it.
    Result<void> compare_blocks(const storage::qmdb::Engine& engine) {
        constexpr uint64_t per_block = storage::qmdb::heights_per_block;
        if (engine.height() % per_block != 0) {
            note("state: a block was being committed when the node ended; a start takes it back");
        }
        const uint64_t blocks = engine.height() / per_block;  // the genesis is one of them
        for (const auto& c : checkpoints_) {
            if (c.metadata && c.metadata->block_number >= blocks) {
                return fail(ErrorCode::corrupt,
                            "it lacks block " + text(c.metadata->block_number) + ", which " +
                                c.path + " is of: it is older than the rest, or cut off");
            }
        }
        if (wal_ != nullptr && !seals_.empty() && blocks > seals_.rbegin()->first + 1) {
            return fail(ErrorCode::corrupt, "it has block " + text(blocks - 1) + ", the log in " +
                                                directory_.wal_directory() + " ends with block " +
                                                text(seals_.rbegin()->first) +
                                                ": the end of the log is lost, or an older copy");
        }
        uint64_t compared = 0;
        for (const auto& [number, seal] : seals_) {
            const uint64_t height = (number + 1) * per_block;
            if (height < engine.oldest_height() || number >= blocks) { continue; }
            MILLRACE_TRY(const Hash256 root, engine.root_at(height));
            MILLRACE_CHECK(same("block " + text(number), root, seal.state_root));
            ++compared;
        }
        part("roots").figures.emplace_back("seals whose state root the engine has", text(compared));
        return {};
    }

    std::unique_ptr<storage::FileSystem> overlay_;
    const storage::DataDir& directory_;
    const VerifyOptions& options_;
    DatabaseReport report_;
    std::vector<storage::InspectedCheckpoint> checkpoints_;
    std::unique_ptr<storage::Wal> wal_;
    std::map<uint64_t, Seal> seals_;  ///< of the log, without those that a revert undid
};

}  // namespace

Result<DatabaseReport> verify_database(storage::FileSystem& fs, const std::string& path,
                                       const VerifyOptions& options) {
    MILLRACE_TRY(const storage::DataDir directory, storage::DataDir::open_existing(fs, path));
    return Scrubber{fs, directory, options}.run();
}

}  // namespace millrace::node
