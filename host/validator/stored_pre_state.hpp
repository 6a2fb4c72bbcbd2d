// SPDX-License-Identifier: Apache-2.0
// Owns the state before a mini-block where a store holds it whole.
#pragma once

#include <functional>
#include <memory>

#include "host/validator/pre_state.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::validator {

/// A snapshot of the store; hashes of ancestors come from a function that any thread may call.
class StoredPreState final : public PreState {
public:
    using BlockHashes = std::function<std::optional<Hash256>(uint64_t)>;
    StoredPreState(std::shared_ptr<const storage::StateSnapshot> snapshot, BlockHashes block_hashes)
        : snapshot_(std::move(snapshot)), block_hashes_(std::move(block_hashes)) {}

    std::optional<PreAccount> account(const Address& address) const override {
        const auto a = snapshot_->account(address);
        if (a) { return PreAccount{a->nonce, a->balance, a->code_hash, a->incarnation}; }
        PreAccount absent;
        absent.incarnation = snapshot_->incarnation(address);
        return absent;
    }
    std::optional<U256> storage(const Address& address, const U256& key) const override {
        return snapshot_->slot(address, key);
    }
    std::optional<bool> has_storage(const Address& address) const override {
        return snapshot_->has_storage(address);
    }
    std::optional<Hash256> block_hash(uint64_t number) const override {
        return block_hashes_(number);
    }
    evm::CodePtr code(const Hash256& hash) const override { return snapshot_->code(hash); }

private:
    std::shared_ptr<const storage::StateSnapshot> snapshot_;
    BlockHashes block_hashes_;
};

}  // namespace millrace::validator
