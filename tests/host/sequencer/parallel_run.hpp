// SPDX-License-Identifier: Apache-2.0
// Owns random loads on an executor, and their comparison with a serial execution in commit order.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "evm/precompiles/standard.hpp"
#include "host/sequencer/executor/block_builder.hpp"
#include "host/sequencer/executor/executor.hpp"
#include "host/sequencer/ledger/mini_block_record.hpp"
#include "tests/host/sequencer/test_chain.hpp"
#include "tests/host/sequencer/version_history.hpp"

namespace millrace::sequencer::test {

/// Stores NUMBER in the slot that calldata names.
inline const Address number_contract =
    address_literal("0x00000000000000000000000000000000000000d1");
/// Reads slots 0 and 1 and adds one to the slot that calldata names where their sum is below 2, or
/// clears it: two that run at the same time must not both see the sum of before (write skew).
inline const Address skew_contract = address_literal("0x00000000000000000000000000000000000000d2");
/// Stores the balance of the address in calldata in slot CALLER.
inline const Address balance_contract =
    address_literal("0x00000000000000000000000000000000000000d3");
/// Sends its whole balance to the caller.
inline const Address purse_contract = address_literal("0x00000000000000000000000000000000000000d4");
/// Creates a contract that selfdestructs to the caller at once, with the value of the call.
inline const Address factory_contract =
    address_literal("0x00000000000000000000000000000000000000d5");

/// Sends the caller what calldata asks for, and stores in slot CALLER whether it had that much.
inline const Address till_contract = address_literal("0x00000000000000000000000000000000000000d6");

/// A token: sends the caller's balance (slot CALLER) of calldata's second word to the address in
/// its first one, and logs it; reverts where there is less.
inline const Address token_contract = address_literal("0x00000000000000000000000000000000000000d7");
/// A constant-product market: takes calldata's word into its reserve in slot 0, gives out of the
/// one in slot 1, and adds what it gave to slot CALLER.
inline const Address market_contract =
    address_literal("0x00000000000000000000000000000000000000d8");
/// Stores TIMESTAMP in the slot that calldata names.
inline const Address clock_contract = address_literal("0x00000000000000000000000000000000000000d9");
/// Deploys a contract that selfdestructs to the origin at once, at an address that follows from
/// calldata, again and again (CREATE2).
inline const Address phoenix_contract =
    address_literal("0x00000000000000000000000000000000000000da");
/// Where phoenix_contract deploys with `salt`.
inline Address phoenix_address(const U256& salt) {
    Bytes preimage(1, 0xff);
    preimage.insert(preimage.end(), phoenix_contract.begin(), phoenix_contract.end());
    preimage.resize(preimage.size() + 32);
    store_be(salt, preimage.data() + 21);
    const Hash256 code = kernels::keccak256(Bytes{0x32, 0xff});
    preimage.insert(preimage.end(), code.begin(), code.end());
    return Address::from(kernels::keccak256(preimage).view().subspan(12));
}

struct ParallelLoad {
    uint64_t seed = 1;
    uint32_t workers = 4;
    uint64_t senders = 12;
    uint64_t transactions = 400;
    U256 balance = U256{3} * ether / U256{1000};  ///< of each sender: it runs short
    /// One of so many steps of a commit gives up its turn or sleeps; 0 for none.
    uint32_t yield_one_in = 4;
    /// Bit mask of the kinds of transactions below.
    uint32_t kinds = ~0u;
    std::chrono::seconds stall{20};
};

enum class LoadKind : uint8_t {
    ring_transfer,    ///< to the next sender
    hot_transfer,     ///< to one receiver
    racing_transfer,  ///< nearly everything that the sender has, while others pay in
    counter,          ///< one hot slot
    skew,
    number,
    balance_read,
    purse,
    till,  ///< bounds on a balance that many take from
    creation,
    factory,
    set_code,
    coinbase_read,
    block_hash,
    parent_hash,  ///< by BLOCKHASH, perhaps before it is known
    history,      ///< the same by EIP-2935
    token,        ///< half of them to one hub
    swap,         ///< in one market
    time,
    phoenix,          ///< creates and destroys at one of two addresses
    phoenix_payment,  ///< and pays to them meanwhile
    count_
};

struct ParallelOutcome {
    std::string wrong;  ///< empty when everything equals the serial execution
    ExecutorStatistics statistics;
    uint64_t blocks = 0;
    uint64_t waited = 0;     ///< attempts that met a hash that was not known
    uint64_t succeeded = 0;  ///< of those executed
};

/// A chain whose senders have little, so that balances run short, and its transactions in chains of
/// nonces.
class ParallelRun {
public:
    explicit ParallelRun(const ParallelLoad& load)
        : load_(load), random_(load.seed), genesis_(make_genesis({.accounts = 0})) {
        storage::StateDelta& state = genesis_.state;
        for (uint64_t i = 0; i < load.senders; ++i) { add_account(state, sender(i), load.balance); }
        add_account(state, number_contract, {}, "435f355500", 1);
        add_account(state, skew_contract, {},
                    "5f54600154016002116011575f5f355500"
                    "5b5f3580546001019055"
                    "00",
                    1);
        add_account(state, balance_contract, {}, "5f3531335500", 1);
        add_account(state, purse_contract, U256{1'000'000}, "5f5f5f5f47335af100", 1);
        // initcode: CALLER's origin cannot be known: ORIGIN SELFDESTRUCT = 32ff.
        add_account(state, till_contract, U256{1000}, "5f5f5f5f5f35335af1335500", 1);
        add_account(state, factory_contract, {}, "6132ff5f526002601e34f000", 1);
        add_account(state, token_contract, {},
                    "335460203581811115600f575f5ffd"
                    "5b9081900333555f35805482019055"
                    "5f523360205fa160015f5260205ff3",
                    1);
        add_account(state, market_contract, {},
                    "5f546001545f35828101818302819004"
                    "80840360015590"
                    "5f55335401335500",
                    1);
        state.slots.push_back({market_contract, U256{0}, U256{1'000'000}});
        state.slots.push_back({market_contract, U256{1}, U256{1'000'000}});
        for (uint64_t i = 0; i < load.senders; ++i) {
            state.slots.push_back({token_contract, to_u256(sender(i)), U256{2000}});
        }
        add_account(state, clock_contract, {}, "425f355500", 1);
        add_account(state, phoenix_contract, {}, "6132ff5f525f356002601e34f500", 1);
        state.sort();
        MILLRACE_ASSERT(store_->apply(1, state).has_value(), "the state is valid");
        chains_.resize(load.senders);
        for (uint64_t n = 0; n < load.transactions; ++n) {
            const uint64_t from = random_() % load.senders;
            chains_[from].push_back(make(from, chains_[from].size()));
        }
    }

    ParallelOutcome run();

private:
    static Address sender(uint64_t i) { return stranger(1000 + i); }

    AdmittedPtr make(uint64_t from, uint64_t nonce) {
        LoadKind kind;
        do {
            kind = static_cast<LoadKind>(random_() % static_cast<uint64_t>(LoadKind::count_));
        } while ((load_.kinds >> static_cast<uint32_t>(kind) & 1) == 0);
        const auto word = [](const U256& v) {
            Bytes b(32);
            store_be(v, b.data());
            return b;
        };
        const auto address_word = [](const Address& a) {
            Bytes b(32);
            std::copy(a.begin(), a.end(), b.begin() + 12);
            return b;
        };
        evm::Transaction tx;
        std::vector<std::optional<Address>> authorities;
        switch (kind) {
            case LoadKind::ring_transfer:
                tx = transfer_transaction(nonce, sender((from + 1) % load_.senders),
                                          U256{random_() % 1000});
                break;
            case LoadKind::hot_transfer:
                tx = transfer_transaction(nonce, stranger(1), U256{random_() % 1000});
                break;
            case LoadKind::racing_transfer:
                tx = transfer_transaction(nonce, sender(random_() % load_.senders),
                                          ether / U256{1000} * U256{1 + random_() % 3});
                break;
            case LoadKind::counter: tx = call_transaction(nonce, counter_contract); break;
            case LoadKind::skew:
                tx = call_transaction(nonce, skew_contract, {}, word(U256{random_() % 2}));
                break;
            case LoadKind::number:
                tx = call_transaction(nonce, number_contract, {}, word(U256{random_() % 64}));
                break;
            case LoadKind::balance_read:
                tx = call_transaction(nonce, balance_contract, {},
                                      address_word(sender(random_() % load_.senders)));
                break;
            case LoadKind::purse:
                tx = call_transaction(nonce, purse_contract, U256{random_() % 1000});
                break;
            case LoadKind::till:
                tx = call_transaction(nonce, till_contract, U256{random_() % 400},
                                      word(U256{random_() % 500}));
                break;
            case LoadKind::creation:
                tx = call_transaction(nonce, std::nullopt, U256{random_() % 2},
                                      from_hex("615f5f5f526002601ef3").value());
                break;
            case LoadKind::factory:
                tx = call_transaction(nonce, factory_contract, U256{random_() % 1000}, {}, 200'000);
                break;
            case LoadKind::set_code: {
                const Address delegate = random_() % 2 == 0 ? counter_contract : Address{};
                const uint64_t authority = random_() % 4;
                evm::Authorization a;
                a.chain_id = U256{chain_id};
                a.address = delegate;
                a.nonce = set_codes_[authority] + random_() % 2;
                ++set_codes_[authority];
                tx = set_code_transaction(nonce, stranger(50 + authority), {a});
                authorities = {stranger(50 + authority)};
                break;
            }
            case LoadKind::coinbase_read:
                tx = call_transaction(nonce, balance_contract, {}, address_word(genesis_.coinbase));
                break;
            case LoadKind::block_hash:
                tx = call_transaction(nonce, block_hash_contract, {}, word(U256{random_() % 4}));
                break;
            case LoadKind::parent_hash:
                tx = call_transaction(nonce, parent_hash_contract, {}, word(U256{random_() % 8}));
                break;
            case LoadKind::history:
                tx = call_transaction(nonce, history_reader, {}, word(U256{random_() % 8}));
                break;
            case LoadKind::token: {
                Bytes data = address_word(random_() % 2 == 0 ? sender(0)
                                                             : sender(random_() % load_.senders));
                const Bytes amount = word(U256{random_() % 200});
                data.insert(data.end(), amount.begin(), amount.end());
                tx = call_transaction(nonce, token_contract, {}, std::move(data));
                break;
            }
            case LoadKind::swap:
                tx = call_transaction(nonce, market_contract, {}, word(U256{1 + random_() % 1000}));
                break;
            case LoadKind::time:
                tx = call_transaction(nonce, clock_contract, {}, word(U256{random_() % 8}));
                break;
            case LoadKind::phoenix:
                tx = call_transaction(nonce, phoenix_contract, U256{random_() % 1000},
                                      word(U256{random_() % 2}), 200'000);
                break;
            case LoadKind::phoenix_payment:
                tx = transfer_transaction(nonce, phoenix_address(U256{random_() % 2}),
                                          U256{1 + random_() % 1000});
                break;
            case LoadKind::count_: break;
        }
        auto admitted =
            std::make_shared<AdmittedTransaction>(*unsigned_of(sender(from), std::move(tx)));
        admitted->authorities = std::move(authorities);
        return admitted;
    }

    static Hash256 block_hash(uint64_t number) {
        return kernels::keccak256(as_bytes(std::to_string(number)));
    }
    OpenBlock block(uint64_t number) const {
        OpenBlock b;
        b.number = number;
        b.timestamp_s = 1'700'000'000 + number;
        b.parent_hash = block_hash(number - 1);
        b.base_fee_per_gas = U256{gwei};
        b.gas_limit = genesis_.block_gas_limit;
        b.coinbase = genesis_.coinbase;
        return b;
    }

    ParallelLoad load_;
    std::mt19937_64 random_;
    Genesis genesis_;
    evm::StandardPrecompiles precompiles_;
    std::unique_ptr<storage::StateStore> store_ = storage::make_memory_state_store();
    std::vector<std::deque<AdmittedPtr>> chains_;
    std::map<uint64_t, uint64_t> set_codes_;
};

inline ParallelOutcome ParallelRun::run() {
    ParallelOutcome out;
    CellTable cells{store_->snapshot()};
    CellTable serial_cells{store_->snapshot()};
    BlockBuilder builder{genesis_.spec, precompiles_, cells};
    BlockBuilder serial{genesis_.spec, precompiles_, serial_cells};
    builder.add_block_hash(0, block_hash(0));
    serial.add_block_hash(0, block_hash(0));
    std::atomic<uint64_t> step{load_.seed};
    ExecutorOptions options;
    options.worker_count = load_.workers;
    if (load_.yield_one_in != 0) {
        // The same seed gives other schedules each time, but never the same twice in a run.
        options.yield = [&step, one_in = load_.yield_one_in] {
            uint64_t x = step.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed);
            x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
            x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
            x ^= x >> 31;
            if (x % one_in != 0) { return; }
            if ((x >> 32) % 8 == 0) {
                std::this_thread::sleep_for(std::chrono::microseconds((x >> 40) % 50));
            } else {
                std::this_thread::yield();
            }
        };
    }
    // Sometimes the owner leaves everything to the others, sometimes it comes to execute late.
    options.owner_executes = load_.workers < 3 || load_.seed % 3 != 0;
    options.lanes = load_.seed % 2 == 0;
    options.window = 1 + load_.seed % 4 * 8;
    options.long_gas = load_.seed % 2 == 0 ? 90'000 : 1'000'000;
    VersionHistory history;
    Executor executor{options, precompiles_, cells};
    history.border(cells.sequence());  // of the first block

    MiniBlockRecorder recorder;
    MiniBlockRecorder serial_recorder;
    uint64_t number = 1;
    uint64_t mini_block = 1;
    std::deque<AdmittedPtr> returned;  // by the executor, because the parent's hash is to come
    const auto differ = [&](const std::string& what) {
        if (out.wrong.empty()) { out.wrong = what + " in block " + std::to_string(number); }
    };
    storage::StateDelta opening;  // as the serial execution has it
    const auto open = [&] {
        opening = serial.open(block(number));
        OpenBlock first = block(number);
        if (random_() % 2 == 0 && builder.can_open_before_parent(number, first.timestamp_s)) {
            first.parent_promised = true;
            first.parent_hash = {};
            if (!builder.open(first).empty()) { differ("opening without the parent"); }
        } else if (builder.open(first) != opening) {
            differ("opening");
        }
        executor.open_block(builder.context());
    };
    const auto cut = [&] {
        if (builder.uncut_count() == 0) { return; }
        const auto [m, accesses] = builder.cut(mini_block, 0);
        const auto [s, serial_accesses] = serial.cut(mini_block++, 0);
        if (m->post_values != s->post_values) { differ("post-values"); }
        const auto record = recorder.record({}, *m, *accesses);
        const auto serial_record = serial_recorder.record({}, *s, *serial_accesses);
        if (!record || !serial_record ||
            record->receipts_digest != serial_record->receipts_digest) {
            differ("receipts");
        } else if (!std::ranges::equal(record->payload, serial_record->payload)) {
            differ("access lists");
        }
    };
    // While others are executing.
    const auto seal_parent = [&] {
        cut();
        if (builder.parent_sealed(block_hash(number - 1)) != opening) { differ("late opening"); }
    };
    std::vector<bool> busy(chains_.size());
    size_t left = 0;
    for (const auto& c : chains_) { left += c.size(); }
    bool closing = false;
    open();
    auto progress = std::chrono::steady_clock::now();
    auto last_progress = progress;
    while ((left != 0 || builder.is_open()) && out.wrong.empty()) {
        // Some of the senders that have nothing under way.
        for (size_t k = random_() % 4; k > 0 && !closing; --k) {
            const size_t i = random_() % chains_.size();
            if (!busy[i] && !chains_[i].empty() && executor.try_dispatch(chains_[i].front())) {
                busy[i] = true;
            }
        }
        while (!builder.awaits_parent() && !returned.empty() &&
               executor.try_dispatch(returned.front())) {
            returned.pop_front();
        }
        if (random_() % 2 == 0) { executor.execute_one(); }
        if (Completion* c = executor.take()) {
            progress = std::chrono::steady_clock::now();
            const auto settle = [&] {
                for (size_t i = 0; i < chains_.size(); ++i) {
                    if (!chains_[i].empty() && chains_[i].front() == c->transaction) {
                        chains_[i].pop_front();
                        busy[i] = false;
                    }
                }
                --left;
            };
            switch (c->kind) {
                case Completion::Kind::nothing: break;
                case Completion::Kind::executed: {
                    history.committed(c->sequence, c->reads, c->published);
                    const ExecutedPtr e =
                        builder.add(std::move(c->execution), c->published, c->reads);
                    const auto s = serial.execute(c->transaction);
                    out.succeeded += e->receipt.success ? 1 : 0;
                    if (!s) {
                        differ("a transaction that cannot be included (" +
                               std::string(evm::to_string(s.error())) + ")");
                        break;
                    }
                    if (e->gas_used != (*s)->gas_used || e->index != (*s)->index ||
                        e->first_log_index != (*s)->first_log_index ||
                        e->contract_address != (*s)->contract_address ||
                        builder.nonces_changed() != serial.nonces_changed() ||
                        evm::encode_receipt(e->receipt) != evm::encode_receipt((*s)->receipt)) {
                        differ("a receipt");
                    }
                    settle();
                    break;
                }
                case Completion::Kind::rejected: {
                    const auto s = serial.execute(c->transaction);
                    if (s || s.error() != c->error) { differ("a refusal"); }
                    settle();
                    break;
                }
                case Completion::Kind::waits:
                    returned.push_back(std::move(c->transaction));
                    ++out.waited;
                    break;
                case Completion::Kind::boundary: {
                    history.border(c->sequence);
                    cut();
                    executor.rest();
                    const ClosedBlock a = builder.close();
                    const ClosedBlock b = serial.close();
                    if (a.post_values != b.post_values || a.gas_used != b.gas_used) {
                        differ("closing");
                    }
                    builder.add_block_hash(number, block_hash(number));
                    serial.add_block_hash(number, block_hash(number));
                    ++out.blocks;
                    ++number;
                    closing = false;
                    if (left != 0) { open(); }
                    break;
                }
            }
        } else if (std::chrono::steady_clock::now() - progress > load_.stall) {
            differ("a stall");
        }
        const bool moved = progress != last_progress;
        last_progress = progress;
        if (moved && random_() % 16 == 0) { cut(); }
        // Also when nothing moves any more because all that is left waits for it.
        if (!closing && builder.awaits_parent() &&
            (random_() % 64 == 0 || executor.under_way() == 0)) {
            seal_parent();
        }
        if (!closing && builder.is_open() && !builder.awaits_parent() &&
            ((moved && random_() % 48 == 0) || left == 0)) {
            executor.close_block();
            closing = true;
        }
    }
    out.statistics = executor.statistics();
    if (out.wrong.empty()) {
        out.wrong = history.check();
        MILLRACE_ASSERT(history.size() == out.statistics.executed, "the history is complete");
    }
    return out;
}

}  // namespace millrace::sequencer::test
