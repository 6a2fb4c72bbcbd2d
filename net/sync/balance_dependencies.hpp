// SPDX-License-Identifier: Apache-2.0
// Owns the rule that says what a transaction depends on that reads a balance by value.
#pragma once

#include <cstdint>

#include "net/sync/mini_block_access.hpp"

namespace millrace::sync {

/// Credits and bounded debits commute, so a balance has no last writer: whoever reads it needs
/// every change so far. If each reader named them all, many changes followed by many readers would
/// make a list of quadratic length. So now and then a reader becomes the anchor of those after it:
/// it has waited for all that came before, and they need it and what has changed since. That holds
/// for a reader that changes the balance itself, and for one that found more than
/// `balance_changes_apart` changes since the last anchor. A reader names at most the anchor and
/// that many changes, or else changes that nobody after it names: the list grows linearly. Readers
/// among few changes stay independent of each other.
///
/// One object per account, over the account's list of balance changes; calls are made in the order
/// of the transactions.
class BalanceDependencies {
public:
    static constexpr uint32_t balance_changes_apart = 16;

    /// `transaction` reads the balance; `changes_before` changes were made by transactions before
    /// it, and `position(k)` gives the transaction of the k-th. Calls `add` for each transaction
    /// that it depends on. To be called once for each reader.
    template <class Position, class Add>
    void read(uint32_t transaction, uint32_t changes_before, Position&& position, Add&& add) {
        if (anchor_ != before_mini_block) { add(anchor_); }
        for (uint32_t k = pending_from_; k < changes_before; ++k) { add(position(k)); }
        if (changes_before - pending_from_ > balance_changes_apart) {
            anchor_ = transaction;
            pending_from_ = changes_before;
        }
        last_reader_ = transaction;
    }
    /// `transaction` changes the balance, which then has `changes` changes. After its read().
    void change(uint32_t transaction, uint32_t changes) noexcept {
        if (last_reader_ == transaction) {
            anchor_ = transaction;
            pending_from_ = changes;
        }
    }
    /// How many of `changes` changes a reader would name.
    uint32_t pending(uint32_t changes) const noexcept { return changes - pending_from_; }
    /// Whether `transaction` was the last that read the balance by value.
    bool was_read_by(uint32_t transaction) const noexcept { return last_reader_ == transaction; }

private:
    uint32_t anchor_ = before_mini_block;
    uint32_t last_reader_ = before_mini_block;
    uint32_t pending_from_ = 0;
};

}  // namespace millrace::sync
