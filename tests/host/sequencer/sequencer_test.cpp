// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the pipeline with its real threads: admission, cadence, refusals, load.
#include "tests/host/sequencer/sequencer_fixture.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

TEST_F(SequencerTest, TransactionIsAdmittedExecutedDurableAndSealed) {
    auto n = start();
    const evm::Transaction tx = transfer_transaction(0, stranger(1), U256{5});
    const auto a = n->send(0, tx);
    ASSERT_TRUE(a.has_value()) << to_string(a.error());
    EXPECT_EQ(a->hash, evm::transaction_hash(signed_by(0, tx)));
    EXPECT_TRUE(a->executable);
    EXPECT_EQ(a->expected_nonce, 1u);
    const auto located = n->wait(a->hash);
    ASSERT_TRUE(located);
    EXPECT_TRUE(located->transaction->receipt.success);
    EXPECT_EQ(located->transaction->admitted->sender, account(0));
    EXPECT_EQ(n->balance(stranger(1)), U256{5});
    ASSERT_TRUE(n->recorder.wait_for_blocks(located->block_number));
    const SealedPtr block = n->view().sealed(located->block_number).value();
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(block->hash, evm::header_hash(block->header));
    const auto sealed = n->view().find_transaction(a->hash);
    ASSERT_TRUE(sealed);
    EXPECT_EQ(sealed->block_hash, block->hash);
    EXPECT_EQ(evm::encode_receipt(sealed->transaction->receipt),
              evm::encode_receipt(located->transaction->receipt));
    EXPECT_EQ(n->recorder.executable(), std::vector{a->hash});
}

TEST_F(SequencerTest, BlocksFollowEachOtherAndMiniBlocksStayInside) {
    SequencerOptions options = quick_options();
    auto n = start(options);
    // Each waits for the mini-block of the one before, however slow the machine is.
    for (uint64_t i = 0; i < 40; ++i) {
        ASSERT_TRUE(n->run(0, transfer_transaction(i, stranger(1), U256{1})));
    }
    ASSERT_TRUE(n->recorder.wait_for_blocks(5));
    n->stop();
    const auto sealed = n->recorder.sealed();
    Hash256 parent = genesis_.hash;
    uint64_t timestamp = 0;
    U256 base_fee = *genesis_.header.base_fee_per_gas;
    for (const SealedPtr& b : sealed) {
        EXPECT_EQ(b->header.parent_hash, parent);
        EXPECT_GT(b->header.timestamp, timestamp);
        EXPECT_EQ(b->header.base_fee_per_gas, base_fee) << "far below the target, and on the floor";
        parent = b->hash;
        timestamp = b->header.timestamp;
    }
    uint64_t number = 1;
    std::map<uint64_t, uint32_t> index;
    std::set<int64_t> cuts;
    for (const MiniBlockPtr& m : n->recorder.mini_blocks()) {
        EXPECT_EQ(m->number, number++);
        EXPECT_EQ(m->index, index[m->block_number]++);
        EXPECT_FALSE(m->transactions.empty());
        cuts.insert(m->time_us / options.mini_block_us);
    }
    // One cut per period at most, two at a block's end and where the periods of the two clocks
    // overlap.
    EXPECT_GT(cuts.size(), 10u);
    EXPECT_EQ(number - 1, 40u);
}

TEST_F(SequencerTest, ReceiptComesWithinAFewPeriods) {
    SequencerOptions options = quick_options();
    options.block_us = 3'600'000'000;
    auto n = start(options);
    std::vector<int64_t> waits;
    SystemClock clock;
    for (uint64_t i = 0; i < 30; ++i) {
        const int64_t begin = clock.steady_us();
        ASSERT_TRUE(n->run(0, transfer_transaction(i, stranger(1), U256{1})));
        waits.push_back(clock.steady_us() - begin);
    }
    std::sort(waits.begin(), waits.end());
    // Only to catch one that waits for a time-out (for the block it would wait in vain); the
    // benchmark measures.
    EXPECT_LT(waits[waits.size() / 2], 500'000);
}

TEST_F(SequencerTest, WhatWasExecutedIsToldBeforeItIsDurableWhenSomebodyWantsIt) {
    auto n = start();
    ASSERT_TRUE(n->run(0, transfer_transaction(0, stranger(1), U256{1})));
    EXPECT_TRUE(n->recorder.executed().empty()) << "nobody wanted it";
    n->recorder.previews = true;
    Hash256 last;
    for (uint64_t i = 1; i < 60; ++i) {
        const auto a = n->send(0, transfer_transaction(i, stranger(1), U256{1}));
        ASSERT_TRUE(a.has_value());
        last = a->hash;
    }
    ASSERT_TRUE(n->wait(last));
    n->stop();
    const auto executed = n->recorder.executed();
    const auto blocks = n->recorder.executed_in();
    std::vector<ExecutedPtr> durable;
    std::vector<uint64_t> durable_in;
    for (const MiniBlockPtr& m : n->recorder.mini_blocks()) {
        durable.insert(durable.end(), m->transactions.begin(), m->transactions.end());
        durable_in.resize(durable.size(), m->block_number);
    }
    ASSERT_EQ(durable.size(), 60u);
    // The pipeline may learn of the wish with the next transaction but one.
    ASSERT_GE(executed.size(), 50u);
    EXPECT_TRUE(std::ranges::equal(executed, std::span(durable).last(executed.size())));
    EXPECT_TRUE(std::ranges::equal(blocks, std::span(durable_in).last(blocks.size())));
}

TEST_F(SequencerTest, NonceGapWaitsAndIsFilled) {
    auto n = start();
    const auto later = n->send(0, transfer_transaction(1, stranger(1), U256{1}));
    ASSERT_TRUE(later.has_value());
    EXPECT_FALSE(later->executable);
    EXPECT_EQ(later->expected_nonce, 0u);
    EXPECT_NE(n->sequencer->pool_index().find(later->hash), nullptr);
    const auto content = n->sequencer->pool_content();
    ASSERT_OK(content);
    EXPECT_EQ(content->queued.size(), 1u);
    EXPECT_TRUE(content->executable.empty());
    ASSERT_TRUE(n->send(0, transfer_transaction(0, stranger(1), U256{1})).has_value());
    const auto located = n->wait(later->hash);
    ASSERT_TRUE(located);
    EXPECT_EQ(n->balance(stranger(1)), U256{2});
}

TEST_F(SequencerTest, ReplacementTakesThePlaceOfAWaitingTransaction) {
    auto n = start();
    const auto old = n->send(0, transfer_transaction(1, stranger(1), U256{1}));
    ASSERT_TRUE(old.has_value());
    const auto cheap =
        n->send(0, with_fees(transfer_transaction(1, stranger(2), U256{1}), gwei, 2 * gwei));
    ASSERT_FALSE(cheap.has_value());
    EXPECT_EQ(cheap.error().pool, PoolRefusal::replacement_underpriced);
    const auto better =
        n->send(0, with_fees(transfer_transaction(1, stranger(3), U256{1}), 2 * gwei, 4 * gwei));
    ASSERT_TRUE(better.has_value());
    ASSERT_TRUE(n->send(0, transfer_transaction(0, stranger(4), U256{1})).has_value());
    ASSERT_TRUE(n->wait(better->hash));
    EXPECT_EQ(n->balance(stranger(1)), U256{});
    EXPECT_EQ(n->balance(stranger(3)), U256{1});
    const auto dropped = n->recorder.dropped();
    ASSERT_EQ(dropped.size(), 1u);
    EXPECT_EQ(dropped[0].first, old->hash);
}

TEST_F(SequencerTest, RefusalsSayWhy) {
    SequencerOptions options = quick_options();
    options.transaction_bytes_max = 10'000;
    auto n = start(options);
    ASSERT_TRUE(n->run(0, transfer_transaction(0, stranger(1), U256{1})));
    const auto refusal_of = [&](Bytes raw) {
        auto f = n->submit(std::move(raw));
        EXPECT_EQ(f.wait_for(patience), std::future_status::ready);
        auto r = f.get();
        EXPECT_FALSE(r.has_value());
        return r ? Refusal{} : r.error();
    };
    using Kind = Refusal::Kind;
    const auto expect_rule = [&](evm::Transaction tx, evm::TxError rule, std::string_view text,
                                 uint64_t key = 1) {
        SCOPED_TRACE(std::string(text));
        const Refusal r = refusal_of(raw_signed(key, std::move(tx)));
        EXPECT_EQ(r.kind, Kind::rule);
        EXPECT_EQ(r.rule, rule);
        EXPECT_NE(to_string(r).find(text), std::string::npos) << to_string(r);
    };

    EXPECT_EQ(refusal_of({}).kind, Kind::malformed);
    EXPECT_EQ(refusal_of({0x02}).kind, Kind::malformed);
    EXPECT_EQ(refusal_of({0x7f, 0xc0}).kind, Kind::malformed);
    EXPECT_EQ(refusal_of(Bytes(500, 0xff)).kind, Kind::malformed);
    Bytes trailing = raw_signed(1, transfer_transaction(0, stranger(1), U256{1}));
    trailing.push_back(0);
    EXPECT_EQ(refusal_of(trailing).kind, Kind::malformed);
    EXPECT_EQ(refusal_of(Bytes(10'001, 0x02)).kind, Kind::too_large);

    // Not the transaction that ran: the pool may still know that one for a moment.
    expect_rule(transfer_transaction(0, stranger(1), U256{2}), evm::TxError::nonce_too_low,
                "next nonce 1, tx nonce 0", 0);
    expect_rule(transfer_transaction(0, stranger(1), U256{2000} * ether),
                evm::TxError::insufficient_funds, "insufficient funds");
    expect_rule(call_transaction(0, stranger(1), {}, {}, 20'999),
                evm::TxError::intrinsic_gas_too_low, "minimum needed 21000");
    expect_rule(with_fees(transfer_transaction(0, stranger(1), {}), 3 * gwei, 2 * gwei),
                evm::TxError::tip_above_fee_cap, "priority fee");
    expect_rule(call_transaction(0, stranger(1), {}, {}, 200'000'001),
                evm::TxError::gas_limit_exceeds_cap, "cap 200000000");
    evm::Transaction other_chain = transfer_transaction(0, stranger(1), {});
    other_chain.chain_id = 1;
    expect_rule(other_chain, evm::TxError::chain_id_mismatch, "have 1, want 7331");
    evm::Transaction blob = call_transaction(0, stranger(1));
    blob.type = evm::TxType::blob;
    blob.blob_versioned_hashes = {to_hash(U256{1} << 248)};
    expect_rule(blob, evm::TxError::type_not_supported, "not supported");

    EXPECT_EQ(
        refusal_of(raw_signed(1, with_fees(transfer_transaction(0, stranger(1), {}), 1, 1))).kind,
        Kind::fee_below_floor);
    evm::Transaction legacy;
    legacy.gas_limit = 21'000;
    legacy.to = stranger(1);
    legacy.max_fee_per_gas = legacy.max_priority_fee_per_gas = U256{gwei};
    EXPECT_EQ(refusal_of(raw_signed(1, legacy)).kind, Kind::unprotected);
    evm::Transaction deposit;
    deposit.type = evm::TxType::deposit;
    deposit.from = account(1);
    deposit.to = stranger(1);
    deposit.gas_limit = 100'000;
    EXPECT_EQ(refusal_of(evm::encode_transaction(deposit)).kind, Kind::deposit);

    evm::Transaction high_s = signed_by(1, transfer_transaction(0, stranger(1), {}));
    high_s.s = kernels::secp256k1_order - high_s.s;
    EXPECT_EQ(refusal_of(evm::encode_transaction(high_s)).rule, evm::TxError::signature_invalid);
    evm::Transaction impersonated = transfer_transaction(0, stranger(1), {});
    mark_impersonated(impersonated, account(1));
    EXPECT_EQ(refusal_of(evm::encode_transaction(impersonated)).rule,
              evm::TxError::signature_invalid)
        << "impersonation never comes in from outside";

    const Bytes known = raw_signed(1, transfer_transaction(5, stranger(1), U256{1}));
    ASSERT_TRUE(n->submit(known).get().has_value());
    EXPECT_EQ(refusal_of(known).pool, PoolRefusal::already_known);
    const Refusal far = refusal_of(raw_signed(1, transfer_transaction(65, stranger(1), {})));
    EXPECT_EQ(far.kind, Kind::pool);
    EXPECT_EQ(far.pool, PoolRefusal::nonce_too_far);
    EXPECT_FALSE(n->fatal.load());
}

TEST_F(SequencerTest, UnprotectedTransactionsAreTakenWhenAllowed) {
    SequencerOptions options = quick_options();
    options.allow_unprotected = true;
    auto n = start(options);
    evm::Transaction legacy;
    legacy.gas_limit = 21'000;
    legacy.to = stranger(1);
    legacy.value = U256{3};
    legacy.max_fee_per_gas = legacy.max_priority_fee_per_gas = U256{gwei};
    ASSERT_TRUE(n->run(1, legacy));
    EXPECT_EQ(n->balance(stranger(1)), U256{3});
}

TEST_F(SequencerTest, TransactionThatCannotRunAnyMoreIsDropped) {
    auto n = start();
    // Both are covered when they arrive, but not one after the other.
    const U256 most = U256{600} * ether;
    ASSERT_TRUE(n->send(0, transfer_transaction(1, stranger(1), most)).has_value());
    const auto first = n->send(0, transfer_transaction(0, stranger(1), most));
    ASSERT_TRUE(first.has_value());
    ASSERT_TRUE(n->wait(first->hash));
    ASSERT_TRUE(eventually([&] { return !n->recorder.dropped().empty(); }));
    ASSERT_EQ(n->recorder.dropped().size(), 1u);
    EXPECT_NE(n->recorder.dropped()[0].second.find("insufficient funds"), std::string::npos);
    EXPECT_EQ(n->balance(stranger(1)), most);
}

TEST_F(SequencerTest, LoadOfManySendersAndThreadsLosesNothing) {
    constexpr uint64_t threads = 4;
    constexpr uint64_t senders = 10;
    constexpr uint64_t per_sender = 400;
    auto n = start();
    // Signed before, so that the threads do nothing but submit; a sender's go out over all threads
    // and so out of order, within the pool's window.
    std::vector<std::vector<Bytes>> raw(senders);
    for (uint64_t s = 0; s < senders; ++s) {
        for (uint64_t i = 0; i < per_sender; ++i) {
            raw[s].push_back(raw_signed(s, transfer_transaction(i, stranger(s % 3), U256{1})));
        }
    }
    std::atomic<uint64_t> admitted_count{0};
    std::atomic<uint64_t> retried{0};
    std::mutex mutex;
    std::vector<Hash256> hashes;
    {
        std::vector<std::jthread> workers;
        for (uint64_t w = 0; w < threads; ++w) {
            workers.emplace_back([&, w] {
                for (uint64_t i = 0; i < per_sender; ++i) {
                    for (uint64_t s = w; s < senders; s += threads) {
                        for (;;) {
                            const auto r = n->submit(raw[s][i]).get();
                            if (r) {
                                admitted_count.fetch_add(1);
                                const std::lock_guard lock(mutex);
                                hashes.push_back(r->hash);
                                break;
                            }
                            ASSERT_EQ(r.error().kind, Refusal::Kind::overloaded)
                                << to_string(r.error());
                            retried.fetch_add(1);
                            std::this_thread::sleep_for(std::chrono::milliseconds(1));
                        }
                    }
                }
            });
        }
    }
    EXPECT_EQ(admitted_count.load(), senders * per_sender);
    for (const Hash256& h : hashes) { ASSERT_TRUE(n->wait(h)); }
    U256 received;
    for (uint64_t i = 0; i < 3; ++i) { received += n->balance(stranger(i)); }
    EXPECT_EQ(received, U256{senders * per_sender});
    n->stop();
    EXPECT_FALSE(n->fatal.load());

    // Every transaction is in exactly one mini-block, in nonce order per sender, and the fees add
    // up.
    std::map<Address, uint64_t> next;
    U256 fees;
    uint64_t count = 0;
    for (const SealedPtr& b : n->recorder.sealed()) {
        uint64_t gas = 0;
        for (const ExecutedPtr& t : b->transactions) {
            EXPECT_EQ(t->admitted->transaction.nonce, next[t->admitted->sender]++);
            gas += t->gas_used;
            EXPECT_EQ(t->receipt.cumulative_gas_used, gas);
            fees += t->effective_gas_price * U256{t->gas_used};
            ++count;
        }
        EXPECT_EQ(b->header.gas_used, gas);
    }
    EXPECT_EQ(count, senders * per_sender);
    EXPECT_EQ(n->balance(sequencer_vault) + n->balance(base_fee_vault), fees);
    const SealedPtr head = n->view().head();
    expect_roots(*n, commitment_);
    const U256 last_balance = n->balance(account(0));
    n.reset();

    n = start();
    EXPECT_EQ(n->balance(account(0)), last_balance);
    for (const Hash256& h : hashes) { ASSERT_TRUE(n->view().find_transaction(h)); }
}

TEST_F(SequencerTest, ReadersBesideTheWriterSeeWholeBlocks) {
    auto n = start();
    std::atomic<bool> done{false};
    std::vector<std::jthread> readers;
    for (int i = 0; i < 2; ++i) {
        readers.emplace_back([&] {
            while (!done.load()) {
                const SealedPtr head = n->view().head();
                const auto found = n->view().sealed(head->header.number);
                ASSERT_TRUE(found.has_value());
                if (const auto open = n->view().open_block()) {
                    for (const MiniBlockPtr& m : open->mini_blocks) {
                        ASSERT_EQ(m->block_number, open->open.number);
                    }
                }
                // Money neither appears nor vanishes between two mini-blocks.
                const auto s = n->view().latest_state();
                const auto at = [&](const Address& a) {
                    return s->account(a) ? s->account(a)->balance : U256{};
                };
                ASSERT_LE(at(stranger(0)) + at(stranger(1)), U256{200});
            }
        });
    }
    for (uint64_t i = 0; i < 100; ++i) {
        ASSERT_TRUE(
            n->send(i % 2, transfer_transaction(i / 2, stranger(i % 2), U256{2})).has_value());
    }
    ASSERT_TRUE(n->recorder.wait_for_blocks(3));
    done.store(true);
}

TEST_F(SequencerTest, NoncesMovedByAuthorizationsFreezeNobody) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    // Both the sender and another account have transactions waiting behind the nonces that the
    // authorizations use up.
    const auto own = n->send(0, transfer_transaction(2, stranger(1), U256{1}));
    const auto others = n->send(1, transfer_transaction(1, stranger(1), U256{1}));
    const auto passed =
        n->send(2, with_fees(transfer_transaction(1, stranger(1), U256{1}), 1, 2 * gwei));
    ASSERT_TRUE(own.has_value() && others.has_value() && passed.has_value());
    ASSERT_TRUE(
        n->run(0, set_code_transaction(
                      0, stranger(2),
                      {authorization_by(0, stranger(3), 1), authorization_by(1, stranger(3), 0),
                       authorization_by(2, stranger(3), 0), authorization_by(2, stranger(3), 1)})));
    ASSERT_TRUE(n->wait(own->hash));
    ASSERT_TRUE(n->wait(others->hash));
    ASSERT_TRUE(eventually([&] { return !n->recorder.dropped().empty(); }));
    ASSERT_EQ(n->recorder.dropped().size(), 1u);
    EXPECT_EQ(n->recorder.dropped()[0].first, passed->hash) << "its nonce was used up";
    for (const uint64_t key : {0u, 1u, 2u}) {
        const uint64_t next = key == 0 ? 3 : 2;
        EXPECT_EQ(n->send(key, transfer_transaction(next - 1, stranger(1), {})).error().rule,
                  evm::TxError::nonce_too_low);
        const auto again = n->run(key, transfer_transaction(next, stranger(1), U256{1}));
        ASSERT_TRUE(again) << "key " << key;
        EXPECT_TRUE(again->transaction->receipt.success);
    }
    EXPECT_EQ(n->sequencer->pool_counts(), std::pair(size_t{0}, size_t{0}));
}

TEST_F(SequencerTest, NonceMovedByCreationsOfADelegatedAccountFreezesNobody) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    // Code that creates an empty contract: PUSH0 PUSH0 PUSH0 CREATE.
    ASSERT_OK(n->sequencer->dev_edit("test", [](CellTable& c) -> Result<void> {
        c.set_code(stranger(3), from_hex("5f5f5ff000").value());
        c.set_nonce(stranger(3), 1);
        return {};
    }));
    ASSERT_TRUE(
        n->run(0, set_code_transaction(0, stranger(2), {authorization_by(1, stranger(3), 0)})));
    const auto waiting = n->send(1, transfer_transaction(2, stranger(1), U256{1}));
    ASSERT_TRUE(waiting.has_value());
    EXPECT_FALSE(waiting->executable);
    ASSERT_TRUE(n->run(0, call_transaction(1, account(1))));
    ASSERT_TRUE(n->wait(waiting->hash)) << "the creation filled the gap";
    ASSERT_TRUE(n->run(1, transfer_transaction(3, stranger(1), U256{1})));
}

}  // namespace
}  // namespace millrace::sequencer
