// SPDX-License-Identifier: Apache-2.0
// Owns the tests that replays refuse what was tampered with, by a stable name, with any number of
// threads.
#include <gtest/gtest.h>

#include <map>

#include "tests/host/validator/random_chain.hpp"
#include "tests/net/sync/nested_access.hpp"

namespace millrace::validator {
namespace {

using namespace test;
using sync::test::Mutation;

constexpr ReplayWay both_ways[] = {ReplayWay::by_dependencies, ReplayWay::by_values};

char letter(CellName::Field field) {
    switch (field) {
        case CellName::Field::nonce: return 'n';
        case CellName::Field::balance: return 'b';
        case CellName::Field::code: return 'c';
        case CellName::Field::storage: return 's';
        case CellName::Field::block_hash: return 'h';
    }
    return '?';
}

/// Three replayers with different numbers of threads, which must agree.
class Replayers {
public:
    explicit Replayers(std::initializer_list<uint32_t> counts) {
        for (const uint32_t n : counts) {
            all_.push_back(std::make_unique<Replayer>(ReplayOptions{n}, precompiles_));
        }
    }
    std::expected<Replayed, ReplayFault> replay(ReplayWay way, const SerialMiniBlock& m,
                                                const sync::MiniBlockAccess& access) {
        auto first = all_[0]->replay(way, m.block, m.transactions, access, m.pre_state);
        for (size_t k = 1; k < all_.size(); ++k) {
            const auto other = all_[k]->replay(way, m.block, m.transactions, access, m.pre_state);
            EXPECT_EQ(other.has_value(), first.has_value());
            if (!other && !first) {
                EXPECT_EQ(other.error(), first.error()) << other.error().text() << "\n"
                                                        << first.error().text();
            }
        }
        return first;
    }

private:
    evm::StandardPrecompiles precompiles_;
    std::vector<std::unique_ptr<Replayer>> all_;
};

TEST(Tampering, EverySingleChangeIsRefusedBothWays) {
    Replayers replayers{1, 3};
    std::map<std::string, size_t> refusals;
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        RandomChain chain(seed, 5);
        chain.next(20);
        const SerialMiniBlock m = chain.next(24);
        sync::test::NestedAccess n = sync::test::nested(m.access);
        ASSERT_EQ(sync::test::flat(n), m.access);
        sync::test::for_each_mutation(n, [&](const Mutation& mutation) {
            const sync::MiniBlockAccess tampered = sync::test::flat(n);
            ASSERT_NE(tampered, m.access) << mutation.what;
            for (const ReplayWay way : both_ways) {
                const auto r = replayers.replay(way, m, tampered);
                ASSERT_FALSE(r.has_value())
                    << mutation.what << " of transaction " << mutation.transaction << " at "
                    << to_hex(mutation.address) << " " << mutation.field;
                ++refusals[r.error().name()];
                if (mutation.kind != Mutation::Kind::value) { continue; }
                // A wrong value is found where it is written, whoever reads it.
                EXPECT_EQ(r.error().error, ReplayError::value_mismatch) << r.error().text();
                EXPECT_EQ(r.error().transaction, mutation.transaction);
                EXPECT_EQ(r.error().cell->address, mutation.address);
                EXPECT_EQ(letter(r.error().cell->field), mutation.field);
                EXPECT_EQ(r.error().cell->slot, mutation.slot);
            }
        });
    }
    for (const char* name :
         {"malformed_access", "header_mismatch", "transactions_mismatch", "undeclared_read",
          "undeclared_dependency", "undeclared_write", "value_mismatch", "missing_write",
          "gas_used_mismatch", "status_mismatch", "dependencies_mismatch", "missing_read",
          "receipts_mismatch"}) {
        EXPECT_GT(refusals[name], 0u) << name;
    }
}

TEST(Tampering, WhatIsAcceptedAfterManyChangesIsTheTruth) {
    Replayers replayers{1, 4};
    RandomChain chain(11, 5);
    chain.next(20);
    const SerialMiniBlock m = chain.next(40);
    std::mt19937_64 random(3);
    for (int round = 0; round < 400; ++round) {
        sync::MiniBlockAccess t = m.access;
        for (uint64_t k = 2 + random() % 4; k > 0; --k) {
            const auto any = [&](auto& list) -> auto& { return list[random() % list.size()]; };
            switch (random() % 8) {
                case 0: any(t.balance_changes).balance += U256{random() % 2}; break;
                case 1: any(t.nonce_changes).nonce += random() % 2; break;
                case 2: any(t.storage_changes).value += U256{random() % 2}; break;
                case 3: any(t.balance_changes).transaction ^= random() % 2; break;
                case 4: any(t.storage_changes).transaction ^= random() % 2; break;
                case 5: any(t.dependencies) += static_cast<uint32_t>(random() % 2); break;
                case 6: any(t.transactions).gas_used += random() % 2; break;
                default: any(t.accounts).reads ^= static_cast<uint8_t>(random() % 2); break;
            }
        }
        for (const ReplayWay way : both_ways) {
            const auto r = replayers.replay(way, m, t);
            EXPECT_EQ(r.has_value(), t == m.access);
        }
    }
}

TEST(Tampering, OtherTransactionsOrAnotherOrderAreRefused) {
    Replayers replayers{1, 2};
    RandomChain chain(12, 5);
    const SerialMiniBlock m = chain.next(30);
    for (size_t i = 0; i + 1 < m.transactions.size(); ++i) {
        SerialMiniBlock swapped = m;
        std::swap(swapped.transactions[i], swapped.transactions[i + 1]);
        for (const ReplayWay way : both_ways) {
            auto r = replayers.replay(way, swapped, m.access);
            ASSERT_FALSE(r.has_value());
            EXPECT_EQ(r.error().error, ReplayError::transactions_mismatch);
            // And with a digest to match, because somebody else did something there.
            sync::MiniBlockAccess access = m.access;
            std::vector<Hash256> hashes;
            for (const ReplayTransaction& t : swapped.transactions) { hashes.push_back(t.hash); }
            access.header.transactions_digest = sync::transactions_digest(hashes);
            r = replayers.replay(way, swapped, access);
            ASSERT_FALSE(r.has_value());
            EXPECT_LE(*r.error().transaction, i + 1);
        }
    }
    SerialMiniBlock fewer = m;
    fewer.transactions.pop_back();
    EXPECT_EQ(replayers.replay(ReplayWay::by_values, fewer, m.access).error().error,
              ReplayError::transactions_mismatch);
}

TEST(Tampering, AnotherPreStateIsRefused) {
    Replayers replayers{1, 2};
    RandomChain chain(13, 5);
    SerialMiniBlock m = chain.next(40);
    m.pre_state.accounts[RandomChain::sender(2)].nonce += 1;
    for (const ReplayWay way : both_ways) {
        const auto r = replayers.replay(way, m, m.access);
        ASSERT_FALSE(r.has_value());
        EXPECT_EQ(r.error().name(), "transaction_invalid.nonce_too_low");
    }
}

/// A sender is paid, pays, and is said to have paid first: the balances are those of arithmetic
/// modulo 2^256, the dependencies those of bounds that hold.
TEST(Tampering, MoneyCannotBeSpentBeforeItIsThere) {
    const uint64_t cost = 21'000 * gwei;
    MemoryState state;
    const Address rich = stranger(1), poor = stranger(2), shop = stranger(3);
    state.accounts[rich].balance = sequencer::test::ether;
    state.accounts[poor].balance = U256{cost * 3};
    ReplayBlock block;
    block.rules = evm::millrace_rules(sequencer::test::chain_id);
    block.environment.gas_limit = 100'000'000;
    block.environment.base_fee_per_gas = U256{gwei};
    std::vector<AdmittedPtr> admitted{
        unsigned_of(rich, transfer_transaction(0, poor, U256{1})),
        unsigned_of(poor, transfer_transaction(0, shop, sequencer::test::ether / U256{2})),
        unsigned_of(rich, transfer_transaction(1, poor, sequencer::test::ether / U256{2}))};
    std::vector<ReplayTransaction> transactions;
    std::vector<Hash256> hashes;
    for (const AdmittedPtr& a : admitted) {
        transactions.push_back({&a->transaction, a->hash, a->sender, {}});
        hashes.push_back(a->hash);
    }
    // What a sequencer without a check of bounds would have published.
    struct Unchecked final : evm::StateView {
        MemoryView base;
        evm::StateOverlay overlay{&base};
        explicit Unchecked(const MemoryState& s) : base(s) {}
        bool account_exists(const Address&) override { return true; }
        uint64_t nonce(const Address& a) override { return overlay.nonce(a); }
        U256 balance(const Address& a) override { return overlay.balance(a); }
        bool balance_at_least(const Address&, const U256&) override { return true; }
        Hash256 code_hash(const Address& a) override { return overlay.code_hash(a); }
        evm::CodePtr code(const Hash256& h) override { return overlay.code(h); }
        U256 storage(const Address& a, const U256& k) override { return overlay.storage(a, k); }
        bool has_storage(const Address& a) override { return overlay.has_storage(a); }
        Hash256 block_hash(uint64_t n) override { return overlay.block_hash(n); }
    } unchecked(state);
    evm::StandardPrecompiles precompiles;
    evm::Workspace workspace;
    sync::AccessBuilder builder;
    std::vector<evm::Receipt> receipts;
    uint64_t gas = 0;
    for (const AdmittedPtr& a : admitted) {
        RecordingView recorder(unchecked);
        const auto r =
            evm::execute_transaction({a->transaction, a->sender, {}}, recorder, workspace,
                                     block.rules, precompiles, block.environment, 10'000'000);
        ASSERT_TRUE(r.has_value());
        unchecked.overlay.apply(r->changes, true);
        std::vector<sync::AccountWrite> writes;
        for (const evm::AccountChange& c : r->changes.accounts) {
            writes.push_back({c.address, c.nonce, unchecked.overlay.balance(c.address), false, {}});
        }
        builder.add({r->gas_used, r->success(), recorder.reads(), {}, writes, {}});
        receipts.push_back({a->transaction.type, true, {}, gas += r->gas_used, {}, {}});
    }
    sync::AccessHeader header;
    header.environment = access_environment(block.environment);
    header.transactions_digest = sync::transactions_digest(hashes);
    header.receipts_digest = receipts_digest(receipts);
    sync::MiniBlockAccess access;
    builder.finish(header, access);
    for (const uint32_t threads : {1u, 4u}) {
        Replayer replayer({threads}, precompiles);
        auto r = replayer.replay(ReplayWay::by_dependencies, block, transactions, access, state);
        ASSERT_FALSE(r.has_value());
        EXPECT_EQ(r.error().error, ReplayError::bound_violated) << r.error().text();
        EXPECT_EQ(r.error().transaction, 1u);
        EXPECT_EQ(r.error().cell->address, poor);
        r = replayer.replay(ReplayWay::by_values, block, transactions, access, state);
        ASSERT_FALSE(r.has_value());
        EXPECT_EQ(r.error().name(), "transaction_invalid.insufficient_funds");
    }
}

TEST(Tampering, WordingIsStable) {
    Replayers replayers{1};
    RandomChain chain(14, 5);
    const SerialMiniBlock m = chain.next(10, kinds({Kind::counter}));
    sync::test::NestedAccess n = sync::test::nested(m.access);
    for (auto& a : n.accounts) {
        if (a.address == counter_contract) { a.changed_slots[0].changes[4].value = U256{77}; }
    }
    const auto r = replayers.replay(ReplayWay::by_values, m, sync::test::flat(n));
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().text(),
              "value_mismatch, transaction 4, slot 0x0 of "
              "0x00000000000000000000000000000000000000c1: claimed 0x4d, computed 0x5");
}

}  // namespace
}  // namespace millrace::validator
