// SPDX-License-Identifier: Apache-2.0
// Owns what only development nodes do: snapshots, time travel, mining on demand, direct edits.
#include <algorithm>
#include <limits>

#include "host/base/hex.hpp"
#include "host/sequencer/sequencer_impl.hpp"

namespace millrace::sequencer {

Result<uint64_t> Sequencer::dev_snapshot() {
    return on_sequencer([this]() -> Result<uint64_t> {
        // A snapshot is a sealed block: whatever has happened since the last one is sealed first.
        if (changed_since_seal_) {
            MILLRACE_CHECK(seal_block());
            MILLRACE_CHECK(open_block());
        } else {
            // The last block may be closed and not durable yet.
            MILLRACE_CHECK(take_seal());
            MILLRACE_CHECK(commit_and_wait([](Ledger&) { return Result<void>{}; }));
        }
        if (snapshots_.size() >= 10'000) { snapshots_.erase(snapshots_.begin()); }
        snapshots_.emplace_back(next_snapshot_, head_->header.number);
        return next_snapshot_++;
    });
}

Result<bool> Sequencer::dev_revert(uint64_t id) {
    return on_sequencer([this, id]() -> Result<bool> {
        const auto it = std::find_if(snapshots_.begin(), snapshots_.end(),
                                     [&](const auto& s) { return s.first == id; });
        if (it == snapshots_.end()) { return false; }
        const uint64_t block_number = it->second;
        drain();
        pause_execution();
        auto kept = std::make_shared<SealedPtr>();
        // The open block is given up only afterwards: a revert that is refused leaves everything as
        // it is.
        const Result<void> reverted =
            commit_and_wait([block_number, kept](Ledger& l) -> Result<void> {
                MILLRACE_TRY(*kept, l.revert_to(block_number));
                return {};
            });
        if (!reverted) {
            // The end came while the disk was full, and the log may hold the revert.
            if (reverted.error().code == ErrorCode::limit) { fail_pipeline(); }
            resume_execution();
            return std::unexpected(reverted.error());
        }
        const std::vector<ExecutedPtr> uncut = builder_.discard();
        snapshots_.erase(it, snapshots_.end());
        head_ = *kept;
        cells_.reset(ledger_.state().snapshot());
        std::vector<AdmittedPtr> gone = pool_.clear();
        for (const ExecutedPtr& t : uncut) { gone.push_back(t->admitted); }
        pool_index_.clear();
        drop_all(gone, "removed by evm_revert");
        builder_.clear_block_hashes();
        for (const auto& [number, hash] : ledger_.recent_block_hashes()) {
            builder_.add_block_hash(number, hash);
        }
        next_mini_block_ = ledger_.next_mini_block_number();
        changed_since_seal_ = false;
        parent_ = Parent::of(*head_);
        MILLRACE_CHECK(open_block());
        return true;
    });
}

Result<uint64_t> Sequencer::dev_mine(uint64_t count, std::optional<uint64_t> timestamp_s,
                                     uint64_t interval_s) {
    return on_sequencer([this, count, timestamp_s, interval_s]() -> Result<uint64_t> {
        MILLRACE_CHECK(take_seal());
        const uint64_t first_s = timestamp_s.value_or(builder_.block().timestamp_s);
        if (interval_s != 0 && count > 1 &&
            (first_s > timestamp_s_max || (timestamp_s_max - first_s) / interval_s < count - 1)) {
            return fail(ErrorCode::invalid_input,
                        "the interval takes the last block's timestamp beyond " +
                            std::to_string(timestamp_s_max));
        }
        if (timestamp_s) {
            if (*timestamp_s <= head_->header.timestamp) {
                return fail(ErrorCode::invalid_input, "timestamp " + std::to_string(*timestamp_s) +
                                                          " is not after that of the last block, " +
                                                          std::to_string(head_->header.timestamp));
            }
            if (*timestamp_s < builder_.block().timestamp_s) {
                return fail(ErrorCode::invalid_input,
                            "timestamp " + std::to_string(*timestamp_s) +
                                " is before that of the open block, " +
                                std::to_string(builder_.block().timestamp_s));
            }
            if (*timestamp_s > timestamp_s_max) {
                return fail(ErrorCode::invalid_input, "timestamp is too large");
            }
            if (*timestamp_s != builder_.block().timestamp_s) {
                // The open block's time is fixed: it is completed, and a new one gets the wish.
                MILLRACE_CHECK(seal_block());
                next_timestamp_s_ = timestamp_s;
                MILLRACE_CHECK(open_block());
            }
        }
        execute_all_ready();
        for (uint64_t i = 0; i < count; ++i) {
            if (stopping_.load(std::memory_order_acquire)) {
                return fail(ErrorCode::unavailable, "the node is stopping");
            }
            const uint64_t sealed_at = builder_.block().timestamp_s;
            MILLRACE_CHECK(seal_block());
            if (interval_s != 0 && i + 1 < count) { next_timestamp_s_ = sealed_at + interval_s; }
            MILLRACE_CHECK(open_block());
        }
        return head_->header.number;
    });
}

Result<uint64_t> Sequencer::dev_increase_time(uint64_t seconds) {
    return on_sequencer([this, seconds]() -> Result<uint64_t> {
        const auto now_s = static_cast<uint64_t>(
            std::max<int64_t>(0, clock_.wall_us() / 1'000'000 + time_offset_s_));
        if (seconds > timestamp_s_max ||
            std::max(now_s, builder_.block().timestamp_s) + seconds > timestamp_s_max) {
            return fail(ErrorCode::invalid_input, "time offset is too large");
        }
        MILLRACE_CHECK(seal_block());
        // Block time may be ahead of the clock when blocks were mined on demand; the step is from
        // there.
        const auto wall_s = clock_.wall_us() / 1'000'000;
        const auto from_head = static_cast<int64_t>(head_->header.timestamp + seconds) - wall_s;
        time_offset_s_ = std::max(time_offset_s_ + static_cast<int64_t>(seconds), from_head);
        MILLRACE_CHECK(open_block());
        return static_cast<uint64_t>(time_offset_s_);
    });
}

Result<void> Sequencer::dev_set_next_timestamp(uint64_t timestamp_s) {
    return on_sequencer([this, timestamp_s]() -> Result<void> {
        // The open block keeps its time, so the wish must lie behind it.
        if (timestamp_s < builder_.block().timestamp_s) {
            return fail(ErrorCode::invalid_input, "timestamp " + std::to_string(timestamp_s) +
                                                      " is before that of the open block, " +
                                                      std::to_string(builder_.block().timestamp_s));
        }
        if (timestamp_s == builder_.block().timestamp_s) { return {}; }
        if (timestamp_s > timestamp_s_max) {
            return fail(ErrorCode::invalid_input, "timestamp is too large");
        }
        MILLRACE_CHECK(seal_block());
        time_offset_s_ = static_cast<int64_t>(timestamp_s) - clock_.wall_us() / 1'000'000;
        next_timestamp_s_ = timestamp_s;
        MILLRACE_CHECK(open_block());
        return {};
    });
}

Result<void> Sequencer::dev_edit(std::string_view kind, Edit edit) {
    return on_sequencer([this, kind = std::string(kind), edit = std::move(edit)]() -> Result<void> {
        drain();
        cut();
        pause_execution();
        Result<void> r = edit(cells_);
        if (const auto nobody = cells_.account_with_stray_storage(); r && nobody) {
            r = fail(ErrorCode::invalid_input, "account " + to_hex(*nobody) +
                                                   " does not exist and cannot have storage; give "
                                                   "it a balance, a nonce or code first");
        }
        storage::StateDelta delta;
        if (r) {
            delta = cells_.take_delta();
            changed_since_seal_ = true;
            r = commit_and_wait(
                [kind, delta](Ledger& l) { return l.append_dev_edit(kind, delta); });
        } else {
            // Nothing of a refused edit stays; what came before it must be in the store first.
            MILLRACE_CHECK(commit_and_wait([](Ledger&) { return Result<void>{}; }));
        }
        cells_.reset(ledger_.state().snapshot());
        for (const storage::AccountDelta& a : delta.accounts) {
            account_moved(a.address, cells_.account(a.address).merged.nonce);
        }
        resume_execution();
        return r;
    });
}

}  // namespace millrace::sequencer
