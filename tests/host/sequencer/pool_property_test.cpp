// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of the pool with a naive model that searches everything each time, and random
// schedules of the cell table.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "host/sequencer/pool/pool.hpp"
#include "tests/host/sequencer/interleaving.hpp"
#include "tests/host/sequencer/test_chain.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

/// A pool as a list.
struct NaivePool {
    struct Item {
        AdmittedPtr tx;
        uint64_t arrival;
        bool passed = false;  ///< for this block
    };
    PoolLimits limits;
    std::vector<Item> items;
    std::map<Address, uint64_t> account_nonce;
    U256 base_fee;
    uint64_t arrivals = 0;
    uint64_t given_out = 1;

    const Item* at(const Address& sender, uint64_t nonce) const {
        for (const Item& i : items) {
            if (i.tx->sender == sender && i.tx->transaction.nonce == nonce) { return &i; }
        }
        return nullptr;
    }
    uint64_t missing(const Address& sender) const {
        uint64_t n = account_nonce.at(sender);
        while (at(sender, n) != nullptr) { ++n; }
        return n;
    }
    U256 tip(const Item& i) const {
        const evm::Transaction& t = i.tx->transaction;
        return std::min(t.max_priority_fee_per_gas, t.max_fee_per_gas - base_fee);
    }
    bool is_ready(const Item& i) const {
        return i.tx->transaction.nonce == account_nonce.at(i.tx->sender) &&
               i.tx->transaction.max_fee_per_gas >= base_fee;
    }
    /// The power of four below a tip.
    size_t bucket(const Item& i) const {
        size_t b = 0;
        for (uint64_t wei = tip(i).low64(); wei >= 4; wei /= 4) { ++b; }
        return b;
    }
    /// As the limits say: half of the turns for the bucket below the highest, and so on.
    size_t weighted_bucket() const {
        std::set<size_t> filled;
        for (const Item& i : items) {
            if (is_ready(i)) { filled.insert(bucket(i)); }
        }
        if (filled.empty()) { return 0; }
        auto at = std::prev(filled.end());
        uint64_t round = given_out / limits.weighted_one_in + 1;
        for (bool more = true; more && at != filled.begin(); round /= 2) {
            --at;
            more = round % 2 == 0;
        }
        return *at;
    }
    AdmittedPtr next() const {
        const Item* best = nullptr;
        const bool oldest = given_out % limits.oldest_one_in == 0;
        const bool weighted =
            !oldest && given_out % limits.weighted_one_in == limits.weighted_one_in / 2;
        const size_t of_bucket = weighted ? weighted_bucket() : 0;
        for (const Item& i : items) {
            if (!is_ready(i) || (weighted && bucket(i) != of_bucket)) { continue; }
            const bool better =
                best == nullptr ||
                (oldest || weighted
                     ? i.arrival < best->arrival
                     : tip(i) > tip(*best) || (tip(i) == tip(*best) && i.arrival < best->arrival));
            if (better) { best = &i; }
        }
        return best == nullptr ? nullptr : best->tx;
    }
    void erase(const AdmittedPtr& tx) {
        std::erase_if(items, [&](const Item& i) { return i.tx == tx; });
    }
    bool is_gapped(const Item& i) const { return i.tx->transaction.nonce > missing(i.tx->sender); }
    bool fits(bool executable) const {
        if (items.size() + 1 > limits.transactions_max) { return false; }
        const auto gapped = static_cast<size_t>(
            std::count_if(items.begin(), items.end(), [&](const Item& i) { return is_gapped(i); }));
        return executable || gapped + 1 <= std::max<size_t>(1, limits.transactions_max / 4);
    }
    /// What goes first for `tx`: cheaper ones, or with `any_tip` all; no heads, and nothing that
    /// `tx` stands on.
    const Item* cheapest(const AdmittedTransaction& tx, bool gapped, bool any_tip) const {
        const Item* best = nullptr;
        for (const Item& i : items) {
            const U256& t = i.tx->transaction.max_priority_fee_per_gas;
            if ((gapped && !is_gapped(i)) ||
                i.tx->transaction.nonce == account_nonce.at(i.tx->sender) ||
                (i.tx->sender == tx.sender && i.tx->transaction.nonce <= tx.transaction.nonce) ||
                (!any_tip && !(t < tx.transaction.max_priority_fee_per_gas))) {
                continue;
            }
            if (best == nullptr || t < best->tx->transaction.max_priority_fee_per_gas ||
                (t == best->tx->transaction.max_priority_fee_per_gas &&
                 i.arrival > best->arrival)) {
                best = &i;
            }
        }
        return best;
    }
    /// As Pool::add; gives the evicted ones.
    std::expected<std::vector<AdmittedPtr>, PoolRefusal> add(const AdmittedPtr& tx) {
        const uint64_t nonce = tx->transaction.nonce;
        const Address& sender = tx->sender;
        if (nonce < account_nonce.at(sender)) {
            return std::unexpected(PoolRefusal::nonce_too_low);
        }
        std::vector<AdmittedPtr> evicted;
        const bool executable = nonce <= missing(sender);
        if (const Item* same = at(sender, nonce)) {
            if (same->tx->hash == tx->hash) { return std::unexpected(PoolRefusal::already_known); }
            const evm::Transaction& o = same->tx->transaction;
            const evm::Transaction& n = tx->transaction;
            if (n.max_fee_per_gas.low64() * 100 < o.max_fee_per_gas.low64() * 110 ||
                n.max_priority_fee_per_gas.low64() * 100 <
                    o.max_priority_fee_per_gas.low64() * 110) {
                return std::unexpected(PoolRefusal::replacement_underpriced);
            }
            erase(same->tx);
        } else {
            const uint64_t first = missing(sender);
            if (nonce >= first && nonce - first > limits.future_nonces_max) {
                return std::unexpected(PoolRefusal::nonce_too_far);
            }
            const std::vector<Item> before = items;
            while (!fits(executable)) {
                const Item* victim = cheapest(*tx, true, executable);
                if (victim == nullptr && executable) { victim = cheapest(*tx, false, false); }
                if (victim == nullptr) {
                    items = before;
                    return std::unexpected(PoolRefusal::full);
                }
                const Item* last = victim;
                for (const Item& i : items) {
                    if (i.tx->sender == last->tx->sender &&
                        i.tx->transaction.nonce > last->tx->transaction.nonce) {
                        last = &i;
                    }
                }
                evicted.push_back(last->tx);
                erase(evicted.back());
            }
        }
        items.push_back({tx, arrivals++});
        return evicted;
    }
};

constexpr uint64_t senders = 4;

void compare(const Pool& pool, const PoolIndex& index, const NaivePool& model) {
    RC_ASSERT(pool.size() == model.items.size());
    size_t executable = 0;
    std::vector<AdmittedPtr> queued;
    for (const NaivePool::Item& i : model.items) {
        RC_ASSERT(index.find(i.tx->hash) == i.tx);
        if (i.tx->transaction.nonce < model.missing(i.tx->sender)) {
            ++executable;
        } else {
            queued.push_back(i.tx);
        }
    }
    RC_ASSERT(pool.executable_count() == executable);
    RC_ASSERT(index.executable_count() == executable);
    RC_ASSERT(index.queued_count() == queued.size());
    RC_ASSERT(pool.executable().size() == executable);
    std::vector<AdmittedPtr> got = pool.queued();
    std::sort(got.begin(), got.end());
    std::sort(queued.begin(), queued.end());
    RC_ASSERT(got == queued);
    RC_ASSERT(index.size() == model.items.size());
    for (uint64_t s = 0; s < senders; ++s) {
        const bool any = std::any_of(model.items.begin(), model.items.end(),
                                     [&](const auto& i) { return i.tx->sender == stranger(s); });
        const auto next = index.next_nonce(stranger(s));
        RC_ASSERT(next.has_value() == any);
        if (any) { RC_ASSERT(*next == model.missing(stranger(s))); }
    }
}

RC_GTEST_PROP(PoolProperty, AgreesWithANaiveModel, ()) {
    const PoolLimits limits{
        .transactions_max = 9, .future_nonces_max = 4, .oldest_one_in = 3, .weighted_one_in = 4};
    PoolIndex index;
    Pool pool{limits, index};
    NaivePool model{limits, {}, {}, {}, 0};
    for (uint64_t s = 0; s < senders; ++s) { model.account_nonce[stranger(s)] = 0; }
    const auto steps = *rc::gen::inRange(10, 120);
    for (int step = 0; step < steps; ++step) {
        switch (*rc::gen::weightedElement<int>({{8, 0}, {3, 1}, {1, 2}, {1, 3}, {1, 4}})) {
            case 0: {
                const auto sender = *rc::gen::inRange<uint64_t>(0, senders);
                const auto ahead = *rc::gen::inRange<uint64_t>(0, 7);
                const auto tip = *rc::gen::inRange<uint64_t>(1, 12);
                const auto fee = tip + *rc::gen::inRange<uint64_t>(0, 12);
                const uint64_t nonce = model.account_nonce[stranger(sender)] + ahead;
                const uint64_t shifted = nonce == 0 ? 0 : nonce - *rc::gen::inRange<uint64_t>(0, 2);
                const AdmittedPtr tx = unsigned_of(
                    stranger(sender), with_fees(call_transaction(shifted, stranger(50)), tip, fee));
                const uint64_t first_missing = model.missing(stranger(sender));
                const auto expected = model.add(tx);
                const auto got = pool.add(tx, model.account_nonce[stranger(sender)]);
                RC_ASSERT(got.has_value() == expected.has_value());
                if (!got) {
                    RC_ASSERT(got.error() == expected.error());
                    break;
                }
                RC_ASSERT(got->evicted == *expected);
                const uint64_t now_missing = model.missing(stranger(sender));
                RC_ASSERT(got->expected_nonce == now_missing);
                RC_ASSERT(got->executable == (shifted < now_missing));
                if (got->replaced == nullptr && expected->empty()) {
                    RC_ASSERT(got->promoted.size() == now_missing - first_missing);
                }
                break;
            }
            case 1: {
                const AdmittedPtr tx = model.next();
                RC_ASSERT(pool.next(~uint64_t{0}) == tx);
                if (tx == nullptr) { break; }
                pool.executed(*tx);
                index.remove(tx->hash);
                model.erase(tx);
                ++model.account_nonce[tx->sender];
                ++model.given_out;
                break;
            }
            case 2: {
                const AdmittedPtr tx = model.next();
                if (tx == nullptr) { break; }
                pool.drop(*tx);
                model.erase(tx);
                break;
            }
            case 4: {
                const Address who = stranger(*rc::gen::inRange<uint64_t>(0, senders));
                uint64_t& nonce = model.account_nonce[who];
                nonce += *rc::gen::inRange<uint64_t>(0, 4);
                std::vector<AdmittedPtr> passed;
                for (const auto& i : model.items) {
                    if (i.tx->sender == who && i.tx->transaction.nonce < nonce) {
                        passed.push_back(i.tx);
                    }
                }
                for (const AdmittedPtr& tx : passed) { model.erase(tx); }
                std::vector<AdmittedPtr> got = pool.account_changed(who, nonce);
                std::sort(got.begin(), got.end());
                std::sort(passed.begin(), passed.end());
                RC_ASSERT(got == passed);
                break;
            }
            case 3: {
                model.base_fee = U256{*rc::gen::inRange<uint64_t>(0, 20)};
                pool.begin_block(model.base_fee);
                break;
            }
        }
        compare(pool, index, model);
    }
    // What is left runs in the model's order.
    while (const AdmittedPtr tx = model.next()) {
        RC_ASSERT(pool.next(~uint64_t{0}) == tx);
        pool.executed(*tx);
        index.remove(tx->hash);
        model.erase(tx);
        ++model.account_nonce[tx->sender];
        ++model.given_out;
    }
    RC_ASSERT(pool.next(~uint64_t{0}) == nullptr);
}

RC_GTEST_PROP(CellProperty, InterleavedTransactionsEqualTheirSerialReplay, (uint64_t seed)) {
    const Schedule s = run_schedule(seed, Validation::on);
    RC_ASSERT(s.wrong == "");
}

}  // namespace
}  // namespace millrace::sequencer
