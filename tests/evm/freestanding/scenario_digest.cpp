// SPDX-License-Identifier: Apache-2.0
// Owns running a scenario and writing its outcome down, see scenario_digest.hpp.
#include "tests/evm/freestanding/scenario_digest.hpp"

#include <set>

#include "evm/core/overlay.hpp"
#include "evm/core/transition.hpp"
#include "kernels/keccak/keccak.hpp"
#include "tests/evm/differential/generator.hpp"

namespace millrace::evm::freestanding {
namespace {

using differential::Scenario;

class IdentityOnly final : public PrecompileSet {
public:
    bool contains(const Address& address, Revision) const noexcept override {
        return address == identity;
    }
    PrecompileOutcome run(const Address&, ByteView input, uint64_t gas,
                          Revision) const noexcept override {
        const uint64_t cost = 15 + 3 * ((input.size() + 31) / 32);
        if (cost > gas) { return {}; }
        return {true, cost, Bytes(input.begin(), input.end())};
    }

private:
    static constexpr Address identity = [] {
        Address a;
        a.bytes[Address::size_bytes - 1] = 4;
        return a;
    }();
};

/// What is digested, in one canonical form.
class Writer {
public:
    void number(uint64_t v) {
        for (int shift = 0; shift < 64; shift += 8) {
            bytes_.push_back(static_cast<uint8_t>(v >> shift));
        }
    }
    void word(const U256& v) {
        for (const uint64_t limb : v.w) { number(limb); }
    }
    void bytes(ByteView v) {
        number(v.size());
        bytes_.insert(bytes_.end(), v.begin(), v.end());
    }
    void log(const Log& l) {
        bytes(l.address.bytes);
        number(l.topics.size());
        for (const Hash256& topic : l.topics) { bytes(topic.bytes); }
        bytes(l.data);
    }
    void account(StateOverlay& state, const Address& a, Revision revision) {
        bytes(a.bytes);
        number(revision < Revision::spurious_dragon && state.account_exists(a) ? 1 : 0);
        number(state.nonce(a));
        word(state.balance(a));
        bytes(*state.code(state.code_hash(a)));
        for (const auto& [key, value] : state.accounts().at(a).storage) {
            if (value.is_zero()) { continue; }
            word(key);
            word(value);
        }
    }
    Hash256 digest() const { return kernels::keccak256(bytes_); }

private:
    Bytes bytes_;
};

void fill(StateOverlay& state, const Scenario& s) {
    for (const auto& [address, spec] : s.world) {
        state.set_nonce(address, spec.nonce);
        state.set_balance(address, spec.balance);
        if (!spec.code.empty()) { state.set_code(address, spec.code); }
        for (const auto& [key, value] : spec.storage) { state.set_storage(address, key, value); }
    }
    for (const auto& [number, hash] : s.block_hashes) { state.set_block_hash(number, hash); }
}

void run_transaction(const Scenario& s, StateOverlay& state, Workspace& w, const Rules& rules,
                     Writer& out) {
    const IdentityOnly precompiles;
    const auto r = execute_transaction({s.tx, s.sender, s.authorities}, state, w, rules,
                                       precompiles, s.block, s.block.gas_limit);
    if (!r) {
        out.number(1'000 + static_cast<uint64_t>(r.error()));
        return;
    }
    out.number(static_cast<uint64_t>(r->status));
    out.number(r->gas_used);
    out.number(r->gas_refunded);
    out.bytes(r->output);
    for (const Log& l : r->logs) { out.log(l); }
    state.apply(r->changes, s.revision >= Revision::spurious_dragon);
}

void run_message(const Scenario& s, StateOverlay& state, Workspace& w, const Rules& rules,
                 Writer& out) {
    const IdentityOnly precompiles;
    w.state.begin(state, rules, w.codes, precompiles);
    const TransactionEnvironment environment{s.sender, s.gas_price, s.blob_hashes};
    Evm evm{w, rules, precompiles, s.block, environment};
    TxAccount& sender = w.state.account(s.sender);
    w.state.set_nonce(sender, w.state.nonce(sender) + 1);
    MILLRACE_ASSERT(w.state.balance_at_least(sender, s.value), "a scenario's value is covered");
    Message m;
    m.kind = s.creates ? CallKind::create : CallKind::call;
    m.is_static = s.is_static;
    m.gas = static_cast<int64_t>(s.gas);
    m.recipient = s.to;
    m.code_address = s.to;
    m.sender = s.sender;
    m.value = s.value;
    m.input = s.input;
    const CallOutcome r = evm.run(m);
    out.number(static_cast<uint64_t>(r.status));
    out.number(static_cast<uint64_t>(r.gas_left));
    out.number(static_cast<uint64_t>(w.state.refund()));
    out.bytes(r.output);
    for (const Log& l : w.state.logs()) { out.log(l); }
    state.apply(w.state.changes(), s.revision >= Revision::spurious_dragon);
    w.trim();
}

}  // namespace

Hash256 scenario_digest(uint64_t seed, Workspace& workspace) {
    differential::Choices choices(seed);
    const Scenario s = differential::generate_scenario(choices);
    const Rules rules = ethereum_rules(s.revision);
    StateOverlay state;
    fill(state, s);
    Writer out;
    if (s.is_transaction) {
        run_transaction(s, state, workspace, rules, out);
    } else {
        run_message(s, state, workspace, rules, out);
    }
    std::set<Address> addresses;
    for (const auto& [address, account] : state.accounts()) { addresses.insert(address); }
    for (const Address& a : addresses) { out.account(state, a, s.revision); }
    return out.digest();
}

}  // namespace millrace::evm::freestanding
