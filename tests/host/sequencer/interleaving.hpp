// SPDX-License-Identifier: Apache-2.0
// Owns random schedules of small transactions over one cell table, and the oracle that replays them
// one after the other in the order of their commits.
#pragma once

#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "host/sequencer/executor/cells.hpp"
#include "storage/state/state_store.hpp"
#include "tests/host/sequencer/test_chain.hpp"

namespace millrace::sequencer::test {

/// What of the read set the commit gets to see: the mutants of the protocol.
enum class Validation { on, reads_only, off };

/// A transaction in the small: reads through a view, then has changes.
struct SmallTransaction {
    enum class Kind { transfer, increment, copy_balance, sweep } kind = Kind::transfer;
    uint64_t from = 0;
    uint64_t to = 0;
    uint64_t amount = 0;
};

struct Schedule {
    std::string wrong;  ///< empty when the oracle agrees
    uint64_t aborts = 0;
};

/// One attempt: what was read, and what it would change.
struct Attempt {
    CellView view;
    evm::StateChanges changes;
    bool moved = false;
};

inline constexpr uint64_t small_accounts = 4;
inline constexpr uint64_t small_balance = 40;

inline void run_attempt(const SmallTransaction& t, Attempt& a) {
    auto account_change = [&](const Address& address) -> evm::AccountChange& {
        for (evm::AccountChange& c : a.changes.accounts) {
            if (c.address == address) { return c; }
        }
        a.changes.accounts.emplace_back().address = address;
        return a.changes.accounts.back();
    };
    const Address from = stranger(t.from);
    const Address to = stranger(t.to);
    switch (t.kind) {
        case SmallTransaction::Kind::transfer:
            if (a.view.balance_at_least(from, U256{t.amount})) {
                account_change(from).debit = U256{t.amount};
                account_change(to).credit += U256{t.amount};
                a.moved = true;
            }
            break;
        case SmallTransaction::Kind::increment: {
            const U256 v = a.view.storage(to, U256{0});
            account_change(to).storage = {{U256{0}, v + U256{t.amount}}};
            break;
        }
        case SmallTransaction::Kind::copy_balance:
            account_change(to).storage = {{U256{1}, a.view.balance(from)}};
            break;
        case SmallTransaction::Kind::sweep: {
            const U256 all = a.view.balance(from);
            if (from != to && !all.is_zero()) {
                account_change(from).debit = all;
                account_change(to).credit = all;
            }
            account_change(from).nonce = a.view.nonce(from) + 1;
            break;
        }
    }
}

/// Runs eight transactions on three simulated workers whose steps (execute, commit) a seed orders.
inline Schedule run_schedule(uint64_t seed, Validation validation) {
    std::mt19937_64 random{seed};
    const auto store = storage::make_memory_state_store();
    storage::StateDelta state;
    for (uint64_t i = 0; i < small_accounts; ++i) {
        add_account(state, stranger(i), U256{small_balance}, {}, 1);
    }
    state.sort();
    MILLRACE_ASSERT(store->apply(1, state).has_value(), "the state is valid");
    CellTable cells{store->snapshot()};
    const CellView::BlockHashes no_hashes = [](uint64_t) { return Hash256{}; };

    std::vector<SmallTransaction> waiting;
    for (int i = 0; i < 8; ++i) {
        waiting.push_back({static_cast<SmallTransaction::Kind>(random() % 4),
                           random() % small_accounts, random() % small_accounts, random() % 45});
    }
    struct Worker {
        std::optional<SmallTransaction> transaction;
        std::optional<Attempt> attempt;
    };
    std::vector<Worker> workers(3);
    Schedule out;
    std::vector<SmallTransaction> committed;
    size_t next = 0;
    while (committed.size() < waiting.size()) {
        Worker& w = workers[random() % workers.size()];
        if (!w.transaction) {
            if (next == waiting.size()) { continue; }
            w.transaction = waiting[next++];
        }
        if (!w.attempt) {
            w.attempt.emplace(Attempt{CellView{cells, no_hashes}, {}, false});
            run_attempt(*w.transaction, *w.attempt);
            continue;
        }
        ReadSet reads = w.attempt->view.reads();
        if (validation == Validation::off) { reads.clear(); }
        if (validation == Validation::reads_only) { reads.bounds.clear(); }
        if (cells.commit_alone(reads, w.attempt->changes) == Conflict::none) {
            committed.push_back(*w.transaction);
            w.transaction.reset();
        } else {
            ++out.aborts;
        }
        w.attempt.reset();
    }

    // The oracle: plain maps, one transaction after the other.
    std::map<uint64_t, __int128> balance;
    std::map<uint64_t, uint64_t> nonce;
    std::map<std::pair<uint64_t, uint64_t>, uint64_t> slots;
    for (uint64_t i = 0; i < small_accounts; ++i) {
        balance[i] = small_balance;
        nonce[i] = 1;
    }
    for (const SmallTransaction& t : committed) {
        switch (t.kind) {
            case SmallTransaction::Kind::transfer:
                if (balance[t.from] >= t.amount) {
                    balance[t.from] -= t.amount;
                    balance[t.to] += t.amount;
                }
                break;
            case SmallTransaction::Kind::increment: slots[{t.to, 0}] += t.amount; break;
            case SmallTransaction::Kind::copy_balance:
                slots[{t.to, 1}] = static_cast<uint64_t>(balance[t.from]);
                break;
            case SmallTransaction::Kind::sweep:
                if (t.from != t.to) {
                    balance[t.to] += balance[t.from];
                    balance[t.from] = 0;
                }
                ++nonce[t.from];
                break;
        }
    }
    U256 total;
    for (uint64_t i = 0; i < small_accounts; ++i) {
        const U256 got = cells.account(stranger(i)).balance.value();
        total += got;
        if (got != U256{static_cast<uint64_t>(balance[i])}) {
            out.wrong = "balance of " + std::to_string(i);
        }
        if (cells.account(stranger(i)).nonce.value() != nonce[i]) {
            out.wrong = "nonce of " + std::to_string(i);
        }
        for (uint64_t k = 0; k < 2; ++k) {
            if (cells.slot(cells.account(stranger(i)), U256{k}).value.value() !=
                U256{slots[{i, k}]}) {
                out.wrong = "slot " + std::to_string(k) + " of " + std::to_string(i);
            }
        }
    }
    if (total != U256{small_accounts * small_balance}) {
        out.wrong = "the total is " + to_decimal(total);
    }
    return out;
}

}  // namespace millrace::sequencer::test
