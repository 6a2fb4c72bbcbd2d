// SPDX-License-Identifier: Apache-2.0
// Owns the oracle of the state tests: ordered maps, and random deltas over them.
#pragma once

#include <map>
#include <optional>
#include <random>
#include <set>

#include "kernels/keccak/keccak.hpp"
#include "storage/state/commitment.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::storage {

struct ModelAccount {
    Account account;
    std::map<U256, U256> slots;
    bool operator==(const ModelAccount&) const = default;
};

/// The state as plainly as it can be written.
struct StateModel {
    std::map<Address, ModelAccount> accounts;
    std::map<Address, uint64_t> incarnations;  ///< of deleted accounts

    bool operator==(const StateModel&) const = default;

    void apply(const StateDelta& delta) {
        for (const AccountDelta& a : delta.accounts) {
            if (a.deleted) {
                accounts.erase(a.address);
                incarnations.erase(a.address);
                if (a.incarnation != 0) { incarnations[a.address] = a.incarnation; }
                continue;
            }
            ModelAccount& m = accounts[a.address];
            incarnations.erase(a.address);
            m.account = {a.nonce, a.balance, a.code_hash, a.incarnation};
            if (a.storage_wiped) { m.slots.clear(); }
        }
        for (const SlotDelta& s : delta.slots) {
            const auto it = accounts.find(s.address);
            if (it == accounts.end()) { continue; }
            if (s.value.is_zero()) {
                it->second.slots.erase(s.key);
            } else {
                it->second.slots[s.key] = s.value;
            }
        }
    }

    /// The same state read back from a snapshot through its parts.
    static StateModel of(const StateSnapshot& snapshot) {
        StateModel m;
        const auto r = snapshot.for_each_part([&](const StateDelta& part) -> Result<void> {
            m.apply(part);
            return {};
        });
        MILLRACE_ASSERT(r.has_value(), "the visitor cannot fail");
        return m;
    }

    void feed(StateCommitment& commitment) const {
        for (const auto& [address, m] : accounts) {
            commitment.set_account(address, m.account.nonce, m.account.balance,
                                   m.account.code_hash);
            for (const auto& [key, value] : m.slots) { commitment.set_slot(address, key, value); }
        }
    }
};

/// Addresses and keys come from small sets, so that they meet again.
inline Address model_address(uint64_t i) {
    return Address::from(
        kernels::keccak256(as_bytes("address " + std::to_string(i))).view().first(20));
}
inline U256 model_key(uint64_t i) {
    return i % 3 == 0 ? U256{i} : to_u256(kernels::keccak256(as_bytes("key " + std::to_string(i))));
}

/// A random canonical delta over `model`: new, changed, deleted and recreated accounts, wiped
/// storage, written and cleared slots, new code.
inline StateDelta random_delta(std::mt19937_64& random, const StateModel& model,
                               uint64_t address_count = 12, uint64_t key_count = 8,
                               uint64_t changes_max = 6) {
    StateDelta d;
    std::map<Hash256, CodePtr> codes;
    std::map<Address, AccountDelta> accounts;
    std::map<std::pair<Address, U256>, U256> slots;
    std::set<Address> touched;
    const uint64_t changes = random() % (changes_max + 1);
    for (uint64_t c = 0; c < changes; ++c) {
        const Address address = model_address(random() % address_count);
        if (!touched.insert(address).second) { continue; }
        const auto known = model.accounts.find(address);
        const bool exists = known != model.accounts.end();
        const uint64_t kind = random() % 10;
        AccountDelta a;
        a.address = address;
        if (exists) {
            const Account& old = known->second.account;
            a.nonce = old.nonce;
            a.balance = old.balance;
            a.code_hash = old.code_hash;
            a.incarnation = old.incarnation;
        } else {
            a.code_hash = kernels::keccak256_of_empty;
            const auto before = model.incarnations.find(address);
            a.incarnation = before == model.incarnations.end() ? 0 : before->second + 1;
        }
        bool in_delta = true;
        if (kind == 0 && exists) {
            a = AccountDelta{address, true, random() % 2 == 0, 0, {}, {}, a.incarnation};
            accounts[address] = a;
            continue;
        }
        if (kind == 1 && exists) {
            a.storage_wiped = true;
            a.incarnation += 1;
        } else if (kind == 2) {
            Bytes code(random() % 40 + 1, static_cast<uint8_t>(random()));
            a.code_hash = kernels::keccak256(code);
            codes[a.code_hash] = std::make_shared<const Bytes>(std::move(code));
        } else if (kind < 5 && exists) {
            in_delta = false;
        } else {
            a.nonce += 1;
            a.balance = U256{random(), random(), 0, random()};
        }
        if (in_delta) { accounts[address] = a; }
        const uint64_t writes = random() % 4;
        for (uint64_t w = 0; w < writes; ++w) {
            const U256 value = random() % 3 == 0 ? U256{} : U256{random() % 1000};
            slots[{address, model_key(random() % key_count)}] = value;
        }
    }
    for (const auto& [address, a] : accounts) { d.accounts.push_back(a); }
    for (const auto& [key, value] : slots) { d.slots.push_back({key.first, key.second, value}); }
    for (const auto& [hash, code] : codes) { d.codes.push_back({hash, code}); }
    return d;
}

}  // namespace millrace::storage
