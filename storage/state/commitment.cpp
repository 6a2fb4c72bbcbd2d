// SPDX-License-Identifier: Apache-2.0
// Owns feeding of commitments and the naive commitment in memory.
#include "storage/state/commitment.hpp"

#include <map>

#include "kernels/keccak/keccak.hpp"
#include "storage/detail/codec.hpp"

namespace millrace::storage {
namespace {

class MemoryCommitment final : public StateCommitment {
public:
    void set_account(const Address& address, uint64_t nonce, const U256& balance,
                     const Hash256& code_hash) override {
        Entry& e = entries_[address];
        e.nonce = nonce;
        e.balance = balance;
        e.code_hash = code_hash;
    }
    void remove_account(const Address& address) override { entries_.erase(address); }
    void set_slot(const Address& address, const U256& key, const U256& value) override {
        if (value.is_zero()) {
            const auto it = entries_.find(address);
            if (it != entries_.end()) { it->second.slots.erase(key); }
            return;
        }
        entries_[address].slots[key] = value;
    }
    void wipe_storage(const Address& address) override {
        const auto it = entries_.find(address);
        if (it != entries_.end()) { it->second.slots.clear(); }
    }
    Hash256 root() override {
        Bytes all;
        detail::Writer w{all};
        for (const auto& [address, e] : entries_) {
            w.fixed(address);
            w.u64(e.nonce);
            w.u256(e.balance);
            w.fixed(e.code_hash);
            w.u64(e.slots.size());
            for (const auto& [key, value] : e.slots) {
                w.u256(key);
                w.u256(value);
            }
        }
        return kernels::keccak256(all);
    }

private:
    struct Entry {
        uint64_t nonce = 0;
        U256 balance;
        Hash256 code_hash;
        std::map<U256, U256> slots;
    };
    std::map<Address, Entry> entries_;
};

}  // namespace

std::unique_ptr<StateCommitment> make_memory_commitment() {
    return std::make_unique<MemoryCommitment>();
}

void apply_delta(StateCommitment& commitment, const StateDelta& delta) {
    auto account = delta.accounts.begin();
    for (; account != delta.accounts.end(); ++account) {
        if (account->deleted) {
            commitment.remove_account(account->address);
            continue;
        }
        if (account->storage_wiped) { commitment.wipe_storage(account->address); }
        commitment.set_account(account->address, account->nonce, account->balance,
                               account->code_hash);
    }
    account = delta.accounts.begin();
    for (const SlotDelta& s : delta.slots) {
        while (account != delta.accounts.end() && account->address < s.address) { ++account; }
        const bool deleted =
            account != delta.accounts.end() && account->address == s.address && account->deleted;
        if (!deleted) { commitment.set_slot(s.address, s.key, s.value); }
    }
}

void load_commitment(StateCommitment& commitment, const StateSnapshot& snapshot) {
    const auto fed = snapshot.for_each_part([&](const StateDelta& part) -> Result<void> {
        apply_delta(commitment, part);
        return {};
    });
    MILLRACE_ASSERT(fed.has_value(), "a visitor that cannot fail did not");
}

}  // namespace millrace::storage
