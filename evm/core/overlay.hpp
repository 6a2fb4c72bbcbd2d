// SPDX-License-Identifier: Apache-2.0
// Owns a mutable state in memory on top of a read-only one: what a block, a simulation or a test
// has changed so far.
#pragma once

#include <map>
#include <unordered_map>

#include "evm/core/state_view.hpp"

namespace millrace::evm {

/// One account as the overlay knows it; absent optionals are still those of the base.
struct OverlayAccount {
    bool exists_known = false;
    bool exists = false;
    std::optional<uint64_t> nonce;
    std::optional<U256> balance;
    std::optional<Hash256> code_hash;
    bool storage_cleared =
        false;  ///< slots that are not in `storage` are zero, whatever the base says
    std::map<U256, U256> storage;
    bool changed = false;  ///< differs (perhaps) from the base
    std::map<U256, bool> storage_changed;
};

/// A StateView that caches what it reads from `base` and takes changes. Not thread-safe. With a
/// null base it is a state of its own, empty at first.
class StateOverlay final : public StateView {
public:
    explicit StateOverlay(StateView* base = nullptr) noexcept : base_(base) {}

    bool account_exists(const Address& address) override;
    uint64_t nonce(const Address& address) override;
    U256 balance(const Address& address) override;
    bool balance_at_least(const Address& address, const U256& min) override {
        return balance(address) >= min;
    }
    Hash256 code_hash(const Address& address) override;
    CodePtr code(const Hash256& hash) override;
    U256 storage(const Address& address, const U256& key) override;
    bool has_storage(const Address& address) override;
    Hash256 block_hash(uint64_t number) override;

    /// Applies the effect of one transaction or system operation. With `clear_empty` (EIP-161)
    /// touched accounts that are empty afterwards are removed.
    void apply(const StateChanges& changes, bool clear_empty);
    /// Takes over what `upper`, an overlay whose base is this one, has changed.
    void merge(const StateOverlay& upper);

    // Direct edits, for pre-states, overrides and dev methods.
    void set_balance(const Address& address, const U256& balance);
    void set_nonce(const Address& address, uint64_t nonce);
    void set_code(const Address& address, ByteView code);
    void set_storage(const Address& address, const U256& key, const U256& value);
    void clear_storage(const Address& address);
    void set_block_hash(uint64_t number, const Hash256& hash) { block_hashes_[number] = hash; }
    void add_balance(const Address& address, const U256& amount) {
        set_balance(address, balance(address) + amount);
    }

    /// Every account that was read or changed.
    const std::unordered_map<Address, OverlayAccount>& accounts() const noexcept {
        return accounts_;
    }
    const std::unordered_map<Hash256, CodePtr>& codes() const noexcept { return codes_; }

private:
    OverlayAccount& entry(const Address& address) { return accounts_[address]; }
    OverlayAccount& existing(const Address& address);
    void erase(const Address& address);

    StateView* base_;
    std::unordered_map<Address, OverlayAccount> accounts_;
    std::unordered_map<Hash256, CodePtr> codes_;
    std::unordered_map<uint64_t, Hash256> block_hashes_;
};

}  // namespace millrace::evm
