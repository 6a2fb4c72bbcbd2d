// SPDX-License-Identifier: Apache-2.0
// Owns the order of durability: log first, then state and chain data, then publication.
#include "host/sequencer/ledger/ledger.hpp"

#include <atomic>
#include <future>
#include <thread>

#include "host/base/hex.hpp"
#include "host/base/log.hpp"
#include "host/base/thread.hpp"
#include "host/sequencer/ledger/ledger_impl.hpp"
#include "host/sequencer/ledger/mpt_commitment.hpp"

namespace millrace::sequencer {

Result<uint64_t> Ledger::Impl::append(const storage::Record& record,
                                      std::shared_ptr<const storage::StateDelta> post_values,
                                      std::function<Result<void>(uint64_t)> publish) {
    encoded.clear();
    storage::encode_record(record, encoded);
    return append(storage::kind_of(record), encoded, std::move(post_values), std::move(publish));
}

Result<uint64_t> Ledger::Impl::append(storage::RecordKind kind, ByteView payload,
                                      std::shared_ptr<const storage::StateDelta> post_values,
                                      std::function<Result<void>(uint64_t)> publish) {
    // The log must not run away from a commitment that failed.
    MILLRACE_CHECK(sealer->status());
    auto sequence = wal->append(epoch, kind, payload);
    if (!sequence && sequence.error().code == ErrorCode::limit && !pending.empty()) {
        MILLRACE_CHECK(flush());  // the group was full
        sequence = wal->append(epoch, kind, payload);
    }
    if (!sequence) {
        // Alone in its group, a refusal for size is final: waiting for room would not help.
        const bool too_long = sequence.error().code == ErrorCode::limit;
        return fail(too_long ? ErrorCode::io : sequence.error().code, sequence.error().message);
    }
    if (post_values != nullptr) { sealer->apply(std::move(post_values)); }
    pending.push_back({*sequence, std::move(publish)});
    return *sequence;
}

Result<void> Ledger::Impl::flush() {
    if (!pending.empty()) {
        const int64_t start = clock.steady_us();
        MILLRACE_CHECK(wal->flush(options.durable ? storage::FlushMode::durable
                                                  : storage::FlushMode::written));
        flush_seconds->observe_us(static_cast<uint64_t>(clock.steady_us() - start));
        flushed.insert(flushed.end(), std::make_move_iterator(pending.begin()),
                       std::make_move_iterator(pending.end()));
        pending.clear();
    }
    // What a full disk keeps from being published stays for the next call.
    while (!flushed.empty()) {
        MILLRACE_CHECK(flushed.front().publish(flushed.front().sequence));
        flushed.pop_front();
    }
    return {};
}

Result<void> Ledger::append_open(const OpenBlock& open, const storage::StateDelta& post_values) {
    const storage::BlockOpen record{
        open.number,          open.timestamp_s, open.parent_hash, open.base_fee_per_gas,
        open.gas_limit,       open.coinbase,    open.prev_randao, open.parent_beacon_block_root,
        open.parent_promised, post_values};
    const auto delta = std::make_shared<const storage::StateDelta>(post_values);
    auto r = impl_->append(record, delta, [this, open, delta](uint64_t sequence) -> Result<void> {
        MILLRACE_CHECK(impl_->state->apply(sequence, *delta));
        impl_->view->publish_open(open);
        return {};
    });
    return r ? Result<void>{} : std::unexpected(r.error());
}

Result<void> Ledger::append_mini_block(const MiniBlockPtr& m, const AccessLog& accesses) {
    const auto recorded = impl_->recorder.record(
        {impl_->genesis.spec.rules.chain_id, impl_->epoch, impl_->last_digest}, *m, accesses);
    // What is too long for the log stays too long: waiting for room would not help.
    if (!recorded) { return fail(ErrorCode::io, recorded.error().message); }
    const Hash256 digest = recorded->digest;
    const std::shared_ptr<const storage::StateDelta> delta{m, &m->post_values};
    MILLRACE_CHECK(impl_->append(storage::RecordKind::mini_block, recorded->payload, delta,
                                 [this, m](uint64_t sequence) -> Result<void> {
                                     MILLRACE_CHECK(impl_->state->apply(sequence, m->post_values));
                                     impl_->view->publish_mini_block(m);
                                     return {};
                                 }));
    impl_->last_digest = digest;
    impl_->next_mini_block = m->number + 1;
    return {};
}

Result<void> Ledger::append_dev_edit(std::string_view kind,
                                     const storage::StateDelta& post_values) {
    const storage::DevEdit record{std::string(kind), post_values};
    const auto delta = std::make_shared<const storage::StateDelta>(post_values);
    auto r = impl_->append(record, delta, [this, delta](uint64_t sequence) {
        return impl_->state->apply(sequence, *delta);
    });
    return r ? Result<void>{} : std::unexpected(r.error());
}

Result<void> Ledger::flush() { return impl_->flush(); }

Result<void> Ledger::append_close(ClosedBlock& block, FinishedDone done) {
    MILLRACE_ASSERT(impl_->closed == nullptr, "one block at a time waits for its seal");
    const storage::BlockClose record{block.open.number, block.post_values};
    const auto delta = std::make_shared<const storage::StateDelta>(block.post_values);
    auto closed = std::make_shared<Impl::Closed>(
        Impl::Closed{block.open.number, impl_->next_mini_block, impl_->last_digest, 0, nullptr});
    MILLRACE_CHECK(
        impl_->append(record, delta, [this, closed, delta](uint64_t sequence) -> Result<void> {
            MILLRACE_CHECK(impl_->state->apply(sequence, *delta));
            closed->sequence = sequence;
            closed->state = impl_->state->snapshot();
            impl_->closed_state = closed->state;
            impl_->view->publish_closed();
            return {};
        }));
    impl_->closed = std::move(closed);
    // The close of the block before was published with its seal.
    impl_->sealer->close(std::move(block), impl_->closed_state, std::move(done));
    return {};
}

Result<void> Ledger::append_seal(const FinishedPtr& block, const storage::StateDelta& opening) {
    const SealedBlock& b = *block->block;
    MILLRACE_ASSERT(impl_->closed != nullptr && impl_->closed->number == b.header.number,
                    "a block is sealed after it was closed");
    const storage::BlockSeal record{b.header.number, b.hash, evm::encode_header(b.header),
                                    b.header.state_root, opening};
    const auto delta = std::make_shared<const storage::StateDelta>(opening);
    // A full disk is waited for here: the block is complete, and what follows it in the log needs
    // it.
    MILLRACE_CHECK(impl_->room.repeat("seal the block", [&]() -> Result<void> {
        auto r = impl_->append(
            record, delta,
            [this, block, delta, closed = impl_->closed](uint64_t sequence) -> Result<void> {
                // The chain data first: it may meet a full disk, and then all of this is repeated.
                MILLRACE_CHECK(impl_->chain->append(block->stored));
                MILLRACE_CHECK(impl_->state->apply(sequence, *delta));
                impl_->note_sealed(*block->block, *closed);
                impl_->view->publish_sealed(block->block, closed->sequence);
                return {};
            });
        return r ? Result<void>{} : std::unexpected(r.error());
    }));
    impl_->closed = nullptr;
    MILLRACE_CHECK(impl_->room.repeat("seal the block", [&]() -> Result<void> {
        MILLRACE_CHECK(impl_->flush());
        // The commitment must not be ahead of the log, also when receipts did not wait for the
        // disk.
        if (!impl_->options.durable) {
            MILLRACE_CHECK(impl_->wal->flush(storage::FlushMode::durable));
        }
        return {};
    }));
    impl_->sealer->commit();
    return {};
}

Result<SealedPtr> Ledger::seal(ClosedBlock block) {
    auto promise = std::make_shared<std::promise<Result<FinishedPtr>>>();
    auto finished = promise->get_future();
    MILLRACE_CHECK(impl_->room.repeat("seal the block", [&] {
        return append_close(block,
                            [promise](const Result<FinishedPtr>& f) { promise->set_value(f); });
    }));
    MILLRACE_TRY(const FinishedPtr f, finished.get());
    MILLRACE_CHECK(append_seal(f, {}));
    return f->block;
}

void Ledger::settle() { impl_->sealer->settle(); }

Result<SealedPtr> Ledger::revert_to(uint64_t block_number) {
    Impl& l = *impl_;
    MILLRACE_ASSERT(l.closed == nullptr, "what is closed is sealed before a revert");
    MILLRACE_CHECK(l.room.repeat("revert", [&] { return l.flush(); }));
    MILLRACE_TRY(const SealedPtr kept, l.view->sealed(block_number));
    if (kept == nullptr) {
        return fail(ErrorCode::not_found,
                    "there is no sealed block " + std::to_string(block_number));
    }
    MILLRACE_TRY(const auto snapshot, l.view->state_after(block_number));
    l.sealer->settle();
    MILLRACE_CHECK(l.sealer->status());
    if (block_number < l.sealer->oldest_block()) {
        return fail(ErrorCode::unavailable, "the state engine keeps no block before " +
                                                std::to_string(l.sealer->oldest_block()) +
                                                " to go back to");
    }
    std::vector<SealedPtr> undone;
    const uint64_t last = l.view->head()->header.number;
    for (uint64_t n = block_number + 1; n <= last; ++n) {
        MILLRACE_TRY(SealedPtr b, l.view->sealed(n));
        undone.push_back(std::move(b));
    }
    storage::Revert record;
    record.to_block = block_number;
    const auto cut = l.cut_after(block_number);
    record.to_mini_block = cut.next_mini_block - 1;
    record.epoch = l.epoch + 1;
    MILLRACE_TRY(record.post_values, l.state->revert_delta(snapshot->version()));
    Bytes encoded;
    storage::encode_record(record, encoded);
    if (encoded.size() > l.options.wal_record_bytes_max) {
        return fail(ErrorCode::invalid_input,
                    "the revert to block " + std::to_string(block_number) +
                        " changes too much at once: " + std::to_string(encoded.size()) +
                        " bytes, at most " + std::to_string(l.options.wal_record_bytes_max) +
                        "; revert to a later snapshot first");
    }
    l.epoch = record.epoch;
    // By value: on a full disk the record may be published by a later flush.
    const auto delta = std::make_shared<const storage::StateDelta>(record.post_values);
    const auto appended =
        l.append(record, nullptr,
                 [&l, delta, kept, undone, block_number](uint64_t sequence) -> Result<void> {
                     // Neither may go back before the log durably says so.
                     if (!l.options.durable) {
                         MILLRACE_CHECK(l.wal->flush(storage::FlushMode::durable));
                     }
                     // The commitment before the chain data, which say what root it has gone back
                     // to.
                     MILLRACE_CHECK(l.sealer->roll_back(block_number, delta));
                     if (!undone.empty()) { MILLRACE_CHECK(l.chain->truncate_after(block_number)); }
                     MILLRACE_CHECK(l.state->apply(sequence, *delta));
                     l.forget_after(block_number);
                     l.closed_state = l.state->snapshot();
                     l.view->publish_reverted(kept, sequence, undone);
                     return {};
                 });
    l.next_mini_block = cut.next_mini_block;
    l.last_digest = cut.digest;
    const Result<void> done = appended ? l.room.repeat("revert", [&] { return l.flush(); })
                                       : std::unexpected(appended.error());
    if (done) { return kept; }
    // The epoch has begun: whatever the reason, there is no way back.
    const bool known =
        done.error().code == ErrorCode::limit || done.error().code == ErrorCode::corrupt;
    return fail(known ? done.error().code : ErrorCode::io, done.error().message);
}

Result<void> Ledger::checkpoint(bool now) {
    Impl& l = *impl_;
    const uint64_t records = l.wal->last_sequence() - l.checkpoint_sequence;
    const bool due =
        l.options.checkpoint_every_records != 0 && records >= l.options.checkpoint_every_records;
    if ((!due && !now) || l.sealed.empty()) { return {}; }
    if (l.background.joinable()) {
        // Relaxed would do: joining is what synchronises.
        if (!now && l.background_busy.load(std::memory_order_acquire)) { return {}; }
        l.background.join();
    }
    const Impl::SealedNote& note = l.sealed.back();
    // A revert leaves no state to write: the next seal will.
    if (l.sealed_state == nullptr) { return {}; }
    // From a checkpoint on the log need not have what the commitment lacks. It has just been told
    // to commit the block; no root is under way, so the wait is for one flush.
    if (now || !l.sealer->has_durably(note.number)) {
        l.sealer->settle();
        MILLRACE_CHECK(l.sealer->status());
    }
    if (!l.sealer->has_durably(note.number)) { return {}; }
    // A checkpoint must not be ahead of the log that it lets be pruned, also when receipts did not
    // wait for the disk.
    MILLRACE_CHECK(l.wal->flush(storage::FlushMode::durable));
    MILLRACE_CHECK(l.chain->sync());
    storage::CheckpointMetadata metadata;
    metadata.sequence = note.sequence;
    metadata.mini_block_number = note.next_mini_block - 1;
    metadata.mini_block_digest = note.digest;
    metadata.block_number = note.number;
    metadata.block_hash = note.hash;
    metadata.state_root = note.state_root;
    metadata.epoch = l.epoch;
    auto work = [&l, metadata, snapshot = l.sealed_state]() -> Result<void> {
        MILLRACE_CHECK(storage::write_checkpoint(l.fs, l.datadir->checkpoint_directory(), *snapshot,
                                                 metadata));
        MILLRACE_TRY(const uint64_t oldest,
                     storage::oldest_checkpoint_sequence(l.fs, l.datadir->checkpoint_directory()));
        MILLRACE_TRY(const size_t pruned, l.wal->prune_below(oldest + 1));
        log::info("checkpoint",
                  {{"block", metadata.block_number}, {"log_segments_removed", pruned}});
        return {};
    };
    l.checkpoint_sequence = note.sequence;
    l.sealer->prune();
    if (now) { return work(); }
    l.background_busy.store(true, std::memory_order_release);
    l.background = std::jthread([&l, work = std::move(work)] {
        set_thread_name("mr-checkpoint");
        if (const auto r = work(); !r) {
            log::warn("checkpoint failed; the log keeps everything",
                      {{"reason", r.error().message}});
        }
        l.background_busy.store(false, std::memory_order_release);
    });
    return {};
}

std::shared_ptr<Ledger::Impl::Closed> Ledger::Impl::close_now(uint64_t number) const {
    return std::make_shared<Closed>(
        Closed{number, next_mini_block, last_digest, state->version(), state->snapshot()});
}

void Ledger::Impl::note_sealed(const SealedBlock& block, const Closed& c) {
    sealed.push_back({block.header.number, block.hash, block.header.state_root, c.sequence,
                      c.next_mini_block, c.digest});
    sealed_state = c.state;
    if (sealed.size() > sealed_notes_max) { sealed.pop_front(); }
}

Ledger::Impl::Cut Ledger::Impl::cut_after(uint64_t block_number) const {
    for (auto it = sealed.rbegin(); it != sealed.rend(); ++it) {
        if (it->number == block_number) { return {it->next_mini_block, it->digest}; }
    }
    return {1, Hash256{}};
}

void Ledger::Impl::forget_after(uint64_t block_number) {
    while (!sealed.empty() && sealed.back().number > block_number) { sealed.pop_back(); }
    sealed_state = nullptr;
}

Ledger::Ledger(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Ledger::~Ledger() = default;
ChainView& Ledger::view() noexcept { return *impl_->view; }
const RecoveryReport& Ledger::recovery() const noexcept { return impl_->report; }
storage::StateStore& Ledger::state() noexcept { return *impl_->state; }
uint64_t Ledger::next_mini_block_number() const noexcept { return impl_->next_mini_block; }
uint64_t Ledger::epoch() const noexcept { return impl_->epoch; }
bool Ledger::disk_full() const noexcept { return impl_->room.full() || impl_->sealer->disk_full(); }
size_t Ledger::waiting_for_root() const noexcept { return impl_->sealer->waiting(); }
bool Ledger::proves_accounts() const noexcept { return impl_->prover != nullptr; }

Result<evm::Proof> Ledger::prove_account(const SealedBlock& block, const Address& address,
                                         std::vector<U256> slots) {
    // They wait in the ring of the changes of the state, and each takes some of its thread's time.
    constexpr unsigned under_way_max = 16;
    constexpr auto wait_max = std::chrono::seconds(5);
    Impl& l = *impl_;
    if (l.prover == nullptr) {
        return fail(ErrorCode::unavailable, "this commitment has no proofs of accounts");
    }
    auto state = l.view->state_after(block.header.number);
    if (!state) { return fail(ErrorCode::unavailable, state.error().message); }
    struct UnderWay {
        std::atomic<unsigned>& count;
        // Relaxed: a count of its own.
        explicit UnderWay(std::atomic<unsigned>& c) : count(c) {
            before = count.fetch_add(1, std::memory_order_relaxed);
        }
        ~UnderWay() { count.fetch_sub(1, std::memory_order_relaxed); }
        unsigned before;
    };
    const UnderWay under_way{l.proofs_under_way};
    if (under_way.before >= under_way_max) {
        return fail(ErrorCode::limit, "too many proofs are under way; try again");
    }
    // Shared: the work may outlast the wait.
    auto promise = std::make_shared<std::promise<Result<evm::Proof>>>();
    auto proof = promise->get_future();
    const bool taken =
        l.sealer->try_run([&prover = *l.prover, promise, state = *std::move(state),
                           root = block.header.state_root, address, slots = std::move(slots)] {
            promise->set_value(prover.prove(root, *state, address, slots));
        });
    promise.reset();
    if (!taken) { return fail(ErrorCode::limit, "too many changes of the state are under way"); }
    if (proof.wait_for(wait_max) != std::future_status::ready) {
        return fail(ErrorCode::timeout, "the state trie is busy for long; try again");
    }
    try {
        return proof.get();
    } catch (const std::future_error&) {
        return fail(ErrorCode::unavailable, "the node is stopping");
    }
}

const CommitmentKind& Ledger::commitment_kind() const noexcept { return impl_->commitment_kind; }
Result<storage::CommittedStatesPtr> Ledger::committed_states(uint64_t block) {
    return impl_->sealer->states(block);
}
void Ledger::end_waiting() noexcept { impl_->ending.store(true, std::memory_order_relaxed); }

std::vector<std::pair<uint64_t, Hash256>> Ledger::recent_block_hashes() const {
    std::vector<std::pair<uint64_t, Hash256>> out;
    const SealedPtr head = impl_->view->head();
    const uint64_t last = head->header.number;
    const uint64_t first = last >= 255 ? last - 255 : 0;
    for (uint64_t n = first; n <= last; ++n) {
        if (const auto b = impl_->view->sealed(n); b && *b != nullptr) {
            out.emplace_back(n, (*b)->hash);
        }
    }
    return out;
}

}  // namespace millrace::sequencer
