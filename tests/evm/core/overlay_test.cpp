// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the overlay: what it reads through, what it keeps, how changes apply.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

StateChanges one(const Address& a, const std::function<void(AccountChange&)>& f) {
    StateChanges c;
    c.accounts.emplace_back().address = a;
    c.accounts.back().touched = true;
    f(c.accounts.back());
    return c;
}

class OverlayTest : public ::testing::Test {
protected:
    OverlayTest() {
        base_.set_balance(other_address, U256{10});
        base_.set_nonce(other_address, 3);
        base_.set_code(other_address, Bytes{0x01});
        base_.set_storage(other_address, U256{1}, U256{11});
        base_.set_block_hash(7, to_hash(U256{77}));
    }
    StateOverlay base_;
    StateOverlay top_{&base_};
};

TEST_F(OverlayTest, ReadsThroughToItsBase) {
    EXPECT_TRUE(top_.account_exists(other_address));
    EXPECT_EQ(top_.balance(other_address), U256{10});
    EXPECT_TRUE(top_.balance_at_least(other_address, U256{10}));
    EXPECT_FALSE(top_.balance_at_least(other_address, U256{11}));
    EXPECT_EQ(top_.nonce(other_address), 3u);
    EXPECT_EQ(*top_.code(top_.code_hash(other_address)), Bytes{0x01});
    EXPECT_EQ(top_.storage(other_address, U256{1}), U256{11});
    EXPECT_EQ(top_.storage(other_address, U256{2}), U256{});
    EXPECT_TRUE(top_.has_storage(other_address));
    EXPECT_EQ(top_.block_hash(7), to_hash(U256{77}));
    EXPECT_FALSE(top_.account_exists(self_address));
    EXPECT_EQ(top_.code_hash(self_address), kernels::keccak256_of_empty);
    EXPECT_TRUE(top_.code(kernels::keccak256_of_empty)->empty());
    EXPECT_FALSE(top_.accounts().at(other_address).changed) << "reading changes nothing";
}

TEST_F(OverlayTest, AppliesDeltasAndWritesAndLeavesTheBaseAlone) {
    auto code = std::make_shared<const Bytes>(Bytes{0x02});
    top_.apply(one(other_address,
                   [&](AccountChange& c) {
                       c.credit = U256{5};
                       c.debit = U256{2};
                       c.nonce = 4;
                       c.code = code;
                       c.code_hash = kernels::keccak256(*code);
                       c.storage = {{U256{1}, U256{}}, {U256{2}, U256{22}}};
                   }),
               true);
    EXPECT_EQ(top_.balance(other_address), U256{13});
    EXPECT_EQ(top_.nonce(other_address), 4u);
    EXPECT_EQ(*top_.code(top_.code_hash(other_address)), *code);
    EXPECT_EQ(top_.storage(other_address, U256{1}), U256{});
    EXPECT_EQ(top_.storage(other_address, U256{2}), U256{22});
    EXPECT_EQ(base_.balance(other_address), U256{10});
    EXPECT_EQ(base_.storage(other_address, U256{1}), U256{11});
}

TEST_F(OverlayTest, DestroyedAccountsAreGoneWithTheirStorage) {
    top_.apply(one(other_address, [](AccountChange& c) { c.destroyed = true; }), true);
    EXPECT_FALSE(top_.account_exists(other_address));
    EXPECT_EQ(top_.balance(other_address), U256{});
    EXPECT_EQ(top_.storage(other_address, U256{1}), U256{});
    EXPECT_FALSE(top_.has_storage(other_address));
    EXPECT_EQ(top_.code_hash(other_address), kernels::keccak256_of_empty);
}

TEST_F(OverlayTest, WipedStorageHoldsOnlyTheNewSlots) {
    top_.apply(one(other_address,
                   [](AccountChange& c) {
                       c.storage_wiped = true;
                       c.storage = {{U256{5}, U256{55}}};
                   }),
               true);
    EXPECT_EQ(top_.storage(other_address, U256{1}), U256{});
    EXPECT_EQ(top_.storage(other_address, U256{5}), U256{55});
    EXPECT_TRUE(top_.has_storage(other_address));
}

TEST_F(OverlayTest, TouchedEmptyAccountsGoFromEip161OnAndStayBefore) {
    for (const bool clear : {true, false}) {
        StateOverlay o{&base_};
        o.apply(one(self_address, [](AccountChange&) {}), clear);
        EXPECT_EQ(o.account_exists(self_address), !clear);
    }
    top_.apply(one(self_address, [](AccountChange& c) { c.credit = U256{1}; }), true);
    EXPECT_TRUE(top_.account_exists(self_address));
    top_.apply(one(self_address, [](AccountChange& c) { c.debit = U256{1}; }), true);
    EXPECT_FALSE(top_.account_exists(self_address));
}

TEST_F(OverlayTest, StacksOfOverlaysReadTheNearest) {
    top_.set_balance(other_address, U256{20});
    StateOverlay higher{&top_};
    EXPECT_EQ(higher.balance(other_address), U256{20});
    higher.add_balance(other_address, U256{1});
    higher.clear_storage(other_address);
    EXPECT_EQ(higher.balance(other_address), U256{21});
    EXPECT_EQ(higher.storage(other_address, U256{1}), U256{});
    EXPECT_EQ(top_.storage(other_address, U256{1}), U256{11});
}

TEST(CodeCache, IsBoundedAndAsksOnce) {
    StateOverlay state;
    std::vector<Hash256> hashes;
    for (uint8_t i = 0; i < 10; ++i) {
        state.set_code(address_of(i), Bytes(100, i));
        hashes.push_back(state.code_hash(address_of(i)));
    }
    constexpr size_t limit = 7000;  // of about 2,000 for each analysis
    CodeCache cache{limit};
    const AnalyzedCodePtr first = cache.get(hashes[0], state);
    EXPECT_EQ(cache.get(hashes[0], state), first);
    for (const Hash256& h : hashes) { cache.get(h, state); }
    EXPECT_LE(cache.bytes(), limit);
    EXPECT_GT(cache.bytes(), limit / 2);
    EXPECT_NE(cache.get(hashes[0], state), first) << "the oldest was evicted";
    EXPECT_EQ(first->size(), 100u) << "and lives as long as it is used";
}

TEST(CodeCache, KeepsWhatIsAskedForAndCountsSmallCodeInFull) {
    StateOverlay state;
    constexpr size_t limit = 100'000;
    CodeCache cache{limit};
    state.set_code(address_of(1), Bytes(3, 0x5b));
    const Hash256 wanted = state.code_hash(address_of(1));
    const AnalyzedCodePtr kept = cache.get(wanted, state);
    for (uint64_t i = 2; i < 2'000; ++i) {
        Bytes code(8, 0);
        std::memcpy(code.data(), &i, sizeof i);
        state.set_code(address_of(i), code);
        const size_t before = cache.bytes();
        cache.get(state.code_hash(address_of(i)), state);
        if (i == 2) { EXPECT_GT(cache.bytes() - before, 850u); }
        ASSERT_LE(cache.bytes(), limit);
        ASSERT_EQ(cache.get(wanted, state), kept) << i;
    }
}

}  // namespace
}  // namespace millrace::evm
