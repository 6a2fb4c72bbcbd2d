// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of the state trie: any sequence of writes gives the root of the naive trie.
#include <cstddef>
#include <cstdint>
#include <map>

#include "evm/trie/proof.hpp"
#include "evm/trie/state_trie.hpp"
#include "evm/tx/block.hpp"
#include "host/base/error.hpp"
#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"
#include "tests/evm/differential/choices.hpp"
#include "tests/evm/trie/naive_trie.hpp"

using namespace millrace;

namespace {

struct Account {
    uint64_t nonce = 0;
    U256 balance;
    Hash256 code_hash = evm::empty_code_hash;
    std::map<U256, U256> storage;
};
using Model = std::map<Address, Account>;

Bytes hashed(ByteView key) {
    const Hash256 h = kernels::keccak256(key);
    return Bytes(h.begin(), h.end());
}
/// RLP of an integer: its big-endian bytes without leading zeros, as a string.
Bytes integer(const U256& v) {
    const Hash256 word = to_hash(v);
    size_t first = 0;
    while (first < 32 && word[first] == 0) { ++first; }
    return rlp::encode(word.view().subspan(first));
}

Hash256 naive_root(const Model& model) {
    std::map<Bytes, Bytes> accounts;
    for (const auto& [address, account] : model) {
        std::map<Bytes, Bytes> slots;
        for (const auto& [key, value] : account.storage) {
            slots[hashed(to_hash(key).view())] = integer(value);
        }
        Bytes payload = integer(U256{account.nonce});
        const Hash256 storage_root = test::NaiveTrie::root(slots);
        for (const Bytes& item : {integer(account.balance), rlp::encode(storage_root.view()),
                                  rlp::encode(account.code_hash.view())}) {
            payload.insert(payload.end(), item.begin(), item.end());
        }
        accounts[hashed(address.view())] = rlp::list(payload);
    }
    return test::NaiveTrie::root(accounts);
}

void check_contents(evm::StateTrie& trie, const Model& model) {
    size_t slots = 0;
    for (const auto& [address, account] : model) {
        const auto found = trie.account(address);
        MILLRACE_ASSERT(found.has_value(), "an account that was set is there");
        MILLRACE_ASSERT(found->nonce == account.nonce && found->balance == account.balance,
                        "its fields are kept");
        MILLRACE_ASSERT(trie.has_storage(address) == !account.storage.empty(),
                        "has_storage agrees");
        for (const auto& [key, value] : account.storage) {
            MILLRACE_ASSERT(trie.storage(address, key) == value, "its slots are kept");
        }
        slots += account.storage.size();
    }
    MILLRACE_ASSERT(trie.account_count() == model.size() && trie.slot_count() == slots,
                    "counts agree");
}

}  // namespace

/// The input is a list of writes; the root is compared after some of them and at the end.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    evm::differential::Choices choices{ByteView{data, size}};
    evm::StateTrie trie;
    Model model;
    const uint64_t addresses = choices.between(1, 40);
    for (uint64_t writes = choices.below(120); writes-- > 0;) {
        const Address address = to_address(U256{choices.below(addresses)});
        const auto existing = model.find(address);
        switch (choices.below(8)) {
            case 0:
                trie.remove_account(address);
                model.erase(address);
                break;
            case 1:
                trie.wipe_storage(address);
                if (existing != model.end()) { existing->second.storage.clear(); }
                break;
            case 2:
            case 3: {
                Account& a = model[address];
                a.nonce = choices.one_in(3) ? choices.next() : choices.below(3);
                a.balance = choices.one_in(3) ? U256::max() : U256{choices.below(300)};
                if (choices.one_in(3)) {
                    a.code_hash[5] = static_cast<uint8_t>(choices.below(256));
                }
                trie.set_account(address, a.nonce, a.balance, a.code_hash);
                break;
            }
            case 4: MILLRACE_ASSERT(trie.root() == naive_root(model), "the roots agree"); break;
            default: {
                if (existing == model.end()) { break; }
                const U256 key{choices.below(24)};
                const U256 value = choices.one_in(3)
                                       ? U256{}
                                       : shl(U256{choices.below(256)}, 8 * choices.below(32));
                trie.set_storage(address, key, value);
                if (value.is_zero()) {
                    existing->second.storage.erase(key);
                } else {
                    existing->second.storage[key] = value;
                }
                break;
            }
        }
    }
    MILLRACE_ASSERT(trie.root() == naive_root(model), "the roots agree at the end");
    check_contents(trie, model);
    return 0;
}
