// SPDX-License-Identifier: Apache-2.0
// Owns the run of one scenario, and the comparison, the shrinking and the text of what differed.
#include "tests/evm/jit/outcome.hpp"

#include <algorithm>

#include "evm/core/opcodes.hpp"
#include "evm/core/overlay.hpp"
#include "evm/core/transition.hpp"
#include "evm/precompiles/standard.hpp"
#include "host/base/error.hpp"
#include "host/base/hex.hpp"

namespace millrace::evm::jit {
namespace {

const PrecompileSet& precompiles() {
    static const StandardPrecompiles set;
    return set;
}

std::string text(const U256& v) { return to_hex(to_hash(v).view()); }
std::string text(const Address& a) { return to_hex(a.view()); }
std::string text(ByteView v) { return to_hex(v); }

/// Writes down what is asked and what the answer was.
class RecordingView final : public StateView {
public:
    RecordingView(StateView& below, std::vector<std::string>& questions)
        : below_(below), questions_(questions) {}

    bool account_exists(const Address& a) override {
        return note("exists " + text(a), below_.account_exists(a));
    }
    uint64_t nonce(const Address& a) override { return note("nonce " + text(a), below_.nonce(a)); }
    U256 balance(const Address& a) override {
        const U256 v = below_.balance(a);
        questions_.push_back("balance " + text(a) + " = " + text(v));
        return v;
    }
    bool balance_at_least(const Address& a, const U256& min) override {
        return note("balance of " + text(a) + " at least " + text(min),
                    below_.balance_at_least(a, min));
    }
    Hash256 code_hash(const Address& a) override {
        const Hash256 h = below_.code_hash(a);
        questions_.push_back("code hash " + text(a) + " = " + text(h.view()));
        return h;
    }
    CodePtr code(const Hash256& hash) override {
        questions_.push_back("code " + text(hash.view()));
        return below_.code(hash);
    }
    U256 storage(const Address& a, const U256& key) override {
        const U256 v = below_.storage(a, key);
        questions_.push_back("slot " + text(key) + " of " + text(a) + " = " + text(v));
        return v;
    }
    bool has_storage(const Address& a) override {
        return note("has storage " + text(a), below_.has_storage(a));
    }
    Hash256 block_hash(uint64_t number) override {
        questions_.push_back("block hash " + std::to_string(number));
        return below_.block_hash(number);
    }

private:
    template <typename T>
    T note(const std::string& question, T answer) {
        questions_.push_back(question + " = " + std::to_string(answer));
        return answer;
    }

    StateView& below_;
    std::vector<std::string>& questions_;
};

std::string text(const std::vector<Log>& logs) {
    std::string out = std::to_string(logs.size()) + " [";
    for (const Log& log : logs) {
        out += text(log.address) + "(";
        for (const Hash256& t : log.topics) { out += text(t.view()) + " "; }
        out += text(ByteView{log.data}) + ") ";
    }
    return out + "]";
}

std::string text(const StateChanges& changes) {
    std::string out;
    for (const AccountChange& c : changes.accounts) {
        out += "\n    " + text(c.address) + (c.destroyed ? " destroyed" : "") +
               (c.storage_wiped ? " wiped" : "") + (c.touched ? " touched" : "") + " nonce " +
               (c.nonce ? std::to_string(*c.nonce) : "-") + " +" + text(c.credit) + " -" +
               text(c.debit) + " code " + (c.code_hash ? text(c.code_hash->view()) : "-") +
               (c.code ? " " + text(ByteView{*c.code}) : "");
        for (const StorageWrite& w : c.storage) { out += " " + text(w.key) + "=" + text(w.value); }
    }
    return out;
}

void fill(StateOverlay& state, const Scenario& s) {
    for (const auto& [address, spec] : s.world) {
        state.set_nonce(address, spec.nonce);
        state.set_balance(address, spec.balance);
        if (!spec.code.empty()) { state.set_code(address, spec.code); }
        for (const auto& [key, value] : spec.storage) { state.set_storage(address, key, value); }
    }
    for (const auto& [number, hash] : s.block_hashes) { state.set_block_hash(number, hash); }
}

Workspace& workspace() {
    thread_local Workspace w;
    return w;
}

void run_transaction(const Scenario& s, StateView& view, const Rules& rules, Outcome& out) {
    const auto r = execute_transaction({s.tx, s.sender, s.authorities}, view, workspace(), rules,
                                       precompiles(), s.block, s.block.gas_limit, {});
    out.refused = !r;
    if (!r) { return; }
    out.status = r->status;
    out.gas = static_cast<int64_t>(r->gas_used);
    out.refund = static_cast<int64_t>(r->gas_refunded);
    out.output = r->output;
    out.logs = r->logs;
    out.changes = text(r->changes);
}

void run_message(const Scenario& s, StateView& view, const Rules& rules, Outcome& out) {
    Workspace& w = workspace();
    w.state.begin(view, rules, w.codes, precompiles());
    const TransactionEnvironment environment{s.sender, s.gas_price, s.blob_hashes};
    Evm evm{w, rules, precompiles(), s.block, environment};
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
    out.status = r.status;
    out.gas = r.gas_left;
    out.refund = w.state.refund();
    out.output.assign(r.output.begin(), r.output.end());
    out.logs = w.state.logs();
    out.changes = text(w.state.changes());
    w.trim();
}

void line(std::string& out, const char* what, const std::string& a, const std::string& b) {
    if (a != b) { out += std::string(what) + ": interpreter " + a + ", tier " + b + "\n"; }
}

std::string disassembly(const Bytes& code) {
    std::string out;
    for (size_t i = 0; i < code.size(); ++i) {
        out += "    " + std::to_string(i) + " " + std::string(opcode_name(code[i]));
        if (code[i] >= 0x60 && code[i] <= 0x7f) {
            const size_t n = std::min<size_t>(code[i] - 0x5fu, code.size() - i - 1);
            out += " " + to_hex(ByteView{code}.subspan(i + 1, n));
            i += n;
        }
        out += "\n";
    }
    return out;
}

}  // namespace

Outcome run(const Scenario& s, NativeTier* tier, SharedCode* shared) {
    StateOverlay state;
    fill(state, s);
    const Rules rules = ethereum_rules(s.revision);
    Workspace& w = workspace();
    w.codes = CodeCache{};
    w.codes.set_uses_until_fast(0);
    w.codes.share(shared);
    w.native_tier = tier;
    Outcome out;
    RecordingView view{state, out.questions};
    if (s.is_transaction) {
        run_transaction(s, view, rules, out);
    } else {
        run_message(s, view, rules, out);
    }
    w.native_tier = nullptr;
    w.codes = CodeCache{};
    return out;
}

std::string difference(const Outcome& a, const Outcome& b) {
    std::string out;
    if (a == b) { return out; }
    line(out, "refused", std::to_string(a.refused), std::to_string(b.refused));
    line(out, "status", std::string(to_string(a.status)), std::string(to_string(b.status)));
    line(out, "gas", std::to_string(a.gas), std::to_string(b.gas));
    line(out, "refund", std::to_string(a.refund), std::to_string(b.refund));
    line(out, "output", text(ByteView{a.output}), text(ByteView{b.output}));
    line(out, "logs", text(a.logs), text(b.logs));
    line(out, "changes", a.changes, b.changes);
    const size_t common = std::min(a.questions.size(), b.questions.size());
    size_t i = 0;
    while (i < common && a.questions[i] == b.questions[i]) { ++i; }
    const auto at = [i](const std::vector<std::string>& q) {
        return i < q.size() ? q[i] : std::string("nothing");
    };
    if (i < common || a.questions.size() != b.questions.size()) {
        line(out, ("question " + std::to_string(i)).c_str(), at(a.questions), at(b.questions));
    }
    return out.empty() ? "the outcomes differ\n" : out;
}

Scenario with_gas(const Scenario& scenario, uint64_t gas) {
    Scenario s = scenario;
    s.gas = gas;
    s.tx.gas_limit = gas;
    return s;
}

uint64_t gas_used(const Scenario& s, const Outcome& o) {
    if (o.refused) { return 0; }
    return s.is_transaction ? static_cast<uint64_t>(o.gas + o.refund)
                            : s.gas - static_cast<uint64_t>(o.gas);
}

namespace {

std::string compared(const Scenario& s, NativeTier& tier) {
    return difference(run(s, nullptr), run(s, &tier));
}

}  // namespace

std::optional<Finding> examine(const Scenario& scenario, NativeTier& tier, Choices& choices,
                               unsigned limits) {
    const Outcome first = run(scenario, nullptr);
    std::string what = difference(first, run(scenario, &tier));
    if (!what.empty()) { return Finding{scenario, std::move(what)}; }
    const uint64_t used = gas_used(scenario, first);
    if (used == 0 || used > 3'000'000) { return std::nullopt; }
    for (unsigned i = 0; i < limits; ++i) {
        // Near the end as often as anywhere.
        const uint64_t limit =
            choices.one_in(2) ? used - std::min(used, choices.below(60)) : choices.below(used);
        Scenario s = with_gas(scenario, limit);
        what = compared(s, tier);
        if (!what.empty()) { return Finding{std::move(s), std::move(what)}; }
    }
    return std::nullopt;
}

std::optional<Finding> examine_every_limit(const Scenario& scenario, NativeTier& tier) {
    const uint64_t used = gas_used(scenario, run(scenario, nullptr));
    for (uint64_t limit = 0; limit <= used + 1; ++limit) {
        Scenario s = with_gas(scenario, limit);
        std::string what = compared(s, tier);
        if (!what.empty()) { return Finding{std::move(s), std::move(what)}; }
    }
    return std::nullopt;
}

Finding minimized(Finding finding, NativeTier& tier) {
    unsigned attempts = 1500;
    const auto keep_if_different = [&](Scenario s) {
        if (attempts == 0) { return false; }
        --attempts;
        std::string what = compared(s, tier);
        if (what.empty()) { return false; }
        finding = {std::move(s), std::move(what)};
        return true;
    };
    std::vector<Address> addresses;
    for (const auto& [address, spec] : finding.scenario.world) { addresses.push_back(address); }
    for (const Address& a : addresses) {
        if (a == finding.scenario.sender) { continue; }
        Scenario s = finding.scenario;
        s.world.erase(a);
        keep_if_different(std::move(s));
    }
    // Instructions become JUMPDESTs, so that every place keeps its number.
    for (const Address& a : addresses) {
        if (!finding.scenario.world.contains(a)) { continue; }
        for (size_t piece = 256; piece != 0; piece /= 2) {
            const size_t size = finding.scenario.world[a].code.size();
            for (size_t at = 0; at < size; at += piece) {
                Scenario s = finding.scenario;
                Bytes& code = s.world[a].code;
                const auto from = code.begin() + static_cast<ptrdiff_t>(at);
                const auto to = code.begin() + static_cast<ptrdiff_t>(std::min(size, at + piece));
                if (std::all_of(from, to, [](uint8_t b) { return b == 0x5b; })) { continue; }
                std::fill(from, to, uint8_t{0x5b});
                keep_if_different(std::move(s));
            }
        }
        while (!finding.scenario.world[a].code.empty() &&
               finding.scenario.world[a].code.back() == 0x5b) {
            Scenario s = finding.scenario;
            s.world[a].code.pop_back();
            if (!keep_if_different(std::move(s))) { break; }
        }
    }
    return finding;
}

std::string describe(const Finding& finding) {
    const Scenario& s = finding.scenario;
    std::string out = finding.difference;
    out += "fork " + std::string(to_string(s.revision)) + ", sender " + text(s.sender) + "\n";
    if (s.is_transaction) {
        out += "transaction to " + (s.tx.to ? text(*s.tx.to) : "nobody") + ", gas limit " +
               std::to_string(s.tx.gas_limit) + ", value " + text(s.tx.value) + ", data " +
               text(ByteView{s.tx.data}) + "\n";
    } else {
        out += std::string(s.creates     ? "creation"
                           : s.is_static ? "static call"
                                         : "call") +
               " to " + text(s.to) + ", gas " + std::to_string(s.gas) + ", value " + text(s.value) +
               ", input " + text(ByteView{s.input}) + "\n";
    }
    for (const auto& [address, spec] : s.world) {
        out += "account " + text(address) + ": nonce " + std::to_string(spec.nonce) + ", balance " +
               text(spec.balance) + "\n";
        for (const auto& [key, value] : spec.storage) {
            out += "  slot " + text(key) + " = " + text(value) + "\n";
        }
        if (!spec.code.empty()) { out += "  code " + text(ByteView{spec.code}) + "\n"; }
        if (spec.code.size() <= 600) { out += disassembly(spec.code); }
    }
    return out;
}

Scenario call_of(ByteView code, ByteView input, uint64_t gas, Revision revision) {
    Scenario s;
    s.revision = revision;
    s.block.number = 1000;
    s.block.timestamp = 1'700'000'000;
    s.block.gas_limit = uint64_t{1} << 50;
    s.sender = differential::numbered_address(5, 0);
    s.world[s.sender].balance = shl(U256{1}, 120);
    AccountSpec& account = s.world[contract_address];
    account.nonce = 1;
    account.code.assign(code.begin(), code.end());
    s.to = contract_address;
    s.gas = gas;
    s.input.assign(input.begin(), input.end());
    return s;
}

}  // namespace millrace::evm::jit
