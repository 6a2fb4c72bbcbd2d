// SPDX-License-Identifier: Apache-2.0
// Owns the comparisons over a whole mini-block, and the state after it.
#include "host/validator/detail/settlement.hpp"

#include <algorithm>
#include <functional>

#include "evm/tx/receipts_digest.hpp"
#include "host/base/hex.hpp"
#include "net/sync/balance_dependencies.hpp"

namespace millrace::validator::detail {
namespace {

using Field = CellName::Field;

ReplayFault fault_of(ReplayError error, std::optional<uint32_t> transaction,
                     std::optional<CellName> cell, std::string detail = {}) {
    ReplayFault f;
    f.error = error;
    f.transaction = transaction;
    f.cell = std::move(cell);
    f.detail = std::move(detail);
    return f;
}

/// The claimed balances against the sums of the computed changes; the lowest transaction at fault.
std::optional<ReplayFault> compare_balances(const Run& run) {
    const sync::MiniBlockAccess& m = run.access();
    std::optional<ReplayFault> lowest;
    size_t place = 0;
    for (size_t a = 0; a < m.accounts.size(); ++a) {
        U256 balance = run.pre_accounts[a].balance;
        for (const sync::BalanceChange& c : m.balance_changes_of(a)) {
            balance += run.computed.balance_deltas[place++];
            if (c.balance == balance) { continue; }
            if (!lowest || c.transaction < *lowest->transaction) {
                lowest = fault_of(ReplayError::value_mismatch, c.transaction,
                                  CellName{m.accounts[a].address, Field::balance, {}},
                                  "claimed " + to_hex_quantity(c.balance) + ", computed " +
                                      to_hex_quantity(balance));
            }
            break;
        }
        place = m.accounts[a].balance_changes_end;
    }
    return lowest;
}

/// Bounds that were taken to hold. The claimed balances have been compared by now.
std::optional<ReplayFault> check_bounds(const Run& run) {
    const sync::MiniBlockAccess& m = run.access();
    for (uint32_t i = 0; i < run.count(); ++i) {
        for (const Record::Bound& b : run.records[i].bounds) {
            const auto changes = m.balance_changes_of(b.account);
            const uint32_t before = changes_before(changes, i);
            const U256& balance =
                before == 0 ? run.pre_accounts[b.account].balance : changes[before - 1].balance;
            if (balance < b.min) {
                return fault_of(ReplayError::bound_violated, i,
                                CellName{m.accounts[b.account].address, Field::balance, {}},
                                to_hex_quantity(balance) + " is less than " +
                                    to_hex_quantity(b.min));
            }
        }
    }
    return std::nullopt;
}

std::string list_of(uint32_t transaction, std::span<const uint32_t> back) {
    constexpr size_t shown_max = 8;
    std::string s = "{";
    for (size_t k = 0; k < back.size() && k < shown_max; ++k) {
        s += (k == 0 ? "" : ", ") + std::to_string(transaction - back[k]);
    }
    return s + (back.size() > shown_max ? ", ..}" : "}");
}

/// The canonical dependencies, from what the transactions read. A dependency too few leaves the
/// values right but not the order that the list promises to others, one too many is a lie as well.
std::optional<ReplayFault> compare_dependencies(const Run& run) {
    const sync::MiniBlockAccess& m = run.access();
    std::vector<sync::BalanceDependencies> balances(m.accounts.size());
    std::vector<uint32_t> back;
    for (uint32_t i = 0; i < run.count(); ++i) {
        const Record& r = run.records[i];
        back.clear();
        for (const uint32_t writer : r.writers) { back.push_back(i - writer); }
        for (const Record::Observation& o : r.observations) {
            const auto changes = m.balance_changes_of(o.account);
            const uint32_t before = changes_before(changes, i);
            balances[o.account].read(
                i, before, [&](uint32_t k) { return changes[k].transaction; },
                [&](uint32_t on) { back.push_back(i - on); });
            if (before < changes.size() && changes[before].transaction == i) {
                balances[o.account].change(i, before + 1);
            }
        }
        std::sort(back.begin(), back.end());
        back.erase(std::unique(back.begin(), back.end()), back.end());
        const auto claimed = m.dependencies_of(i);
        if (!std::ranges::equal(back, claimed)) {
            return fault_of(ReplayError::dependencies_mismatch, i, std::nullopt,
                            "claimed " + list_of(i, claimed) + ", computed " + list_of(i, back));
        }
    }
    return std::nullopt;
}

std::optional<ReplayFault> find_missing_read(const Run& run) {
    const sync::MiniBlockAccess& m = run.access();
    for (size_t a = 0; a < m.accounts.size(); ++a) {
        const int missing = m.accounts[a].reads & ~run.account_marks[a];
        if (missing == 0) { continue; }
        const Field field = (missing & sync::field_nonce) != 0     ? Field::nonce
                            : (missing & sync::field_balance) != 0 ? Field::balance
                                                                   : Field::code;
        return fault_of(ReplayError::missing_read, std::nullopt,
                        CellName{m.accounts[a].address, field, {}});
    }
    for (size_t s = m.changed_slots.size(); s < run.claims.slot_count(); ++s) {
        if (run.slot_marks[s] != 0) { continue; }
        const Address& address = m.accounts[run.claims.slot_account(s)].address;
        return fault_of(ReplayError::missing_read, std::nullopt,
                        CellName{address, Field::storage, run.claims.slot_key(s)});
    }
    return std::nullopt;
}

}  // namespace

std::optional<ReplayFault> settle(const Run& run) {
    if (run.way == ReplayWay::by_dependencies) {
        if (auto f = compare_balances(run)) { return f; }
        if (auto f = check_bounds(run)) { return f; }
    }
    if (auto f = compare_dependencies(run)) { return f; }
    return find_missing_read(run);
}

std::optional<ReplayFault> compare_receipts(const Run& run) {
    evm::ReceiptsDigest digest;
    for (uint32_t i = 0; i < run.count(); ++i) { digest.add(run.records[i].receipt); }
    const Hash256 computed = digest.finish();
    const Hash256& claimed = run.access().header.receipts_digest;
    if (claimed == computed) { return std::nullopt; }
    return fault_of(ReplayError::receipts_mismatch, std::nullopt, std::nullopt,
                    "claimed " + to_hex(claimed) + ", computed " + to_hex(computed));
}

storage::StateDelta post_values(const Run& run) {
    const sync::MiniBlockAccess& m = run.access();
    storage::StateDelta d;
    for (size_t a = 0; a < m.accounts.size(); ++a) {
        const auto nonces = m.nonce_changes_of(a);
        const auto balances = m.balance_changes_of(a);
        const auto codes = m.code_changes_of(a);
        for (size_t s = m.first_changed_slot(a); s < m.accounts[a].changed_slots_end; ++s) {
            d.slots.push_back({m.accounts[a].address, m.changed_slots[s].key,
                               m.storage_changes_of(s).back().value});
        }
        if (nonces.empty() && balances.empty() && codes.empty()) { continue; }
        const PreAccount& pre = run.pre_accounts[a];
        storage::AccountDelta& out = d.accounts.emplace_back();
        out.address = m.accounts[a].address;
        out.incarnation = pre.incarnation;
        const uint64_t nonce = nonces.empty() ? pre.nonce : nonces.back().nonce;
        const U256& balance = balances.empty() ? pre.balance : balances.back().balance;
        const Hash256& code_hash =
            codes.empty() ? pre.code_hash
                          : run.claimed_code_hashes[m.accounts[a].code_changes_end - 1];
        // EIP-161: an account that has become empty does not exist.
        out.deleted = nonce == 0 && balance.is_zero() && code_hash == evm::empty_code_hash;
        if (!out.deleted) {
            out.nonce = nonce;
            out.balance = balance;
            out.code_hash = code_hash;
        }
    }
    for (size_t k = 0; k < m.code_changes.size(); ++k) {
        if (m.code_changes[k].code != nullptr) {
            d.codes.push_back({run.claimed_code_hashes[k], m.code_changes[k].code});
        }
    }
    std::ranges::sort(d.codes, {}, &storage::CodeDelta::hash);
    const auto repeated = std::ranges::unique(d.codes, {}, &storage::CodeDelta::hash);
    d.codes.erase(repeated.begin(), repeated.end());
    return d;
}

}  // namespace millrace::validator::detail
