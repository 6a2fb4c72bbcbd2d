// SPDX-License-Identifier: Apache-2.0
// Owns the adapter from the state commitment's interface to the state trie, and going back in it.
#include "host/sequencer/ledger/mpt_commitment.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <variant>
#include <vector>

#include "evm/trie/state_trie.hpp"
#include "host/base/clock.hpp"
#include "host/sequencer/ledger/offload_hash.hpp"

namespace millrace::sequencer {
namespace {

/// For how many roots after a proof changes wait for the root.
constexpr unsigned roots_waited_for = 2;

struct SetAccount {
    Address address;
    uint64_t nonce = 0;
    U256 balance;
    Hash256 code_hash;
};
struct RemoveAccount {
    Address address;
};
struct SetSlot {
    Address address;
    U256 key;
    U256 value;
};
struct WipeStorage {
    Address address;
};
using Change = std::variant<SetAccount, RemoveAccount, SetSlot, WipeStorage>;

class MptCommitment final : public storage::StateCommitment, public AccountProver {
public:
    MptCommitment(kernels::OffloadEngine* offload, const MptProofOptions& proofs)
        : hash_(offload), options_(proofs) {}

    void set_account(const Address& address, uint64_t nonce, const U256& balance,
                     const Hash256& code_hash) override {
        take(SetAccount{address, nonce, balance, code_hash});
    }
    void remove_account(const Address& address) override { take(RemoveAccount{address}); }
    void set_slot(const Address& address, const U256& key, const U256& value) override {
        take(SetSlot{address, key, value});
    }
    void wipe_storage(const Address& address) override { take(WipeStorage{address}); }

    Hash256 root() override {
        do_what_waits();
        const Hash256 root = trie_.root();
        roots_.push_back({root, first_change_ + changes_.size()});
        if (roots_.size() > options_.roots_max) { forget_oldest_root(); }
        if (waits_for_roots_ != 0) { --waits_for_roots_; }
        return root;
    }

    Result<evm::Proof> prove(const Hash256& root, const storage::StateSnapshot& state,
                             const Address& address, std::span<const U256> slots) override {
        const auto found = std::find_if(roots_.rbegin(), roots_.rend(),
                                        [&](const Root& r) { return r.hash == root; });
        if (found == roots_.rend()) {
            return fail(
                ErrorCode::unavailable,
                "the state trie of this block is not at hand: proofs are made for the last " +
                    std::to_string(options_.roots_max) + " blocks at most");
        }
        const size_t from = found->change - first_change_;
        if (found == roots_.rbegin()) {
            MILLRACE_CHECK(stay_at(root, state, from));
            return trie_.prove(address, slots);
        }
        const int64_t start = clock_.steady_us();
        if (start < may_go_back_us_) {
            return fail(ErrorCode::limit, "too many proofs of blocks before the newest one");
        }
        auto proof = go_back(root, state, from) ? Result<evm::Proof>{trie_.prove(address, slots)}
                                                : std::unexpected(strayed());
        for (size_t i = from; i < changes_.size(); ++i) { apply(changes_[i]); }
        const int64_t end = clock_.steady_us();
        const int64_t took = std::max<int64_t>(end - start, 1);
        may_go_back_us_ = end + took * (options_.share_of_time - 1);
        return proof;
    }

private:
    struct Root {
        Hash256 hash;
        uint64_t change = 0;  ///< number of the first change after it
    };

    static Error strayed() {
        return {ErrorCode::internal, "the state trie taken back has another root"};
    }

    void take(Change change) {
        // They wait in memory, so not without bound.
        if (waits_for_roots_ != 0 && waiting_.size() >= options_.changes_max) {
            do_what_waits();
            waits_for_roots_ = 0;
        }
        if (waits_for_roots_ != 0 || !waiting_.empty()) {
            waiting_.push_back(std::move(change));
        } else {
            note(std::move(change));
        }
    }
    void do_what_waits() {
        for (Change& change : waiting_) { note(std::move(change)); }
        waiting_.clear();
    }
    /// Does a change and remembers it as far as a root asks for it.
    void note(Change change) {
        if (takes_storage_away(change)) {
            // What was in the storage is nowhere to be found again: there is no way back.
            roots_.clear();
            forget_changes(changes_.size());
        }
        apply(change);
        if (roots_.empty()) { return; }
        changes_.push_back(std::move(change));
        while (changes_.size() > options_.changes_max) { forget_oldest_root(); }
    }
    bool takes_storage_away(const Change& change) const {
        if (const auto* c = std::get_if<RemoveAccount>(&change)) {
            return trie_.has_storage(c->address);
        }
        const auto* c = std::get_if<WipeStorage>(&change);
        return c != nullptr && trie_.has_storage(c->address);
    }
    void apply(const Change& change) {
        struct {
            evm::StateTrie& trie;
            void operator()(const SetAccount& c) const {
                trie.set_account(c.address, c.nonce, c.balance, c.code_hash);
            }
            void operator()(const RemoveAccount& c) const { trie.remove_account(c.address); }
            void operator()(const SetSlot& c) const { trie.set_storage(c.address, c.key, c.value); }
            void operator()(const WipeStorage& c) const { trie.wipe_storage(c.address); }
        } const visitor{trie_};
        std::visit(visitor, change);
    }
    void forget_oldest_root() {
        roots_.pop_front();
        forget_changes(roots_.empty() ? changes_.size() : roots_.front().change - first_change_);
    }
    void forget_changes(size_t count) {
        changes_.erase(changes_.begin(), changes_.begin() + static_cast<ptrdiff_t>(count));
        first_change_ += count;
    }
    /// Takes the trie to the newest root, after which it has `from` of the changes, and keeps it
    /// there until the next one.
    Result<void> stay_at(const Hash256& root, const storage::StateSnapshot& state, size_t from) {
        waits_for_roots_ = roots_waited_for;
        if (from == changes_.size()) { return {}; }
        if (!go_back(root, state, from)) {
            for (size_t i = from; i < changes_.size(); ++i) { apply(changes_[i]); }
            return std::unexpected(strayed());
        }
        const auto undone = changes_.begin() + static_cast<ptrdiff_t>(from);
        waiting_.insert(waiting_.begin(), undone, changes_.end());
        changes_.erase(undone, changes_.end());
        return {};
    }
    /// Gives everything that the changes from `from` on touched its value in `state`; whether the
    /// trie has the root then.
    bool go_back(const Hash256& root, const storage::StateSnapshot& state, size_t from) {
        std::set<Address> addresses;
        std::set<std::pair<Address, U256>> slots;
        for (size_t i = from; i < changes_.size(); ++i) {
            std::visit([&](const auto& c) { addresses.insert(c.address); }, changes_[i]);
            if (const auto* c = std::get_if<SetSlot>(&changes_[i])) {
                slots.insert({c->address, c->key});
            }
        }
        for (const Address& address : addresses) {
            if (const auto a = state.account(address)) {
                trie_.set_account(address, a->nonce, a->balance, a->code_hash);
            } else {
                trie_.remove_account(address);
            }
        }
        for (const auto& [address, key] : slots) {
            if (state.account(address)) {
                trie_.set_storage(address, key, state.slot(address, key));
            }
        }
        return trie_.root() == root;
    }

    OffloadHashBatch hash_;
    const MptProofOptions options_;
    const SystemClock clock_;
    evm::StateTrie trie_{hash_};
    std::deque<Root> roots_;
    std::deque<Change> changes_;  ///< in the trie, since the oldest root
    uint64_t first_change_ = 0;   ///< number of changes_.front()
    std::deque<Change> waiting_;  ///< not in the trie; they follow changes_
    unsigned waits_for_roots_ = 0;
    int64_t may_go_back_us_ = 0;
};

}  // namespace

std::unique_ptr<storage::StateCommitment> make_mpt_commitment(kernels::OffloadEngine* offload,
                                                              const MptProofOptions& proofs) {
    return std::make_unique<MptCommitment>(offload, proofs);
}

AccountProver* account_prover(storage::StateCommitment& commitment) noexcept {
    return dynamic_cast<AccountProver*>(&commitment);
}

}  // namespace millrace::sequencer
