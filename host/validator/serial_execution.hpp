// SPDX-License-Identifier: Apache-2.0
// Owns the serial execution of a mini-block that writes down its access.
#pragma once

#include <expected>
#include <vector>

#include "evm/core/overlay.hpp"
#include "evm/core/transition.hpp"
#include "evm/tx/bloom_memo.hpp"
#include "host/validator/replay.hpp"
#include "net/sync/access_builder.hpp"

namespace millrace::validator {

/// A view that writes down what a transaction asks of another one. One thread.
class RecordingView final : public evm::StateView {
public:
    explicit RecordingView(evm::StateView& base) noexcept : base_(base) {}
    void clear() noexcept {
        reads_.clear();
        slot_reads_.clear();
    }
    const std::vector<sync::AccountRead>& reads() const noexcept { return reads_; }
    const std::vector<sync::SlotRead>& slot_reads() const noexcept { return slot_reads_; }

    bool account_exists(const Address& address) override;
    uint64_t nonce(const Address& address) override;
    U256 balance(const Address& address) override;
    bool balance_at_least(const Address& address, const U256& min) override;
    Hash256 code_hash(const Address& address) override;
    evm::CodePtr code(const Hash256& hash) override { return base_.code(hash); }
    U256 storage(const Address& address, const U256& key) override;
    bool has_storage(const Address& address) override { return base_.has_storage(address); }
    Hash256 block_hash(uint64_t number) override { return base_.block_hash(number); }

private:
    void note(const Address& address, uint8_t field);

    evm::StateView& base_;
    std::vector<sync::AccountRead> reads_;
    std::vector<sync::SlotRead> slot_reads_;
};

/// Executes transactions one after the other over `state`, which takes their changes, and makes the
/// access of the mini-block: for a node that has transactions but no access list, and as the
/// reference of a replay. From Cancun on. One thread.
class SerialExecution {
public:
    /// The references outlive the execution.
    SerialExecution(const ReplayBlock& block, const evm::PrecompileSet& precompiles,
                    evm::StateOverlay& state, evm::Workspace& workspace)
        : block_(block),
          precompiles_(precompiles),
          state_(state),
          workspace_(workspace),
          view_(state),
          gas_used_(block.gas_used_before) {}

    /// Executes and keeps a transaction, or says why it cannot be included (nothing changes).
    std::expected<void, evm::TxError> execute(const ReplayTransaction& transaction);
    const std::vector<evm::Receipt>& receipts() const noexcept { return receipts_; }
    /// What was executed since the last time, at least one transaction.
    void finish(sync::MiniBlockAccess& out);

private:
    const ReplayBlock& block_;
    const evm::PrecompileSet& precompiles_;
    evm::StateOverlay& state_;
    evm::Workspace& workspace_;
    RecordingView view_;
    sync::AccessBuilder builder_;
    evm::BloomMemo blooms_;
    std::vector<evm::Receipt> receipts_;
    std::vector<Hash256> hashes_;
    std::vector<sync::AccountWrite> writes_;
    std::vector<sync::SlotWrite> slot_writes_;
    uint64_t gas_used_;
};

}  // namespace millrace::validator
