// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the state store: versions, pins, wipes, rollback, readers beside the writer.
#include <atomic>
#include <thread>

#include "tests/storage/state_store_suite.hpp"

namespace millrace::storage {

INSTANTIATE_TEST_SUITE_P(Memory, StateStoreSuite,
                         ::testing::Values(CommitmentCase{"memory", make_memory_commitment,
                                                          std::nullopt}),
                         [](const auto& param) { return param.param.name; });

namespace {

AccountDelta account(const Address& address, uint64_t nonce, const U256& balance) {
    AccountDelta a;
    a.address = address;
    a.nonce = nonce;
    a.balance = balance;
    a.code_hash = kernels::keccak256_of_empty;
    return a;
}

/// Every question that a reader can ask, against the oracle.
void expect_same(const StateSnapshot& snapshot, const StateModel& model, uint64_t addresses,
                 uint64_t keys) {
    for (uint64_t i = 0; i < addresses; ++i) {
        const Address address = model_address(i);
        const auto it = model.accounts.find(address);
        const auto got = snapshot.account(address);
        ASSERT_EQ(got.has_value(), it != model.accounts.end());
        if (got) {
            ASSERT_EQ(*got, it->second.account);
            if (got->code_hash != kernels::keccak256_of_empty) {
                const CodePtr code = snapshot.code(got->code_hash);
                ASSERT_NE(code, nullptr);
                ASSERT_EQ(kernels::keccak256(*code), got->code_hash);
            }
            ASSERT_EQ(snapshot.incarnation(address), got->incarnation);
        } else {
            const auto dead = model.incarnations.find(address);
            ASSERT_EQ(snapshot.incarnation(address),
                      dead == model.incarnations.end() ? 0 : dead->second);
        }
        ASSERT_EQ(snapshot.has_storage(address), got && !it->second.slots.empty());
        for (uint64_t k = 0; k < keys; ++k) {
            U256 expected;
            if (got) {
                const auto slot = it->second.slots.find(model_key(k));
                expected = slot == it->second.slots.end() ? U256{} : slot->second;
            }
            ASSERT_EQ(snapshot.slot(address, model_key(k)), expected);
        }
    }
    ASSERT_EQ(StateModel::of(snapshot), model);
}

}  // namespace

TEST(StateStore, AgreesWithAnOrderedMapUnderVersionsPinsAndRollbacks) {
    for (const uint64_t window : {uint64_t{0}, uint64_t{3}, uint64_t{1000}}) {
        for (uint64_t seed = 1; seed <= 20; ++seed) {
            SCOPED_TRACE("window " + std::to_string(window) + " seed " + std::to_string(seed));
            std::mt19937_64 random{seed * 1000 + window};
            const auto store = make_memory_state_store({.window_deltas = window, .shard_count = 4});
            std::map<uint64_t, StateModel> history{{0, {}}};
            std::vector<std::shared_ptr<const StateSnapshot>> pins;
            uint64_t version = 0;
            for (int step = 0; step < 120; ++step) {
                const uint64_t next = version + 1 + random() % 3;
                switch (random() % 8) {
                    case 0: pins.push_back(store->snapshot()); break;
                    case 1:
                        if (!pins.empty()) {
                            pins.erase(pins.begin() +
                                       static_cast<ptrdiff_t>(random() % pins.size()));
                        }
                        break;
                    case 2: {
                        const uint64_t target = random() % (version + 1);
                        const uint64_t oldest = store->stats().oldest_version;
                        const auto delta = store->rollback_to(target, next);
                        ASSERT_EQ(delta.has_value(), target >= oldest);
                        if (delta) {
                            history[next] = std::prev(history.upper_bound(target))->second;
                            version = next;
                        }
                        break;
                    }
                    case 3: {
                        const uint64_t target = random() % (version + 2);
                        const uint64_t oldest = store->stats().oldest_version;
                        const auto old = store->snapshot_at(target);
                        ASSERT_EQ(old.has_value(), target >= oldest && target <= version);
                        if (old) {
                            expect_same(**old, std::prev(history.upper_bound(target))->second, 12,
                                        8);
                        }
                        break;
                    }
                    default: {
                        StateModel model = history.at(version);
                        const StateDelta d = random_delta(random, model);
                        model.apply(d);
                        const auto applied = store->apply(next, d);
                        ASSERT_TRUE(applied.has_value()) << applied.error().message;
                        history[next] = model;
                        version = next;
                        break;
                    }
                }
                ASSERT_EQ(store->version(), version);
                if (step % 10 == 9) {
                    expect_same(*store->snapshot(), history.at(version), 12, 8);
                    for (const auto& pin : pins) {
                        expect_same(*pin, history.at(pin->version()), 12, 8);
                    }
                    if (HasFatalFailure()) { return; }
                }
            }
        }
    }
}

TEST(StateStore, ForgetsOldVersionsAndDeadEntries) {
    const auto store = make_memory_state_store({.window_deltas = 2, .shard_count = 2});
    const Address a = model_address(1);
    ASSERT_TRUE(store->apply(1, {{account(a, 1, 1)}, {{a, 1, 7}, {a, 2, 8}}, {}}).has_value());
    EXPECT_EQ(store->stats().slots, 2u);
    AccountDelta gone;
    gone.address = a;
    gone.deleted = true;
    ASSERT_TRUE(store->apply(2, {{gone}, {}, {}}).has_value());
    EXPECT_EQ(store->snapshot()->slot(a, 1), U256{});
    EXPECT_EQ((*store->snapshot_at(1))->slot(a, 1), U256{7});
    for (uint64_t v = 3; v <= 12; ++v) { ASSERT_TRUE(store->apply(v, {}).has_value()); }
    EXPECT_EQ(store->stats().slots, 0u) << "void slots are swept";
    EXPECT_FALSE(store->snapshot_at(1).has_value());
    EXPECT_EQ(store->stats().deltas_kept, 2u);
    EXPECT_EQ(store->stats().oldest_version, 10u);
}

TEST(StateStore, WipedSlotsStayGoneWhenTheAccountComesBack) {
    const auto store = make_memory_state_store({.window_deltas = 0, .shard_count = 2});
    const Address a = model_address(1);
    ASSERT_TRUE(store->apply(1, {{account(a, 1, 1)}, {{a, 1, 7}}, {}}).has_value());
    AccountDelta gone;
    gone.address = a;
    gone.deleted = true;
    ASSERT_TRUE(store->apply(2, {{gone}, {}, {}}).has_value());
    ASSERT_TRUE(store->apply(3, {{account(a, 1, 1)}, {{a, 2, 9}}, {}}).has_value());
    EXPECT_EQ(store->snapshot()->slot(a, 1), U256{});
    EXPECT_EQ(store->snapshot()->slot(a, 2), U256{9});
    EXPECT_TRUE(store->snapshot()->has_storage(a));
}

TEST(StateStore, RefusesWhatCannotBeApplied) {
    const auto store = make_memory_state_store();
    const Address a = model_address(1);
    const Address b = model_address(2);
    ASSERT_TRUE(store->apply(5, {{account(a, 1, 1)}, {}, {}}).has_value());
    EXPECT_EQ(store->apply(5, {}).error().code, ErrorCode::invalid_input);
    EXPECT_EQ(store->apply(6, {{}, {{b, 1, 1}}, {}}).error().code, ErrorCode::invalid_input);
    EXPECT_TRUE(store->apply(6, {{}, {{b, 1, 0}}, {}}).has_value());
    AccountDelta coded = account(a, 1, 1);
    coded.code_hash = kernels::keccak256(as_bytes("unknown"));
    EXPECT_EQ(store->apply(7, {{coded}, {}, {}}).error().code, ErrorCode::invalid_input);
    StateDelta unsorted{{account(std::max(a, b), 1, 1), account(std::min(a, b), 1, 1)}, {}, {}};
    EXPECT_EQ(store->apply(7, unsorted).error().code, ErrorCode::invalid_input);
    EXPECT_EQ(store->snapshot()->account(a)->nonce, 1u);
    EXPECT_EQ(store->restore_part({}).error().code, ErrorCode::conflict);
}

TEST(StateStore, ReadersSeeWholeVersionsWhileTheWriterApplies) {
    // Each version sets the balances of two accounts and a slot of each to the version: a reader
    // that saw a mixture would find them different.
    const auto store = make_memory_state_store({.window_deltas = 4, .shard_count = 8});
    const Address a = std::min(model_address(1), model_address(2));
    const Address b = std::max(model_address(1), model_address(2));
    std::atomic<bool> done{false};
    std::atomic<uint64_t> mixed{0};
    std::atomic<uint64_t> reads{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; ++i) {
        readers.emplace_back([&] {
            while (!done.load(std::memory_order_relaxed)) {
                const auto s = store->snapshot();
                const U256 v{s->version()};
                const auto first = s->account(a);
                const auto second = s->account(b);
                const bool same = v.is_zero() ? !first && !second
                                              : first && second && first->balance == v &&
                                                    second->balance == v && s->slot(a, 1) == v &&
                                                    s->slot(b, 1) == v;
                mixed.fetch_add(same ? 0 : 1, std::memory_order_relaxed);
                reads.fetch_add(1, std::memory_order_relaxed);
            }
        });
    }
    for (uint64_t v = 1; v <= 3000; ++v) {
        StateDelta d{{account(a, v, U256{v}), account(b, v, U256{v})},
                     {{a, 1, U256{v}}, {b, 1, U256{v}}},
                     {}};
        // Wipes now and then, so that readers go through the slower path as well.
        d.accounts[0].storage_wiped = v % 100 == 0;
        ASSERT_TRUE(store->apply(v, d).has_value());
    }
    while (reads.load(std::memory_order_relaxed) < 100) { std::this_thread::yield(); }
    done.store(true, std::memory_order_relaxed);
    for (std::thread& t : readers) { t.join(); }
    EXPECT_EQ(mixed.load(), 0u);
}

}  // namespace millrace::storage
