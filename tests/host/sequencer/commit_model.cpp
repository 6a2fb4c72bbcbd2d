// SPDX-License-Identifier: Apache-2.0
// Owns the transactions of the models, their serial execution, and the comparison.
#include "tests/host/sequencer/commit_model.hpp"

#include <algorithm>
#include <map>

#include "evm/tx/block.hpp"
#include "host/base/error.hpp"

namespace millrace::sequencer::test {
namespace {

using Kind = ModelOperation::Kind;

Address address_of(size_t account) {
    Address a;
    a[19] = static_cast<uint8_t>(account + 1);
    return a;
}

/// An amount of the model in a balance: in two of its words, so that half a balance is none.
U256 amount_of(uint64_t amount) {
    U256 v;
    v.w[0] = v.w[1] = amount;
    return v;
}

struct Effect {
    std::optional<uint64_t> nonce;
    uint64_t credit = 0;
    uint64_t debit = 0;
};

/// What one execution of a transaction has seen, and does.
struct Execution {
    std::vector<uint64_t> observed;
    std::array<Effect, model_accounts> effects;

    /// `state` answers nonce(i), balance(i) and at_least(i, amount).
    template <class State>
    void run(size_t self, const ModelTransaction& transaction, State&& state) {
        observed.clear();
        effects = {};
        for (const ModelOperation& o : transaction) {
            switch (o.kind) {
                case Kind::read: observed.push_back(state.nonce(o.account)); break;
                case Kind::look: observed.push_back(state.balance(o.account)); break;
                case Kind::ask: observed.push_back(state.at_least(o.account, o.amount)); break;
                case Kind::pay:
                    observed.push_back(state.at_least(o.account, o.amount));
                    if (observed.back() != 0) {
                        effects[o.account].debit += o.amount;
                        if (o.to != model_nobody) { effects[o.to].credit += o.amount; }
                    }
                    break;
                case Kind::earn: effects[o.account].credit += o.amount; break;
                case Kind::write: {
                    uint64_t value = self + 2;
                    for (const uint64_t v : observed) { value = value * 1'000'003 + v; }
                    effects[o.account].nonce = value;
                    break;
                }
            }
        }
    }
};

/// The serial execution's.
struct PlainState {
    std::array<uint64_t, model_accounts> nonces;
    std::array<uint64_t, model_accounts> balances;
    // The numbers of the last that changed it.
    std::array<uint64_t, model_accounts> nonce_changed{};
    std::array<uint64_t, model_accounts> balance_changed{};

    PlainState() {
        nonces.fill(model_nonce);
        balances.fill(model_balance);
    }
    uint64_t nonce(size_t i) const { return nonces[i]; }
    uint64_t balance(size_t i) const { return balances[i]; }
    bool at_least(size_t i, uint64_t amount) const { return balances[i] >= amount; }
    void apply(const Execution& e, uint64_t sequence) {
        for (size_t i = 0; i < model_accounts; ++i) {
            const Effect& f = e.effects[i];
            if (f.nonce) {
                nonces[i] = *f.nonce;
                nonce_changed[i] = sequence;
            }
            if (f.credit != 0 || f.debit != 0) {
                balances[i] += f.credit - f.debit;
                balance_changed[i] = sequence;
            }
        }
    }
};

class Run {
public:
    explicit Run(const CommitModel& model) : model_(model) {
        storage::StateDelta state;
        for (size_t i = 0; i < model_accounts; ++i) {
            storage::AccountDelta& a = state.accounts.emplace_back();
            a.address = address_of(i);
            a.nonce = model_nonce;
            a.balance = amount_of(model_balance);
            a.code_hash = evm::empty_code_hash;
        }
        state.sort();
        MILLRACE_ASSERT(store_->apply(1, state).has_value(), "the state is valid");
        cells_ = std::make_unique<CellTable>(store_->snapshot());
        for (size_t i = 0; i < model_accounts; ++i) { (void)cells_->account(address_of(i)); }
        for (size_t i = 0; i < model.transactions.size(); ++i) {
            participants_.push_back(std::make_unique<Participant>(*cells_, no_hashes_));
        }
    }

    CommitModelReport explore() {
        std::vector<Exploration::Thread> threads;
        for (size_t i = 0; i < participants_.size(); ++i) {
            threads.emplace_back([this, i] { transact(i); });
        }
        if (model_.border) {
            threads.emplace_back([this] {
                border_ = cells_->close_environment(environment_);
                CellTable::open_environment(environment_, border_);
            });
        }
        Exploration exploration;
        report_.exploration = exploration.explore(
            threads,
            [this] {
                border_ = 0;
                for (auto& p : participants_) { p->attempts = 0; }
            },
            [this] { return compare(); });
        return report_;
    }

private:
    struct Attempt {
        CellTable::Commit commit;
        uint64_t environment = 0;
        Execution execution;
        Published published;
        bool torn = false;  ///< it saw half a value
    };
    /// One transaction; everything that its thread owns, because threads are given up.
    struct Participant {
        Participant(CellTable& cells, const CellView::BlockHashes& hashes) : view(cells, hashes) {}
        CellView view;
        CellTable::Scratch scratch;
        evm::StateChanges changes;
        std::array<Attempt, 2> tried;
        size_t attempts = 0;
    };
    /// The view's answers in the form of PlainState.
    struct ViewState {
        CellView& view;
        uint64_t nonce(size_t i) const { return view.nonce(address_of(i)); }
        bool& torn;
        uint64_t balance(size_t i) const {
            const U256 v = view.balance(address_of(i));
            torn = torn || v != amount_of(v.w[0]);
            return v.w[0];
        }
        bool at_least(size_t i, uint64_t amount) const {
            return view.balance_at_least(address_of(i), amount_of(amount));
        }
    };

    void transact(size_t self) {
        Participant& p = *participants_[self];
        while (p.attempts < model_.attempts) {
            Attempt& a = p.tried[p.attempts];
            // As the executor's workers, which wait while it is locked: one that comes later does.
            a.environment = model_.border ? environment_.load(std::memory_order_seq_cst) : 0;
            if (is_locked(a.environment)) { return; }
            const ReadSet::Read environment{&environment_, a.environment};
            p.view.clear();
            a.torn = false;
            a.execution.run(self, model_.transactions[self], ViewState{p.view, a.torn});
            p.changes.accounts.clear();
            for (size_t i = 0; i < model_accounts; ++i) {
                const Effect& e = a.execution.effects[i];
                if (!e.nonce && e.credit == 0 && e.debit == 0) { continue; }
                evm::AccountChange& c = p.changes.accounts.emplace_back();
                c.address = address_of(i);
                c.nonce = e.nonce;
                c.credit = amount_of(e.credit);
                c.debit = amount_of(e.debit);
            }
            a.commit = cells_->commit(p.view.reads(), p.changes, p.scratch, a.published,
                                      model_.border ? &environment : nullptr);
            ++p.attempts;
            if (a.commit.conflict == Conflict::none) { return; }
        }
    }

    std::string compare() {
        struct Told {
            uint64_t sequence;
            size_t participant;
            const Attempt* attempt;  ///< null for the border
        };
        std::vector<Told> told;
        if (model_.border) { told.push_back({border_, 0, nullptr}); }
        size_t committed = 0;
        for (size_t i = 0; i < participants_.size(); ++i) {
            const Participant& p = *participants_[i];
            for (size_t n = 0; n < p.attempts; ++n) {
                const CellTable::Commit& c = p.tried[n].commit;
                if (c.sequence != 0) { told.push_back({c.sequence, i, &p.tried[n]}); }
                const bool done = c.conflict == Conflict::none;
                committed += done ? 1 : 0;
                ++(done              ? report_.committed
                   : c.sequence != 0 ? report_.refused
                                     : report_.refused_early);
                // Not even an attempt that is refused: code runs on what it sees.
                if (p.tried[n].torn) { return "half a balance was seen"; }
                if (done && c.sequence == 0) { return "a commit without a number"; }
            }
        }
        report_.committed_all += committed == participants_.size() ? 1 : 0;
        std::sort(told.begin(), told.end(),
                  [](const Told& a, const Told& b) { return a.sequence < b.sequence; });
        PlainState state;
        bool closed = false;
        for (size_t n = 0; n < told.size(); ++n) {
            const Told& t = told[n];
            if (t.sequence != n + 1) { return "nobody told of number " + std::to_string(n + 1); }
            if (t.attempt == nullptr) {
                closed = true;
                continue;
            }
            if (t.attempt->commit.conflict != Conflict::none) { continue; }
            const std::string who = "transaction " + std::to_string(t.participant);
            const bool next_block = t.attempt->environment != 0;
            report_.in_next_block += next_block ? 1 : 0;
            if (next_block != closed) { return who + " is in another block than it saw"; }
            Execution serial;
            serial.run(t.participant, model_.transactions[t.participant], state);
            if (serial.observed != t.attempt->execution.observed) {
                return who + " saw what it would not have seen in its place";
            }
            state.apply(serial, t.sequence);
            for (const Published::AccountPost& post : t.attempt->published.accounts) {
                const size_t i = post.account->address[19] - 1u;
                if (post.nonce && *post.nonce != state.nonces[i]) {
                    return who + " published another nonce";
                }
                if (post.balance && *post.balance != amount_of(state.balances[i])) {
                    return who + " published another balance";
                }
            }
        }
        if (cells_->sequence() != told.size()) { return "nobody told of the last number"; }
        for (size_t i = 0; i < model_accounts; ++i) {
            AccountCells& a = cells_->account(address_of(i));
            const std::string where = " of account " + std::to_string(i);
            if (a.nonce.load() != state.nonces[i]) { return "nonce" + where; }
            if (a.balance.load() != amount_of(state.balances[i])) { return "balance" + where; }
            const auto version = [](const auto& cell) {
                return cell.version_word().load(std::memory_order_relaxed);
            };
            if (version(a.nonce) != version_of(state.nonce_changed[i]) ||
                version(a.balance) != version_of(state.balance_changed[i])) {
                return "version" + where;
            }
        }
        return {};
    }

    const CommitModel& model_;
    CellView::BlockHashes no_hashes_ = [](uint64_t) { return Hash256{}; };
    std::unique_ptr<storage::StateStore> store_ = storage::make_memory_state_store();
    std::unique_ptr<CellTable> cells_;
    VersionWord environment_{0};
    std::vector<std::unique_ptr<Participant>> participants_;
    uint64_t border_ = 0;
    CommitModelReport report_;
};

constexpr ModelOperation read(size_t account) { return {Kind::read, account}; }
constexpr ModelOperation write(size_t account) { return {Kind::write, account}; }
constexpr ModelOperation look(size_t account) { return {Kind::look, account}; }
constexpr ModelOperation ask(size_t account, uint64_t amount) {
    return {Kind::ask, account, amount};
}
constexpr ModelOperation pay(size_t account, uint64_t amount, size_t to = model_nobody) {
    return {Kind::pay, account, amount, to};
}
constexpr ModelOperation earn(size_t account, uint64_t amount) {
    return {Kind::earn, account, amount};
}

}  // namespace

CommitModelReport explore_commits(const CommitModel& model) { return Run(model).explore(); }

std::vector<CommitModel> models_of_pairs() {
    // Bits 0 and 1: the cells that it reads; bits 2 and 3: those that it writes.
    const auto transaction = [](unsigned bits) {
        ModelTransaction t;
        for (size_t i = 0; i < 2; ++i) {
            if ((bits >> i & 1) != 0) { t.push_back(read(i)); }
        }
        for (size_t i = 0; i < 2; ++i) {
            if ((bits >> (2 + i) & 1) != 0) { t.push_back(write(i)); }
        }
        return t;
    };
    std::vector<CommitModel> models;
    for (unsigned a = 1; a < 16; ++a) {
        for (unsigned b = a; b < 16; ++b) {
            models.push_back({"pair " + std::to_string(a) + " " + std::to_string(b),
                              {transaction(a), transaction(b)},
                              2});
        }
    }
    return models;
}

std::vector<CommitModel> models_of_balances() {
    const std::vector<ModelTransaction> transactions = {
        {pay(0, 6, 1)},                           // only one of two can
        {pay(1, 6, 0)},         {pay(0, 12, 1)},  // not before somebody has paid in
        {look(0), write(2)},                      // any change matters
        {ask(0, 6), write(2)},                    // what leaves enough does not
        {ask(0, 12), write(0)},
    };
    std::vector<CommitModel> models;
    for (size_t a = 0; a < transactions.size(); ++a) {
        for (size_t b = a; b < transactions.size(); ++b) {
            models.push_back({"balances " + std::to_string(a) + " " + std::to_string(b),
                              {transactions[a], transactions[b]},
                              2});
        }
    }
    return models;
}

std::vector<CommitModel> models_of_three() {
    return {
        {"a bound between a debit and a credit",
         {{ask(0, 6), write(0)}, {pay(0, 8)}, {earn(0, 8)}}},
        {"write skew in a ring", {{read(0), write(1)}, {read(1), write(2)}, {read(2), write(0)}}},
        {"three counters in one cell",
         {{read(0), write(0)}, {read(0), write(0)}, {read(0), write(0)}}},
        {"writes of two cells beside a reader of both",
         {{write(0), write(1)}, {write(1), write(0)}, {read(0), read(1)}}},
        {"a chain of what was read",
         {{read(0), write(1)}, {read(1), write(2)}, {read(0), read(1), read(2)}}},
    };
}

std::vector<CommitModel> models_of_borders() {
    return {
        {"a counter at a border", {{read(0), write(0)}}, 2, true},
        {"two counters at a border", {{read(0), write(0)}, {read(0), write(0)}}, 2, true},
        {"skew at a border", {{read(0), write(1)}, {read(1), write(0)}}, 1, true},
        {"blind writes at a border", {{write(0), write(1)}, {write(1)}}, 2, true},
        {"a bound at a border", {{ask(0, 6), write(0)}, {pay(0, 8)}}, 1, true},
    };
}

}  // namespace millrace::sequencer::test
