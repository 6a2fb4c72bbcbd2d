// SPDX-License-Identifier: Apache-2.0
// Owns start-up: from checkpoint, log and chain data back to the state that was acknowledged.
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <unordered_map>

#include "host/base/hex.hpp"
#include "host/base/log.hpp"
#include "host/base/thread.hpp"
#include "host/sequencer/admission.hpp"
#include "host/sequencer/ledger/ledger_impl.hpp"
#include "host/sequencer/ledger/mpt_commitment.hpp"
#include "host/sequencer/ledger/survivors.hpp"
#include "storage/qmdb/block_commitment.hpp"

namespace millrace::sequencer {
namespace {

/// A closed block, until the log has its seal.
struct Unsealed {
    uint64_t number = 0;
    /// Absent where the commitment was further than that when the node ended: the log's counts.
    std::optional<Hash256> root;
    std::optional<ClosedBlock> block;  ///< where it was executed again
    bool from_checkpoint = false;
};

/// Replays records and keeps what a running sequencer would keep.
class Replay {
public:
    /// The commitment has all changes up to the record `committed` already.
    Replay(Ledger::Impl& impl, const Survivors& survivors, uint64_t committed, CellTable& cells,
           BlockBuilder& builder)
        : l_(impl),
          survivors_(survivors),
          committed_(committed),
          cells_(cells),
          builder_(builder) {}

    Result<void> apply(const storage::RecordInfo& info, ByteView payload, bool before_checkpoint) {
        MILLRACE_TRY(const storage::Record record, storage::decode_record(info.kind, payload));
        l_.epoch = std::max(l_.epoch, info.epoch);
        if (before_checkpoint) {
            if (const auto* m = std::get_if<storage::MiniBlock>(&record)) { note_mini_block(*m); }
            if (const auto* r = std::get_if<storage::Revert>(&record)) { return_to(*r); }
            return {};
        }
        begin();
        ++l_.report.records_replayed;
        return std::visit([&](const auto& r) { return this->replay(r, info.sequence); }, record);
    }

    /// Everything up to the checkpoint was read; from here on its own note counts.
    void begin() {
        if (begun_) { return; }
        begun_ = true;
        l_.next_mini_block = l_.sealed.front().next_mini_block;
        l_.last_digest = l_.sealed.front().digest;
        // Its record may have been pruned.
        digests_[l_.next_mini_block - 1] = l_.last_digest;
        // A checkpoint has the state of a closed block; the record of its seal comes after.
        if (l_.checkpoint_sequence != 0) {
            closed_.emplace();
            closed_->number = l_.sealed.front().number;
            closed_->root = l_.sealed.front().state_root;
            closed_->from_checkpoint = true;
        }
    }

    /// A block was open when the log ended.
    bool open() const noexcept { return open_.has_value(); }
    /// The block that was closed and not sealed when the log ended; null when there was none. It
    /// was executed again, because the chain data cannot have it.
    Result<FinishedPtr> finish_closed() {
        if (!closed_) { return FinishedPtr{}; }
        if (!closed_->block) {
            return damaged("the log has no seal of block " + std::to_string(closed_->number) +
                           ", which the checkpoint is of");
        }
        if (!closed_->root) {
            return damaged("the state engine has block " + std::to_string(closed_->number) +
                           ", whose seal the log lacks");
        }
        return finish_block(std::move(*closed_->block), *closed_->root, l_.trie_hash);
    }
    /// The effect of its hash on the block that is open; empty when there is none.
    storage::StateDelta open_after(const Hash256& hash) {
        return open_ && open_->parent_promised ? builder_.parent_sealed(hash)
                                               : storage::StateDelta{};
    }

private:
    void note_mini_block(const storage::MiniBlock& m) {
        l_.next_mini_block = m.number + 1;
        l_.last_digest = storage::mini_block_digest(m);
        if (survivors_.is_revert_target(m.number)) { digests_[m.number] = l_.last_digest; }
    }

    void return_to(const storage::Revert& r) {
        l_.next_mini_block = r.to_mini_block + 1;
        const auto digest = digests_.find(r.to_mini_block);
        l_.last_digest = digest == digests_.end() ? Hash256{} : digest->second;
    }

    Result<void> take(uint64_t sequence, const storage::StateDelta& delta) {
        MILLRACE_CHECK(l_.state->apply(sequence, delta));
        return sequence > committed_ ? l_.commitment->apply(delta) : Result<void>{};
    }

    Result<void> replay(const storage::BlockOpen& r, uint64_t sequence) {
        if (open_) {
            return damaged("block " + std::to_string(r.number) + " opens inside of another");
        }
        if (closed_.has_value() != r.parent_promised ||
            (closed_ && closed_->number + 1 != r.number)) {
            return damaged("block " + std::to_string(r.number) +
                           " does not open on the block that was closed before it");
        }
        open_ =
            OpenBlock{r.number,         r.timestamp_s, r.parent_hash, r.base_fee_per_gas,
                      r.gas_limit,      r.coinbase,    r.prev_randao, r.parent_beacon_block_root,
                      r.parent_promised};
        const Survivors::Block* survivor = survivors_.find(sequence);
        const bool in_chain =
            survivor != nullptr && survivor->hash && l_.chain->hash_of(r.number) == *survivor->hash;
        if (survivor != nullptr && !in_chain) {
            // A block of this number that is there all the same is from another course of events.
            if (l_.chain->last_number().value_or(0) >= r.number) {
                MILLRACE_CHECK(l_.chain->truncate_after(r.number - 1));
            }
            cells_.reset(l_.state->snapshot());
            const storage::StateDelta delta = builder_.open(*open_);
            if (delta != r.post_values) {
                return damaged("the opening of block " + std::to_string(r.number) +
                               " gives other values than the log has");
            }
            builder_open_ = true;
        }
        return take(sequence, r.post_values);
    }

    Result<void> replay(const storage::MiniBlock& r, uint64_t sequence) {
        if (!open_ || open_->number != r.block_number) {
            return damaged("mini-block " + std::to_string(r.number) + " belongs to block " +
                           std::to_string(r.block_number) + ", which is not open");
        }
        note_mini_block(r);
        if (builder_open_) { MILLRACE_CHECK(reexecute(r)); }
        return take(sequence, r.post_values);
    }

    Result<void> reexecute(const storage::MiniBlock& r) {
        const auto admitted = admit_logged(r.transactions, l_.options.offload);
        if (!admitted) {
            return damaged("mini-block " + std::to_string(r.number) +
                           " holds a transaction that cannot be read: " + admitted.error().message);
        }
        for (const AdmittedPtr& tx : *admitted) {
            const auto executed = builder_.execute(tx);
            if (!executed) {
                return damaged("mini-block " + std::to_string(r.number) +
                               " holds a transaction that cannot be executed: " +
                               std::string(evm::to_string(executed.error())));
            }
            ++l_.report.transactions_reexecuted;
        }
        const BlockBuilder::Cut cut = builder_.cut(r.number, r.time_us);
        const MiniBlock& m = *cut.mini_block;
        const auto recorded = l_.recorder.record({r.chain_id, r.epoch, r.parent}, m, *cut.accesses);
        if (!recorded || recorded->receipts_digest != r.receipts_digest ||
            m.post_values != r.post_values || !std::ranges::equal(recorded->access, r.access)) {
            return damaged("re-executing mini-block " + std::to_string(r.number) +
                           " gives other results than the log has");
        }
        return {};
    }

    Result<void> replay(const storage::BlockClose& r, uint64_t sequence) {
        if (!open_ || open_->number != r.number || open_->parent_promised || closed_) {
            return damaged("block " + std::to_string(r.number) +
                           " is closed but was not open, or its parent is not sealed");
        }
        MILLRACE_CHECK(take(sequence, r.post_values));
        closed_.emplace();
        closed_->number = r.number;
        if (sequence > committed_) {
            MILLRACE_TRY(closed_->root, l_.commitment->close(r.number, *l_.closed_state));
        }
        l_.closed = l_.close_now(r.number);
        l_.closed_state = l_.closed->state;
        if (builder_open_) {
            closed_->block = builder_.close();
            builder_open_ = false;
            if (closed_->block->post_values != r.post_values) {
                return damaged("re-executing block " + std::to_string(r.number) +
                               " gives other closing values than the log has");
            }
        }
        open_.reset();
        return {};
    }

    Result<void> replay(const storage::BlockSeal& r, uint64_t sequence) {
        if (!closed_ || closed_->number != r.number) {
            return damaged("block " + std::to_string(r.number) + " is sealed but was not closed");
        }
        if (closed_->root && *closed_->root != r.state_root) {
            return damaged("the state root after block " + std::to_string(r.number) + " is " +
                           to_hex(*closed_->root) + ", the log has " + to_hex(r.state_root));
        }
        // The log was read from the disk.
        if (closed_->root && !closed_->from_checkpoint && l_.commitment->durable()) {
            MILLRACE_CHECK(l_.commitment->commit());
            ++l_.report.blocks_recommitted;
        }
        MILLRACE_CHECK(closed_->from_checkpoint ? compare_checkpoint(r) : restore(r));
        builder_.add_block_hash(r.number, r.hash);
        closed_.reset();
        l_.closed = nullptr;
        if (open_) {
            open_->parent_hash = r.hash;
            open_->parent_promised = false;
        }
        if (builder_open_ && builder_.parent_sealed(r.hash) != r.post_values) {
            return damaged("the hash of block " + std::to_string(r.number) +
                           " gives other values than the log has");
        }
        return take(sequence, r.post_values);
    }

    Result<void> compare_checkpoint(const storage::BlockSeal& r) const {
        if (r.hash == l_.sealed.back().hash) { return {}; }
        return damaged("the checkpoint is of block " + std::to_string(r.number) + ", " +
                       to_hex(l_.sealed.back().hash) + ", the log has " + to_hex(r.hash));
    }

    /// Gives the sealed block its place.
    Result<void> restore(const storage::BlockSeal& r) {
        SealedBlock sealed;
        MILLRACE_TRY(sealed.header, evm::decode_header(r.header));
        sealed.hash = r.hash;
        if (closed_->block) {
            const FinishedPtr f =
                finish_block(std::move(*closed_->block), r.state_root, l_.trie_hash);
            if (f->block->hash != r.hash) {
                return damaged("re-executing block " + std::to_string(r.number) +
                               " gives another header than the log has");
            }
            MILLRACE_CHECK(l_.chain->append(f->stored));
            ++l_.report.blocks_restored;
        }
        l_.note_sealed(sealed, *l_.closed);
        l_.view->restore_version(r.number, l_.closed->sequence);
        return {};
    }

    Result<void> replay(const storage::DevEdit& r, uint64_t sequence) {
        if (closed_) { return damaged("an edit comes between the close of a block and its seal"); }
        MILLRACE_CHECK(take(sequence, r.post_values));
        // The edit came between mini-blocks; what is re-executed after it must see it.
        if (builder_open_) {
            MILLRACE_ASSERT(builder_.uncut_count() == 0, "replay cuts with every record");
            cells_.reset(l_.state->snapshot());
        }
        return {};
    }

    Result<void> replay(const storage::Revert& r, uint64_t sequence) {
        MILLRACE_CHECK(l_.state->apply(sequence, r.post_values));
        if (sequence > committed_) {
            MILLRACE_CHECK(l_.commitment->roll_back(r.to_block, r.post_values));
        }
        l_.closed_state = l_.state->snapshot();
        if (builder_open_) {
            builder_.discard();
            builder_open_ = false;
        }
        open_.reset();
        closed_.reset();
        l_.closed = nullptr;
        return_to(r);
        l_.forget_after(r.to_block);
        // A later revert that goes below this block has taken it from the chain data.
        if ((l_.sealed.empty() || l_.sealed.back().number != r.to_block) &&
            !survivors_.is_undone(r.to_block, sequence)) {
            MILLRACE_CHECK(note_from_chain(r.to_block));
        }
        l_.view->restore_version(r.to_block, sequence);
        l_.epoch = r.epoch;
        // More than 256 blocks may have been undone, and the builder knows no more.
        l_.load_block_hashes(builder_, r.to_block);
        return {};
    }

    /// A revert that goes below the checkpoint ends at a block that only the chain data knows.
    Result<void> note_from_chain(uint64_t number) {
        SealedBlock block;
        block.hash = l_.genesis.hash;
        block.header = l_.genesis.header;
        if (number != l_.genesis.header.number) {
            MILLRACE_TRY(const auto stored, l_.chain->block(number));
            MILLRACE_TRY(block.header, evm::decode_header(stored->header));
            block.hash = stored->hash;
        }
        l_.note_sealed(block, *l_.close_now(number));
        // As after the revert itself: a checkpoint of it would have no seal after it in the log.
        l_.sealed_state = nullptr;
        return {};
    }

    Ledger::Impl& l_;
    const Survivors& survivors_;
    const uint64_t committed_;
    CellTable& cells_;
    BlockBuilder& builder_;
    std::unordered_map<uint64_t, Hash256> digests_;  ///< of mini-blocks that reverts return to
    bool begun_ = false;
    std::optional<OpenBlock> open_;
    bool builder_open_ = false;       ///< the open block is being re-executed
    std::optional<Unsealed> closed_;  ///< the block that waits for its seal
};

}  // namespace

Result<void> Ledger::Impl::open_commitment(const CommitmentKind& kind,
                                           const storage::CheckpointMetadata& from) {
    if (kind.type != CommitmentKind::Type::qmdb) {
        std::unique_ptr<storage::StateCommitment> in_memory =
            kind.type == CommitmentKind::Type::memory ? storage::make_memory_commitment()
                                                      : make_mpt_commitment(options.offload);
        storage::load_commitment(*in_memory, *state->snapshot());
        if (const Hash256 root = in_memory->root();
            root != from.state_root && kind.type == CommitmentKind::Type::mpt) {
            return damaged("the state root of the checkpoint at block " +
                           std::to_string(from.block_number) + " is " + to_hex(root) +
                           ", recorded is " + to_hex(from.state_root));
        }
        prover = account_prover(*in_memory);
        commitment = storage::make_volatile_commitment(std::move(in_memory));
        return {};
    }
    storage::qmdb::BlockCommitmentOptions engine;
    engine.hash = kind.hash;
    engine.step_writes_max = options.state_step_writes_max;
    engine.segment_bytes = options.state_segment_bytes;
    engine.history_blocks = options.state_history_blocks;
    engine.past_proof_bytes_max = options.past_proof_bytes_max;
    engine.chain = genesis.hash;
    if (options.housekeeping) {
        engine.care.rewrite = options.state_compaction;
        engine.care.scrub_bytes_per_s = options.state_scrub_bytes_per_s;
        engine.care.figures = state_files;
    }
    MILLRACE_TRY(commitment, storage::qmdb::open_block_commitment(fs, datadir->state_directory(),
                                                                  engine, make_writer()));
    if (commitment->committed()) { return {}; }
    if (from.sequence != 0) {
        return damaged("the state engine is empty, but there is a checkpoint at block " +
                       std::to_string(from.block_number));
    }
    // A new directory, or one whose making was interrupted.
    MILLRACE_CHECK(commitment->apply(genesis.state));
    MILLRACE_TRY(const Hash256 root, commitment->close(0, *state->snapshot()));
    if (root != genesis.header.state_root) {
        return fail(ErrorCode::config, "the genesis has the state root " +
                                           to_hex(genesis.header.state_root) + ", the commitment " +
                                           options.commitment + " gives " + to_hex(root));
    }
    return commitment->commit();
}

std::unique_ptr<storage::LogWriter> Ledger::Impl::make_writer() const {
    return options.plain_log_writer
               ? storage::make_pwrite_log_writer(
                     "log is written by pwrite and fdatasync, as the options ask")
               : storage::make_log_writer();
}

void Ledger::Impl::load_block_hashes(BlockBuilder& builder, uint64_t last) const {
    builder.clear_block_hashes();
    builder.add_block_hash(genesis.header.number, genesis.hash);
    for (uint64_t n = last >= 255 ? last - 255 : 0; n <= last; ++n) {
        if (const auto hash = chain->hash_of(n)) { builder.add_block_hash(n, *hash); }
    }
}

Result<void> Ledger::Impl::recover(Ledger& self) {
    MILLRACE_TRY(const CommitmentKind kind, parse_commitment(options.commitment));
    MILLRACE_CHECK(check_commitment(kind, genesis.spec));
    commitment_kind = kind;
    MILLRACE_TRY(storage::DataDir directory,
                 storage::DataDir::open(fs, options.path,
                                        {genesis.spec.rules.chain_id, genesis.hash,
                                         rules_digest(genesis), options.commitment}));
    datadir.emplace(std::move(directory));
    report.created = datadir->created();

    storage::StateStoreOptions state_options;
    state_options.window_deltas = options.history_records;
    state = storage::make_memory_state_store(state_options);
    MILLRACE_TRY(chain,
                 storage::ChainStore::open(fs, datadir->chain_directory(),
                                           {.block_bytes_max = options.stored_block_bytes_max}));

    MILLRACE_TRY(const auto loaded,
                 storage::load_checkpoint(fs, datadir->checkpoint_directory(), *state));
    storage::CheckpointMetadata from;
    if (loaded) {
        from = loaded->metadata;
        report.warning = loaded->warning;
        report.checkpoint_block = from.block_number;
    } else {
        MILLRACE_CHECK(state->restore_part(genesis.state));
        MILLRACE_CHECK(state->finish_restore(0));
        from.block_hash = genesis.hash;
        from.state_root = genesis.header.state_root;
    }
    MILLRACE_CHECK(open_commitment(kind, from));

    storage::WalOptions wal_options;
    wal_options.chain_id = genesis.spec.rules.chain_id;
    wal_options.segment_bytes = options.wal_segment_bytes;
    wal_options.checkpoint_sequence = from.sequence;
    wal_options.record_bytes_max = options.wal_record_bytes_max;
    auto writer = make_writer();
    report.log_writer = std::string(writer->kind()) + ": " + writer->reason();
    MILLRACE_TRY(wal,
                 storage::Wal::open(fs, datadir->wal_directory(), wal_options, std::move(writer)));
    report.torn_bytes = wal->recovery().torn_bytes;
    epoch = std::max<uint64_t>({1, from.epoch, wal->recovery().last_epoch});

    // The chain data is written after the log is durable, so it can only be ahead of a log that was
    // kept without waiting for the disk; then the log decides.
    view = std::make_unique<ChainView>(*chain, *state);
    auto genesis_block = std::make_shared<SealedBlock>();
    genesis_block->header = genesis.header;
    genesis_block->hash = genesis.hash;
    next_mini_block = from.mini_block_number + 1;
    last_digest = from.mini_block_digest;
    checkpoint_sequence = from.sequence;
    sealed.push_back({from.block_number, from.block_hash, from.state_root, from.sequence,
                      next_mini_block, last_digest});
    view->restore_version(from.block_number, from.sequence);

    CellTable cells{state->snapshot()};
    BlockBuilder builder{genesis.spec, precompiles, cells};
    load_block_hashes(builder, from.block_number);
    closed_state = state->snapshot();
    Survivors survivors{from};
    MILLRACE_CHECK(
        wal->replay(wal->first_sequence(), [&](const storage::RecordInfo& info, ByteView payload) {
            return survivors.read(info, payload);
        }));
    MILLRACE_TRY(const uint64_t committed,
                 committed_until(commitment->committed(), survivors, *chain, from));
    Replay replay{*this, survivors, committed, cells, builder};
    MILLRACE_CHECK(
        wal->replay(wal->first_sequence(), [&](const storage::RecordInfo& info, ByteView payload) {
            return replay.apply(info, payload, info.sequence <= from.sequence);
        }));
    replay.begin();

    const uint64_t last_sealed = sealed.back().number;
    if (chain->last_number().value_or(0) > last_sealed) {
        MILLRACE_CHECK(chain->truncate_after(last_sealed));
    }
    view->publish_genesis(genesis_block, 0);
    if (last_sealed != genesis.header.number) {
        const auto stored = chain->block(last_sealed);
        if (!stored) {
            return damaged("the chain data lacks block " + std::to_string(last_sealed) + ": " +
                           stored.error().message);
        }
        MILLRACE_TRY(const SealedPtr head, from_stored(**stored));
        view->restore_head(head);
    }
    Sealer::Options sealing{
        options.before_root,    root_seconds,
        state_commit_seconds,   state_oldest_block,
        options.states_kept_us, [this] { return ending.load(std::memory_order_relaxed); },
        options.memory_guard};
    sealer = std::make_unique<Sealer>(std::move(commitment), trie_hash, std::move(sealing));
    MILLRACE_TRY(const FinishedPtr finished, replay.finish_closed());
    if (finished != nullptr) {
        MILLRACE_CHECK(self.append_seal(finished, replay.open_after(finished->block->hash)));
        report.sealed_open_block = true;
    }
    if (replay.open()) {
        // Its time and opening operations are part of the state: it is completed, empty or not.
        MILLRACE_CHECK(self.seal(builder.close()));
        report.sealed_open_block = true;
    }
    return {};
}

Result<std::unique_ptr<Ledger>> Ledger::open(storage::FileSystem& fs, const LedgerOptions& options,
                                             const Genesis& genesis,
                                             const evm::PrecompileSet& precompiles,
                                             metrics::Registry& metrics) {
    auto impl = std::make_unique<Impl>(fs, options, genesis, precompiles);
    impl->flush_seconds =
        &metrics.histogram("millrace_log_flush_seconds", "Time of one durable log flush");
    impl->root_seconds = &metrics.histogram("millrace_state_root_seconds",
                                            "Time to compute the state root of a block");
    impl->state_commit_seconds = &metrics.histogram(
        "millrace_state_commit_seconds", "Time to make a block durable in the state engine");
    impl->state_oldest_block = &metrics.gauge("millrace_state_oldest_block",
                                              "First block whose state the state engine keeps");
    impl->state_files = std::make_shared<storage::qmdb::FileCareFigures>(metrics);
    std::unique_ptr<Ledger> ledger{new Ledger(std::move(impl))};
    MILLRACE_CHECK(ledger->impl_->recover(*ledger));
    if (!options.housekeeping) { return ledger; }
    ledger->impl_->housekeeper =
        std::jthread([wal = ledger->impl_->wal.get()](const std::stop_token& stop) {
            set_thread_name("mr-housekeeper");
            std::mutex mutex;
            std::condition_variable_any wake;
            std::unique_lock lock(mutex);
            while (!stop.stop_requested()) {
                if (const auto r = wal->prepare_segment(); !r) {
                    log::debug("the log's next segment could not be prepared",
                               {{"reason", r.error().message}});
                }
                wake.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
            }
        });
    return ledger;
}

}  // namespace millrace::sequencer
