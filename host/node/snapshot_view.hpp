// SPDX-License-Identifier: Apache-2.0
// Owns the adapter that lets the EVM read a state snapshot.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "evm/core/state_view.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::node {

/// A state that a call or a read runs on.
class ReadView : public evm::StateView {
public:
    using BlockHashes = std::function<Hash256(uint64_t)>;
    /// The interface of the EVM has no errors. Where something could not be read this says why, and
    /// then nothing that came of the state may be used.
    virtual Result<void> status() const { return {}; }
};

/// A StateView over a pinned snapshot. Keeps the last account, because the EVM asks field by field.
class SnapshotView final : public ReadView {
public:
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
        if (promised_ && key == promised_->key && address == promised_->contract) {
            awaits_parent_ = true;
        }
        return snapshot_->slot(address, key);
    }
    bool has_storage(const Address& address) override { return snapshot_->has_storage(address); }
    Hash256 block_hash(uint64_t number) override {
        if (promised_ && number == promised_->parent) { awaits_parent_ = true; }
        return block_hashes_(number);
    }

    /// What a block that opened before its parent was sealed has yet to learn.
    struct Promised {
        uint64_t parent = 0;  ///< number
        Address contract;     ///< of EIP-2935, zero where there is none
        U256 key;             ///< its slot for the parent's hash
    };
    void promise(const Promised& promised) { promised_ = promised; }
    /// Something promised was read: what came of it is wrong, and right once the parent is sealed.
    bool awaits_parent() const noexcept { return awaits_parent_; }

private:
    const std::optional<storage::Account>& account(const Address& address);

    std::shared_ptr<const storage::StateSnapshot> snapshot_;
    BlockHashes block_hashes_;
    std::optional<Promised> promised_;
    bool awaits_parent_ = false;
    bool cached_ = false;
    Address cached_address_;
    std::optional<storage::Account> cached_account_;
};

}  // namespace millrace::node
