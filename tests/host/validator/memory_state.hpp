// SPDX-License-Identifier: Apache-2.0
// Owns a whole state in memory, as what a replay and a serial execution begin with.
#pragma once

#include <map>
#include <set>

#include "host/validator/pre_state.hpp"
#include "kernels/keccak/keccak.hpp"
#include "storage/state/state_delta.hpp"

namespace millrace::validator::test {

class MemoryState final : public PreState {
public:
    std::optional<PreAccount> account(const Address& address) const override {
        if (hidden.contains(address)) { return std::nullopt; }
        const auto it = accounts.find(address);
        return it == accounts.end() ? PreAccount{} : it->second;
    }
    std::optional<U256> storage(const Address& address, const U256& key) const override {
        if (hidden.contains(address)) { return std::nullopt; }
        const auto it = slots.find({address, key});
        return it == slots.end() ? U256{} : it->second;
    }
    std::optional<bool> has_storage(const Address& address) const override {
        const auto it = slots.lower_bound({address, U256{}});
        return it != slots.end() && it->first.first == address;
    }
    std::optional<Hash256> block_hash(uint64_t number) const override {
        return kernels::keccak256(as_bytes("block " + std::to_string(number)));
    }
    evm::CodePtr code(const Hash256& hash) const override {
        const auto it = codes.find(hash);
        return it == codes.end() ? nullptr : it->second;
    }

    void apply(const storage::StateDelta& d) {
        for (const storage::AccountDelta& a : d.accounts) {
            accounts[a.address] =
                a.deleted ? PreAccount{} : PreAccount{a.nonce, a.balance, a.code_hash, 0};
        }
        for (const storage::SlotDelta& s : d.slots) {
            if (s.value.is_zero()) {
                slots.erase({s.address, s.key});
            } else {
                slots[{s.address, s.key}] = s.value;
            }
        }
        for (const storage::CodeDelta& c : d.codes) { codes[c.hash] = c.code; }
    }

    /// Everything, as a delta over the empty state.
    storage::StateDelta delta() const {
        storage::StateDelta d;
        for (const auto& [address, a] : accounts) {
            if (a.nonce == 0 && a.balance.is_zero() && a.code_hash == evm::empty_code_hash) {
                continue;
            }
            storage::AccountDelta& out = d.accounts.emplace_back();
            out.address = address;
            out.nonce = a.nonce;
            out.balance = a.balance;
            out.code_hash = a.code_hash;
        }
        for (const auto& [place, value] : slots) {
            d.slots.push_back({place.first, place.second, value});
        }
        for (const auto& [hash, code] : codes) { d.codes.push_back({hash, code}); }
        return d;
    }

    std::map<Address, PreAccount> accounts;
    std::map<std::pair<Address, U256>, U256> slots;
    std::map<Hash256, evm::CodePtr> codes;
    std::set<Address> hidden;  ///< as if a witness had left them out
};

/// The same state for a serial execution.
class MemoryView final : public evm::StateView {
public:
    explicit MemoryView(const MemoryState& state) noexcept : state_(state) {}
    bool account_exists(const Address& address) override {
        return state_.accounts.contains(address);
    }
    uint64_t nonce(const Address& address) override { return state_.account(address)->nonce; }
    U256 balance(const Address& address) override { return state_.account(address)->balance; }
    bool balance_at_least(const Address& address, const U256& min) override {
        return balance(address) >= min;
    }
    Hash256 code_hash(const Address& address) override {
        return state_.account(address)->code_hash;
    }
    evm::CodePtr code(const Hash256& hash) override { return state_.code(hash); }
    U256 storage(const Address& address, const U256& key) override {
        return *state_.storage(address, key);
    }
    bool has_storage(const Address& address) override { return *state_.has_storage(address); }
    Hash256 block_hash(uint64_t number) override { return *state_.block_hash(number); }

private:
    const MemoryState& state_;
};

}  // namespace millrace::validator::test
