// SPDX-License-Identifier: Apache-2.0
// Owns random mini-blocks with their serial execution: the truth that replays are compared with.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "evm/core/evm.hpp"
#include "evm/precompiles/standard.hpp"
#include "host/validator/serial_execution.hpp"
#include "tests/host/sequencer/test_chain.hpp"
#include "tests/host/validator/memory_state.hpp"

namespace millrace::validator::test {

using sequencer::AdmittedPtr;
using sequencer::AdmittedTransaction;
using sequencer::test::call_transaction;
using sequencer::test::counter_contract;
using sequencer::test::gwei;
using sequencer::test::set_code_transaction;
using sequencer::test::stranger;
using sequencer::test::transfer_transaction;
using sequencer::test::unsigned_of;

enum class Kind : uint8_t {
    ring_transfer,    ///< to the next sender
    hot_transfer,     ///< to one receiver
    racing_transfer,  ///< nearly everything that the sender has
    counter,          ///< one hot slot, with a log
    skew,             ///< reads two slots, writes one of them
    token,            ///< two slots of a token, or a revert
    number,
    balance_read,       ///< of a sender, stored
    hot_balance_read,   ///< of the receiver of hot transfers
    purse,              ///< pays out its whole balance
    till,               ///< pays out what is asked of it, if it has that much
    reverting_payment,  ///< writes, pays and reverts
    creation,
    creation_without_code,  ///< its constructor writes a slot
    created_counter,        ///< calls a contract of an earlier creation
    factory,                ///< creates a contract that selfdestructs
    prefunding,             ///< of the address that the factory creates next
    set_code,
    delegated_call,
    coinbase_read,
    block_hash,
    empty_transfer,
    count_
};
inline constexpr uint32_t all_kinds = (1u << static_cast<uint32_t>(Kind::count_)) - 1;
inline uint32_t kinds(std::initializer_list<Kind> list) {
    uint32_t mask = 0;
    for (const Kind k : list) { mask |= 1u << static_cast<uint32_t>(k); }
    return mask;
}

/// A mini-block and what became of it when its transactions ran one after the other.
struct SerialMiniBlock {
    ReplayBlock block;
    std::vector<AdmittedPtr> admitted;
    std::vector<ReplayTransaction> transactions;
    sync::MiniBlockAccess access;
    std::vector<evm::Receipt> receipts;
    MemoryState pre_state;
    MemoryState post_state;
};

class RandomChain {
public:
    explicit RandomChain(uint64_t seed, uint64_t senders = 10)
        : random_(seed), senders_(senders), nonces_(senders) {
        block_.rules = evm::millrace_rules(sequencer::test::chain_id);
        block_.environment.number = 40;
        block_.environment.timestamp = 1'700'000'000;
        block_.environment.gas_limit = 1'000'000'000;
        block_.environment.base_fee_per_gas = U256{gwei};
        block_.environment.coinbase = stranger(7);
        block_.environment.prev_randao[0] = 9;
        block_.mini_block_number = 100;
        block_.first_transaction_index = 12;
        block_.gas_used_before = 1'000'000;
        for (uint64_t i = 0; i < senders; ++i) {
            state_.accounts[sender(i)].balance = sequencer::test::ether * U256{100} / U256{1000};
            state_.slots[{token, to_u256(sender(i))}] = U256{1000};
        }
        add(counter_contract, "5f54600101805f555f523360205fa160205ff3");
        add(number, "435f355500");
        add(skew, "5f5460015401600211601457005b5f358054600101905500");
        add(balance, "5f3531335500");
        add(purse, "5f5f5f5f47335af100", 1'000'000);
        add(till, "5f5f5f5f5f35335af1335500", 1000);
        add(factory, "6132ff5f526002601e34f000");
        add(block_hash, "5f35405f5500");
        // SSTORE(0, 1); CALL(gas, calldata, 5); REVERT.
        add(reverting_payment, "60015f555f5f5f5f60055f355af15f5ffd", 1000);
        // transfer(to, amount): slots are named by holders; LOG1 with the caller; reverts if short.
        add(token, "602035335481811060235703335560203"
                   "55f3554015f35556020355f523360205fa1005b5f5ffd");
    }

    /// The next mini-block is the first of its block.
    void begin_block() {
        block_.first_transaction_index = 0;
        block_.gas_used_before = 0;
    }

    /// Makes `count` transactions of these kinds that the chain takes, and runs them.
    SerialMiniBlock next(uint32_t count, uint32_t kinds = all_kinds) {
        SerialMiniBlock m;
        m.block = block_;
        m.pre_state = state_;
        MemoryView view(state_);
        evm::StateOverlay overlay(&view);
        SerialExecution serial(m.block, precompiles, overlay, workspace_);
        for (uint32_t tries = 0; m.transactions.size() < count; ++tries) {
            MILLRACE_ASSERT(tries < 100 * count, "somebody has money left");
            const uint64_t from = random_() % senders_;
            auto made = make(from, kinds);
            const ReplayTransaction t{&made->transaction, made->hash, made->sender,
                                      made->authorities};
            if (!serial.execute(t)) { continue; }
            ++nonces_[from];
            m.admitted.push_back(made);
            m.transactions.push_back(t);
            if (made->transaction.is_creation() && serial.receipts().back().success) {
                created_.push_back(evm::create_address(made->sender, made->transaction.nonce));
            }
        }
        m.receipts = serial.receipts();
        serial.finish(m.access);
        take_over(overlay);
        m.post_state = state_;
        block_.mini_block_number += 1;
        block_.first_transaction_index += count;
        block_.gas_used_before = m.receipts.back().cumulative_gas_used;
        return m;
    }

    static Address sender(uint64_t i) { return stranger(1000 + i); }
    evm::StandardPrecompiles precompiles;

private:
    static Address contract(uint8_t last) {
        Address a;
        a[18] = 0xd;
        a[19] = last;
        return a;
    }
    inline static const Address number = contract(1), skew = contract(2), balance = contract(3),
                                purse = contract(4), till = contract(5), factory = contract(6),
                                block_hash = contract(7), reverting_payment = contract(8),
                                token = contract(9);

    void add(const Address& address, std::string_view hex, uint64_t funds = 0) {
        auto code = std::make_shared<const Bytes>(from_hex(hex).value());
        PreAccount& a = state_.accounts[address];
        a.nonce = 1;
        a.balance = U256{funds};
        a.code_hash = kernels::keccak256(*code);
        state_.codes[a.code_hash] = std::move(code);
    }

    void take_over(const evm::StateOverlay& overlay) {
        for (const auto& [hash, code] : overlay.codes()) { state_.codes[hash] = code; }
        for (const auto& [address, a] : overlay.accounts()) {
            if (!a.changed) { continue; }
            PreAccount& out = state_.accounts[address];
            if (a.nonce) { out.nonce = *a.nonce; }
            if (a.balance) { out.balance = *a.balance; }
            if (a.code_hash) { out.code_hash = *a.code_hash; }
            for (const auto& [key, changed] : a.storage_changed) {
                const U256& value = a.storage.at(key);
                if (value.is_zero()) {
                    state_.slots.erase({address, key});
                } else {
                    state_.slots[{address, key}] = value;
                }
            }
        }
    }

    AdmittedPtr make(uint64_t from, uint32_t kinds) {
        Kind kind;
        do {
            kind = static_cast<Kind>(random_() % static_cast<uint64_t>(Kind::count_));
        } while ((kinds >> static_cast<uint32_t>(kind) & 1) == 0);
        const auto words = [](std::initializer_list<U256> list) {
            Bytes b(32 * list.size());
            size_t at = 0;
            for (const U256& v : list) { store_be(v, b.data() + 32 * at++); }
            return b;
        };
        const uint64_t nonce = nonces_[from];
        const Address other = sender(random_() % senders_);
        const uint64_t authority = random_() % 4;
        evm::Transaction tx;
        std::vector<std::optional<Address>> authorities;
        switch (kind) {
            case Kind::ring_transfer:
                tx = transfer_transaction(nonce, sender((from + 1) % senders_),
                                          U256{random_() % 1000});
                break;
            case Kind::hot_transfer:
                tx = transfer_transaction(nonce, stranger(1), U256{random_() % 1000});
                break;
            case Kind::racing_transfer:
                tx = transfer_transaction(nonce, other,
                                          state_.accounts[sender(from)].balance / U256{4} *
                                              U256{1 + random_() % 3});
                break;
            case Kind::counter: tx = call_transaction(nonce, counter_contract); break;
            case Kind::skew:
                tx = call_transaction(nonce, skew, {}, words({U256{random_() % 2}}));
                break;
            case Kind::token:
                tx = call_transaction(nonce, token, {},
                                      words({to_u256(other), U256{random_() % 400}}));
                break;
            case Kind::number:
                tx = call_transaction(nonce, number, {}, words({U256{random_() % 64}}));
                break;
            case Kind::balance_read:
                tx = call_transaction(nonce, balance, {}, words({to_u256(other)}));
                break;
            case Kind::hot_balance_read:
                tx = call_transaction(nonce, balance, {}, words({to_u256(stranger(1))}));
                break;
            case Kind::purse: tx = call_transaction(nonce, purse, U256{random_() % 1000}); break;
            case Kind::till:
                tx = call_transaction(nonce, till, U256{random_() % 400},
                                      words({U256{random_() % 500}}));
                break;
            case Kind::reverting_payment:
                tx = call_transaction(nonce, reverting_payment, U256{random_() % 9},
                                      words({to_u256(stranger(random_() % 5))}));
                break;
            case Kind::creation:
                // Slot 0 = 42; returns the code of the counter.
                tx = call_transaction(
                    nonce, std::nullopt, U256{random_() % 2},
                    from_hex("602a5f55725f54600101805f555f523360205fa160205ff35f526013600df3")
                        .value(),
                    300'000);
                break;
            case Kind::creation_without_code:
                tx = call_transaction(nonce, std::nullopt, U256{random_() % 2},
                                      from_hex("60015f555f5ff3").value());
                break;
            case Kind::created_counter:
                tx = call_transaction(nonce, created_.empty()
                                                 ? counter_contract
                                                 : created_[random_() % created_.size()]);
                break;
            case Kind::factory:
                tx = call_transaction(nonce, factory, U256{random_() % 1000}, {}, 200'000);
                break;
            case Kind::prefunding: {
                const uint64_t next = state_.accounts[factory].nonce + random_() % 8;
                tx = transfer_transaction(nonce, evm::create_address(factory, next), U256{3});
                break;
            }
            case Kind::set_code: {
                evm::Authorization a;
                a.chain_id = U256{sequencer::test::chain_id};
                a.address = random_() % 3 == 0 ? Address{} : counter_contract;
                a.nonce = set_codes_[authority] + (random_() % 8 == 0 ? 1 : 0);
                set_codes_[authority] = a.nonce + 1;
                tx = set_code_transaction(nonce, stranger(50 + authority), {a});
                authorities = {stranger(50 + authority)};
                break;
            }
            case Kind::delegated_call:
                tx = call_transaction(nonce, stranger(50 + authority), U256{random_() % 3});
                break;
            case Kind::coinbase_read:
                tx = call_transaction(nonce, balance, {},
                                      words({to_u256(block_.environment.coinbase)}));
                break;
            case Kind::block_hash:
                tx = call_transaction(nonce, block_hash, {}, words({U256{38 + random_() % 4}}));
                break;
            case Kind::empty_transfer: tx = transfer_transaction(nonce, stranger(99), {}); break;
            case Kind::count_: break;
        }
        auto admitted =
            std::make_shared<AdmittedTransaction>(*unsigned_of(sender(from), std::move(tx)));
        admitted->authorities = std::move(authorities);
        return admitted;
    }

    std::mt19937_64 random_;
    uint64_t senders_;
    std::vector<uint64_t> nonces_;
    ReplayBlock block_;
    MemoryState state_;
    evm::Workspace workspace_;
    std::vector<Address> created_;
    uint64_t set_codes_[4] = {};
};

}  // namespace millrace::validator::test
