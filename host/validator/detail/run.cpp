// SPDX-License-Identifier: Apache-2.0
// Owns making a replay's memory ready, and the marks that its threads share.
#include "host/validator/detail/run.hpp"

namespace millrace::validator::detail {

void Record::clear() noexcept {
    writers.clear();
    observations.clear();
    bounds.clear();
    receipt = {};
    fault.reset();
}

const Record::Observation* Record::observation(uint32_t account) const noexcept {
    const auto it =
        std::lower_bound(observations.begin(), observations.end(), account,
                         [](const Observation& o, uint32_t a) { return o.account < a; });
    return it != observations.end() && it->account == account ? &*it : nullptr;
}

void Run::note_fault(uint32_t transaction) noexcept {
    // Relaxed: the fault itself is read after the step.
    uint32_t seen = first_fault.load(std::memory_order_relaxed);
    while (transaction < seen &&
           !first_fault.compare_exchange_weak(seen, transaction, std::memory_order_relaxed)) {}
}

void Run::mark(uint8_t& marks, uint8_t bit) noexcept {
    // Relaxed: marks are read after the step. Looked at first, because many share a cache line.
    std::atomic_ref<uint8_t> shared{marks};
    if ((shared.load(std::memory_order_relaxed) & bit) == 0) {
        shared.fetch_or(bit, std::memory_order_relaxed);
    }
}

void Run::reset() {
    const sync::MiniBlockAccess& m = access();
    pre_accounts.assign(m.accounts.size(), {});
    pre_slots.assign(claims.slot_count(), {});
    claimed_code_hashes.assign(m.code_changes.size(), {});
    gas_before.resize(transactions.size() + 1);
    gas_before[0] = block->gas_used_before;
    for (size_t i = 0; i < transactions.size(); ++i) {
        gas_before[i + 1] = gas_before[i] + m.transactions[i].gas_used;
    }
    if (way == ReplayWay::by_dependencies) {
        computed.nonces.assign(m.nonce_changes.size(), 0);
        computed.balance_deltas.assign(m.balance_changes.size(), {});
        computed.code_hashes.assign(m.code_changes.size(), {});
        computed.codes.assign(m.code_changes.size(), {});
        computed.slots.assign(m.storage_changes.size(), {});
    }
    if (records.size() < transactions.size()) { records.resize(transactions.size()); }
    for (size_t i = 0; i < transactions.size(); ++i) { records[i].clear(); }
    account_marks.assign(m.accounts.size(), 0);
    slot_marks.assign(claims.slot_count(), 0);
    first_fault.store(count(), std::memory_order_relaxed);
}

}  // namespace millrace::validator::detail
