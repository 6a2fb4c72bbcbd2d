// SPDX-License-Identifier: Apache-2.0
// Owns putting together what millrace_getProof answers.
#include "host/node/api/engine_proof.hpp"

#include <algorithm>
#include <string>

#include "storage/proof/state_leaf.hpp"

namespace millrace::node {
namespace {

/// What a check of our own proofs cannot find.
std::unexpected<Error> wrong(const Error& error) {
    return fail(ErrorCode::corrupt,
                "a proof of the state engine does not verify: " + error.message +
                    "; check the data directory with `millrace db verify`");
}

class Answer {
public:
    Answer(const storage::CommittedStates& states, kernels::NodeHash hash, uint64_t block,
           const Hash256& root)
        : states_(states), hash_(hash), block_(block), root_(root) {}

    Result<void> prove_each(std::vector<net::EngineProof::Leaf*> leaves) {
        const storage::StateVerifier verifier{hash_};
        for (net::EngineProof::Leaf* const leaf : leaves) {
            MILLRACE_TRY(const auto proof, states_.prove(leaf->key, block_));
            const auto value = verifier.verify(root_, leaf->key, proof);
            if (!value) { return wrong(value.error()); }
            if (*value) { leaf->value.emplace((*value)->begin(), (*value)->end()); }
            storage::encode_state_proof(proof, leaf->proof);
        }
        return {};
    }

    Result<void> prove_together(std::vector<net::EngineProof::Leaf*> leaves,
                                net::EngineProof& out) {
        for (const auto* leaf : leaves) { out.keys.push_back(leaf->key); }
        std::ranges::sort(out.keys);
        const auto repeats = std::ranges::unique(out.keys);
        out.keys.erase(repeats.begin(), repeats.end());
        MILLRACE_TRY(const auto proof, states_.prove(out.keys, block_));
        const auto values = storage::StateMultiproofVerifier{hash_}.verify(root_, out.keys, proof);
        if (!values) { return wrong(values.error()); }
        for (net::EngineProof::Leaf* const leaf : leaves) {
            const auto at = std::ranges::lower_bound(out.keys, leaf->key) - out.keys.begin();
            const auto& value = (*values)[static_cast<size_t>(at)];
            if (value) { leaf->value.emplace(value->begin(), value->end()); }
        }
        storage::encode_state_multiproof(proof, out.multiproof);
        return {};
    }

private:
    const storage::CommittedStates& states_;
    const kernels::NodeHash hash_;
    const uint64_t block_;
    const Hash256& root_;
};

}  // namespace

Result<net::EngineProof> prove_by_engine(const storage::CommittedStates& states,
                                         kernels::NodeHash hash, const evm::BlockHeader& header,
                                         const Hash256& block_hash, const Address& address,
                                         const std::vector<U256>& slots, bool together) {
    MILLRACE_TRY(const Hash256 root, states.root(header.number));
    if (root != header.state_root) {
        return fail(ErrorCode::conflict,
                    "block " + std::to_string(header.number) + " was taken back; ask again");
    }
    net::EngineProof out;
    out.address = address;
    out.block_number = header.number;
    out.block_hash = block_hash;
    out.state_root = root;
    out.node_hash = kernels::to_string(hash);
    out.account.key = storage::account_key(address);
    out.storage.resize(slots.size());
    std::vector<net::EngineProof::Leaf*> leaves{&out.account};
    for (size_t i = 0; i < slots.size(); ++i) {
        out.storage[i].slot = slots[i];
        out.storage[i].leaf.key = storage::slot_key(address, slots[i]);
        leaves.push_back(&out.storage[i].leaf);
    }
    Answer answer{states, hash, header.number, root};
    MILLRACE_CHECK(together ? answer.prove_together(std::move(leaves), out)
                            : answer.prove_each(std::move(leaves)));
    out.code_hash = evm::empty_code_hash;
    if (out.account.value) {
        const auto leaf = storage::decode_account_leaf(*out.account.value);
        if (!leaf) { return wrong(leaf.error()); }
        out.nonce = leaf->nonce;
        out.balance = leaf->balance;
        out.code_hash = leaf->code_hash;
        out.ordinal = leaf->ordinal;
        out.incarnation = leaf->incarnation;
    }
    for (auto& slot : out.storage) {
        if (!slot.leaf.value) { continue; }
        const auto value = storage::decode_slot_leaf(*slot.leaf.value);
        if (!value) { return wrong(value.error()); }
        slot.value = *value;
    }
    return out;
}

}  // namespace millrace::node
