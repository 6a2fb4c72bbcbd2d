// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the block builder: what becomes of transactions, receipts, fees and the system
// operations at both ends of a block.
#include <gtest/gtest.h>

#include <algorithm>

#include "evm/core/evm.hpp"
#include "evm/precompiles/standard.hpp"
#include "evm/trie/ordered_root.hpp"
#include "host/sequencer/executor/block_builder.hpp"
#include "host/sequencer/ledger/mini_block_record.hpp"
#include "tests/host/sequencer/header_of.hpp"
#include "tests/host/sequencer/test_chain.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

class BlockBuilderTest : public ::testing::Test {
protected:
    explicit BlockBuilderTest(GenesisOptions options = {}) : genesis_(make_genesis(options)) {
        EXPECT_TRUE(store_->apply(1, genesis_.state).has_value());
        cells_ = std::make_unique<CellTable>(store_->snapshot());
        builder_ = std::make_unique<BlockBuilder>(genesis_.spec, precompiles_, *cells_);
    }
    OpenBlock block(uint64_t number) {
        OpenBlock b;
        b.number = number;
        b.timestamp_s = 1'700'000'000 + number;
        b.parent_hash = kernels::keccak256(as_bytes("parent of " + std::to_string(number)));
        b.base_fee_per_gas = U256{gwei};
        b.gas_limit = genesis_.block_gas_limit;
        b.coinbase = genesis_.coinbase;
        return b;
    }
    ExecutedPtr run(uint64_t key, evm::Transaction tx) {
        const auto r = builder_->execute(admitted(key, std::move(tx)));
        EXPECT_TRUE(r.has_value()) << evm::to_string(r ? evm::TxError{} : r.error());
        return r.value_or(nullptr);
    }
    U256 balance(const Address& a) { return cells_->account(a).balance.value(); }
    U256 slot(const Address& a, uint64_t key) {
        return cells_->slot(cells_->account(a), U256{key}).value.value();
    }

    Genesis genesis_;
    evm::StandardPrecompiles precompiles_;
    std::unique_ptr<storage::StateStore> store_ = storage::make_memory_state_store();
    std::unique_ptr<CellTable> cells_;
    std::unique_ptr<BlockBuilder> builder_;
};

TEST_F(BlockBuilderTest, TransferMovesValueAndChargesGas) {
    builder_->open(block(1));
    const ExecutedPtr e = run(0, transfer_transaction(0, stranger(1), U256{77}));
    EXPECT_TRUE(e->receipt.success);
    EXPECT_EQ(e->gas_used, 21'000u);
    EXPECT_EQ(e->effective_gas_price, U256{2 * gwei});
    EXPECT_EQ(e->receipt.cumulative_gas_used, 21'000u);
    EXPECT_FALSE(e->contract_address);
    EXPECT_EQ(balance(stranger(1)), U256{77});
    EXPECT_EQ(balance(account(0)), U256{1000} * ether - U256{77} - U256{21'000 * 2 * gwei});
    EXPECT_EQ(cells_->account(account(0)).nonce.value(), 1u);
    EXPECT_EQ(builder_->gas_used(), 21'000u);
    EXPECT_EQ(builder_->gas_left(), genesis_.block_gas_limit - 21'000);
}

TEST_F(BlockBuilderTest, CreationGivesTheAddressAndTheCode) {
    builder_->open(block(1));
    // Init code that returns two bytes 0x5f5f.
    const ExecutedPtr e =
        run(0, call_transaction(0, std::nullopt, {}, from_hex("615f5f5f526002601ef3").value()));
    ASSERT_TRUE(e->receipt.success);
    ASSERT_EQ(e->contract_address, evm::create_address(account(0), 0));
    const auto& created = cells_->account(*e->contract_address);
    EXPECT_EQ(created.nonce.value(), 1u);
    EXPECT_EQ(created.code_hash.value(), kernels::keccak256(from_hex("5f5f").value()));
    const MiniBlockPtr m = builder_->cut(1, 0).mini_block;
    ASSERT_EQ(m->post_values.codes.size(), 1u);
    EXPECT_EQ(*m->post_values.codes[0].code, from_hex("5f5f").value());
}

TEST_F(BlockBuilderTest, FailingTransactionHasAReceiptPaysAndChangesNothingElse) {
    builder_->open(block(1));
    const ExecutedPtr e = run(0, call_transaction(0, reverting_contract, U256{5}));
    EXPECT_FALSE(e->receipt.success);
    EXPECT_TRUE(e->receipt.logs.empty());
    EXPECT_LT(e->gas_used, 100'000u) << "REVERT gives the rest back";
    EXPECT_EQ(balance(reverting_contract), U256{});
    EXPECT_EQ(balance(account(0)), U256{1000} * ether - U256{e->gas_used * 2 * gwei});
    EXPECT_EQ(cells_->account(account(0)).nonce.value(), 1u);
}

TEST_F(BlockBuilderTest, TransactionThatCannotBeIncludedChangesNothing) {
    builder_->open(block(1));
    const auto r = builder_->execute(admitted(0, transfer_transaction(1, stranger(1), U256{1})));
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error(), evm::TxError::nonce_too_high);
    EXPECT_EQ(builder_->transaction_count(), 0u);
    EXPECT_EQ(builder_->uncut_count(), 0u);
    EXPECT_EQ(builder_->gas_used(), 0u);
    EXPECT_TRUE(cells_->take_delta().empty());
}

TEST_F(BlockBuilderTest, GasLogsAndIndicesAccumulateOverTheBlock) {
    builder_->open(block(1));
    const ExecutedPtr a = run(0, call_transaction(0, counter_contract));
    const ExecutedPtr b = run(1, call_transaction(0, counter_contract));
    const MiniBlockPtr first = builder_->cut(10, 5).mini_block;
    const ExecutedPtr c = run(0, transfer_transaction(1, stranger(1), U256{1}));
    const ExecutedPtr d = run(2, call_transaction(0, counter_contract));
    const MiniBlockPtr second = builder_->cut(11, 6).mini_block;

    EXPECT_EQ(a->receipt.cumulative_gas_used, a->gas_used);
    EXPECT_EQ(b->receipt.cumulative_gas_used, a->gas_used + b->gas_used);
    EXPECT_EQ(d->receipt.cumulative_gas_used,
              a->gas_used + b->gas_used + c->gas_used + d->gas_used);
    EXPECT_EQ(a->index, 0u);
    EXPECT_EQ(d->index, 3u);
    EXPECT_EQ(a->first_log_index, 0u);
    EXPECT_EQ(b->first_log_index, 1u);
    EXPECT_EQ(c->first_log_index, 2u);
    EXPECT_EQ(d->first_log_index, 2u);
    ASSERT_EQ(d->receipt.logs.size(), 1u);
    EXPECT_EQ(d->receipt.logs[0].address, counter_contract);
    EXPECT_EQ(d->receipt.logs[0].topics, evm::Topics{to_hash(to_u256(account(2)))});
    EXPECT_EQ(load_be(d->receipt.logs[0].data), U256{3});
    EXPECT_EQ(d->receipt.bloom, evm::bloom_of(d->receipt.logs));

    EXPECT_EQ(first->number, 10u);
    EXPECT_EQ(first->index, 0u);
    EXPECT_EQ(second->index, 1u);
    EXPECT_EQ(first->gas_used, a->gas_used + b->gas_used);
    EXPECT_EQ(second->gas_used, c->gas_used + d->gas_used);
    EXPECT_EQ(second->block_number, 1u);

    const ClosedBlock closed = builder_->close();
    EXPECT_EQ(closed.first_mini_block_number, 10u);
    EXPECT_EQ(closed.mini_block_ends, (std::vector<uint32_t>{2, 4}));
    EXPECT_EQ(closed.gas_used, builder_->gas_used());
    EXPECT_EQ(closed.transactions.size(), 4u);
    EXPECT_FALSE(builder_->is_open());
}

TEST_F(BlockBuilderTest, FeesGoToTheVaultsWhenTheBlockCloses) {
    builder_->open(block(1));
    const ExecutedPtr a =
        run(0, with_fees(transfer_transaction(0, stranger(1), U256{1}), gwei / 2, 5 * gwei));
    const ExecutedPtr b =
        run(1, with_fees(call_transaction(0, counter_contract), 3 * gwei, 5 * gwei));
    builder_->cut(1, 0);
    EXPECT_EQ(balance(sequencer_vault), U256{}) << "not before the close";
    EXPECT_EQ(balance(genesis_.coinbase), U256{});
    const ClosedBlock closed = builder_->close();
    EXPECT_EQ(balance(sequencer_vault), U256{a->gas_used * (gwei / 2) + b->gas_used * 3 * gwei});
    EXPECT_EQ(balance(base_fee_vault), U256{(a->gas_used + b->gas_used) * gwei});
    EXPECT_EQ(balance(genesis_.coinbase), U256{})
        << "the policy of the vaults leaves the coinbase out";
    EXPECT_EQ(closed.post_values.accounts.size(), 2u);
}

TEST_F(BlockBuilderTest, OneAccountMayBeBothVaults) {
    genesis_.spec.base_fee_vault = sequencer_vault;
    builder_->open(block(1));
    const ExecutedPtr a =
        run(0, with_fees(transfer_transaction(0, stranger(1), U256{1}), gwei / 2, 5 * gwei));
    builder_->cut(1, 0);
    builder_->close();
    EXPECT_EQ(balance(sequencer_vault), U256{a->gas_used * (gwei / 2 + gwei)});
}

TEST_F(BlockBuilderTest, EmptyBlockTouchesOnlyTheHistoryContract) {
    const storage::StateDelta opened = builder_->open(block(7));
    ASSERT_EQ(opened.slots.size(), 1u);
    EXPECT_EQ(opened.slots[0],
              (storage::SlotDelta{history_contract, U256{6}, to_u256(block(7).parent_hash)}));
    const ClosedBlock closed = builder_->close();
    EXPECT_TRUE(closed.post_values.empty());
    const evm::BlockHeader h = header_of(closed, Hash256{});
    EXPECT_EQ(h.transactions_root, evm::empty_trie_root);
    EXPECT_EQ(h.receipts_root, evm::empty_trie_root);
    EXPECT_EQ(h.logs_bloom, evm::Bloom{});
    EXPECT_EQ(h.gas_used, 0u);
}

class WithoutHistory : public BlockBuilderTest {
protected:
    WithoutHistory() : BlockBuilderTest(GenesisOptions{.history_contract = false}) {}
};

TEST_F(WithoutHistory, OpeningCallsOfAbsentContractsDoNothing) {
    EXPECT_TRUE(builder_->open(block(7)).empty());
}

TEST_F(WithoutHistory, ContractThatCameAfterAPromisedOpeningIsNotCalledForIt) {
    OpenBlock open = block(7);
    open.parent_hash = {};
    open.parent_promised = true;
    builder_->open(open);
    const storage::StateDelta with = make_genesis().state;
    const auto there =
        std::ranges::find(with.accounts, history_contract, &storage::AccountDelta::address);
    const auto code = std::ranges::find(with.codes, there->code_hash, &storage::CodeDelta::hash);
    cells_->set_code(history_contract, *code->code);
    cells_->take_delta();
    EXPECT_TRUE(builder_->parent_sealed(block(7).parent_hash).empty())
        << "at the opening there was none, and nobody may tell when the hash came";
}

TEST_F(BlockBuilderTest, BlockHashIsThatOfTheAncestorsItWasTold) {
    for (uint64_t n = 0; n < 300; ++n) {
        builder_->add_block_hash(n, kernels::keccak256(as_bytes("block " + std::to_string(n))));
    }
    builder_->open(block(300));
    const auto ask = [&](uint64_t nonce, uint64_t number) {
        Bytes data(32);
        store_be(U256{number}, data.data());
        EXPECT_TRUE(
            run(0, call_transaction(nonce, block_hash_contract, {}, data))->receipt.success);
        return slot(block_hash_contract, 0);
    };
    EXPECT_EQ(ask(0, 299), to_u256(kernels::keccak256(as_bytes("block 299"))));
    EXPECT_EQ(ask(1, 44), to_u256(kernels::keccak256(as_bytes("block 44"))));
    EXPECT_EQ(ask(2, 43), U256{}) << "the 257th ancestor";
    EXPECT_EQ(ask(3, 300), U256{}) << "the block itself";
    EXPECT_EQ(ask(4, 301), U256{});
}

TEST_F(BlockBuilderTest, PromisedParentGivesWhatAKnownOneGives) {
    builder_->add_block_hash(5, to_hash(U256{5}));
    ASSERT_TRUE(builder_->can_open_before_parent(7, block(7).timestamp_s));
    OpenBlock open = block(7);
    open.parent_hash = {};
    open.parent_promised = true;
    EXPECT_TRUE(builder_->open(open).empty());
    EXPECT_TRUE(builder_->awaits_parent());
    EXPECT_FALSE(builder_->context()->block_hash(6));
    EXPECT_EQ(builder_->context()->block_hash(5), to_hash(U256{5}));
    EXPECT_EQ(builder_->context()->block_hash(4), Hash256{});
    run(0, transfer_transaction(0, stranger(1), U256{1}));
    builder_->cut(1, 0);
    const storage::StateDelta opened = builder_->parent_sealed(block(7).parent_hash);
    ASSERT_EQ(opened.slots.size(), 1u);
    EXPECT_TRUE(opened.accounts.empty());
    EXPECT_EQ(opened.slots[0],
              (storage::SlotDelta{history_contract, U256{6}, to_u256(block(7).parent_hash)}));
    EXPECT_FALSE(builder_->awaits_parent());
    EXPECT_EQ(builder_->context()->block_hash(6), block(7).parent_hash);
    run(0, call_transaction(1, parent_hash_contract, {}, Bytes(32, 0)));
    run(0, call_transaction(2, history_reader, {}, Bytes(32, 0)));
    EXPECT_EQ(slot(parent_hash_contract, 0), to_u256(block(7).parent_hash));
    EXPECT_EQ(slot(history_reader, 0), to_u256(block(7).parent_hash));
    builder_->cut(2, 0);
    EXPECT_EQ(builder_->close().open, block(7));
}

TEST_F(BlockBuilderTest, OtherCodeInASystemContractNeedsTheParentFirst) {
    EXPECT_TRUE(builder_->can_open_before_parent(1, block(1).timestamp_s));
    cells_->set_code(history_contract, Bytes{0x00});
    cells_->take_delta();
    EXPECT_FALSE(builder_->can_open_before_parent(1, block(1).timestamp_s));
    cells_->set_code(history_contract, {});
    cells_->take_delta();
    EXPECT_TRUE(builder_->can_open_before_parent(1, block(1).timestamp_s));
    cells_->set_code(address_literal("0x000f3df6d732807ef1319fb7b8bb8522d0beac02"), Bytes{0x00});
    cells_->take_delta();
    EXPECT_FALSE(builder_->can_open_before_parent(1, block(1).timestamp_s));
}

TEST_F(BlockBuilderTest, PrevRandaoDependsOnTheLastMiniBlockAndTheParent) {
    builder_->open(block(1));
    run(0, transfer_transaction(0, stranger(1), U256{1}));
    builder_->cut(1, 0);
    run(0, transfer_transaction(1, stranger(1), U256{1}));
    builder_->cut(2, 0);
    const ClosedBlock b = builder_->close();
    const auto next = [&](const Hash256& randao, const Hash256& parent, uint64_t number,
                          std::vector<ExecutedPtr> transactions, std::vector<uint32_t> ends) {
        return next_prev_randao(randao, parent, number, transactions, ends);
    };
    const Hash256 one = to_hash(U256{1});
    const Hash256 base = next({}, {}, 1, b.transactions, b.mini_block_ends);
    EXPECT_NE(base, next(one, {}, 1, b.transactions, b.mini_block_ends));
    EXPECT_NE(base, next({}, one, 1, b.transactions, b.mini_block_ends));
    EXPECT_NE(base, next({}, {}, 2, b.transactions, b.mini_block_ends));
    EXPECT_NE(base, next({}, {}, 1, {b.transactions[0]}, {1}));
    EXPECT_NE(base, next({}, {}, 1, {}, {}));
    EXPECT_EQ(base, next({}, {}, 1, {b.transactions[1]}, {1})) << "only the last one counts";
}

TEST_F(BlockBuilderTest, HashOfARevertedBlockIsReplaced) {
    builder_->add_block_hash(1, to_hash(U256{1}));
    builder_->add_block_hash(2, to_hash(U256{2}));
    builder_->add_block_hash(1, to_hash(U256{11}));
    builder_->open(block(3));
    Bytes data(32);
    store_be(U256{2}, data.data());
    run(0, call_transaction(0, block_hash_contract, {}, data));
    EXPECT_EQ(slot(block_hash_contract, 0), U256{});
    store_be(U256{1}, data.data());
    run(0, call_transaction(1, block_hash_contract, {}, data));
    EXPECT_EQ(slot(block_hash_contract, 0), U256{11});
}

TEST_F(BlockBuilderTest, HeaderHoldsRootsBloomAndOsakaFields) {
    const OpenBlock open = block(1);
    builder_->open(open);
    std::vector<Bytes> raw;
    std::vector<Bytes> receipts;
    evm::Bloom bloom;
    for (uint64_t i = 0; i < 3; ++i) {
        const ExecutedPtr e = run(i, call_transaction(0, counter_contract));
        raw.push_back(e->admitted->raw);
        receipts.push_back(evm::encode_receipt(e->receipt));
        evm::bloom_merge(bloom, e->receipt.bloom);
    }
    builder_->cut(1, 0);
    const ClosedBlock closed = builder_->close();
    const evm::BlockHeader h = header_of(closed, to_hash(U256{42}));
    EXPECT_EQ(h.state_root, to_hash(U256{42}));
    EXPECT_EQ(h.transactions_root, evm::ordered_trie_root(raw));
    EXPECT_EQ(h.receipts_root, evm::ordered_trie_root(receipts));
    EXPECT_EQ(h.logs_bloom, bloom);
    EXPECT_NE(h.logs_bloom, evm::Bloom{});
    EXPECT_EQ(h.gas_used, closed.gas_used);
    EXPECT_EQ(h.parent_hash, open.parent_hash);
    EXPECT_EQ(h.base_fee_per_gas, open.base_fee_per_gas);
    EXPECT_EQ(h.requests_hash, evm::empty_requests_hash);
    EXPECT_EQ(h.blob_gas_used, 0u);
    EXPECT_EQ(evm::decode_header(evm::encode_header(h)).value(), h);
}

TEST_F(BlockBuilderTest, DiscardedBlockLeavesNoTraceAfterTheCellsAreReset) {
    builder_->open(block(1));
    run(0, transfer_transaction(0, stranger(1), U256{1}));
    builder_->discard();
    cells_->reset(store_->snapshot());
    EXPECT_EQ(balance(account(0)), U256{1000} * ether);
    builder_->open(block(1));
    EXPECT_EQ(run(0, transfer_transaction(0, stranger(1), U256{1}))->receipt.cumulative_gas_used,
              21'000u);
}

TEST_F(BlockBuilderTest, BlockGasLimitIsKept) {
    OpenBlock b = block(1);
    b.gas_limit = 50'000;
    builder_->open(b);
    run(0, transfer_transaction(0, stranger(1), U256{1}));
    run(0, transfer_transaction(1, stranger(1), U256{1}));
    const auto r = builder_->execute(admitted(0, transfer_transaction(2, stranger(1), U256{1})));
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error(), evm::TxError::gas_limit_exceeds_block);
}

TEST_F(BlockBuilderTest, EveryBlockNamesTheCodeThatItDeploys) {
    const Bytes init = from_hex("615f5f5f526002601ef3").value();
    const Hash256 hash = kernels::keccak256(from_hex("5f5f").value());
    const auto deltas = [&](BlockBuilder& b, uint64_t number) {
        b.open(block(number));
        std::vector<storage::StateDelta> out;
        for (uint64_t n = 0; n < 2; ++n) {
            const uint64_t nonce = (number - 1) * 2 + n;
            EXPECT_TRUE(b.execute(admitted(0, call_transaction(nonce, std::nullopt, {}, init)))
                            .has_value());
            out.push_back(b.cut(nonce + 1, 0).mini_block->post_values);
        }
        out.push_back(b.close().post_values);
        return out;
    };
    const auto first = deltas(*builder_, 1);
    ASSERT_EQ(first[0].codes.size(), 1u);
    EXPECT_EQ(first[0].codes[0].hash, hash);
    EXPECT_TRUE(first[1].codes.empty()) << "once in a block";
    uint64_t version = 2;
    for (const storage::StateDelta& d : first) {
        ASSERT_TRUE(store_->apply(version++, d).has_value());
    }
    cells_->rebase(store_->snapshot(), 1'000'000);
    const auto live = deltas(*builder_, 2);
    EXPECT_EQ(live[0].codes.size(), 1u) << "known or not";

    // Recovery begins with an empty table and must find the same.
    CellTable cells{store_->snapshot()};
    BlockBuilder recovering{genesis_.spec, precompiles_, cells};
    EXPECT_EQ(deltas(recovering, 2), live);
}

TEST_F(BlockBuilderTest, RefusedEditBetweenTwoDeploymentsChangesNoDelta) {
    const Bytes init = from_hex("615f5f5f526002601ef3").value();
    builder_->open(block(1));
    run(0, call_transaction(0, std::nullopt, {}, init));
    const storage::StateDelta first = builder_->cut(1, 0).mini_block->post_values;
    ASSERT_TRUE(store_->apply(2, first).has_value());
    // As the sequencer does with an edit that it refuses: there is no record of it.
    cells_->set_code(stranger(1), from_hex("5f5f").value());
    cells_->reset(store_->snapshot());
    run(0, call_transaction(1, std::nullopt, {}, init));
    EXPECT_TRUE(builder_->cut(2, 0).mini_block->post_values.codes.empty());
}

TEST_F(BlockBuilderTest, EditAlwaysNamesItsCode) {
    builder_->open(block(1));
    run(0, call_transaction(0, std::nullopt, {}, from_hex("615f5f5f526002601ef3").value()));
    builder_->cut(1, 0);
    cells_->set_code(stranger(1), from_hex("5f5f").value());
    cells_->set_code(stranger(2), from_hex("5f5f").value());
    EXPECT_EQ(cells_->take_delta().codes.size(), 1u);
}

TEST_F(BlockBuilderTest, NoncesThatMovedOtherwiseThanByTheTransactionAreTold) {
    builder_->open(block(1));
    run(0, transfer_transaction(0, stranger(1), U256{1}));
    using Moved = std::vector<std::pair<Address, uint64_t>>;
    EXPECT_EQ(builder_->nonces_changed(), Moved{});
    // The sender authorises too: its nonce moves twice.
    run(0, set_code_transaction(1, stranger(1),
                                {authorization_by(0, counter_contract, 2),
                                 authorization_by(1, counter_contract, 0)}));
    Moved moved = builder_->nonces_changed();
    std::sort(moved.begin(), moved.end());
    Moved expected{{account(0), 3}, {account(1), 1}};
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(moved, expected);
    EXPECT_FALSE(
        builder_->execute(admitted(0, transfer_transaction(9, stranger(1), {}))).has_value());
    EXPECT_TRUE(builder_->nonces_changed().empty());
}

TEST_F(BlockBuilderTest, BytesCountPostValuesForTheLogAndLogsForTheBlock) {
    builder_->open(block(1));
    EXPECT_EQ(builder_->uncut_bytes(), 0u);
    EXPECT_EQ(builder_->block_bytes(), 0u);
    const AdmittedPtr transfer = admitted(0, transfer_transaction(0, stranger(1), U256{1}));
    ASSERT_TRUE(builder_->execute(transfer).has_value());
    const size_t estimate_of_transfer = builder_->uncut_bytes();
    EXPECT_GE(estimate_of_transfer, transfer->raw.size() + 2 * 130);
    const size_t without_logs = builder_->block_bytes();
    EXPECT_GE(without_logs, transfer->raw.size() + 256);
    // 1 KiB of zeros: PUSH2 0x400, PUSH0, LOG0.
    cells_->set_code(stranger(2), from_hex("6104005fa000").value());
    cells_->take_delta();
    run(0, call_transaction(1, stranger(2)));
    EXPECT_GE(builder_->block_bytes(), without_logs + 1024 + 256);
    MiniBlockRecorder recorder;
    const auto record_bytes = [&](const BlockBuilder::Cut& cut) {
        return recorder.record({}, *cut.mini_block, *cut.accesses)->payload.size();
    };
    EXPECT_LE(record_bytes(builder_->cut(1, 0)), estimate_of_transfer * 2);
    EXPECT_EQ(builder_->uncut_bytes(), 0u);
    EXPECT_GE(builder_->block_bytes(), without_logs + 1024) << "the block goes on";

    // The estimate is near the truth for what can be large: slots. Each is in the post-values and
    // in the access list, which may take a position and a dependency for it.
    std::string code;
    for (uint64_t i = 1; i <= 200; ++i) {
        // PUSH32 value, PUSH32 key, SSTORE
        code += "7f" + to_hex(secret_key(i)).substr(2) + "7f" +
                to_hex(secret_key(i + 1)).substr(2) + "55";
    }
    cells_->set_code(stranger(3), from_hex(code + "00").value());
    cells_->take_delta();
    run(0, call_transaction(2, stranger(3), {}, {}, 20'000'000));
    const size_t estimate = builder_->uncut_bytes();
    const size_t encoded = record_bytes(builder_->cut(2, 0));
    EXPECT_GE(estimate, encoded);
    EXPECT_LE(estimate, encoded * 5 / 2 + 1000);
}

TEST_F(BlockBuilderTest, DiscardGivesBackWhatWasNotCut) {
    builder_->open(block(1));
    run(0, transfer_transaction(0, stranger(1), U256{1}));
    builder_->cut(1, 0);
    const ExecutedPtr e = run(0, transfer_transaction(1, stranger(1), U256{1}));
    EXPECT_EQ(builder_->discard(), std::vector{e});
    cells_->reset(store_->snapshot());
    builder_->open(block(1));
    EXPECT_EQ(builder_->uncut_count(), 0u);
}

}  // namespace
}  // namespace millrace::sequencer
