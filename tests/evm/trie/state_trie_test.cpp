// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the state trie: accounts, storage, roots and proofs.
#include "evm/trie/state_trie.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "evm/trie/vector_hash_batch.hpp"
#include "evm/tx/block.hpp"
#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"
#include "tests/evm/trie/naive_trie.hpp"

namespace millrace::evm {
namespace {

struct ModelAccount {
    uint64_t nonce = 0;
    U256 balance;
    Hash256 code_hash;
    std::map<U256, U256> storage;
};
using Model = std::map<Address, ModelAccount>;

Bytes hashed_key(ByteView v) {
    const Hash256 h = kernels::keccak256(v);
    return {h.begin(), h.end()};
}

Hash256 naive_storage_root(const ModelAccount& account) {
    std::map<Bytes, Bytes> slots;
    for (const auto& [key, value] : account.storage) {
        slots[hashed_key(to_hash(key).view())] = rlp::encode(value);
    }
    return test::NaiveTrie::root(slots);
}

Hash256 naive_root(const Model& model) {
    std::map<Bytes, Bytes> accounts;
    for (const auto& [address, account] : model) {
        Bytes leaf;
        rlp::append_u64(leaf, account.nonce);
        rlp::append_u256(leaf, account.balance);
        rlp::append_fixed(leaf, naive_storage_root(account));
        rlp::append_fixed(leaf, account.code_hash);
        accounts[hashed_key(address.view())] = rlp::list(leaf);
    }
    return test::NaiveTrie::root(accounts);
}

Address account_address(uint64_t n) {
    Address a;
    a[0] = static_cast<uint8_t>(n);
    a[19] = static_cast<uint8_t>(n >> 8);
    return a;
}

/// Random operations on a trie and on a model of it.
class Pair {
public:
    explicit Pair(uint64_t seed, HashBatch& hasher = sequential_hash_batch())
        : trie(hasher), random_(seed) {}

    void step() {
        const Address address = any_address();
        ModelAccount* account = model.contains(address) ? &model[address] : nullptr;
        const uint64_t choice = random_() % 16;
        if (account == nullptr || choice < 4) {
            ModelAccount& a = model[address];
            a.nonce = random_() % 3 == 0 ? 0 : random_();
            a.balance = shr(U256{random_(), random_(), random_(), random_()}, random_() % 257);
            a.code_hash = random_() % 2 == 0 ? empty_code_hash : kernels::keccak256(address.view());
            trie.set_account(address, a.nonce, a.balance, a.code_hash);
        } else if (choice == 4) {
            trie.remove_account(address);
            model.erase(address);
        } else if (choice == 5) {
            trie.wipe_storage(address);
            account->storage.clear();
        } else {
            const U256 key = any_slot();
            const U256 value = random_() % 3 == 0 ? U256{} : U256{1 + random_() % 1000};
            trie.set_storage(address, key, value);
            if (value.is_zero()) {
                account->storage.erase(key);
            } else {
                account->storage[key] = value;
            }
        }
    }
    uint64_t random() { return random_(); }
    Address any_address() { return account_address(random_() % 60); }
    U256 any_slot() { return U256{random_() % 20}; }

    StateTrie trie;
    Model model;

private:
    std::mt19937_64 random_;
};

TEST(StateTrie, EmptyTrieHasTheEmptyRoot) {
    StateTrie trie;
    EXPECT_EQ(trie.root(), empty_trie_root);
    trie.remove_account({});
    trie.wipe_storage({});
    trie.set_storage({}, U256{1}, U256{});
    EXPECT_EQ(trie.root(), empty_trie_root);
    EXPECT_EQ(trie.account({}), std::nullopt);
    EXPECT_EQ(trie.account_count(), 0u);
}

TEST(StateTrie, FollowsTheNaiveRootOverRandomBlocks) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Pair pair(seed, seed % 2 == 0 ? sequential_hash_batch() : vector_hash_batch());
        for (int block = 0; block < 40; ++block) {
            const uint64_t steps = pair.random() % 40;
            for (uint64_t i = 0; i < steps; ++i) { pair.step(); }
            ASSERT_EQ(pair.trie.root(), naive_root(pair.model)) << "block " << block;
            ASSERT_EQ(pair.trie.account_count(), pair.model.size());
        }
        size_t slots = 0;
        for (const auto& [address, account] : pair.model) {
            const AccountState expected{account.nonce, account.balance, naive_storage_root(account),
                                        account.code_hash};
            EXPECT_EQ(pair.trie.account(address), expected);
            EXPECT_EQ(pair.trie.has_storage(address), !account.storage.empty());
            for (const auto& [key, value] : account.storage) {
                EXPECT_EQ(pair.trie.storage(address, key), value);
            }
            slots += account.storage.size();
        }
        EXPECT_EQ(pair.trie.slot_count(), slots);
    }
}

TEST(StateTrie, AccountGivesAFreshStorageRootBetweenRoots) {
    StateTrie trie;
    const Address address = account_address(1);
    ModelAccount model{1, U256{2}, empty_code_hash, {}};
    trie.set_account(address, model.nonce, model.balance, model.code_hash);
    trie.root();
    for (uint64_t i = 1; i < 20; ++i) {
        trie.set_storage(address, U256{i}, U256{i});
        model.storage[U256{i}] = U256{i};
        EXPECT_EQ(trie.account(address)->storage_root, naive_storage_root(model));
    }
    EXPECT_EQ(trie.root(), naive_root({{address, model}}));
}

TEST(StateTrie, StorageOfARemovedAccountDoesNotComeBack) {
    StateTrie trie;
    const Address address = account_address(1);
    trie.set_account(address, 1, U256{}, empty_code_hash);
    trie.set_storage(address, U256{1}, U256{1});
    trie.root();
    trie.remove_account(address);
    trie.set_account(address, 1, U256{}, empty_code_hash);
    EXPECT_FALSE(trie.has_storage(address));
    EXPECT_EQ(trie.storage(address, U256{1}), U256{});
    EXPECT_EQ(trie.slot_count(), 0u);
    EXPECT_EQ(trie.account(address)->storage_root, empty_trie_root);
}

TEST(StateTrie, MovedTrieGoesOn) {
    Pair pair(5);
    for (int i = 0; i < 100; ++i) { pair.step(); }
    StateTrie moved(std::move(pair.trie));
    pair.trie = std::move(moved);
    for (int i = 0; i < 100; ++i) { pair.step(); }
    EXPECT_EQ(pair.trie.root(), naive_root(pair.model));
}

/// Hashes one by one and notes how many came at a time.
class CountingBatch final : public HashBatch {
public:
    void hash(std::span<const ByteView> messages, std::span<Hash256> digests) noexcept override {
        sizes.push_back(messages.size());
        sequential_hash_batch().hash(messages, digests);
    }
    std::vector<size_t> sizes;
};

TEST(StateTrie, AllTriesAreHashedTogetherLevelByLevel) {
    CountingBatch batch;
    StateTrie trie(batch);
    constexpr uint32_t accounts = 100;
    constexpr uint32_t slots = 8;
    for (uint32_t i = 0; i < accounts; ++i) {
        Address address;
        address[0] = static_cast<uint8_t>(i);
        trie.set_account(address, i, U256{i}, empty_code_hash);
        for (uint32_t k = 1; k <= slots; ++k) { trie.set_storage(address, U256{k}, U256{i + k}); }
    }
    const Hash256 root = trie.root();
    EXPECT_NE(empty_trie_root, root);
    const size_t total = std::accumulate(batch.sizes.begin(), batch.sizes.end(), size_t{0});
    EXPECT_GE(total, accounts * (slots + 2));
    // Eight slots, and a hundred accounts, lie within a few levels; one trie at a time would take
    // more than a hundred batches.
    EXPECT_LE(batch.sizes.size(), 16u);
    EXPECT_GE(*std::max_element(batch.sizes.begin(), batch.sizes.end()), accounts * slots / 2);
}

TEST(StateTrieProof, OfEveryAccountAndSlotVerifies) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Pair pair(seed);
        for (int i = 0; i < 1500; ++i) { pair.step(); }
        const Hash256 root = pair.trie.root();
        std::vector<U256> keys;
        for (uint64_t i = 0; i < 25; ++i) { keys.push_back(U256{i}); }
        for (uint64_t n = 0; n < 80; ++n) {
            const Address address = account_address(n);
            const Proof proof = pair.trie.prove(address, keys);
            const auto verified = verify_proof(root, proof);
            ASSERT_TRUE(verified) << verified.error().message;
            const auto it = pair.model.find(address);
            ASSERT_EQ(proof.exists, it != pair.model.end());
            ASSERT_EQ(verify_account_proof(root, address, proof.account_nodes)->has_value(),
                      proof.exists);
            ASSERT_EQ(proof.storage.size(), keys.size());
            for (const StorageProof& slot : proof.storage) {
                U256 expected;
                if (proof.exists && it->second.storage.contains(slot.key)) {
                    expected = it->second.storage[slot.key];
                }
                ASSERT_EQ(slot.value, expected);
            }
        }
    }
}

TEST(StateTrieProof, FalseClaimsFail) {
    Pair pair(3);
    for (int i = 0; i < 1000; ++i) { pair.step(); }
    const Hash256 root = pair.trie.root();
    const auto with_storage = std::find_if(pair.model.begin(), pair.model.end(), [](const auto& e) {
        return e.second.storage.size() > 3;
    });
    ASSERT_NE(with_storage, pair.model.end());
    const U256 set_slot = with_storage->second.storage.begin()->first;
    const std::vector<U256> keys{set_slot, U256{777}};
    const Proof proof = pair.trie.prove(with_storage->first, keys);
    ASSERT_TRUE(verify_proof(root, proof));
    const auto refuses = [&](auto&& change) {
        Proof changed = proof;
        change(changed);
        return !verify_proof(root, changed);
    };
    EXPECT_TRUE(refuses([](Proof& p) { ++p.account.nonce; }));
    EXPECT_TRUE(refuses([](Proof& p) { p.account.balance += U256{1}; }));
    EXPECT_TRUE(refuses([](Proof& p) { p.account.storage_root = empty_trie_root; }));
    EXPECT_TRUE(refuses([](Proof& p) { p.account.code_hash[0] ^= 1; }));
    EXPECT_TRUE(refuses([](Proof& p) { p.exists = false; }));
    EXPECT_TRUE(refuses([](Proof& p) { p.address[5] ^= 1; }));
    EXPECT_TRUE(refuses([](Proof& p) { p.account_nodes.clear(); }));
    EXPECT_TRUE(refuses([](Proof& p) { p.account_nodes.pop_back(); }));
    EXPECT_TRUE(refuses([](Proof& p) { p.storage[0].value += U256{1}; }));
    EXPECT_TRUE(refuses([](Proof& p) { p.storage[0].value = U256{}; }));
    EXPECT_TRUE(refuses([](Proof& p) { p.storage[1].value = U256{1}; }));
    EXPECT_TRUE(refuses([](Proof& p) { p.storage[0].key += U256{1000}; }));
    EXPECT_TRUE(refuses([](Proof& p) { std::swap(p.storage[0].nodes, p.storage[1].nodes); }));
    EXPECT_TRUE(refuses([](Proof& p) { p.storage[1].nodes.clear(); }));
    EXPECT_FALSE(verify_proof(empty_trie_root, proof));
}

TEST(StateTrieProof, OfNothingIsEmpty) {
    StateTrie trie;
    const std::vector<U256> keys{U256{1}};
    const Proof proof = trie.prove(account_address(1), keys);
    EXPECT_TRUE(proof.account_nodes.empty());
    EXPECT_TRUE(proof.storage.at(0).nodes.empty());
    EXPECT_EQ(proof.account.code_hash, empty_code_hash);
    EXPECT_TRUE(verify_proof(trie.root(), proof));
}

TEST(AccountRlp, SurvivesEncoding) {
    const AccountState account{~0ull, U256::max(), empty_trie_root, empty_code_hash};
    EXPECT_EQ(decode_account(encode_account(account)).value(), account);
    EXPECT_FALSE(decode_account(ByteView(encode_account(account)).first(50)));
    EXPECT_FALSE(decode_account(Bytes{0xc0}));
}

}  // namespace
}  // namespace millrace::evm
