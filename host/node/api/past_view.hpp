// SPDX-License-Identifier: Apache-2.0
// Owns reading the state after an old block, out of the state engine.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "host/node/snapshot_view.hpp"
#include "storage/proof/state_leaf.hpp"
#include "storage/state/committed_states.hpp"

namespace millrace::node {

/// The state after a sealed block that the memory has no more. One thread.
class PastView final : public ReadView {
public:
    struct Source {
        storage::CommittedStatesPtr states;
        uint64_t block = 0;
        /// The newest state: code is never forgotten.
        std::shared_ptr<const storage::StateSnapshot> newest;
        /// How many entries of the log all reads together may cost.
        uint64_t budget = 0;
    };
    PastView(Source source, BlockHashes block_hashes)
        : source_(std::move(source)), block_hashes_(std::move(block_hashes)) {}

    Result<void> status() const override {
        return failed_ ? std::unexpected(*failed_) : Result<void>{};
    }

    bool account_exists(const Address& address) override { return account(address).has_value(); }
    uint64_t nonce(const Address& address) override;
    U256 balance(const Address& address) override;
    bool balance_at_least(const Address& address, const U256& min) override {
        return balance(address) >= min;
    }
    Hash256 code_hash(const Address& address) override;
    evm::CodePtr code(const Hash256& hash) override;
    U256 storage(const Address& address, const U256& key) override;
    /// The engine cannot say it. Only accounts with neither nonce nor code are asked for it in
    /// earnest, and these have storage by the genesis or by edits of a development node alone: the
    /// answer is that of the newest state, if the account is such a one there too.
    bool has_storage(const Address& address) override;
    Hash256 block_hash(uint64_t number) override { return block_hashes_(number); }

private:
    const std::optional<storage::AccountLeaf>& account(const Address& address);
    /// Nothing after a failure, which it notes.
    std::optional<Bytes> value(const Hash256& key);
    void fail_with(Error error);

    Source source_;
    BlockHashes block_hashes_;
    std::optional<Error> failed_;
    bool cached_ = false;
    Address cached_address_;
    std::optional<storage::AccountLeaf> cached_account_;
};

}  // namespace millrace::node
