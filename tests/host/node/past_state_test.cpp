// SPDX-License-Identifier: Apache-2.0
// Owns the tests of what the node answers about old blocks: out of the state engine, within its
// window, with bounds, over reverts, and beside blocks that go on.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "evm/precompiles/standard.hpp"
#include "host/base/hex.hpp"
#include "host/base/log.hpp"
#include "host/node/api/node_api.hpp"
#include "storage/proof/state_leaf.hpp"
#include "tests/storage/scratch_directory.hpp"

namespace millrace::node {
namespace {

using net::ApiErrorKind;
using net::BlockRef;

const Address writer = address_literal("0x00000000000000000000000000000000000000c1");
const Address rich = address_literal("0x00000000000000000000000000000000000000d1");
constexpr auto patience = std::chrono::seconds(60);

/// sstore(i, calldata[0]) for i from 0 to calldata[1] less one.
const Bytes writer_code = from_hex("5f5b8060203511156015575f358155600101600156"
                                   "5b00")
                              .value();
/// Gives the slot that calldata[0] names.
const Bytes reader_code = from_hex("5f355460005260206000f3").value();

struct Limits {
    uint64_t history_blocks = 1'000'000;
    uint64_t past_proof_bytes_max = uint64_t{256} << 20;
    uint64_t past_reads_max = uint64_t{1} << 20;
    uint64_t history_records = 1;
    std::string commitment = "qmdb-keccak256";
};

/// A development node whose memory has few states but the newest, so that old ones are the
/// engine's.
class OldNode {
public:
    explicit OldNode(Limits limits = {}) : limits_(std::move(limits)) {
        log::configure({log::Level::warn, log::Format::terminal});
        open();
    }
    ~OldNode() { close(); }

    void open() {
        sequencer::LedgerOptions l;
        l.path = scratch_.path() + "/node";
        l.commitment = limits_.commitment;
        l.wal_segment_bytes = 4 << 20;
        l.wal_record_bytes_max = 2 << 20;
        l.state_segment_bytes = 1 << 20;
        l.state_step_writes_max = 256;
        l.history_records = limits_.history_records;
        l.checkpoint_every_records = 20;
        l.state_history_blocks = limits_.history_blocks;
        l.past_proof_bytes_max = limits_.past_proof_bytes_max;
        auto opened = sequencer::Ledger::open(*fs_, l, genesis_, precompiles_, registry_);
        MILLRACE_ASSERT(opened.has_value(), "the directory is whole");
        ledger_ = std::move(*opened);
        offload_ = std::move(
            *kernels::OffloadEngine::create({.worker_count = 1, .cuda = kernels::CudaPolicy::off}));
        sequencer::SequencerOptions options;
        options.mini_block_us = 1'000;
        options.block_us = 3'600'000'000;
        sequencer_ = std::make_unique<sequencer::Sequencer>(
            options, genesis_, precompiles_, *ledger_, *offload_, registry_, [](const Error&) {});
        api_ = std::make_unique<SequencerNode>(
            NodeApiOptions{
                .client_version = "test", .past_reads_max = limits_.past_reads_max, .dev = true},
            genesis_, precompiles_, *sequencer_, ledger_->view());
        sequencer_->start();
    }
    void close() {
        offload_->shutdown();
        sequencer_->stop();
        api_.reset();
        sequencer_.reset();
        ledger_.reset();
        offload_.reset();
    }
    /// A block in which `count` slots of the writer become `value`. Its number.
    uint64_t write(uint64_t value, uint64_t count) {
        net::CallRequest r;
        r.from = dev_accounts()[0].address;
        r.to = writer;
        r.gas = 100'000 + count * 23'000;
        r.data = joined({U256{value}, U256{count}});
        auto promise = std::make_shared<std::promise<net::ApiResult<net::SendOutcome>>>();
        auto sent = promise->get_future();
        api_->send_transaction(std::move(r), [promise](net::ApiResult<net::SendOutcome> outcome) {
            promise->set_value(std::move(outcome));
        });
        EXPECT_EQ(sent.wait_for(patience), std::future_status::ready);
        const auto outcome = sent.get();
        EXPECT_TRUE(outcome.has_value()) << outcome.error().message;
        const auto mined = api_->mine(1, {}, 0);
        EXPECT_TRUE(mined.has_value()) << mined.error().message;
        const auto receipt = api_->receipt(outcome->hash).value();
        EXPECT_TRUE(receipt && receipt->receipt->success);
        return receipt ? receipt->inclusion.block_number : 0;
    }
    static Bytes joined(std::initializer_list<U256> words) {
        Bytes out;
        for (const U256& w : words) {
            const Hash256 word = to_hash(w);
            out.insert(out.end(), word.begin(), word.end());
        }
        return out;
    }
    SequencerNode& api() { return *api_; }
    sequencer::Ledger& ledger() { return *ledger_; }
    int64_t oldest_block_metric() {
        return registry_.gauge("millrace_state_oldest_block", "").value();
    }

private:
    Limits limits_;
    sequencer::Genesis genesis_ =
        dev_genesis(sequencer::parse_commitment(limits_.commitment).value()).value();
    evm::StandardPrecompiles precompiles_;
    metrics::Registry registry_;
    storage::ScratchDirectory scratch_;
    std::unique_ptr<storage::FileSystem> fs_ = storage::make_posix_file_system();
    std::unique_ptr<sequencer::Ledger> ledger_;
    std::unique_ptr<kernels::OffloadEngine> offload_;
    std::unique_ptr<sequencer::Sequencer> sequencer_;
    std::unique_ptr<SequencerNode> api_;
};

/// The proof's value of a slot, or nothing where it is proven to be absent.
std::optional<Bytes> proven_slot(const net::EngineProof& proof, size_t i) {
    const auto decoded = storage::decode_state_proof(proof.storage[i].leaf.proof).value();
    const auto value = storage::StateVerifier{kernels::NodeHash::keccak256}.verify(
        proof.state_root, proof.storage[i].leaf.key, decoded);
    EXPECT_TRUE(value.has_value());
    if (!value || !*value) { return std::nullopt; }
    return Bytes{(*value)->begin(), (*value)->end()};
}

TEST(PastState, AnswersWithinTheWindowAndNamesItBelow) {
    OldNode node({.history_blocks = 3});
    ASSERT_TRUE(node.api().set_code(writer, writer_code));
    constexpr uint64_t slots = 800;
    std::vector<uint64_t> numbers;
    // Until the log was pruned: a shard moves its oldest entries after 4,096 others.
    for (uint64_t value = 1; value <= 160 && node.oldest_block_metric() < 5; ++value) {
        numbers.push_back(node.write(value, slots));
    }
    ASSERT_GE(node.oldest_block_metric(), 5) << "after " << numbers.size() << " blocks";
    for (uint64_t i = 0; i < 5; ++i) { numbers.push_back(node.write(numbers.size() + 1, slots)); }
    for (int life = 0; life < 2; ++life) {
        auto states = node.ledger().committed_states(node.api().block_number()).value();
        const uint64_t newest = states->newest_block();
        const uint64_t oldest = states->oldest_block();
        states.reset();
        ASSERT_GE(oldest, 5u);
        ASSERT_LE(oldest, newest - 3);
        uint64_t answered = 0;
        for (size_t i = 0; i < numbers.size(); ++i) {
            const auto ref = BlockRef::number(numbers[i]);
            const auto slot = node.api().storage(writer, U256{7}, ref);
            const auto proof = node.api().engine_proof(writer, {U256{7}, U256{900}}, ref, false);
            net::CallRequest read;
            read.to = writer;
            read.data = OldNode::joined({U256{7}});
            net::AccountOverride reader;
            reader.address = writer;
            reader.code = reader_code;
            const auto called = node.api().call(read, ref, {reader}, {});
            if (numbers[i] < oldest) {
                for (const net::ApiError& e : {slot.error(), proof.error(), called.error()}) {
                    EXPECT_EQ(e.kind, ApiErrorKind::not_found);
                    EXPECT_NE(e.message.find("missing trie node"), std::string::npos) << e.message;
                    EXPECT_NE(e.message.find("blocks " + std::to_string(oldest) + " to " +
                                             std::to_string(newest)),
                              std::string::npos)
                        << e.message;
                }
                continue;
            }
            ++answered;
            ASSERT_TRUE(slot) << slot.error().message;
            EXPECT_EQ(*slot, U256{i + 1});
            ASSERT_TRUE(called) << called.error().message;
            EXPECT_EQ(called->output, OldNode::joined({U256{i + 1}}));
            ASSERT_TRUE(proof) << proof.error().message;
            EXPECT_EQ(proof->block_number, numbers[i]);
            EXPECT_EQ(proof->storage[0].value, U256{i + 1});
            EXPECT_EQ(proven_slot(*proof, 0), proof->storage[0].leaf.value);
            EXPECT_EQ(proven_slot(*proof, 1), std::nullopt);
            EXPECT_EQ(node.api().code(writer, ref).value(), writer_code);
            EXPECT_EQ(node.api().nonce(dev_accounts()[0].address, ref).value(), i + 1);
            EXPECT_EQ(node.api().nonce(rich, ref).value(), 0u);
        }
        // An end seals what is open, so that the window is one without these later.
        EXPECT_GE(answered, life == 0 ? 4u : 1u);
        if (life == 0) {
            node.close();
            node.open();
        }
    }
}

TEST(PastState, WhatTakesTooMuchWorkIsRefused) {
    OldNode node({.past_proof_bytes_max = 64 << 10, .past_reads_max = 40});
    ASSERT_TRUE(node.api().set_code(writer, writer_code));
    std::vector<uint64_t> numbers;
    for (uint64_t value = 1; value <= 60; ++value) { numbers.push_back(node.write(value, 20)); }
    const auto at = [&](size_t back) {
        return BlockRef::number(numbers[numbers.size() - 1 - back]);
    };
    EXPECT_EQ(node.api().storage(writer, U256{3}, at(5)).value(), U256{55});
    EXPECT_TRUE(node.api().engine_proof(writer, {U256{3}}, at(5), true).has_value());
    // A slot that changed in each block since, and a proof over too much of the log.
    for (const auto& e : {node.api().storage(writer, U256{3}, at(50)).error(),
                          node.api().engine_proof(writer, {U256{3}}, at(50), true).error(),
                          node.api().engine_proof(writer, {U256{3}}, at(50), false).error()}) {
        EXPECT_EQ(e.kind, ApiErrorKind::limit) << e.message;
        EXPECT_NE(e.message.find("ask for a newer"), std::string::npos) << e.message;
    }
    // What did not change costs nothing, however old it is.
    EXPECT_EQ(node.api().storage(writer, U256{300}, at(50)).value(), U256{});
    EXPECT_EQ(node.api().balance(dev_accounts()[5].address, at(50)).value(),
              node.api().balance(dev_accounts()[5].address, BlockRef::latest()).value());
    // All reads of a call count together.
    net::CallRequest read;
    read.to = writer;
    read.data = OldNode::joined({U256{3}});
    net::AccountOverride reader;
    reader.address = writer;
    reader.code = reader_code;
    EXPECT_EQ(node.api().call(read, at(5), {reader}, {})->output, OldNode::joined({U256{55}}));
    EXPECT_EQ(node.api().call(read, at(50), {reader}, {}).error().kind, ApiErrorKind::limit);
    EXPECT_EQ(node.api().estimate_gas(read, at(50), {reader}, {}).error().kind,
              ApiErrorKind::limit);
}

TEST(PastState, BlocksThatAreNotThereAreNotFound) {
    OldNode node;
    ASSERT_TRUE(node.api().set_code(writer, writer_code));
    const uint64_t number = node.write(1, 4);
    for (const BlockRef& ref : {BlockRef::number(number + 100), BlockRef::hash(to_hash(U256{5}))}) {
        const auto proof = node.api().engine_proof(writer, {}, ref, false);
        ASSERT_FALSE(proof.has_value());
        EXPECT_EQ(proof.error().kind, ApiErrorKind::not_found);
        EXPECT_EQ(proof.error().message, "header not found");
    }
    const auto pending = node.api().engine_proof(writer, {}, BlockRef::pending(), false);
    EXPECT_EQ(pending.error().kind, ApiErrorKind::not_found);
    const auto tries = node.api().proof(writer, {}, BlockRef::latest());
    EXPECT_EQ(tries.error().kind, ApiErrorKind::unsupported);
    EXPECT_NE(tries.error().message.find("millrace_getProof"), std::string::npos);
    for (const BlockRef& ref : {BlockRef::latest(), BlockRef::earliest(),
                                BlockRef{BlockRef::Kind::finalized, 0, {}, false}}) {
        EXPECT_TRUE(node.api().engine_proof(writer, {U256{1}}, ref, true).has_value());
    }
}

TEST(PastState, UnderMptTheMemoryIsAllThereIs) {
    OldNode node({.commitment = "mpt"});
    ASSERT_TRUE(node.api().set_code(writer, writer_code));
    const uint64_t number = node.write(1, 4);
    node.write(2, 4);
    node.write(3, 4);
    const auto e = node.api().storage(writer, U256{1}, BlockRef::number(number)).error();
    EXPECT_EQ(e.kind, ApiErrorKind::not_found);
    EXPECT_NE(e.message.find("missing trie node"), std::string::npos);
    EXPECT_NE(e.message.find("--history-records"), std::string::npos);
    const auto proof = node.api().engine_proof(writer, {}, BlockRef::latest(), false);
    EXPECT_EQ(proof.error().kind, ApiErrorKind::unsupported);
    EXPECT_NE(proof.error().message.find("eth_getProof"), std::string::npos);
}

TEST(PastState, DelegatedCodeAndCollisionsAreThoseOfTheBlock) {
    OldNode node;
    const Address changing = address_literal("0x00000000000000000000000000000000000000e7");
    ASSERT_TRUE(node.api().set_code(writer, writer_code));
    ASSERT_TRUE(node.api().set_balance(changing, U256{1}));
    const uint64_t bare = node.write(1, 4);
    ASSERT_TRUE(node.api().set_code(changing, Bytes{0x60, 0x01}));
    ASSERT_TRUE(node.api().set_storage(changing, U256{1}, U256{2}));
    const uint64_t first = node.write(2, 4);
    ASSERT_TRUE(node.api().set_code(changing, Bytes{0x60, 0x02}));
    const uint64_t second = node.write(3, 4);
    for (uint64_t value = 4; value < 8; ++value) { node.write(value, 4); }
    for (int life = 0; life < 2; ++life) {
        EXPECT_EQ(node.api().code(changing, BlockRef::number(bare)).value(), Bytes{});
        EXPECT_EQ(node.api().code(changing, BlockRef::number(first)).value(), (Bytes{0x60, 0x01}));
        EXPECT_EQ(node.api().code(changing, BlockRef::number(second)).value(), (Bytes{0x60, 0x02}));
        EXPECT_EQ(node.api().storage(changing, U256{1}, BlockRef::number(bare)).value(), U256{});
        EXPECT_EQ(node.api().storage(changing, U256{1}, BlockRef::number(first)).value(), U256{2});
        // The storage that it has now is none that it had then.
        {
            PastView then({node.ledger().committed_states(second).value(), bare,
                           node.ledger().view().latest_state(), 1'000},
                          {});
            EXPECT_TRUE(node.ledger().view().latest_state()->has_storage(changing));
            EXPECT_FALSE(then.has_storage(changing));
            EXPECT_TRUE(then.status());
        }
        if (life == 1) { break; }
        node.close();
        node.open();
    }
}

/// Readers of old blocks beside blocks and reverts: every answer is right, or says that it is not.
TEST(PastState, ReadersBesideBlocksAndReverts) {
    OldNode node({.history_records = 24});  // enough to take three blocks back
    ASSERT_TRUE(node.api().set_code(writer, writer_code));
    const uint64_t base = node.write(1, 30);
    std::vector<uint64_t> numbers{base};
    for (uint64_t value = 2; value <= 6; ++value) { numbers.push_back(node.write(value, 30)); }
    for (uint64_t value = 7; value <= 16; ++value) { node.write(value, 30); }
    EXPECT_FALSE(node.ledger().view().state_after(numbers.back()).has_value())
        << "the memory has these no more";
    std::atomic<bool> done = false;
    std::atomic<uint64_t> answered = 0;
    std::atomic<uint64_t> wrong = 0;
    const auto read = [&](uint64_t seed) {
        for (uint64_t i = seed; !done || i < seed + 30; ++i) {
            const size_t which = i % numbers.size();
            const auto ref = BlockRef::number(numbers[which]);
            const auto slot = node.api().storage(writer, U256{i % 30}, ref);
            const auto proof = node.api().engine_proof(writer, {U256{i % 30}}, ref, i % 2 == 0);
            for (const auto& error : {slot ? std::nullopt : std::optional{slot.error()},
                                      proof ? std::nullopt : std::optional{proof.error()}}) {
                wrong += error && error->kind != ApiErrorKind::not_ready ? 1 : 0;
            }
            if (slot) { (*slot == U256{which + 1} ? answered : wrong) += 1; }
            if (proof) { (proof->storage[0].value == U256{which + 1} ? answered : wrong) += 1; }
        }
    };
    std::vector<std::thread> readers;
    for (uint64_t seed = 0; seed < 3; ++seed) { readers.emplace_back(read, seed); }
    for (int round = 0; round < 6; ++round) {
        const auto id = node.api().snapshot();
        EXPECT_TRUE(id.has_value());
        if (!id) { break; }
        for (uint64_t value = 100; value < 103; ++value) { node.write(value, 30); }
        const auto reverted = node.api().revert(*id);
        EXPECT_TRUE(reverted.has_value()) << reverted.error().message;
        if (!reverted) { break; }
    }
    done = true;
    for (std::thread& reader : readers) { reader.join(); }
    EXPECT_EQ(wrong, 0u);
    EXPECT_GE(answered, 60u);
}

}  // namespace
}  // namespace millrace::node
