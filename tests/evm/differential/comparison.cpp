// SPDX-License-Identifier: Apache-2.0
// Owns how both implementations are driven and their outcomes compared, shrunk and printed.
#include "tests/evm/differential/comparison.hpp"

#include <pthread.h>

#include <cstdlib>
#include <set>

#include "evm/core/evm.hpp"
#include "evm/core/frame.hpp"
#include "evm/core/opcodes.hpp"
#include "evm/core/overlay.hpp"
#include "evm/core/transition.hpp"
#include "evm/precompiles/standard.hpp"
#include "evm/trace/eip3155.hpp"
#include "host/base/error.hpp"
#include "host/base/hex.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm::differential {
namespace {

const PrecompileSet& precompiles() {
    static const StandardPrecompiles set;
    return set;
}

/// An account after the run, in a form that both sides can be brought into.
struct FinalAccount {
    uint64_t nonce = 0;
    U256 balance;
    Bytes code;
    std::map<U256, U256> storage;
    bool operator==(const FinalAccount&) const = default;
    bool is_empty() const { return nonce == 0 && balance.is_zero() && code.empty(); }
};

struct Step {
    int depth = 0;
    uint64_t pc = 0;
    uint8_t opcode = 0;
    int64_t gas = 0;
    size_t stack_size = 0;
    U256 top;
    size_t memory_size = 0;
    int64_t refund = 0;
    int64_t cost = 0;  ///< one more than `gas` when it asked for more than that
    bool operator==(const Step&) const = default;
};

struct Outcome {
    bool refused = false;
    Status status = Status::success;
    int64_t gas = 0;  ///< left for a message, used for a transaction
    int64_t refund = 0;
    Bytes output;
    std::vector<Log> logs;
    std::map<Address, FinalAccount> accounts;  ///< those that exist
    std::vector<Step> steps;
    std::vector<uint64_t> spent;           ///< naive only, see Comparison
    std::vector<uint64_t> spent_at_store;  ///< naive only
    std::array<uint32_t, 256> opcodes{};   ///< naive only
    int depth_max = 0;                     ///< naive only
};

/// Records each step as the engine has it, and its price as the text of a trace says it.
class StepRecorder final : public Tracer {
public:
    explicit StepRecorder(std::vector<Step>& steps)
        : steps_(steps), text_([this](std::string_view lines) { read_costs(lines); }) {}
    void on_instruction(const Frame& frame, uint64_t pc, uint8_t opcode, int64_t gas,
                        std::span<const U256> stack) override {
        steps_.push_back({frame.message->depth, pc, opcode, gas, stack.size(),
                          stack.empty() ? U256{} : stack.back(), frame.memory_size,
                          frame.state->refund()});
        text_.on_instruction(frame, pc, opcode, gas, stack);
    }
    void on_call(const Frame& frame, int64_t gas) override { text_.on_call(frame, gas); }
    void on_frame_end(const Frame& frame, Status status, int64_t gas) override {
        text_.on_frame_end(frame, status, gas);
        if (frame.message->depth == 0) { text_.flush(); }
    }

private:
    /// Line n belongs to step n.
    void read_costs(std::string_view lines) {
        constexpr std::string_view key = "\"gasCost\":\"0x";
        for (size_t at = lines.find(key); at != std::string_view::npos;
             at = lines.find(key, at + 1)) {
            MILLRACE_ASSERT(line_count_ < steps_.size(), "one line for each step");
            Step& step = steps_[line_count_++];
            const auto cost = std::strtoull(lines.data() + at + key.size(), nullptr, 16);
            step.cost =
                static_cast<int64_t>(std::min<uint64_t>(cost, static_cast<uint64_t>(step.gas) + 1));
        }
    }

    std::vector<Step>& steps_;
    size_t line_count_ = 0;
    Eip3155Tracer text_;
};

// --- The engine ---

void fill(StateOverlay& state, const Scenario& s) {
    for (const auto& [address, spec] : s.world) {
        state.set_nonce(address, spec.nonce);
        state.set_balance(address, spec.balance);
        if (!spec.code.empty()) { state.set_code(address, spec.code); }
        for (const auto& [key, value] : spec.storage) { state.set_storage(address, key, value); }
    }
    for (const auto& [number, hash] : s.block_hashes) { state.set_block_hash(number, hash); }
}

std::map<Address, FinalAccount> final_accounts(StateOverlay& state, Revision revision) {
    std::set<Address> addresses;
    for (const auto& [address, account] : state.accounts()) { addresses.insert(address); }
    std::map<Address, FinalAccount> out;
    for (const Address& a : addresses) {
        FinalAccount f;
        f.nonce = state.nonce(a);
        f.balance = state.balance(a);
        f.code = *state.code(state.code_hash(a));
        for (const auto& [key, value] : state.accounts().at(a).storage) {
            if (!value.is_zero()) { f.storage[key] = value; }
        }
        const bool exists =
            revision >= Revision::spurious_dragon ? !f.is_empty() : state.account_exists(a);
        if (exists || !f.is_empty() || !f.storage.empty()) { out.emplace(a, std::move(f)); }
    }
    return out;
}

/// One workspace for the life of the program, as a worker has it: what a scenario leaves behind in
/// it must not change the next one.
Workspace& workspace() {
    static Workspace w;
    return w;
}

/// `uses_until_fast`: when code gets run checks (evm/core/code.hpp).
Outcome run_engine(const Scenario& s, bool traced, uint32_t uses_until_fast) {
    StateOverlay state;
    fill(state, s);
    const Rules rules = ethereum_rules(s.revision);
    Workspace& w = workspace();
    w.codes = CodeCache{};
    w.codes.set_uses_until_fast(uses_until_fast);
    Outcome out;
    StepRecorder recorder{out.steps};
    const bool clears = s.revision >= Revision::spurious_dragon;
    if (s.is_transaction) {
        ExecutionOptions options;
        if (traced) { options.tracer = &recorder; }
        const auto r = execute_transaction({s.tx, s.sender, s.authorities}, state, w, rules,
                                           precompiles(), s.block, s.block.gas_limit, options);
        if (!r) {
            out.refused = true;
        } else {
            out.status = r->status;
            out.gas = static_cast<int64_t>(r->gas_used);
            out.refund = static_cast<int64_t>(r->gas_refunded);
            out.output = r->output;
            out.logs = r->logs;
            state.apply(r->changes, clears);
        }
    } else {
        w.state.begin(state, rules, w.codes, precompiles());
        const TransactionEnvironment environment{s.sender, s.gas_price, s.blob_hashes};
        Evm evm{w, rules, precompiles(), s.block, environment};
        if (traced) { evm.set_tracer(&recorder); }
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
        state.apply(w.state.changes(), clears);
        w.trim();
    }
    out.accounts = final_accounts(state, s.revision);
    return out;
}

// --- The naive implementation ---

NaiveState naive_state(const Scenario& s) {
    NaiveState state;
    for (const auto& [address, spec] : s.world) {
        NaiveAccount& a = state.accounts[address];
        a.nonce = spec.nonce;
        a.balance = to_word(spec.balance);
        a.code = spec.code;
        for (const auto& [key, value] : spec.storage) { a.storage[to_word(key)] = to_word(value); }
    }
    return state;
}

Outcome run_naive_here(const Scenario& s, Fault fault, bool traced) {
    NaiveState state = naive_state(s);
    NaiveContext context;
    context.revision = s.revision;
    context.precompiles = &precompiles();
    context.block = s.block;
    context.block_hashes = s.block_hashes;
    context.fault = fault;
    Outcome out;
    constexpr size_t spent_max = 4096;
    const auto on_step = [&](const NaiveStep& step) {
        ++out.opcodes[step.opcode];
        out.depth_max = std::max(out.depth_max, step.depth);
        if (step.depth == 0 && out.spent.size() < spent_max) {
            out.spent.push_back(s.gas - step.gas.get_ui());
            if (step.opcode == 0x55) { out.spent_at_store.push_back(out.spent.back()); }
        }
        if (!traced) { return; }
        out.steps.push_back({step.depth, step.pc, step.opcode, step.gas.get_si(), step.stack.size(),
                             step.stack.empty() ? U256{} : to_u256(step.stack.back()),
                             step.memory_size, step.refund.get_si()});
    };
    std::function<void(const Word&)> on_cost;
    if (traced) {
        on_cost = [&](const Word& cost) {
            Step& step = out.steps.back();
            step.cost = cost > step.gas ? step.gas + 1 : cost.get_si();
        };
    }
    if (s.is_transaction) {
        const NaiveTransactionResult r =
            naive_transaction(s.tx, s.sender, s.authorities, state, context, on_step, on_cost);
        out.refused = !r.valid;
        out.status = r.status;
        out.gas = r.gas_used.get_si();
        out.refund = r.gas_refunded.get_si();
        out.output = r.output;
        out.logs = r.logs;
    } else {
        context.origin = s.sender;
        context.gas_price = to_word(s.gas_price);
        context.blob_hashes = s.blob_hashes;
        NaiveEvm evm{state, context};
        evm.on_step = on_step;
        evm.on_cost = on_cost;
        state.accounts[s.sender].nonce += 1;
        NaiveMessage m;
        m.kind = s.creates ? CallKind::create : CallKind::call;
        m.is_static = s.is_static;
        m.gas = s.gas;
        m.recipient = s.to;
        m.code_address = s.to;
        m.sender = s.sender;
        m.value = to_word(s.value);
        m.input = s.input;
        const NaiveResult r = evm.run(m);
        out.status = r.status;
        out.gas = r.gas_left.get_si();
        out.refund = state.refund.get_si();
        out.output = r.output;
        out.logs = state.logs;
        naive_finish(state, s.revision);
    }
    for (const auto& [address, account] : state.accounts) {
        FinalAccount f;
        f.nonce = account.nonce.get_ui();
        f.balance = to_u256(account.balance);
        f.code = account.code;
        for (const auto& [key, value] : account.storage) {
            f.storage[to_u256(key)] = to_u256(value);
        }
        out.accounts.emplace(address, std::move(f));
    }
    return out;
}

/// The naive frames are large: 1,024 of them need more than the usual stack under a sanitizer.
Outcome run_naive(const Scenario& s, Fault fault, bool traced) {
    constexpr uint64_t shallow_gas = 2'000'000;
    if (s.gas <= shallow_gas && s.revision >= Revision::tangerine_whistle) {
        return run_naive_here(s, fault, traced);
    }
    constexpr size_t stack_bytes = size_t{256} << 20;
    Outcome out;
    auto work = [&] { out = run_naive_here(s, fault, traced); };
    pthread_attr_t attributes;
    pthread_t thread{};
    MILLRACE_ASSERT(pthread_attr_init(&attributes) == 0, "thread attributes");
    MILLRACE_ASSERT(pthread_attr_setstacksize(&attributes, stack_bytes) == 0, "a larger stack");
    auto enter = [](void* f) -> void* {
        (*static_cast<decltype(work)*>(f))();
        return nullptr;
    };
    MILLRACE_ASSERT(pthread_create(&thread, &attributes, enter, &work) == 0, "a thread");
    MILLRACE_ASSERT(pthread_join(thread, nullptr) == 0, "the thread ends");
    MILLRACE_ASSERT(pthread_attr_destroy(&attributes) == 0, "thread attributes");
    return out;
}

// --- Differences ---

std::string text(const U256& v) { return to_hex(to_hash(v).view()); }
std::string text(ByteView v) { return to_hex(v); }
std::string text(const Address& a) { return to_hex(a.view()); }

void line(std::string& out, const std::string& what, const std::string& engine,
          const std::string& naive) {
    out += what + ": engine " + engine + ", naive " + naive + "\n";
}

void compare_account(std::string& out, const Address& address, const FinalAccount& engine,
                     const FinalAccount& naive) {
    const std::string name = text(address);
    if (engine.nonce != naive.nonce) {
        line(out, "nonce of " + name, std::to_string(engine.nonce), std::to_string(naive.nonce));
    }
    if (engine.balance != naive.balance) {
        line(out, "balance of " + name, text(engine.balance), text(naive.balance));
    }
    if (engine.code != naive.code) {
        line(out, "code of " + name, text(engine.code), text(naive.code));
    }
    std::set<U256> keys;
    for (const auto& [key, value] : engine.storage) { keys.insert(key); }
    for (const auto& [key, value] : naive.storage) { keys.insert(key); }
    for (const U256& key : keys) {
        const auto e = engine.storage.find(key);
        const auto n = naive.storage.find(key);
        const U256 ev = e == engine.storage.end() ? U256{} : e->second;
        const U256 nv = n == naive.storage.end() ? U256{} : n->second;
        if (ev != nv) { line(out, "slot " + text(key) + " of " + name, text(ev), text(nv)); }
    }
}

std::string text(const std::vector<Log>& logs) {
    std::string out = std::to_string(logs.size()) + " [";
    for (const Log& log : logs) {
        out += text(log.address) + "(";
        for (const Hash256& t : log.topics) { out += text(t.view()) + " "; }
        out += text(log.data) + ") ";
    }
    return out + "]";
}

std::string text(const Step& s) {
    return "depth " + std::to_string(s.depth) + " pc " + std::to_string(s.pc) + " " +
           std::string(opcode_name(s.opcode)) + " gas " + std::to_string(s.gas) + " cost " +
           std::to_string(s.cost) + " memory " + std::to_string(s.memory_size) + " refund " +
           std::to_string(s.refund) + " stack " + std::to_string(s.stack_size) + " top " +
           text(s.top);
}

std::string compare_steps(const Outcome& engine, const Outcome& naive) {
    const size_t common = std::min(engine.steps.size(), naive.steps.size());
    size_t i = 0;
    while (i < common && engine.steps[i] == naive.steps[i]) { ++i; }
    if (i == common && engine.steps.size() == naive.steps.size()) { return {}; }
    std::string out = "the runs part at step " + std::to_string(i) + "\n";
    for (size_t k = i < 3 ? 0 : i - 3; k < i; ++k) {
        out += "  both   " + text(engine.steps[k]) + "\n";
    }
    out += "  engine " + (i < engine.steps.size() ? text(engine.steps[i]) : "has ended") + "\n";
    out += "  naive  " + (i < naive.steps.size() ? text(naive.steps[i]) : "has ended") + "\n";
    return out;
}

std::string compare_outcomes(const Outcome& engine, const Outcome& naive, bool is_transaction) {
    std::string out;
    auto word = [](bool refused) { return std::string(refused ? "refused" : "accepted"); };
    if (engine.refused != naive.refused) {
        line(out, "validity", word(engine.refused), word(naive.refused));
    }
    if (engine.refused || naive.refused) { return out; }
    if (engine.status != naive.status) {
        line(out, "status", std::string(to_string(engine.status)),
             std::string(to_string(naive.status)));
    }
    if (engine.gas != naive.gas) {
        line(out, is_transaction ? "gas used" : "gas left", std::to_string(engine.gas),
             std::to_string(naive.gas));
    }
    if (engine.refund != naive.refund) {
        line(out, "refund", std::to_string(engine.refund), std::to_string(naive.refund));
    }
    if (engine.output != naive.output) {
        line(out, "output", text(engine.output), text(naive.output));
    }
    if (engine.logs != naive.logs) { line(out, "logs", text(engine.logs), text(naive.logs)); }
    std::set<Address> addresses;
    for (const auto& [address, account] : engine.accounts) { addresses.insert(address); }
    for (const auto& [address, account] : naive.accounts) { addresses.insert(address); }
    for (const Address& a : addresses) {
        const auto e = engine.accounts.find(a);
        const auto n = naive.accounts.find(a);
        if (e == engine.accounts.end() || n == naive.accounts.end()) {
            auto there = [](bool yes) { return std::string(yes ? "exists" : "does not exist"); };
            line(out, "account " + text(a), there(e != engine.accounts.end()),
                 there(n != naive.accounts.end()));
        } else if (e->second != n->second) {
            compare_account(out, a, e->second, n->second);
        }
    }
    out += compare_steps(engine, naive);
    return out;
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

Comparison compare(const Scenario& scenario, Fault fault, Steps steps) {
    const bool traced = steps == Steps::compared;
    Outcome naive = run_naive(scenario, fault, traced);
    Comparison c;
    c.difference =
        compare_outcomes(run_engine(scenario, traced, 0), naive, scenario.is_transaction);
    if (!traced && c.difference.empty()) {
        // Without run checks at first; a call counts as 8 uses, so a frame changes over at one of
        // its first jumps.
        const auto uses = static_cast<uint32_t>(9 + scenario.gas % 16);
        c.difference =
            compare_outcomes(run_engine(scenario, false, uses), naive, scenario.is_transaction);
    }
    c.status = naive.status;
    c.refused = naive.refused;
    c.spent = std::move(naive.spent);
    c.spent_at_store = std::move(naive.spent_at_store);
    c.opcodes = naive.opcodes;
    c.depth_max = naive.depth_max;
    if (!naive.refused) {
        c.gas_used = scenario.is_transaction ? static_cast<uint64_t>(naive.gas + naive.refund)
                                             : scenario.gas - static_cast<uint64_t>(naive.gas);
    }
    return c;
}

Scenario with_gas(const Scenario& scenario, uint64_t gas) {
    Scenario s = scenario;
    s.gas = gas;
    s.tx.gas_limit = gas;
    return s;
}

namespace {

/// A gas limit that ends the run early, or just not.
uint64_t pick_limit(const Comparison& c, Choices& choices) {
    uint64_t near = c.gas_used + choices.below(3);
    uint64_t slack = 1;
    switch (choices.below(6)) {
        case 0: break;
        case 1:
            if (!c.spent_at_store.empty()) {
                near = choices.any_of(c.spent_at_store) + choices.between(2298, 2303);
            }
            break;
        case 2:
            if (!c.spent.empty()) { near = c.spent.back() + choices.below(12); }
            slack = 4;
            break;
        case 3:
        case 4:
            if (!c.spent.empty()) { near = choices.any_of(c.spent) + choices.below(12); }
            break;
        default: return choices.below(c.gas_used + 1);
    }
    return near - std::min(near, slack);
}

}  // namespace

std::optional<Finding> examine(const Scenario& scenario, Choices& choices, Fault fault) {
    const bool small = scenario.gas < 300'000;
    const Comparison first =
        compare(scenario, fault, small && choices.one_in(6) ? Steps::compared : Steps::unseen);
    if (!first.difference.empty()) { return Finding{scenario, first.difference}; }
    if (first.refused || first.gas_used > 3'000'000) { return std::nullopt; }
    for (uint64_t i = choices.below(8); i-- > 0;) {
        Scenario s = with_gas(scenario, pick_limit(first, choices));
        const Comparison c = compare(s, fault);
        if (!c.difference.empty()) { return Finding{std::move(s), c.difference}; }
    }
    return std::nullopt;
}

Finding minimized(Finding finding, Fault fault) {
    unsigned attempts = 1500;
    auto keep_if_different = [&](Scenario s) {
        if (attempts == 0) { return false; }
        --attempts;
        Comparison c = compare(s, fault);
        if (c.difference.empty()) { return false; }
        finding = {std::move(s), std::move(c.difference)};
        return true;
    };
    std::vector<Address> addresses;
    for (const auto& [address, spec] : finding.scenario.world) { addresses.push_back(address); }
    for (const Address& a : addresses) {
        if (a == finding.scenario.sender) { continue; }
        Scenario s = finding.scenario;
        s.world.erase(a);
        if (keep_if_different(std::move(s))) { continue; }
        s = finding.scenario;
        s.world[a].storage.clear();
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
                const size_t end = std::min(size, at + piece);
                if (std::all_of(code.begin() + static_cast<ptrdiff_t>(at),
                                code.begin() + static_cast<ptrdiff_t>(end),
                                [](uint8_t b) { return b == 0x5b; })) {
                    continue;
                }
                std::fill(code.begin() + static_cast<ptrdiff_t>(at),
                          code.begin() + static_cast<ptrdiff_t>(end), uint8_t{0x5b});
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

std::string describe(const Finding& finding, Fault fault) {
    const Scenario& s = finding.scenario;
    std::string out = finding.difference;
    out += "fork " + std::string(to_string(s.revision)) + ", coinbase " + text(s.block.coinbase) +
           ", sender " + text(s.sender) + "\n";
    if (s.is_transaction) {
        out += "transaction: type " + std::to_string(static_cast<int>(s.tx.type)) + ", to " +
               (s.tx.to ? text(*s.tx.to) : "nobody") + ", gas limit " +
               std::to_string(s.tx.gas_limit) + ", nonce " + std::to_string(s.tx.nonce) +
               ", fee cap " + text(s.tx.max_fee_per_gas) + ", value " + text(s.tx.value) +
               ", data " + text(s.tx.data) + "\n";
        for (const AccessListEntry& e : s.tx.access_list) {
            out += "  access list: " + text(e.address);
            for (const Hash256& k : e.storage_keys) { out += " " + text(k.view()); }
            out += "\n";
        }
        for (size_t i = 0; i < s.tx.authorization_list.size(); ++i) {
            const Authorization& a = s.tx.authorization_list[i];
            out += "  authorization: chain " + text(a.chain_id) + ", to " + text(a.address) +
                   ", nonce " + std::to_string(a.nonce) + ", by " +
                   (s.authorities[i] ? text(*s.authorities[i]) : "nobody") + "\n";
        }
    } else {
        out += std::string(s.creates     ? "creation"
                           : s.is_static ? "static call"
                                         : "call") +
               ": to " + text(s.to) + ", gas " + std::to_string(s.gas) + ", value " +
               text(s.value) + ", input " + text(s.input) + "\n";
    }
    for (const auto& [address, spec] : s.world) {
        out += "account " + text(address) + ": nonce " + std::to_string(spec.nonce) + ", balance " +
               text(spec.balance) + "\n";
        for (const auto& [key, value] : spec.storage) {
            out += "  slot " + text(key) + " = " + text(value) + "\n";
        }
        if (!spec.code.empty()) { out += "  code " + text(spec.code) + "\n"; }
        if (spec.code.size() <= 400) { out += disassembly(spec.code); }
    }
    if (s.gas < 2'000'000) {
        const Comparison traced = compare(s, fault, Steps::compared);
        out += traced.difference.empty() ? "no difference when traced step by step\n"
                                         : "traced:\n" + traced.difference;
    }
    return out;
}

}  // namespace millrace::evm::differential
