// SPDX-License-Identifier: Apache-2.0
// Owns a sequencer reduced to one thread over a ledger, a random script for it, and the oracle that
// knows after every record what readers must see.
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "evm/core/block_rules.hpp"
#include "evm/precompiles/standard.hpp"
#include "host/sequencer/ledger/ledger.hpp"
#include "host/sequencer/ledger/mpt_commitment.hpp"
#include "tests/host/sequencer/header_of.hpp"
#include "tests/host/sequencer/test_chain.hpp"
#include "tests/storage/qmdb/commitment_model.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::sequencer::test {

struct ExpectedTransaction {
    Hash256 hash;
    Bytes raw;
    Bytes receipt;
    Address sender;
    uint64_t gas_used = 0;
    U256 price;
    std::optional<Address> created;
    uint64_t first_log_index = 0;
    bool operator==(const ExpectedTransaction&) const = default;
};

/// The state roots of a chain up to some block, from the states alone.
class RootOracle {
public:
    RootOracle(const std::string& commitment, const LedgerOptions& options) {
        const CommitmentKind kind = parse_commitment(commitment).value();
        if (kind.type == CommitmentKind::Type::qmdb) {
            engine_.emplace(kind.hash, options.state_step_writes_max);
        }
    }
    Hash256 close(uint64_t number, const storage::StateModel& state) {
        if (engine_) { return engine_->close(number, state); }
        const auto commitment = make_mpt_commitment();
        state.feed(*commitment);
        return commitment->root();
    }

private:
    std::optional<storage::qmdb::CommitmentModel> engine_;
};

struct ExpectedBlock {
    uint64_t number = 0;
    std::optional<Hash256> hash;  ///< absent while the block is open
    bool awaits_parent = false;   ///< the seal of the parent is not in the log yet
    U256 base_fee;
    std::vector<ExpectedTransaction> transactions;
    std::vector<uint32_t> mini_block_ends;
    uint64_t first_mini_block = 0;
    // After the close, for reverts.
    std::shared_ptr<const storage::StateModel> state;
    std::shared_ptr<const RootOracle> roots;
    uint64_t next_mini_block = 1;
};

/// What there is after one record of the log.
struct Version {
    std::vector<ExpectedBlock> blocks;  ///< the last one may be open
    storage::StateModel state;
    uint64_t next_mini_block = 1;

    bool is_open() const { return !blocks.empty() && !blocks.back().hash; }
};

inline LedgerOptions small_ledger_options(std::string path, std::string commitment = "mpt") {
    LedgerOptions o;
    o.path = std::move(path);
    o.commitment = std::move(commitment);
    o.checkpoint_every_records = 0;
    o.housekeeping = false;  // every I/O of the script is counted
    o.wal_segment_bytes = 128 << 10;
    o.wal_record_bytes_max = 64 << 10;
    o.state_segment_bytes = 128 << 10;
    o.state_step_writes_max = 40;
    o.plain_log_writer = true;
    return o;
}

struct Oracle {
    explicit Oracle(const Genesis& genesis, const std::string& commitment = "mpt",
                    const LedgerOptions& options = small_ledger_options("")) {
        versions.emplace_back();
        versions[0].state.apply(genesis.state);
        genesis_state = std::make_shared<const storage::StateModel>(versions[0].state);
        RootOracle roots{commitment, options};
        (void)roots.close(0, *genesis_state);
        genesis_roots = std::make_shared<const RootOracle>(std::move(roots));
    }
    /// Up to the last of the blocks that is closed, but for `open` of them.
    RootOracle roots(const std::vector<ExpectedBlock>& blocks, size_t open) const {
        return blocks.size() == open ? *genesis_roots : *blocks[blocks.size() - 1 - open].roots;
    }
    std::vector<Version> versions;  ///< ascending; the first is where this life began
    size_t acknowledged = 0;        ///< the newest version that a flush has confirmed
    std::shared_ptr<const storage::StateModel> genesis_state;
    std::shared_ptr<const RootOracle> genesis_roots;

    Version& next() {
        versions.push_back(versions.back());
        return versions.back();
    }
    const Version& now() const { return versions.back(); }
};

inline ExpectedTransaction expected_of(const ExecutedTransaction& t) {
    return {t.admitted->hash,   t.admitted->raw,  evm::encode_receipt(t.receipt),
            t.admitted->sender, t.gas_used,       t.effective_gas_price,
            t.contract_address, t.first_log_index};
}

/// The state after recovery has sealed what was open: the parent's hash is in its slot (EIP-2935),
/// the fees are in the vaults.
inline storage::StateModel sealed_state(const Version& v) {
    storage::StateModel s = v.state;
    if (!v.is_open()) { return s; }
    if (v.blocks.back().awaits_parent) {
        const ExpectedBlock& parent = v.blocks[v.blocks.size() - 2];
        s.accounts[history_contract].slots[U256{parent.number % 8191}] = to_u256(*parent.hash);
    }
    const auto credit = [&](const Address& to, const U256& amount) {
        if (amount.is_zero()) { return; }
        storage::Account& a = s.accounts[to].account;
        a.balance += amount;
        a.code_hash = evm::empty_code_hash;
    };
    for (const ExpectedTransaction& t : v.blocks.back().transactions) {
        credit(sequencer_vault, (t.price - v.blocks.back().base_fee) * U256{t.gas_used});
        credit(base_fee_vault, v.blocks.back().base_fee * U256{t.gas_used});
    }
    return s;
}

/// Drives builder and ledger as the pipeline does, one record at a time.
class ScriptedNode {
public:
    ScriptedNode(storage::FileSystem& fs, const Genesis& genesis, LedgerOptions options,
                 Oracle* oracle = nullptr)
        : fs_(fs), genesis_(genesis), options_(std::move(options)), oracle_(oracle) {}

    Result<void> start() {
        MILLRACE_TRY(ledger, Ledger::open(fs_, options_, genesis_, precompiles_, registry_));
        cells = std::make_unique<CellTable>(ledger->state().snapshot());
        builder = std::make_unique<BlockBuilder>(genesis_.spec, precompiles_, *cells);
        for (const auto& [number, hash] : ledger->recent_block_hashes()) {
            builder->add_block_hash(number, hash);
        }
        next_mini_block = ledger->next_mini_block_number();
        return {};
    }

    /// Opens a block on the last one, which may be closed and not sealed.
    Result<void> open_block() {
        OpenBlock open;
        if (closed_) {
            open.number = closed_->number + 1;
            open.timestamp_s = closed_->timestamp_s + 1;
            open.base_fee_per_gas =
                evm::next_base_fee(genesis_.spec.rules.base_fee, closed_->base_fee_per_gas,
                                   closed_gas_used_, closed_->gas_limit);
            open.parent_promised = true;
        } else {
            const SealedPtr head = ledger->view().head();
            open.number = head->header.number + 1;
            open.timestamp_s = std::max<uint64_t>(1'700'000'000, head->header.timestamp + 1);
            open.parent_hash = head->hash;
            open.base_fee_per_gas =
                evm::next_base_fee(genesis_.spec.rules.base_fee, *head->header.base_fee_per_gas,
                                   head->header.gas_used, head->header.gas_limit);
        }
        open.gas_limit = genesis_.block_gas_limit;
        open.coinbase = genesis_.coinbase;
        const storage::StateDelta delta = builder->open(open);
        if (oracle_ != nullptr) {
            Version& v = oracle_->next();
            ExpectedBlock& b = v.blocks.emplace_back();
            b.number = open.number;
            b.base_fee = open.base_fee_per_gas;
            b.awaits_parent = open.parent_promised;
            v.state.apply(delta);
        }
        return ledger->append_open(open, delta);
    }

    Result<MiniBlockPtr> mini_block(const std::vector<AdmittedPtr>& transactions) {
        for (const AdmittedPtr& t : transactions) {
            if (const auto r = builder->execute(t); !r) {
                return fail(ErrorCode::internal, "the script made an invalid transaction: " +
                                                     std::string(evm::to_string(r.error())));
            }
        }
        const auto [m, accesses] = builder->cut(next_mini_block++, 1'700'000'000'000'000);
        if (oracle_ != nullptr) {
            Version& v = oracle_->next();
            ExpectedBlock& b = v.blocks.back();
            if (b.mini_block_ends.empty()) { b.first_mini_block = m->number; }
            for (const ExecutedPtr& t : m->transactions) {
                b.transactions.push_back(expected_of(*t));
            }
            b.mini_block_ends.push_back(static_cast<uint32_t>(b.transactions.size()));
            v.state.apply(m->post_values);
            v.next_mini_block = m->number + 1;
        }
        MILLRACE_CHECK(ledger->append_mini_block(m, *accesses));
        return m;
    }

    Result<void> flush() {
        MILLRACE_CHECK(ledger->flush());
        if (oracle_ != nullptr) { oracle_->acknowledged = oracle_->versions.size() - 1; }
        return {};
    }

    Result<void> edit(const std::function<void(CellTable&)>& change) {
        change(*cells);
        const storage::StateDelta delta = cells->take_delta();
        if (oracle_ != nullptr) { oracle_->next().state.apply(delta); }
        MILLRACE_CHECK(ledger->append_dev_edit("test_edit", delta));
        MILLRACE_CHECK(flush());
        cells->reset(ledger->state().snapshot());
        return {};
    }

    /// Closes the open block; its seal follows.
    Result<void> close() {
        ClosedBlock closed = builder->close();
        if (oracle_ != nullptr) {
            Version& v = oracle_->next();
            v.state.apply(closed.post_values);
            RootOracle roots = oracle_->roots(v.blocks, 1);
            ExpectedBlock& b = v.blocks.back();
            const Hash256 root = roots.close(b.number, v.state);
            b.hash = evm::header_hash(header_of(closed, root));
            b.roots = std::make_shared<const RootOracle>(std::move(roots));
            b.state = std::make_shared<const storage::StateModel>(v.state);
            b.next_mini_block = v.next_mini_block;
        }
        const OpenBlock open = closed.open;
        closed_gas_used_ = closed.gas_used;
        auto promise = std::make_shared<std::promise<Result<FinishedPtr>>>();
        finished_ = promise->get_future();
        MILLRACE_CHECK(ledger->append_close(
            closed, [promise](const Result<FinishedPtr>& f) { promise->set_value(f); }));
        closed_ = open;
        cells->rebase(ledger->state().snapshot(), 1'000'000);
        return {};
    }

    /// Seals the block that was closed.
    Result<SealedPtr> finish() {
        MILLRACE_TRY(const FinishedPtr f, finished_.get());
        closed_.reset();
        storage::StateDelta opening;
        if (builder->awaits_parent()) { opening = builder->parent_sealed(f->block->hash); }
        if (oracle_ != nullptr) {
            Version& v = oracle_->next();
            v.blocks.back().awaits_parent = false;
            v.state.apply(opening);
        }
        MILLRACE_CHECK(ledger->append_seal(f, opening));
        if (oracle_ != nullptr) { oracle_->acknowledged = oracle_->versions.size() - 1; }
        builder->add_block_hash(f->block->header.number, f->block->hash);
        return f->block;
    }

    Result<SealedPtr> seal() {
        MILLRACE_CHECK(close());
        return finish();
    }

    Result<void> revert(uint64_t to_block) {
        builder->discard();
        if (oracle_ != nullptr) {
            Version& v = oracle_->next();
            v.blocks.resize(to_block);
            v.state = to_block == 0 ? *oracle_->genesis_state : *v.blocks.back().state;
            v.next_mini_block = to_block == 0 ? 1 : v.blocks.back().next_mini_block;
        }
        MILLRACE_CHECK(ledger->revert_to(to_block));
        if (oracle_ != nullptr) { oracle_->acknowledged = oracle_->versions.size() - 1; }
        cells->reset(ledger->state().snapshot());
        builder->clear_block_hashes();
        for (const auto& [number, hash] : ledger->recent_block_hashes()) {
            builder->add_block_hash(number, hash);
        }
        next_mini_block = ledger->next_mini_block_number();
        return {};
    }

    uint64_t nonce(uint64_t key) { return cells->account(account(key)).nonce.value(); }

    storage::FileSystem& fs_;
    const Genesis& genesis_;
    LedgerOptions options_;
    Oracle* oracle_;
    evm::StandardPrecompiles precompiles_;
    metrics::Registry registry_;
    std::unique_ptr<Ledger> ledger;
    std::unique_ptr<CellTable> cells;
    std::unique_ptr<BlockBuilder> builder;
    uint64_t next_mini_block = 1;
    std::optional<OpenBlock> closed_;  ///< waits for its seal
    uint64_t closed_gas_used_ = 0;
    std::future<Result<FinishedPtr>> finished_;
};

inline bool same_block(const ExpectedBlock& e, const SealedBlock& b) {
    if (e.number != b.header.number || (e.hash && *e.hash != b.hash) ||
        e.transactions.size() != b.transactions.size() || e.mini_block_ends != b.mini_block_ends ||
        (!e.mini_block_ends.empty() && e.first_mini_block != b.first_mini_block_number)) {
        return false;
    }
    for (size_t i = 0; i < e.transactions.size(); ++i) {
        if (!(e.transactions[i] == expected_of(*b.transactions[i])) ||
            b.transactions[i]->index != i) {
            return false;
        }
    }
    return true;
}

/// Compares a started node with the oracle: some version at or after the acknowledged one must be
/// there, whole. On success the oracle begins anew at that version. Empty when all is well.
inline std::string check(ScriptedNode& node, Oracle& oracle) {
    ChainView& view = node.ledger->view();
    const SealedPtr head = view.head();
    std::vector<SealedPtr> blocks;
    for (uint64_t n = 1; n <= head->header.number; ++n) {
        const auto b = view.sealed(n);
        if (!b || *b == nullptr) { return "block " + std::to_string(n) + " is missing"; }
        blocks.push_back(*b);
    }
    const auto snapshot = node.ledger->state().snapshot();
    const storage::StateModel state = storage::StateModel::of(*snapshot);
    if (evm::header_hash(head->header) != head->hash) {
        return "the head's hash is not that of its header";
    }
    if (view.open_block()) { return "a block is open after recovery"; }

    std::string last_reason = "no version";
    for (size_t i = oracle.versions.size(); i-- > oracle.acknowledged;) {
        const Version& v = oracle.versions[i];
        if (v.blocks.size() != blocks.size()) {
            last_reason = std::to_string(blocks.size()) + " blocks";
            continue;
        }
        bool same = true;
        for (size_t b = 0; b < blocks.size() && same; ++b) {
            same = same_block(v.blocks[b], *blocks[b]);
        }
        if (!same) {
            last_reason = "other blocks or receipts";
            continue;
        }
        if (sealed_state(v) != state) {
            last_reason = "another state";
            continue;
        }
        if (node.next_mini_block != v.next_mini_block) {
            last_reason = "next mini-block " + std::to_string(node.next_mini_block) +
                          ", expected " + std::to_string(v.next_mini_block);
            continue;
        }
        for (const SealedPtr& b : blocks) {
            for (const ExecutedPtr& t : b->transactions) {
                const auto located = view.find_transaction(t->admitted->hash);
                if (!located || located->block_hash != b->hash ||
                    located->block_number != b->header.number) {
                    return "a transaction is not found where it is";
                }
            }
        }
        Version kept = v;
        kept.state = state;
        if (kept.is_open()) {
            ExpectedBlock& b = kept.blocks.back();
            RootOracle roots = oracle.roots(kept.blocks, 1);
            if (roots.close(b.number, state) != head->header.state_root) {
                return "the root of the state is not that of the head";
            }
            b.roots = std::make_shared<const RootOracle>(std::move(roots));
            b.hash = head->hash;
            b.state = std::make_shared<const storage::StateModel>(state);
            b.next_mini_block = kept.next_mini_block;
            b.awaits_parent = false;
        }
        oracle.versions.assign(1, std::move(kept));
        oracle.acknowledged = 0;
        return {};
    }
    return "what was recovered is no version from " + std::to_string(oracle.acknowledged) + " to " +
           std::to_string(oracle.versions.size() - 1) + " (" + last_reason + ")";
}

/// A few mini-blocks of random transactions, most of them flushed.
inline Result<void> random_mini_blocks(ScriptedNode& node, std::mt19937_64& random) {
    for (uint64_t m = random() % 4; m > 0; --m) {
        std::vector<AdmittedPtr> transactions;
        std::vector<uint64_t> used(4);
        for (uint64_t t = random() % 3 + 1; t > 0; --t) {
            const uint64_t key = random() % used.size();
            const uint64_t nonce = node.nonce(key) + used[key]++;
            const auto call = [&](const Address& to, U256 value = {}, Bytes data = {}) {
                return admitted(key, call_transaction(nonce, to, value, std::move(data)));
            };
            switch (random() % 5) {
                case 0:
                    transactions.push_back(
                        admitted(key, transfer_transaction(nonce, stranger(random() % 5),
                                                           U256{random() % 1000})));
                    break;
                case 1: transactions.push_back(call(counter_contract)); break;
                case 2: transactions.push_back(call(reverting_contract, U256{1})); break;
                case 3:
                    transactions.push_back(admitted(
                        key, call_transaction(nonce, std::nullopt, {},
                                              from_hex("6001600055615f5f5f526002601ef3").value())));
                    break;
                case 4: {
                    // The newest ancestor whose hash is known.
                    const uint64_t parent = node.builder->block().number - 1;
                    const Hash256 word =
                        to_hash(U256{node.builder->awaits_parent() ? parent - 1 : parent});
                    transactions.push_back(
                        call(random() % 2 == 0 ? block_hash_contract : history_contract, {},
                             Bytes(word.begin(), word.end())));
                    break;
                }
            }
        }
        MILLRACE_CHECK(node.mini_block(transactions));
        if (random() % 3 != 0) { MILLRACE_CHECK(node.flush()); }
    }
    return {};
}

/// A random run: transfers, calls, creations, failures, block hashes, blocks that open before the
/// one before them is sealed, edits, checkpoints, reverts. Ends with an open block. Returns at the
/// first error.
inline Result<void> run_script(ScriptedNode& node, uint64_t seed, uint64_t block_count) {
    std::mt19937_64 random{seed};
    MILLRACE_CHECK(node.open_block());
    for (uint64_t b = 1; b <= block_count; ++b) {
        MILLRACE_CHECK(random_mini_blocks(node, random));
        if (random() % 3 == 0) {
            MILLRACE_CHECK(node.edit([&](CellTable& c) {
                const Address who = stranger(random() % 8);
                c.set_balance(who, U256{random() % 1000 + 1});
                if (random() % 2 == 0) {
                    c.set_code(who, Bytes{0x5f, static_cast<uint8_t>(random())});
                }
                if (random() % 2 == 0) {
                    c.set_storage(who, U256{random() % 3}, U256{random() % 4});
                }
                if (random() % 2 == 0) { c.set_nonce(who, random() % 5); }
            }));
        }
        MILLRACE_CHECK(node.close());
        if (random() % 3 == 0) { MILLRACE_CHECK(node.flush()); }
        const bool early = random() % 2 == 0;
        if (early) {
            MILLRACE_CHECK(node.open_block());
            MILLRACE_CHECK(random_mini_blocks(node, random));
        }
        MILLRACE_CHECK(node.finish());
        if (b % 2 == 0) { MILLRACE_CHECK(node.ledger->checkpoint(true)); }
        if (!early) { MILLRACE_CHECK(node.open_block()); }
        if (b % 3 == 0) {
            const uint64_t head = node.ledger->view().head()->header.number;
            const uint64_t target = head - std::min<uint64_t>(head, random() % 3);
            MILLRACE_CHECK(node.flush());
            if (node.ledger->view().state_after(target)) {
                MILLRACE_CHECK(node.revert(target));
                MILLRACE_CHECK(node.open_block());
            }
        }
    }
    return {};
}

}  // namespace millrace::sequencer::test
