// SPDX-License-Identifier: Apache-2.0
// Owns the naive state transition of one transaction: validity, payment, execution, settlement.
#include "tests/evm/differential/naive_evm.hpp"

namespace millrace::evm::differential {
namespace {

const Word word_limit = Word{1} << 256;
const Word nonce_max = (Word{1} << 64) - 1;

/// One transaction on its way through the rules.
class Transition {
public:
    Transition(const Transaction& tx, const Address& sender,
               const std::vector<std::optional<Address>>& authorities, NaiveState& state,
               NaiveContext& context)
        : tx_(tx), sender_(sender), authorities_(authorities), state_(state), context_(context) {
        base_fee_ = to_word(context.block.base_fee_per_gas);
        fee_cap_ = to_word(tx.max_fee_per_gas);
        tip_cap_ = to_word(tx.max_priority_fee_per_gas);
        gas_limit_ = tx.gas_limit;
        value_ = to_word(tx.value);
        blob_gas_ = 131072 * Word{tx.blob_versioned_hashes.size()};
    }

    NaiveTransactionResult run(std::function<void(const NaiveStep&)> on_step,
                               std::function<void(const Word&)> on_cost) {
        if (!is_valid()) { return {}; }
        context_.origin = sender_;
        context_.gas_price = gas_price();
        context_.blob_hashes = tx_.blob_versioned_hashes;
        NaiveEvm evm{state_, context_};
        evm.on_step = std::move(on_step);
        evm.on_cost = std::move(on_cost);

        NaiveAccount& payer = state_.accounts[sender_];
        payer.balance -= gas_limit_ * gas_price();
        payer.balance -= blob_gas_ * to_word(context_.block.blob_base_fee);
        payer.nonce += 1;
        warm_up(evm);
        process_authorizations(evm);

        const NaiveResult r = evm.run(first_message(evm));
        return settle(r);
    }

private:
    bool at_least(Revision r) const { return context_.revision >= r; }
    bool has_fault(Fault f) const { return context_.fault == f; }

    Word gas_price() const {
        const Word with_tip = base_fee_ + tip_cap_;
        return with_tip < fee_cap_ ? with_tip : fee_cap_;
    }

    Word data_tokens(unsigned zero, unsigned other) const {
        Word sum;
        for (const uint8_t byte : tx_.data) { sum += byte == 0 ? zero : other; }
        return sum;
    }
    Word intrinsic_gas() const {
        Word gas = 21000 + data_tokens(4, at_least(Revision::istanbul) ? 16 : 68);
        if (tx_.is_creation() && at_least(Revision::homestead)) { gas += 32000; }
        if (tx_.is_creation() && at_least(Revision::shanghai)) {
            gas += 2 * ((Word{tx_.data.size()} + 31) / 32);
        }
        const unsigned key_price = has_fault(Fault::access_list_gas) ? 1901 : 1900;
        for (const AccessListEntry& e : tx_.access_list) {
            gas += 2400 + key_price * Word{e.storage_keys.size()};
        }
        return gas + 25000 * Word{tx_.authorization_list.size()};
    }
    Word floor_gas() const {
        if (!at_least(Revision::prague) || has_fault(Fault::floor_gas)) { return 0; }
        return 21000 + data_tokens(10, 40);
    }

    bool is_valid() const {
        const auto found = state_.accounts.find(sender_);
        const NaiveAccount account =
            found == state_.accounts.end() ? NaiveAccount{} : found->second;
        Address ignored;
        const bool may_have_code =
            at_least(Revision::prague) && naive_delegation(account.code, ignored) != nullptr;
        const Word most =
            gas_limit_ * fee_cap_ + blob_gas_ * to_word(tx_.max_fee_per_blob_gas) + value_;
        // Signatures of EIP-155 came with the fork.
        const bool may_name_chain =
            tx_.type != TxType::legacy || at_least(Revision::spurious_dragon);
        return (!tx_.chain_id || (may_name_chain && *tx_.chain_id == context_.chain_id)) &&
               !(at_least(Revision::osaka) && gas_limit_ > 16777216) &&
               gas_limit_ <= Word{context_.block.gas_limit} && tip_cap_ <= fee_cap_ &&
               fee_cap_ >= base_fee_ && blobs_are_valid() &&
               !(at_least(Revision::shanghai) && tx_.is_creation() && tx_.data.size() > 49152) &&
               !(tx_.type == TxType::set_code &&
                 (tx_.is_creation() || tx_.authorization_list.empty())) &&
               gas_limit_ >= intrinsic_gas() && gas_limit_ >= floor_gas() &&
               account.nonce == Word{tx_.nonce} && account.nonce < nonce_max &&
               (account.code.empty() || may_have_code) && most < word_limit &&
               account.balance >= most;
    }
    bool blobs_are_valid() const {
        if (tx_.type != TxType::blob) { return true; }
        const size_t most = at_least(Revision::osaka) ? 6 : at_least(Revision::prague) ? 9 : 6;
        const size_t count = tx_.blob_versioned_hashes.size();
        for (const Hash256& h : tx_.blob_versioned_hashes) {
            if (h[0] != 1) { return false; }
        }
        return !tx_.is_creation() && count != 0 && count <= most &&
               to_word(tx_.max_fee_per_blob_gas) >= to_word(context_.block.blob_base_fee);
    }

    /// EIP-2929, EIP-2930, EIP-3651; precompiles are warm by themselves.
    void warm_up(NaiveEvm& evm) {
        if (!at_least(Revision::berlin)) { return; }
        evm.warm(sender_);
        if (tx_.to) { evm.warm(*tx_.to); }
        if (at_least(Revision::shanghai)) { evm.warm(context_.block.coinbase); }
        for (const AccessListEntry& e : tx_.access_list) {
            evm.warm(e.address);
            for (const Hash256& key : e.storage_keys) {
                state_.warm_slots.insert({e.address, to_word(millrace::to_u256(key))});
            }
        }
    }

    /// EIP-7702. An authorization that does not hold is passed over.
    void process_authorizations(NaiveEvm& evm) {
        for (size_t i = 0; i < tx_.authorization_list.size(); ++i) {
            const Authorization& a = tx_.authorization_list[i];
            const Word chain = to_word(a.chain_id);
            if (chain != 0 && chain != Word{context_.chain_id}) { continue; }
            if (Word{a.nonce} == nonce_max || !authorities_[i]) { continue; }
            const Address authority = *authorities_[i];
            evm.warm(authority);
            const auto found = state_.accounts.find(authority);
            const NaiveAccount before =
                found == state_.accounts.end() ? NaiveAccount{} : found->second;
            Address ignored;
            if (!before.code.empty() && naive_delegation(before.code, ignored) == nullptr) {
                continue;
            }
            if (before.nonce != Word{a.nonce}) { continue; }
            if (!before.is_empty()) { state_.refund += 25000 - 12500; }
            NaiveAccount& account = state_.accounts[authority];
            account.code.clear();
            if (!a.address.is_zero()) {
                account.code = {0xef, 0x01, 0x00};
                account.code.insert(account.code.end(), a.address.begin(), a.address.end());
            }
            account.nonce += 1;
        }
    }

    NaiveMessage first_message(NaiveEvm& evm) const {
        NaiveMessage m;
        m.sender = sender_;
        m.value = value_;
        m.gas = gas_limit_ - intrinsic_gas();
        m.input = tx_.data;
        if (tx_.is_creation()) {
            m.kind = CallKind::create;
            m.recipient = naive_create_address(sender_, Word{tx_.nonce});
            return m;
        }
        m.recipient = *tx_.to;
        m.code_address = *tx_.to;
        const auto account = state_.accounts.find(*tx_.to);
        if (at_least(Revision::prague) && account != state_.accounts.end()) {
            Address delegate;
            if (naive_delegation(account->second.code, delegate) != nullptr) {
                m.code_address = delegate;
                m.delegated = true;
                evm.warm(delegate);
            }
        }
        return m;
    }

    NaiveTransactionResult settle(const NaiveResult& r) {
        NaiveTransactionResult out;
        out.valid = true;
        out.status = r.status;
        out.output = r.output;
        out.logs = state_.logs;
        out.gas_used = gas_limit_ - r.gas_left;
        unsigned quotient = at_least(Revision::london) ? 5 : 2;
        if (has_fault(Fault::refund_quotient)) { --quotient; }
        const Word cap = out.gas_used / quotient;
        out.gas_refunded = state_.refund < cap ? state_.refund : cap;
        out.gas_used -= out.gas_refunded;
        if (out.gas_used < floor_gas()) { out.gas_used = floor_gas(); }
        state_.accounts[sender_].balance += (gas_limit_ - out.gas_used) * gas_price();
        state_.accounts[context_.block.coinbase].balance +=
            out.gas_used * (gas_price() - base_fee_);
        naive_finish(state_, context_.revision);
        return out;
    }

    const Transaction& tx_;
    const Address sender_;
    const std::vector<std::optional<Address>>& authorities_;
    NaiveState& state_;
    NaiveContext& context_;
    Word base_fee_;
    Word fee_cap_;
    Word tip_cap_;
    Word gas_limit_;
    Word value_;
    Word blob_gas_;
};

}  // namespace

NaiveTransactionResult naive_transaction(const Transaction& tx, const Address& sender,
                                         const std::vector<std::optional<Address>>& authorities,
                                         NaiveState& state, NaiveContext context,
                                         std::function<void(const NaiveStep&)> on_step,
                                         std::function<void(const Word&)> on_cost) {
    return Transition{tx, sender, authorities, state, context}.run(std::move(on_step),
                                                                   std::move(on_cost));
}

void naive_finish(NaiveState& state, Revision revision) {
    for (const Address& a : state.destroyed) { state.accounts.erase(a); }
    // No account is empty before a transaction, so every empty one was touched by it.
    if (revision >= Revision::spurious_dragon) {
        std::erase_if(state.accounts, [](const auto& entry) { return entry.second.is_empty(); });
    }
}

}  // namespace millrace::evm::differential
