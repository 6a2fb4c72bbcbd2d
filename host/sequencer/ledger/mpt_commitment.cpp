// SPDX-License-Identifier: Apache-2.0
// Owns the adapter from the state commitment's interface to the state trie.
#include "host/sequencer/ledger/mpt_commitment.hpp"

#include "evm/trie/state_trie.hpp"
#include "host/sequencer/ledger/offload_hash.hpp"

namespace millrace::sequencer {
namespace {

class MptCommitment final : public storage::StateCommitment {
public:
    explicit MptCommitment(kernels::OffloadEngine* offload) : hash_(offload) {}

    void set_account(const Address& address, uint64_t nonce, const U256& balance,
                     const Hash256& code_hash) override {
        trie_.set_account(address, nonce, balance, code_hash);
    }
    void remove_account(const Address& address) override { trie_.remove_account(address); }
    void set_slot(const Address& address, const U256& key, const U256& value) override {
        trie_.set_storage(address, key, value);
    }
    void wipe_storage(const Address& address) override { trie_.wipe_storage(address); }
    Hash256 root() override { return trie_.root(); }

private:
    OffloadHashBatch hash_;
    evm::StateTrie trie_{hash_};
};

}  // namespace

std::unique_ptr<storage::StateCommitment> make_mpt_commitment(kernels::OffloadEngine* offload) {
    return std::make_unique<MptCommitment>(offload);
}

}  // namespace millrace::sequencer
