// SPDX-License-Identifier: Apache-2.0
// Owns the first pass over a log.
#include "host/sequencer/ledger/survivors.hpp"

#include <algorithm>
#include <ranges>

#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"

namespace millrace::sequencer {

std::unexpected<Error> damaged(const std::string& what) {
    return fail(ErrorCode::corrupt,
                what +
                    ". The data directory does not agree with itself; restore it from a backup, or "
                    "start with an empty one if its content may be lost");
}

Survivors::Survivors(const storage::CheckpointMetadata& from)
    : from_sequence_(from.sequence), base_(from.block_number) {
    positions_.push_back({from.block_number, from.state_root, from.sequence});
}

Result<void> Survivors::read(const storage::RecordInfo& info, ByteView payload) {
    if (info.kind == storage::RecordKind::block_close && !blocks_.empty()) {
        blocks_.back().closed_at = info.sequence;
    }
    if (info.kind == storage::RecordKind::mini_block ||
        info.kind == storage::RecordKind::block_close ||
        info.kind == storage::RecordKind::dev_edit) {
        return {};
    }
    MILLRACE_TRY(const storage::Record record, storage::decode_record(info.kind, payload));
    if (const auto* open = std::get_if<storage::BlockOpen>(&record)) {
        blocks_.push_back({open->number, info.sequence, std::nullopt, {}, 0});
    } else if (const auto* seal = std::get_if<storage::BlockSeal>(&record)) {
        // The block after it may be open already.
        const auto sealed = std::find_if(blocks_.rbegin(), blocks_.rend(),
                                         [&](const Block& b) { return b.number == seal->number; });
        if (sealed != blocks_.rend()) {
            sealed->hash = seal->hash;
            sealed->state_root = seal->state_root;
            positions_.push_back({sealed->number, sealed->state_root, sealed->closed_at});
        }
    } else if (const auto* revert = std::get_if<storage::Revert>(&record)) {
        while (!blocks_.empty() && blocks_.back().number > revert->to_block) {
            const Block& b = blocks_.back();
            if (b.hash) { undone_.push_back({b.number, *b.hash}); }
            blocks_.pop_back();
        }
        positions_.push_back(
            {revert->to_block,
             blocks_.empty() ? std::nullopt : std::optional{blocks_.back().state_root},
             info.sequence});
        reverts_.push_back({info.sequence, revert->to_block});
        if (info.sequence > from_sequence_) { base_ = std::min(base_, revert->to_block); }
        revert_targets_.insert(revert->to_mini_block);
    }
    return {};
}

const Survivors::Block* Survivors::find(uint64_t sequence) const {
    const auto it = std::ranges::lower_bound(blocks_, sequence, {}, &Block::sequence);
    return it != blocks_.end() && it->sequence == sequence ? &*it : nullptr;
}

bool Survivors::is_undone(uint64_t number, uint64_t sequence) const noexcept {
    return std::ranges::any_of(
        reverts_, [&](const Undoing& r) { return r.sequence > sequence && r.to_block < number; });
}

bool Survivors::was_undone(uint64_t number, const Hash256& hash) const noexcept {
    return std::ranges::any_of(
        undone_, [&](const UndoneBlock& b) { return b.number == number && b.hash == hash; });
}

uint64_t Survivors::last_sealed() const noexcept {
    const auto sealed = std::ranges::find_if(std::views::reverse(blocks_),
                                             [](const Block& b) { return b.hash.has_value(); });
    return sealed != blocks_.rend() ? std::max(sealed->number, base_) : base_;
}

Result<std::optional<uint64_t>> Survivors::position(const storage::CommittedBlock& committed,
                                                    const storage::ChainStore& chain) const {
    // The same place may be reached more than once, and from different courses of events.
    for (const Position& p : std::views::reverse(positions_)) {
        if (p.number != committed.number) { continue; }
        std::optional<Hash256> root = p.root;
        if (!root && p.number == 0) { return p.sequence; }  // the genesis is always the same
        if (!root) {
            const auto stored = chain.block(p.number);
            if (!stored) { continue; }
            MILLRACE_TRY(const evm::BlockHeader header, evm::decode_header((*stored)->header));
            root = header.state_root;
        }
        if (*root == committed.root) { return p.sequence; }
    }
    return std::nullopt;
}

Result<uint64_t> committed_until(const std::optional<storage::CommittedBlock>& committed,
                                 const Survivors& survivors, const storage::ChainStore& chain,
                                 const storage::CheckpointMetadata& from) {
    if (!committed) { return from.sequence; }
    MILLRACE_TRY(const auto position, survivors.position(*committed, chain));
    if (position && *position >= from.sequence) { return *position; }
    const std::string what = "the state engine is at block " + std::to_string(committed->number) +
                             " with the state root " + to_hex(committed->root) + ", ";
    const uint64_t last = survivors.last_sealed();
    if (committed->number < from.block_number) {
        return damaged(what + "behind the checkpoint at block " +
                       std::to_string(from.block_number) + ": it is an older copy");
    }
    if (committed->number > last) {
        return damaged(what + "ahead of the log, whose last block is " + std::to_string(last) +
                       ": the log is an older copy");
    }
    return damaged(what + "which is none of this chain's: the log or the state engine is from "
                          "another course of events");
}

}  // namespace millrace::sequencer
