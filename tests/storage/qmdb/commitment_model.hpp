// SPDX-License-Identifier: Apache-2.0
// Owns the oracle of the commitment `qmdb`: leaves of the whole state after each block, compared
// with those before it.
#pragma once

#include <algorithm>
#include <map>

#include "storage/proof/state_leaf.hpp"
#include "tests/storage/qmdb/engine_model.hpp"
#include "tests/storage/state_model.hpp"

namespace millrace::storage::qmdb {

/// Values are written by hand here, word by word from the format.
class CommitmentModel {
public:
    CommitmentModel(kernels::NodeHash hash, uint64_t step_writes_max)
        : step_writes_max_(step_writes_max), engine_(hash) {}

    /// The root after block `number`, which leaves `state` behind.
    Hash256 close(uint64_t number, const StateModel& state) {
        std::map<Hash256, Address> born;
        std::map<Address, uint64_t> ordinals;
        for (const auto& [address, account] : state.accounts) {
            const auto known = ordinals_.find(address);
            if (known != ordinals_.end()) {
                ordinals[address] = known->second;
            } else {
                born[account_key(address)] = address;
            }
        }
        for (const auto& [key, address] : born) { ordinals[address] = births_++; }
        ordinals_ = std::move(ordinals);

        std::map<Hash256, Bytes> leaves;
        for (const auto& [address, m] : state.accounts) {
            Bytes value;
            for (const U256& n : {U256{m.account.nonce}, m.account.balance,
                                  U256{ordinals_.at(address)}, U256{m.account.incarnation}}) {
                const Bytes digits = digits_of(n);
                value.push_back(static_cast<uint8_t>(digits.size()));
                value.insert(value.end(), digits.begin(), digits.end());
            }
            if (m.account.code_hash != kernels::keccak256_of_empty) {
                value.insert(value.end(), m.account.code_hash.begin(), m.account.code_hash.end());
            }
            leaves[account_key(address)] = std::move(value);
            for (const auto& [slot, word] : m.slots) {
                leaves[slot_key(address, slot)] = digits_of(word);
            }
        }
        if (births_ != 0) {
            const Hash256 word = to_hash(U256{births_});
            leaves[birth_counter_key()] = Bytes(word.begin() + 24, word.end());
        }
        Block block;
        for (const auto& [key, value] : leaves) {
            const auto old = leaves_.find(key);
            if (old == leaves_.end() || old->second != value) { block[key] = value; }
        }
        for (const auto& [key, value] : leaves_) {
            if (!leaves.contains(key)) { block[key] = std::nullopt; }
        }
        leaves_ = std::move(leaves);
        return apply(number, block);
    }

    const std::map<Hash256, Bytes>& leaves() const noexcept { return leaves_; }
    const std::map<Address, uint64_t>& ordinals() const noexcept { return ordinals_; }

private:
    static Bytes digits_of(const U256& n) {
        const Hash256 word = to_hash(n);
        const auto first = std::find_if(word.begin(), word.end(), [](uint8_t b) { return b != 0; });
        return {first, word.end()};
    }

    Hash256 apply(uint64_t number, const Block& block) {
        Hash256 root;
        auto at = block.begin();
        for (uint64_t step = 0;; ++step) {
            Block part;
            while (at != block.end() && part.size() < step_writes_max_) { part.insert(*at++); }
            const bool last = at == block.end();
            root = engine_.apply(last ? (number + 1) * 1024 : number * 1024 + 1 + step, part);
            if (last) { return root; }
        }
    }

    uint64_t step_writes_max_;
    EngineModel engine_;
    std::map<Hash256, Bytes> leaves_;
    std::map<Address, uint64_t> ordinals_;
    uint64_t births_ = 0;
};

}  // namespace millrace::storage::qmdb
