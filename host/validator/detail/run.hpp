// SPDX-License-Identifier: Apache-2.0
// Owns the data of one replay: what is known before, what the transactions did, what they found.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "host/validator/detail/claims.hpp"
#include "host/validator/replay.hpp"

namespace millrace::validator::detail {

/// What one transaction did. Written by the thread that runs it, then read by all.
struct Record {
    struct Observation {
        uint32_t account;
        U256 balance;
    };
    struct Bound {
        uint32_t account;
        U256 min;
    };
    /// Last writers of what it read by value, balances apart.
    std::vector<uint32_t> writers;
    /// Balances that it read by value, by account, each once.
    std::vector<Observation> observations;
    /// Bounds that could not be decided when they were asked (ReplayWay::by_dependencies).
    std::vector<Bound> bounds;
    evm::Receipt receipt;
    std::optional<ReplayFault> fault;

    void clear() noexcept;
    /// Null when the balance was not read by value.
    const Observation* observation(uint32_t account) const noexcept;
};

/// The claimed post-values or, place by place, those that were computed.
struct ComputedValues {
    std::vector<uint64_t> nonces;
    std::vector<U256> balance_deltas;  ///< modulo 2^256
    std::vector<Hash256> code_hashes;
    std::vector<evm::CodePtr> codes;
    std::vector<U256> slots;
};

/// Shared by the threads of a replay. What a thread writes during a step is its transaction's
/// record, the places of its transaction's changes, and the marks of reads.
struct Run {
    ReplayWay way = ReplayWay::by_values;
    const ReplayBlock* block = nullptr;
    std::span<const ReplayTransaction> transactions;
    const PreState* pre_state = nullptr;

    Claims claims;
    std::vector<PreAccount> pre_accounts;
    std::vector<U256> pre_slots;
    std::vector<Hash256> claimed_code_hashes;
    std::vector<uint64_t> gas_before;  ///< in the block, by the claims; one more than transactions
    ComputedValues computed;
    std::vector<Record> records;
    /// Claimed reads that were made: bits of AccountField, and slots by number.
    std::vector<uint8_t> account_marks;
    std::vector<uint8_t> slot_marks;
    /// The lowest transaction at fault so far, or the count of transactions.
    std::atomic<uint32_t> first_fault{0};

    uint32_t count() const noexcept { return static_cast<uint32_t>(transactions.size()); }
    const sync::MiniBlockAccess& access() const noexcept { return claims.access(); }
    void note_fault(uint32_t transaction) noexcept;
    /// Sets a mark that other threads may be setting too.
    static void mark(uint8_t& marks, uint8_t bit) noexcept;
    /// Sizes everything for the transactions and claims at hand.
    void reset();
};

}  // namespace millrace::validator::detail
