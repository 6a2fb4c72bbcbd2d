// SPDX-License-Identifier: Apache-2.0
// Owns the joining of the account trie with the storage tries below it.
#include "evm/trie/state_trie.hpp"

#include <vector>

#include "evm/trie/detail/hashed_trie.hpp"
#include "evm/tx/block.hpp"
#include "host/base/error.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm {
namespace {

using StorageTrie = detail::HashedTrie<U256>;

struct AccountLeaf {
    uint64_t nonce = 0;
    U256 balance;
    Hash256 code_hash;
    StorageTrie::NodeId storage = StorageTrie::none;
};
using AccountTrie = detail::HashedTrie<AccountLeaf>;

}  // namespace

struct StateTrie::Impl {
    explicit Impl(HashBatch& batch) : hasher(&batch) {}

    /// Writes come grouped by account, so the last hash is worth keeping.
    const Hash256& hash_of(const Address& address) {
        if (!last_known || last_address != address) {
            last_address = address;
            last_hash = kernels::keccak256(address.view());
            last_known = true;
        }
        return last_hash;
    }

    static Hash256 hash_of(const U256& slot) { return kernels::keccak256_32(to_hash(slot).data()); }

    Hash256 storage_root(const AccountLeaf& leaf) const {
        return leaf.storage == StorageTrie::none ? empty_trie_root
                                                 : storage.root_hash(leaf.storage);
    }
    AccountState state_of(const AccountLeaf& leaf) const {
        return {leaf.nonce, leaf.balance, storage_root(leaf), leaf.code_hash};
    }

    auto slot_writer() const {
        return [](Bytes& out, const U256& value) { rlp::append_u256(out, value); };
    }
    auto account_writer() const {
        return [this](Bytes& out, const AccountLeaf& leaf) {
            const U256 nonce{leaf.nonce};
            rlp::append_list_header(out, detail::encoded_bytes(nonce) +
                                             detail::encoded_bytes(leaf.balance) +
                                             2 * detail::encoded_hash_bytes);
            rlp::append_u256(out, nonce);
            rlp::append_u256(out, leaf.balance);
            rlp::append_fixed(out, storage_root(leaf));
            rlp::append_fixed(out, leaf.code_hash);
        };
    }

    void rehash() {
        accounts.collect_marked(account_root, [this](const AccountLeaf& leaf) {
            storage.collect_marked(leaf.storage, [](const U256&) {});
        });
        storage.rehash(*hasher, slot_writer());
        accounts.rehash(*hasher, account_writer());
    }

    HashBatch* hasher;
    AccountTrie accounts;
    StorageTrie storage;
    AccountTrie::NodeId account_root = AccountTrie::none;
    Address last_address;
    Hash256 last_hash;
    bool last_known = false;
};

StateTrie::StateTrie(HashBatch& hasher) : impl_(std::make_unique<Impl>(hasher)) {}
StateTrie::~StateTrie() = default;
StateTrie::StateTrie(StateTrie&&) noexcept = default;
StateTrie& StateTrie::operator=(StateTrie&&) noexcept = default;

void StateTrie::set_account(const Address& address, uint64_t nonce, const U256& balance,
                            const Hash256& code_hash) {
    impl_->accounts.upsert(
        impl_->account_root, impl_->hash_of(address), [&](AccountLeaf& leaf, bool) {
            const bool changed =
                leaf.nonce != nonce || leaf.balance != balance || leaf.code_hash != code_hash;
            leaf.nonce = nonce;
            leaf.balance = balance;
            leaf.code_hash = code_hash;
            return changed;
        });
}

void StateTrie::remove_account(const Address& address) {
    wipe_storage(address);
    impl_->accounts.erase(impl_->account_root, impl_->hash_of(address));
}

void StateTrie::set_storage(const Address& address, const U256& key, const U256& value) {
    const Hash256 slot = Impl::hash_of(key);
    const bool exists = impl_->accounts.modify(
        impl_->account_root, impl_->hash_of(address), [&](AccountLeaf& leaf) {
            if (value.is_zero()) { return impl_->storage.erase(leaf.storage, slot); }
            bool changed = false;
            impl_->storage.upsert(leaf.storage, slot, [&](U256& stored, bool) {
                changed = stored != value;  // a created slot holds zero
                stored = value;
                return changed;
            });
            return changed;
        });
    MILLRACE_ASSERT(exists || value.is_zero(), "storage is set on an account that does not exist");
}

void StateTrie::wipe_storage(const Address& address) {
    impl_->accounts.modify(impl_->account_root, impl_->hash_of(address), [&](AccountLeaf& leaf) {
        const bool changed = leaf.storage != StorageTrie::none;
        impl_->storage.clear(leaf.storage);
        return changed;
    });
}

Hash256 StateTrie::root() {
    impl_->rehash();
    return impl_->account_root == AccountTrie::none
               ? empty_trie_root
               : impl_->accounts.root_hash(impl_->account_root);
}

std::optional<AccountState> StateTrie::account(const Address& address) {
    const AccountLeaf* leaf = impl_->accounts.find(impl_->account_root, impl_->hash_of(address));
    if (leaf == nullptr) { return std::nullopt; }
    if (impl_->storage.is_marked(leaf->storage)) {
        impl_->storage.collect_marked(leaf->storage, [](const U256&) {});
        impl_->storage.rehash(*impl_->hasher, impl_->slot_writer());
    }
    return impl_->state_of(*leaf);
}

U256 StateTrie::storage(const Address& address, const U256& key) const {
    const AccountLeaf* leaf = impl_->accounts.find(impl_->account_root, impl_->hash_of(address));
    if (leaf == nullptr) { return {}; }
    const U256* value = impl_->storage.find(leaf->storage, Impl::hash_of(key));
    return value == nullptr ? U256{} : *value;
}

bool StateTrie::has_storage(const Address& address) const {
    const AccountLeaf* leaf = impl_->accounts.find(impl_->account_root, impl_->hash_of(address));
    return leaf != nullptr && leaf->storage != StorageTrie::none;
}

size_t StateTrie::account_count() const noexcept { return impl_->accounts.leaf_count(); }
size_t StateTrie::slot_count() const noexcept { return impl_->storage.leaf_count(); }
size_t StateTrie::memory_bytes() const noexcept {
    return impl_->accounts.memory_bytes() + impl_->storage.memory_bytes();
}

Proof StateTrie::prove(const Address& address, std::span<const U256> keys) {
    impl_->rehash();
    Proof proof{.address = address,
                .account = {0, {}, empty_trie_root, empty_code_hash},
                .account_nodes = {},
                .storage = {}};
    const Hash256 hashed = impl_->hash_of(address);
    proof.account_nodes =
        impl_->accounts.prove(impl_->account_root, hashed, impl_->account_writer());
    StorageTrie::NodeId storage_root = StorageTrie::none;
    if (const AccountLeaf* leaf = impl_->accounts.find(impl_->account_root, hashed)) {
        proof.exists = true;
        proof.account = impl_->state_of(*leaf);
        storage_root = leaf->storage;
    }
    proof.storage.reserve(keys.size());
    for (const U256& key : keys) {
        const Hash256 slot = Impl::hash_of(key);
        const U256* value = impl_->storage.find(storage_root, slot);
        proof.storage.push_back({key, value == nullptr ? U256{} : *value,
                                 impl_->storage.prove(storage_root, slot, impl_->slot_writer())});
    }
    return proof;
}

}  // namespace millrace::evm
