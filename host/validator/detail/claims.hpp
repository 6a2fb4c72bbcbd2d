// SPDX-License-Identifier: Apache-2.0
// Owns the access list as a replay looks things up in it: by address, by slot, by position.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "net/sync/key_index.hpp"
#include "net/sync/mini_block_access.hpp"

namespace millrace::validator::detail {

/// How many of the changes of a cell were made by transactions before `transaction`.
template <class Change>
uint32_t changes_before(std::span<const Change> changes, uint32_t transaction) noexcept {
    const auto it = std::lower_bound(changes.begin(), changes.end(), transaction,
                                     [](const Change& c, uint32_t t) { return c.transaction < t; });
    return static_cast<uint32_t>(it - changes.begin());
}

/// Index over a MiniBlockAccess in canonical form, which outlives its use. Slots are numbered
/// through: first all changed ones, then all that were only read.
class Claims {
public:
    static constexpr uint32_t none = sync::KeyIndex::none;

    void index(const sync::MiniBlockAccess& access);

    const sync::MiniBlockAccess& access() const noexcept { return *access_; }
    uint32_t account(const Address& address) const noexcept;
    uint32_t slot(uint32_t account, const U256& key) const noexcept;
    size_t slot_count() const noexcept { return slot_accounts_.size(); }
    bool is_changed_slot(size_t slot) const noexcept {
        return slot < access_->changed_slots.size();
    }
    const U256& slot_key(size_t slot) const noexcept {
        return is_changed_slot(slot) ? access_->changed_slots[slot].key
                                     : access_->read_slots[slot - access_->changed_slots.size()];
    }
    uint32_t slot_account(size_t slot) const noexcept { return slot_accounts_[slot]; }
    /// Changes that a transaction is said to make.
    uint32_t change_count(size_t transaction) const noexcept { return change_counts_[transaction]; }

    /// Whether `transaction` is said to depend on `on`, which comes before it.
    bool depends(uint32_t transaction, uint32_t on) const noexcept {
        const auto list = access_->dependencies_of(transaction);
        return std::binary_search(list.begin(), list.end(), transaction - on);
    }

private:
    uint64_t hash_of_slot(size_t slot) const noexcept;
    template <class Change>
    void count(const std::vector<Change>& changes) {
        for (const Change& c : changes) { ++change_counts_[c.transaction]; }
    }

    const sync::MiniBlockAccess* access_ = nullptr;
    sync::KeyIndex accounts_;
    sync::KeyIndex slots_;
    std::vector<uint32_t> slot_accounts_;
    std::vector<uint32_t> change_counts_;
};

}  // namespace millrace::validator::detail
