// SPDX-License-Identifier: Apache-2.0
// Tests that what a sequencer's log says of its mini-blocks is enough to run them again, both ways.
#include <algorithm>
#include <map>

#include "host/validator/replay.hpp"
#include "host/validator/stored_pre_state.hpp"
#include "net/sync/access_codec.hpp"
#include "storage/wal/wal.hpp"
#include "tests/host/sequencer/sequencer_fixture.hpp"

namespace millrace::validator {
namespace {

using namespace sequencer::test;
using sequencer::AdmittedPtr;

struct Counts {
    uint64_t mini_blocks = 0;
    uint64_t transactions = 0;
    uint64_t dependencies = 0;
    uint64_t codes = 0;
};

/// Reads a log as a full node would that trusts nothing but the genesis, the order of the
/// transactions and the hashes of blocks.
class LogReader {
public:
    explicit LogReader(const sequencer::Genesis& genesis) : genesis_(genesis) {
        MILLRACE_ASSERT(store_->restore_part(genesis.state).has_value(), "the genesis is good");
        MILLRACE_ASSERT(store_->finish_restore(0).has_value(), "the genesis is good");
        hashes_[genesis.header.number] = genesis.hash;
    }

    Result<void> read(const storage::RecordInfo& info, ByteView payload) {
        MILLRACE_TRY(const storage::Record record, storage::decode_record(info.kind, payload));
        if (const auto* open = std::get_if<storage::BlockOpen>(&record)) { begin(*open); }
        if (const auto* m = std::get_if<storage::MiniBlock>(&record)) { replay(*m); }
        if (const auto* seal = std::get_if<storage::BlockSeal>(&record)) {
            hashes_[seal->number] = seal->hash;
        }
        return store_->apply(info.sequence, storage::post_values_of(record));
    }
    const Counts& counts() const noexcept { return counts_; }

private:
    void begin(const storage::BlockOpen& open) {
        block_ = {};
        block_.rules = genesis_.spec.rules_at(open.number, open.timestamp_s);
        evm::BlockEnvironment& e = block_.environment;
        e.number = open.number;
        e.timestamp = open.timestamp_s;
        e.gas_limit = open.gas_limit;
        e.coinbase = open.coinbase;
        e.prev_randao = open.prev_randao;
        e.base_fee_per_gas = open.base_fee_per_gas;
    }

    void replay(const storage::MiniBlock& m) {
        SCOPED_TRACE("mini-block " + std::to_string(m.number));
        sync::MiniBlockAccess access;
        ASSERT_OK(sync::decode_access(m.access, access));
        const auto admitted = sequencer::admit_logged(m.transactions, nullptr);
        ASSERT_OK(admitted);
        std::vector<ReplayTransaction> transactions;
        for (const AdmittedPtr& t : *admitted) {
            transactions.push_back({&t->transaction, t->hash, t->sender, t->authorities});
        }
        block_.mini_block_number = m.number;
        const StoredPreState before(store_->snapshot(),
                                    [this](uint64_t n) -> std::optional<Hash256> {
                                        const auto it = hashes_.find(n);
                                        return it == hashes_.end() ? Hash256{} : it->second;
                                    });
        uint64_t gas_used = 0;
        for (const ReplayWay way : {ReplayWay::by_dependencies, ReplayWay::by_values}) {
            const auto replayed = replayer_.replay(way, block_, transactions, access, before);
            ASSERT_TRUE(replayed.has_value()) << replayed.error().text();
            EXPECT_EQ(replayed->post_values.accounts, m.post_values.accounts);
            EXPECT_EQ(replayed->post_values.slots, m.post_values.slots);
            // The log names a code once in a block, a replay in each mini-block that sets it.
            for (const storage::CodeDelta& c : m.post_values.codes) {
                EXPECT_EQ(std::ranges::count(replayed->post_values.codes, c), 1);
            }
            EXPECT_EQ(receipts_digest(replayed->receipts), m.receipts_digest);
            gas_used = replayed->gas_used;
        }
        block_.first_transaction_index += transactions.size();
        block_.gas_used_before += gas_used;
        ++counts_.mini_blocks;
        counts_.transactions += transactions.size();
        counts_.dependencies += access.dependencies.size();
        counts_.codes += access.code_changes.size();
    }

    const sequencer::Genesis& genesis_;
    std::unique_ptr<storage::StateStore> store_ = storage::make_memory_state_store();
    evm::StandardPrecompiles precompiles_;
    Replayer replayer_{{2}, precompiles_};
    ReplayBlock block_;
    std::map<uint64_t, Hash256> hashes_;
    Counts counts_;
};

TEST(LogReplay, EveryMiniBlockOfParallelWorkersRunsAgainBothWays) {
    log::configure({log::Level::warn, log::Format::terminal});
    const sequencer::Genesis genesis = make_genesis();
    const storage::ScratchDirectory scratch;
    const auto fs = storage::make_posix_file_system();
    sequencer::SequencerOptions options = quick_options();
    options.mini_block_us = 1'000;
    options.block_us = 20'000;
    options.execution_workers = 3;
    constexpr uint64_t senders = 8;
    constexpr uint64_t per_sender = 60;
    {
        Node node(*fs, genesis, scratch.path() + "/node", options);
        std::vector<std::future<Node::Admitted>> answers;
        std::vector<uint64_t> nonces(senders, 0);
        uint64_t round = 0;
        const auto send = [&](uint64_t s) {
            const uint64_t nonce = nonces[s]++;
            const U256 one{1};
            switch ((s + round) % 8) {
                case 0: return transfer_transaction(nonce, account((s + 1) % senders), one);
                case 1: return transfer_transaction(nonce, stranger(0), one);
                case 2:
                case 3: return call_transaction(nonce, counter_contract);
                case 4: return call_transaction(nonce, reverting_contract);
                case 5: {
                    Bytes parent(32, 0);
                    parent[31] = static_cast<uint8_t>(round);
                    return call_transaction(nonce, block_hash_contract, {}, parent);
                }
                case 6:
                    // The constructor stores its own balance and returns one byte of code.
                    return call_transaction(nonce, std::nullopt, one,
                                            from_hex("475f5560015ff3").value(), 200'000);
                default: return transfer_transaction(nonce, stranger(100 + round), one);
            }
        };
        for (round = 0; round < per_sender; ++round) {
            for (uint64_t s = 0; s < senders; ++s) {
                answers.push_back(node.submit(raw_signed(s, send(s))));
            }
            // Within what the pool takes of one sender ahead of its nonce.
            if (round % 20 == 19) {
                for (auto& a : answers) {
                    const auto r = a.get();
                    ASSERT_TRUE(r.has_value()) << to_string(r.error());
                    ASSERT_TRUE(node.wait(r->hash));
                }
                answers.clear();
            }
        }
        node.stop();
        ASSERT_FALSE(node.fatal.load());
    }

    storage::WalOptions wal_options;
    wal_options.chain_id = chain_id;
    wal_options.segment_bytes = 4 << 20;
    wal_options.record_bytes_max = 2 << 20;
    const auto wal = storage::Wal::open(*fs, scratch.path() + "/node/wal", wal_options,
                                        storage::make_pwrite_log_writer("test"));
    ASSERT_TRUE(wal.has_value()) << wal.error().message;
    LogReader reader(genesis);
    ASSERT_OK((*wal)->replay(1, [&](const storage::RecordInfo& info, ByteView payload) {
        return reader.read(info, payload);
    }));
    EXPECT_EQ(reader.counts().transactions, senders * per_sender);
    EXPECT_GT(reader.counts().mini_blocks, 3u);
    EXPECT_GT(reader.counts().dependencies, 0u);
    EXPECT_EQ(reader.counts().codes, per_sender) << "each contract's code is shipped";
}

}  // namespace
}  // namespace millrace::validator
