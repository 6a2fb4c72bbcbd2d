// SPDX-License-Identifier: Apache-2.0
// Owns the adapter that lets the EVM read a state snapshot.
#pragma once

#include <functional>
#include <memory>

#include "evm/core/state_view.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::node {

/// A StateView over a pinned snapshot. Keeps the last account, because the EVM asks field by field.
class SnapshotView final : public evm::StateView {
public:
    using BlockHashes = std::function<Hash256(uint64_t)>;
    SnapshotView(std::shared_ptr<const storage::StateSnapshot> snapshot, BlockHashes block_hashes)
        : snapshot_(std::move(snapshot)), block_hashes_(std::move(block_hashes)) {}

    bool account_exists(const Address& address) override { return account(address).has_value(); }
    uint64_t nonce(const Address& address) override;
    U256 balance(const Address& address) override;
    bool balance_at_least(const Address& address, const U256& min) override {
        return balance(address) >= min;
    }
    Hash256 code_hash(const Address& address) override;
    evm::CodePtr code(const Hash256& hash) override;
    U256 storage(const Address& address, const U256& key) override {
        return snapshot_->slot(address, key);
    }
    bool has_storage(const Address& address) override { return snapshot_->has_storage(address); }
    Hash256 block_hash(uint64_t number) override { return block_hashes_(number); }

private:
    const std::optional<storage::Account>& account(const Address& address);

    std::shared_ptr<const storage::StateSnapshot> snapshot_;
    BlockHashes block_hashes_;
    bool cached_ = false;
    Address cached_address_;
    std::optional<storage::Account> cached_account_;
};

}  // namespace millrace::node
